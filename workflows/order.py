"""The work order (服务工单): accepted need, first judgement, and its early ends.

The moves T1, T2, T3 and X1 of the order's state machine; review, dispatch and service follow with
the work on orders. Row WO-05: a unique number, linked to request, call and elder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final, TypeAlias

from workflows.commands import CancelOrder, CloseAnswered, JudgeRequest
from workflows.effects import Effect, EndAlarm, RaiseAlarm, Tell
from workflows.events import (
    CallBackUrged,
    CallerNamed,
    Channel,
    Event,
    OrderLinked,
    RequestAccepted,
)
from workflows.machine import Outcome, Process, Rule, Table, rule_for

CALL_BACK: Final = "call back"
"""Kind of alarm: an emergency came to nothing, and nobody has dealt with its call-back yet."""


class State(Enum):
    ACCEPTED = "accepted"
    GENERATED = "generated"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    JOINED = "joined"
    """The number was to be called back already: this need is part of that order."""


class Trigger(Enum):
    NEED = "need"
    NEED_JUDGED = "need already judged"
    JOINS = "the same call-back is open"
    URGED = "the same number called in an emergency"
    CALLER_NAMED = "who called for it"
    OTHER_NAMED = "who called about it, and did not bring the need"
    JUDGE = "judge"
    CLOSE = "close as answered"
    CANCEL = "cancel"
    TOO_LITTLE = "a wish without its words or its name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order. `closed_by` is always a named human.

    `urgent_calls` are the emergencies for which it calls back; each is an alarm until a person has
    dealt with the order.
    """

    id: str
    accepted_at: datetime
    state: State = State.ACCEPTED
    order_no: str = ""
    channel: Channel = Channel.HOTLINE
    call_id: str = ""
    elder_id: int | None = None
    content: str = ""
    requirement: str = ""
    accepted_by: str = ""
    generated_at: datetime | None = None
    closed_at: datetime | None = None
    closed_by: str = ""
    outcome: str = ""
    call_back_no: str = ""
    joined_id: str = ""
    urgent_calls: tuple[str, ...] = ()


OrderOutcome: TypeAlias = Outcome[Order]


def classify(order: Order, event: Event) -> Trigger:
    """Say what the event means for this order."""
    match event:
        case RequestAccepted(joins_id=joins_id) if joins_id and not order.order_no:
            return Trigger.JOINS
        case RequestAccepted(content=content):
            # What is told a second time changes nothing, whatever it says then.
            return Trigger.NEED_JUDGED if content and not order.order_no else Trigger.NEED
        case (
            JudgeRequest(by=by, content=words)
            | CloseAnswered(by=by, answer=words)
            | CancelOrder(by=by, reason=words)
        ) if not (by.strip() and words.strip()):
            # No state has a row for it: without them nobody could say later what was done and why.
            return Trigger.TOO_LITTLE
        case CallBackUrged():
            return Trigger.URGED
        case CallerNamed(call_id=call_id):
            return Trigger.CALLER_NAMED if call_id == order.call_id else Trigger.OTHER_NAMED
        case JudgeRequest():
            return Trigger.JUDGE
        case CloseAnswered():
            return Trigger.CLOSE
        case CancelOrder():
            return Trigger.CANCEL
        case _:
            raise LookupError(f"an order knows nothing of {type(event).__name__}")


def accept(order: Order, event: Event) -> OrderOutcome:
    """Take the need down (T1) and tell the call that brought it."""
    assert isinstance(event, RequestAccepted)
    if order.order_no:
        # The same need told twice, after a crash between telling and noting that it was told.
        return order, tell_call(order, event)
    taken = replace(
        order,
        accepted_at=event.at, order_no=event.order_no, channel=event.channel,
        call_id=event.call_id, elder_id=event.elder_id, content=event.content,
        requirement=event.requirement, accepted_by=event.accepted_by,
        generated_at=event.at if event.content else None, call_back_no=event.call_back_no,
    )  # fmt: skip
    if not event.is_urgent:
        return taken, tell_call(taken, event)
    return (
        replace(taken, urgent_calls=(event.call_id,)),
        (*tell_call(taken, event), alarm_of(taken, event.call_id)),
    )


def join(order: Order, event: Event) -> OrderOutcome:
    """One number has one call-back that waits: the call is tied to that one."""
    assert isinstance(event, RequestAccepted)
    joined = replace(
        order, order_no=event.order_no, joined_id=event.joins_id, call_id=event.call_id,
        call_back_no=event.call_back_no,
    )  # fmt: skip
    if not event.is_urgent:
        return joined, tell_call(joined, event)
    urged = CallBackUrged(case_id=event.joins_id, at=event.at, call_id=event.call_id)
    return joined, (*tell_call(joined, event), Tell(event=urged))


def urge(order: Order, event: Event) -> OrderOutcome:
    """Call back at once. What a person decided before knew nothing of this emergency: the order
    waits for a person again.
    """
    assert isinstance(event, CallBackUrged)
    urgent = replace(
        order, urgent_calls=(*order.urgent_calls, event.call_id),
        closed_at=None, closed_by="", outcome="",
    )  # fmt: skip
    return urgent, (alarm_of(order, event.call_id),)


