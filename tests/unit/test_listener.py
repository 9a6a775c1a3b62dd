"""The listener: every event in its turn, through a lost connection and a database that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, cast

import pytest

from telephony import listener as listener_module
from telephony.ami import Ami, AmiDown
from telephony.listener import Listener
from telephony.switchboard import Change, Switchboard, TrunkNow
from telephony.translate import Translator
from workflows.errors import StoreDown
from workflows.events import CallEnded, CallQueued, CallVanished, Event, KeyPressed

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
CONNECTED: Final = {"Event": "Connected"}


class Asterisk:
    """Events come out of a queue; lists are empty, or fail as often as is said."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.is_up = True
        self.failures = 0

    async def listing(self, name: str) -> list[Any]:
        if self.failures:
            self.failures -= 1
            raise AmiDown("gone")
        return []


class Ear:
    """A listener and all that it tells."""

    def __init__(self) -> None:
        self.asterisk = Asterisk()
        self.told: list[Event | Change | bool] = []
        self.heard: list[Event] = []
        self.offered: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.stored: list[bool] = []
        self.away = 0
        self.open: dict[str, str] = {}
        self.listener = Listener(
            cast("Ami", self.asterisk),
            Translator("node1", str),
            Switchboard(["1001"], {"carrier": False}),
            handle_many=self.take_some, heard=self.heard.append, open_calls=self.open_calls,
            changed=self.take,
            connected=self.told.append, stored=self.stored.append, now=lambda: NOW,
        )  # fmt: skip

    async def take_some(self, events: Sequence[Event]) -> int:
        """Take at most two of them, as a runner does that has little time."""
        await self.gate.wait()
        self.offered.append(len(events))
        await self.take(events[0])
        if len(events) == 1 or (isinstance(events[1], CallQueued) and events[1].queue == "faulty"):
            return 1
        self.told.append(events[1])
        return 2

    async def take(self, what: Event | Change) -> None:
        if self.away:
            self.away -= 1
            raise StoreDown("the database is away")
        if isinstance(what, CallQueued) and what.queue == "faulty":
            raise LookupError("a fault of ours")
        self.told.append(what)

    async def open_calls(self) -> dict[str, str]:
        if self.away:
            self.away -= 1
            raise StoreDown("the database is away")
        return self.open

    def joined(self, call: str, queue: str = "hotline") -> None:
        self.asterisk.events.put_nowait(
            {"Event": "QueueCallerJoin", "Queue": queue, "Position": "1",
             "ChanVariable": f"CARELINE_CALL={call}"}
        )  # fmt: skip

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(3):
            # The listener tells what it does, but not that it has done everything.
            while not is_so():  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    def calls(self) -> list[str]:
        return [one.case_id for one in self.told if isinstance(one, CallQueued)]


@pytest.fixture
async def ear(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ear]:
    monkeypatch.setattr(listener_module, "TRY_AGAIN_S", 0.002)
    ear = Ear()
    running = asyncio.ensure_future(ear.listener.run())
    yield ear
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_while_the_database_is_away_events_wait_in_their_order(ear: Ear) -> None:
    ear.away = 5
    for call in ("c1", "c2", "c3"):
        ear.joined(call)
    await ear.until(lambda: len(ear.told) == 3)
    assert ear.calls() == ["c1", "c2", "c3"]


async def test_what_waits_is_offered_together_and_in_order(ear: Ear) -> None:
    """A slow database holds up neither the picture nor the order of what is told."""
    ear.gate.clear()
    calls = [f"c{n}" for n in range(7)]
    for call in calls:
        ear.joined(call)
    await ear.until(lambda: len(ear.heard) == 7)
    assert ear.told == []
    ear.gate.set()
    await ear.until(lambda: ear.calls() == calls)
    assert [event.case_id for event in ear.heard] == calls
    assert max(ear.offered) > 1


async def test_an_event_that_cannot_be_taken_costs_none_of_its_neighbours(ear: Ear) -> None:
    ear.gate.clear()
    for call, queue in (("c1", "hotline"), ("c2", "faulty"), ("c3", "hotline"), ("c4", "hotline")):
        ear.joined(call, queue)
    await ear.until(lambda: len(ear.heard) == 4)
    ear.gate.set()
    await ear.until(lambda: ear.calls() == ["c1", "c3", "c4"])


async def test_a_connect_compares_calls_only_when_what_was_heard_is_saved(ear: Ear) -> None:
    ear.gate.clear()
    ear.joined("c1")
    ear.asterisk.events.put_nowait(CONNECTED)
    ear.open = {"c9": "talking"}
    await ear.until(lambda: bool(ear.heard))
    ear.gate.set()
    await ear.until(lambda: True in ear.told)
    assert [one.case_id for one in ear.told if isinstance(one, Event)] == ["c1", "c9"]


async def test_one_event_that_fails_does_not_deafen_us(ear: Ear) -> None:
    ear.joined("c1", "faulty")
    ear.asterisk.events.put_nowait({"Event": "UserEvent"})
    ear.asterisk.events.put_nowait({"no": "event"})
    ear.joined("c2")
    await ear.until(lambda: ear.calls() == ["c2"])


async def test_a_connect_is_told_when_the_picture_is_read(ear: Ear) -> None:
    ear.open = {"c1": "talking"}
    ear.asterisk.events.put_nowait(CONNECTED)
    ear.asterisk.events.put_nowait(None)
    await ear.until(lambda: ear.told[-1:] == [False])
    assert ear.told == [
        TrunkNow("carrier", "down"), CallVanished(case_id="c1", at=NOW), True, False,
    ]  # fmt: skip


async def test_a_connect_while_the_database_is_away_is_not_forgotten(ear: Ear) -> None:
    """The trunk's change, the open calls and what was missed: each waits for the database."""
    ear.open, ear.away = {"c1": "talking"}, 4
    ear.asterisk.events.put_nowait(CONNECTED)
    await ear.until(lambda: True in ear.told)
    assert ear.told == [
        TrunkNow("carrier", "down"), CallVanished(case_id="c1", at=NOW), True,
    ]  # fmt: skip


async def test_a_picture_that_could_not_be_read_is_read_again(ear: Ear) -> None:
    ear.asterisk.failures = 3
    ear.asterisk.events.put_nowait(CONNECTED)
    await ear.until(lambda: True in ear.told)


async def test_a_connection_that_is_gone_again_is_not_read(ear: Ear) -> None:
    ear.asterisk.failures, ear.asterisk.is_up = 1, False
    ear.asterisk.events.put_nowait(CONNECTED)
    ear.asterisk.events.put_nowait(None)
    await ear.until(lambda: bool(ear.told))
    assert ear.told == [False]


async def test_a_key_in_a_menu_goes_the_way_of_all_events(ear: Ear) -> None:
    key = KeyPressed(case_id="c1", at=NOW, menu="hotline", key="1", choice="life_service")
    end = CallEnded(case_id="c1", at=NOW, cause=16)
    ear.away = 2
    ear.joined("c1")
    ear.listener.tell(key)
    ear.listener.tell(end)
    await ear.until(lambda: len(ear.told) == 3)
    assert ear.told[1:] == [key, end]


async def test_trunks_are_looked_at_again_and_again(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "TRUNKS_EVERY_S", 0.002)
    ear.asterisk.failures, ear.away = 2, 2
    watching = asyncio.ensure_future(ear.listener.watch_trunks())
    await ear.until(lambda: bool(ear.told))
    assert ear.told == [TrunkNow("carrier", "down")]
    assert not watching.done()
    watching.cancel()
