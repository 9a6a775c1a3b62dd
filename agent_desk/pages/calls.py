"""Calls: the list, one call with its recording and orders, and the wishes a call page has."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from agent_desk import forms, playing
from agent_desk.access import local_path
from agent_desk.desk import DESK, visitor_of
from agent_desk.language import gettext as _
from agent_desk.render import A_PAGE, page
from agent_desk.wishes import Refused, wish
from sql.models import CallRecord, Elder, Journal, WorkOrder
from sql.queries import calls, cases, elders, orders, people
from workflows.call_facts import Result
from workflows.commands import ChooseOrder, Command, NameCaller, OpenOrder, TakeBackCaller
from workflows.events import CallClass

ASKED: Final = ("text", "seat", "result", "class", "from", "to")
"""What the list can be asked for, by the names in its address."""


async def index(request: web.Request) -> web.StreamResponse:
    """The newest calls, fifty a page, chosen by what the form above them says (REC-03)."""
    desk = request.app[DESK]
    asked, faults = _asked(request)
    zone = desk.settings.centre.zone
    wanted = calls.Wanted(
        text=asked["text"], seat=asked["seat"], result=asked["result"], call_class=asked["class"],
        since=_midnight(asked["from"], zone), until=_midnight(asked["to"], zone, days=1),
    )  # fmt: skip
    before = forms.one_line(request.query.get("before", ""))[:80]
    async with desk.database.reading() as session:
        found, counts = await calls.search(session, wanted, limit=A_PAGE + 1, before=before)
        others = [elder_side(call) for call, elder in found if elder is None]
        names = await elders.names_by_number(session, others)
        seats = await people.seats(session)
    shown = found[:A_PAGE]
    return page(
        request, "calls/list.html", 422 if faults else 200,
        calls=shown, names=names, seats=seats, asked=asked, faults=faults, counts=counts,
        classes=(*(one.value for one in CallClass), calls.UNCLASSED),
        results=[one.value for one in Result],
        with_class=partial(_address, asked),
        older=_address(asked, before=shown[-1][0].id) if len(found) > A_PAGE else "",
        is_chosen=any(asked.values()), is_first="before" not in request.query,
    )  # fmt: skip


def _asked(request: web.Request) -> tuple[dict[str, str], dict[str, str]]:
    """What the form asks for, by field, and what is wrong with it; a wrong date chooses nothing."""
    asked = {name: forms.one_line(request.query.get(name, ""))[:64] for name in ASKED}
    faults: dict[str, str] = {}
    for name in ("from", "to"):
        try:
            asked[name] = date.fromisoformat(asked[name]).isoformat() if asked[name] else ""
        except ValueError:
            faults[name] = _("This is no date. Right would be 1944-03-21.")
            asked[name] = ""
    if asked["from"] and asked["to"] and asked["from"] > asked["to"]:
        faults["to"] = _("The last day is before the first one.")
    return asked, faults


def _midnight(day: str, zone: ZoneInfo, days: int = 0) -> datetime | None:
    """The beginning of the day, or of one some days later, in the centre's zone."""
    if not day:
        return None
    try:
        return datetime.combine(date.fromisoformat(day) + timedelta(days=days), time(), zone)
    except OverflowError:
        return None


def _address(asked: Mapping[str, str], **other: str) -> str:
    """The list's address with something asked otherwise."""
    words = {name: value for name, value in {**asked, **other}.items() if value}
    return f"/calls?{urlencode(words)}" if words else "/calls"


def elder_side(call: CallRecord) -> str:
    """The number of the side that is not ours."""
    return call.caller_no if call.direction == "inbound" else call.callee_no


