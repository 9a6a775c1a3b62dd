"""A call by another number is an emergency: a seat says so, or keys are pressed at random."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults.test_effects_once import seats_in
from tests.faults.test_stuck_menu import in_menu
from tests.house import (
    Town,
    call_of,
    ended_call,
    kept_recording,
    listen,
    own_town,
    wish,
)
from tests.observer import wait_until
from workflows.commands import DeclareEmergency
from workflows.errors import NotAllowed, NotFound

ELDER = 480
TONES = {"1001": 740, "1002": 940}
COMPLAINTS = "96102"


@pytest.fixture
def town(open_place: Path) -> Iterator[Town]:
    with own_town(open_place) as made:
        yield made
        made.assert_silent()


def emergency(call: str) -> DeclareEmergency:
    return DeclareEmergency(case_id=call, at=datetime.now(UTC), by="测试坐席")


@pytest.mark.row("EMG-01")
def test_a_seat_says_that_the_call_is_an_emergency(town: Town) -> None:
    """The seat stays with the elder and is A, the other comes as B; one recording goes on."""
    for extension, tone in TONES.items():
        town.carrier.phone(extension).answers(0.2, tone)
    since = len(town.observer.events)
    elder = town.carrier.call(COMPLAINTS, "13800000071", tone=ELDER).wait_talking()
    call = call_of(town, since)
    first = town.observer.wait_for("AgentConnect", 20, since)["MemberName"]
    (second,) = TONES.keys() - {first}
    listen(elder, 1, TONES[first])
    wish(town.house, emergency(call))
    wait_until(lambda: len(seats_in(town, call)) == 2, 12, "both seats with the elder")
    listen(elder, 1, TONES[first])
    listen(elder, 1, TONES[second])
    listen(town.carrier.phone(first).legs()[-1], 1, ELDER)
    wish(town.house, emergency(call))
    assert len(town.observer.find("BecameEmergency", since)) == 1, "a second press moves nobody"
    assert len(seats_in(town, call)) == 2
    elder.hang_up()
    row = kept_recording(town.house, call)
    assert (row.entry, row.result) == ("emergency", "answered")
    assert {leg.who for leg in row.legs if leg.party == "seat" and leg.answered_at} == {
        "1001", "1002",
    }  # fmt: skip
    with pytest.raises(NotFound, match="is over"):
        wish(town.house, emergency(call))


@pytest.mark.row("EMG-01")
def test_keys_pressed_at_random_are_a_call_for_help(town: Town) -> None:
    call, elder = in_menu(town, "13800000072")
    for key in "4719":
        elder.press(key)
    town.observer.wait_for("BecameEmergency", 10, Call=call)
    town.carrier.phone("1001").wait_ringing()
    town.carrier.phone("1002").wait_ringing()
    elder.hang_up()
    assert ended_call(town.house, call).entry == "emergency"


def test_a_call_that_a_seat_placed_is_refused_in_words(town: Town) -> None:
    town.carrier.number("13800000073").answers(0.2, ELDER)
    since = len(town.observer.events)
    seat = town.carrier.phone("1001").dials("13800000073")
    call = town.observer.wait_for("CallPlaced", 10, since)["Call"]
    with pytest.raises(NotAllowed, match="a seat placed this call"):
        wish(town.house, emergency(call))
    seat.hang_up()
