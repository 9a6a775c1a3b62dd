"""The listener: every event in its turn, through a lost connection and a database that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, cast

import pytest

from telephony import listener as listener_module
from telephony import switchboard as switchboard_module
from telephony.ami import Ami, AmiDown
from telephony.listener import Listener
from telephony.reconcile import OpenCall
from telephony.switchboard import Change, PictureNow, Switchboard, TrunkNow
from telephony.translate import Translator
from workflows.commands import ResumeSeat
from workflows.errors import StoreDown
from workflows.events import CallEnded, CallQueued, CallVanished, Event, KeyPressed, SeatRang

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
CONNECTED: Final = {"Event": "Connected"}


class Asterisk:
    """Events come out of a queue; lists are empty, or fail as often as is said."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.is_up = True
        self.failures = 0
        self.lists: dict[str, list[Any]] = {}
        self.actions: list[dict[str, str]] = []

    async def listing(self, name: str, **fields: str) -> list[Any]:
        if self.failures:
            self.failures -= 1
            raise AmiDown("gone")
        return self.lists.get(name, [])

    async def action(self, name: str, **fields: str) -> dict[str, str]:
        if name != "CoreStatus":
            self.actions.append({"Action": name, **fields})
        return {}


class Ear:
    """A listener and all that it tells."""

    def __init__(self) -> None:
        self.asterisk = Asterisk()
        self.told: list[Event | Change | bool] = []
        self.heard: list[Event] = []
        self.refused: list[Event] = []
        self.feed: asyncio.Queue[Event] = asyncio.Queue()
        self.offered: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.stored: list[bool] = []
        self.away = 0
        self.open: dict[str, OpenCall] = {}
        self.switchboard = Switchboard(["1001"], {"carrier": False})
        self.listener = Listener(
            cast("Ami", self.asterisk),
            Translator("node1", str),
            self.switchboard,
            handle_many=self.take_some, heard=self.hear,
            refused=self.refused.append, open_calls=self.open_calls, changed=self.told.append,
            connected=self.told.append, stored=self.stored.append, now=lambda: NOW,
        )  # fmt: skip

    def hear(self, event: Event) -> None:
        self.heard.append(event)
        self.feed.put_nowait(event)

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

    async def open_calls(self) -> dict[str, OpenCall]:
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
    assert [event.case_id for event in ear.refused] == ["c2"]


async def test_who_rings_is_told_before_the_rest_of_a_burst(ear: Ear) -> None:
    async def left_when_told() -> int:
        await ear.feed.get()
        return ear.asterisk.events.qsize()

    reading = asyncio.ensure_future(left_when_told())
    await asyncio.sleep(0)
    of_call = ["CARELINE_CALL=c1", "CARELINE_PARTY=caller"]
    rings = {
        "Event": "AgentCalled", "Uniqueid": "c1", "ChanVariable": of_call,
        "Interface": "PJSIP/1001", "DestUniqueid": "c1-leg",
    }  # fmt: skip
    for event in (rings, *({"Event": "Newstate", "Uniqueid": f"n-{n}.1"} for n in range(10))):
        ear.asterisk.events.put_nowait(event)
    assert await reading == 10
    assert [type(event) for event in ear.heard] == [SeatRang]


async def test_a_connect_compares_calls_only_when_what_was_heard_is_saved(ear: Ear) -> None:
    ear.gate.clear()
    ear.joined("c1")
    ear.asterisk.events.put_nowait(CONNECTED)
    ear.open = {"c9": OpenCall("talking")}
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
    ear.open = {"c1": OpenCall("talking")}
    ear.asterisk.events.put_nowait(CONNECTED)
    ear.asterisk.events.put_nowait(None)
    await ear.until(lambda: ear.told[-1:] == [False])
    assert ear.told == [
        TrunkNow("carrier", "down"), CallVanished(case_id="c1", at=NOW), True, False,
    ]  # fmt: skip


async def test_a_connect_while_the_database_is_away_is_not_forgotten(ear: Ear) -> None:
    """The trunk's change, the open calls and what was missed: each waits for the database."""
    ear.open, ear.away = {"c1": OpenCall("talking")}, 4
    ear.asterisk.events.put_nowait(CONNECTED)
    await ear.until(lambda: True in ear.told)
    assert ear.told == [
        TrunkNow("carrier", "down"), CallVanished(case_id="c1", at=NOW), True,
    ]  # fmt: skip


