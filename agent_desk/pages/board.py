"""The live board, its feed, and the sign of life for the supervisor."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from agent_desk import words
from agent_desk.access import is_same_origin
from agent_desk.desk import DESK, visitor_of
from agent_desk.language import gettext as _
from agent_desk.render import page
from workflows.seat import State as SeatState

SEAT_STATES: Final = tuple(state.value for state in SeatState)


async def healthz(request: web.Request) -> web.StreamResponse:
    """Whether this process does its work; 503 asks for a restart."""
    is_well = request.app[DESK].feed.is_reading
    return web.json_response({"ok": is_well}, status=200 if is_well else 503)


async def show(request: web.Request) -> web.StreamResponse:
    settings = request.app[DESK].settings
    by_weight = sorted(settings.queues, key=lambda queue: -queue.weight)
    queues = {queue.name: words.queue(queue.name) for queue in by_weight}
    return page(
        request,
        "board.html",
        queues=queues,
        board_words=board_words(),
    )


async def feed(request: web.Request) -> web.StreamResponse:
    if not is_same_origin(request):
        raise web.HTTPForbidden(text=_("Only the desk's own pages can watch the feed."))
    desk = request.app[DESK]
    return await desk.feed.show(request, visitor_of(request).token, desk.sessions)


def board_words() -> dict[str, dict[str, str]]:
    """Every word that the board's script puts on the screen, in the visitor's language."""
    return {
        "queue": {name: words.queue(name) for name in ("hotline", "emergency")},
        "entry": {
            name: words.entry(name) for name in ("hotline", "emergency", "report", "complaints")
        },
        "call": {
            "entered": _("In the menu"),
            "waiting": _("Waiting, place {place}"),
            "ringing": _("Ringing, place {place}"),
            "dialling": _("Dialling"),
            "talking": _("Talking"),
        },
        "result": {
            name: words.call_result(name).word
            for name in ("answered", "abandoned", "busy", "no_answer", "failed")
        },
        "case": {"alone": _("The elder is alone"), "accompanied": _("A seat is with the elder")},
        "seat": {name: words.seat_state(name) for name in SEAT_STATES},
        "reason": words.seat_reasons(),
        "trunk": {"up": _("Up"), "down": _("Not answering"), "refused": _("Refused")},
        "alarm": {kind: title for kind, (title, _advice) in words.alarms().items()},
        "advice": {kind: advice for kind, (_title, advice) in words.alarms().items()},
        "other": {
            "unknown": _("Unknown caller"),
            "no_number": _("no number"),
            "live": _("Live"),
            "away": _("Controller away"),
            "lost": _("Connection lost"),
            "emergency": _("Emergency at {time}: {who}, {number}."),
            "emergencies": _("‼ Emergencies: {open}"),
            "connected": _("{answered} of {offered} calls answered"),
            "none_today": _("No call yet today"),
            "uncounted": _("Cannot be counted just now"),
        },
    }
