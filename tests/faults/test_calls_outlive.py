"""Calls and their truth outlive Careline's processes: kills, restarts, Ctrl-C in a talk."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from sql.queries import calls
from tests.house import (
    House,
    Town,
    call_of,
    ended_call,
    kept_recording,
    listen,
    own_town,
    start,
)
from tests.observer import Observer, wait_until
from tests.telephone import Leg

# Neither tone is in the hold music.
ELDER = 480
SEAT = 740
CONGESTION = "34"


@pytest.fixture
def town(open_place: Path) -> Iterator[Town]:
    with own_town(open_place) as made:
        yield made
        # The house's own Asterisk has ended in some of these tests.
        made.carrier.hang_up_all()
        made.carrier.observer.assert_idle()


def talking(town: Town) -> tuple[str, Leg, Leg]:
    """A call in which elder and seat talk; complaints have no menu, so that it is soon there."""
    town.carrier.phone("1001").answers(0.2, SEAT)
    since = len(town.observer.events)
    elder = town.carrier.call("96102", caller="13800000005", tone=ELDER).wait_talking()
    call_id = call_of(town, since)
    town.observer.wait_for("AgentConnect", 45, since)
    seat = town.carrier.phone("1001").wait_ringing().wait_talking()

    async def answered(session: AsyncSession) -> bool:
        row = await calls.one(session, call_id)
        return row is not None and row.answered_at is not None

    town.house.wait_for(answered, f"the answer of {call_id} in the database")
    return call_id, elder, seat


def test_a_call_whose_end_nobody_wrote_down_is_marked_uncertain(town: Town) -> None:
    """Not even Asterisk: it was killed with the call, and its flight record has no end of it."""
    call_id, _, _ = talking(town)
    os.kill(town.house.child("controller"), signal.SIGKILL)
    os.kill(asterisk_pid(town.house), signal.SIGKILL)
    row = ended_call(town.house, call_id, 30)
    assert (row.result, row.ended_uncertain) == ("answered", True)
    assert len(town.house.wait_for(lambda s: calls.orders_of(s, call_id), "its order")) == 1


def wait_until_draining(town: Town) -> None:
    said = town.house.said
    # Two questions at Asterisk's console come before it, each of which may take 10 s.
    wait_until(lambda: any("draining" in line for line in said), 30, "draining is said", said)


def test_the_first_ctrl_c_drains_and_the_last_talk_ends_it(town: Town) -> None:
    call_id, elder, _ = talking(town)
    town.house.interrupt()
    wait_until_draining(town)
    refused = town.carrier.call("96100", caller="13800000006")
    assert refused.wait_ended(20)["Cause"] == CONGESTION
    listen(elder, 1)
    assert not elder.has_ended
    elder.hang_up()
    assert town.house.wait_ended(40) == 0
    assert ended_call(town.house, call_id).result == "answered"


def test_the_second_ctrl_c_ends_everything(town: Town) -> None:
    call_id, elder, _ = talking(town)
    town.house.interrupt()
    wait_until_draining(town)
    town.house.interrupt()
    assert town.house.wait_ended(40) == 0
    elder.wait_ended()
    row = ended_call(town.house, call_id)
    assert (row.result, row.ended_uncertain) == ("answered", False)


def test_the_next_start_takes_over_the_calls_of_a_killed_one(town: Town) -> None:
    call_id, elder, _ = talking(town)
    pid = asterisk_pid(town.house)
    town.house.process.kill()
    town.house.wait_ended()
    again = start(town.house.home.root, town.house.config)
    try:
        assert again.ready.get("ready") is True, again.said
        assert asterisk_pid(again) == pid
        listen(elder, 1)
        assert not elder.has_ended
        observer = Observer(again.settings.addresses.internal, "careline",
                            again.home.secret("ami"))  # fmt: skip
        elder.hang_up()
        assert kept_recording(again, call_id).result == "answered"
        observer.assert_idle()
        observer.close()
    finally:
        again.interrupt()
        again.wait_ended()
        again.close()


def asterisk_pid(house: House) -> int:
    return int((house.home.asterisk / "run" / "started.pid").read_text())
