"""Who may do what: every route names one right, and every role has a set of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Right(Enum):
    """What a route asks for. ANYONE needs no sign-in, SIGNED_IN needs nothing more than that."""

    ANYONE = "anyone"
    SIGNED_IN = "signed in"
    WATCH_BOARD = "watch the board"
    READ_CALLS = "read calls"
    HEAR_RECORDINGS = "hear recordings"
    READ_ORDERS = "read orders"
    WRITE_ORDERS = "write orders"
    READ_ELDERS = "read elders"
    ENTER_ELDERS = "enter elders"
    CHANGE_MENUS = "change menus"
    USE_PHONE = "use a seat's telephone"


EVERY: Final = frozenset(Right)
# All roles are alike until the roles have their rules. A role that is not named here has no right
# at all, so that a misspelt one opens nothing.
ROLES: Final[Mapping[str, frozenset[Right]]] = {"admin": EVERY, "supervisor": EVERY, "seat": EVERY}


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person who is signed in. `token` names the sign-in, `csrf` proves that a form is ours.

    `seat` is the extension of the seat that this sign-in has taken, empty for none.
    """

    user_id: int
    name: str
    role: str
    token: str
    csrf: str
    seat: str = ""


def may(visitor: Visitor | None, right: Right) -> bool:
    """The one permission check that every page and API passes."""
    if right is Right.ANYONE:
        return True
    if visitor is None:
        return False
    return right in ROLES.get(visitor.role, frozenset())
