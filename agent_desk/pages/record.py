"""The record of what people did, for whoever has to answer for it (AUD-01)."""

from __future__ import annotations

from aiohttp import web

from agent_desk.desk import DESK
from agent_desk.forms import one_line
from agent_desk.render import A_PAGE, newest_page, older_page, page
from sql.queries import orders, record


async def index(request: web.Request) -> web.StreamResponse:
    """The newest entries; `?text=` keeps those of one user, address, subject or order."""
    asked = one_line(request.query.get("text", ""))[:96]
    before = request.query.get("before", "")
    last_seen = int(before) if before.isdecimal() and len(before) < 10 else None
    async with request.app[DESK].database.reading() as session:
        found = await record.latest(session, text=asked, before=last_seen, limit=A_PAGE + 1)
        shown = found[:A_PAGE]
        about = [entry.subject_id for entry in shown if entry.subject == "order"]
        order_nos = await orders.numbers_of(session, about)
    older = older_page(request, str(shown[-1].id)) if len(found) > A_PAGE else ""
    return page(
        request, "record.html", entries=shown, asked=asked, older=older,
        order_nos=order_nos, newest=newest_page(request),
    )  # fmt: skip
