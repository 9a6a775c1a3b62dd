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
    WRAP_UP_CALLS = "wrap up calls"
    RESCUE = "start a rescue"
    STOP_CALLING = "stop calling an elder back"
    READ_CASES = "read emergencies"
    WRITE_CASES = "write emergencies"
    EXPORT_NUMBERS = "export whole numbers"
    READ_ELDERS = "read elders"
    EDIT_ELDERS = "edit elders"
    CHANGE_MENUS = "change menus"
    READ_PLANS = "read plans"
    CHANGE_PLANS = "change plans"
    USE_PHONE = "use a seat's telephone"
    READ_SEATS = "read seats"
    READ_RECORD = "read the record"
    READ_SETTINGS = "read settings"
    MANAGE_USERS = "manage users"
    PRACTISE = "have the practice town call"


EVERY: Final = frozenset(Right)
SEAT: Final = frozenset(
    {
        Right.ANYONE, Right.SIGNED_IN, Right.WATCH_BOARD, Right.READ_CALLS, Right.READ_ORDERS,
        Right.WRITE_ORDERS, Right.READ_ELDERS,
        # A change of number or contact is told on the telephone and has to be in force at once.
        Right.EDIT_ELDERS, Right.USE_PHONE, Right.WRAP_UP_CALLS, Right.RESCUE, Right.READ_PLANS,
        # Who led the rescue writes its record; who is on duty two days later asks after the elder.
        Right.READ_CASES, Right.WRITE_CASES,
        # Whoever learns at a seat has an elder call when ready for it.
        Right.PRACTISE,
    }
)  # fmt: skip
SUPERVISOR: Final = SEAT | {
    Right.HEAR_RECORDINGS, Right.READ_SEATS, Right.CHANGE_MENUS, Right.CHANGE_PLANS,
    Right.EXPORT_NUMBERS, Right.STOP_CALLING,
}  # fmt: skip
# A role that is not named here has no right at all, so that a misspelt one opens nothing.
ROLES: Final[Mapping[str, frozenset[Right]]] = {
    "admin": EVERY,
    "supervisor": SUPERVISOR,
    "seat": SEAT,
}


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
