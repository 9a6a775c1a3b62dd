"""My seat: who is calling, before the call is answered; the talk; then its wrap-up (ACD-16)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from agent_desk.desk import DESK, visitor_of
from agent_desk.pages.calls import CallView, look_up, sought, typed_in
from agent_desk.render import page
from sql.models import CallRecord
from sql.queries import calls, elders

LAST: Final = 5
OWED_FOR: Final = timedelta(hours=12)
"""A call that was not wrapped up in its own shift no longer stands in the way."""


async def show(request: web.Request) -> web.StreamResponse:
    """The seat of the sign-in, or `?seat=` for a telephone on the table; `?find=` an elder."""
    desk, visitor = request.app[DESK], visitor_of(request)
    names = {one.extension: one.name for one in desk.settings.seats}
    asked = request.query.get("seat", visitor.seat)
    extension = asked if asked in names else ""
    async with desk.database.reading() as session:
        view = await _view(request, session, extension) if extension else None
        shown = desk.feed.of_call(view.call.id) if view else {}
        context: dict[str, Any] = {
            "view": view,
            "roles": shown.get("roles", ()),
            "rings": extension in shown.get("rings", ()),
            "last": await _last(session, view) if view else (),
        }
    typed = typed_in(view) | {"back": f"/seat?{urlencode({'seat': extension})}"} if view else {}
    return page(
        request, "seat.html",
        extension=extension, names=names, seats=desk.settings.seats,
        typed=typed, faults={}, is_unkept=False, **context, **await sought(request),
    )  # fmt: skip


async def _view(request: web.Request, session: AsyncSession, seat: str) -> CallView | None:
    """The call that is talked or rings at this seat, else the one that is still to wrap up."""
    call_id = request.app[DESK].feed.call_at(seat)
    if not call_id or await calls.one(session, call_id) is None:
        # The ringing is heard before the call is written down; the page asks again.
        call_id = await calls.to_wrap_up(session, seat, datetime.now(UTC) - OWED_FOR) or ""
    return await look_up(session, call_id, visitor_of(request).name) if call_id else None


async def _last(session: AsyncSession, view: CallView) -> Sequence[CallRecord]:
    """The calls before this one, of the elders or of the unknown number, newest first."""
    found = [
        call for elder in view.elders for call in await elders.calls_of(session, elder.id, LAST + 1)
    ]
    if not view.elders and view.number:
        found = [*await calls.of_number(session, view.number, LAST + 1)]
    found.sort(key=lambda call: call.entered_at, reverse=True)
    return [call for call in found if call.id != view.call.id][:LAST]
