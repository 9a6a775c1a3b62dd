"""An emergency on a whole house: one seat is brought to the elder, once, whatever dies and when.

Rows BAK-06 and BAK-07: the controller is killed or stopped before the dial is sent, after it, after
the answer and after the talk; the elder stays in the room, and nobody is dialled twice unseen.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from sql import codec
from sql.case_file import CaseFile, line_of
from sql.local_journal import LocalJournal
from sql.models import Case, Elder, Journal, Outbox
from tests.audio import tone_seconds
from tests.database.centre import Clock, Nobody
from tests.house import (
    House,
    Town,
    call_of,
    ended_call,
    listen,
    own_town,
    put_away,
)
from tests.observer import Message, wait_until
from tests.telephone import Leg
from workflows import emergency
from workflows.events import DialAttempted, RoomOpened
from workflows.runner import Runner

ELDER, SEAT = 480, 740
EMERGENCY = "96000"


@pytest.fixture
def town(open_place: Path) -> Iterator[Town]:
    with own_town(open_place) as made:
        yield made
        made.assert_silent()


def calls_for_help(town: Town) -> tuple[str, Leg, int]:
    """An elder dials the emergency number; the case, the elder, and the events before."""
    since = len(town.observer.events)
    elder = town.carrier.call(EMERGENCY, caller="13800000005", tone=ELDER).wait_talking()
    return call_of(town, since), elder, since


def seats_in(town: Town, case: str) -> list[Message]:
    members = town.observer.list_of("ConfbridgeList", Conference=case)
    return [m for m in members if m.get("CARELINE_PARTY") == "seat"]


def dials(town: Town, case: str, since: int) -> list[str]:
    """The ids of our dials for role A that Asterisk has seen, in order."""
    made = town.observer.find("Newchannel", since)
    return [m["Uniqueid"] for m in made if m["Uniqueid"].startswith(f"{case}-A")
            and not m["Uniqueid"].endswith("-2")]  # fmt: skip


def assert_dialled_once(town: Town, case: str, since: int) -> None:
    assert dials(town, case, since) == [f"{case}-A1"], town.house.log()


def wait_together(town: Town, case: str, since: int, timeout: float = 15) -> None:
    """Return when one seat is in the room with the elder."""
    town.observer.wait_for("ConfbridgeJoin", timeout, since, CARELINE_PARTY="seat")
    wait_until(lambda: len(seats_in(town, case)) == 1, 5, "one seat in the room")


def connects(house: House) -> int:
    log = (house.home.logs / "controller.log").read_text("utf-8")
    return log.count("connected to Asterisk")


def assert_heard_each_other(town: Town, elder: Leg, seat: Leg) -> None:
    listen(seat, 1.5, ELDER)
    listen(elder, 1.5, SEAT)
    elder.hang_up()
    seat.wait_ended()
    assert tone_seconds(seat.heard(), ELDER) > 1
    assert tone_seconds(elder.heard(), SEAT) > 1


def closed(house: House, case: str) -> dict[str, Outbox]:
    """The dials for role A of the case, once the database has its end.

    For role B it is rung all the while; there is nobody to come.
    """

    async def over(session: AsyncSession) -> bool:
        row = await session.get(Case, (emergency.PROCESS.name, case))
        return row is not None and row.state == "closed"

    async def rows(session: AsyncSession) -> dict[str, Outbox]:
        found = await session.scalars(
            select(Outbox).where(
                Outbox.case_id == case, Outbox.kind == "CallSeat", Outbox.id.contains("-A")
            )
        )
        return {row.id: row for row in found}

    house.wait_for(over, f"the end of {case} in the database", 15)
    put_away(house, case)
    found: dict[str, Outbox] = house.read(rows)
    return found


def events_of(house: House, case: str) -> list[str]:
    async def rows(session: AsyncSession) -> list[str]:
        found = await session.scalars(
            select(Journal.event).where(Journal.process == "emergency", Journal.case_id == case)
            .order_by(Journal.id)
        )  # fmt: skip
        return list(found)

    told: list[str] = house.read(rows)
    return told


@contextmanager
def no_restart(house: House) -> Iterator[None]:
    """Whoever starts the controller again sleeps meanwhile."""
    house.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        house.process.send_signal(signal.SIGCONT)


def kill(house: House) -> int:
    """Kill the controller; returns how often one had connected so far."""
    before = connects(house)
    os.kill(house.child("controller"), signal.SIGKILL)
    return before


def wait_back(house: House, before: int) -> None:
    wait_until(lambda: connects(house) > before, 30, "the new controller", house.log)


@pytest.mark.row("ACD-20", part="entry")
def test_an_elder_and_the_next_free_seat_hear_each_other(town: Town) -> None:
    uid = town.house.enter_elder("测试老人丙", "+8613800000005")
    town.carrier.phone("1001").answers(0.3, SEAT)
    case, elder, since = calls_for_help(town)
    wait_together(town, case, since)
    assert_dialled_once(town, case, since)
    seat = town.carrier.phone("1001").wait_ringing().wait_talking()
    other = town.carrier.phone("1002")
    wait_until(lambda: not other.legs()[-1].has_ended, 5, "it rings for role B")
    assert_heard_each_other(town, elder, seat)
    row = ended_call(town.house, case)
    assert (row.entry, row.result, row.seat) == ("emergency", "answered", "1001")
    known = town.house.read(
        lambda s: s.scalar(select(Elder.elder_uid).where(Elder.id == row.elder_id))
    )
    assert known == uid, "who calls is known"
    effects = closed(town.house, case)
    # Whichever of the two rang first brought the seat; the other's asking for A was withdrawn then.
    assert [row.result for row in effects.values()] in (["answered"], ["cancelled"])
    assert all(row.attempted_at and row.done_at for row in effects.values())
    told = events_of(town.house, case)
    assert told[:3] == ["RoomOpened", "DialAttempted", "DialAttempted"]
    assert "TookOver" not in told, "the dialplan need not act while we do"


def test_when_the_seat_leaves_the_next_is_brought(town: Town) -> None:
    town.carrier.phone("1001").answers(0.3, SEAT)
    case, elder, since = calls_for_help(town)
    wait_together(town, case, since)
    town.carrier.phone("1001").wait_ringing().hang_up()
    wait_until(lambda: len(dials(town, case, since)) == 2, 5, "a second dial")
    wait_until(lambda: len(seats_in(town, case)) == 1, 10, "the seat again")
    elder.hang_up()
    assert [row.result for row in closed(town.house, case).values()] == ["answered"] * 2


@pytest.mark.row("BAK-07", part="calls")
def test_killed_after_the_dial_was_sent(town: Town) -> None:
    town.carrier.phone("1001").answers(7, SEAT)
    case, elder, since = calls_for_help(town)
    seat = town.carrier.phone("1001").wait_ringing()
    wait_back(town.house, kill(town.house))
    wait_together(town, case, since, 25)
    assert_dialled_once(town, case, since)
    assert len(town.carrier.phone("1001").legs()) in (0, 1)
    assert_heard_each_other(town, elder, seat.wait_talking())
    assert list(closed(town.house, case)) == [f"{case}-A1"]
    assert ended_call(town.house, case).result == "answered"


@pytest.mark.row("BAK-07", part="calls")
def test_killed_after_the_answer(town: Town) -> None:
    town.carrier.phone("1001").answers(0.3, SEAT)
    case, elder, since = calls_for_help(town)
    wait_together(town, case, since)
    seat = town.carrier.phone("1001").wait_ringing()
    wait_back(town.house, kill(town.house))
    town.observer.wait_for("Rescue", 15, since, Step="controller")
    listen(seat, 3)
    assert_dialled_once(town, case, since)
    assert len(seats_in(town, case)) == 1
    assert_heard_each_other(town, elder, seat)
    effects = closed(town.house, case)
    assert list(effects) == [f"{case}-A1"]
    assert effects[f"{case}-A1"].result in ("answered", "cancelled")


@pytest.mark.row("BAK-07", part="calls")
def test_killed_and_the_seat_hung_up_meanwhile(town: Town) -> None:
    town.carrier.phone("1001").answers(0.3, SEAT)
    case, elder, since = calls_for_help(town)
    wait_together(town, case, since)
    first = town.carrier.phone("1001").wait_ringing()
    town.carrier.phone("1001").answers(0.3, SEAT)
    with no_restart(town.house):
        before = kill(town.house)
        first.hang_up()
        # The dialplan alone brings the seat back while nobody of ours lives.
        town.observer.wait_for("Rescue", 10, since, Step="takeover")
        wait_until(lambda: len(seats_in(town, case)) == 1, 15, "the seat again")
    wait_back(town.house, before)
    second = town.carrier.phone("1001").wait_ringing()
    town.observer.wait_for("Rescue", 15, since, Step="controller")
    listen(second, 2)
    assert len(seats_in(town, case)) == 1
    assert_heard_each_other(town, elder, second)
    # Who was asked for role B may have brought the seat back; then A is asked for anew.
    assert list(closed(town.house, case))[:1] == [f"{case}-A1"]


def test_killed_between_noting_the_dial_and_sending_it(town: Town) -> None:
    """What was noted and never sent looks just like what was sent: it is shown, or known."""
    with no_restart(town.house):
        before = kill(town.house)
        case, elder, since = calls_for_help(town)
        note_attempt(town.house, case)
    wait_back(town.house, before)
    town.observer.wait_for("Rescue", 15, since, Step="controller")
    wait_until(lambda: dials(town, case, since), 15, "a dial of ours", town.house.log)
    assert dials(town, case, since) == [f"{case}-A2"], "the first is not sent a second time"
    elder.hang_up()
    effects = closed(town.house, case)
    first = effects[f"{case}-A1"]
    assert first.attempted_at
    assert first.result in ("uncertain", "failed")
    told = events_of(town.house, case)
    assert ("DialLost" in told) == (first.result == "uncertain")


def note_attempt(house: House, case: str) -> None:
    """Write what a controller has on its disk in the moment before it sends the dial."""
    at = datetime.now(UTC)
    file = CaseFile(house.home.rescue, case)
    opened = RoomOpened(case_id=case, at=at)
    state = emergency.begin(opened)
    for seq, event in enumerate(
        (opened, DialAttempted(case_id=case, at=at, effect=f"{case}-A1")), 1
    ):
        state, effects = emergency.step(state, event)
        said: dict[str, Any] = {
            "seq": seq, "event": codec.dump_event(event), "before": "",
            "case": codec.dump(state),
            "effects": [{"kind": type(e).__name__, "body": codec.dump(e)} for e in effects],
        }  # fmt: skip
        file.append(line_of(said))
    # It is the controller's, which does not run as the test does.
    owner = house.home.rescue.stat()
    os.chown(file.path, owner.st_uid, owner.st_gid)


@pytest.mark.parametrize("stage", ["ringing", "talking"])
def test_stopped_for_three_seconds(town: Town, stage: str) -> None:
    """The dialplan takes over, hands back, and no second seat is dialled."""
    town.carrier.phone("1001").answers(7 if stage == "ringing" else 0.3, SEAT)
    case, elder, since = calls_for_help(town)
    seat = town.carrier.phone("1001").wait_ringing()
    if stage == "talking":
        wait_together(town, case, since)
    controller = town.house.child("controller")
    os.kill(controller, signal.SIGSTOP)
    stopped = time.monotonic()
    town.observer.wait_for("Rescue", 5, since, Step="takeover")
    wait_until(lambda: time.monotonic() - stopped > 3, 5, "three seconds")
    mark = len(town.observer.events)
    os.kill(controller, signal.SIGCONT)
    town.observer.wait_for("Rescue", 5, mark, Step="controller")
    wait_together(town, case, since)
    assert_dialled_once(town, case, since)
    assert len(town.carrier.phone("1001").legs()) == 1
    assert_heard_each_other(town, elder, seat.wait_talking())
    assert list(closed(town.house, case)) == [f"{case}-A1"]


@contextmanager
def locked(house: House) -> Iterator[None]:
    """Somebody holds the database, and nobody else can write."""
    connection = sqlite3.connect(house.home.root / "careline.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_a_whole_emergency_while_the_database_is_away(town: Town) -> None:
    town.carrier.phone("1001").answers(0.3, SEAT)
    with locked(town.house):
        case, elder, since = calls_for_help(town)
        wait_together(town, case, since)
        seat = town.carrier.phone("1001").wait_ringing().wait_talking()
        assert_heard_each_other(town, elder, seat)
        assert list(town.house.home.rescue.iterdir())
    effects = closed(town.house, case)
    assert list(effects) == [f"{case}-A1"]
    assert effects[f"{case}-A1"].result in ("answered", "cancelled")
    told = events_of(town.house, case)
    assert told.count("RoomOpened") == told.count("PersonJoined") == 1
    assert not town.observer.find("Rescue", since, Step="takeover"), "we handled it all the while"
    assert ended_call(town.house, case, 30).result == "answered"


async def test_a_full_disk_stops_no_rescue(small_disk: Path) -> None:
    """The journal's disk is full: the case goes on in memory, it is said, and mended when it is."""
    said: list[bool] = []
    journal = LocalJournal(small_disk / "rescue", emergency.PROCESS, said.append)
    journal.load()
    runner = Runner(codec.PROCESSES, journal, Clock(), Nobody())
    at, ballast = datetime.now(UTC), small_disk / "ballast"
    fill_up(ballast)
    case = await runner.handle(RoomOpened(case_id="n-1.1", at=at))
    assert emergency.unsent(case), "a seat is asked all the same"
    assert said == [False]
    ballast.unlink()
    await runner.handle(DialAttempted(case_id="n-1.1", at=at, effect="n-1.1-A1"))
    assert said == [False, True]
    again = LocalJournal(small_disk / "rescue", emergency.PROCESS, said.append)
    again.load()
    assert again.case("n-1.1") == journal.case("n-1.1"), "what was owed to the disk is there now"


def fill_up(file: Path) -> None:
    with file.open("wb", buffering=0) as ballast:
        for size in (2**16, 1):
            with contextlib.suppress(OSError):
                while True:
                    ballast.write(b"x" * size)
