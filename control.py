"""The one way from the desk and the worker to the controller: events in, the feed out.

HTTP and a WebSocket over a Unix socket in the home (mode 600) with a secret, so that nobody else on
the machine can speak for a seat. The feed is numbered: a reader that misses a number reads the
snapshot again.

    POST /tell   {"event": {"type", "body"}, "because": outbox id or null}   → {"case": {…}}
    PUT  /phones {extension: password}: the seats whose telephone is in a browser, all of them → {}
    GET  /feed   WebSocket: {"seq", "kind", "data"}; the first has kind "snapshot"
                 ?kind=call&kind=…: after the snapshot these kinds alone
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
)
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import (
    ClientError,
    ClientSession,
    ClientTimeout,
    ContentTypeError,
    UnixConnector,
    WSMsgType,
    web,
)

from sql import codec
from workflows.errors import (
    CarelineError,
    NotAllowed,
    NotFound,
    Outdated,
    StoreDown,
    TelephonyDown,
)
from workflows.events import Event

logger = logging.getLogger(__name__)

MAX_BODY: Final = 64 * 1024
READER_BACKLOG: Final = 1000
TELL_TIMEOUT_S: Final = 10
RECONNECT_S: Final = 0.5
STATUS: Final[dict[type[CarelineError], int]] = {
    NotAllowed: 409,
    Outdated: 409,
    NotFound: 404,
    StoreDown: 503,
    TelephonyDown: 503,
}
BY_NAME: Final = {error.__name__: error for error in STATUS}

T = TypeVar("T")
Message = dict[str, Any]
Tell = Callable[[Event, str | None], Awaitable[Any]]
KeepPhones = Callable[[Mapping[str, str]], Awaitable[None]]


class ControllerDown(CarelineError):
    """The controller does not answer; telephony goes on without it, wishes must wait."""


class Feed:
    """Numbers what changed and hands it to every reader; a reader too slow to keep up is cut.

    Each message is written as JSON once, however many read it.
    """

    def __init__(self, snapshot: Callable[[], dict[str, Any]]) -> None:
        self._snapshot: Final = snapshot
        self._readers: Final[dict[asyncio.Queue[str | None], Collection[str]]] = {}
        self.seq = 0

    def publish(self, kind: str, data: Any) -> None:
        self.seq += 1
        readers = [r for r, kinds in self._readers.items() if not kinds or kind in kinds]
        if not readers:
            return
        message = json.dumps({"seq": self.seq, "kind": kind, "data": data})
        for reader in readers:
            if reader.qsize() >= READER_BACKLOG:
                del self._readers[reader]
                reader.put_nowait(None)
            else:
                reader.put_nowait(message)

    def end(self) -> None:
        """Send every reader away; whoever comes later is served all the same."""
        for reader in self._readers:
            reader.put_nowait(None)

    async def read(self, kinds: Collection[str] = ()) -> AsyncGenerator[str, None]:
        """The snapshot, then everything after it without a gap, as JSON.

        Of `kinds` alone when some are named; the numbers of the others are left out then.
        """
        reader: asyncio.Queue[str | None] = asyncio.Queue()
        self._readers[reader] = kinds
        try:
            yield json.dumps({"seq": self.seq, "kind": "snapshot", "data": self._snapshot()})
            while (message := await reader.get()) is not None:
                yield message
        finally:
            self._readers.pop(reader, None)


def control_app(secret: str, feed: Feed, tell: Tell, keep_phones: KeepPhones) -> web.Application:
    """The controller's side."""

    @web.middleware
    async def only_ours(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        # A header may hold any byte; those that are no UTF-8 came in as surrogates.
        if not hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {secret}".encode()):
            return web.json_response({"error": "not allowed here"}, status=403)
        return await handler(request)

    async def take(request: web.Request) -> web.Response:
        async def act(asked: tuple[Event, str | None]) -> Any:
            return {"case": codec.dump(await tell(*asked))}

        return await _answer(request, _read, act)

    async def take_phones(request: web.Request) -> web.Response:
        async def act(phones: dict[str, str]) -> Any:
            await keep_phones(phones)
            return {}

        return await _answer(request, _read_phones, act)

    async def show(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=5)
        await socket.prepare(request)
        kinds = frozenset(request.query.getall("kind", ()))
        sending = asyncio.ensure_future(_send(feed, kinds, socket))
        try:
            # Nothing is expected from the reader; this ends when it goes away.
            async for _ in socket:
                pass
        finally:
            sending.cancel()
        return socket

    async def end_feed(_: web.Application) -> None:
        # The server's stop would otherwise wait a minute for readers who have no reason to go.
        feed.end()

    app = web.Application(middlewares=[only_ours], client_max_size=MAX_BODY)
    app.on_shutdown.append(end_feed)
    app.add_routes(
        [web.post("/tell", take), web.put("/phones", take_phones), web.get("/feed", show)]
    )
    return app


async def _answer(
    request: web.Request, read: Callable[[object], T], act: Callable[[T], Awaitable[Any]]
) -> web.Response:
    """What came of it; a fault in what was sent, or the refusal, in words."""
    try:
        asked = read(await request.json())
    except web.HTTPRequestEntityTooLarge:
        sentence = f"this is too long; {MAX_BODY} bytes at the most"
        return web.json_response({"error": sentence}, status=413)
    except (ValueError, RecursionError) as wrong:
        return web.json_response({"error": str(wrong)}, status=400)
    try:
        return web.json_response(await act(asked))
    except CarelineError as refused:
        kind = type(refused)
        return web.json_response(
            {"error": str(refused), "kind": kind.__name__}, status=STATUS.get(kind, 409)
        )


def _read_phones(body: object) -> dict[str, str]:
    """Passwords by extension; raises ValueError for anything else."""
    if not isinstance(body, dict) or not all(isinstance(word, str) for word in body.values()):
        raise ValueError("right would be {extension: password}")
    return body


def _read(body: object) -> tuple[Event, str | None]:
    """The event and the effect whose result it is; raises ValueError for anything else."""
    if not isinstance(body, dict):
        raise codec.NotReadable("right would be {event: …, because: …}")
    because = body.get("because")
    if because is not None and not isinstance(because, str):
        raise codec.NotReadable("because: right would be the id of an effect, or null")
    # JSON can spell half a character, and no database keeps it: this raises, then.
    json.dumps(body, ensure_ascii=False).encode("utf-8")
    return codec.load_event(body.get("event")), because


async def _send(feed: Feed, kinds: Collection[str], socket: web.WebSocketResponse) -> None:
    try:
        async for message in feed.read(kinds):
            await socket.send_str(message)
    except ConnectionError:
        return
    await socket.close()


@asynccontextmanager
async def serving(app: web.Application, socket: Path) -> AsyncIterator[None]:
    """Serve on the Unix socket, readable by this user alone."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    socket.unlink(missing_ok=True)
    await web.UnixSite(runner, str(socket)).start()
    socket.chmod(0o600)
    ours = socket.stat().st_ino
    try:
        yield
    finally:
        await runner.cleanup()
        # A successor may have begun already, and the socket may be its own.
        with suppress(FileNotFoundError):
            if socket.stat().st_ino == ours:
                socket.unlink()


class Controller:
    """The desk's and the worker's side."""

    def __init__(self, socket: Path, secret: str) -> None:
        self._socket: Final = socket
        self._headers: Final = {"Authorization": f"Bearer {secret}"}
        self._session: ClientSession | None = None

    def _http(self) -> ClientSession:
        if self._session is None or self._session.closed:
            self._session = ClientSession(
                base_url="http://controller",
                connector=UnixConnector(str(self._socket)),
                headers=self._headers,
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def tell(self, event: Event, because: str | None = None) -> dict[str, Any]:
        """Hand over an event; returns the case after it as a JSON object.

        Raises NotAllowed, NotFound, Outdated and StoreDown as the process does, ControllerDown when
        it is away.
        """
        body = {"event": codec.dump_event(event), "because": because}
        said = await self._ask("POST", "/tell", body)
        case: dict[str, Any] = said["case"]
        return case

    async def keep_phones(self, phones: Mapping[str, str]) -> None:
        """Tell which seats have their telephone in a browser: passwords by extension, all of them.

        Raises NotFound for an unknown seat, TelephonyDown when Asterisk is away, ControllerDown.
        """
        await self._ask("PUT", "/phones", dict(phones))

    async def _ask(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            async with self._http().request(
                method, path, json=body, timeout=ClientTimeout(total=TELL_TIMEOUT_S)
            ) as answer:
                said: dict[str, Any] = await answer.json()
        except ContentTypeError as cause:
            raise ControllerDown(
                f"the controller failed (HTTP {cause.status}); logs/controller.log says how"
            ) from None
        except (ClientError, OSError, TimeoutError) as cause:
            raise ControllerDown(f"the controller does not answer ({cause}); try again") from None
        if answer.status == 200:
            return said
        raise BY_NAME.get(said.get("kind", ""), NotAllowed)(said["error"])

    async def feed(self, *kinds: str) -> AsyncGenerator[Message, None]:
        """Everything that changes, for ever; {"kind": "down"} whenever the controller is away.

        After a snapshot come `kinds` alone when some are named.
        """
        wanted = [("kind", kind) for kind in kinds]
        while True:
            try:
                async with self._http().ws_connect(
                    "/feed", params=wanted, heartbeat=5, max_msg_size=0
                ) as socket:
                    async for message in socket:
                        if message.type is not WSMsgType.TEXT:
                            break
                        yield message.json()
            except (ClientError, OSError, TimeoutError) as cause:
                logger.debug("the controller's feed is away: %s", cause)
            yield {"seq": 0, "kind": "down", "data": {}}
            await asyncio.sleep(RECONNECT_S)
