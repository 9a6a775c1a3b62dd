"""Seats: who has which telephone, where, in which queues, and how it stands now."""

from __future__ import annotations

from aiohttp import web

from agent_desk import words
from agent_desk.desk import DESK
from agent_desk.render import page
from workflows.seat import State

STATES = tuple(state.value for state in State)


async def index(request: web.Request) -> web.StreamResponse:
    desk = request.app[DESK]
    sites = {site.code: site.name for site in desk.settings.sites}
    return page(
        request, "seats.html",
        seats=desk.settings.seats, sites=sites, now_of=desk.feed.seats(),
        state_words={state: words.seat_state(state) for state in STATES},
        reason_words=words.seat_reasons(),
    )  # fmt: skip
