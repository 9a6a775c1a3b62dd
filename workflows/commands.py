"""Wishes: what a person asks for, imperative. A wish can be refused (NotAllowed)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from workflows.events import CallClass, CaseOutcome, Event, KnownElder


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


# ── in an emergency ───────────────────────────────────────────────────────────────────────────


class Mark(Enum):
    """What a seat ticks on a leg: they know where to go, they are on the way, they are there, and
    the elder was told of it (EMG-06, EMG-10); or they know that no help is needed (NRS-07)."""

    TOLD = "told"
    ON_THE_WAY = "on the way"
    ARRIVED = "arrived"
    ELDER_TOLD = "elder told"
    CALLED_OFF = "called off"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallParties(Command):
    """Call these out of the card, all at the same time (EMG-03 to 07, EMG-13): keys of parties.

    One who is being called, or is there, is not called a second time.
    """

    parties: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SendCard(Command):
    """Send the card to these parties as a text message. The controller completes `channels`: those
    that are set up, in their order."""

    parties: tuple[str, ...]
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DropLeg(Command):
    """End this leg, whether it rings or talks."""

    leg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePerson(Command):
    """Bring whoever is on this channel into the other room (EMG-16): the elder's or A's own."""

    channel: str
    room: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute(Command):
    """Nobody hears whoever is on this channel, or everybody does again."""

    channel: str
    is_muted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkPrivately(Command):
    """A and B speak to each other without the elder hearing (EMG-09), or no more so."""

    is_so: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkLeg(Command):
    """Tick something on a leg, or take the tick back."""

    leg: str
    mark: Mark
    is_so: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmSafe(Command):
    """The elder has said to a seat that no help is needed (NRS-07): nobody calls back any more. Not
    `is_so` takes it back, for as long as the elder is on the line."""

    is_so: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCallingBack(Command):
    """The elder is not called any more, for this reason (NRS-06)."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteNote(Command):
    """What there is to know of the elder's condition (EMG-08). `note_id` is made with the form, so
    that sending it twice says it once."""

    note_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoosePlan(Command):
    """Which kind of emergency it is, and which version of its plan is followed (EMG-18)."""

    kind: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TickStep(Command):
    """A step of the plan is done, or is not after all; also that guidance was given (EMG-23)."""

    step: str
    is_done: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseCard(Command):
    """Which of the elders who have this number it is."""

    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRecord(Command):
    """How the rescue went, for the record (EMG-11, NRS-08), and into whose care the elder was
    given (EMG-24); empty when into nobody's."""

    text: str
    handed_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseCase(Command):
    """The case is closed with this outcome; `changes` says what was changed in the elder's file
    (EMG-12, NRS-09)."""

    outcome: CaseOutcome
    changes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp(Command):
    """How the elder is, asked within two days (FUP-01, FUP-03)."""

    text: str
