"""The recording of one call: written by Asterisk, owed by the worker, then kept, or missed."""

from __future__ import annotations

from enum import Enum
from typing import Final

from workflows.machine import Rule, Table


class State(Enum):
    WRITING = "writing"
    OWED = "owed"
    KEPT = "kept"
    MISSING = "missing"


class Trigger(Enum):
    CALL_OVER = "call over"
    FILE_MADE = "file made"
    FILE_FAILED = "file failed"


# The table has no actions: what to ask for is decided by the call, which owns the recording.
# fmt: off
TABLE: Final[Table[State, Trigger, None]] = {
    State.WRITING: {
        Trigger.CALL_OVER:   Rule(State.OWED),
        # The worker finished before the call's end was seen here (a fast worker, a late event).
        Trigger.FILE_MADE:   Rule(State.KEPT),
        Trigger.FILE_FAILED: Rule(State.MISSING),
    },
    State.OWED: {
        Trigger.CALL_OVER:   Rule(State.OWED),
        Trigger.FILE_MADE:   Rule(State.KEPT),
        Trigger.FILE_FAILED: Rule(State.MISSING),
    },
    State.KEPT: dict.fromkeys(Trigger, Rule(State.KEPT)),
    State.MISSING: {
        Trigger.CALL_OVER:   Rule(State.MISSING),
        # A repaired or repeated conversion may succeed after all.
        Trigger.FILE_MADE:   Rule(State.KEPT),
        Trigger.FILE_FAILED: Rule(State.MISSING),
    },
}
# fmt: on
