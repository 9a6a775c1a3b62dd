"""Elders: the list, one elder with history, and the form by which one is entered and changed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from agent_desk import case_words, elder_form, forms, words
from agent_desk.access import actor_of
from agent_desk.desk import DESK, visitor_of
from agent_desk.elder_form import MANY, ROWS, ElderForm
from agent_desk.forms import Filled
from agent_desk.language import gettext as _
from agent_desk.render import A_PAGE, newest_page, older_page, page
from agent_desk.wishes import Refused, store_down, wish
from sql.models import AuditEntry, Elder
from sql.queries import calls, cases, elders, orders, people, record
from sql.registers import elders as register
from workflows.commands import NameCaller, RenewContacts
from workflows.errors import CarelineError, Outdated, StoreDown

logger = logging.getLogger(__name__)


async def index(request: web.Request) -> web.StreamResponse:
    """The newest elders, fifty a page; `?text=` keeps those with it in name, code or number."""
    asked = forms.one_line(request.query.get("text", ""))[:64]
    before = forms.one_line(request.query.get("before", ""))[:20]
    async with request.app[DESK].database.reading() as session:
        found = await elders.latest(session, asked, limit=A_PAGE + 1, before=before)
    shown = found[:A_PAGE]
    return page(
        request, "elders/list.html",
        elders=shown, asked=asked, newest=newest_page(request),
        older=older_page(request, shown[-1].elder_uid) if len(found) > A_PAGE else "",
    )  # fmt: skip


async def show(request: web.Request) -> web.StreamResponse:
    """One elder with calls, orders, and what was changed when and by whom."""
    async with request.app[DESK].database.reading() as session:
        elder = _there(request, await elders.one(session, _uid(request)))
        context: dict[str, Any] = {
            "elder": elder,
            "calls": await elders.calls_of(session, elder.id),
            "orders": await orders.of_elder(session, elder.id),
            "seats": await people.seats(session),
            "emergencies": await cases.of_elder(session, elder.id),
            "case_words": case_words,
            "entries": await record.of_subject(session, "elder", elder.elder_uid),
            "is_late": "late" in request.query,
        }
    return page(request, "elders/one.html", **context)


def _uid(request: web.Request) -> str:
    return request.match_info["uid"]


def _there(request: web.Request, elder: Elder | None) -> Elder:
    if elder is None:
        raise web.HTTPNotFound(text=_("There is no elder %s.") % _uid(request))
    return elder


# ── the form ─────────────────────────────────────────────────────────────────────────────────────


async def new(request: web.Request) -> web.StreamResponse:
    """The empty form; `?number=` and `?call=` come from the page of an unknown caller's call."""
    number = request.query.get("number", "")[:40]
    return _form(request, {"numbers": [number], "call": request.query.get("call", "")})


async def enter(request: web.Request) -> web.StreamResponse:
    """Enter the elder, then go back to the call from which this began, or to the elder."""
    filled = await _read(request)
    form = filled.form
    if form is None or filled.typed.get("more"):
        return _again(request, filled)
    desk = request.app[DESK]
    try:
        async with desk.database.writing("a new elder") as session:
            entry = form.entry(desk.settings.centre, desk.settings.sites[0].code)
            elder = await register.enter(session, actor_of(request), entry, datetime.now(UTC))
            call = await calls.one(session, form.call) if form.call else None
    except StoreDown as down:
        logger.warning("an elder was not saved: %s", down)
        return _form(request, filled.typed, 503, refused=store_down())
    late = await _tell(request, elder, ())
    if call:
        # The number alone would tie the caller's next call, and not this one.
        named = NameCaller(
            case_id=call.id, at=datetime.now(UTC), by=visitor_of(request).name, elder_id=elder.id
        )  # fmt: skip
        if refused := await wish(request, named):
            logger.warning("a call was not tied to its new elder: %s", refused.detail)
    raise web.HTTPSeeOther(f"/calls/{call.id}" if call else f"/elders/{elder.elder_uid}{late}")


async def edit(request: web.Request) -> web.StreamResponse:
    async with request.app[DESK].database.reading() as session:
        elder = _there(request, await elders.one(session, _uid(request)))
    return _form(request, elder_form.as_typed(elder))


