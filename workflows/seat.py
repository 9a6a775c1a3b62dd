"""The seat: one person's place at one telephone, as it follows the real device.

Nothing of it is stored. Every fact is kept where it is true, in Asterisk: a pause and its reason
in the queues, a call that was not answered as the penalty there, the wrap-up in the end of the
last call, presence in the registration. So a controller that was killed reads all of it again
(`found`), and no row of a database can say something else than the telephone does.

A seat that does not answer is not paused: two of them paused would leave nobody to ring. It is
rung after the others, until it answers, places a call, signs in anew, or a person says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, TypeAlias

from workflows.commands import PauseSeat, ResumeSeat
from workflows.effects import Effect
from workflows.events import Event
from workflows.machine import Outcome, Rule, Table, rule_for

HEARD_WITHIN: Final = timedelta(seconds=4)
"""A phone that is asked answers within `qualify_timeout`, or Asterisk says that it does not."""


class State(Enum):
    OFFLINE = "offline"
    AVAILABLE = "available"
    RINGING = "ringing"
    TALKING = "talking"
    WRAPPING_UP = "wrapping up"
    PAUSED = "paused"
    NOT_ANSWERING = "not answering"


class Phone(Enum):
    """The telephone itself: not registered or not reachable, free, ringing, or on a call."""

    GONE = "gone"
    FREE = "free"
    RINGING = "ringing"
    BUSY = "busy"


class Trigger(Enum):
    GONE = "gone"
    RINGS = "rings"
    TALKS = "talks"
    WRAPS_UP = "wraps up"
    RESTS = "is in a pause"
    LEFT_IT_RINGING = "left it ringing before"
    FREE = "free"
    MISSED = "did not answer"
    VANISHED = "vanished"
    PAUSE = "pause"
    PAUSE_UNNAMED = "a pause without its reason"
    RESUME = "resume"


# ── facts ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneChanged(Event):
    phone: Phone


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseChanged(Event):
    """The queues' word about the pause: its reason, or None when there is none."""

    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MissChanged(Event):
    """Whether the queues ring this seat after the others."""

    is_noted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished(Event):
    """A call out of a queue is over; until then (aware UTC) the queues leave the seat alone."""

    wrap_up_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RingMissed(Event):
    """The phone rang its full time, or refused, while the caller went on waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneVanished(Event):
    """A call ended because nothing was heard from the phone any more (Q.850 cause 44)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed(Event):
    """It is `at` now."""


# ── what it asks for ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatEffect(Effect):
    """To be done for this seat in Asterisk; doing it twice does no harm."""

    seat: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteMiss(SeatEffect):
    """Let the queues ring it after the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetMiss(SeatEffect):
    """Let the queues ring it in its turn again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPhone(SeatEffect):
    """Ask the phone at once whether it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(SeatEffect):
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(SeatEffect):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One seat; `id` is its extension. `pause` is the reason, None when there is no pause.

    Until `silent_until` (aware UTC) a phone that vanished counts as gone, whatever its
    registration says; by then its answer, or its silence, is known.
    """

    id: str
    state: State = State.OFFLINE
    phone: Phone = Phone.GONE
    pause: str | None = None
    missed: bool = False
    wrap_up_until: datetime | None = None
    silent_until: datetime | None = None


SeatOutcome: TypeAlias = Outcome[Seat]


def record(seat: Seat, event: Event) -> Seat:
    """Note the fact; decide nothing."""
    match event:
        case PhoneChanged(phone=phone):
            return replace(seat, phone=phone)
        case PauseChanged(reason=reason):
            return replace(seat, pause=reason)
        case MissChanged(is_noted=is_noted):
            return replace(seat, missed=is_noted)
        case CallFinished(wrap_up_until=until):
            return replace(seat, wrap_up_until=until)
        case PhoneVanished():
            return replace(seat, silent_until=event.at + HEARD_WITHIN)
        case TimePassed():
            wrap_up, silent = seat.wrap_up_until, seat.silent_until
            # A silence that would last longer than any is of a clock that was set back.
            goes_on = silent and event.at < silent <= event.at + HEARD_WITHIN
            return replace(
                seat,
                wrap_up_until=wrap_up if wrap_up and wrap_up > event.at else None,
                silent_until=silent if goes_on else None,
            )
        case _:
            return seat


def classify(seat: Seat, event: Event) -> Trigger:
    """Say what the event means for this seat. Every condition lives here and in `presence`."""
    match event:
        case RingMissed():
            return Trigger.MISSED
        case PhoneVanished():
            return Trigger.VANISHED
        case PauseSeat(reason=reason):
            return Trigger.PAUSE if reason.strip() else Trigger.PAUSE_UNNAMED
        case ResumeSeat():
            return Trigger.RESUME
        case _:
            return presence(seat)


