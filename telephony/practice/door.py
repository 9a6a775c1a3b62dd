"""The town's door for the desk: HTTP over a Unix socket that only our user can open.

GET  /         the town as its page shows it (`Player.picture`)
POST /call     {"elder": 3, "scene": "leak", "silent": false} → {"call": …}, or 409 {"error": …}
POST /rhythm   {"paused": true}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from telephony.practice.player import CannotCall, Player

MAX_BODY: Final = 4096


def town_app(player: Player, uids: Sequence[str]) -> web.Application:
    """To be served on the town's socket."""

    async def show(_: web.Request) -> web.Response:
        return web.json_response(player.picture(uids))

    async def call(request: web.Request) -> web.Response:
        wanted = await _body(request)
        elder, scene = wanted.get("elder"), wanted.get("scene")
        if not isinstance(elder, int) or not isinstance(scene, str):
            raise web.HTTPBadRequest(text="right would be {elder: number, scene: name, silent}")
        try:
            made = await player.call(elder, scene, is_silent=wanted.get("silent") is True)
        except CannotCall as cause:
            return web.json_response({"error": str(cause)}, status=409)
        return web.json_response({"call": made.id, "elder": uids[elder]})

    async def rhythm(request: web.Request) -> web.Response:
        player.is_paused = (await _body(request)).get("paused") is True
        return web.json_response({"paused": player.is_paused})

    app = web.Application(client_max_size=MAX_BODY)
    app.add_routes([web.get("/", show), web.post("/call", call), web.post("/rhythm", rhythm)])
    return app


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="right would be a JSON object")
    return body
