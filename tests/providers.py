"""Providers of messages that a test can lead: one that behaves like Twilio, and an HTTP gateway.

Twilio's is written from its documentation and from what its SDK expects, not with its SDK: basic
auth, 201 with a sid, its errors and their codes, and status callbacks signed over their address and
form (HMAC-SHA1).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import BasicAuth, ClientSession, web
from aiohttp.test_utils import unused_port

ACCOUNT: Final = "AC" + "0123456789abcdef" * 2
TOKEN: Final = "the-token-of-a-test"
NUMBER: Final = "+8637496000"
REFUSED: Final[Mapping[str, tuple[int, str]]] = {
    # The numbers that Twilio itself keeps for tests, each with its own error.
    "+15005550001": (21211, "The 'To' number +15005550001 is not a valid phone number."),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (21614, "'To' number is not a valid mobile number"),
}
LONGEST: Final = 1600


@dataclass
class Sent:
    """A message that Twilio has taken."""

    sid: str
    to: str
    body: str
    callback: str
    status: str = "queued"


@dataclass
class Asked:
    """A request as it came in."""

    path: str
    headers: Mapping[str, str]
    form: dict[str, str] = field(default_factory=dict)
    body: Any = None


class FakeTwilio:
    """`taken` are the messages that it has, `asked` all that was asked of it.

    `next_answers(to, …)` says how the next requests for this number go, instead of well: "busy",
    "broken", "taken and broken", "slow", "dropped", "dripping", "garbled" or "odd".
    """

    def __init__(self) -> None:
        self.taken: list[Sent] = []
        self.asked: list[Asked] = []
        self.on_asked: Callable[[], None] = lambda: None
        self.release = asyncio.Event()
        self._plan: defaultdict[str, deque[str]] = defaultdict(deque)
        self.url = ""

    def next_answers(self, to: str, *how: str) -> None:
        self._plan[to].extend(how)

    def app(self) -> web.Application:
        app = web.Application()
        path = "/2010-04-01/Accounts/{account}/Messages.json"
        app.add_routes([web.post(path, self._create)])
        return app

    # ── the interface ────────────────────────────────────────────────────────────────────────

    async def _create(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(Asked(request.path, dict(request.headers), form))
        self.on_asked()
        if not self._knows(request):
            return error(401, 20003, "Authenticate")
        to, body = form.get("To", ""), form.get("Body", "")
        how = self._plan[to].popleft() if self._plan[to] else ""
        if how == "busy":
            return error(429, 20429, "Too Many Requests")
        if how == "broken":
            return web.Response(status=500, text="<html>Internal Server Error</html>")
        if how == "odd":
            return web.json_response({"code": [1], "message": {"a": 1}}, status=400)
        if refusal := self._refusal(to, body, form):
            return error(400, *refusal)
        self.taken.append(
            Sent(f"SM{secrets.token_hex(16)}", to, body, form.get("StatusCallback", ""))
        )
        return await self._answer(request, how)

    @staticmethod
    def _knows(request: web.Request) -> bool:
        given = BasicAuth.decode(request.headers.get("Authorization", ""))
        return (given.login, given.password) == (ACCOUNT, TOKEN) and (
            request.match_info["account"] == ACCOUNT
        )

    @staticmethod
    def _refusal(to: str, body: str, form: Mapping[str, str]) -> tuple[int, str] | None:
        if not form.get("From"):
            return 21603, "A 'From' phone number is required."
        if not to.startswith("+"):
            return 21211, f"The 'To' number {to} is not a valid phone number."
        if not body:
            return 21602, "Message body is required."
        if len(body) > LONGEST:
            return 21617, "The concatenated message body exceeds the 1600 character limit"
        return REFUSED.get(to)

    async def _answer(self, request: web.Request, how: str) -> web.StreamResponse:
        """It has taken the message; what its asker gets to hear of that."""
        sent = self.taken[-1]
        match how:
            case "taken and broken":
                return web.Response(status=500, text="{")
            case "dropped":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "slow":
                await self.release.wait()
            case "garbled":
                return web.Response(status=201, text="<html>Welcome to the hotel's network</html>")
            case "dripping":
                return await self._drip(request)
        said: dict[str, Any] = {
            "sid": sent.sid, "account_sid": ACCOUNT, "to": sent.to, "from": NUMBER,
            "body": sent.body, "status": "queued", "num_segments": "1", "num_media": "0",
            "direction": "outbound-api", "api_version": "2010-04-01", "price": None,
            "price_unit": "USD", "error_code": None, "error_message": None, "date_sent": None,
            "date_created": "Sat, 28 Nov 2026 01:02:03 +0000",
            "date_updated": "Sat, 28 Nov 2026 01:02:03 +0000",
            "messaging_service_sid": None, "subresource_uris": {},
            "uri": f"{request.path.removesuffix('.json')}/{sent.sid}.json",
        }  # fmt: skip
        return web.json_response(said, status=201)

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        """A byte now and then, so that no wait for the next one is ever long."""
        answer = web.StreamResponse(status=201)
        await answer.prepare(request)
        try:
            while not self.release.is_set():
                await answer.write(b" ")
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        return answer

    # ── its webhooks ─────────────────────────────────────────────────────────────────────────

    def form_of(self, sent: Sent, status: str, code: str = "") -> dict[str, str]:
        said = {
            "MessageSid": sent.sid, "SmsSid": sent.sid, "MessageStatus": status,
            "SmsStatus": status, "AccountSid": ACCOUNT, "To": sent.to, "From": NUMBER,
            "ApiVersion": "2010-04-01",
        }  # fmt: skip
        return {**said, "ErrorCode": code} if code else said


def error(status: int, code: int, message: str) -> web.Response:
    more = f"https://www.twilio.com/docs/errors/{code}"
    said = {"code": code, "message": message, "more_info": more, "status": status}
    return web.json_response(said, status=status)


def signature(url: str, form: Mapping[str, str], token: str = TOKEN) -> str:
    """The address, and each field with its value behind it in the order of their names."""
    said = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), said.encode(), hashlib.sha1).digest()).decode()


class FakeGateway:
    """`answer` is what it says next: a status with a body, or something of its own."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.release = asyncio.Event()
        self.answer: tuple[int, str | bytes] | str = (200, json.dumps({"id": "gw-1"}))
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.post("/send", self._take), web.route("*", "/{other:.*}", self._take)])
        return app

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(Asked(request.path, dict(request.headers), body=body))
        match self.answer:
            case "slow":
                await self.release.wait()
                return web.json_response({})
            case "dropped":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "elsewhere":
                return web.Response(status=307, headers={"Location": f"{self.url}/other"})
            case (int(status), text):
                raw = text if isinstance(text, bytes) else text.encode()
                return web.Response(status=status, body=raw)
        raise AssertionError(self.answer)


@asynccontextmanager
async def serving(provider: FakeTwilio | FakeGateway) -> AsyncIterator[None]:
    """On a port of this machine; `url` says where. Whoever still waits for an answer gets it."""
    runner = web.AppRunner(provider.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = unused_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    provider.url = f"http://127.0.0.1:{port}"
    try:
        yield
    finally:
        provider.release.set()
        await runner.cleanup()


async def post(url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, str]:
    """Send a form as a provider's own program would; the answer's status and text."""
    async with ClientSession() as session, session.post(url, data=form, headers=headers) as answer:
        return answer.status, await answer.text()
