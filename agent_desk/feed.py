"""The board's feed: one reader of the controller, a WebSocket for each browser.

    GET /feed   WebSocket: {"seq", "kind", "data"}
                snapshot {"now", "away", "items": [{"kind", "key", "item"}]}   first, always
                put {"kind", "key", "item"} · drop {"kind", "key"} · away {} · back {} · tick {}

    GET /rescue/ID/feed   the same of one emergency: the items are one of kind "case" (case_feed.py)

A browser that misses a number connects again and so gets the snapshot. So does one that hears not
even a tick: a connection that died without a word would else look like a quiet night (feed.js).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import WSCloseCode, web

from agent_desk.case_feed import CaseFeeds
from agent_desk.live import Item, Key, Picture
from agent_desk.sessions import NOTED_EVERY, Sessions
from control import Controller, Feed
from sql.codec import NotReadable
from workflows.emergency_facts import Emergency
from workflows.errors import StoreDown

logger = logging.getLogger(__name__)

HEARTBEAT_S: Final = 15
TICK_EVERY_S: Final = 5
COUNTED_EVERY_S: Final = 10
TODAY: Final = ("today", "today")
SIGNED_OUT: Final = 4401
"""The close code that sends a browser to the sign-in."""


class BoardFeed:
    """Keeps the live picture and tells every browser what changed in it."""

    def __init__(self, picture: Picture) -> None:
        self._picture: Final = picture
        self._feed: Final = Feed(self._snapshot)
        self._cases: Final = CaseFeeds(picture.case, lambda: picture.is_away)
        self._today: Item = {"offered": None, "answered": None}
        self._sockets: Final[dict[web.WebSocketResponse, str]] = {}
        self._noted: Final = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # ── from the controller ──────────────────────────────────────────────────────────────────

    def start(
        self,
        controller: Controller,
        ended: Iterable[dict[str, Any]],
        back: Callable[[], Awaitable[None]],
        today: Callable[[], Awaitable[tuple[int, int]]],
    ) -> None:
        """Read from here on; `ended` are the last calls that are over already.

        `back` is awaited whenever the controller is there, at first and again; `today` says how
        many calls were offered and how many of them answered.
        """
        for call in ended:
            self.take("call", call)
        self._tasks = [
            asyncio.create_task(self._read(controller, back), name="desk feed"),
            asyncio.create_task(self._draw(), name="desk board"),
            asyncio.create_task(self._count(today), name="desk figures"),
            asyncio.create_task(self._tick(), name="desk tick"),
        ]

    @property
    def is_reading(self) -> bool:
        """False when one of its tasks has died of a fault: the process should be restarted."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def _read(self, controller: Controller, back: Callable[[], Awaitable[None]]) -> None:
        async for message in controller.feed():
            self._note(message["kind"], message["data"])
            self._noted.set()
            if message["kind"] == "snapshot":
                await back()

    async def _count(self, today: Callable[[], Awaitable[tuple[int, int]]]) -> None:
        """Ask the database for what no event tells; while it is away no figure is shown."""
        while True:
            offered: int | None = None
            answered: int | None = None
            try:
                offered, answered = await today()
            except StoreDown as cause:
                logger.warning("today's calls were not counted: %s", cause)
            counted = {"offered": offered, "answered": answered}
            if counted != self._today:
                self._today = counted
                self._feed.publish("put", _put(TODAY, counted))
            await asyncio.sleep(COUNTED_EVERY_S)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_EVERY_S)
            self._feed.publish("tick", {})
            self._cases.publish("tick")

    async def _draw(self) -> None:
        """Draw what was noted. What waits already is noted first, and all of it is drawn at once.

        So a desk that got behind catches up instead of falling back further.
        """
        while True:
            await self._noted.wait()
            self._noted.clear()
            self._publish_changes()

    def take(self, kind: str, data: dict[str, Any]) -> None:
        """Take one message of the controller and pass on what it changes."""
        self._note(kind, data)
        self._publish_changes()

    def _note(self, kind: str, data: dict[str, Any]) -> None:
        was_away = self._picture.is_away
        try:
            if kind == "order":
                # Too many to keep: who watches orders reads them again, also after each snapshot.
                key = ("order", data["order_no"])
                self._feed.publish("put", _put(key, {"state": data["state"]}))
            self._picture.take(kind, data)
        except (NotReadable, KeyError):
            logger.exception("the controller sent a %s that cannot be read", kind)
            return
        if self._picture.is_away != was_away:
            self._feed.publish("back" if was_away else "away", {})
            self._cases.publish("back" if was_away else "away")

    def _publish_changes(self) -> None:
        # Whoever leads a rescue hears of it before any board does.
        self._cases.look(self._picture.cases_touched())
        for key, item in self._picture.changes().items():
            if item is None:
                self._feed.publish("drop", {"kind": key[0], "key": key[1]})
            else:
                self._feed.publish("put", _put(key, item))

    def _snapshot(self) -> dict[str, Any]:
        return {
            "now": int(datetime.now(UTC).timestamp() * 1000),
            "away": self._picture.is_away,
            "items": [
                *(_put(key, item) for key, item in self._picture.items().items()),
                _put(TODAY, self._today),
            ],
        }

    @property
    def is_live(self) -> bool:
        """Whether the controller is heard: what it does not tell of, is not."""
        return not self._picture.is_away

    def seats(self) -> dict[str, Item]:
        """How each seat stands now, by extension; nothing before the controller was heard."""
        return {key: item for (kind, key), item in self._picture.items().items() if kind == "seat"}

    def has_alarm(self, kind: str) -> bool:
        """Whether an alarm of this kind is open, as far as the controller was heard."""
        items = self._picture.items().items()
        return any(key[0] == "alarm" and item["kind"] == kind for key, item in items)

    def call_at(self, seat: str) -> str:
        """The id of the call that is talked at this seat, else of one that rings there."""
        order = ("talking", "ringing", "entered", "waiting")
        mine = [
            (order.index(item["state"]), key)
            for (kind, key), item in self._picture.items().items()
            if kind == "call" and item["state"] in order and seat in item["at"]
        ]
        return min(mine)[1] if mine else ""

    def of_call(self, call_id: str) -> dict[str, Any]:
        """The call as the board shows it; empty when it does not."""
        return dict(self._picture.items().get(("call", call_id)) or {})

    def emergency(self, case_id: str) -> Emergency | None:
        """The emergency as the controller told it last; None for one that it does not tell of."""
        return self._picture.emergency(case_id)

    def case_of(self, seat: str) -> str:
        """The open emergency in which this seat is; empty for none."""
        return self._picture.case_of(seat)

    def read(self, case_id: str = "") -> AsyncIterator[str]:
        """The snapshot, then everything that changes, as JSON: one emergency's, or the board's."""
        return self._cases.read(case_id) if case_id else self._feed.read()

    # ── to the browsers ──────────────────────────────────────────────────────────────────────

    async def show(
        self, request: web.Request, token: str, sessions: Sessions, case_id: str = ""
    ) -> web.WebSocketResponse:
        """Feed one browser until it goes away or its sign-in `token` is over: the board, or one
        emergency."""
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
        try:
            await socket.prepare(request)
        except ConnectionError:
            # The browser went away before it was let in.
            return socket
        self._sockets[socket] = token
        sending = asyncio.create_task(self._send(socket, case_id))
        watching = asyncio.create_task(_watch(socket, token, sessions))
        try:
            # Nothing is expected from the browser; this ends when it goes away.
            async for _ in socket:
                pass
        finally:
            del self._sockets[socket]
            for task in (sending, watching):
                task.cancel()
            await asyncio.gather(sending, watching, return_exceptions=True)
        return socket

    async def _send(self, socket: web.WebSocketResponse, case_id: str) -> None:
        with suppress(ConnectionError):
            async for message in self.read(case_id):
                await socket.send_str(message)
            # Too slow to keep up: it connects again and reads the snapshot.
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)

    async def drop(self, token: str) -> None:
        """Close what this sign-in still watches."""
        for socket in [s for s, t in self._sockets.items() if t == token]:
            await socket.close(code=SIGNED_OUT)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)


async def _watch(socket: web.WebSocketResponse, token: str, sessions: Sessions) -> None:
    """Keep the sign-in awake while its board is open, and end the feed with it.

    An open board counts as presence: one that went blank in a quiet night would hide the next call.
    """
    while True:
        await asyncio.sleep(NOTED_EVERY.total_seconds())
        try:
            is_signed_in = await sessions.touch(token)
        except StoreDown as cause:
            # A database that is busy or away for a moment must not darken the board.
            logger.warning("a sign-in could not be looked up, asked again later: %s", cause)
            continue
        if not is_signed_in:
            await socket.close(code=SIGNED_OUT)
            return


def _put(key: Key, item: Item) -> dict[str, Any]:
    return {"kind": key[0], "key": key[1], "item": item}
