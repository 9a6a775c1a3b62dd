"""A seat's phone rings while somebody else holds the database: the card is there all the same."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientWebSocketResponse
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import text

from agent_desk.app import desk_app
from agent_desk.passwords import hash_password
from control import Controller as Link
from control import control_app, serving
from home import Home
from settings import Settings
from sql.engine import Database
from sql.migrate import first_admin
from sql.models import DeskSession
from tests.database.centre import NUMBER, Centre
from tests.database.test_database_away import Controller, until_row
from tests.database.test_local_journal import locked
from workflows.events import CallEnded

CALL: Final = "node1-1.1"
SEAT: Final = "1001"
AT_ONCE_S: Final = 2.0
"""The writer waits for seconds; what is shown without it is there in far less, also here."""
LOCKED_S: Final = 5.0
FIRST: Final = {"Uniqueid": CALL, "Channel": "PJSIP/trunk-carrier-00000001"}


def arrival(number: str = NUMBER) -> dict[str, Any]:
    """What Asterisk says when a call comes in."""
    return {
        "Event": "UserEvent", "UserEvent": "CallArrived", **FIRST, "Call": CALL,
        "Entry": "hotline", "CallerIDNum": number, "Dialled": "96100", "Trunk": "carrier",
        "Timestamp": f"{time.time()}",
    }  # fmt: skip


def ringing() -> dict[str, Any]:
    """What Asterisk says when it rings the seat's phone for this call."""
    return {
        "Event": "AgentCalled", **FIRST, "Interface": f"PJSIP/{SEAT}", "DestUniqueid": "node1-1.2",
        "Queue": "hotline", "ChanVariable": [f"CARELINE_CALL={CALL}", "CARELINE_PARTY=caller"],
        "DestChanVariable": [f"CARELINE_CALL={CALL}", "CARELINE_PARTY=seat"],
        "Timestamp": f"{time.time()}",
    }  # fmt: skip


class Board:
    """A browser that is signed in at the desk and watches its board."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self.calls: dict[str, dict[str, Any]] = {}

    async def until(self, state: str | None, who: str = "") -> None:
        """Return when the call is shown so, or is not shown (any more)."""
        while True:
            card = self.calls.get(CALL)
            if state is None and card is None:
                return
            if card and (card["state"], card["who"]) == (state, who):
                return
            message = await self._socket.receive_json()
            self._take(message["kind"], message["data"])

    def _take(self, kind: str, data: Mapping[str, Any]) -> None:
        match kind, data:
            case "snapshot", {"items": list(items)}:
                self.calls = {one["key"]: one["item"] for one in items if one["kind"] == "call"}
            case "put", {"kind": "call"}:
                self.calls[data["key"]] = data["item"]
            case "drop", {"kind": "call"}:
                self.calls.pop(data["key"], None)


@asynccontextmanager
async def desk_of(controller: Controller, folder: Path) -> AsyncIterator[Board]:
    """The controller's socket, a desk that reads from it, and a browser at the desk."""
    url = controller.centre.database.url
    database, link = Database(url), Link(folder / "control", "secret")

    async def nothing(*_: object) -> None: ...

    await first_admin(database, hash_password("right"), announce=lambda: None)
    now = datetime.now(UTC)
    token = hashlib.sha256(b"cookie").hexdigest()
    async with database.writing() as session:
        session.add(DeskSession(token=token, user_id=1, csrf="c", created_at=now, seen_at=now))
    app = desk_app(
        settings=Settings(), home=Home(folder), database=database, controller=link,
        asterisk_http="127.0.0.1:1",
    )  # fmt: skip
    control = control_app("secret", controller.picture.feed, nothing, nothing)
    client = TestClient(TestServer(app), cookies={"careline-8080": "cookie"})
    async with serving(control, folder / "control"), controller.running(), client:
        origin = str(client.make_url("/")).rstrip("/")
        async with client.ws_connect("/feed", origin=origin) as socket:
            yield Board(socket)
    await link.close()
    await database.close()


def say(controller: Controller, *events: dict[str, Any]) -> None:
    for event in events:
        controller.ami.events.put_nowait(event)


@pytest.fixture(params=["sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    """Only here does one writer keep all the others waiting."""
    return str(request.param)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short name: a socket's path is bounded."""
    return tmp_path_factory.mktemp("h")


@pytest.mark.row("ACD-16")
async def test_the_card_is_there_while_another_holds_the_database(
    centre: Centre, folder: Path
) -> None:
    await centre.elder("王秀英")
    controller = Controller(centre)
    async with desk_of(controller, folder) as board:
        with locked(centre.database.url):
            begun = time.monotonic()
            say(controller, arrival(), ringing())
            async with asyncio.timeout(AT_ONCE_S):
                await board.until("ringing", "王秀英")
            assert board.calls[CALL]["seats"] == [SEAT]
            assert await centre.rows("SELECT * FROM call_record") == []
            await asyncio.sleep(begun + LOCKED_S - time.monotonic())
        # Saved at last, it is the same card still, and there is one of it.
        await until_row(centre, 1, "SELECT * FROM call_record WHERE state = 'ringing'")
        async with asyncio.timeout(AT_ONCE_S):
            await board.until("ringing", "王秀英")
        assert list(board.calls) == [CALL]


async def test_a_call_that_ends_before_it_was_saved_leaves_the_board(
    centre: Centre, folder: Path
) -> None:
    controller = Controller(centre)
    async with desk_of(controller, folder) as board:
        with locked(centre.database.url):
            say(controller, arrival(), ringing())
            async with asyncio.timeout(AT_ONCE_S):
                await board.until("ringing")
                controller.picture.heard(CallEnded(case_id=CALL, at=centre.clock.now(), cause=16))
                await board.until(None)


async def test_a_call_that_the_database_refuses_leaves_the_board(
    centre: Centre, folder: Path
) -> None:
    refuse = "BEGIN SELECT RAISE(ABORT, 'no'); END"
    async with centre.database.writing() as session:
        await session.execute(text(f"CREATE TRIGGER no BEFORE INSERT ON call_record {refuse}"))
    controller = Controller(centre)
    async with desk_of(controller, folder) as board:
        with locked(centre.database.url):
            say(controller, arrival())
            async with asyncio.timeout(AT_ONCE_S):
                await board.until("entered")
        async with asyncio.timeout(LOCKED_S):
            await board.until(None)
