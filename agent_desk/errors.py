"""Errors: every fault becomes a page, in the look of the desk, that says what to do."""

from __future__ import annotations

import asyncio
import logging
import secrets

from aiohttp import web

from agent_desk.access import Handler, wants_page
from agent_desk.language import gettext as _
from agent_desk.render import page
from control import ControllerDown
from workflows.errors import NotAllowed, NotFound, Outdated

logger = logging.getLogger(__name__)


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a fault with its page; a fault of ours is logged under the number that is shown."""
    try:
        return await handler(request)
    except web.HTTPException as refused:
        if refused.status < 400:
            raise
        own = refused.text if refused.text != f"{refused.status}: {refused.reason}" else ""
        return _answer(request, refused.status, own or "")
    except NotFound as missing:
        return _answer(request, 404, str(missing))
    except (NotAllowed, Outdated) as refused:
        return _answer(request, 409, str(refused))
    except ControllerDown:
        return _answer(request, 503, "")
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        number = secrets.token_hex(4)
        logger.exception("%s %s failed, fault %s", request.method, request.path, number)
        return _answer(request, 500, _("Fault number: %s") % number)


def _answer(request: web.Request, status: int, detail: str) -> web.Response:
    title, advice = words(status)
    if not wants_page(request):
        return web.json_response({"error": detail or title}, status=status)
    return page(request, "error.html", status=status, title=title, advice=advice, detail=detail)


def words(status: int) -> tuple[str, str]:
    """What happened, and what to do about it."""
    return {
        400: (_("This was not understood"), _("Go back, open the page again, and repeat it.")),
        401: (_("Please sign in"), _("What you typed is still there when you go back.")),
        403: (_("Not allowed"), _("Go back and open the page again, or ask your supervisor.")),
        404: (
            _("There is no such page"),
            _("The address or number may be mistyped. The lists on the left show what there is."),
        ),
        405: (_("This was not understood"), _("Open the page from the menu.")),
        409: (
            _("This is no longer possible"),
            _("Somebody was faster. Open the page again: it shows how it stands now."),
        ),
        413: (_("This is too much at once"), _("Shorten the text and send it again.")),
        421: (_("Wrong address"), _("Ask your administrator for the desk's address.")),
        429: (_("Too many tries"), _("Wait, and try again.")),
        503: (
            _("The controller does not answer"),
            _("Calls go on without it. Go back and try again in a few seconds; nothing was saved."),
        ),
    }.get(
        status,
        (
            _("Something went wrong here"),
            _("It has been noted. Try again; tell your administrator the number if it stays so."),
        ),
    )