def belong(order: Order, event: Event) -> OrderOutcome:
    """Whose need it is comes from who called, also when that is found out late."""
    assert isinstance(event, CallerNamed)
    return replace(order, elder_id=event.elder.id if event.elder else None), ()


def alarm_of(order: Order, call_id: str) -> RaiseAlarm:
    text = f"{order.order_no} {order.call_back_no}".strip()
    return RaiseAlarm(key=alarm_key(call_id), kind=CALL_BACK, text=text)


def alarm_key(call_id: str) -> str:
    return f"{CALL_BACK}/{call_id}"


def dealt_with(order: Order) -> tuple[Effect, ...]:
    """A person has taken the order up: its alarms end."""
    return tuple(EndAlarm(key=alarm_key(call_id)) for call_id in order.urgent_calls)


def tell_call(order: Order, event: Event) -> tuple[Tell, ...]:
    """Tell the call that brought the need which order it became (ACD-17)."""
    if not order.call_id:
        return ()
    linked = OrderLinked(
        case_id=order.call_id,
        at=event.at,
        order_id=order.joined_id or order.id,
        order_no=order.order_no,
    )
    return (Tell(event=linked),)


def judge(order: Order, event: Event) -> OrderOutcome:
    assert isinstance(event, JudgeRequest)
    judged = replace(
        order, content=event.content, requirement=event.requirement,
        elder_id=event.elder_id or order.elder_id,
        generated_at=order.generated_at or event.at,
    )  # fmt: skip
    return judged, dealt_with(order)


def close(order: Order, event: Event) -> OrderOutcome:
    assert isinstance(event, CloseAnswered)
    return replace(order, closed_at=event.at, closed_by=event.by, outcome=event.answer), dealt_with(
        order
    )


def cancel(order: Order, event: Event) -> OrderOutcome:
    assert isinstance(event, CancelOrder)
    return replace(order, closed_at=event.at, closed_by=event.by, outcome=event.reason), dealt_with(
        order
    )


URGED: Final = Rule(State.ACCEPTED, urge)


def named(state: State) -> dict[Trigger, Rule[State, Order]]:
    """Whoever called, it leaves the order in this state."""
    return {
        Trigger.CALLER_NAMED: Rule(state, belong),
        Trigger.OTHER_NAMED: Rule(state),
    }


# fmt: off
TABLE: Final[Table[State, Trigger, Order]] = {
    State.ACCEPTED: {
        **named(State.ACCEPTED),
        Trigger.NEED:        Rule(State.ACCEPTED, accept),
        Trigger.NEED_JUDGED: Rule(State.GENERATED, accept),
        Trigger.JOINS:       Rule(State.JOINED, join),
        Trigger.URGED:       URGED,
        Trigger.JUDGE:       Rule(State.GENERATED, judge),
        Trigger.CLOSE:       Rule(State.CLOSED, close),
        Trigger.CANCEL:      Rule(State.CANCELLED, cancel),
    },
    State.JOINED: {
        **named(State.JOINED),
        Trigger.NEED:        Rule(State.JOINED, accept),
        Trigger.NEED_JUDGED: Rule(State.JOINED),
        Trigger.JOINS:       Rule(State.JOINED),
        Trigger.URGED:       Rule(State.JOINED),
    },
    State.GENERATED: {
        **named(State.GENERATED),
        Trigger.NEED:        Rule(State.GENERATED, accept),
        Trigger.NEED_JUDGED: Rule(State.GENERATED, accept),
        Trigger.JOINS:       Rule(State.GENERATED),
        Trigger.URGED:       URGED,
        Trigger.JUDGE:       Rule(State.GENERATED, judge),
        Trigger.CLOSE:       Rule(State.CLOSED, close),
        Trigger.CANCEL:      Rule(State.CANCELLED, cancel),
    },
    State.CLOSED: {
        **named(State.CLOSED),
        Trigger.NEED:        Rule(State.CLOSED),
        Trigger.JOINS:       Rule(State.CLOSED),
        Trigger.URGED:       URGED,
        Trigger.NEED_JUDGED: Rule(State.CLOSED),
    },
    State.CANCELLED: {
        **named(State.CANCELLED),
        Trigger.NEED:        Rule(State.CANCELLED),
        Trigger.JOINS:       Rule(State.CANCELLED),
        Trigger.URGED:       URGED,
        Trigger.NEED_JUDGED: Rule(State.CANCELLED),
    },
}
# fmt: on


def begin(event: Event) -> Order:
    return Order(id=event.case_id, accepted_at=event.at)


def step(order: Order, event: Event) -> OrderOutcome:
    """The order after the event, and the effects it asks for."""
    rule = rule_for(TABLE, order.state, classify(order, event), event)
    after, effects = rule.action(order, event)
    return replace(after, state=rule.to), effects


def is_over(order: Order) -> bool:
    return order.state in (State.CLOSED, State.CANCELLED, State.JOINED)


PROCESS: Final = Process(
    name="order",
    case_type=Order,
    handles=(
        RequestAccepted,
        CallBackUrged,
        CallerNamed,
        JudgeRequest,
        CloseAnswered,
        CancelOrder,
    ),
    begin=begin,
    step=step,
    is_over=is_over,
)
