"""The rescue: the page of one emergency, the list of all, the wall, and how one begins.

None of it reads the database: everything is in the desk's live picture, so that the pages are there
while the database is away. What the seats do on them is in `rescue_acts`.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from agent_desk import forms, rescue_words, words
from agent_desk.access import actor_of, is_same_origin
from agent_desk.desk import DESK, visitor_of
from agent_desk.language import gettext as _
from agent_desk.pages.calls import answer
from agent_desk.render import page
from agent_desk.rights import Right, may
from agent_desk.wishes import wish
from sql import audit
from workflows.commands import DeclareEmergency
from workflows.emergency_facts import card_of
from workflows.errors import StoreDown

logger = logging.getLogger(__name__)


async def show(request: web.Request) -> web.StreamResponse:
    """The page of one emergency: a frame that its feed fills (EMG-09)."""
    desk, case_id = request.app[DESK], request.match_info["case_id"]
    case = desk.feed.emergency(case_id)
    if case is None and not desk.feed.of_call(case_id) and desk.feed.is_live:
        # Over, and put away: what is kept of it stands in its file.
        raise web.HTTPSeeOther(f"/cases/{case_id}")
    reach = words.rescue_numbers(
        is_live=desk.settings.rescue.live, is_practice=desk.is_practice
    )  # fmt: skip
    card = card_of(case) if case else None
    return page(
        request, "rescue/case.html",
        case_id=case_id, seat=seat_of(request), name=card.name if card else "",
        reach=reach, may_call=desk.settings.rescue.live or desk.is_practice,
        rescue_words=rescue_words.case_words(),
    )  # fmt: skip


async def feed(request: web.Request) -> web.StreamResponse:
    """One emergency as it changes."""
    if not is_same_origin(request):
        raise web.HTTPForbidden(text=_("Only the desk's own pages can watch the feed."))
    desk = request.app[DESK]
    case_id = request.match_info["case_id"]
    return await desk.feed.show(request, visitor_of(request).token, desk.sessions, case_id)


async def mine(request: web.Request) -> web.StreamResponse:
    """To the emergency in which this seat is, or that rings there; without one, to the list."""
    desk, seat = request.app[DESK], seat_of(request)
    case_id = desk.feed.case_of(seat) if seat else ""
    if not case_id and seat:
        rings = desk.feed.call_at(seat)
        case_id = rings if rings and desk.feed.emergency(rings) else ""
    asked = f"?seat={seat}" if seat != visitor_of(request).seat else ""
    raise web.HTTPSeeOther(f"/rescue/{case_id}{asked}" if case_id else "/rescue")


async def index(request: web.Request) -> web.StreamResponse:
    """The open emergencies, those first in which something is wrong."""
    return page(request, "rescue/list.html", **_of_list(request))


async def wall(request: web.Request) -> web.StreamResponse:
    """The same, to be read across a room."""
    return page(request, "rescue/wall.html", **_of_list(request))


def _of_list(request: web.Request) -> dict[str, Any]:
    return {
        "rescue_words": rescue_words.list_words(),
        "may_open": may(visitor_of(request), Right.RESCUE),
    }


def seat_of(request: web.Request) -> str:
    """The seat of the sign-in, or `?seat=` for a telephone on the table; empty for none."""
    names = {one.extension for one in request.app[DESK].settings.seats}
    asked = request.query.get("seat", visitor_of(request).seat)
    return asked if asked in names else ""


async def declare(request: web.Request) -> web.StreamResponse:
    """Bring the elder, and the seat that talks with them, into an emergency's room (EMG-01)."""
    filled = await forms.read(request, forms.Form)
    at, call_id = datetime.now(UTC), request.match_info["call_id"]
    refused = await wish(
        request, DeclareEmergency(case_id=call_id, at=at, by=visitor_of(request).name)
    )
    if refused:
        return await answer(request, refused.status, refused=refused)
    try:
        async with request.app[DESK].database.writing("an emergency that was declared") as session:
            audit.note(session, actor_of(request), at, DeclareEmergency.__name__, "call", call_id)
    except StoreDown as down:
        # A rescue waits for no record; the call's own steps tell of it too.
        logger.warning("%s declared %s an emergency: %s", visitor_of(request).name, call_id, down)
    raise web.HTTPSeeOther(f"/rescue/{call_id}{_seat_asked(request, filled.typed)}")


def _seat_asked(request: web.Request, typed: Any) -> str:
    """The seat of the page on which the form stood, when it is not that of the sign-in."""
    known = {one.extension for one in request.app[DESK].settings.seats}
    try:
        asked = parse_qs(urlsplit(str(typed.get("back", ""))).query).get("seat", [""])[0]
    except ValueError:
        return ""
    return f"?seat={asked}" if asked in known and asked != visitor_of(request).seat else ""
