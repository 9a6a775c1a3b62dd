"""The spine: a call reaches a person, is recorded, and becomes an order, with everything running.

`./careline run` on one side, the test carrier with elders and seats' phones on the other.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from asterisk_conf.sounds import PROMPTS
from sql.models import CallRecord
from sql.queries import calls, orders
from tests.audio import find_prompt, tone_seconds
from tests.desk_visitor import DeskVisitor, contacts_of
from tests.house import (
    House,
    Town,
    call_of,
    ended_call,
    kept_recording,
    listen,
    own_town,
)
from tests.observer import wait_until

# Neither tone is in the hold music.
ELDER = 480
SEAT = 740
ENOUGH_S = 1.5
ALONE = 0.9


@pytest.fixture(scope="module")
def whole_town(place: Path) -> Iterator[Town]:
    folder = place / "spine"
    folder.mkdir()
    folder.chmod(0o711)
    with own_town(folder) as town:
        yield town


@pytest.fixture
def town(whole_town: Town) -> Iterator[Town]:
    whole_town.carrier.phone("1001").rings()
    whole_town.carrier.phone("1002").rings()
    yield whole_town
    whole_town.assert_silent()


def side(opus: Path, channel: int, folder: Path) -> Path:
    """One channel of the kept file as a WAV, decoded by ffmpeg."""
    wav = folder / f"{opus.stem}-{channel}.wav"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-i", opus, "-ar", "8000", "-ac", "1",
         "-af", f"pan=mono|c0=c{channel}", wav],
        check=True,
    )  # fmt: skip
    return wav


async def all_legs_ended(session: AsyncSession, call_id: str) -> bool:
    row = await calls.one(session, call_id)
    return row is not None and all(leg.ended_at for leg in row.legs)


def wait_in_menu(town: Town, call_id: str) -> None:
    """Return when the call's channel is in the menu."""
    wait_until(
        lambda: any(
            m["Uniqueid"] == call_id and m["Application"] == "AGI"
            for m in town.observer.list_of("CoreShowChannels")
        ),
        20,
        f"{call_id} in the menu",
    )


@pytest.mark.row("REC-01", part="calls")
@pytest.mark.row("REC-04")
@pytest.mark.row("WO-05")
@pytest.mark.row("ACD-13", part="telephone")
def test_a_call_reaches_a_seat_is_recorded_and_becomes_an_order(town: Town, tmp_path: Path) -> None:
    house = town.house
    uid = house.enter_elder("测试老人甲", "+8637412345678")
    phones = [town.carrier.phone(s).answers(0.3, SEAT) for s in ("1001", "1002")]
    since = len(town.observer.events)
    elder = town.carrier.call("96100", caller="037412345678", tone=ELDER).wait_talking()
    call_id = call_of(town, since)
    town.observer.wait_for("AgentConnect", 45, since)
    seat = next(leg for phone in phones for leg in phone.legs()).wait_talking()
    listen(elder, 3, SEAT)
    elder.hang_up()
    seat.wait_ended()

    assert tone_seconds(elder.heard(), SEAT) > ENOUGH_S
    assert tone_seconds(seat.heard(), ELDER) > ENOUGH_S
    row = kept_recording(house, call_id)
    assert (row.caller_no, row.callee_no) == ("+8637412345678", "96100")
    assert (row.state, row.result, row.entry) == ("ended", "answered", "hotline")
    assert row.seat in ("1001", "1002")
    assert row.answered_at is not None
    assert row.ended_at is not None
    assert row.entered_at < row.answered_at < row.ended_at
    assert {leg.party for leg in row.legs} == {"caller", "seat"}
    house.wait_for(lambda s: all_legs_ended(s, call_id), "the end of every leg")
    _recording_is_whole(house, row, tmp_path)
    _order_is_linked(house, row, uid)