async def change(request: web.Request) -> web.StreamResponse:
    """Change the elder, unless somebody else did so since the form was opened (409)."""
    filled = await _read(request)
    form = filled.form
    if form is None or filled.typed.get("more"):
        return _again(request, filled)
    desk = request.app[DESK]
    try:
        async with desk.database.writing("a change of an elder") as session:
            elder = _there(request, await register.for_change(session, _uid(request)))
            if elder.version != form.version:
                return await _outdated(request, filled, form.version, elder.version)
            former = _numbers(elder)
            entry = form.entry(desk.settings.centre, elder.site)
            await register.change(session, actor_of(request), elder, entry, datetime.now(UTC))
    except StoreDown as down:
        logger.warning("an elder was not saved: %s", down)
        return _form(request, filled.typed, 503, refused=store_down())
    late = await _tell(request, elder, former)
    raise web.HTTPSeeOther(f"/elders/{elder.elder_uid}{late}")


async def _outdated(
    request: web.Request, filled: Filled[ElderForm], seen: int, now: int
) -> web.Response:
    """What the other one changed, above what was typed here; sent again it counts."""
    async with request.app[DESK].database.reading() as session:
        entries = await record.of_subject(session, "elder", _uid(request))
    theirs = [entry for entry in entries if int(entry.after.get("version", 0)) > seen]
    refused = Refused(
        409,
        _("Somebody else has changed this elder meanwhile; below is what. What you typed is still "
          "here: look at it again, then save it over theirs."),
    )  # fmt: skip
    return _form(request, {**filled.typed, "version": now}, 409, refused=refused, theirs=theirs)


async def _read(request: web.Request) -> Filled[ElderForm]:
    filled = await forms.read(request, ElderForm, many=MANY, rows=ROWS)
    form, sites = filled.form, request.app[DESK].settings.sites
    if form and form.site and form.site not in [site.code for site in sites]:
        return Filled(None, filled.typed, {"site": _("Choose one of the list.")})
    return filled


def _again(request: web.Request, filled: Filled[ElderForm]) -> web.Response:
    """The form with its faults; or with one row more, and then the faults can wait."""
    more = str(filled.typed.get("more", ""))
    if more:
        return _form(request, filled.typed, more=more)
    return _form(request, filled.typed, 422, faults=filled.faults)


def _form(
    request: web.Request,
    typed: Mapping[str, Any],
    status: int = 200,
    *,
    faults: Mapping[str, str] | None = None,
    refused: Refused | None = None,
    theirs: Sequence[AuditEntry] = (),
    more: str = "",
) -> web.Response:
    uid = request.match_info.get("uid", "")
    return page(
        request, "elders/form.html", status,
        typed=elder_form.with_room(typed, more), faults=faults or {}, refused=refused, uid=uid,
        theirs=theirs, sites=request.app[DESK].settings.sites, choices=words.elder_choices(),
    )  # fmt: skip


# ── after a change ───────────────────────────────────────────────────────────────────────────────


async def note_test(request: web.Request) -> web.StreamResponse:
    """What a test call to a contact found (PER-18)."""
    filled = await forms.read(request, forms.TestCall)
    if filled.form is None:
        raise web.HTTPBadRequest
    async with request.app[DESK].database.writing("a test call") as session:
        elder = _there(request, await register.for_change(session, _uid(request)))
        is_known = await register.note_test(
            session, actor_of(request), elder, filled.form.phone_id,
            filled.form.result == "reachable", datetime.now(UTC),
        )  # fmt: skip
    if not is_known:
        raise Outdated(_("This number is no longer one of the contacts'."))
    late = await _tell(request, elder, ())
    raise web.HTTPSeeOther(f"/elders/{elder.elder_uid}{late}#contacts")


def _numbers(elder: Elder) -> set[str]:
    """Every number by which the elder may call."""
    own = {phone.number for phone in elder.phones}
    return own | {terminal.phone_no for terminal in elder.terminals if terminal.phone_no}


async def _tell(request: web.Request, elder: Elder, former: Collection[str]) -> str:
    """Have the telephone system know the contacts before the next call (PER-19).

    Returns what the next page's address says when it will know them a little later only.
    """
    wish = RenewContacts(
        case_id=elder.elder_uid, at=datetime.now(UTC), by=visitor_of(request).name,
        numbers=tuple({*former, *_numbers(elder)}),
    )  # fmt: skip
    try:
        await request.app[DESK].controller.tell(wish)
    except CarelineError as away:
        # The elder is saved; the controller compares all contacts when it is back.
        logger.warning("the contacts of %s are written later: %s", elder.elder_uid, away)
        return "?late=1"
    return ""
