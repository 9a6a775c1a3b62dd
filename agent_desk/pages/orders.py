"""Work orders: the list, one order, and the wishes that its state allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from agent_desk import forms
from agent_desk.desk import DESK, visitor_of
from agent_desk.language import gettext as _
from agent_desk.render import A_PAGE, newest_page, older_page, page
from agent_desk.wishes import Refused, wish
from sql.models import AuditEntry, CallRecord, Elder, Journal, ServiceRequest, WorkOrder
from sql.queries import calls, elders, orders, people, record
from workflows.commands import CancelOrder, CloseAnswered, Command, JudgeRequest
from workflows.order import TABLE, State, Trigger


async def index(request: web.Request) -> web.StreamResponse:
    """The newest orders, fifty a page; `?state=` keeps those of one state, `?text=` with a text."""
    states = [state.value for state in State if state is not State.JOINED]
    asked = forms.one_line(request.query.get("text", ""))[:64]
    state = request.query.get("state", "")
    wanted = state if state in states else ""
    before = forms.one_line(request.query.get("before", ""))[:20]
    async with request.app[DESK].database.reading() as session:
        found = await orders.latest(
            session, status=wanted, text=asked, limit=A_PAGE + 1, before=before
        )
    shown = found[:A_PAGE]
    return page(
        request, "orders/list.html",
        orders=shown, states=states, asked=asked, asked_state=wanted, newest=newest_page(request),
        older=older_page(request, shown[-1][0].order_no) if len(found) > A_PAGE else "",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class OrderView:
    """Everything that an order's page shows."""

    order: WorkOrder
    need: ServiceRequest
    elder: Elder | None
    calls: Sequence[CallRecord]
    journal: Sequence[Journal]
    entries: Sequence[AuditEntry]
    seats: Mapping[str, str]

    @property
    def can_be(self) -> frozenset[str]:
        """What the order's state allows, as its table says."""
        wishes = {Trigger.JUDGE: "judged", Trigger.CLOSE: "closed", Trigger.CANCEL: "cancelled"}
        rules = TABLE[State(self.order.status)]
        return frozenset(word for trigger, word in wishes.items() if trigger in rules)


async def look_up(session: AsyncSession, order_no: str) -> OrderView:
    """Read the order's page. Raises HTTPNotFound."""
    found = await orders.one(session, order_no)
    if found is None:
        raise web.HTTPNotFound(text=_("There is no order %s.") % order_no)
    order, need, elder = found
    return OrderView(
        order=order,
        need=need,
        elder=next(iter(await elders.by_ids(session, [elder.id])), None) if elder else None,
        calls=await calls.of_order(session, order.id),
        journal=await orders.journal(session, order.id),
        entries=await record.of_subject(session, "order", order.id),
        seats=await people.seats(session),
    )


async def show(request: web.Request) -> web.StreamResponse:
    return await _page(request)


async def _page(
    request: web.Request,
    status: int = 200,
    typed: Mapping[str, Any] | None = None,
    faults: Mapping[str, str] | None = None,
    refused: Refused | None = None,
) -> web.Response:
    async with request.app[DESK].database.reading() as session:
        view = await look_up(session, request.match_info["order_no"])
    known = {
        "content": view.order.content, "requirement": view.order.requirement,
        "answer": "", "reason": "",
    }  # fmt: skip
    return page(
        request, "orders/one.html", status,
        view=view, typed=known | dict(typed or {}), faults=faults or {}, refused=refused,
    )  # fmt: skip


async def judge(request: web.Request) -> web.StreamResponse:
    """First judgement: what is needed and how (WO-02)."""
    filled = await forms.read(request, forms.Judgement)
    if filled.form is None:
        return await _page(request, 422, filled.typed, filled.faults)
    case_id, by = await _which(request), visitor_of(request).name
    judgement = JudgeRequest(
        case_id=case_id,
        at=datetime.now(UTC),
        by=by,
        content=filled.form.content,
        requirement=filled.form.requirement,
    )
    return await _told(request, judgement, filled.typed)


async def close(request: web.Request) -> web.StreamResponse:
    """The need was a question and has been answered."""
    filled = await forms.read(request, forms.Answer)
    if filled.form is None:
        return await _page(request, 422, filled.typed, filled.faults)
    case_id, by = await _which(request), visitor_of(request).name
    answered = CloseAnswered(
        case_id=case_id, at=datetime.now(UTC), by=by, answer=filled.form.answer
    )
    return await _told(request, answered, filled.typed)


async def cancel(request: web.Request) -> web.StreamResponse:
    """The need is withdrawn."""
    filled = await forms.read(request, forms.Reason)
    if filled.form is None:
        return await _page(request, 422, filled.typed, filled.faults)
    case_id, by = await _which(request), visitor_of(request).name
    withdrawn = CancelOrder(case_id=case_id, at=datetime.now(UTC), by=by, reason=filled.form.reason)
    return await _told(request, withdrawn, filled.typed)


async def _which(request: web.Request) -> str:
    """The order's id by the number in the address."""
    order_no = request.match_info["order_no"]
    async with request.app[DESK].database.reading() as session:
        found = await orders.one(session, order_no)
    if found is None:
        raise web.HTTPNotFound(text=_("There is no order %s.") % order_no)
    return found[0].id


async def _told(
    request: web.Request, command: Command, typed: Mapping[str, Any]
) -> web.StreamResponse:
    refused = await wish(request, command)
    if refused:
        return await _page(request, refused.status, typed, refused=refused)
    raise web.HTTPSeeOther(f"/orders/{request.match_info['order_no']}")
