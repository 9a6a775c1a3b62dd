"""From desk and worker to the controller: who may speak, what is understood, what is shown."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession, UnixConnector

import control
from control import Controller, ControllerDown, Feed, Message, control_app, serving
from sql import codec
from workflows import order
from workflows.commands import CancelOrder
from workflows.errors import CarelineError, NotAllowed, NotFound, Outdated, StoreDown
from workflows.events import Event

NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)
WISH: Final = CancelOrder(case_id="o1", at=NOW, by="张敏", reason="女儿来了")
END: Final = (
    b'{"because": null, "event": {"type": "CallEnded", "body":'
    b' {"case_id": "c", "at": "2026-03-01T01:00:00Z", "cause": 16}}}'
)
SECRET: Final = "the secret of this home"


class House:
    """A controller's side whose answer can be chosen, and what it was told."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "control.sock"
        self.picture: dict[str, Any] = {"calls": []}
        self.feed = Feed(lambda: dict(self.picture))
        self.told: list[tuple[Event, str | None]] = []
        self.refusal: Exception | None = None
        self.phones: dict[str, str] = {}

    async def take(self, event: Event, because: str | None) -> Any:
        self.told.append((event, because))
        if self.refusal:
            raise self.refusal
        return order.Order(id=event.case_id, accepted_at=event.at)

    async def keep(self, phones: Mapping[str, str]) -> None:
        if self.refusal:
            raise self.refusal
        self.phones = dict(phones)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with serving(control_app(SECRET, self.feed, self.take, self.keep), self.socket):
            yield

    @asynccontextmanager
    async def client(self, secret: str = SECRET) -> AsyncIterator[Controller]:
        client = Controller(self.socket, secret)
        try:
            yield client
        finally:
            await client.close()

    async def post(self, body: bytes, secret: str | bytes = SECRET) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {secret!s}", "Content-Type": "application/json"}
        async with (
            ClientSession(connector=UnixConnector(str(self.socket))) as session,
            session.post("http://controller/tell", data=body, headers=headers) as answer,
        ):
            return answer.status, await answer.json()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    async with house.serving():
        yield house


# ── telling ───────────────────────────────────────────────────────────────────────────────────


async def test_an_event_arrives_as_it_was_sent_and_the_case_comes_back(house: House) -> None:
    async with house.client() as client:
        case = await client.tell(WISH, because="a1")
    assert house.told == [(WISH, "a1")]
    assert (case["id"], case["state"]) == ("o1", "accepted")


@pytest.mark.parametrize("kind", [NotAllowed, NotFound, Outdated, StoreDown])
async def test_every_refusal_keeps_its_kind_and_its_words(
    house: House, kind: type[CarelineError]
) -> None:
    house.refusal = kind("it is closed; possible: nothing more")
    async with house.client() as client:
        with pytest.raises(CarelineError, match="it is closed; possible: nothing more") as refused:
            await client.tell(WISH)
    assert type(refused.value) is kind


def test_no_kind_of_refusal_is_forgotten() -> None:
    assert set(control.STATUS) == set(CarelineError.__subclasses__()) - {ControllerDown}


async def test_only_this_user_and_only_with_the_secret(house: House) -> None:
    assert stat.S_IMODE(house.socket.stat().st_mode) == 0o600
    body = b'{"event": {}}'
    for wrong in ("", "wrong", SECRET + "x", SECRET[:-1], "密码", "\udcff"):
        status, said = await house.post(body, wrong)
        assert (status, said) == (403, {"error": "not allowed here"})
    async with house.client("wrong") as client, aclosing(client.feed()) as feed:
        with pytest.raises(NotAllowed, match="not allowed here"):
            await client.tell(WISH)
        assert (await anext(feed))["kind"] == "down"
    assert house.told == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting"),
        (b"\xff\xfe", "decode"),
        (b"[" * 30_000, ""),
        (b"[]", "right would be"),
        (b"null", "right would be"),
        (b"{}", "this is no event"),
        (b'{"event": []}', "this is no event"),
        (b'{"event": {"type": []}}', "this is no event"),
        (b'{"event": {"type": "NoSuchThing", "body": {}}}', "this is no event"),
        (b'{"event": {"type": "Command", "body": {}}}', "this is no event"),
        (b'{"event": {"type": "CallEnded"}}', "CallEnded"),
        (b'{"event": {"type": "CallEnded", "body": {"case_id": "c"}}}', "CallEnded.at"),
        (END.replace(b"Z", b""), "CallEnded.at has no time zone"),
        (END.replace(b'"c"', b'"c\\ud800"'), "surrogates not allowed"),
        (END.replace(b"null", b"{}"), "because"),
    ],
)
async def test_what_is_no_event_is_refused_and_told_to_nobody(
    house: House, body: bytes, says: str
) -> None:
    status, said = await house.post(body)
    assert status == 400
    assert says in said["error"]
    assert house.told == []