@dataclass(frozen=True, slots=True)
class CallView:
    """Everything that a call's page shows. `number` is the elder's side of the call; `others` are
    the names of the elders who have an order of this call and do not call, by their ids. `is_case`:
    an emergency came of it."""

    call: CallRecord
    number: str
    elders: Sequence[Elder]
    others: Mapping[int, str]
    linked: Sequence[WorkOrder]
    to_choose: Sequence[WorkOrder]
    journal: Sequence[Journal]
    seats: Mapping[str, str]
    draft: Mapping[str, str]
    is_case: bool

    @property
    def named_by(self) -> str:
        """Who said who calls; empty when nobody did, or when it was taken back."""
        sayings = NameCaller.__name__, TakeBackCaller.__name__
        said = next((one for one in reversed(self.journal) if one.event in sayings), None)
        return str(said.body["by"]) if said and said.event == NameCaller.__name__ else ""

    def whose(self, chosen: int | None) -> int | None:
        """Whose a new order is: the caller's, or of several that one's who was chosen."""
        known = [elder.id for elder in self.elders]
        if len(known) == 1:
            return known[0]
        return chosen if chosen in known else None


async def view_of(request: web.Request) -> CallView:
    """What the page of the call in the address shows to this visitor. Raises HTTPNotFound."""
    async with request.app[DESK].database.reading() as session:
        return await look_up(session, request.match_info["call_id"], visitor_of(request).name)


async def look_up(session: AsyncSession, call_id: str, by: str) -> CallView:
    """Read the call's page, with what `by` has typed and not sent. Raises HTTPNotFound."""
    call = await calls.one(session, call_id)
    if call is None:
        raise web.HTTPNotFound(text=_("There is no call %s.") % call_id)
    number = elder_side(call)
    if call.elder_id is not None:
        known = await elders.by_ids(session, [call.elder_id])
    else:
        # Two share the number, or somebody entered the elder after the call.
        known = await elders.by_number(session, number)
    linked = await calls.orders_of(session, call_id)
    linked_ids = {order.id for order in linked}
    others = {one.elder_id for one in linked if one.elder_id} - {elder.id for elder in known}
    of_elders = await orders.open_of_elders(session, [elder.id for elder in known])
    still_open = {
        one.id: one for one in (*await orders.open_call_backs(session, number), *of_elders)
    }
    return CallView(
        call=call,
        number=number,
        elders=known,
        others={elder.id: elder.full_name for elder in await elders.by_ids(session, [*others])},
        linked=linked,
        to_choose=[order for order in still_open.values() if order.id not in linked_ids],
        journal=await calls.journal(session, call_id),
        seats=await people.seats(session),
        draft=await calls.draft(session, call_id, by),
        is_case=await cases.is_there(session, call_id),
    )


async def show(request: web.Request) -> web.StreamResponse:
    return await answer(request)


async def answer(
    request: web.Request,
    status: int = 200,
    typed: Mapping[str, Any] | None = None,
    faults: Mapping[str, str] | None = None,
    refused: Refused | None = None,
) -> web.Response:
    """The call's page; a form that was refused is in it as it was `typed`."""
    view = await view_of(request)
    return page(
        request, "calls/one.html", status,
        view=view, typed=typed_in(view, typed), faults=faults or {}, refused=refused,
        is_unkept=typed is not None, **await sought(request),
        is_unrecorded=request.app[DESK].feed.has_alarm("not recorded"),
    )  # fmt: skip


async def sought(request: web.Request) -> dict[str, Any]:
    """What `?find=` asks for, and the elders whom it finds: it may be one of them who calls."""
    find = forms.one_line(request.query.get("find", ""))[:64]
    if not find:
        return {"find": "", "found": ()}
    async with request.app[DESK].database.reading() as session:
        return {"find": find, "found": await elders.latest(session, find, limit=8)}


