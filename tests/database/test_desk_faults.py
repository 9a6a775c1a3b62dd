"""The desk while its database is busy or away, and behind a proxy: the real application, served."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, WSMsgType
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from agent_desk import access, feed
from agent_desk.app import desk_app
from agent_desk.passwords import hash_password
from control import Controller
from home import Home
from settings import Addresses, Settings
from sql import engine
from sql.engine import Database
from sql.migrate import first_admin, seed, upgrade
from sql.models import CallRecord, DeskSession
from workflows.errors import StoreDown
from workflows.events import Event

CSRF = "a form of ours"
PAGE = {"Accept": "text/html", "Accept-Language": "zh-CN"}
Client = TestClient[Request, Application]
Served = Callable[..., Awaitable[Client]]


class Silent(Controller):
    """A controller whose own database is away, and which has nothing to tell."""

    async def tell(self, event: Event, because: str | None = None) -> dict[str, Any]:
        raise StoreDown("the database does not take it: disk full")

    async def feed(self, *kinds: str) -> AsyncGenerator[dict[str, Any], None]:
        await asyncio.Event().wait()
        yield {}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_MS", 50)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database; it takes long to make and is copied for each test."""
    file = tmp_path_factory.mktemp("empty") / "careline.db"
    upgrade(f"sqlite+aiosqlite:///{file}")
    return file


@pytest.fixture
async def database(tmp_path: Path, empty: Path) -> AsyncIterator[Database]:
    """A database with a user who is signed in and one call."""
    opened = Database(f"sqlite+aiosqlite:///{shutil.copy(empty, tmp_path)}")
    await seed(opened, {"main": "本部"}, {})
    await first_admin(opened, hash_password("right"), announce=lambda: None)
    now = datetime.now(UTC)
    async with opened.writing() as session:
        session.add(
            DeskSession(
                token=hashlib.sha256(b"cookie").hexdigest(), user_id=1, csrf=CSRF,
                created_at=now, seen_at=now - timedelta(minutes=2),
            )
        )  # fmt: skip
        session.add(
            CallRecord(
                id="c-1.1", direction="inbound", entry="hotline", state="talking",
                caller_no="+8613800000001", callee_no="96100", entered_at=now,
                node="test", site="main", recording_serial="c-1.1",
            )
        )  # fmt: skip
    yield opened
    await opened.close()


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    """Serves the desk with the given addresses; the client is signed in."""
    clients: list[Client] = []

    async def serve(**addresses: str) -> Client:
        app = desk_app(
            settings=Settings(addresses=Addresses(**addresses)),
            home=Home(tmp_path),
            database=database,
            controller=Silent(tmp_path / "socket", "secret"),
            asterisk_http="127.0.0.1:1",
        )
        client = TestClient(TestServer(app), cookies={"careline-8080": "cookie"})
        clients.append(client)
        await client.start_server()
        return client

    yield serve
    for client in clients:
        await client.close()


