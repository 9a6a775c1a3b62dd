"""One leg of an emergency: somebody outside is called, is there, and has left again.

A small table that the case composes, once for each call. Its id is the id of the channel in
Asterisk that calls, so that a call that was perhaps made can be looked for there. A rescue service
joins when it answers; a contact has to press a key first, which no mailbox does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final, TypeAlias

from workflows.card import Party, PartyKind
from workflows.commands import DropLeg
from workflows.effects import (
    CallParty,
    CancelDial,
    Effect,
    EndAlarm,
    HangUpPerson,
    MakeRecording,
    RaiseAlarm,
)
from workflows.events import (
    DialAttempted,
    DialFailed,
    DialLost,
    ElderGone,
    Event,
    LegAnswered,
    LegOver,
    LegRang,
    LegRecorded,
    LegResult,
    PersonJoined,
    RoomOpened,
)
from workflows.machine import Outcome, Rule, Table, nothing, rule_for

ELDERS: Final = "elder"
SIDE: Final = "side"
ROOMS: Final = (ELDERS, SIDE)
"""The elder's room, and A's own, in which the elder hears nobody."""
SERVICES: Final = (PartyKind.AMBULANCE, PartyKind.FIRE, PartyKind.POLICE)


class State(Enum):
    ASKED = "asked"
    RINGING = "ringing"
    ANSWERED = "answered"
    THERE = "there"
    UNCERTAIN = "uncertain"
    OVER = "over"


class Trigger(Enum):
    SENT = "sent"
    RANG = "rang"
    ANSWERED = "answered"
    JOINED = "joined"
    DROPPED = "dropped"
    WITHDRAWN = "dropped before anybody was called, or when nobody knows whether"
    LOST = "lost"
    ENDED = "ended"
    RECORDED = "recorded"
    NOTHING_NEW = "nothing new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One call. `party` is its key on the card; `channel` the called telephone's own, once known.

    Asked, ringing, answered, told and arrived are times, aware UTC: `told_at` when they knew where
    to go and why, `on_the_way_at` and `arrived_at` as they said, `elder_told_at` when B had told
    the elder of the last of these, `called_off_at` when they knew that no help is needed after
    all. `is_dropped`: a seat wants it to end.
    """

    id: str
    party: str
    kind: PartyKind
    name: str
    relation: str = ""
    number: str = ""
    asked_by: str
    asked_at: datetime
    state: State = State.ASKED
    sent_at: datetime | None = None
    channel: str = ""
    rang_at: datetime | None = None
    answered_at: datetime | None = None
    joined_at: datetime | None = None
    told_at: datetime | None = None
    on_the_way_at: datetime | None = None
    arrived_at: datetime | None = None
    elder_told_at: datetime | None = None
    called_off_at: datetime | None = None
    ended_at: datetime | None = None
    result: LegResult | None = None
    is_dropped: bool = False
    is_recording_due: bool = False
    file: str = ""
    seconds: float = 0.0


LegOutcome: TypeAlias = Outcome[Leg]


def effect_id(case_id: str, number: int) -> str:
    return f"{case_id}-L{number}"


def number_of(case_id: str, dial: str) -> int:
    """Which leg of the case this dial is for; 0 when it is for none."""
    digits = dial.removeprefix(f"{case_id}-L")
    return int(digits) if digits != dial and digits.isdecimal() else 0


def next_id(case_id: str, legs: Iterable[Leg]) -> str:
    """The id of the next call: no number is given twice, also when old calls are kept no more."""
    return effect_id(case_id, max((number_of(case_id, one.id) for one in legs), default=0) + 1)


def call(case_id: str, site: str, leg: Leg) -> CallParty:
    """The call as an effect."""
    service = leg.kind.value if leg.kind in SERVICES else ""
    number = "" if service else leg.number
    return CallParty(id=leg.id, case_id=case_id, number=number, service=service, site=site)


def begin(leg_id: str, party: Party, number: str, by: str, at: datetime) -> Leg:
    return Leg(
        id=leg_id, party=party.key, kind=party.kind, name=party.name, relation=party.relation,
        number=number, asked_by=by, asked_at=at,
    )  # fmt: skip


