"""Every fault in every stage of a call: nobody is lost, and the truth about the call is kept.

A run has a choice of pairs in which each fault and each stage occurs, the dangerous ones first;
with `./careline test faults --full` all pairs run, and results/faults.md keeps their table.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.faults.faults import FAULTS, LASTS
from tests.faults.pictures import assert_true_picture
from tests.faults.site import Site
from tests.faults.stages import (
    COMPLAINTS,
    EMERGENCY,
    STAGES,
    dial,
    emergency_room,
    nobody,
    wrapping_up,
)
from tests.faults.truth import (
    assert_nobody_dialled_twice,
    assert_recording,
    assert_row,
    assert_seats,
    shown_seats,
)
from tests.observer import wait_until

CHOICE: Final = (
    ("controller-killed", "emergency-room"),
    ("controller-killed", "emergency-alone"),
    ("controller-stopped", "emergency-alone"),
    ("ami-half-open", "emergency-room"),
    ("database-away", "emergency-room"),
    ("disk-full", "emergency-room"),
    ("controller-killed", "menu"),
    ("controller-killed", "talking"),
    ("controller-stopped", "ringing"),
    ("asterisk-killed", "talking"),
    ("ami-cut", "ringing"),
    ("phone-gone", "talking"),
    ("carrier-gone", "waiting"),
    ("worker-killed", "recording"),
    ("desk-killed", "wrapping-up"),
    ("clock-back", "emergency-room"),
    ("clock-ahead", "talking"),
)
SOON_S: Final = 15.0
"""A wrap-up, a look at Asterisk's lists, a ring; less than a phone takes to register again."""
MISSED_S: Final = 45.0
"""It is asked every 30 s and has three for its answer."""
UNANSWERED: Final = ("menu", "waiting", "ringing", "emergency-alone")
PAIRS: Final = [(fault, stage) for fault in FAULTS for stage in STAGES]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stage" not in metafunc.fixturenames:
        return
    pairs = PAIRS if metafunc.config.getoption("full", False) else CHOICE
    metafunc.parametrize(("fault", "stage"), pairs, ids=[f"{f}×{s}" for f, s in pairs])


@pytest.mark.row("BAK-06")
@pytest.mark.parametrize("fault", ["database-away", "ami-half-open", "controller-stopped"])
def test_an_emergency_that_comes_during_a_fault_reaches_a_seat(site: Site, fault: str) -> None:
    with FAULTS[fault](nobody(site)):
        scene = emergency_room(site)
        assert scene.where == "room"
    scene.goes_on()
    site.hang_up_all()
    site.assert_silent()
    assert_row(scene, {"answered"})
    assert_recording(scene, may_be_missing=False)
    assert_seats(site)
    assert_nobody_dialled_twice(scene, answers_once=True)


@pytest.mark.row("BAK-06")
@pytest.mark.row("BAK-07", part="calls")
def test_the_call_and_its_truth_survive(site: Site, fault: str, stage: str, away_s: float) -> None:
    scene = STAGES[stage](site)
    scene.away_s = away_s
    with FAULTS[fault](scene):
        scene.assert_held()
        if fault in LASTS:
            scene.goes_on()
    scene.assert_held()
    assert_true_picture(site)
    scene.goes_on()
    site.pause_seats(False)
    site.hang_up_all()
    site.assert_silent()
    cut = fault == "asterisk-killed" and stage in UNANSWERED
    assert_row(scene, {"abandoned" if cut else "answered"})
    assert_recording(scene, may_be_missing=fault in ("disk-full", "asterisk-killed"))
    assert_seats(site)
    assert_true_picture(site)
    assert_nobody_dialled_twice(scene, answers_once=fault != "phone-gone")


@pytest.mark.parametrize("fault", ["none"])
def test_seats_who_pause_see_whose_emergency_rings(site: Site, fault: str) -> None:
    """No queue rings them, and the card is there all the same."""
    site.seats_ring()
    site.pause_seats(True)
    scene = dial(site, EMERGENCY)
    rung = {(seat, scene.call_id) for seat in site.phones}
    wait_until(
        lambda: {(one["seat"], one["call"]) for one in site.picture()["ringing"]} == rung,
        20,
        "cards",
    )
    assert_true_picture(site)
    scene.goes_on()
    site.hang_up_all()
    site.assert_silent()


@pytest.mark.row("BAK-06")
@pytest.mark.parametrize("fault", ["clock-ahead", "clock-back"])
def test_no_seat_is_lost_when_somebody_sets_the_clock(site: Site, fault: str) -> None:
    """Registrations and wrap-ups last as long as they would have without it."""
    first = wrapping_up(site)
    others = [seat for seat in site.phones if seat != first.seat]
    site.pause_seats(True, others)
    with FAULTS[fault](first):
        scene = dial(site, COMPLAINTS)
        scene.wait_seat(SOON_S)
    assert scene.seat == first.seat
    scene.goes_on()
    site.pause_seats(False)
    site.hang_up_all()
    site.assert_silent()
    for one in (first, scene):
        assert_row(one, {"answered"})
    assert_seats(site)


@pytest.mark.row("BAK-06")
@pytest.mark.parametrize("fault", ["clock-back"])
def test_a_phone_that_goes_is_missed_after_the_clock_was_set_back(site: Site, fault: str) -> None:
    """By itself Asterisk asks no phone whether it is there until its clock has caught up."""
    site.seats_ring()
    seat = next(iter(site.phones))
    with FAULTS[fault](nobody(site)):
        site.phones[seat].kill()
        wait_until(lambda: shown_seats(site).get(seat) == "offline", MISSED_S, f"{seat} is missed")
    site.start_phone(seat)
    assert_seats(site)
