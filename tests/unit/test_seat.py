"""The seat: every order of facts, and what a person at the desk and a caller would notice."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from workflows import seat
from workflows.commands import PauseSeat, ResumeSeat
from workflows.errors import NotAllowed
from workflows.events import Event
from workflows.seat import (
    AskPhone,
    CallFinished,
    ForgetMiss,
    MissChanged,
    NoteMiss,
    Pause,
    PauseChanged,
    Phone,
    PhoneChanged,
    PhoneVanished,
    Resume,
    RingMissed,
    Seat,
    SeatEffect,
    State,
    TimePassed,
    Trigger,
)

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def phone(is_now: Phone) -> Event:
    return PhoneChanged(case_id="1001", at=NOON, phone=is_now)


GONE, FREE = phone(Phone.GONE), phone(Phone.FREE)
RINGS, TALKS = phone(Phone.RINGING), phone(Phone.BUSY)
PAUSED = PauseChanged(case_id="1001", at=NOON, reason="meal")
RESUMED = PauseChanged(case_id="1001", at=NOON, reason=None)
NOTED = MissChanged(case_id="1001", at=NOON, is_noted=True)
FORGOTTEN = MissChanged(case_id="1001", at=NOON, is_noted=False)
FINISHED = CallFinished(case_id="1001", at=NOON, wrap_up_until=at(30))
MISSED = RingMissed(case_id="1001", at=NOON)
VANISHED = PhoneVanished(case_id="1001", at=NOON)
LATER = TimePassed(case_id="1001", at=at(60))
PLEASE_PAUSE = PauseSeat(case_id="1001", at=NOON, by="李敏", reason="meal")
PLEASE_RESUME = ResumeSeat(case_id="1001", at=NOON, by="李敏")

FACTS: Final = (
    GONE, FREE, RINGS, TALKS, PAUSED, RESUMED, NOTED, FORGOTTEN, FINISHED, MISSED, VANISHED, LATER,
)  # fmt: skip


def walk(*events: Event, begin: Seat | None = None) -> tuple[Seat, list[SeatEffect]]:
    """The seat after these events, and what it asked for at the last one."""
    now, asked = begin or Seat(id="1001"), []
    for event in events:
        now, effects = seat.step(now, event)
        asked = [effect for effect in effects if isinstance(effect, SeatEffect)]
    return now, asked


def test_every_fact_has_a_row_in_every_state() -> None:
    wishes = {Trigger.PAUSE, Trigger.PAUSE_UNNAMED, Trigger.RESUME}
    for state in State:
        assert set(seat.TABLE[state]) >= set(Trigger) - wishes, state


def test_every_order_of_facts() -> None:
    """All states that five facts in any order lead to, each walked once."""
    reached = {Seat(id="1001")}
    for _ in range(5):
        for known, fact in itertools.product(tuple(reached), FACTS):
            after, effects = seat.step(known, fact)
            assert_sound(after)
            kinds = {type(effect) for effect in effects}
            assert not {NoteMiss, ForgetMiss} <= kinds
            # Nobody is taken out of the queues for a call that was not answered.
            assert Pause not in kinds
            reached.add(after)
    assert {one.state for one in reached} == set(State)


def assert_sound(now: Seat) -> None:
    is_there = now.phone is not Phone.GONE and not now.silent_until
    assert (now.state is State.OFFLINE) == (not is_there), now
    if now.state is State.AVAILABLE:
        assert now.phone is Phone.FREE
        assert (now.pause, now.missed, now.wrap_up_until) == (None, False, None)
    if now.state is State.TALKING:
        assert now.phone is Phone.BUSY
    if now.state is State.PAUSED:
        assert now.pause is not None
    # A controller that was killed here and reads Asterisk again shows the same.
    assert seat.found(now, NOON).state is now.state, now


def test_an_unregistered_phone_is_never_available() -> None:
    for fact in (RESUMED, FORGOTTEN, LATER, FINISHED):
        assert walk(FREE, GONE, fact)[0].state is State.OFFLINE


def test_a_call_from_ring_to_wrap_up() -> None:
    facts = (FREE, RINGS, TALKS, FREE, FINISHED, LATER)
    states = [walk(*facts[: n + 1])[0].state for n in range(len(facts))]
    assert states == [
        State.AVAILABLE, State.RINGING, State.TALKING, State.AVAILABLE, State.WRAPPING_UP,
        State.AVAILABLE,
    ]  # fmt: skip


def test_who_does_not_answer_is_rung_after_the_others_and_shown() -> None:
    now, asked = walk(FREE, RINGS, MISSED)
    assert (now.state, asked) == (State.RINGING, [NoteMiss(seat="1001")])
    assert walk(FREE, RINGS, MISSED, FREE)[0].state is State.NOT_ANSWERING
    # The phone may have stopped before the queue says why.
    assert walk(FREE, RINGS, FREE, MISSED)[0].state is State.NOT_ANSWERING


def test_a_caller_who_leaves_is_no_miss() -> None:
    assert walk(FREE, RINGS, FREE) == (walk(FREE)[0], [])


@pytest.mark.parametrize("sign", [(RINGS, TALKS), (TALKS,), (GONE, FREE), (PLEASE_RESUME,)])
def test_a_sign_of_life_puts_the_seat_back_in_its_turn(sign: tuple[Event, ...]) -> None:
    """It answers, places a call, signs in anew, or a person says so."""
    now, asked = walk(FREE, RINGS, MISSED, FREE, *sign)
    assert asked == [ForgetMiss(seat="1001")]
    assert not now.missed
    assert walk(FREE, begin=now)[0].state is State.AVAILABLE


def test_ringing_alone_is_no_sign_of_life() -> None:
    now, asked = walk(FREE, RINGS, MISSED, FREE, RINGS, FREE)
    assert (now.state, asked) == (State.NOT_ANSWERING, [])


def test_a_vanished_phone_is_gone_until_it_is_heard() -> None:
    now, asked = walk(FREE, TALKS, VANISHED)
    assert now.state is State.OFFLINE
    assert asked == [AskPhone(seat="1001"), NoteMiss(seat="1001")]
    # Asterisk calls the device free at once: nobody has asked it yet.
    now, _ = walk(FREE, begin=now)
    assert now.state is State.OFFLINE
    assert walk(TimePassed(case_id="1001", at=at(1)), begin=now)[0].state is State.OFFLINE
    back, asked = walk(TimePassed(case_id="1001", at=at(5)), begin=now)
    assert (back.state, asked) == (State.AVAILABLE, [ForgetMiss(seat="1001")])
    silent, _ = walk(GONE, TimePassed(case_id="1001", at=at(5)), begin=now)
    assert silent.state is State.OFFLINE


def test_a_phone_that_vanished_is_no_hour_away_when_the_clock_is_set_back() -> None:
    now, _ = walk(FREE, TALKS, VANISHED, FREE)
    back, _ = walk(TimePassed(case_id="1001", at=at(-3600)), begin=now)
    assert back.state is State.AVAILABLE


def test_a_pause_is_there_when_asterisk_says_so() -> None:
    now, asked = walk(FREE, PLEASE_PAUSE)
    assert (now.state, asked) == (State.AVAILABLE, [Pause(seat="1001", reason="meal")])
    now, _ = walk(PAUSED, begin=now)
    assert (now.state, now.pause) == (State.PAUSED, "meal")
    now, asked = walk(PLEASE_RESUME, begin=now)
    assert (now.state, asked) == (State.PAUSED, [Resume(seat="1001")])
    assert walk(RESUMED, begin=now)[0].state is State.AVAILABLE


def test_a_pause_in_a_talk_begins_after_it() -> None:
    now, _ = walk(FREE, TALKS, PAUSED)
    assert now.state is State.TALKING
    assert walk(FREE, begin=now)[0].state is State.PAUSED


def test_a_pause_needs_its_reason_and_a_phone() -> None:
    unnamed = PauseSeat(case_id="1001", at=NOON, by="李敏", reason=" ")
    with pytest.raises(NotAllowed, match="reason"):
        walk(FREE, unnamed)
    with pytest.raises(NotAllowed, match="offline"):
        walk(PLEASE_PAUSE)
