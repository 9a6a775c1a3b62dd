"""Facts: what happened, in our words and in the past tense. Asterisk's words stay in telephony.

`case_id` names the case; `at` is when it happened, an aware UTC time (Asterisk's clock for what
Asterisk saw). Phone numbers are E.164 where they could be understood, else as dialled.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from workflows.card import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every fact and every wish has."""

    case_id: str
    at: datetime


class Entry(Enum):
    """Which number of the centre was dialled (number plan)."""

    HOTLINE = "hotline"
    EMERGENCY = "emergency"
    REPORT = "report"
    COMPLAINTS = "complaints"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownElder:
    """An elder whose number it is; `label` is what a list shows."""

    id: int
    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTerminal:
    """A terminal whose number it is, as it stands in the register when the call comes (ACD-20)."""

    serial: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a number belongs to; `terminal` is None when it is no terminal's, or several have it."""

    elders: tuple[KnownElder, ...] = ()
    terminal: KnownTerminal | None = None


# ── a call ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class CallArrived(Event):
    """A call came in at one of our numbers (REC-04). `elders` and `terminal` are found by number
    (ACD-16, ACD-20)."""

    entry: Entry
    caller: str
    callee: str
    caller_raw: str = ""
    caller_name: str = ""
    trunk: str = ""
    node: str = ""
    elders: tuple[KnownElder, ...] = ()
    terminal: KnownTerminal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlaced(Event):
    """A seat dialled out from its phone."""

    seat: str
    callee: str
    callee_raw: str = ""
    node: str = ""
    elders: tuple[KnownElder, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPressed(Event):
    """The caller chose in a menu; no key and no trouble is `choice="person"`."""

    menu: str
    key: str
    choice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BecameEmergency(Event):
    """The caller, who came by another number, is in the room of an emergency from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQueued(Event):
    queue: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatRang(Event):
    """A seat's phone began to ring for this call."""

    seat: str
    leg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatMissed(Event):
    """The seat did not answer; the call goes on waiting."""

    seat: str
    leg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatLost(Event):
    """The seat's phone vanished in the talk; the caller waits again, before all others."""

    seat: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatAnswered(Event):
    seat: str
    leg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyRang(Event):
    """The other side of a placed call was dialled."""

    number: str
    leg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyAnswered(Event):
    """The other side of a placed call answered."""

    number: str
    leg: str


class DialResult(Enum):
    """How a placed call's dial ended."""

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DialEnded(Event):
    result: DialResult


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEnded(Event):
    """A leg hung up. Delay is round trip halved, one way over the network (K19)."""

    leg: str
    party: str
    cause: int
    delay_ms: float | None = None
    jitter_ms: float | None = None
    loss: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Event):
    """The caller's channel is gone. `cause` is a Q.850 cause."""

    cause: int
    cause_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallVanished(Event):
    """After a reconnect Asterisk no longer has the call; when it ended is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallImported(Event):
    """Nobody listened: what follows was read from Asterisk's own record at `at` (BAK-09)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingMade(Event):
    """The worker verified the stereo file and dropped the WAVs (REC-01)."""

    file: str
    sha256: str
    seconds: float
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFailed(Event):
    """The worker could not make the file; `reason` says why, the WAVs are kept."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTimerFired(Event):
    """A timer of the call case is due."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLinked(Event):
    """A work order was tied to this call (ACD-17)."""

    order_id: str
    order_no: str


class CallClass(Enum):
    """What a call was about, as the seat says when it wraps it up (ACD-19)."""

    EMERGENCY = "emergency"
    CONSULTATION = "consultation"
    LIFE_SERVICE = "life_service"
    NO_RESPONSE = "no_response"
    OTHER = "other"


# ── an order ──────────────────────────────────────────────────────────────────────────────────


class Channel(Enum):
    """Through which channel a need came (b.5)."""

    HOTLINE = "hotline"
    CALL_TERMINAL = "call_terminal"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAccepted(Event):
    """A need was accepted (受理, T1). The store completes `order_no` with the next number.

    With `call_back_no` (as the call had it) somebody who reached nobody is to be called back; when
    an order to do so waits already, the store says which one in `joins_id` and `order_no`.
    """

    channel: Channel
    call_id: str
    elder_id: int | None
    content: str
    requirement: str = ""
    accepted_by: str = ""
    order_no: str = ""
    call_back_no: str = ""
    joins_id: str = ""
    is_urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBackUrged(Event):
    """Who is to be called back by this order was not reached in an emergency either."""

    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerNamed(Event):
    """`by` has said who it is that called, or (None) that it is not known after all."""

    call_id: str
    elder: KnownElder | None
    by: str


# ── an emergency ──────────────────────────────────────────────────────────────────────────────


