"""The telephones in the browser: one line for each seat, and its way to Asterisk.

A line is one connection of one sign-in: a password that Asterisk learns when the page asks for it,
and the WebSocket over which the page then speaks SIP. When that closes the password is worthless,
and the seat is no longer rung, since Asterisk forgets a telephone whose connection is gone. A page
that answers no more is given up. The page itself is asked: the pings of a WebSocket are answered by
the browser, also for a tab that hangs and in which nobody could pick up.
Of Asterisk's HTTP server nothing but this WebSocket is reached through the desk.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import (
    ClientError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    WSMsgType,
    web,
)

from agent_desk.rights import Visitor
from agent_desk.sessions import NOTED_EVERY, Sessions, is_same
from control import Controller
from workflows.errors import CarelineError, StoreDown

logger = logging.getLogger(__name__)

ASKED_EVERY_S: Final = 1.0
MISSED: Final = 3
"""A page that leaves so many questions in a row unanswered is given up, within 5 s."""
QUESTION: Final = "\r\n\r\n"
ANSWER: Final = "\r\n"
"""What SIP itself says to keep a connection (RFC 5626); phone-line.js has the other side."""
UNUSED_S: Final = 10.0
"""How long a password waits for its connection."""
LONGEST_MESSAGE: Final = 64 * 1024
PROTOCOL: Final = "sip"

# What a closed connection tells the page: 4401 sends it to the sign-in.
SIGNED_OUT: Final = 4401
ELSEWHERE: Final = 4409
LEFT: Final = 4410
ASTERISK_AWAY: Final = 4503


class Elsewhere(Exception):
    """The seat's telephone is open in another tab or browser already."""


@dataclass(slots=True)
class Line:
    """One seat's telephone in one page. `token` is the sign-in that it belongs to."""

    id: str
    seat: str
    token: str
    password: str
    socket: web.WebSocketResponse | None = None
    unanswered: int = 0