@contextmanager
def busy(database: Database) -> Iterator[None]:
    """Somebody else writes for as long as this lasts."""
    other = sqlite3.connect(_file(database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def change(database: Database, statement: str) -> None:
    other = sqlite3.connect(_file(database), isolation_level=None, timeout=30)
    other.execute(statement)
    other.close()


def _file(database: Database) -> str:
    return database.url.removeprefix("sqlite+aiosqlite:///")


async def text_of(answer: ClientResponse, status: int) -> str:
    text = await answer.text()
    assert answer.status == status, text
    return text


# ── the board's watcher ──────────────────────────────────────────────────────────────────────────


async def test_a_busy_database_leaves_the_board_and_an_ended_sign_in_closes_it(
    served: Served,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(feed, "NOTED_EVERY", timedelta(milliseconds=150))
    client = await served()
    origin = str(client.make_url("/")).rstrip("/")
    socket = await client.ws_connect("/feed", origin=origin)
    assert (await socket.receive_json(timeout=5))["kind"] == "snapshot"
    with busy(database):
        await asyncio.sleep(1)
    assert caplog.text.count("could not be looked up") > 1, "it was asked again and again"
    with pytest.raises(TimeoutError):
        # Nothing is said, and above all no close.
        await asyncio.wait_for(asyncio.shield(heard := asyncio.create_task(socket.receive())), 0.3)
    change(database, "DELETE FROM desk_session")
    assert (await asyncio.wait_for(heard, 10)).type is WSMsgType.CLOSE
    assert socket.close_code == feed.SIGNED_OUT


# ── pages and forms ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/calls", "/calls/c-1.1", "/orders", "/elders", "/", "/sign-in"])
async def test_a_page_while_the_database_is_away_says_so(
    served: Served, database: Database, path: str
) -> None:
    client = await served()
    change(database, "ALTER TABLE desk_session RENAME TO away")
    said = await text_of(await client.get(path, headers=PAGE, allow_redirects=False), 503)
    assert "数据库没有响应" in said
    assert f'href="{path}"' in said, "it offers the same page again"
    bare = await client.get(path, headers={"Accept": "application/json"})
    assert (bare.status, await bare.json()) == (503, {"error": "数据库没有响应"})
    change(database, "ALTER TABLE away RENAME TO desk_session")
    assert (await client.get(path, headers=PAGE)).status == 200


async def test_a_busy_writer_does_not_hold_up_who_only_reads(
    served: Served, database: Database
) -> None:
    client = await served()
    with busy(database):
        # The sign-in is noted once a minute, and that is due; the page is shown without.
        assert "13800000001" in await text_of(await client.get("/calls/c-1.1", headers=PAGE), 200)


async def test_the_controllers_database_is_away_and_the_form_keeps_what_was_typed(
    served: Served,
) -> None:
    client = await served()
    order = {"csrf": CSRF, "order_id": "0" * 32, "content": "修<水>管", "requirement": "周三"}
    said = await text_of(await client.post("/calls/c-1.1/orders", data=order, headers=PAGE), 503)
    assert "数据库没有响应，尚未保存" in said
    assert "修&lt;水&gt;管</textarea>" in said
    assert "周三</textarea>" in said
    assert f'value="{order["order_id"]}"' in said, "sent again, it is the same order"


async def test_both_databases_are_away_and_the_page_keeps_what_was_typed(
    served: Served, database: Database
) -> None:
    client = await served()
    order = {"csrf": CSRF, "order_id": "0" * 32, "content": "修<水>管", "requirement": "周三"}
    change(database, "ALTER TABLE desk_session RENAME TO away")
    said = await text_of(await client.post("/calls/c-1.1/orders", data=order, headers=PAGE), 503)
    assert 'action="/calls/c-1.1/orders"' in said
    assert "重新提交" in said
    kept = dict(re.findall(r'name="(\w+)" value="([^"]*)"', said))
    assert kept == {**order, "content": "修&lt;水&gt;管"}


async def test_an_elder_that_cannot_be_saved_stays_in_the_form(
    served: Served, database: Database
) -> None:
    client = await served()
    elder = {"csrf": CSRF, "full_name": "周桂兰", "numbers": "13800000001", "landmark": "公交站"}
    with busy(database):
        said = await text_of(await client.post("/elders/new", data=elder, headers=PAGE), 503)
    assert "数据库没有响应，尚未保存" in said
    assert 'value="周桂兰"' in said
    assert "公交站</textarea>" in said
    answer = await client.post("/elders/new", data=elder, headers=PAGE, allow_redirects=False)
    assert answer.status == 303


def visit_of(answer: ClientResponse) -> str:
    """The token of the form for signing in, from the cookie that came with it."""
    return next(
        cookie.value
        for name, cookie in answer.cookies.items()
        if name.startswith(access.VISIT_COOKIE)
    )


async def test_nobody_can_sign_in_and_no_password_is_repeated(
    served: Served, database: Database
) -> None:
    client = await served()
    client.session.cookie_jar.clear()
    visit = visit_of(await client.get("/sign-in"))
    form = {"csrf": visit, "name": "admin", "password": "right"}
    with busy(database):
        said = await text_of(await client.post("/sign-in", data=form, headers=PAGE), 503)
    assert "数据库没有响应" in said
    assert 'value="admin"' in said
    assert "right" not in said
    answer = await client.post("/sign-in", data=form, headers=PAGE, allow_redirects=False)
    assert answer.status == 303


# ── behind a proxy ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("proxy", ["127.0.0.1", "localhost:443", "192.0.2.7, 127.0.0.1"])
async def test_the_proxy_may_speak(served: Served, proxy: str) -> None:
    client = await served(desk_proxy=proxy)
    assert (await client.get("/healthz")).status == 200
    answer = await client.get("/sign-in", headers=PAGE | {"X-Forwarded-For": "203.0.113.9"})
    assert answer.status == 200


@pytest.mark.parametrize("path", ["/", "/sign-in", "/healthz", "/static/look.css", "/nothing"])
async def test_whoever_comes_round_the_proxy_may_not(served: Served, path: str) -> None:
    client = await served(desk_proxy="192.0.2.7")
    forged = PAGE | {"X-Forwarded-For": "192.0.2.7", "Forwarded": "for=192.0.2.7"}
    for headers in (PAGE, forged):
        answer = await client.get(path, headers=headers, allow_redirects=False)
        assert "工作台只能经由代理访问" in await text_of(answer, 403)
        assert "no-store" in answer.headers["Cache-Control"] or path.startswith("/static/")


async def test_a_proxy_without_an_address_stops_the_start(served: Served) -> None:
    with pytest.raises(OSError, match=r"desk_proxy names 'proxy\.invalid', which has no address"):
        await served(desk_proxy="proxy.invalid")


@pytest.mark.parametrize(
    ("proxy", "forwarded", "address"),
    [
        ("", "203.0.113.9", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "10.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "2001:db8::9", "2001:db8::9"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
    ],
)
async def test_the_forwarded_address_is_believed_from_the_proxy_only(
    served: Served,
    proxy: str,
    forwarded: str,
    address: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    client = await served(desk_proxy=proxy)
    client.session.cookie_jar.clear()
    first = await client.get("/sign-in")
    # Behind a proxy the cookie is Secure, and this client speaks without encryption.
    visit = visit_of(first)
    await client.post(
        "/sign-in",
        data={"csrf": visit, "name": "admin", "password": "wrong"},
        headers={"X-Forwarded-For": forwarded, "Cookie": f"{access.VISIT_COOKIE}={visit}"},
    )
    assert f"sign-in refused from {address}" in caplog.messages
