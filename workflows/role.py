"""One role in an emergency, A or B: nobody has it, a seat is asked, somebody is there.

A small table that the case composes, once for each role. Each asking has an id of its own, made of
the case, the role and a running number; it is the id of the channel in Asterisk as well, so that an
asking that was perhaps sent can be looked for there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final, TypeAlias

from workflows.effects import (
    CallSeat,
    CancelDial,
    Effect,
    EndAlarm,
    RaiseAlarm,
    StartTimer,
    StopTimer,
)
from workflows.events import CaseFound, DialFailed, DialLost, Event, PersonJoined
from workflows.machine import Outcome, Rule, Table, nothing

TRY_AGAIN: Final = "try the role again"
RETRY_S: Final = 1
"""After a dial that failed: at once would keep Asterisk busy with nothing else."""
ARRIVE_S: Final = 5
"""From a seat's answer to its entering the room; measured well below one second."""
DECIDE_S: Final = 5
"""How long the persons who see an uncertain dial may take to decide before we do."""
MISSING: Final = "role missing"
MISSING_S: Final = 15
"""After so long without a seat every screen says which role nobody has (EMG-01)."""


class State(Enum):
    OPEN = "open"
    ASKED = "asked"
    COMING = "coming"
    FILLED = "filled"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    OVER = "over"