def typed_in(view: CallView, sent: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The fields of the wrap-up: what was just sent, else one's draft, else what is kept."""
    call = view.call
    # The ids are made with the form: pressing twice, or going back and sending again, makes one.
    fresh = {
        "order_id": uuid.uuid4().hex, "wrap_up_id": uuid.uuid4().hex, "back": "",
        "call_class": call.call_class, "note": call.wrap_up_note,
        "elder_id": "", "content": "", "requirement": "",
    }  # fmt: skip
    seen = call.wrapped_up_at.isoformat() if call.wrapped_up_at else ""
    return fresh | dict(view.draft if sent is None else sent) | {"replaces": seen}


async def open_order(request: web.Request) -> web.StreamResponse:
    """Make a new order out of this call (ACD-17, WO-05)."""
    filled = await forms.read(request, forms.NewOrder)
    if filled.form is None:
        return await answer(request, 422, filled.typed, filled.faults)
    view = await view_of(request)
    elder_id = view.whose(filled.form.elder_id)
    if elder_id is None and view.elders:
        asked = {"elder_id": _("Ask who is calling, and choose.")}
        return await answer(request, 422, filled.typed, asked)
    refused = await wish(
        request,
        OpenOrder(
            case_id=request.match_info["call_id"],
            at=datetime.now(UTC),
            by=visitor_of(request).name,
            content=filled.form.content,
            requirement=filled.form.requirement,
            order_id=filled.form.order_id,
            elder_id=elder_id,
        ),
    )
    if refused:
        return await answer(request, refused.status, filled.typed, refused=refused)
    await _keep_the_rest(request, filled.typed)
    raise web.HTTPSeeOther(back_to(request, filled.typed))


async def _keep_the_rest(request: web.Request, typed: Mapping[str, Any]) -> None:
    """The order is made; what else was typed in the same form stays for when it is loaded anew."""
    by = visitor_of(request).name
    rest = {name: str(typed.get(name, ""))[:2000] for name in ("call_class", "note", "elder_id")}
    async with request.app[DESK].database.writing("a draft") as session:
        await calls.keep_draft(session, request.match_info["call_id"], by, rest, datetime.now(UTC))


def back_to(request: web.Request, typed: Mapping[str, Any], place: str = "orders") -> str:
    """The page on which the form stood: the seat's, else the call's."""
    back = local_path(str(typed.get("back", "")))
    return back if back != "/" else f"/calls/{request.match_info['call_id']}#{place}"


async def choose_order(request: web.Request) -> web.StreamResponse:
    """Tie an open order of the elder to this call (ACD-17)."""
    filled = await forms.read(request, forms.ChosenOrder)
    if filled.form is None:
        raise web.HTTPBadRequest(text=_("No order was chosen."))
    refused = await wish(
        request,
        ChooseOrder(
            case_id=request.match_info["call_id"],
            at=datetime.now(UTC),
            by=visitor_of(request).name,
            order_id=filled.form.order_id,
        ),
    )
    if refused:
        return await answer(request, refused.status, refused=refused)
    raise web.HTTPSeeOther(back_to(request, filled.typed))


async def name_caller(request: web.Request) -> web.StreamResponse:
    """Say which elder calls: of two on one number, or with whatever number (ACD-16); or take back
    what was said."""
    filled = await forms.read(request, forms.Caller)
    if filled.form is None:
        raise web.HTTPBadRequest(text=_("No elder was chosen."))
    case_id, by, at = request.match_info["call_id"], visitor_of(request).name, datetime.now(UTC)
    elder_id = filled.form.elder_id
    named: Command = TakeBackCaller(case_id=case_id, at=at, by=by)
    if elder_id is not None:
        named = NameCaller(case_id=case_id, at=at, by=by, elder_id=elder_id)
    refused = await wish(request, named)
    if refused:
        return await answer(request, refused.status, refused=refused)
    raise web.HTTPSeeOther(back_to(request, filled.typed, ""))


async def recording(request: web.Request) -> web.StreamResponse:
    """The recording's file, in ranges so that a player can seek."""
    desk = request.app[DESK]
    async with desk.database.reading() as session:
        call = await calls.one(session, request.match_info["call_id"])
    if call is None or call.recording is None or not call.recording.file:
        raise web.HTTPNotFound(text=_("This call has no recording, or not yet."))
    return await playing.play(request, call.recording.file, call.recording.serial, "call", call.id)
