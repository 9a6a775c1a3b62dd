"""The practice town: its elders, who of them is on the telephone, and "call now".

What is shown comes from the process that plays the town, over its own socket. In a real home there
is no such page.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, web
from pydantic import Field

from agent_desk import forms
from agent_desk.access import actor_of
from agent_desk.desk import DESK
from agent_desk.language import gettext as _
from agent_desk.render import page
from agent_desk.wishes import Refused
from sql import audit

logger = logging.getLogger(__name__)

PATIENCE: Final = ClientTimeout(total=5)


class TownAway(Exception):
    """The town does not answer (yet)."""


class CallNow(forms.Form):
    """Which elder calls about what; `silent` comes from the second button."""

    elder: Annotated[int, Field(ge=0, le=1000)]
    scene: Annotated[str, Field(min_length=1, max_length=30)]
    silent: str = ""


class Rhythm(forms.Form):
    paused: str = ""


async def show(request: web.Request) -> web.StreamResponse:
    """The whole page."""
    return await _page(request)


async def now(request: web.Request) -> web.StreamResponse:
    """Only who is on the telephone, for the script that looks again and again."""
    try:
        town = await _ask(request, "/")
    except TownAway:
        town = None
    return page(request, "practice/now.html", town=town)


async def call(request: web.Request) -> web.StreamResponse:
    """Have an elder call now."""
    filled = await forms.read(request, CallNow)
    if filled.form is None:
        raise web.HTTPBadRequest(text=_("This cannot be read. Open the page again."))
    wanted = filled.form
    body = {"elder": wanted.elder, "scene": wanted.scene, "silent": bool(wanted.silent)}
    try:
        said = await _ask(request, "/call", body)
    except TownAway:
        return await _page(request, Refused(503, _away()))
    match said.get("error"):
        case None:
            does = {"scene": wanted.scene, "is_silent": bool(wanted.silent)}
            await _note(request, "practice call", said["elder"], does)
            raise web.HTTPSeeOther("/practice")
        case "busy":
            sentence = _("This elder is on the telephone already. Wait for the end of that call.")
            return await _page(request, Refused(409, sentence))
        case "unknown":
            raise web.HTTPNotFound(text=_("The town has no such elder, or no such scene."))
        case _:
            return await _page(request, Refused(503, _away()))


async def rhythm(request: web.Request) -> web.StreamResponse:
    """Let the town call by itself, or only when it is told to."""
    filled = await forms.read(request, Rhythm)
    paused = bool(filled.form and filled.form.paused)
    try:
        await _ask(request, "/rhythm", {"paused": paused})
    except TownAway:
        return await _page(request, Refused(503, _away()))
    await _note(request, "rhythm", "", {"is_paused": paused})
    raise web.HTTPSeeOther("/practice")


async def _note(request: web.Request, action: str, about: str, does: dict[str, Any]) -> None:
    async with request.app[DESK].database.writing("what the town was told") as session:
        audit.note(
            session, actor_of(request), datetime.now(UTC), action, "practice", about, after=does
        )


async def _page(request: web.Request, refused: Refused | None = None) -> web.Response:
    town, status = None, refused.status if refused else 200
    try:
        town = await _ask(request, "/")
    except TownAway:
        refused, status = refused or Refused(503, _away()), 503
    return page(request, "practice/town.html", status, town=town, refused=refused)


def _away() -> str:
    return _(
        "The practice town does not answer. It starts a few seconds after the desk: try again."
    )


async def _ask(
    request: web.Request, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Ask the town. Raises TownAway, and HTTPNotFound in a real home."""
    desk = request.app[DESK]
    if not desk.is_practice:
        raise web.HTTPNotFound(text=_("This is a real centre: there is no practice town here."))
    connector = UnixConnector(str(desk.home.town_socket))
    try:
        async with ClientSession("http://town", connector=connector, timeout=PATIENCE) as http:
            asked = http.get(path) if body is None else http.post(path, json=body)
            async with asked as answer:
                said: dict[str, Any] = await answer.json()
                return said
    except (ClientError, OSError, TimeoutError, ValueError) as cause:
        logger.info("the town does not answer: %s", cause)
        raise TownAway from None
