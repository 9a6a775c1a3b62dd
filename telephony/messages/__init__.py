"""Messages to people outside: what a channel is, and how it says that it did not take one.

`twilio.py` and `gateway.py` are channels to providers, `town.py` the practice town's own;
`sender.py` performs what the cases ask for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

MAX_REASON: Final = 200
MAX_ID: Final = 64
NUMBERS: Final = re.compile(r"\+?\d{5,}")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has taken it. `provider_id` is its own id for it, empty when it has none;
    `is_delivered`: it has arrived already, and no report follows."""

    provider_id: str = ""
    is_delivered: bool = False


class NotTaken(Exception):
    """It is certain that the provider has not taken it. `code` is the provider's own."""

    is_temporary: bool

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code: Final = said(code, MAX_ID)
        self.reason: Final = NUMBERS.sub("…", said(reason, MAX_REASON))


class NotTakenNow(NotTaken):
    """Another try may go better: it is busy, or could not be reached."""

    is_temporary = True


class Refused(NotTaken):
    """It will not take this message, however often it is asked."""

    is_temporary = False


class PerhapsTaken(Exception):
    """The provider was asked, and did not answer in a way that says whether it took it."""


class Channel(Protocol):
    """A way to people outside."""

    async def send(self, message: str, to: str, text: str) -> Accepted:
        """Have the text sent to a number in E.164. `message` is the id under which its delivery is
        reported.

        Raises NotTakenNow, Refused or PerhapsTaken; what else is raised means PerhapsTaken too.
        """
        ...


def said(text: object, longest: int) -> str:
    """What a provider says, as it may be kept and shown: printable, on one line, not too long."""
    given = str(text)[: 4 * longest]
    return "".join(c if c.isprintable() else " " for c in given).strip()[:longest]
