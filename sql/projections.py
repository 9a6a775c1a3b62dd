"""The rows that people and reports read, written from a case in the commit that changed it."""

from __future__ import annotations

from typing import Any, Protocol

from sql.models import (
    Base,
    CallLeg,
    CallOrder,
    CallRecord,
    EmergencyCase,
    Recording,
    ServiceRequest,
    WorkOrder,
)
from workflows import reminders
from workflows.call_facts import Call, Leg, State
from workflows.emergency_facts import Emergency
from workflows.order import Order
from workflows.order import State as OrderState


class Put(Protocol):
    """Writes the row with this primary key, whether it is there or not (`Writes.put`)."""

    def __call__(self, model: type[Base], **values: Any) -> None: ...


def project(put: Put, before: Any | None, case: Any, site: str) -> None:
    """Put the case's rows that have changed. `site` is the site of this node."""
    match case:
        case Call():
            project_call(put, before, case, site)
        case Order() if case.state is not OrderState.JOINED:
            project_order(put, case)
        case Emergency():
            project_emergency(put, case)


def project_call(put: Put, before: Call | None, call: Call, site: str) -> None:
    worst = worst_leg(call)
    put(
        CallRecord,
        id=call.id,
        node=call.node,
        site=site,
        direction=call.direction.value,
        entry=call.entry.value if call.entry else "",
        state=call.state.value,
        result=call.result.value if call.result else "",
        caller_no=call.caller,
        caller_name=call.caller_name,
        callee_no=call.callee,
        trunk=call.trunk,
        key_pressed=call.key,
        choice=call.choice,
        queue=call.queue,
        seat=call.seat or None,
        elder_id=call.elders[0].id if len(call.elders) == 1 else None,
        terminal_serial=call.terminal.serial if call.terminal else "",
        terminal_type=call.terminal.type if call.terminal else "",
        recording_serial=call.id,
        entered_at=call.entered_at,
        queued_at=call.queued_at,
        answered_at=call.answered_at,
        ended_at=call.ended_at,
        ended_uncertain=call.ended_uncertain,
        cause=call.cause,
        delay_ms=worst.delay_ms if worst else None,
        jitter_ms=worst.jitter_ms if worst else None,
        loss=worst.loss if worst else None,
        **wrap_up_of(call),
    )
    # A call that rings for long has many legs, and each event changes one of them.
    for leg in call.legs:
        if before and leg in before.legs:
            continue
        put_leg(put, call.id, leg)
    if call.state is State.ENDED:
        put_recording(put, call)
    for order in call.orders:
        if before and order in before.orders:
            continue
        put(CallOrder, call_id=call.id, order_id=order.order_id)


def wrap_up_of(call: Call) -> dict[str, Any]:
    said = call.wrap_up
    return {
        "call_class": said.call_class.value if said else "",
        "wrap_up_note": said.note if said else "",
        "wrapped_up_by": said.by if said else "",
        "wrapped_up_at": said.at if said else None,
    }


def worst_leg(call: Call) -> Leg | None:
    """The leg with the longest delay speaks for the call: it is the one that was heard badly."""
    measured = [leg for leg in call.legs if leg.delay_ms is not None]
    return max(measured, key=lambda leg: leg.delay_ms or 0.0, default=None)


def put_leg(put: Put, call_id: str, leg: Leg) -> None:
    put(
        CallLeg,
        id=leg.id,
        call_id=call_id,
        party=leg.party,
        who=leg.who,
        started_at=leg.started_at,
        answered_at=leg.answered_at,
        ended_at=leg.ended_at,
        cause=leg.cause,
        delay_ms=leg.delay_ms,
        jitter_ms=leg.jitter_ms,
        loss=leg.loss,
    )


def put_recording(put: Put, call: Call) -> None:
    sound = call.sound
    put(
        Recording,
        serial=call.id,
        call_id=call.id,
        state=call.recording.value,
        file=sound.file if sound else None,
        sha256=sound.sha256 if sound else None,
        seconds=sound.seconds if sound else None,
        size=sound.size if sound else None,
        started_at=call.entered_at,
    )


def project_order(put: Put, order: Order) -> None:
    put(
        ServiceRequest,
        id=order.id,
        request_no=f"R{order.order_no}",
        channel=order.channel.value,
        call_id=order.call_id or None,
        elder_id=order.elder_id,
        content=order.content,
        accepted_by=order.accepted_by,
        accepted_at=order.accepted_at,
    )
    put(
        WorkOrder,
        id=order.id,
        order_no=order.order_no,
        request_id=order.id,
        elder_id=order.elder_id,
        origin="call_back" if order.call_back_no else "need",
        call_back_no=order.call_back_no,
        is_urgent=bool(order.urgent_calls),
        content=order.content,
        requirement=order.requirement,
        status=order.state.value,
        generated_at=order.generated_at,
        closed_at=order.closed_at,
        closed_by=order.closed_by,
        outcome=order.outcome,
    )


def project_emergency(put: Put, case: Emergency) -> None:
    said = case.closing
    whose = [card for card in case.cards if card.uid == case.chosen] or list(case.cards)
    waits = min(reminders.waits_for(case), key=lambda one: one[1], default=None)
    put(
        EmergencyCase,
        id=case.id,
        opened_at=case.opened_at,
        ended_at=case.closed_at,
        stage=said.state.value,
        elder_id=whose[0].elder_id if len(whose) == 1 else None,
        elder_name="、".join(card.name for card in whose).replace("\0", "")[:200],
        caller_no=case.caller.replace("\0", "")[:40],
        outcome=said.outcome.value if said.outcome else "",
        changes=said.changes.text.replace("\0", "") if said.changes else "",
        arrived_at=min((leg.arrived_at for leg in case.legs if leg.arrived_at), default=None),
        closed_at=said.changes.at if said.changes else None,
        closed_by=said.changes.by[:64] if said.changes else "",
        due_what=waits[0] if waits else "",
        due_at=waits[1] if waits else None,
    )
