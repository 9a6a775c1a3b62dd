"""Calls that came, were answered and ended while no controller lived have their rows all the same.

The supervisor stands still, so that the controller which is killed stays away for as long as the
test wants; then it goes on, and the new controller reads what Asterisk wrote down itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from sql.models import Alarm, Journal
from sql.queries import calls
from tests.house import (
    House,
    Town,
    call_of,
    ended_call,
    kept_recording,
    listen,
    own_town,
)
from tests.observer import Message, wait_until

# Neither tone is in the hold music.
ELDER = 480
SEAT = 740
TRUE_S = 1.0


@pytest.fixture
def town(open_place: Path) -> Iterator[Town]:
    with own_town(open_place) as made:
        yield made
        made.assert_silent()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[1])


@contextmanager
def nobody_listens(town: Town) -> Iterator[None]:
    """The controller is dead, and nobody starts it again."""
    controller = town.house.child("controller")
    supervisor = parent(controller)
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(controller, signal.SIGKILL)
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


def answered(town: Town, caller: str) -> str:
    """A call that a seat answers and the elder ends; returns its id."""
    town.carrier.phone("1001").answers(0.2, SEAT)
    since = len(town.observer.events)
    elder = town.carrier.call("96100", caller, name='"王\\"', tone=ELDER).wait_talking()
    call_id = call_of(town, since)
    town.observer.wait_for("AgentConnect", 45, CARELINE_CALL=call_id)
    listen(elder, 2)
    elder.hang_up()
    town.carrier.phone("1001").rings()
    return call_id


def abandoned(town: Town, caller: str) -> str:
    """A call whose caller hangs up while a seat rings."""
    since = len(town.observer.events)
    elder = town.carrier.call("96100", caller, tone=ELDER).wait_talking()
    call_id = call_of(town, since)
    town.observer.wait_for("AgentCalled", 45, CARELINE_CALL=call_id)
    elder.hang_up()
    return call_id


def at(message: Message) -> datetime:
    return datetime.fromtimestamp(float(message["Timestamp"]), UTC)


def near(one: datetime | None, other: datetime) -> bool:
    return one is not None and abs((one - other).total_seconds()) < TRUE_S


def journal(house: House, call_id: str) -> Sequence[Journal]:
    rows: Sequence[Journal] = house.read(lambda session: calls.journal(session, call_id))
    return rows


def facts(house: House, call_id: str) -> Counter[str]:
    """How often each fact was told, by event and leg."""
    return Counter(f"{row.event} {row.body.get('leg', '')}" for row in journal(house, call_id))


def notes(town: Town) -> list[Path]:
    return list((town.house.home.asterisk / "spool" / "alone").glob("*.json"))


@pytest.mark.row("BAK-09")
def test_calls_that_nobody_saw_are_whole_single_and_true(town: Town) -> None:
    """Answered, abandoned and placed, all while no controller lived."""
    town.carrier.number("13900000001").answers(0.2, SEAT)
    with nobody_listens(town):
        talked = answered(town, "13800000031")
        missed = abandoned(town, "13800000032")
        since = len(town.observer.events)
        seat = town.carrier.phone("1002").dials("13900000001").wait_talking()
        placed = town.observer.wait_for("CallPlaced", since=since)["Call"]
        listen(seat, 2)
        seat.hang_up()
        wait_until(lambda: len(notes(town)) == 2, 6, "both notes")
        noted = notes(town)
        told = {note["call"]: note for note in (json.loads(n.read_text("utf-8")) for n in noted)}
        assert (told[talked]["entry"], told[talked]["seat"]) == ("hotline", "PJSIP/1001")
        assert told[missed]["seat"] == ""
        assert told[missed]["queue"] == "hotline"

    row = kept_recording(town.house, talked)
    assert (row.result, row.entry, row.queue, row.seat) == (
        "answered",
        "hotline",
        "hotline",
        "1001",
    )
    assert (row.caller_no, row.callee_no, row.trunk) == ("+8613800000031", "96100", "carrier")
    connected = town.observer.find("AgentConnect", CARELINE_CALL=talked)[0]
    assert near(row.answered_at, at(connected))
    assert len(town.house.wait_for(lambda s: calls.orders_of(s, talked), "its order")) == 1

    row = kept_recording(town.house, missed)
    assert (row.result, row.answered_at, row.seat) == ("abandoned", None, None)
    back = town.house.wait_for(lambda s: calls.orders_of(s, missed), "its call-back")
    assert [order.origin for order in back] == ["call_back"]

    row = kept_recording(town.house, placed)
    assert (row.direction, row.result, row.seat) == ("outbound", "answered", "1002")
    assert row.callee_no == "+8613900000001"
    assert len(town.house.wait_for(lambda s: calls.orders_of(s, placed), "its order")) == 1

    for call_id in (talked, missed, placed):
        row = ended_call(town.house, call_id)
        assert not row.ended_uncertain
        assert near(row.ended_at, at(town.observer.find("Hangup", Uniqueid=call_id)[0]))
        began = "CallPlaced" if call_id == placed else "CallArrived"
        assert near(row.entered_at, at(town.observer.find(began, Uniqueid=call_id)[0]))
        assert all(leg.ended_at for leg in row.legs)
        again = {fact: n for fact, n in facts(town.house, call_id).items() if n > 1}
        assert not again
        assert facts(town.house, call_id)["CallImported "] == 1
    assert notes(town) == []


@pytest.mark.row("BAK-09")
def test_a_talk_that_was_seen_to_begin_and_not_to_end_has_its_true_end(town: Town) -> None:
    town.carrier.phone("1001").answers(0.2, SEAT)
    since = len(town.observer.events)
    elder = town.carrier.call("96100", "13800000033", tone=ELDER).wait_talking()
    call_id = call_of(town, since)
    town.observer.wait_for("AgentConnect", 45, since)
    listen(elder, 1)
    with nobody_listens(town):
        elder.hang_up()
        hangup = town.observer.wait_for("Hangup", Uniqueid=call_id)
        # Long enough to tell the true end from the moment of the return.
        listen(town.carrier.call("96100", "13800000034", tone=ELDER).wait_talking(), 3)
        town.carrier.hang_up_all()
        stray = plant(town, "house-1.7")
    row = kept_recording(town.house, call_id)
    assert (row.result, row.ended_uncertain) == ("answered", False)
    assert near(row.ended_at, at(hangup))
    assert len(town.house.wait_for(lambda s: calls.orders_of(s, call_id), "its order")) == 1
    # Sound that belongs to no call is told of, and kept.
    (alarm,) = town.house.wait_for(orphans, "the alarm")
    assert alarm.text == "house-1.7"
    assert stray.exists()


def plant(town: Town, name: str) -> Path:
    """A recording that nobody has written to for two hours."""
    wav = town.house.home.live_recordings / f"{name}-elder.wav"
    wav.write_bytes(b"sound")
    os.utime(wav, (time.time() - 7200,) * 2)
    return wav


async def orphans(session: AsyncSession) -> Sequence[Alarm]:
    return (await session.scalars(select(Alarm).where(Alarm.kind == "orphan"))).all()


@pytest.mark.row("BAK-09")
def test_a_kill_in_the_middle_of_the_import_imports_nothing_twice(town: Town) -> None:
    told: list[str] = []
    with nobody_listens(town):
        told.append(answered(town, "13800000035"))
        for number in range(5):
            since = len(town.observer.events)
            elder = town.carrier.call("96100", f"1380000004{number}", tone=ELDER).wait_talking()
            told.append(call_of(town, since))
            elder.hang_up()
    for call_id in (told[0], told[2], told[4]):
        # As soon as the first facts of this call are there, others of it are still to come.
        wait_until(partial(journal, town.house, call_id), 30, f"the import of {call_id}")
        with contextlib.suppress(AssertionError, ProcessLookupError):
            os.kill(town.house.child("controller"), signal.SIGKILL)
    for call_id in told:
        ended_call(town.house, call_id, 40)
    assert kept_recording(town.house, told[0]).result == "answered"
    assert len(town.house.wait_for(lambda s: calls.orders_of(s, told[0]), "its order")) == 1
    for call_id in told:
        again = {fact: n for fact, n in facts(town.house, call_id).items() if n > 1}
        assert not again
