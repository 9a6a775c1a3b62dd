"""Watches for cards as a browser does: on a desk, and behind a bare AMI listener.

    python -m tests.bench.watch bare_listener | bare_browser | desk_browser

Each is a process of its own, so that neither they nor the placing of calls delay one another.
Its standard input is one JSON object, and it ends with its input. It writes lines of JSON, the
first when it is ready: {"call", "rang" or "seen": seconds since 1970}.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from aiohttp import ClientSession, CookieJar, WSMsgType, web

import precedence
from asterisk_conf.ports import AMI_PORT, AMI_USER

Words = dict[str, str]


def say(line: Mapping[str, Any]) -> None:
    print(json.dumps(line), flush=True)


# ── the bare way: AMI line by line, and each ringing pushed to every socket ─────────────────────


async def bare_listener(words: Words) -> None:
    """`host` and `secret` of Asterisk. Its first line is {"ready": true, "url"}."""
    sockets: set[web.WebSocketResponse] = set()

    async def show(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sockets.add(socket)
        async for _ in socket:
            pass
        sockets.discard(socket)
        return socket

    app = web.Application()
    app.add_routes([web.get("/", show)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, words["host"], 0).start()
        say({"ready": True, "url": f"http://{words['host']}:{runner.addresses[0][1]}/"})
        await _listen(words, sockets)
    finally:
        await runner.cleanup()


async def _listen(words: Words, sockets: set[web.WebSocketResponse]) -> None:
    reader, writer = await asyncio.open_connection(words["host"], AMI_PORT)
    lines = ("Action: Login", f"Username: {AMI_USER}", f"Secret: {words['secret']}", "Events: on")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    await reader.readline()
    rang: set[str] = set()
    while True:
        try:
            message = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace")
        except asyncio.IncompleteReadError:
            return
        if not message.startswith("Event: AgentCalled"):
            continue
        call = re.search(r"^ChanVariable: CARELINE_CALL=(\S+)", message, re.MULTILINE)
        at = re.search(r"^Timestamp: (\S+)", message, re.MULTILINE)
        if call and at and call[1] not in rang:
            rang.add(call[1])
            for socket in sockets:
                await socket.send_json({"call": call[1]})
            say({"call": call[1], "rang": float(at[1])})


async def bare_browser(words: Words) -> None:
    """`url` of the listener."""
    async with ClientSession() as session, session.ws_connect(words["url"]) as socket:
        say({"ready": True})
        async for message in socket:
            now = time.time()
            say({"call": message.json()["call"], "seen": now})


# ── the desk's way ───────────────────────────────────────────────────────────────────────────────


async def desk_browser(words: Words) -> None:
    """`desk` and its admin's `password`. The card: the call, when it first says that it rings."""
    async with (
        _signed_in(words) as session,
        session.ws_connect(f"{words['desk']}/feed", origin=words["desk"]) as socket,
    ):
        say({"ready": True})
        shown: set[str] = set()
        async for message in socket:
            now = time.time()
            if message.type is not WSMsgType.TEXT:
                return
            body = message.json()
            if body["kind"] != "put" or body["data"]["kind"] != "call":
                continue
            item = body["data"]["item"]
            if item["state"] == "ringing" and item["id"] not in shown:
                shown.add(item["id"])
                say({"call": item["id"], "seen": now})


@asynccontextmanager
async def _signed_in(words: Words) -> AsyncIterator[ClientSession]:
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        async with session.get(f"{words['desk']}/sign-in") as page:
            found = re.search(r'name="csrf" value="([^"]+)"', await page.text())
        assert found, "the desk shows no sign-in"
        form = {"csrf": found[1], "name": "admin", "password": words["password"], "next": "/"}
        url = f"{words['desk']}/sign-in"
        async with session.post(url, data=form, allow_redirects=False) as answer:
            assert answer.status == 303, f"{answer.status}: the sign-in was refused"
        yield session


ROLES: Final[dict[str, Callable[[Words], Coroutine[Any, Any, None]]]] = {
    "bare_listener": bare_listener,
    "bare_browser": bare_browser,
    "desk_browser": desk_browser,
}


async def main(role: str, words: Words) -> None:
    if role.endswith("_browser"):
        # In life a browser has a computer of its own.
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    else:
        await precedence.give(precedence.FIRST, os.getpid())
    watching = asyncio.create_task(ROLES[role](words))
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait([watching, ended], return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.stdin.readline())))