def _recording_is_whole(house: House, row: CallRecord, folder: Path) -> None:
    """Elder left, others right, the notice from the beginning on, and no WAV left behind."""
    assert row.recording is not None
    assert row.recording.serial == row.recording_serial == row.id
    opus = house.home.recordings / str(row.recording.file)
    # The serial names this one file, wherever one looks.
    assert list(house.home.recordings.rglob(f"*{row.id}*")) == [opus]
    assert hashlib.sha256(opus.read_bytes()).hexdigest() == row.recording.sha256
    left, right = side(opus, 0, folder), side(opus, 1, folder)
    assert tone_seconds(left, ELDER) > ENOUGH_S
    assert tone_seconds(right, SEAT) > ENOUGH_S
    # Speech and music touch every tone for a moment; only a tone alone fills its share.
    assert tone_seconds(left, SEAT, ALONE) < 0.3
    assert tone_seconds(right, ELDER, ALONE) < 0.3
    begin = find_prompt(right, PROMPTS / "zh" / "notice.wav")
    assert begin is not None
    assert begin < 1.0


def _order_is_linked(house: House, row: CallRecord, uid: str) -> None:
    linked = house.wait_for(lambda s: calls.orders_of(s, row.id), "the order of the call")
    assert len(linked) == 1
    order, request, elder = house.read(lambda s: orders.one(s, linked[0].order_no))
    assert request.call_id == row.id
    assert request.channel == "hotline"
    assert elder.elder_uid == uid
    assert order.status == "accepted"


@pytest.mark.row("REC-04")
@pytest.mark.parametrize("stage", ["notice", "menu", "waiting", "ringing", "talking"])
def test_a_caller_who_hangs_up_leaves_one_whole_row(town: Town, stage: str) -> None:
    since = len(town.observer.events)
    if stage == "talking":
        town.carrier.phone("1001").answers(0.2, SEAT)
    if stage == "waiting":
        town.carrier.phone("1001").is_busy()
        town.carrier.phone("1002").is_busy()
    elder = town.carrier.call("96100", caller="13800000009", tone=ELDER).wait_talking()
    call_id = call_of(town, since)
    if stage == "menu":
        wait_in_menu(town, call_id)
    elif stage != "notice":
        event = {"waiting": "QueueCallerJoin", "ringing": "AgentCalled", "talking": "AgentConnect"}
        town.observer.wait_for(event[stage], 45, since)
    elder.hang_up()
    row = ended_call(town.house, call_id)
    assert row.result == ("answered" if stage == "talking" else "abandoned")
    assert (row.caller_no, row.callee_no, row.recording_serial) == (
        "+8613800000009", "96100", call_id
    )  # fmt: skip
    assert row.ended_at is not None
    assert row.entered_at < row.ended_at
    town.house.wait_for(lambda s: all_legs_ended(s, call_id), "the end of every leg")
    same: Any = town.house.read(lambda s: calls.latest(s, limit=1))
    assert same[0][0].id == call_id


def test_a_key_in_the_menu_is_noted_and_a_person_comes(town: Town) -> None:
    since = len(town.observer.events)
    elder = town.carrier.call("96100", caller="13800000008").wait_talking()
    call_id = call_of(town, since)
    wait_in_menu(town, call_id)
    elder.press("1")
    town.observer.wait_for("QueueCallerJoin", 10, since)
    elder.hang_up()
    row = ended_call(town.house, call_id)
    assert (row.key_pressed, row.choice, row.queue) == ("1", "life_service", "hotline")


@pytest.mark.row("ACD-12")
def test_a_seat_calls_a_terminal_and_the_quality_is_kept(town: Town, tmp_path: Path) -> None:
    """RTCP speaks every five seconds, so the talk lasts longer than that."""
    terminal = town.carrier.number("13900000001").answers(0.3, ELDER)
    since = len(town.observer.events)
    seat = town.carrier.phone("1001").dials("13900000001", SEAT).wait_talking()
    call_id = town.observer.wait_for("CallPlaced", since=since)["Call"]
    listen(seat, 6.5)
    seat.hang_up()
    row = kept_recording(town.house, call_id)
    assert (row.direction, row.result, row.seat) == ("outbound", "answered", "1001")
    assert (row.caller_no, row.callee_no) == ("1001", "+8613900000001")
    assert row.delay_ms is not None
    assert 0 <= row.delay_ms < 100
    assert row.jitter_ms is not None
    assert row.loss == 0
    assert {leg.party for leg in row.legs} == {"seat", "called"}
    assert row.recording is not None
    opus = town.house.home.recordings / str(row.recording.file)
    assert tone_seconds(side(opus, 0, tmp_path), ELDER) > ENOUGH_S
    assert tone_seconds(side(opus, 1, tmp_path), SEAT) > ENOUGH_S
    assert terminal.legs()


