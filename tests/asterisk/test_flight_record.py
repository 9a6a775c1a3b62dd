"""The flight record as a real Asterisk writes it: every value whole, every call told, small."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from telephony import cel
from telephony.cel import FateKind, Teller
from telephony.flight_recorder import FlightRecorder
from tests.asterisk.conftest import Centre
from tests.observer import wait_until
from tests.telephone import Carrier
from workflows.call_facts import Call
from workflows.events import CallArrived, CallEnded, Event, SeatAnswered

# Neither tone is in the hold music.
ELDER = 480
SEAT = 740
BYTES_A_CALL = 4000


class NoMemory:
    """Knows no call; only the file is read here."""

    async def call(self, call_id: str) -> Call | None:
        return None

    async def place(self, name: str) -> int:
        return 0

    async def keep_place(self, name: str, place: int) -> None:
        pass


def file_of(centre: Centre) -> Path:
    return centre.home.asterisk / "log" / "cel-custom" / "careline.csv"


def events_of(centre: Centre, call: str) -> list[Event]:
    stories = cel.stories(cel.read(file_of(centre).read_bytes())[0])
    return Teller("test", lambda number: number).events(call, stories[call])


def ended(centre: Centre, call: str) -> bool:
    return any(isinstance(event, CallEnded) for event in events_of(centre, call))


def arrived(centre: Centre, since: int) -> str:
    return centre.observer.wait_for("CallArrived", since=since)["Call"]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        ("96105", '王"芳'),
        ("96105", '","HANGUP","1795372239.130351","'),
        ("9%0a%22HANGUP%22", "a\\\\,'b"),
        ("9%0d%0a%00%ff", ""),
    ],
)
def test_whatever_a_caller_sends_the_call_is_told_whole(
    centre_asterisk: Centre, telephones: Carrier, number: str, name: str
) -> None:
    since = len(centre_asterisk.observer.events)
    telephones.call(number, "13800000051", name, ELDER).wait_talking().hang_up()
    call = arrived(centre_asterisk, since)
    wait_until(lambda: ended(centre_asterisk, call), 3, "the end of the call in the record")
    events = events_of(centre_asterisk, call)
    came, over = events[0], events[-1]
    assert isinstance(came, CallArrived)
    assert isinstance(over, CallEnded)
    hangup = centre_asterisk.observer.wait_for("Hangup", Uniqueid=call)
    assert over.cause == int(hangup["Cause"])
    told = datetime.fromtimestamp(float(hangup["Timestamp"]), UTC)
    assert abs(over.at - told) < timedelta(seconds=0.1)


def test_an_answered_call_is_small_and_the_file_may_be_renamed_in_it(
    centre_asterisk: Centre, telephones: Carrier
) -> None:
    file = file_of(centre_asterisk)
    telephones.phone("1001").answers(0.2, SEAT)
    since = len(centre_asterisk.observer.events)
    elder = telephones.call("96100", "13800000052", tone=ELDER).wait_talking()
    call = arrived(centre_asterisk, since)
    centre_asterisk.observer.wait_for("AgentConnect", 30, since)
    aside = file.with_suffix(".csv.1")
    file.rename(aside)
    elder.hang_up()
    wait_until(lambda: file.exists() and b"HANGUP" in file.read_bytes(), 3, "a new file")
    try:
        wait_until(lambda: file.read_bytes().count(b'"HANGUP"') == 2, 3, "both ends")
        text = aside.read_bytes() + file.read_bytes()
    finally:
        aside.unlink()
    own = [r for r in cel.read(text)[0] if call in (r.channel, r.linked)]
    story = Teller("test", lambda number: number).events(call, own)
    assert [e.seat for e in story if isinstance(e, SeatAnswered)] == ["1001"]
    assert any(isinstance(e, CallEnded) for e in story)
    assert own[-1].start - own[0].start < BYTES_A_CALL


def test_the_fate_of_a_dial_is_found_by_its_id(
    centre_asterisk: Centre, telephones: Carrier, asterisk_user: str
) -> None:
    """As an effect does it: its own id is the id of the channel."""
    telephones.call("96105", "13800000053").wait_talking().hang_up()
    asked = datetime.now(UTC)
    recorder = FlightRecorder(
        centre_asterisk.home.asterisk, "test", str, NoMemory(), _nobody, lambda: asked
    )

    def fate(effect: str) -> FateKind:
        return asyncio.run(recorder.fate_of(effect, asked)).kind

    telephones.phone("1001").answers(0.2, SEAT)
    telephones.phone("1002").rings()
    for effect, seat in (("effect-1", "1001"), ("effect-2", "1002")):
        answer = centre_asterisk.observer.action(
            "Originate", Channel=f"PJSIP/{seat}", ChannelId=effect, Application="Wait", Data="20",
            Async="true",
        )  # fmt: skip
        assert answer["Response"] == "Success"
    wait_until(lambda: fate("effect-1") is FateKind.ANSWERED, 5, "the answer")
    wait_until(lambda: fate("effect-2") is FateKind.RINGING, 5, "the ringing")
    assert fate("effect-3") is FateKind.NEVER_STARTED
    telephones.hang_up_all()
    wait_until(lambda: fate("effect-2") is FateKind.FAILED, 5, "the end of the ringing")
    talked = asyncio.run(recorder.fate_of("effect-1", asked))
    assert talked.answered_at is not None
    assert talked.ended_at is not None
    assert talked.answered_at < talked.ended_at
    early = asyncio.run(recorder.fate_of("effect-3", asked - timedelta(days=1)))
    assert early.kind is FateKind.UNKNOWN


async def _nobody(event: Event) -> None:
    raise AssertionError(f"nothing is to be told: {event}")
