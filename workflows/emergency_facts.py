"""What is known of an emergency, and how each fact is noted in it; nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final

from workflows.card import Card
from workflows.closing import NOT_BEGUN, Closing
from workflows.events import (
    CaseFound,
    ElderCalledAgain,
    ElderGone,
    ElderHeard,
    ElderLeft,
    ElderSilent,
    ElderSpoke,
    EmergencyTimerFired,
    Event,
    HandedBack,
    Owner,
    Person,
    PersonJoined,
    PersonLeft,
    RoomOpened,
    TookOver,
)
from workflows.leg import ELDERS, Leg
from workflows.message import Message
from workflows.role import Role

HAND_BACK_DUE: Final = "hand-back due"
NO_RESPONSE: Final = "no_response"
"""The kind of emergency that is followed when the elder says nothing (`workflows.plan.Kind`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who was in one of the rooms, on the channel `leg`. Times are aware UTC."""

    party: str
    who: str
    leg: str
    began_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a seat has written of the elder's condition."""

    id: str
    at: datetime
    by: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A step of the plan that `by` has done."""

    step: str
    at: datetime
    by: str


class State(Enum):
    ALONE = "alone"
    ACCOMPANIED = "accompanied"
    AWAY = "away"
    CLOSED = "closed"


class CallBackState(Enum):
    NONE = "none"
    DUE = "due"
    CALLING = "calling"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBack:
    """The calling back of an elder whose line is gone (`workflows/call_back.py`).

    `since`: when it was lost, while it is; `calls`: how often the elder was called in this case.
    `safe_at` and `safe_by`: the elder has said to a seat that no help is needed. `stopped_at`,
    `stopped_by`, `reason`: somebody answers for ending the calling. `other`: the emergency in which
    the elder is, who has called again. Times are aware UTC.
    """

    state: CallBackState = CallBackState.NONE
    since: datetime | None = None
    calls: int = 0
    safe_at: datetime | None = None
    safe_by: str = ""
    stopped_at: datetime | None = None
    stopped_by: str = ""
    reason: str = ""
    other: str = ""


NOT_BEGUN_TO_CALL: Final = CallBack()


@dataclass(frozen=True, slots=True, kw_only=True)
class Emergency:
    """One case. `is_left`: no seat came for us, so the dialplan is let act alone beside us.

    `alone_since`: since when no seat has been with the elder; None while one is.
    `elder_is_in`: the elder is in the room itself, and not on the way back into it.
    `silent_since`: since when nothing has come in on the elder's line; None while something does.
    `spoke_at`: when the elder first spoke on the line that there is; `is_speechless`: a seat has
    been with the elder for a while and has heard nothing said (NRS-01).
    `roles`: in the order in which seats get them; the first to come is the first of them (K28).
    `was_reached`: a seat has been with the elder.
    `is_unreached`: it is closed, nobody is known to have helped, and only this case says so yet.
    `caller`: the number that called, as delivered. `cards`: who it may be; `chosen` is the code of
    the one of them that a seat has named. `private_since`: since when A and B speak unheard by the
    elder. `kind` and `plan` say which plan is followed, and in which version. `news_at`: when a
    person has last done something; `reminded`: of what somebody was reminded since.
    """

    id: str
    opened_at: datetime
    roles: tuple[Role, ...] = ()
    state: State = State.ALONE
    owner: Owner = Owner.CONTROLLER
    is_left: bool = False
    alone_since: datetime | None = None
    elder_is_in: bool = True
    silent_since: datetime | None = None
    spoke_at: datetime | None = None
    is_speechless: bool = False
    people: tuple[Person, ...] = ()
    closed_at: datetime | None = None
    was_reached: bool = False
    is_unreached: bool = False
    caller: str = ""
    cards: tuple[Card, ...] = ()
    chosen: str = ""
    legs: tuple[Leg, ...] = ()
    messages: tuple[Message, ...] = ()
    private_since: datetime | None = None
    visits: tuple[Visit, ...] = ()
    notes: tuple[Note, ...] = ()
    kind: str = ""
    plan: int = 0
    ticks: tuple[Tick, ...] = ()
    closing: Closing = NOT_BEGUN
    news_at: datetime | None = None
    reminded: tuple[str, ...] = ()
    call_back: CallBack = NOT_BEGUN_TO_CALL


# ── noting facts ──────────────────────────────────────────────────────────────────────────────


def record(case: Emergency, event: Event) -> Emergency:
    """Note the fact; decide nothing."""
    match event:
        case CaseFound():
            caller = case.caller or event.caller
            case = replace(case, owner=event.owner, elder_is_in=True, caller=caller)
            return with_people(case, event.people, event.at)
        case RoomOpened():
            return replace(case, elder_is_in=True, caller=case.caller or event.caller)
        case ElderLeft():
            return replace(case, elder_is_in=False)
        case ElderCalledAgain(other=other):
            return replace(case, call_back=replace(case.call_back, other=other))
        case ElderSilent(since=since):
            return replace(case, silent_since=since)
        case ElderHeard():
            return replace(case, silent_since=None)
        case ElderSpoke():
            case = replace(case, spoke_at=case.spoke_at or event.at)
            if not case.is_speechless:
                return case
            # What silence alone has chosen, and nobody has worked by, is chosen no more.
            is_ours = case.kind == NO_RESPONSE and not case.plan and not case.ticks
            return replace(case, is_speechless=False, kind="" if is_ours else case.kind)
        case PersonJoined(person=person):
            others = tuple(one for one in case.people if one.leg != person.leg)
            return with_people(case, (*others, on_the_way(case, person)), event.at)
        case PersonLeft():
            return without(case, event)
        case TookOver():
            return replace(case, owner=Owner.DIALPLAN)
        case HandedBack():
            return replace(case, owner=Owner.CONTROLLER)
        case EmergencyTimerFired(name=name) if name == HAND_BACK_DUE and not case.is_left:
            # Whatever keeps the dialplan from handing back, the elder does not wait for it.
            return replace(case, owner=Owner.CONTROLLER)
        case ElderGone():
            # Who answers when called back and says nothing is no better known than before.
            return replace(case, elder_is_in=False, spoke_at=None, is_speechless=False)
        case _:
            return case


def with_people(case: Emergency, people: tuple[Person, ...], at: datetime) -> Emergency:
    """These are there now, and no others. Who is muted stays so from room to room."""
    if people == case.people:
        return case
    muted = {one.leg for one in case.people if one.is_muted}
    there = {one.leg for one in people}
    visits = [
        visit if visit.ended_at or visit.leg in there else replace(visit, ended_at=at)
        for visit in case.visits
    ]
    known = {visit.leg for visit in visits if visit.ended_at is None}
    visits += [
        Visit(party=one.party, who=one.who, leg=one.leg, began_at=at)
        for one in people
        if one.leg not in known
    ]
    kept = tuple(replace(one, is_muted=one.leg in muted) for one in people)
    return replace(case, people=kept, visits=tuple(visits))


def on_the_way(case: Emergency, person: Person) -> Person:
    """Whoever came into a room and was meanwhile asked for in the other one is on the way there."""
    before = next((one for one in case.people if one.leg == person.leg), person)
    is_there = before.moves_to in ("", person.room)
    return person if is_there else replace(person, moves_to=before.moves_to)


def without(case: Emergency, event: PersonLeft) -> Emergency:
    """Whom we take from one room into the other is not gone on the way there."""
    rest = tuple(
        one for one in case.people if one.leg != event.leg or (one.moves_to and not event.is_gone)
    )
    return with_people(case, rest, event.at)


def with_elder(case: Emergency) -> tuple[Person, ...]:
    """The seats in the elder's own room, or on the way into it."""
    return tuple(one for one in seats(case) if (one.moves_to or one.room) == ELDERS)


def seats(case: Emergency) -> tuple[Person, ...]:
    return tuple(person for person in case.people if person.party == "seat")


def seated(case: Emergency) -> dict[str, str]:
    """Which seat's leg has which role: it keeps the one that it has. The first to come has the
    first role (K28), whomever it was asked for; a second one that for which it was asked, or else
    the first that nobody has."""
    legs = {person.leg: person for person in seats(case)}
    has = {role.name: role.leg for role in case.roles if role.leg in legs}
    for leg, person in legs.items():
        vacant = [role for role in case.roles if role.name not in has]
        if leg in has.values() or not vacant:
            continue
        asked = [role for role in vacant if person.effect and role.dial == person.effect]
        has[(asked if has and asked else vacant)[0].name] = leg
    return has


def card_of(case: Emergency) -> Card | None:
    """The elder's card: the one that a seat has chosen, or the first."""
    chosen = (card for card in case.cards if card.uid == case.chosen)
    return next(chosen, case.cards[0] if case.cards else None)


def with_leg(case: Emergency, leg: Leg) -> Emergency:
    return replace(case, legs=tuple(leg if one.id == leg.id else one for one in case.legs))
