"""Nobody reaches Asterisk through the desk but a seat's own telephone, while it is signed in."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, WSServerHandshakeError
from playwright.sync_api import Browser, BrowserContext, expect

from asterisk_conf.ports import HTTP_PORT
from tests.desk.phone.conftest import Outside, person
from tests.desk.phone.place import is_registered, state_of, take_seat
from tests.faults.test_calls_outlive import asterisk_pid
from tests.house import Town
from tests.observer import wait_until

ASTERISK = (
    "/ari/asterisk/info", "/ari/channels", "/ari/events?app=x", "/ari/api-docs/resources.json",
    "/httpstatus", "/static/index.html", "/amanager", "/manager", "/mxml", "/amxml", "/rawman",
    "/arawman", "/metrics", "/phoneprov/x.cfg", "/media/x", "/",
)  # fmt: skip
"""What an Asterisk's HTTP server may offer; ours offers nothing of it."""
SIP = ("sip",)


def get(address: str, path: str, **headers: str) -> tuple[int, str]:
    """The status, and what the server says that it is. The path is sent as it stands."""
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.getheader("Server") or ""


def asterisk_http(town: Town) -> str:
    return f"{town.house.settings.addresses.internal}:{HTTP_PORT}"


def desk_of(town: Town) -> str:
    return str(urlsplit(town.house.ready["desk"]).netloc)


def cookie_of(context: BrowserContext) -> str:
    return "; ".join(f"{one['name']}={one['value']}" for one in context.cookies())


def test_asterisk_answers_the_telephones_and_nothing_else(town: Town, outside: Outside) -> None:
    address = asterisk_http(town)
    assert outside(shakes_hands, f"http://{address}/ws", SIP, {}) == 101
    found = {path: get(address, path)[0] for path in ASTERISK}
    assert found == dict.fromkeys(ASTERISK, 404)
    for path, protocols in (("/ari/events?app=x", ()), ("/ws", ("ari",)), ("/media/x", ())):
        assert outside(shakes_hands, f"http://{address}{path}", protocols, {}) != 101, path


def test_what_asterisk_listens_on_with_tcp_is_this_machine_alone(town: Town) -> None:
    held = {str(one.readlink()) for one in Path(f"/proc/{asterisk_pid(town.house)}/fd").iterdir()}
    heard = []
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            local, state = fields[1], fields[3]
            if state == "0A" and f"socket:[{fields[9]}]" in held:
                host, _, port = local.partition(":")
                heard.append((family, socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16)))
    internal = town.house.settings.addresses.internal
    assert ("tcp", internal, HTTP_PORT) in heard
    assert all(family == "tcp" and host.startswith("127.") for family, host, _ in heard), heard


@pytest.mark.parametrize("is_signed_in", [False, True])
def test_the_desk_leads_to_nothing_of_asterisk(
    context: BrowserContext, town: Town, is_signed_in: bool
) -> None:
    cookie = cookie_of(context) if is_signed_in else ""
    tricks = (
        "/ws", "/phone/sip/../../ari/channels", "/phone/sip%2f..%2f..%2fari/channels",
        "/phone/sip/ari/channels", "//127.0.0.1:8088/ari/channels", "/phone/ari/channels",
        f"http://{asterisk_http(town)}/ari/channels", "/phone/sip",
    )  # fmt: skip
    for path in (*ASTERISK, *tricks):
        status, server = get(desk_of(town), path, Cookie=cookie)
        assert "Asterisk" not in server, path
        assert path == "/" or status in (400, 401, 403, 404), (path, status)


async def _shakes_hands(address: str, protocols: tuple[str, ...], headers: dict[str, str]) -> int:
    async with ClientSession() as http:
        try:
            async with http.ws_connect(address, protocols=protocols, headers=headers):
                return 101
        except WSServerHandshakeError as refused:
            return refused.status


def shakes_hands(address: str, protocols: tuple[str, ...], headers: dict[str, str]) -> int:
    """The answer to the wish to speak over a WebSocket; 101 is yes."""
    return asyncio.run(_shakes_hands(address, protocols, headers))


