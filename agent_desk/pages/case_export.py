"""A case that leaves the desk: as one JSON document, and printed. Who took it is on record."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web

from agent_desk import case_document, case_words, printing, rescue_words
from agent_desk.access import actor_of
from agent_desk.case_document import Writer
from agent_desk.desk import DESK, visitor_of
from agent_desk.language import gettext as _
from agent_desk.pages.cases import answer, view_of
from agent_desk.render import FORMATS, fragment
from agent_desk.rights import Right, may
from agent_desk.wishes import Refused
from sql import audit

logger = logging.getLogger(__name__)


async def as_json(request: web.Request) -> web.StreamResponse:
    """Everything of the case (schema: agent_desk/case_document.py)."""
    view, at = await view_of(request), datetime.now(UTC)
    writer = _writer(request)
    said = case_document.document(view, writer, at=at, by=visitor_of(request).name)
    await _note(request, "exported", at)
    name = f'attachment; filename="{view.case.id}.json"'
    return web.json_response(said, headers={"Content-Disposition": name})


def _writer(request: web.Request) -> Writer:
    """Numbers leave the desk whole only by the hand of who may take them along."""
    is_whole = may(visitor_of(request), Right.EXPORT_NUMBERS)
    number: Callable[[str], str] = str if is_whole else request.app[FORMATS].masked
    return Writer(request.app[DESK].settings.centre.zone, number, is_whole)


async def _note(request: web.Request, action: str, at: datetime) -> None:
    """Before it is handed out: what is on no record is not taken along. Raises StoreDown."""
    if request.method != "GET":
        return
    case_id = request.match_info["case_id"]
    async with request.app[DESK].database.writing("who exports a case") as session:
        audit.note(session, actor_of(request), at, action, "emergency", case_id)


async def printed(request: web.Request) -> web.StreamResponse:
    """The case on paper: a PDF, made beside the desk so that nobody waits for it."""
    view, at = await view_of(request), datetime.now(UTC)
    html = fragment(
        request, "cases/print.html",
        view=view, writer=_writer(request), at=at, by=visitor_of(request).name,
        case_words=case_words, party_kinds=rescue_words.parties(),
    )  # fmt: skip
    try:
        pdf = await printing.as_pdf(html)
    except printing.NotPrinted as cause:
        logger.warning("the case %s was not printed: %s", view.case.id, cause)
        sentence = _(
            "The case cannot be printed now. Try again in a minute; if it stays so, take the JSON "
            "file, and tell your administrator."
        )
        return await answer(request, 503, refused=Refused(503, sentence))
    await _note(request, "printed", at)
    name = f'inline; filename="{view.case.id}.pdf"'
    return web.Response(
        body=pdf, content_type="application/pdf", headers={"Content-Disposition": name}
    )
