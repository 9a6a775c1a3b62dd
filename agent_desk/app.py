"""The desk as an aiohttp application. It shares nothing with the controller but its socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from aiohttp import web

from agent_desk import language, render
from agent_desk.access import (
    PROXY,
    Proxy,
    add_headers,
    guard,
    knowing_the_proxy,
    only_by_the_proxy,
    only_known_hosts,
)
from agent_desk.case_counts import COUNTS, CaseCounts, counted
from agent_desk.desk import DESK, Desk
from agent_desk.errors import explain
from agent_desk.feed import BoardFeed
from agent_desk.live import JUST_ENDED, Picture
from agent_desk.passwords import Passwords, Patience
from agent_desk.phones import Phones
from agent_desk.render import FORMATS
from agent_desk.routes import add_routes
from agent_desk.sessions import Sessions
from control import Controller
from home import PRACTICE, Home
from settings import Settings
from sql.engine import Database
from sql.queries import calls

MAX_BODY: Final = 256 * 1024
"""An elder's form with every text at its longest fits: a browser writes a character in 9 bytes."""


def desk_app(
    *,
    settings: Settings,
    home: Home,
    database: Database,
    controller: Controller,
    asterisk_http: str,
) -> web.Application:
    """The desk, to be served by an AppRunner. Who made `database` and `controller` closes them.

    `asterisk_http` is the address of Asterisk's HTTP server, HOST:PORT.
    """
    app = web.Application(
        # From the outside in: the language is known before a fault is put into words.
        middlewares=[
            language.in_their_language, explain, only_by_the_proxy, only_known_hosts(settings),
            guard, counted,
        ],
        client_max_size=MAX_BODY,
    )  # fmt: skip
    render.set_up(app, settings)
    picture = Picture(
        queues=[queue.name for queue in settings.queues],
        seats={seat.extension: seat.name for seat in settings.seats},
        masked=app[FORMATS].masked,
        legible=app[FORMATS].number,
    )
    sessions = Sessions(database, settings)
    app[DESK] = Desk(
        settings=settings,
        home=home,
        database=database,
        controller=controller,
        sessions=sessions,
        passwords=Passwords(),
        patience=Patience(),
        feed=BoardFeed(picture),
        phones=Phones(controller, sessions, asterisk_http),
        rights=add_routes(app),
        is_practice=home.mode == PRACTICE,
    )
    app[COUNTS] = CaseCounts(database)
    app[PROXY] = Proxy(settings.addresses.desk_proxy)
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(knowing_the_proxy)
    app.cleanup_ctx.append(_reading_the_feed)
    # Open WebSockets are closed before the server waits for its handlers, or it would wait long.
    app.on_shutdown.append(_close_feed)
    return app


async def _reading_the_feed(app: web.Application) -> AsyncIterator[None]:
    # A faulty catalogue should stop the start and not the first page.
    language.catalogues()
    desk = app[DESK]
    async with desk.database.reading() as session:
        ended = await calls.just_ended(session, JUST_ENDED)
    desk.feed.start(desk.controller, ended, back=desk.phones.say_again, today=lambda: _today(desk))
    yield
    await desk.feed.stop()


async def _today(desk: Desk) -> tuple[int, int]:
    midnight = datetime.now(desk.settings.centre.zone).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    async with desk.database.reading() as session:
        return await calls.offered_and_answered(session, midnight)


async def _close_feed(app: web.Application) -> None:
    await app[DESK].phones.stop()
    await app[DESK].feed.stop()