class Owner(Enum):
    """Who brings somebody to the elder: we, or the dialplan that could not wait for us."""

    CONTROLLER = "controller"
    DIALPLAN = "dialplan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody beside the elder: a `seat`, a `contact` or a `service`, on the channel `leg`.

    `effect` is the id of the dial that brought them; empty when the dialplan did. `room` is where
    they are: the elder's or A's own (`workflows.leg.ROOMS`); `moves_to` where we are taking them.
    """

    leg: str
    party: str
    who: str = ""
    effect: str = ""
    room: str = "elder"
    moves_to: str = ""
    is_muted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomOpened(Event):
    """An elder called the emergency number, from this number as delivered, and is in the room."""

    caller: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFound(Event):
    """What Asterisk has of the case, read after we were away (or for the first time).

    `dials` are the ids of our dials that live there still; `caller` the elder's number.
    """

    owner: Owner
    people: tuple[Person, ...]
    dials: tuple[str, ...] = ()
    caller: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonJoined(Event):
    person: Person


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonLeft(Event):
    """Out of a room; with an `effect`, the dial's id, perhaps gone before coming into one.

    `is_gone`: the channel is, too.
    """

    leg: str
    effect: str = ""
    is_gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TookOver(Event):
    """The dialplan saw no sign of life from us and acts alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedBack(Event):
    """The dialplan saw our sign of life again; what it has ringing rings on until a seat comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElderLeft(Event):
    """The elder is out of the room: hung up, or put out by mistake and on the way back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElderGone(Event):
    """The elder's channel is gone. `uncertain`: when it ended was not seen.

    `back_in_s`: after so many seconds the elder is called back, unless somebody knows how they are;
    None when this centre calls nobody back.
    """

    uncertain: bool = False
    back_in_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ElderCalledAgain(Event):
    """The elder whom this case calls back has called by themselves: `other` is that emergency."""

    other: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallKept(Event):
    """The end of the elder's call is in the database, and with it who is to be called back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElderSpoke(Event):
    """Something was said on the elder's line, for the first time since it was taken up: a sound as
    loud as a voice that came and went. Noise that stays is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElderSilent(Event):
    """Nothing has come in on the elder's line since then; in the centre's zone, for it is shown."""

    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ElderHeard(Event):
    """The elder's line that was silent sends again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialAttempted(Event):
    """From now on the dial may have happened; noted before it is sent."""

    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DialAnswered(Event):
    """Somebody answered the dial and is on the way into the room."""

    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DialFailed(Event):
    """The dial brought nobody, or never reached Asterisk."""

    effect: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DialLost(Event):
    """Nobody can say whether the dial happened.

    `attempted_at` is in the centre's zone, since it is shown. `seats_there` counts the seats
    whose phone is signed in: they see it and can decide.
    """

    effect: str
    attempted_at: datetime
    seats_there: int


class LegResult(Enum):
    """How a call for an emergency came out; SPOKEN when somebody was in a room."""

    SPOKEN = "spoken"
    NOT_ACCEPTED = "not accepted"
    BUSY = "busy"
    NO_ANSWER = "no answer"
    REJECTED = "rejected"
    FAILED = "failed"
    NOT_ALLOWED = "not allowed"
    CANCELLED = "cancelled"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRang(Event):
    """The telephone of whom this dial calls rings; `channel` is its own."""

    effect: str
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LegAnswered(Event):
    """It was taken up; a contact is asked to press a key now."""

    effect: str
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LegOver(Event):
    """It is over, and this is how."""

    effect: str
    result: LegResult


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRecorded(Event):
    """The recording of this leg is kept as this file below the recordings folder; empty when that
    failed."""

    leg: str
    file: str
    sha256: str
    seconds: float
    size: int


class CaseOutcome(Enum):
    """How an emergency came out, as the person says who closes it (EMG-27, NRS-07)."""

    RESCUED = "rescued"
    CANCELLED = "cancelled"
    MISOPERATION = "misoperation"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOverdue(Event):
    """Nobody has done in time what a case waits for; `what` is one of `workflows.reminders`."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateTalkOver(Event):
    """The seats are heard in their rooms again, whatever ended their private talk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardsRead(Event):
    """Who the elder is, as the register has it: several when several have this number."""

    cards: tuple[Card, ...]


# ── a message out of a case ───────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFact(Event):
    """What became of a message. `message` is its id, `effect` that of the asking that it is about:
    a message may have been asked for several times, and old news comes late."""

    message: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageAttempted(MessageFact):
    """From now on it may have been sent; noted before it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageAccepted(MessageFact):
    """The provider has taken it and sends it on; `provider_id` is its own id for it."""

    provider_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDelivered(MessageFact):
    """The recipient's telephone has it."""

    provider_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFailed(MessageFact):
    """It was not sent, or could not be delivered. `is_temporary`: another try on this channel may
    go better. `code` is the provider's; with a `provider_id` it had been taken before."""

    code: str
    reason: str
    is_temporary: bool = False
    provider_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLost(MessageFact):
    """Nobody can say whether it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyTimerFired(Event):
    """A timer of the emergency is due."""

    name: str