async def test_too_long_a_text_is_refused_in_words(house: House) -> None:
    long = CancelOrder(case_id="o1", at=NOW, by="张敏", reason="长" * control.MAX_BODY)
    async with house.client() as client:
        with pytest.raises(NotAllowed, match="too long"):
            await client.tell(long)
    assert house.told == []


async def test_without_a_controller_a_wish_must_wait(tmp_path: Path) -> None:
    async with House(tmp_path).client() as client:
        with pytest.raises(ControllerDown, match=r"does not answer .*try again"):
            await client.tell(WISH)


async def test_a_controller_that_never_answers_is_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "TELL_TIMEOUT_S", 0.05)
    stuck = asyncio.Event()

    async def hang(_event: Event, _because: str | None) -> Any:
        await stuck.wait()

    other = House(house.socket.parent / "..")
    other.socket = house.socket.with_name("other.sock")
    async with (
        serving(control_app(SECRET, other.feed, hang, other.keep), other.socket),
        other.client() as it,
    ):
        with pytest.raises(ControllerDown):
            await it.tell(WISH)
        stuck.set()


async def test_a_fault_of_the_controller_is_no_crash_of_the_desk(house: House) -> None:
    house.refusal = RuntimeError("a fault")
    async with house.client() as client:
        with pytest.raises(ControllerDown, match=r"failed \(HTTP 500\); logs/controller.log"):
            await client.tell(WISH)


# ── the feed ──────────────────────────────────────────────────────────────────────────────────


async def read(feed: AsyncIterator[Message], most: int) -> list[Message]:
    async with asyncio.timeout(3):
        return [await anext(feed) for _ in range(most)]


async def test_the_feed_has_no_gap_between_the_picture_and_what_follows() -> None:
    picture = {"n": 0}
    feed = Feed(lambda: dict(picture))

    def change() -> None:
        picture["n"] += 1
        feed.publish("changed", picture["n"])

    change()
    async with aclosing(feed.read()) as reader:
        first = json.loads(await anext(reader))
        for _ in range(3):
            change()
        later = [json.loads(await anext(reader)) for _ in range(3)]
    assert (first["kind"], first["seq"], first["data"]) == ("snapshot", 1, {"n": 1})
    assert [(one["seq"], one["data"]) for one in later] == [(2, 2), (3, 3), (4, 4)]


async def test_a_reader_who_does_not_read_is_cut_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "READER_BACKLOG", 5)
    feed = Feed(dict)
    async with aclosing(feed.read()) as slow, aclosing(feed.read()) as quick:
        for reader in (slow, quick):
            await anext(reader)
        for n in range(20):
            feed.publish("changed", n)
            assert json.loads(await anext(quick))["data"] == n
        assert [json.loads(one)["data"] async for one in slow] == [0, 1, 2, 3, 4]
    assert not feed._readers


async def test_every_reader_sees_what_changes_and_says_when_the_controller_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "RECONNECT_S", 0.01)
    house = House(tmp_path)
    async with house.client() as client, aclosing(client.feed()) as feed:
        assert [one["kind"] for one in await read(feed, 2)] == ["down", "down"]
        async with house.serving():
            while (await read(feed, 1))[0]["kind"] != "snapshot":
                pass
            house.feed.publish("call", {"id": "c1", "who": "王秀英"})
            (change,) = await read(feed, 1)
            assert (change["kind"], change["data"]["who"]) == ("call", "王秀英")
            begun = time.monotonic()
        assert time.monotonic() - begun < 2, "readers must not hold up the controller's stop"
        assert [one["kind"] for one in await read(feed, 1)] == ["down"]
        house.picture = {"calls": ["c2"]}
        async with house.serving():
            while (message := (await read(feed, 1))[0])["kind"] != "snapshot":
                pass
            assert message["data"] == {"calls": ["c2"]}


async def test_a_reader_gets_only_the_kinds_that_it_asked_for(house: House) -> None:
    async with house.client() as client, aclosing(client.feed("outbox", "call")) as feed:
        assert [one["kind"] for one in await read(feed, 1)] == ["snapshot"]
        for kind in ("seat", "call", "trunk", "outbox", "seat"):
            house.feed.publish(kind, {})
        assert [one["kind"] for one in await read(feed, 2)] == ["call", "outbox"]


async def test_a_reader_who_goes_away_is_forgotten(house: House) -> None:
    async with house.client() as client, aclosing(client.feed()) as feed:
        await read(feed, 1)
        assert len(house.feed._readers) == 1
    async with asyncio.timeout(3):
        while house.feed._readers:  # noqa: ASYNC110 — it happens in the server, which tells nobody.
            await asyncio.sleep(0.01)


async def test_a_late_end_does_not_take_the_successors_socket_away(tmp_path: Path) -> None:
    old, new = House(tmp_path), House(tmp_path)
    first = old.serving()
    await first.__aenter__()
    async with new.serving():
        await first.__aexit__(None, None, None)
        async with new.client() as client:
            await client.tell(WISH)
        assert new.told
    assert not new.socket.exists()


def test_events_come_back_as_they_were() -> None:
    assert codec.load_event(codec.dump_event(WISH)) == WISH
