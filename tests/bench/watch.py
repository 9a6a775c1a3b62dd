"""Watches a desk as a browser does, beside a bare AMI listener that pushes to a WebSocket.

    python -m tests.bench.watch      (its standard input: one JSON object; it ends with its input)

A process of its own, so that placing the calls delays neither. Writes a line of JSON for each
card: {"call", "way": "desk" or "bare", "ms": since Asterisk's own time of the ringing}.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import ClientSession, CookieJar, WSMsgType, web

AMI_PORT = 5038


class Watch:
    """What rang when, and which card came when."""

    def __init__(self) -> None:
        self._rang: dict[str, float] = {}
        self._early: dict[str, float] = {}
        self._sockets: set[web.WebSocketResponse] = set()
        self._shown: set[str] = set()

    # ── the bare way ─────────────────────────────────────────────────────────────────────────

    async def listen(self, host: str, secret: str) -> None:
        """Read AMI line by line and push each ringing to every socket."""
        reader, writer = await asyncio.open_connection(host, AMI_PORT)
        lines = ("Action: Login", "Username: careline", f"Secret: {secret}", "Events: on")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await reader.readline()
        while True:
            try:
                message = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace")
            except asyncio.IncompleteReadError:
                return
            if not message.startswith("Event: AgentCalled"):
                continue
            call = re.search(r"^ChanVariable: CARELINE_CALL=(\S+)", message, re.MULTILINE)
            at = re.search(r"^Timestamp: (\S+)", message, re.MULTILINE)
            if call and at and call[1] not in self._rang:
                self._rang[call[1]] = float(at[1])
                for socket in self._sockets:
                    await socket.send_json({"call": call[1]})
                if call[1] in self._early:
                    self._say(call[1], "desk", self._early[call[1]])

    @asynccontextmanager
    async def bare_server(self, host: str) -> AsyncIterator[str]:
        async def show(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            self._sockets.add(socket)
            async for _ in socket:
                pass
            self._sockets.discard(socket)
            return socket

        app = web.Application()
        app.add_routes([web.get("/", show)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, host, 0)
        await site.start()
        try:
            yield f"http://{host}:{runner.addresses[0][1]}/"
        finally:
            await runner.cleanup()

    async def see_bare(self, session: ClientSession, url: str) -> None:
        async with session.ws_connect(url) as socket:
            async for message in socket:
                self._say(message.json()["call"], "bare", time.time())

    # ── the desk's way ───────────────────────────────────────────────────────────────────────

    async def see_desk(self, session: ClientSession, url: str) -> None:
        """The card: the call's item when it first says that a seat's phone rings."""
        async with session.ws_connect(f"{url}/feed", origin=url) as socket:
            self._write({"ready": True})
            async for message in socket:
                now = time.time()
                if message.type is not WSMsgType.TEXT:
                    return
                body = message.json()
                if body["kind"] != "put" or body["data"]["kind"] != "call":
                    continue
                item = body["data"]["item"]
                if item["state"] == "ringing" and item["id"] not in self._shown:
                    self._shown.add(item["id"])
                    if item["id"] in self._rang:
                        self._say(item["id"], "desk", now)
                    else:
                        self._early[item["id"]] = now

    def _say(self, call: str, way: str, at: float) -> None:
        self._write({"call": call, "way": way, "ms": (at - self._rang[call]) * 1000})

    @staticmethod
    def _write(line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)


async def sign_in(session: ClientSession, desk: str, password: str) -> None:
    async with session.get(f"{desk}/sign-in") as page:
        found = re.search(r'name="csrf" value="([^"]+)"', await page.text())
    assert found, "the desk shows no sign-in"
    form = {"csrf": found[1], "name": "admin", "password": password, "next": "/"}
    async with session.post(f"{desk}/sign-in", data=form, allow_redirects=False) as answer:
        assert answer.status == 303, f"{answer.status}: the sign-in was refused"


async def main(words: dict[str, str]) -> None:
    watch = Watch()
    loop = asyncio.get_running_loop()
    async with (
        ClientSession(cookie_jar=CookieJar(unsafe=True)) as session,
        watch.bare_server(words["host"]) as bare,
    ):
        await sign_in(session, words["desk"], words["password"])
        tasks = [
            loop.create_task(watch.listen(words["host"], words["secret"])),
            loop.create_task(watch.see_bare(session, bare)),
            loop.create_task(watch.see_desk(session, words["desk"])),
        ]
        ended = loop.create_task(asyncio.to_thread(sys.stdin.read))
        await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.stdin.readline())))
