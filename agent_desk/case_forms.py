"""The forms of a case: its rescue record, its closing, the follow-up, and what is typed of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agent_desk.forms import Form, Line, Long, LongNeeded
from workflows.events import CaseOutcome

Whom = Annotated[Line, Field(max_length=200)]


class RescueRecord(Form):
    """How the rescue went, and who takes care of the elder now."""

    record: LongNeeded
    handed_to: Whom = ""


class Closing(Form):
    """How it came out, and what was changed in the elder's file."""

    outcome: CaseOutcome
    changes: LongNeeded


class AskedAfter(Form):
    follow_up: LongNeeded


class Draft(Form):
    """The fields of all three, as far as they are typed."""

    record: Long = ""
    handed_to: Whom = ""
    outcome: Annotated[Line, Field(max_length=16)] = ""
    changes: Long = ""
    follow_up: Long = ""


class Decision(Form):
    """What is done about a message that perhaps reached nobody."""

    message: Annotated[Line, Field(min_length=1, max_length=120)]
    do: Literal["again", "leave"]