async def test_asterisk_is_there_though_the_database_is_away(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls go on to be shown, and one that came meanwhile does not pass for vanished."""
    monkeypatch.setattr(listener_module, "PATIENCE_S", 0.01)
    ear.away = 10**6
    ear.asterisk.events.put_nowait(CONNECTED)
    ear.joined("c2")
    await ear.until(lambda: len(ear.heard) == 1 and True in ear.told)
    first = {"Uniqueid": "c2", "ChanVariable": "CARELINE_CALL=c2"}
    ear.asterisk.lists["CoreShowChannels"] = [first]
    ear.open = {"c1": OpenCall("talking"), "c2": OpenCall("queued")}
    monkeypatch.setattr(listener_module, "PATIENCE_S", 3)
    ear.away = 0
    gone = CallVanished(case_id="c1", at=NOW)
    await ear.until(lambda: gone in ear.told)
    assert [one for one in ear.told if isinstance(one, CallVanished)] == [gone]
    assert ear.calls() == ["c2"]


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


@pytest.fixture
async def watched(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ear]:
    """The picture is looked at all the time, and a second look may follow at once."""
    monkeypatch.setattr(listener_module, "LOOK_EVERY_S", 0.002)
    monkeypatch.setattr(switchboard_module, "SECOND_LOOK_S", 0.0)
    watching = asyncio.ensure_future(ear.listener.watch())
    yield ear
    assert not watching.done()
    watching.cancel()


async def test_trunks_are_looked_at_again_and_again(watched: Ear) -> None:
    watched.asterisk.failures, watched.away = 2, 2
    await watched.until(lambda: TrunkNow("carrier", "down") in watched.told)


GHOST: Final = {
    "Event": "Newchannel", "Uniqueid": "x1", "Channel": "PJSIP/1001-1", "ChannelStateDesc": "Up"
}  # fmt: skip


async def test_a_picture_that_stays_wrong_is_told_and_read_anew(watched: Ear) -> None:
    """A call whose end nobody heard would keep its seat busy for ever."""
    watched.asterisk.events.put_nowait(GHOST)
    await watched.until(lambda: any(isinstance(t, PictureNow) and t.differs for t in watched.told))
    wrong = next(t for t in watched.told if isinstance(t, PictureNow) and t.differs)
    assert wrong.differs == (
        "leg x1: the picture says PJSIP/1001-1 Up in bridge -, Asterisk says is not there",
    )
    await watched.until(lambda: watched.told[-1] == PictureNow())
    assert watched.switchboard.exchange.legs == {}
    assert watched.switchboard.seats["1001"].state == "offline"


async def test_a_wrap_up_of_a_clock_that_was_set_back_is_ended(watched: Ear) -> None:
    member = {"Event": "QueueMember", "Queue": "hotline", "Location": "PJSIP/1001"}
    watched.asterisk.lists["QueueStatus"] = [{**member, "LastCall": str(2**31 - 1)}]
    reset = {"Action": "QueueReset", "Queue": "hotline"}
    await watched.until(lambda: reset in watched.asterisk.actions)


async def test_an_event_on_its_way_is_no_fault(watched: Ear) -> None:
    """Asterisk's list has the leg first, its event comes a moment later."""
    watched.asterisk.lists["CoreShowChannels"] = [{**GHOST, "Event": "CoreShowChannel"}]
    await watched.until(lambda: watched.switchboard.is_in_doubt)
    watched.asterisk.events.put_nowait(GHOST)
    await watched.until(lambda: PictureNow() in watched.told)
    # Whether the second look came before the event is for the machine to say; later none does.
    assert not watched.switchboard.is_in_doubt


async def test_what_a_seat_asks_is_done_beside_the_events(ear: Ear) -> None:
    member = {"Event": "QueueMember", "Queue": "hotline", "Location": "PJSIP/1001", "Status": "1"}
    emergency = {**member, "Queue": "emergency"}
    free = {"Device": "PJSIP/1001", "State": "NOT_INUSE"}
    ear.asterisk.lists = {"QueueStatus": [member, emergency], "DeviceStateList": [free]}
    ear.asterisk.events.put_nowait(CONNECTED)
    ear.asterisk.events.put_nowait({"Event": "AgentRingNoAnswer", "Interface": "PJSIP/1001"})
    await ear.until(lambda: bool(ear.asterisk.actions))
    # An emergency rings everybody, whoever left a call ringing before.
    assert ear.asterisk.actions == [
        {"Action": "QueuePenalty", "Interface": "PJSIP/1001", "Penalty": "50", "Queue": "hotline"}
    ]
    assert ear.switchboard.seats["1001"].state == "not answering"
    await ear.listener.wish(ResumeSeat(case_id="1001", at=NOW, by="李敏"))
    await ear.until(lambda: len(ear.asterisk.actions) == 2)
    assert ear.asterisk.actions[1]["Penalty"] == "0"