# ── what a fact means ─────────────────────────────────────────────────────────────────────────


def classify(leg: Leg, event: Event) -> Trigger:
    """Say what a fact that is about this leg means for it."""
    match event:
        case LegRang():
            return Trigger.RANG
        case LegAnswered():
            return Trigger.ANSWERED
        case PersonJoined() | RoomOpened():
            return Trigger.JOINED
        case DialAttempted():
            return Trigger.SENT
        case DropLeg() if leg.state is State.UNCERTAIN or is_unsent(leg):
            return Trigger.WITHDRAWN
        case DropLeg():
            return Trigger.DROPPED
        case ElderGone() if is_unsent(leg):
            return Trigger.ENDED
        case LegOver():
            return Trigger.ENDED
        case DialFailed() if leg.answered_at is None:
            return Trigger.ENDED
        case DialLost():
            return Trigger.LOST
        case LegRecorded():
            return Trigger.RECORDED
        case _:
            return Trigger.NOTHING_NEW


# ── what to note, and what to ask for ─────────────────────────────────────────────────────────


def sent(leg: Leg, event: Event) -> LegOutcome:
    return replace(leg, sent_at=leg.sent_at or event.at), ()


def ring(leg: Leg, event: Event) -> LegOutcome:
    assert isinstance(event, LegRang)
    return replace(leg, rang_at=leg.rang_at or event.at, channel=event.channel), certain(leg)


def answer(leg: Leg, event: Event) -> LegOutcome:
    """It answered, perhaps in the very moment in which a seat dropped it."""
    assert isinstance(event, LegAnswered)
    ends = certain(leg)
    leg = replace(leg, answered_at=leg.answered_at or event.at, channel=event.channel)
    return leg, (*ends, *(hang_up(leg) if leg.is_dropped else ()))


def join(leg: Leg, event: Event) -> LegOutcome:
    assert isinstance(event, PersonJoined | RoomOpened)
    ends = certain(leg)
    leg = replace(
        leg,
        channel=event.person.leg if isinstance(event, PersonJoined) else event.case_id,
        answered_at=leg.answered_at or event.at,
        joined_at=leg.joined_at or event.at,
    )
    return leg, (*ends, *(hang_up(leg) if leg.is_dropped else ()))


def drop(leg: Leg, event: Event) -> LegOutcome:
    return replace(leg, is_dropped=True), hang_up(leg)


def withdraw(leg: Leg, event: Event) -> LegOutcome:
    ended, effects = end(replace(leg, is_dropped=True), event)
    return ended, (*hang_up(leg), *effects)


def lose(leg: Leg, event: Event) -> LegOutcome:
    """Shown, and never repeated by itself: pressing again calls again."""
    assert isinstance(event, DialLost)
    when = event.attempted_at.strftime("%H:%M:%S")
    text = f"{event.case_id}: {leg.name} {when}"
    return leg, (RaiseAlarm(key=uncertain(leg), kind="perhaps called", text=text),)


def uncertain(leg: Leg) -> str:
    """The key of the alarm that nobody knows whether somebody was called."""
    case_id, _, number = leg.id.rpartition("-")
    return f"perhaps called/{case_id}/{number}"


def certain(leg: Leg) -> tuple[Effect, ...]:
    return (EndAlarm(key=uncertain(leg)),) if leg.state is State.UNCERTAIN else ()


def hang_up(leg: Leg) -> tuple[Effect, ...]:
    """Both the half that calls and the telephone that was called: only one of them may live."""
    effects: tuple[Effect, ...] = (CancelDial(id=f"{leg.id}/cancel", dial=leg.id),)
    if leg.channel:
        effects += (HangUpPerson(id=f"{leg.id}/hang-up", channel=leg.channel),)
    return effects


def end(leg: Leg, event: Event) -> LegOutcome:
    """Over. What was said in a room is recorded, and the recording is made now."""
    at = max(event.at, leg.answered_at or leg.asked_at)
    ended = replace(leg, ended_at=at, result=result_of(leg, event))
    if leg.joined_at is None:
        return ended, certain(leg)
    recording = MakeRecording(serial=leg.id, began_at=leg.joined_at)
    return replace(ended, is_recording_due=True), (*certain(leg), recording)


