"""Errors: every fault becomes a page, in the look of the desk, that says what to do."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence

from aiohttp import web

from agent_desk import trail
from agent_desk.access import CSRF_FIELD, SAFE_METHODS, Handler, local_path, wants_page
from agent_desk.language import gettext as _
from agent_desk.render import page
from control import ControllerDown
from workflows.errors import NotAllowed, NotFound, Outdated, StoreDown

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
        is_form = request.method not in SAFE_METHODS and wants_page(request)
        if is_form and refused.status in (401, 403):
            return await _unsent(request, refused.status, own or "")
        return _answer(request, refused.status, own or "")
    except NotFound as missing:
        return _answer(request, 404, str(missing))
    except (NotAllowed, Outdated) as refused:
        return _answer(request, 409, str(refused))
    except ControllerDown:
        return _answer(request, 503, "")
    except StoreDown as down:
        logger.warning("%s %s: %s", request.method, request.path, down)
        return await _store_down(request)
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
    return page(
        request, "error.html", status=status, title=title, advice=advice, detail=detail,
        again="", sent=[], typed=[],
    )  # fmt: skip


async def _unsent(request: web.Request, status: int, detail: str) -> web.Response:
    """The page for a form that came from nobody, or is too old: a page left open over a night.

    It cannot be sent again by itself, as nothing tells it from what another site made the browser
    send; so what was typed is shown, to be copied into the page once it is open again.
    """
    title, advice = words(status)
    sent = await _sent(request)
    typed = [(trail.label(name), value) for name, value in sent if trail.label(name) and value]
    if typed:
        advice = _(
            "What you typed was not saved. Copy it, open the page again, and paste it there."
        )
    return page(
        request, "error.html", status=status, title=title, advice=advice, detail=detail,
        again=_page_of_form(request) if typed else "", sent=[], typed=typed,
    )  # fmt: skip


def _page_of_form(request: web.Request) -> str:
    """The page on which the form stands: at its own address, or one step above that."""
    resource = request.match_info.route.resource
    form = resource.canonical if resource else ""
    pages = {
        one.canonical
        for one in request.app.router.resources()
        if any(route.method == "GET" for route in one)
    }
    return request.path if form in pages else request.path.rpartition("/")[0] or "/"


async def _store_down(request: web.Request) -> web.Response:
    """The page while the database is away: what was sent stays in it, to be sent again.

    The page with the form needs the database itself, so the form cannot be shown instead.
    """
    title = _("The database does not answer")
    if not wants_page(request):
        return web.json_response({"error": title}, status=503)
    is_reading = request.method in SAFE_METHODS
    if is_reading:
        advice = _("Calls go on without it. Try again in a few seconds.")
    else:
        advice = _("Calls go on without it. Nothing was saved; send it again in a few seconds.")
    return page(
        request, "error.html", status=503, title=title, advice=advice, detail="",
        again=local_path(request.path_qs), typed=[],
        sent=[] if is_reading else await _sent(request),
    )  # fmt: skip


async def _sent(request: web.Request) -> Sequence[tuple[str, str]]:
    """The fields of the form; none when it holds a password, which no page may repeat."""
    try:
        posted = await request.post()
    except (ValueError, LookupError, web.HTTPException):
        return []
    if "password" in posted or CSRF_FIELD not in posted:
        return []
    return [(name, value) for name, value in posted.items() if isinstance(value, str)]


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
