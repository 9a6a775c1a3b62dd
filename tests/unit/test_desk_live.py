"""The live picture: places in the queue, what has just ended, and what a snapshot forgets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, cast

import pytest

from agent_desk.feed import BoardFeed
from agent_desk.live import JUST_ENDED, Picture
from sql import codec
from workflows import emergency
from workflows.call_facts import Call, Direction, Leg, Result, State
from workflows.errors import StoreDown
from workflows.events import Entry, KnownElder, Person, PersonJoined, RoomOpened

NOON = datetime(2026, 4, 18, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def waiting(id_: str, queued: float, queue: str = "hotline", **more: Any) -> Call:
    return Call(
        id=id_, entered_at=at(queued - 5), state=State.WAITING, entry=Entry.HOTLINE,
        caller="+8613800000001", queue=queue, queued_at=at(queued), **more,
    )  # fmt: skip


def ended(id_: str, when: float) -> Call:
    return Call(
        id=id_, entered_at=at(when - 60), state=State.ENDED, ended_at=at(when),
        result=Result.ABANDONED,
    )  # fmt: skip


@pytest.fixture
def picture() -> Picture:
    return Picture(["hotline", "emergency"], {"1001": "李敏"}, lambda number: f"{number[:3]}*")


def take(picture: Picture, *calls: Call) -> None:
    for call in calls:
        picture.take("call", codec.dump(call))


def snapshot(*calls: Call) -> dict[str, Any]:
    return {"calls": [codec.dump(c) for c in calls], "alarms": [], "trunks": [], "seats": []}


def item(picture: Picture, call_id: str) -> dict[str, Any]:
    return picture.items()["call", call_id]


def test_places_go_by_the_time_of_queueing(picture: Picture) -> None:
    take(picture, waiting("late", 30), waiting("early", 10), waiting("other", 5, "emergency"))
    places = {id_: item(picture, id_)["place"] for id_ in ("early", "late", "other")}
    assert places == {"early": 1, "late": 2, "other": 1}


def test_a_ringing_caller_keeps_the_place_and_the_wait(picture: Picture) -> None:
    leg = Leg(id="leg", party="seat", who="1001", started_at=at(20))
    first = waiting("first", 10)
    take(picture, first, waiting("second", 15))
    take(picture, replace(first, state=State.RINGING, ringing=("leg",), legs=(leg,)))
    assert item(picture, "first")["place"] == 1
    assert item(picture, "first")["since"] == at(10).timestamp() * 1000
    assert item(picture, "first")["seats"] == ["李敏 1001"]
    assert item(picture, "second")["place"] == 2


def test_everybody_moves_up_when_the_first_is_answered(picture: Picture) -> None:
    first = waiting("first", 10)
    take(picture, first, waiting("second", 15))
    take(picture, replace(first, state=State.TALKING, seat="1001", answered_at=at(25)))
    assert item(picture, "second")["place"] == 1
    assert item(picture, "first")["place"] == 0
    hotline = picture.items()["queue", "hotline"]
    assert hotline == {"name": "hotline", "waiting": 1, "since": at(15).timestamp() * 1000}


def test_empty_queues_are_shown_and_unknown_ones_too(picture: Picture) -> None:
    take(picture, waiting("a", 10, "doctor"))
    queues = {key: it["waiting"] for (kind, key), it in picture.items().items() if kind == "queue"}
    assert queues == {"hotline": 0, "emergency": 0, "doctor": 1}


def test_numbers_are_masked_before_they_leave(picture: Picture) -> None:
    take(picture, waiting("a", 10))
    assert item(picture, "a")["number"] == "+86*"
    placed = waiting("b", 10, direction=Direction.OUTBOUND, callee="+8613900000009")
    take(picture, placed)
    assert item(picture, "b")["number"] == "+86*"


def test_only_the_last_calls_that_ended_stay(picture: Picture) -> None:
    take(picture, *(ended(f"c{n}", n) for n in range(JUST_ENDED + 3)))
    kept = [key for kind, key in picture.items() if kind == "call"]
    assert sorted(kept) == sorted(f"c{n}" for n in range(3, JUST_ENDED + 3))


def test_a_snapshot_drops_live_calls_that_are_gone_and_keeps_ended_ones(picture: Picture) -> None:
    take(picture, waiting("gone", 10), ended("over", 5))
    assert picture.is_away
    picture.take("snapshot", snapshot(waiting("new", 20)))
    assert [key for kind, key in picture.items() if kind == "call"] == ["over", "new"]
    assert not picture.is_away


async def test_browsers_hear_only_of_changes(picture: Picture) -> None:
    feed = BoardFeed(picture)
    reader = cast("AsyncGenerator[str]", feed.read())
    async with aclosing(reader):
        assert json.loads(await anext(reader))["kind"] == "snapshot"
        feed.take("snapshot", snapshot(waiting("a", 10), waiting("b", 20)))
        feed.take("call", codec.dump(waiting("a", 10)))
        feed.take("order", {"id": "not ours"})
        feed.take("down", {})
        feed.take("down", {})
        feed.take("snapshot", snapshot(waiting("a", 10)))
        heard = [json.loads(await anext(reader)) for _ in range(9)]
    assert [m["seq"] for m in heard] == list(range(1, 10))
    assert [(m["kind"], m["data"].get("key")) for m in heard] == [
        ("back", None),
        ("put", "a"),
        ("put", "b"),
        ("put", "hotline"),
        ("put", "emergency"),
        ("away", None),
        ("back", None),
        ("drop", "b"),
        ("put", "hotline"),
    ]


class Controller:
    """A controller whose feed has all of this waiting, and then nothing more."""

    def __init__(self, *calls: Call) -> None:
        self._messages = [
            {"kind": "snapshot", "data": snapshot()},
            *({"kind": "call", "data": codec.dump(call)} for call in calls),
        ]

    async def feed(self) -> AsyncGenerator[dict[str, Any], None]:
        for message in self._messages:
            yield message
        await asyncio.Event().wait()


async def nothing() -> None:
    """What is done when the controller is there: here nothing."""


async def uncounted() -> tuple[int, int]:
    raise StoreDown("no database is here")


async def test_a_desk_that_got_behind_draws_once(picture: Picture) -> None:
    feed = BoardFeed(picture)
    controller = Controller(*(waiting("a", queued) for queued in range(50)))
    reader = cast("AsyncGenerator[str]", feed.read())
    async with aclosing(reader):
        await anext(reader)
        feed.start(cast("Any", controller), (), back=nothing, today=uncounted)
        heard = [json.loads(await anext(reader)) for _ in range(4)]
    assert [m["data"].get("key") for m in heard] == [None, "a", "hotline", "emergency"]
    assert heard[1]["data"]["item"]["since"] == at(49).timestamp() * 1000
    assert feed.is_reading
    await feed.stop()
    assert not feed.is_reading


async def test_a_quiet_feed_ticks(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_desk.feed.TICK_EVERY_S", 0.01)
    feed = BoardFeed(picture)
    reader = cast("AsyncGenerator[str]", feed.read())
    async with aclosing(reader):
        await anext(reader)
        feed.start(cast("Any", Controller()), (), back=nothing, today=uncounted)
        heard = [json.loads(await anext(reader)) for _ in range(8)]
    await feed.stop()
    assert [m["seq"] for m in heard] == list(range(1, 9))
    assert "tick" in {m["kind"] for m in heard}


def test_an_unreadable_message_is_logged_and_left_out(
    picture: Picture, caplog: pytest.LogCaptureFixture
) -> None:
    feed = BoardFeed(picture)
    feed.take("call", {"id": "x"})
    feed.take("seat", {})
    assert "cannot be read" in caplog.text
    assert not any(kind == "call" for kind, _ in picture.items())


# ── a phone rings, and the database has not heard it yet ──────────────────────────────────────


def rings(call: str, seat: str = "1001", leg: str = "leg") -> dict[str, str]:
    return {"call": call, "seat": seat, "leg": leg, "at": at(20).isoformat()}


def test_the_card_is_there_when_the_phone_rings(picture: Picture) -> None:
    take(picture, waiting("first", 10, caller_name="王秀英"), waiting("second", 15))
    picture.take("ringing", rings("first"))
    card = item(picture, "first")
    assert (card["state"], card["seats"], card["place"]) == ("ringing", ["李敏 1001"], 1)
    assert (card["who"], card["number"]) == ("王秀英", "+86*")
    assert item(picture, "second")["state"] == "waiting"


def test_a_phone_that_rang_in_vain_is_shown_no_more(picture: Picture) -> None:
    take(picture, waiting("first", 10))
    picture.take("ringing", rings("first"))
    picture.take("ringing_over", rings("first"))
    assert item(picture, "first")["state"] == "waiting"


def test_a_call_that_has_gone_on_is_not_called_ringing_again(picture: Picture) -> None:
    first = waiting("first", 10)
    picture.take("ringing", rings("first"))
    take(picture, replace(first, state=State.TALKING, seat="1001", answered_at=at(25)))
    assert item(picture, "first")["state"] == "talking"


def test_two_phones_that_ring_for_one_call_are_both_shown_once(picture: Picture) -> None:
    leg = Leg(id="leg", party="seat", who="1001", started_at=at(20))
    ringing = replace(waiting("first", 10), state=State.RINGING, ringing=("leg",), legs=(leg,))
    take(picture, ringing)
    picture.take("ringing", rings("first"))
    picture.take("ringing", rings("first", "1002", "other"))
    assert item(picture, "first")["seats"] == ["李敏 1001", "1002"]


def test_a_snapshot_brings_what_rings(picture: Picture) -> None:
    picture.take("ringing", rings("gone"))
    picture.take("snapshot", snapshot(waiting("first", 10)) | {"ringing": [rings("first")]})
    assert item(picture, "first")["state"] == "ringing"
    picture.take("snapshot", snapshot(waiting("first", 10)))
    assert item(picture, "first")["state"] == "waiting"


# ── a call that is heard, and not saved yet ───────────────────────────────────────────────────


def arrived(id_: str, **more: Any) -> dict[str, Any]:
    """What the controller says of a call the moment it comes."""
    call = Call(id=id_, entered_at=at(5), entry=Entry.HOTLINE, caller="+8613800000001", **more)
    return codec.dump(call)


def test_a_phone_that_rings_for_a_call_not_saved_yet_has_its_card(picture: Picture) -> None:
    picture.take("arrived", arrived("a"))
    picture.take("ringing", rings("a"))
    assert (item(picture, "a")["state"], item(picture, "a")["who"]) == ("ringing", "")
    picture.take("arrived", arrived("a", elders=(KnownElder(id=1, name="王秀英", uid="E1"),)))
    card = item(picture, "a")
    assert (card["state"], card["who"], card["seats"]) == ("ringing", "王秀英", ["李敏 1001"])


def test_the_saved_call_takes_the_place_of_the_one_that_was_heard(picture: Picture) -> None:
    picture.take("arrived", arrived("a"))
    take(picture, waiting("a", 10))
    picture.take("arrived", arrived("a"))
    picture.take("arrival_over", {"id": "a"})
    assert [key for key in picture.items() if key[0] == "call"] == [("call", "a")]
    assert item(picture, "a")["state"] == "waiting"


def test_a_call_that_was_never_saved_is_taken_away(picture: Picture) -> None:
    for id_ in ("refused", "forgotten"):
        picture.take("arrived", arrived(id_))
    picture.changes()
    picture.take("arrival_over", {"id": "refused"})
    assert picture.changes() == {("call", "refused"): None}
    # A controller that died knows nothing of the other one.
    picture.take("snapshot", snapshot() | {"arrived": [arrived("new")]})
    assert [key for kind, key in picture.items() if kind == "call"] == ["new"]


# ── only what changes is drawn and told ───────────────────────────────────────────────────────


def test_one_message_among_many_calls_draws_one() -> None:
    drawn: list[str] = []

    def masked(number: str) -> str:
        drawn.append(number)
        return "*"

    picture = Picture(["hotline"], {}, masked)
    take(picture, *(waiting(f"c{n}", n) for n in range(50)))
    picture.changes()
    drawn.clear()
    picture.take("ringing", rings("c20"))
    assert list(picture.changes()) == [("call", "c20")]
    assert len(drawn) == 1


def test_who_rings_is_told_before_everybody_else(picture: Picture) -> None:
    take(picture, waiting("first", 10), waiting("second", 15))
    picture.take("seat", {"extension": "1001", "state": "ringing"})
    picture.take("ringing", rings("second"))
    kinds = [(kind, key) for kind, key in picture.changes()]
    assert kinds[:2] == [("call", "second"), ("call", "first")]


@pytest.mark.parametrize("seed", range(5))
def test_step_by_step_it_shows_what_a_fresh_look_shows(picture: Picture, seed: int) -> None:
    luck = Random(seed)
    calls: dict[str, Call] = {}
    board: dict[tuple[str, str], Any] = {}
    for _ in range(200):
        id_ = f"c{luck.randrange(12)}"
        queue = luck.choice(("hotline", "doctor"))
        calls[id_] = luck.choice((
            waiting(id_, luck.randrange(99), queue),
            replace(waiting(id_, 3, queue), state=State.TALKING, answered_at=at(50)),
            ended(id_, luck.randrange(99)),
        ))  # fmt: skip
        take(picture, calls[id_])
        if luck.random() < 0.5:
            board |= picture.changes()
    board |= picture.changes()
    fresh = Picture(["hotline", "emergency"], {"1001": "李敏"}, lambda number: f"{number[:3]}*")
    fresh.take("snapshot", snapshot(*picture._calls.values()))
    assert {key: shown for key, shown in board.items() if shown is not None} == fresh.items()


def test_in_an_emergency_each_seat_is_shown_with_its_role_and_who_is_still_rung_sees_it(
    picture: Picture,
) -> None:
    """The second seat's card is there although the first one talks already."""
    opened = RoomOpened(case_id="call", at=at(0))
    case, _ = emergency.step(emergency.begin(opened), opened)
    came = PersonJoined(
        case_id="call", at=at(3), person=Person(leg="leg", party="seat", who="1001")
    )
    case, _ = emergency.step(case, came)
    take(picture, replace(waiting("call", 0, "emergency"), state=State.TALKING, seat="1001"))
    picture.take("emergency", codec.dump(case))
    picture.take("ringing", {"call": "call", "seat": "1002", "leg": "leg2", "at": ""})
    shown = item(picture, "call")
    assert shown["seats"] == ["A 李敏 1001"]
    assert (shown["at"], shown["rings"]) == (["1001", "1002"], ["1002"])
    assert [(one["role"], one["at"]) for one in shown["roles"]] == [("A", "1001"), ("B", "")]
    picture.take("ringing_over", {"call": "call", "leg": "leg2"})
    assert item(picture, "call")["at"] == ["1001"]


def test_an_alarm_about_a_role_is_named_by_its_call(picture: Picture) -> None:
    alarm = {"key": "role missing/call/B", "kind": "role missing", "text": "call: B"}
    picture.take("alarm", alarm)
    assert picture.items()["alarm", alarm["key"]]["call"] == "call"