class Phones:
    """All lines of this desk; the controller is always told of all of them."""

    def __init__(self, controller: Controller, sessions: Sessions, asterisk: str) -> None:
        """`asterisk` is the address of Asterisk's HTTP server, HOST:PORT."""
        self._controller: Final = controller
        self._sessions: Final = sessions
        self._asterisk: Final = asterisk
        self._lines: Final[dict[str, Line]] = {}
        self._waiting: Final[set[asyncio.Task[None]]] = set()

    async def open(self, seat: str, visitor: Visitor, *, take_over: bool, was: str = "") -> Line:
        """A new line for the seat. Raises Elsewhere, and what Controller.keep_phones raises.

        `was` is the line that the page had before. Its connection may have gone without a word, so
        that here it still looks open; whoever had it does not stand in their own way.
        """
        known = self._lines.get(seat)
        if known and known.socket and not take_over and not is_same(known.id, was):
            raise Elsewhere
        line = Line(secrets.token_urlsafe(16), seat, visitor.token, secrets.token_urlsafe(24))
        self._lines[seat] = line
        if known:
            # A connection that is dead is long in closing, and nobody waits for it.
            self._soon(_close(known, ELSEWHERE))
        try:
            await self._tell()
        except CarelineError:
            if self._lines.get(seat) is line:
                del self._lines[seat]
            raise
        self._soon(self._forget_unused(line))
        return line

    async def _forget_unused(self, line: Line) -> None:
        await asyncio.sleep(UNUSED_S)
        if line.socket is None:
            await self._end(line)

    async def _tell(self) -> None:
        await self._controller.keep_phones({s: one.password for s, one in self._lines.items()})

    async def say_again(self) -> None:
        """Tell a controller that is there again: it knows of no line by itself."""
        try:
            await self._tell()
        except CarelineError as cause:
            logger.warning("the controller did not take the telephones: %s", cause)

    async def _end(self, line: Line) -> None:
        """Take the password back, unless the seat has a newer line."""
        if self._lines.get(line.seat) is line:
            del self._lines[line.seat]
            await self.say_again()

    async def drop(self, is_meant: Callable[[Line], bool], code: int) -> None:
        """End these lines; the page is told why by the code."""
        for line in [one for one in self._lines.values() if is_meant(one)]:
            await self._end(line)
            await _close(line, code)

    async def stop(self) -> None:
        for task in self._waiting:
            task.cancel()
        # No password outlives the desk that gave it.
        await self.drop(lambda _: True, ASTERISK_AWAY)

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    # ── SIP between the page and Asterisk ────────────────────────────────────────────────────

    def line_of(self, visitor: Visitor, id_: str) -> Line | None:
        """The line with this id, if it is the visitor's and nobody is connected to it."""
        for line in self._lines.values():
            if is_same(line.id, id_) and line.token == visitor.token:
                return None if line.socket else line
        return None

    async def connect(self, request: web.Request, line: Line) -> web.WebSocketResponse:
        """Carry SIP both ways until either side goes, or the sign-in is over."""
        page = web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=LONGEST_MESSAGE)
        line.socket = page
        try:
            await page.prepare(request)
            await self._carry(page, line)
        except (ConnectionError, ClientError, OSError, TimeoutError) as cause:
            logger.warning("the telephone of seat %s has no way to Asterisk: %s", line.seat, cause)
            with suppress(ConnectionError, RuntimeError):
                await page.close(code=ASTERISK_AWAY)
        finally:
            # Also when the desk itself is stopped in the middle of it.
            await asyncio.shield(self._end(line))
        return page

    async def _carry(self, page: web.WebSocketResponse, line: Line) -> None:
        # A proxy of the environment has no business between two programs of one machine.
        async with (
            ClientSession(timeout=ClientTimeout(total=None, connect=3)) as http,
            http.ws_connect(
                f"http://{self._asterisk}/ws", protocols=(PROTOCOL,), max_msg_size=LONGEST_MESSAGE
            ) as asterisk,
        ):
            watching = [
                asyncio.create_task(_back(asterisk, page)),
                asyncio.create_task(self._watch(page, line)),
                asyncio.create_task(_ask(page, line, asterisk)),
            ]
            try:
                async for message in page:
                    line.unanswered = 0
                    if message.type is WSMsgType.TEXT and message.data != ANSWER:
                        await asterisk.send_str(message.data)
            finally:
                for task in watching:
                    task.cancel()
                await asyncio.gather(*watching, return_exceptions=True)

    async def _watch(self, page: web.WebSocketResponse, line: Line) -> None:
        """Keep the sign-in awake while its telephone is open, and end the line with it."""
        while True:
            await asyncio.sleep(NOTED_EVERY.total_seconds())
            try:
                is_signed_in = await self._sessions.touch(line.token)
            except StoreDown as cause:
                logger.warning("a sign-in could not be looked up, asked again later: %s", cause)
                continue
            if not is_signed_in:
                await page.close(code=SIGNED_OUT)
                return


async def _ask(page: web.WebSocketResponse, line: Line, asterisk: ClientWebSocketResponse) -> None:
    """Ask the page whether it is still there; when it is not, close what Asterisk rings it by.

    Questions are counted and not seconds: where the desk itself was held up, the answers wait.
    """
    with suppress(ConnectionError):
        while line.unanswered < MISSED:
            line.unanswered += 1
            await page.send_str(QUESTION)
            await asyncio.sleep(ASKED_EVERY_S)
    logger.warning("the telephone of seat %s answers no more, and is given up", line.seat)
    await asterisk.close()


async def _back(asterisk: ClientWebSocketResponse, page: web.WebSocketResponse) -> None:
    """Carry what Asterisk says to the page; close it when Asterisk goes."""
    with suppress(ConnectionError):
        async for message in asterisk:
            if message.type is WSMsgType.TEXT:
                await page.send_str(message.data)
        await page.close(code=ASTERISK_AWAY)


async def _close(line: Line, code: int) -> None:
    if line.socket is not None:
        with suppress(ConnectionError, RuntimeError):
            await line.socket.close(code=code)