def test_a_line_is_its_own_sign_ins_and_good_once(
    browser: Browser, context: BrowserContext, town: Town, outside: Outside
) -> None:
    page = take_seat(context)
    with page.expect_response("**/phone/line") as answered:
        page.reload()
    line = answered.value.json()
    expect(state_of(page)).to_have_text("就绪", timeout=15_000)
    origin = town.house.ready["desk"]
    mine = {"Cookie": cookie_of(context), "Origin": origin}
    address = f"{origin}{line['path']}"
    assert outside(shakes_hands, address, SIP, mine) == 403, "it is in use"
    page.evaluate("location.assign('/help')")
    wait_until(lambda: not is_registered(town), 10, "the browser is forgotten")
    assert outside(shakes_hands, address, SIP, mine) == 403, "it is over"
    fresh = page.evaluate(
        "csrf => fetch('/phone/line', { method: 'POST', headers: { 'X-CSRF-Token': csrf } })"
        ".then((answer) => answer.json())",
        page.locator("[name=csrf]").first.input_value(),
    )
    address = f"{origin}{fresh['path']}"
    assert outside(shakes_hands, address, SIP, {"Origin": origin}) == 401
    assert outside(shakes_hands, address, SIP, {**mine, "Origin": "http://elsewhere.test"}) == 403
    with person(browser, town, origin) as other:
        theirs = {"Cookie": cookie_of(other), "Origin": origin}
        assert outside(shakes_hands, address, SIP, theirs) == 403
    assert outside(shakes_hands, address, SIP, mine) == 101


def test_asterisk_refuses_the_password_of_a_sign_in_that_is_over(
    context: BrowserContext, town: Town
) -> None:
    page = take_seat(context)
    with page.expect_response("**/phone/line") as answered:
        page.reload()
    line = answered.value.json()
    expect(state_of(page)).to_have_text("就绪", timeout=15_000)
    assert registers(town, line["user"], line["password"]) == 200
    assert registers(town, line["user"], line["password"] + "x") == 401
    board = context.new_page()
    board.goto("/")
    board.get_by_role("button", name="退出").click()
    expect(page).to_have_url(re.compile("/sign-in"))
    assert registers(town, line["user"], line["password"]) in (401, 403)
    assert not is_registered(town)


def registers(town: Town, user: str, password: str) -> int:
    """What Asterisk answers to a telephone that signs in with this password, and asks no more."""
    host, _, port = town.house.settings.addresses.sip_address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.settimeout(10)
        wire.connect((host, int(port)))
        status, challenge = _register(wire, user, 1, "")
        assert status == 401, challenge
        said = dict(re.findall(r'(realm|nonce|opaque|qop)="([^"]*)"', challenge))
        uri = f"sip:{host}:{port}"
        secret = _md5(f"{user}:{said['realm']}:{password}")
        proof = _md5(f"{secret}:{said['nonce']}:00000001:x:auth:{_md5(f'REGISTER:{uri}')}")
        words = {"username": user, **said, "uri": uri, "response": proof, "cnonce": "x"}
        quoted = ", ".join(f'{name}="{word}"' for name, word in words.items() if name != "qop")
        return _register(wire, user, 2, f"Authorization: Digest {quoted}, qop=auth, nc=00000001")[0]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def _register(wire: socket.socket, user: str, sequence: int, proof: str) -> tuple[int, str]:
    (here, own_port), (host, port) = wire.getsockname(), wire.getpeername()
    seat = user.partition("-")[0]
    lines = [
        f"REGISTER sip:{host}:{port} SIP/2.0",
        f"Via: SIP/2.0/UDP {here}:{own_port};branch=z9hG4bK{user}{own_port}{sequence};rport",
        "Max-Forwards: 70",
        f"From: <sip:{seat}@{host}>;tag=probe{own_port}",
        f"To: <sip:{user}@{host}>",
        f"Call-ID: probe-{own_port}@{here}",
        f"CSeq: {sequence} REGISTER",
        *([proof] if proof else []),
        "Content-Length: 0",
    ]
    wire.send(("\r\n".join(lines) + "\r\n\r\n").encode())
    answer = wire.recv(65535).decode()
    return int(answer.split(" ", 2)[1]), answer
