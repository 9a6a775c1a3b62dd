"""What is known of a call, and how each fact is noted in it; nothing is decided here.

A call's id is its first channel's id in Asterisk, with the node in front; it is the recording's
serial as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from workflows import recording
from workflows.commands import ChooseOrder, NameCaller, TakeBackCaller
from workflows.events import (
    BecameEmergency,
    CallArrived,
    CallClass,
    CallEnded,
    CallImported,
    CallPlaced,
    CallQueued,
    CallVanished,
    DialEnded,
    DialResult,
    Entry,
    Event,
    KeyPressed,
    KnownElder,
    KnownTerminal,
    LegEnded,
    OrderLinked,
    PartyAnswered,
    PartyRang,
    RecordingFailed,
    RecordingMade,
    SeatAnswered,
    SeatMissed,
    SeatRang,
)
from workflows.recording import State as RecordingState


class State(Enum):
    ENTERED = "entered"
    WAITING = "waiting"
    RINGING = "ringing"
    TALKING = "talking"
    ENDED = "ended"


class Direction(Enum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Result(Enum):
    """How a call came out (b.6)."""

    ANSWERED = "answered"
    ABANDONED = "abandoned"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One channel of the call. `who` is a seat's extension or a number."""

    id: str
    party: str
    who: str = ""
    started_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    cause: int | None = None
    delay_ms: float | None = None
    jitter_ms: float | None = None
    loss: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedOrder:
    order_id: str
    order_no: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """What is kept of the recording: the file below the recordings folder, its hash and length."""

    file: str
    sha256: str
    seconds: float
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapUp:
    """What the call was about, as `by` said at `at`; `id` names the form that said it."""

    id: str
    call_class: CallClass
    note: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. Times are aware UTC; `ended_uncertain` says that the end was not seen,
    `imported_at` when what nobody heard was read from Asterisk's own record. `named_by` and
    `named_at` tell of who said last who calls, or took that back."""

    id: str
    entered_at: datetime
    state: State = State.ENTERED
    direction: Direction = Direction.INBOUND
    entry: Entry | None = None
    caller: str = ""
    caller_raw: str = ""
    caller_name: str = ""
    callee: str = ""
    trunk: str = ""
    node: str = ""
    elders: tuple[KnownElder, ...] = ()
    named_by: str = ""
    named_at: datetime | None = None
    terminal: KnownTerminal | None = None
    key: str = ""
    choice: str = ""
    queue: str = ""
    position: int = 0
    queued_at: datetime | None = None
    ringing: tuple[str, ...] = ()
    seat: str = ""
    answered_at: datetime | None = None
    dial: DialResult | None = None
    ended_at: datetime | None = None
    ended_uncertain: bool = False
    cause: int | None = None
    result: Result | None = None
    legs: tuple[Leg, ...] = ()
    orders: tuple[LinkedOrder, ...] = ()
    is_order_wished: bool = False
    recording: RecordingState = RecordingState.WRITING
    sound: Sound | None = None
    imported_at: datetime | None = None
    wrap_up: WrapUp | None = None

    @property
    def number(self) -> str:
        """The number of the side that is not ours."""
        return self.caller if self.direction is Direction.INBOUND else self.callee


def record(call: Call, event: Event) -> Call:
    """Note the fact; decide nothing."""
    match event:
        case CallArrived():
            if event.entry is Entry.EMERGENCY:
                # There is no menu: an elder waits for a person from the first second.
                call = replace(call, queue="emergency", queued_at=call.queued_at or event.at)
            return replace(
                call,
                entered_at=event.at, entry=event.entry, caller=event.caller, callee=event.callee,
                caller_raw=event.caller_raw, caller_name=event.caller_name, trunk=event.trunk,
                # Whom a person has named stays, however often the arrival is told.
                node=event.node, elders=call.elders or event.elders,
                terminal=call.terminal or event.terminal,
                legs=with_first_leg(call, "caller", event.caller, event.at),
            )  # fmt: skip
        case CallPlaced():
            return replace(
                call,
                direction=Direction.OUTBOUND,
                entered_at=event.at, caller=event.seat, callee=event.callee, seat=event.seat,
                node=event.node, elders=event.elders,
                legs=with_first_leg(call, "seat", event.seat, event.at),
            )  # fmt: skip
        case BecameEmergency():
            since = call.queued_at or not_before(event.at, call.entered_at)
            return replace(call, entry=Entry.EMERGENCY, queue="emergency", queued_at=since)
        case KeyPressed():
            return replace(call, key=event.key, choice=event.choice)
        case CallQueued():
            position = 0 if call.state in (State.TALKING, State.ENDED) else event.position
            first = call.queued_at or not_before(event.at, call.entered_at)
            return replace(call, queue=event.queue, position=position, queued_at=first)
        case SeatRang() | PartyRang():
            return record_ring(call, event)
        case SeatMissed():
            return without_ringing(call, event.leg)
        case SeatAnswered() if has_ended_before(call, event):
            # A seat comes to an elder who was called back: this call reached nobody all the same.
            return call
        case SeatAnswered() | PartyAnswered():
            return record_answer(call, event)
        case DialEnded():
            return replace(call, dial=event.result, ringing=())
        case LegEnded():
            return record_leg_end(without_ringing(call, event.leg), event)
        case _:
            return record_aftermath(call, event)


def has_ended_before(call: Call, event: Event) -> bool:
    """Whether the call had ended when this happened."""
    return call.ended_at is not None and call.ended_at < event.at


def record_aftermath(call: Call, event: Event) -> Call:
    """Note what belongs to the call's end and to what is kept of it."""
    match event:
        # An end that was only supposed becomes certain when it is seen after all.
        case CallEnded() if call.ended_at is None or call.ended_uncertain:
            return replace(
                call,
                ended_at=end_of(call, event), ended_uncertain=False, cause=event.cause,
                ringing=(), position=0,
            )  # fmt: skip
        case CallVanished() if call.ended_at is None:
            # Nobody saw the legs end, but a call that is gone has none.
            legs = tuple(
                leg if leg.ended_at else replace(leg, ended_at=leg_end(leg, event))
                for leg in call.legs
            )
            return replace(
                call,
                ended_at=end_of(call, event), ended_uncertain=True,
                ringing=(), position=0, legs=legs,
            )  # fmt: skip
        case NameCaller(elder=KnownElder() as elder):
            return replace(call, elders=(elder,), named_by=event.by, named_at=event.at)
        case TakeBackCaller():
            return replace(call, elders=event.elders, named_by=event.by, named_at=event.at)
        case CallImported():
            return replace(call, imported_at=call.imported_at or event.at)
        case RecordingMade():
            kept = recording.TABLE[call.recording][recording.Trigger.FILE_MADE].to
            sound = Sound(
                file=event.file, sha256=event.sha256, seconds=event.seconds, size=event.size
            )
            return replace(call, recording=kept, sound=sound)
        case RecordingFailed():
            missing = recording.TABLE[call.recording][recording.Trigger.FILE_FAILED].to
            return replace(call, recording=missing)
        case OrderLinked() | ChooseOrder():
            return with_order(call, LinkedOrder(order_id=event.order_id, order_no=event.order_no))
        case _:
            return call


