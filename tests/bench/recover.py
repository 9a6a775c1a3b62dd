"""`bench recover`: the controller is killed with calls up; when is the switchboard true again?"""

from __future__ import annotations

import asyncio
import os
import signal
import time

from control import Controller
from tests.bench.place import Load, bench_town, put_down
from tests.bench.result import Result, Target
from tests.house import Town
from tests.observer import wait_until
from tests.telephone import Leg

RAMP_PER_S = 5.0
GIVE_UP_S = 30.0


def bench(calls: int = 20) -> Result:
    """A tenth hang up while nobody listens: what was missed must be made good too."""
    with bench_town(calls + 2) as town:
        legs = list(Load(town.carrier, RAMP_PER_S).place(calls))
        wait_until(lambda: _talking(town) == calls, 30, f"{calls} calls up", lambda: _talking(town))
        away = max(1, calls // 10)
        gone, kept = legs[:away], legs[away:]
        seconds = asyncio.run(_kill_and_watch(town, gone, len(kept)))
        lost = calls - len(gone) - _talking(town)
    return Result(
        "recover",
        {"calls_up": calls, "calls_lost": lost, "true_again_s": seconds},
        {"true_again_s": Target(at_most=3.0), "calls_lost": Target(at_most=0)},
    )


def _talking(town: Town) -> int:
    """How many calls Asterisk itself has bridged with a seat."""
    return len(
        [
            channel
            for channel in town.observer.list_of("CoreShowChannels")
            if channel.get("CARELINE_PARTY") == "seat" and channel.get("BridgeId")
        ]
    )


async def _kill_and_watch(town: Town, gone: list[Leg], kept: int) -> float | None:
    """Seconds from the kill to a picture that is Asterisk's own; None when it never came."""
    home = town.house.home
    begun = time.monotonic()
    os.kill(town.house.child("controller"), signal.SIGKILL)
    await asyncio.to_thread(put_down, town.carrier.observer, gone)
    link = Controller(home.control_socket, home.secret("control"))
    picture = Picture()
    try:
        async with asyncio.timeout(GIVE_UP_S):
            async for message in link.feed():
                picture.take(message["kind"], message["data"])
                if picture.is_true(kept):
                    return round(time.monotonic() - begun, 2)
    except TimeoutError:
        return None
    finally:
        await link.close()
    return None


class Picture:
    """What a desk knows from the controller's feed: calls, seats, and whether Asterisk is heard."""

    def __init__(self) -> None:
        self.calls: dict[str, str] = {}
        self.seats: dict[str, str] = {}
        self.alarms: set[str] = {"asterisk"}

    def take(self, kind: str, data: dict[str, object]) -> None:
        match kind, data:
            case "snapshot", {"calls": list(calls), "seats": list(seats), "alarms": list(alarms)}:
                self.calls = {call["id"]: call["state"] for call in calls}
                self.seats = {seat["extension"]: seat["state"] for seat in seats}
                self.alarms = {alarm["key"] for alarm in alarms}
            case "call", {"id": str(id_), "state": str(state)}:
                self.calls[id_] = state
            case "seat", {"extension": str(extension), "state": str(state)}:
                self.seats[extension] = state
            case "alarm", {"key": str(key)}:
                self.alarms.add(key)
            case "alarm_ended", {"key": str(key)}:
                self.alarms.discard(key)

    def is_true(self, talking: int) -> bool:
        """So many calls and as many seats talk, and none else does."""
        live = [state for state in self.calls.values() if state != "ended"]
        seats = [state for state in self.seats.values() if state == "talking"]
        is_heard = "asterisk" not in self.alarms
        return is_heard and live == ["talking"] * talking and len(seats) == talking
