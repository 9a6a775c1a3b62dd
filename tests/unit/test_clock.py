"""Somebody sets the clock: calls keep their own time, and phones stay registered."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import pytest

from telephony.ami import Ami, AmiRefused
from telephony.call_clocks import REMEMBERED, CallClocks
from telephony.set_clock import ask_until, moved_value, wake
from workflows.events import CallArrived, CallEnded, Entry

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
HOUR: Final = 3600.0


class Clock:
    """The time of day, and the time that only passes."""

    def __init__(self) -> None:
        self.wall, self.steady = NOW.timestamp(), 500.0
        self.clocks = CallClocks(lambda: self.wall, lambda: self.steady)

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.wall, UTC)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def arrives(self, call: str = "c1") -> None:
        arrived = CallArrived(
            case_id=call, at=self.time, entry=Entry.HOTLINE, caller="", callee="", node="node1"
        )
        assert self.clocks.of_call(arrived) == arrived

    def ended_at(self, at: datetime | None = None, call: str = "c1") -> datetime:
        return self.clocks.of_call(CallEnded(case_id=call, at=at or self.time, cause=16)).at


@pytest.mark.parametrize("hours", [1, -1])
def test_a_call_keeps_the_clock_by_which_it_began(hours: int) -> None:
    clock = Clock()
    clock.arrives()
    clock.passes(60)
    before = clock.time
    clock.wall += hours * HOUR
    clock.passes(60)
    assert clock.ended_at() == NOW + timedelta(seconds=120)
    # What happened before the clock was set, and is heard of only now.
    assert clock.ended_at(before) == before
    clock.arrives("c2")
    assert clock.ended_at(call="c2") == clock.time
    # Nobody saw this one begin.
    assert clock.ended_at(call="c3") == clock.time


def test_a_clock_that_is_led_slowly_is_followed() -> None:
    clock = Clock()
    clock.arrives()
    clock.wall += 0.4
    assert clock.ended_at() == clock.time


def test_only_so_many_calls_are_remembered() -> None:
    clock = Clock()
    for number in range(REMEMBERED + 1):
        clock.arrives(f"c{number}")
    clock.wall += HOUR
    assert clock.ended_at(call="c0") == clock.time
    assert clock.ended_at(call="c1") == NOW


def test_the_end_of_a_registration_is_moved() -> None:
    kept = {"uri": "sip:phone-1001@127.0.0.3:5060", "expiration_time": "1772326860"}
    value = moved_value({"Val": json.dumps(kept)}, -3600)
    assert json.loads(value) == {**kept, "expiration_time": "1772323260"}


@pytest.mark.parametrize(
    "value",
    [
        "", "[]", "{}", "nonsense", '{"expiration_time": null}', '{"expiration_time": "soon"}',
        json.dumps({"expiration_time": "1", "uri": "x" * 1000}),
    ],
)  # fmt: skip
def test_a_registration_that_cannot_be_read_or_written_is_left(value: str) -> None:
    assert moved_value({"Val": value}, 3600) == ""


class Asterisk:
    """Lists channels, and refuses one of them."""

    def __init__(self, *channels: dict[str, Any]) -> None:
        self.channels, self.actions = channels, list[tuple[str, str]]()

    async def listing(self, name: str, **fields: str) -> list[dict[str, Any]]:
        assert name == "CoreShowChannels"
        return [*self.channels]

    async def action(self, name: str, **fields: str) -> None:
        to = fields.get("Channel") or fields["Endpoint"]
        if to == "gone":
            raise AmiRefused("No such channel")
        self.actions.append((name, to))


def channel(name: str, state: str, application: str, party: str) -> dict[str, Any]:
    return {
        "Channel": name, "ChannelStateDesc": state, "Application": application,
        "ChanVariable": f"CARELINE_PARTY={party}",
    }  # fmt: skip


async def test_who_waits_or_rings_is_not_left_to_a_clock_that_was_set_back() -> None:
    asterisk = Asterisk(
        channel("gone", "Up", "Queue", "caller"),
        channel("waiting", "Up", "Queue", "caller"),
        channel("menu", "Up", "AGI", "caller"),
        channel("seat", "Ringing", "AppQueue", "seat"),
        channel("contact", "Ringing", "AppDial", "contact"),
        # An elder whom a seat calls may ring on: the seat hears it.
        channel("called", "Ringing", "AppDial", "called"),
        channel("talking", "Up", "AppQueue", "seat"),
        channel("room", "Up", "ConfBridge", "caller"),
    )
    await wake(cast("Ami", asterisk))
    assert asterisk.actions == [
        ("PlayDTMF", "waiting"), ("PlayDTMF", "menu"), ("Hangup", "seat"), ("Hangup", "contact"),
    ]  # fmt: skip


async def test_phones_and_carriers_are_asked_until_the_clock_has_caught_up() -> None:
    asterisk = Asterisk()
    ami, endpoints = cast("Ami", asterisk), ["1001", "trunk-carrier"]
    await ask_until(ami, endpoints, time.monotonic() - HOUR)
    assert asterisk.actions == []
    asking = asyncio.create_task(ask_until(ami, endpoints, time.monotonic() + HOUR))
    await asyncio.sleep(0)
    assert asterisk.actions == [("PJSIPQualify", "1001"), ("PJSIPQualify", "trunk-carrier")]
    asking.cancel()