class Trigger(Enum):
    NEEDED = "needed"
    SENT = "sent"
    TOO_LATE = "the dialplan was first"
    ANSWERED = "answered"
    FAILED = "failed"
    LOST = "lost, a person decides"
    LOST_UNSEEN = "lost, nobody sees it"
    FOUND = "found in Asterisk"
    TAKEN = "taken"
    VACATED = "vacated"
    AGAIN = "again"
    STILL_MISSING = "nobody has it still"
    PASSED_ON = "who came has another role"
    PASSED_ON_NOT_NOW = "who came has another role, and the dialplan acts"
    NOT_NOW = "the dialplan acts, or the elder is not there"
    ELDER_AWAY = "the elder is away"
    CASE_OVER = "case over"
    NOTHING_NEW = "nothing new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role of the case. `dial` is the newest asking; `sent_at` says that it may have happened.

    `leg` is the channel of the seat who has the role; `vacant_since` says since when nobody has.
    """

    name: str
    case_id: str
    state: State = State.OPEN
    asked: int = 0
    dial: str = ""
    sent_at: datetime | None = None
    leg: str = ""
    vacant_since: datetime | None = None

    @property
    def again(self) -> str:
        """The name of the timer after which a seat is asked again."""
        return f"{TRY_AGAIN}/{self.name}"

    @property
    def missing(self) -> str:
        """The name of the timer after which it is said that nobody has the role."""
        return f"{MISSING}/{self.name}"

    @property
    def uncertain(self) -> str:
        """The key of the alarm about a dial that perhaps happened."""
        return f"perhaps called/{self.case_id}/{self.name}"

    @property
    def trouble(self) -> str:
        """The key of the alarm about a dial that failed."""
        return f"dial failed/{self.case_id}/{self.name}"

    @property
    def vacancy(self) -> str:
        """The key of the alarm that nobody has the role."""
        return f"{MISSING}/{self.case_id}/{self.name}"

    def owns(self, dial: str) -> bool:
        """Whether this is the id of an asking for this role."""
        return number_of(self, dial) > 0


RoleOutcome: TypeAlias = Outcome[Role]


def effect_id(role: Role, number: int) -> str:
    return f"{role.case_id}-{role.name}{number}"


def request(role: Role) -> CallSeat:
    """The newest asking as an effect."""
    return CallSeat(id=role.dial, case_id=role.case_id, role=role.name)


def withdrawal(dial: str) -> CancelDial:
    return CancelDial(id=f"{dial}/cancel", dial=dial)


def is_uncertain(role: Role) -> bool:
    return role.state is State.UNCERTAIN


# ── what to ask for ───────────────────────────────────────────────────────────────────────────


def ask(role: Role, event: Event) -> RoleOutcome:
    """Ask for the next free seat, under a new id."""
    number = role.asked + 1
    asked = replace(role, asked=number, dial=effect_id(role, number), sent_at=None)
    asked, watch = watched(asked, event)
    return asked, (*watch, StopTimer(name=role.again), EndAlarm(key=role.trouble), request(asked))


def watched(role: Role, event: Event) -> RoleOutcome:
    """However often it is asked, the time runs on from when nobody had the role."""
    if role.vacant_since:
        return role, ()
    watch = StartTimer(name=role.missing, after_s=MISSING_S)
    return replace(role, vacant_since=event.at), (watch,)


def ask_anew(role: Role, event: Event) -> RoleOutcome:
    """Ask again; whatever may still wait from the last asking is withdrawn before."""
    asked, effects = ask(role, event)
    return asked, (withdrawal(role.dial), *effects)


def ask_after_doubt(role: Role, event: Event) -> RoleOutcome:
    """Nobody is there to decide: show the doubt and ask again at once."""
    asked, effects = ask_anew(role, event)
    return asked, (doubt(role, event), *effects)


def doubt(role: Role, event: Event) -> RaiseAlarm:
    assert isinstance(event, DialLost)
    when = event.attempted_at.strftime("%H:%M:%S")
    return RaiseAlarm(
        key=role.uncertain, kind="perhaps called", text=f"{role.case_id}: perhaps called at {when}"
    )


def wait_for_decision(role: Role, event: Event) -> RoleOutcome:
    return role, (doubt(role, event), StartTimer(name=role.again, after_s=DECIDE_S))


def sent(role: Role, event: Event) -> RoleOutcome:
    return replace(role, sent_at=role.sent_at or event.at), ()


def give_back(role: Role, event: Event) -> RoleOutcome:
    """It was never sent; the dialplan rings now, and the case asks anew when it has it again."""
    return role, (withdrawal(role.dial),)


def expect(role: Role, event: Event) -> RoleOutcome:
    return role, (StartTimer(name=role.again, after_s=ARRIVE_S),)


def failed(role: Role, event: Event) -> RoleOutcome:
    reason = event.reason if isinstance(event, DialFailed) else ""
    alarm = RaiseAlarm(key=role.trouble, kind="dial failed", text=f"{role.case_id}: {reason}")
    return role, (alarm, StartTimer(name=role.again, after_s=RETRY_S))


def show_missing(role: Role, event: Event) -> RoleOutcome:
    """It is said, and asking goes on."""
    text = f"{role.case_id}: {role.name}"
    return role, (RaiseAlarm(key=role.vacancy, kind=MISSING, text=text),)


def adopt(role: Role, event: Event) -> RoleOutcome:
    """A dial of ours lives in Asterisk that our own books do not have."""
    assert isinstance(event, CaseFound)
    numbers = {dial: number_of(role, dial) for dial in event.dials if role.owns(dial)}
    dial = max(numbers, key=lambda one: numbers[one])
    number = max(role.asked, numbers[dial])
    return watched(replace(role, asked=number, dial=dial, sent_at=event.at), event)


def number_of(role: Role, dial: str) -> int:
    digits = dial.removeprefix(f"{role.case_id}-{role.name}")
    return int(digits) if digits.isdecimal() else 0


def fill(role: Role, event: Event) -> RoleOutcome:
    """Somebody is there; an asking that goes on elsewhere is withdrawn."""
    settled = settle(role)
    role = replace(role, vacant_since=None)
    if role.state not in (State.ASKED, State.UNCERTAIN) or brought(event, role.dial):
        return role, settled
    return role, (*settled, withdrawal(role.dial))


def brought(event: Event, dial: str) -> bool:
    """Whether the one who came is whom this dial called."""
    match event:
        case PersonJoined(person=person):
            return person.effect == dial
        case CaseFound(people=people):
            return any(person.effect == dial for person in people)
        case _:
            return False


def settle(role: Role) -> tuple[Effect, ...]:
    return (
        StopTimer(name=role.again),
        StopTimer(name=role.missing),
        EndAlarm(key=role.trouble),
        EndAlarm(key=role.uncertain),
        EndAlarm(key=role.vacancy),
    )


def close(role: Role, event: Event) -> RoleOutcome:
    open_dial = role.state in (State.ASKED, State.COMING, State.UNCERTAIN)
    return replace(role, leg="", vacant_since=None), (
        *settle(role),
        *((withdrawal(role.dial),) if open_dial else ()),
    )


def rest(role: Role, event: Event) -> RoleOutcome:
    """Nobody is asked to come to an elder who is not there; who was asked is told so."""
    asked = role.state in (State.ASKED, State.COMING, State.UNCERTAIN)
    return replace(role, vacant_since=None), (
        *settle(role),
        *((withdrawal(role.dial),) if asked else ()),
    )


# Every row that is not named leaves the role as it is: late news of an older asking.
def rows(state: State, **named: Rule[State, Role]) -> dict[Trigger, Rule[State, Role]]:
    stays: dict[Trigger, Rule[State, Role]] = dict.fromkeys(Trigger, Rule(state, nothing))
    if state not in (State.FILLED, State.OVER):
        stays[Trigger.STILL_MISSING] = Rule(state, show_missing)
    if state is not State.OVER:
        stays[Trigger.ELDER_AWAY] = Rule(State.OPEN, rest if state is not State.OPEN else nothing)
    return stays | {Trigger[name]: rule for name, rule in named.items()}


GONE: Final = Rule(State.OVER, close)
THERE: Final = Rule(State.FILLED, fill)
PASSED: Final = {
    "PASSED_ON": Rule(State.ASKED, ask),
    "PASSED_ON_NOT_NOW": Rule[State, Role](State.OPEN),
}
"""Whom this asking brought has another role: there is nothing left of it to withdraw."""

# fmt: off
TABLE: Final[Table[State, Trigger, Role]] = {
    State.OPEN: rows(
        State.OPEN,
        NEEDED      = Rule(State.ASKED, ask),
        AGAIN       = Rule(State.ASKED, ask),
        FOUND       = Rule(State.ASKED, adopt),
        TAKEN       = THERE,
        CASE_OVER   = GONE,
    ),
    State.ASKED: rows(
        State.ASKED,
        SENT        = Rule(State.ASKED, sent),
        TOO_LATE    = Rule(State.OPEN, give_back),
        **PASSED,
        ANSWERED    = Rule(State.COMING, expect),
        FAILED      = Rule(State.FAILED, failed),
        LOST        = Rule(State.UNCERTAIN, wait_for_decision),
        LOST_UNSEEN = Rule(State.ASKED, ask_after_doubt),
        TAKEN       = THERE,
        CASE_OVER   = GONE,
    ),
    # The seat has answered; when it does not arrive, another is asked.
    State.COMING: rows(
        State.COMING,
        **PASSED,
        AGAIN       = Rule(State.ASKED, ask_anew),
        NOT_NOW     = Rule(State.OPEN),
        TAKEN       = THERE,
        CASE_OVER   = GONE,
    ),
    State.FILLED: rows(
        State.FILLED,
        VACATED     = Rule(State.ASKED, ask),
        FOUND       = Rule(State.ASKED, adopt),
        NOT_NOW     = Rule(State.OPEN),
        TAKEN       = THERE,
        CASE_OVER   = GONE,
    ),
    State.FAILED: rows(
        State.FAILED,
        **PASSED,
        FOUND       = Rule(State.ASKED, adopt),
        # What was judged to have failed may live all the same.
        NEEDED      = Rule(State.ASKED, ask_anew),
        AGAIN       = Rule(State.ASKED, ask_anew),
        NOT_NOW     = Rule(State.OPEN),
        TAKEN       = THERE,
        CASE_OVER   = GONE,
    ),
    # It ends by a person's word, by somebody's arrival, or by our own clock.
    State.UNCERTAIN: rows(
        State.UNCERTAIN,
        **PASSED,
        FOUND       = Rule(State.ASKED, adopt),
        AGAIN       = Rule(State.ASKED, ask_anew),
        NOT_NOW     = Rule(State.OPEN),
        TAKEN       = THERE,
        CASE_OVER   = GONE,
    ),
    State.OVER: rows(State.OVER),
}
# fmt: on
