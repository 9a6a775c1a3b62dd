"""The seat's telephone in the browser: choose a seat, get a line, speak SIP over it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from agent_desk.access import actor_of, is_same_origin
from agent_desk.desk import DESK, visitor_of
from agent_desk.language import gettext as _
from agent_desk.phones import ELSEWHERE, LEFT, Elsewhere
from agent_desk.render import page
from control import ControllerDown
from sql import audit
from sql.queries import people
from workflows.errors import TelephonyDown

logger = logging.getLogger(__name__)

PATH: Final = "/phone/sip"


async def show(request: web.Request) -> web.StreamResponse:
    """The telephone, or the seats to choose from."""
    visitor = visitor_of(request)
    if not visitor.seat:
        return await _seats(request)
    seats = {seat.extension: seat.name for seat in request.app[DESK].settings.seats}
    return page(
        request,
        "phone/phone.html",
        seat=visitor.seat,
        seat_name=seats.get(visitor.seat, ""),
    )


async def _seats(
    request: web.Request, status: int = 200, asked: str = "", who: str = ""
) -> web.Response:
    desk = request.app[DESK]
    async with desk.database.reading() as session:
        sitting = await people.sitting(session, desk.sessions.idle_before())
    return page(
        request,
        "phone/seats.html",
        status,
        seats=desk.settings.seats,
        sitting={one.seat: one.name for one in sitting},
        asked=asked,
        who=who,
    )


async def sit(request: web.Request) -> web.StreamResponse:
    """Take a seat. Where somebody sits, only who says so takes it over."""
    desk, visitor = request.app[DESK], visitor_of(request)
    form = await request.post()
    seat = str(form.get("seat", ""))
    if seat not in {one.extension for one in desk.settings.seats}:
        raise web.HTTPNotFound(text=_("There is no such seat. Choose one from the list."))
    async with desk.database.writing() as session:
        idle = desk.sessions.idle_before()
        await people.hold_seat(session, seat)
        others = [s for s in await people.sitting(session, idle) if s.token != visitor.token]
        there = next((one for one in others if one.seat == seat), None)
        if there is None or form.get("take_over") == seat:
            await people.sit(session, visitor.token, seat)
            audit.note(
                session, actor_of(request), datetime.now(UTC), "sat down", "seat", seat,
                before={"who": there.name if there else ""}, after={"who": visitor.name},
            )  # fmt: skip
    if there and form.get("take_over") != seat:
        return await _seats(request, 409, asked=seat, who=there.name)
    # The one who sat there is told by the page; and who changes seats leaves the old one.
    await desk.phones.drop(lambda line: line.token == visitor.token or line.seat == seat, ELSEWHERE)
    raise web.HTTPSeeOther("/phone")


async def leave(request: web.Request) -> web.StreamResponse:
    """Get up from the seat."""
    desk, visitor = request.app[DESK], visitor_of(request)
    async with desk.database.writing() as session:
        await people.sit(session, visitor.token, None)
        if visitor.seat:
            now = datetime.now(UTC)
            audit.note(session, actor_of(request), now, "got up", "seat", visitor.seat)
    await desk.phones.drop(lambda line: line.token == visitor.token, LEFT)
    raise web.HTTPSeeOther("/phone")


async def line(request: web.Request) -> web.StreamResponse:
    """A line for the page: a password of its own, good until its WebSocket closes."""
    desk, visitor = request.app[DESK], visitor_of(request)
    if not visitor.seat:
        # Somebody took the seat over while this page was away.
        return web.json_response({"why": "left"}, status=409)
    form = await request.post()
    take_over, was = form.get("take_over") == "yes", str(form.get("was", ""))
    try:
        opened = await desk.phones.open(visitor.seat, visitor, take_over=take_over, was=was)
    except Elsewhere:
        return web.json_response({"why": "elsewhere"}, status=409)
    except (ControllerDown, TelephonyDown) as cause:
        logger.warning("seat %s gets no line: %s", visitor.seat, cause)
        return web.json_response({"why": "away"}, status=503)
    return web.json_response(
        {
            "seat": opened.seat,
            "user": f"{opened.seat}-desk",
            "password": opened.password,
            "line": opened.id,
            "path": f"{PATH}?line={opened.id}",
        }
    )


async def sip(request: web.Request) -> web.StreamResponse:
    """The WebSocket of a line: for the page that asked for it, and for nobody else."""
    if not is_same_origin(request):
        raise web.HTTPForbidden(text=_("Only the desk's own pages can use the telephone."))
    desk = request.app[DESK]
    opened = desk.phones.line_of(visitor_of(request), request.query.get("line", ""))
    if opened is None:
        raise web.HTTPForbidden(text=_("This line is not yours, or is over. Load the page again."))
    return await desk.phones.connect(request, opened)