def result_of(leg: Leg, event: Event) -> LegResult:
    if leg.joined_at is not None:
        return LegResult.SPOKEN
    if leg.is_dropped:
        return LegResult.CANCELLED
    if leg.answered_at is not None:
        return LegResult.NOT_ACCEPTED
    return event.result if isinstance(event, LegOver) else LegResult.FAILED


def correct(leg: Leg, event: Event) -> LegOutcome:
    """That it failed was heard first, and only now how: that it was busy, for example."""
    is_news = leg.result is LegResult.FAILED and isinstance(event, LegOver)
    return (replace(leg, result=result_of(leg, event)) if is_news else leg), ()


def keep(leg: Leg, event: Event) -> LegOutcome:
    assert isinstance(event, LegRecorded)
    return replace(leg, is_recording_due=False, file=event.file, seconds=event.seconds), ()


# Every row that is not named leaves the leg as it is: late news, or news twice.
def rows(state: State, **named: Rule[State, Leg]) -> dict[Trigger, Rule[State, Leg]]:
    stays: dict[Trigger, Rule[State, Leg]] = dict.fromkeys(Trigger, Rule(state, nothing))
    return stays | {Trigger[name]: rule for name, rule in named.items()}


ANSWER: Final = Rule(State.ANSWERED, answer)
JOIN: Final = Rule(State.THERE, join)
END: Final = Rule(State.OVER, end)

# fmt: off
TABLE: Final[Table[State, Trigger, Leg]] = {
    State.ASKED: rows(
        State.ASKED,
        SENT     = Rule(State.ASKED, sent),
        RANG     = Rule(State.RINGING, ring),
        ANSWERED = ANSWER,
        JOINED   = JOIN,
        DROPPED  = Rule(State.ASKED, drop),
        WITHDRAWN = Rule(State.OVER, withdraw),
        LOST     = Rule(State.UNCERTAIN, lose),
        ENDED    = END,
    ),
    State.RINGING: rows(
        State.RINGING,
        ANSWERED = ANSWER,
        JOINED   = JOIN,
        DROPPED  = Rule(State.RINGING, drop),
        LOST     = Rule(State.UNCERTAIN, lose),
        ENDED    = END,
    ),
    State.ANSWERED: rows(
        State.ANSWERED,
        JOINED   = JOIN,
        DROPPED  = Rule(State.ANSWERED, drop),
        LOST     = Rule(State.UNCERTAIN, lose),
        ENDED    = END,
    ),
    State.THERE: rows(
        State.THERE,
        DROPPED  = Rule(State.THERE, drop),
        ENDED    = END,
    ),
    # Perhaps called: shown, never repeated by itself. It may live all the same.
    State.UNCERTAIN: rows(
        State.UNCERTAIN,
        RANG     = Rule(State.RINGING, ring),
        ANSWERED = ANSWER,
        JOINED   = JOIN,
        WITHDRAWN = Rule(State.OVER, withdraw),
        ENDED    = END,
    ),
    State.OVER: rows(
        State.OVER,
        RECORDED = Rule(State.OVER, keep),
        ENDED    = Rule(State.OVER, correct),
    ),
}
# fmt: on


def take(leg: Leg, event: Event) -> LegOutcome:
    """The leg after an event that is about it, and what is asked for."""
    rule = rule_for(TABLE, leg.state, classify(leg, event), event)
    after, effects = rule.action(leg, event)
    return replace(after, state=rule.to), effects


def is_unsent(leg: Leg) -> bool:
    return leg.state is State.ASKED and leg.sent_at is None


def is_under_way(leg: Leg) -> bool:
    """Whether calling the same party now would call them twice, as far as anybody knows."""
    return is_open(leg) and not leg.is_dropped and leg.state is not State.UNCERTAIN


def is_open(leg: Leg) -> bool:
    return leg.state is not State.OVER
