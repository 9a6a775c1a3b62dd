"""Wishes: what a person asks for, imperative. A wish can be refused (NotAllowed)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from workflows.events import CallClass, Event, KnownElder


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Event):
    """A wish by a named person: `by` is the user's name.

    `address` is where it came from and `permission` the right that it needed, for the record.
    """

    by: str
    address: str = ""
    permission: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder(Command):
    """Make a new work order out of this call.

    `elder_id` says whose it is; a call whose number belongs to one elder knows that by itself.
    """

    content: str
    requirement: str
    order_id: str
    elder_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseOrder(Command):
    """Tie an order that is open already to this call. The store completes `order_no`."""

    order_id: str
    order_no: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameCaller(Command):
    """Say which elder it is who calls (ACD-16), whoever was named before. The store completes
    `elder`.
    """

    elder_id: int
    elder: KnownElder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBackCaller(Command):
    """Take back who was said to call: again it is whoever the number belongs to. The store
    completes `elders` with these.
    """

    elders: tuple[KnownElder, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapUpCall(Command):
    """Say what the call was about, and what there is to know of it (ACD-19).

    `wrap_up_id` is made with the form, so that sending it twice says it once. `replaces` is when
    the wrap-up was said that the writer saw (aware UTC), None for none.
    """

    wrap_up_id: str
    call_class: CallClass
    note: str = ""
    replaces: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRequest(Command):
    """First judgement (初步判断, WO-02): content and requirement are known (T3).

    `elder_id` says whose it is when that was not known before.
    """

    content: str
    requirement: str
    elder_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAnswered(Command):
    """The need was a question and has been answered (咨询直接答复, T2)."""

    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder(Command):
    """The elder or a seat withdraws the need (撤单, X1)."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclareEmergency(Command):
    """This call is an emergency (EMG-01): the elder goes into a room, and with them who talks
    with them. The case is the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAgain(Command):
    """Ring for the elder again, although the seat was perhaps called already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMessageAgain(Command):
    """Send the message once more, although it was perhaps sent, or has failed."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveMessage(Command):
    """Leave it: whom the message was for knows by other means, or need not."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSeat(Command):
    """No queue rings this seat until it is resumed; `reason` says why. The case is the seat."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeSeat(Command):
    """The seat takes calls again: its pause is over, and what it left ringing is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewContacts(Command):
    """An elder's contacts or numbers have changed, and the telephone system has to know (PER-19).

    The case is the elder's unique code; `numbers` are those before and after the change, in E.164.
    """

    numbers: tuple[str, ...]
