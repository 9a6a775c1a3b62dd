"""Help: the operator's guide, a text for each page (UI-07)."""

from __future__ import annotations

from aiohttp import web

from agent_desk import guide, language
from agent_desk.desk import DESK, VISITOR
from agent_desk.language import gettext as _
from agent_desk.render import page
from workflows.errors import StoreDown


async def show(request: web.Request) -> web.StreamResponse:
    """One text. Everybody may read it: before the sign-in, and while the database is away."""
    name = request.match_info.get("page", guide.START)
    if name not in guide.texts():
        raise web.HTTPNotFound(text=_("There is no help of this name."))
    try:
        visitor = await request.app[DESK].sessions.visitor(request)
    except StoreDown:
        visitor = None
    if visitor is not None:
        request[VISITOR] = visitor
    title, body = guide.text(name, language.current())
    return page(request, "guide.html", title=title, body=body, is_start=name == guide.START)
