"""The rescue: a seat says that a call is an emergency."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from aiohttp import web

from agent_desk import forms
from agent_desk.access import actor_of
from agent_desk.desk import DESK, visitor_of
from agent_desk.pages.calls import answer, back_to
from agent_desk.wishes import wish
from sql import audit
from workflows.commands import DeclareEmergency
from workflows.errors import StoreDown

logger = logging.getLogger(__name__)


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
    raise web.HTTPSeeOther(back_to(request, filled.typed, ""))
