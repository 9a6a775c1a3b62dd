"""What the controller shows the moment it is heard, before the database has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, cast

import pytest

from control import Message
from picture import FALLBACK, LivePicture
from sql.store import SqlStore
from telephony.switchboard import SeatNow, Switchboard
from workflows import call
from workflows.errors import StoreDown
from workflows.events import (
    CallArrived,
    CallEnded,
    Caller,
    CallVanished,
    Entry,
    Event,
    KnownElder,
    KnownTerminal,
    LegEnded,
    SeatAnswered,
    SeatMissed,
    SeatRang,
)

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
RANG: Final = SeatRang(case_id="c1", at=NOW, seat="1001", leg="leg")
OTHER: Final = SeatRang(case_id="c2", at=NOW, seat="1002", leg="other")


ARRIVED: Final = CallArrived(
    case_id="c1", at=NOW, entry=Entry.HOTLINE, caller="+8613800000001", callee="96100"
)
WANG: Final = KnownElder(id=1, name="王秀英", uid="E1")
KEY: Final = KnownTerminal(serial="T-77", type="one_key")


class Readers:
    """A database that is read when the test lets it."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.is_away = False

    async def who_calls(self, number: str) -> Caller:
        await self.gate.wait()
        if self.is_away:
            raise StoreDown("away")
        return Caller(elders=(WANG,), terminal=KEY) if number == ARRIVED.caller else Caller()

    async def raise_alarm(self, *what: object) -> bool:
        return True

    async def end_alarm(self, *what: object) -> bool:
        return True


class At:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def readers() -> Readers:
    return Readers()


@pytest.fixture
def picture(readers: Readers) -> LivePicture:
    # Nothing here writes to the database: that is what is shown.
    return LivePicture(Switchboard([], {}), cast("SqlStore", readers), At(), lambda: None, "node1")


async def told(picture: LivePicture, *events: Event) -> list[Message]:
    """What a reader of the feed gets for these events."""
    async with aclosing(picture.feed.read()) as feed:
        await anext(feed)
        for event in events:
            picture.heard(event)
        picture.feed.publish("end", {})
        return await until_end(feed)


async def until_end(feed: AsyncGenerator[str, None]) -> list[Message]:
    messages = []
    while (message := json.loads(await anext(feed)))["kind"] != "end":
        messages.append(message)
    return messages


async def test_a_ringing_phone_is_told_with_its_call_and_seat(picture: LivePicture) -> None:
    (message,) = await told(picture, RANG)
    assert message["kind"] == "ringing"
    assert message["data"] == {
        "call": "c1", "seat": "1001", "leg": "leg", "at": NOW.isoformat(),
    }  # fmt: skip
    assert picture.snapshot()["ringing"] == [message["data"]]


@pytest.mark.parametrize(
    "end",
    [
        SeatMissed(case_id="c1", at=NOW, seat="1001", leg="leg"),
        SeatAnswered(case_id="c1", at=NOW, seat="1001", leg="leg"),
        LegEnded(case_id="c1", at=NOW, leg="leg", party="seat", cause=16),
        CallEnded(case_id="c1", at=NOW, cause=16),
        CallVanished(case_id="c1", at=NOW),
    ],
)
async def test_it_rings_no_more_when_answered_missed_or_gone(
    picture: LivePicture, end: Event
) -> None:
    messages = await told(picture, RANG, OTHER, end, end)
    assert [(m["kind"], m["data"]["leg"]) for m in messages] == [
        ("ringing", "leg"), ("ringing", "other"), ("ringing_over", "leg"),
    ]  # fmt: skip
    ringing: list[dict[str, Any]] = picture.snapshot()["ringing"]
    assert [r["leg"] for r in ringing] == ["other"]


async def test_an_asterisk_that_is_away_rings_nothing(picture: LivePicture) -> None:
    picture.heard(RANG)
    picture.connected(False)
    assert picture.snapshot()["ringing"] == []


# ── a call is shown before it is saved ────────────────────────────────────────────────────────


async def test_a_call_is_told_at_once_and_again_with_its_elder(
    picture: LivePicture, readers: Readers
) -> None:
    async with aclosing(picture.feed.read()) as feed:
        await anext(feed)
        picture.heard(ARRIVED)
        picture.heard(RANG)
        first, second = [json.loads(await anext(feed)) for _ in range(2)]
        readers.gate.set()
        third = json.loads(await anext(feed))
    assert [first["kind"], second["kind"], third["kind"]] == ["arrived", "ringing", "arrived"]
    assert (first["data"]["caller"], first["data"]["elders"]) == (ARRIVED.caller, [])
    assert [elder["name"] for elder in third["data"]["elders"]] == ["王秀英"]
    assert third["data"]["terminal"] == {"serial": "T-77", "type": "one_key"}
    assert picture.snapshot()["arrived"] == [third["data"]]
    assert picture.snapshot()["calls"] == []


@pytest.mark.parametrize("is_away", [False, True])
async def test_the_saved_call_stands_whatever_is_read_later(
    picture: LivePicture, readers: Readers, is_away: bool
) -> None:
    picture.heard(ARRIVED)
    saved, _ = call.step(call.begin(ARRIVED), ARRIVED)
    picture.case_changed("call", saved)
    readers.is_away = is_away
    readers.gate.set()
    await asyncio.gather(*picture._asking)
    picture.heard(ARRIVED)
    assert picture.snapshot()["arrived"] == []
    assert [one["id"] for one in picture.snapshot()["calls"]] == ["c1"]


async def test_a_call_that_is_refused_or_over_before_it_was_saved_is_shown_no_more(
    picture: LivePicture,
) -> None:
    other = replace(ARRIVED, case_id="c2")
    async with aclosing(picture.feed.read()) as feed:
        await anext(feed)
        for arrival in (ARRIVED, other):
            picture.heard(arrival)
        picture.refused(RANG)
        picture.refused(ARRIVED)
        picture.heard(CallEnded(case_id="c2", at=NOW, cause=16))
        picture.feed.publish("end", {})
        messages = await until_end(feed)
    gone = [m["data"]["id"] for m in messages if m["kind"] == "arrival_over"]
    assert gone == ["c1", "c2"]
    assert picture.snapshot()["arrived"] == []


def offline(seat: str) -> SeatNow:
    return SeatNow(seat, "offline")


def shown(picture: LivePicture) -> list[tuple[str, str]]:
    return [(a["key"], a["text"]) for a in picture.snapshot()["alarms"] if a["kind"] == FALLBACK]


def test_a_fallback_phone_that_is_away_is_an_alarm_until_it_is_back(readers: Readers) -> None:
    board = Switchboard(["1001", "1002"], {})
    sites = {"main": "1001", "north": ""}
    store = cast("SqlStore", readers)
    picture = LivePicture(board, store, At(), lambda: None, "node1", sites)
    assert shown(picture) == [], "before Asterisk was heard nobody knows"
    picture.connected(True)
    north = ("fallback phone/north", "north")
    assert shown(picture) == [("fallback phone/main", "main 1001"), north]
    for state, alarms in (
        ("available", [north]), ("paused", [north]), ("talking", [north]),
        ("offline", [north, ("fallback phone/main", "main 1001")]),
    ):  # fmt: skip
        board.seats["1001"] = SeatNow("1001", state)
        picture.changed(board.seats["1001"])
        picture.changed(offline("1002"))
        assert shown(picture) == alarms
