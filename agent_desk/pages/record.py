"""The record of what people did, for whoever has to answer for it (AUD-01)."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from agent_desk.desk import DESK
from agent_desk.forms import one_line
from agent_desk.render import page
from sql.queries import record

AT_ONCE: Final = 50


async def index(request: web.Request) -> web.StreamResponse:
    """The newest entries; `?text=` keeps those of one user, address or subject."""
    asked = one_line(request.query.get("text", ""))[:96]
    before = request.query.get("before", "")
    last_seen = int(before) if before.isdecimal() and len(before) < 10 else None
    async with request.app[DESK].database.reading() as session:
        found = await record.latest(session, text=asked, before=last_seen, limit=AT_ONCE)
    is_more = len(found) == AT_ONCE
    older = str(request.rel_url.update_query(before=found[-1].id)) if is_more else ""
    return page(request, "record.html", entries=found, asked=asked, older=older)
