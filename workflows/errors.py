"""The errors that a person can meet.

CarelineError
├── NotAllowed      the process refuses this wish now; says what would be possible   (409)
├── NotFound        there is no such case, order, call or elder                      (404)
├── Outdated        somebody else changed the case first; read it again              (409)
├── StoreDown       the database is away or full; nothing was saved, try again       (503)
│   └── InDoubt     its answer was lost; whether it was saved can be asked
└── TelephonyDown   Asterisk is away; what was asked of it is done when it is back   (503)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable


class CarelineError(Exception):
    """Base of all; the text is a sentence for the person who asked."""


class NotAllowed(CarelineError):
    """The process refuses the wish in its present state."""


class NotFound(CarelineError):
    """What the wish names does not exist."""


class Outdated(CarelineError):
    """The case was changed by another writer since it was read."""


class StoreDown(CarelineError):
    """The database does not answer or has no room; nothing of the event was saved."""


class InDoubt(StoreDown):
    """The database's answer was lost: everything of the event was saved, or nothing.

    `was_kept` asks which of them; it raises StoreDown while nobody can tell.
    """

    def __init__(self, said: str, was_kept: Callable[[], Awaitable[bool]]) -> None:
        super().__init__(said)
        self.was_kept = was_kept


class TelephonyDown(CarelineError):
    """Asterisk does not answer."""
