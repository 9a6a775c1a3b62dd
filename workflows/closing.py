"""The end of an emergency on paper: what was done is recorded, a named person closes it, and the
elder is asked after within two days (EMG-11, EMG-12, EMG-24, FUP-01, NRS-08, NRS-09, FUP-03).

A small table that the case composes. The elder's hanging up ends no case: only this does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, TypeAlias

from workflows.commands import CloseCase, Command, FollowUp, WriteRecord
from workflows.errors import NotAllowed
from workflows.events import CaseOutcome as Kind
from workflows.events import Event
from workflows.machine import Outcome, Rule, Table, rule_for

FOLLOW_UP_WITHIN: Final = timedelta(hours=48)
"""From the opening of the case (K4)."""
MAX_TEXT: Final = 4000
"""Characters of a record."""
MAX_NAME: Final = 200
"""Characters of whom the elder was given to."""


class State(Enum):
    OPEN = "open"
    RECORDED = "recorded"
    CLOSED = "closed"
    FOLLOWED_UP = "followed up"


class Trigger(Enum):
    RECORD = "write the rescue record"
    CLOSE = "close"
    FOLLOW_UP = "follow up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What `by` has written, at `at` (aware UTC)."""

    text: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """`record`: how the rescue went, and `handed_to` into whose care the elder was given.
    `changes`: what was changed in the elder's file, or that nothing was. `asked_after`: how the
    elder is, asked within two days."""

    state: State = State.OPEN
    record: Said | None = None
    handed_to: str = ""
    outcome: Kind | None = None
    changes: Said | None = None
    asked_after: Said | None = None


NOT_BEGUN: Final = Closing()
ClosingOutcome: TypeAlias = Outcome[Closing]
TRIGGERS: Final[dict[type[Event], Trigger]] = {
    WriteRecord: Trigger.RECORD,
    CloseCase: Trigger.CLOSE,
    FollowUp: Trigger.FOLLOW_UP,
}


def said(wish: Command, text: str, what: str) -> Said:
    """The text with its writer. Raises NotAllowed when there is nothing in it, or too much."""
    text = text.strip()
    if not text:
        raise NotAllowed(f"{what} is missing; write it down first")
    if len(text) > MAX_TEXT:
        raise NotAllowed(f"{what} has {len(text)} characters; {MAX_TEXT} is the most")
    return Said(text=text, by=wish.by, at=wish.at)


def write(closing: Closing, event: Event) -> ClosingOutcome:
    assert isinstance(event, WriteRecord)
    handed_to = event.handed_to.strip()
    if len(handed_to) > MAX_NAME:
        raise NotAllowed(f"who takes care now has {len(handed_to)} characters; {MAX_NAME} at most")
    record = said(event, event.text, "the rescue record")
    return replace(closing, record=record, handed_to=handed_to), ()


def close(closing: Closing, event: Event) -> ClosingOutcome:
    assert isinstance(event, CloseCase)
    changes = said(event, event.changes, "what was changed in the elder's file")
    return replace(closing, outcome=event.outcome, changes=changes), ()


def ask_after(closing: Closing, event: Event) -> ClosingOutcome:
    assert isinstance(event, FollowUp)
    return replace(closing, asked_after=said(event, event.text, "how the elder is")), ()


TABLE: Final[Table[State, Trigger, Closing]] = {
    State.OPEN: {
        Trigger.RECORD: Rule(State.RECORDED, write),
    },
    # Written anew it is another record; the one before stays in the journal.
    State.RECORDED: {
        Trigger.RECORD: Rule(State.RECORDED, write),
        Trigger.CLOSE: Rule(State.CLOSED, close),
    },
    State.CLOSED: {
        Trigger.FOLLOW_UP: Rule(State.FOLLOWED_UP, ask_after),
    },
    State.FOLLOWED_UP: {},
}


def step(closing: Closing, wish: WriteRecord | CloseCase | FollowUp) -> Closing:
    """The closing after the wish. Raises NotAllowed, with what would be possible."""
    rule = rule_for(TABLE, closing.state, TRIGGERS[type(wish)], wish)
    after, _ = rule.action(closing, wish)
    return replace(after, state=rule.to)


def is_over(closing: Closing) -> bool:
    return closing.state is State.FOLLOWED_UP


def follow_up_due(opened_at: datetime) -> datetime:
    return opened_at + FOLLOW_UP_WITHIN