def record_ring(call: Call, event: SeatRang | PartyRang) -> Call:
    if leg_of(call, event.leg):
        return call
    leg = Leg(
        id=event.leg,
        party="seat" if isinstance(event, SeatRang) else "called",
        who=event.seat if isinstance(event, SeatRang) else event.number,
        started_at=event.at,
    )
    # After the end nothing rings any more, however late the news of it comes.
    is_over = call.state is State.ENDED
    ringing = call.ringing if is_over else (*call.ringing, event.leg)
    return replace(call, ringing=ringing, legs=with_leg(call.legs, leg))


def record_answer(call: Call, event: SeatAnswered | PartyAnswered) -> Call:
    known = leg_of(call, event.leg)
    # The ringing may not have been seen: a controller that came back during the talk.
    leg = known or Leg(
        id=event.leg,
        party="seat" if isinstance(event, SeatAnswered) else "called",
        who=event.seat if isinstance(event, SeatAnswered) else event.number,
        started_at=event.at,
    )
    taken_up = leg.answered_at or not_before(event.at, leg.started_at)
    return replace(
        call,
        seat=event.seat if isinstance(event, SeatAnswered) else call.seat,
        answered_at=call.answered_at or not_before(event.at, call.entered_at, call.queued_at),
        ringing=(),
        position=0,
        legs=with_leg(call.legs, replace(leg, answered_at=taken_up)),
    )


def record_leg_end(call: Call, event: LegEnded) -> Call:
    known = leg_of(call, event.leg)
    # A leg whose beginning was not seen is kept all the same: its end is the only proof of it.
    leg = known or Leg(id=event.leg, party=event.party, started_at=event.at)
    if leg.ended_at is not None:
        return call
    ended = replace(
        leg,
        ended_at=leg_end(leg, event), cause=event.cause,
        delay_ms=event.delay_ms, jitter_ms=event.jitter_ms, loss=event.loss,
    )  # fmt: skip
    return replace(call, legs=with_leg(call.legs, ended))


def not_before(at: datetime, *earlier: datetime | None) -> datetime:
    """`at`, or the latest of what came before it: a clock can be set back during a call."""
    return max(at, *(time for time in earlier if time))


def end_of(call: Call, event: Event) -> datetime:
    return not_before(event.at, call.entered_at, call.queued_at, call.answered_at)


def leg_end(leg: Leg, event: Event) -> datetime:
    return not_before(event.at, leg.started_at, leg.answered_at)


def leg_of(call: Call, id_: str) -> Leg | None:
    return next((leg for leg in call.legs if leg.id == id_), None)


def with_first_leg(call: Call, party: str, who: str, at: datetime) -> tuple[Leg, ...]:
    """The legs with the call's own channel, which may be known from its end already."""
    leg = leg_of(call, call.id) or Leg(id=call.id, party=party, started_at=at)
    return with_leg(call.legs, replace(leg, party=party, who=who, started_at=at, answered_at=at))


def with_leg(legs: tuple[Leg, ...], leg: Leg) -> tuple[Leg, ...]:
    """The legs with this one added, or put in the place of its former self."""
    if any(other.id == leg.id for other in legs):
        return tuple(leg if other.id == leg.id else other for other in legs)
    return (*legs, leg)


def with_order(call: Call, order: LinkedOrder) -> Call:
    if any(linked.order_id == order.order_id for linked in call.orders):
        return call
    return replace(call, orders=(*call.orders, order))


def without_ringing(call: Call, leg: str) -> Call:
    return replace(call, ringing=tuple(other for other in call.ringing if other != leg))