@pytest.mark.parametrize(
    ("does", "result"),
    [("is_busy", "busy"), ("is_missing", "failed"), ("is_unavailable", "failed"),
     ("declines", "failed")],
)  # fmt: skip
def test_a_carrier_that_refuses_a_placed_call_leaves_its_reason(
    town: Town, does: str, result: str
) -> None:
    getattr(town.carrier.number("13900000002"), does)()
    since = len(town.observer.events)
    town.carrier.phone("1001").dials("13900000002")
    call_id = town.observer.wait_for("CallPlaced", since=since)["Call"]
    row = ended_call(town.house, call_id, 30)
    assert (row.result, row.answered_at) == (result, None)


HOSTILE = {
    "quotes": 'Robert"); DROP TABLE call_record;--',
    "dialplan": "${SHELL(touch /tmp/owned)}",
    "long": "x" * 200,
    "line breaks": "x\\r\\nEntry: emergency",
    "markup": "<script>alert(1)</script>",
    "none": "",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_caller_name_is_only_text(town: Town, kind: str) -> None:
    since = len(town.observer.events)
    elder = town.carrier.call("96100", caller="13800000007", name=HOSTILE[kind]).wait_talking()
    call_id = call_of(town, since)
    elder.hang_up()
    row = ended_call(town.house, call_id)
    assert row.caller_no == "+8613800000007"
    assert len(row.caller_name) <= 80
    assert row.caller_name.isprintable()
    assert not Path("/tmp/owned").exists()


def test_a_caller_without_a_number_is_served_like_all(town: Town) -> None:
    town.carrier.phone("1001").answers(0.2, SEAT)
    since = len(town.observer.events)
    elder = town.carrier.call("96100", caller="", tone=ELDER).wait_talking()
    call_id = call_of(town, since)
    town.observer.wait_for("AgentConnect", 45, since)
    elder.hang_up()
    row = ended_call(town.house, call_id)
    assert (row.caller_no, row.result) == ("", "answered")
    assert len(town.house.wait_for(lambda s: calls.orders_of(s, call_id), "its order")) == 1


@pytest.mark.row("PER-19")
def test_a_contact_saved_at_the_desk_is_in_the_telephone_system_at_once(town: Town) -> None:
    """Before the next call; and after the controller's death whatever was wrong is put right."""
    desk = DeskVisitor(town.house)
    elder = {"full_name": "测试老人丙", "numbers": "0374-5550001"}
    contact = {"contacts.0.name": "女儿", "contacts.0.is_emergency": "yes"}
    page = desk.send("/elders/new", elder | contact | {"contacts.0.phones": "13900000031"})
    assert contacts_of(town, "03745550001") == ["13900000031"]
    changed = elder | contact | {"contacts.0.phones": "13900000032", "version": "1"}
    desk.send(f"{page}/edit", changed)
    assert contacts_of(town, "03745550001") == ["13900000032"]

    town.observer.action("DBPut", Family="rescue/contact/03745550001", Key="1", Val="13900000066")
    town.observer.action("DBPut", Family="rescue/contact/03745550009", Key="1", Val="1")
    os.kill(town.house.child("controller"), signal.SIGKILL)
    wait_until(
        lambda: contacts_of(town, "03745550001") == ["13900000032"]
        and not contacts_of(town, "03745550009"),
        30, "the contacts as the register has them",
    )  # fmt: skip