def presence(seat: Seat) -> Trigger:
    """What the seat's facts amount to. A phone that is not there outdoes what any queue says."""
    # Only a telephone that was heard can be on a call.
    if seat.phone is Phone.GONE or seat.silent_until:
        return Trigger.GONE
    if seat.phone is Phone.BUSY:
        return Trigger.TALKS
    if seat.phone is Phone.RINGING:
        return Trigger.RINGS
    if seat.pause is not None:
        return Trigger.RESTS
    if seat.wrap_up_until:
        return Trigger.WRAPS_UP
    return Trigger.LEFT_IT_RINGING if seat.missed else Trigger.FREE


# ── what to ask for ───────────────────────────────────────────────────────────────────────────


def note_miss(seat: Seat, event: Event) -> SeatOutcome:
    return replace(seat, missed=True), (NoteMiss(seat=seat.id),)


def forget_miss(seat: Seat, event: Event) -> SeatOutcome:
    """Somebody is there after all."""
    if not seat.missed:
        return seat, ()
    return replace(seat, missed=False), (ForgetMiss(seat=seat.id),)


def ask_phone(seat: Seat, event: Event) -> SeatOutcome:
    """Until its answer is known the others are rung first."""
    return replace(seat, missed=True), (AskPhone(seat=seat.id), NoteMiss(seat=seat.id))


def pause(seat: Seat, event: Event) -> SeatOutcome:
    """Asterisk says when it is so."""
    assert isinstance(event, PauseSeat)
    return seat, (Pause(seat=seat.id, reason=event.reason.strip()),)


def resume(seat: Seat, event: Event) -> SeatOutcome:
    after, effects = forget_miss(seat, event)
    return after, (*effects, *((Resume(seat=seat.id),) if seat.pause is not None else ()))


# fmt: off
PRESENT: Final = {
    Trigger.GONE:            Rule(State.OFFLINE),
    Trigger.RINGS:           Rule(State.RINGING),
    Trigger.TALKS:           Rule(State.TALKING, forget_miss),
    Trigger.RESTS:           Rule(State.PAUSED),
    Trigger.WRAPS_UP:        Rule(State.WRAPPING_UP),
    Trigger.LEFT_IT_RINGING: Rule(State.NOT_ANSWERING),
    Trigger.FREE:            Rule(State.AVAILABLE),
    Trigger.VANISHED:        Rule(State.OFFLINE, ask_phone),
}


def staying(state: State) -> dict[Trigger, Rule[State, Seat]]:
    """What a person may ask for; Asterisk says when it is so."""
    return {Trigger.PAUSE: Rule(state, pause), Trigger.RESUME: Rule(state, resume)}


TABLE: Final[Table[State, Trigger, Seat]] = {
    # Whoever signs in anew is there: nothing that was missed before counts any longer.
    State.OFFLINE: {
        **PRESENT,
        Trigger.RINGS:           Rule(State.RINGING, forget_miss),
        Trigger.RESTS:           Rule(State.PAUSED, forget_miss),
        Trigger.WRAPS_UP:        Rule(State.WRAPPING_UP, forget_miss),
        Trigger.LEFT_IT_RINGING: Rule(State.AVAILABLE, forget_miss),
        # The ringing of a phone that went meanwhile.
        Trigger.MISSED:          Rule(State.OFFLINE),
    },
    State.AVAILABLE:     {**PRESENT, **staying(State.AVAILABLE),
        # The phone had stopped ringing before the queue said why.
        Trigger.MISSED:          Rule(State.NOT_ANSWERING, note_miss)},
    # It rings on until the phone says that it does not.
    State.RINGING:       {**PRESENT, **staying(State.RINGING),
        Trigger.MISSED:          Rule(State.RINGING, note_miss)},
    # A call that the phone refused because it was on another one.
    State.TALKING:       {**PRESENT, **staying(State.TALKING),
        Trigger.MISSED:          Rule(State.TALKING)},
    State.WRAPPING_UP:   {**PRESENT, **staying(State.WRAPPING_UP),
        Trigger.MISSED:          Rule(State.WRAPPING_UP, note_miss)},
    # A pause that began while it rang says already that nobody is there.
    State.PAUSED:        {**PRESENT, **staying(State.PAUSED),
        Trigger.MISSED:          Rule(State.PAUSED)},
    State.NOT_ANSWERING: {**PRESENT, **staying(State.NOT_ANSWERING),
        Trigger.RESUME:          Rule(State.AVAILABLE, resume),
        Trigger.MISSED:          Rule(State.NOT_ANSWERING, note_miss)},
}
# fmt: on


def found(seat: Seat, now: datetime) -> Seat:
    """The seat with the state that its facts amount to: how it is found after a connect."""
    fresh = record(seat, TimePassed(case_id=seat.id, at=now))
    return replace(fresh, state=PRESENT[presence(fresh)].to)


def step(seat: Seat, event: Event) -> SeatOutcome:
    """The seat after the event, and the effects it asks for. Raises NotAllowed for a wish."""
    noted = record(seat, event)
    rule = rule_for(TABLE, noted.state, classify(noted, event), event)
    after, effects = rule.action(noted, event)
    return replace(after, state=rule.to), effects
