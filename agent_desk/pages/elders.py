"""Elders: the list, one elder, and the form by which one is entered."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from agent_desk import forms
from agent_desk.desk import DESK
from agent_desk.formats import ADDRESS_PARTS
from agent_desk.language import gettext as _
from agent_desk.render import page
from agent_desk.wishes import Refused, store_down
from settings import Settings
from sql.models import Elder
from sql.numbers import e164
from sql.queries import calls, elders, orders, people
from workflows.errors import StoreDown

logger = logging.getLogger(__name__)

NUMBER_FIELDS: Final = 3


async def index(request: web.Request) -> web.StreamResponse:
    """The newest elders."""
    async with request.app[DESK].database.reading() as session:
        found = await elders.latest(session)
    return page(request, "elders/list.html", elders=found)


async def show(request: web.Request) -> web.StreamResponse:
    """One elder with calls and orders."""
    uid = request.match_info["uid"]
    async with request.app[DESK].database.reading() as session:
        elder = await elders.one(session, uid)
        if elder is None:
            raise web.HTTPNotFound(text=_("There is no elder %s.") % uid)
        context: dict[str, Any] = {
            "elder": elder,
            "calls": await elders.calls_of(session, elder.id),
            "orders": await orders.of_elder(session, elder.id),
            "seats": await people.seats(session),
        }
    return page(request, "elders/one.html", **context)


async def new(request: web.Request) -> web.StreamResponse:
    """The empty form; `?number=` and `?call=` come from the page of an unknown caller's call."""
    number = request.query.get("number", "")[:40]
    return _form(request, typed={"numbers": [number], "call": request.query.get("call", "")})


async def enter(request: web.Request) -> web.StreamResponse:
    """Enter the elder, then go back to the call from which this began, or to the elder."""
    filled = await forms.read(request, forms.NewElder, many=("numbers",))
    settings = request.app[DESK].settings
    form = filled.form
    if form is None:
        return _form(request, 422, filled.typed, filled.faults)
    if form.site and form.site not in [site.code for site in settings.sites]:
        return _form(request, 422, filled.typed, {"site": _("Choose one of the list.")})
    try:
        async with request.app[DESK].database.writing("a new elder") as session:
            elder = await _add(session, form, settings)
            call = await calls.one(session, form.call) if form.call else None
    except StoreDown as down:
        logger.warning("an elder was not saved: %s", down)
        return _form(request, 503, filled.typed, refused=store_down())
    raise web.HTTPSeeOther(f"/calls/{call.id}" if call else f"/elders/{elder.elder_uid}")


async def _add(session: AsyncSession, form: forms.NewElder, settings: Settings) -> Elder:
    centre = settings.centre
    numbers = {
        e164(raw, country=centre.country_code, area=centre.area_code): raw for raw in form.numbers
    }
    fields = (*ADDRESS_PARTS, "landmark", "entry_route")
    return await elders.add(
        session,
        full_name=form.full_name,
        sex=form.sex,
        birth_date=form.birth_date,
        site=form.site or settings.sites[0].code,
        numbers=list(numbers.items()),
        address={field: str(getattr(form, field)) for field in fields},
        at=datetime.now(UTC),
    )


def _form(
    request: web.Request,
    status: int = 200,
    typed: Mapping[str, Any] | None = None,
    faults: Mapping[str, str] | None = None,
    refused: Refused | None = None,
) -> web.Response:
    given = dict(typed or {})
    numbers = [*given.get("numbers", ()), *[""] * NUMBER_FIELDS]
    given["numbers"] = numbers[: max(NUMBER_FIELDS, len(given.get("numbers", ())))]
    sites = request.app[DESK].settings.sites
    return page(
        request, "elders/new.html", status,
        typed=given, faults=faults or {}, refused=refused, sites=sites,
    )  # fmt: skip
