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
from workflows.effects import Tell
from workflows.events import Channel, Event, OrderLinked, RequestAccepted
from workflows.machine import Outcome, Process, Rule, Table, rule_for


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
    JUDGE = "judge"
    CLOSE = "close as answered"
    CANCEL = "cancel"
    TOO_LITTLE = "a wish without its words or its name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order. `closed_by` is always a named human."""

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
    return taken, tell_call(taken, event)


def join(order: Order, event: Event) -> OrderOutcome:
    """One number has one call-back that waits: the call is tied to that one."""
    assert isinstance(event, RequestAccepted)
    joined = replace(
        order, order_no=event.order_no, joined_id=event.joins_id, call_id=event.call_id,
        call_back_no=event.call_back_no,
    )  # fmt: skip
    return joined, tell_call(joined, event)


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
        elder_id=order.elder_id or event.elder_id,
        generated_at=order.generated_at or event.at,
    )  # fmt: skip
    return judged, ()


def close(order: Order, event: Event) -> OrderOutcome:
    assert isinstance(event, CloseAnswered)
    return replace(order, closed_at=event.at, closed_by=event.by, outcome=event.answer), ()


def cancel(order: Order, event: Event) -> OrderOutcome:
    assert isinstance(event, CancelOrder)
    return replace(order, closed_at=event.at, closed_by=event.by, outcome=event.reason), ()


# fmt: off
TABLE: Final[Table[State, Trigger, Order]] = {
    State.ACCEPTED: {
        Trigger.NEED:        Rule(State.ACCEPTED, accept),
        Trigger.NEED_JUDGED: Rule(State.GENERATED, accept),
        Trigger.JOINS:       Rule(State.JOINED, join),
        Trigger.JUDGE:       Rule(State.GENERATED, judge),
        Trigger.CLOSE:       Rule(State.CLOSED, close),
        Trigger.CANCEL:      Rule(State.CANCELLED, cancel),
    },
    State.JOINED: {
        Trigger.NEED:        Rule(State.JOINED, accept),
        Trigger.NEED_JUDGED: Rule(State.JOINED),
        Trigger.JOINS:       Rule(State.JOINED),
    },
    State.GENERATED: {
        Trigger.NEED:        Rule(State.GENERATED, accept),
        Trigger.NEED_JUDGED: Rule(State.GENERATED, accept),
        Trigger.JOINS:       Rule(State.GENERATED),
        Trigger.JUDGE:       Rule(State.GENERATED, judge),
        Trigger.CLOSE:       Rule(State.CLOSED, close),
        Trigger.CANCEL:      Rule(State.CANCELLED, cancel),
    },
    State.CLOSED: {
        Trigger.NEED:        Rule(State.CLOSED),
        Trigger.JOINS:       Rule(State.CLOSED),
        Trigger.NEED_JUDGED: Rule(State.CLOSED),
    },
    State.CANCELLED: {
        Trigger.NEED:        Rule(State.CANCELLED),
        Trigger.JOINS:       Rule(State.CANCELLED),
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
    handles=(RequestAccepted, JudgeRequest, CloseAnswered, CancelOrder),
    begin=begin,
    step=step,
    is_over=is_over,
)
