"""An elder whose line is gone in an emergency is called back until somebody knows how they are."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Final

import pytest

from tests.faults.site import observe
from tests.faults.test_rescue_legs import (
    ELDER,
    TONES,
    Case,
    both_seated,
    case_in,
    extension,
    hears_no_more,
    leg_of,
    now,
    town_of_elder,
)
from tests.house import Town, call_of, ended_call, listen, open_cases, put_away, wish
from tests.observer import wait_until
from tests.telephone import Leg
from workflows.commands import CallParties, ConfirmSafe, Mark, MarkLeg, StopCallingBack
from workflows.emergency_facts import CallBackState, State
from workflows.errors import NotAllowed
from workflows.events import LegResult

MORE: Final = """
[rescue]
live = true
call_back_s = 2
"""
NUMBER: Final = "13800000091"


@pytest.fixture(scope="module")
def whole_town() -> Iterator[Town]:
    with town_of_elder(MORE, NUMBER) as made:
        yield made


@pytest.fixture
def town(whole_town: Town) -> Iterator[Town]:
    """Afterwards every telephone is silent, and no case is open."""
    for seat, tone in TONES.items():
        whole_town.carrier.phone(seat).answers(0.2, tone)
    whole_town.carrier.number(NUMBER).rings()
    yield whole_town
    for case in open_cases(whole_town.house):
        wish(whole_town.house, ConfirmSafe(case_id=case, at=now(), by="测试"))
    whole_town.carrier.hang_up_all()
    # The test may have killed the Asterisk that was watched.
    with closing(observe(whole_town.house)) as observer:
        replace(whole_town, observer=observer).assert_silent()
    put_away(whole_town.house)


def calls_for_help(town: Town) -> tuple[str, Leg]:
    since = len(town.observer.events)
    elder = town.carrier.call("96000", NUMBER, tone=ELDER).wait_talking()
    return call_of(town, since), elder


@pytest.fixture
def case(town: Town) -> Case:
    """Both seats are with the elder."""
    call, elder = calls_for_help(town)
    seated = wait_until(lambda: both_seated(town, call), 15, "both seats with the elder")
    a, b = (town.carrier.phone(who).legs()[-1] for who in seated)
    return Case(town, call, elder, a, b)


def vain(case: Case) -> list[LegResult | None]:
    """How the calls to the elder came out that are over."""
    return [leg.result for leg in case.now().legs if leg.party == "elder" and leg.ended_at]


@pytest.mark.row("NRS-02")
@pytest.mark.row("NRS-06")
def test_the_elder_is_called_until_back_in_the_room_and_the_seats_wait_there(case: Case) -> None:
    """Busy, then there, then lost again: one case, one room, and what is said is recorded."""
    phone = case.town.carrier.number(NUMBER).is_busy()
    case.elder.hang_up()
    case.wait("the first call was in vain", lambda _: vain(case) == [LegResult.BUSY])
    assert case.now().state is State.AWAY
    phone.answers(1.5, ELDER)
    case.wait("the elder is back", lambda one: one.state is State.ACCOMPANIED, 20)
    back = phone.legs()[-1]
    assert {one.who for one in case.now().people} == set(TONES), "both seats have stayed"
    for tone in TONES.values():
        listen(back, 1, tone)
    for seat in (case.a, case.b):
        assert not seat.has_ended
        listen(seat, 1, ELDER)
    calls = [leg for leg in case.now().legs if leg.party == "elder"]
    assert [bool(leg.joined_at) for leg in calls] == [False, True]
    assert calls[-1].rang_at
    # And it goes on as it began: the next loss brings the next call.
    back.hang_up()
    case.wait("the elder is called again", lambda one: one.call_back.calls == 3)
    case.wait("the elder is back again", lambda one: one.state is State.ACCOMPANIED, 20)
    wish(case.town.house, ConfirmSafe(case_id=case.id, at=now(), by="测试"))
    phone.legs()[-1].hang_up()
    case.wait("it is over", lambda one: one.state is State.CLOSED)
    kept = leg_of(case.now(), "elder").id
    case.wait("what was said is kept", lambda one: leg_of(one, "elder").file, 60)
    assert kept == leg_of(case.now(), "elder").id


@pytest.mark.row("NRS-07")
def test_an_elder_who_is_safe_is_called_no_more(case: Case) -> None:
    """A telephone that rings stops; a seat that is alone in the room is let go."""
    phone = case.town.carrier.number(NUMBER).rings()
    wish(case.town.house, ConfirmSafe(case_id=case.id, at=now(), by="测试"))
    assert case.now().state is State.ACCOMPANIED, "the elder is not put out by it"
    case.elder.hang_up()
    case.wait("it is over", lambda one: one.state is State.CLOSED)
    assert case.now().call_back.safe_by == "测试"
    assert not phone.legs()


def test_a_word_of_a_seat_stops_the_telephone_that_rings(case: Case) -> None:
    phone = case.town.carrier.number(NUMBER).rings()
    case.elder.hang_up()
    ringing = phone.wait_ringing()
    case.b.hang_up()
    case.wait("B is gone", lambda one: len(one.people) == 1)
    assert not case.a.has_ended, "A waits for the elder"
    wish(case.town.house, ConfirmSafe(case_id=case.id, at=now(), by="测试"))
    ringing.wait_ended()
    case.a.wait_ended()
    case.wait("it is over", lambda one: one.state is State.CLOSED)
    assert case.now().call_back.state is CallBackState.OVER
    assert len(phone.legs()) == 1


def test_helpers_who_are_there_end_it_and_a_stop_wants_a_reason(case: Case) -> None:
    case.town.carrier.number("120").answers(0.3, 1340)
    case.elder.hang_up()
    case.wait("the elder is away", lambda one: one.state is State.AWAY)
    with pytest.raises(NotAllowed, match="without a reason"):
        wish(case.town.house, StopCallingBack(case_id=case.id, at=now(), by="测试", reason=" "))
    # Help is called as if the elder were there.
    wish(
        case.town.house,
        CallParties(case_id=case.id, at=now(), by="测试", parties=("ambulance",)),
    )
    case.wait("120 is there", lambda one: leg_of(one, "ambulance").joined_at)
    assert case.now().state is State.AWAY
    leg = leg_of(case.now(), "ambulance").id
    mark = MarkLeg(case_id=case.id, at=now(), by="测试", leg=leg, mark=Mark.ARRIVED)
    wish(case.town.house, mark)
    assert case.now().state is State.CLOSED
    assert not case.a.has_ended, "who talks goes on talking"
    case.town.carrier.number("120").legs()[-1].hang_up()


def test_who_hung_up_before_anybody_came_is_called_and_finds_a_seat(town: Town) -> None:
    seats = [town.carrier.phone(seat).rings() for seat in TONES]
    phone = town.carrier.number(NUMBER).answers(0.5, ELDER)
    call, elder = calls_for_help(town)
    for seat in seats:
        seat.wait_ringing()
    elder.hang_up()
    phone.wait_ringing()
    for name, tone in TONES.items():
        town.carrier.phone(name).answers(0.2, tone)
    back = phone.legs()[-1].wait_talking()
    wait_until(lambda: both_seated(town, call), 20, "both seats with the elder")
    for tone in TONES.values():
        listen(back, 1, tone)
    # That the first call reached nobody stays true of it.
    assert ended_call(town.house, call).answered_at is None


def test_an_elder_who_calls_again_by_themselves_finds_the_seats_who_waited(case: Case) -> None:
    """Both seats wait in the first room: they come to the second, and the first is over."""
    case.town.carrier.number(NUMBER).is_busy()
    case.elder.hang_up()
    case.wait("the elder is away", lambda one: one.state is State.AWAY)
    again, elder = calls_for_help(case.town)
    wait_until(lambda: both_seated(case.town, again), 20, "both seats with the elder")
    for tone in TONES.values():
        listen(elder, 1, tone)
    assert case.now().state is State.CLOSED
    assert case.now().call_back.other == again


@pytest.mark.row("BAK-07", part="calls")
@pytest.mark.parametrize("moment", ["before", "ringing", "back"])
def test_a_controller_that_is_killed_goes_on_calling(case: Case, moment: str) -> None:
    phone = case.town.carrier.number(NUMBER).rings()
    if moment == "ringing":
        phone.answers(9, ELDER)
    elif moment == "back":
        phone.answers(0.3, ELDER)
    case.elder.hang_up()
    case.wait("the elder is away", lambda one: one.state is State.AWAY)
    if moment == "ringing":
        phone.wait_ringing()
    elif moment == "back":
        case.wait("the elder is back", lambda one: one.state is State.ACCOMPANIED, 20)
    os.kill(case.town.house.child("controller"), signal.SIGKILL)
    if moment == "before":
        phone.answers(0.3, ELDER)
    wait_until(lambda: is_together(case), 40, "the elder with both seats")
    back = phone.legs()[-1]
    listen(back, 1, case.tone_of_b)
    assert not case.b.has_ended, "B has waited in the room"
    assert len([leg for leg in phone.legs() if not leg.has_ended]) == 1


def is_together(case: Case) -> bool:
    try:
        known = case_in(case.town.house, case.id)
    except OSError:
        return False
    return known is not None and known.state is State.ACCOMPANIED and len(known.people) == 2


def test_a_dead_asterisk_starts_again_and_the_elder_is_called(case: Case) -> None:
    """Nothing but its death ends the elder's line; then the elder is called at once. This test
    stands last: nobody watches the new one."""
    phone = case.town.carrier.number(NUMBER).answers(0.3, ELDER)
    started = case.town.house.home.asterisk / "run" / "started.pid"
    os.kill(int(started.read_text("ascii")), signal.SIGKILL)
    case.town.carrier.hang_up_all()
    back = phone.wait_ringing(30).wait_talking(30)
    wait_until(lambda: both_seated(case.town, case.id), 30, "both seats with the elder")
    for tone in TONES.values():
        listen(back, 1, tone)
    assert extension(case.a) in TONES
    hears_no_more(back, 5000)
