"""The most calls whose sound is all recorded: with Careline, and by the dialplan alone.

Both are measured in the same way, on what is kept in the end.
"""

from __future__ import annotations

import sys
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from asterisk_conf.instance import service_user
from asterisk_conf.sounds import PROMPTS
from home import Home
from launch import asterisk_tree
from settings import load
from tests.asterisk.conftest import running_carrier, running_centre
from tests.bench.place import (
    FIRST_SEAT,
    bench_town,
    configuration,
    kept_lengths,
    share,
    talk,
    talks,
    temporary,
)
from tests.observer import Observer
from tests.telephone import Carrier, claim_addresses, finished

ENOUGH: Final = 0.995
SPARE_SEATS: Final = 3
PER_S: Final = 10.0
STEP: Final = 1.25

Measured = Callable[[int, float], float]


def most_calls(first: int, seconds: float) -> dict[str, float | None]:
    """The figures of `bench calls --ceiling`."""
    ours, bare = _most(with_careline, first, seconds), _most(by_dialplan_alone, first, seconds)
    return {
        "most_calls": ours,
        "most_calls_bare": bare,
        "most_calls_ratio": round(ours / bare, 3) if bare else None,
    }


def _most(measured: Measured, first: int, seconds: float) -> int:
    """Go up by a quarter until sound is missing; 0 when it is from the first."""
    held, calls = 0, first
    while _share(measured, calls, seconds) >= ENOUGH:
        held, calls = calls, int(calls * STEP)
    return held


def _share(measured: Measured, calls: int, seconds: float) -> float:
    try:
        found = measured(calls, seconds)
    except AssertionError as too_much:
        # What does not come in time, a talk or its recording, is how a ceiling shows itself.
        print(f"{measured.__name__}: {calls} calls: {too_much}", file=sys.stderr)
        return 0.0
    print(f"{measured.__name__}: {calls} calls: {found:.4f} recorded", file=sys.stderr)
    return found


def with_careline(calls: int, seconds: float) -> float:
    with bench_town(calls + SPARE_SEATS) as town:
        talk(town.carrier, town.observer, calls, seconds, PER_S)
        return share(talks(town.observer), kept_lengths(town.house, calls))


def by_dialplan_alone(calls: int, seconds: float) -> float:
    """The same dialplan and nothing of ours beside it."""
    with _bare(calls + SPARE_SEATS) as (observer, carrier, recordings):
        talk(carrier, observer, calls, seconds, PER_S)
        talked = talks(observer)
        return share(talked, {call: _length(recordings / f"{call}.wav") for call in talked})


@contextmanager
def _bare(seats: int) -> Iterator[tuple[Observer, Carrier, Path]]:
    tree, user = asterisk_tree.find(), service_user()
    with temporary() as folder, claim_addresses() as block:
        settings = load(configuration(folder / "careline.toml", block, seats), {})
        home = Home(folder / "home")
        with (
            running_centre(home, settings, tree, user, PROMPTS) as centre,
            running_carrier(folder / "carrier", block, centre, tree, user) as carrier,
        ):
            for number in range(seats):
                carrier.phone(str(FIRST_SEAT + number)).answers(0.2, 740)
            yield centre.observer, carrier, home.live_recordings
            carrier.hang_up_all()


def _length(wav: Path) -> float:
    with wave.open(str(finished(wav))) as sound:
        return float(sound.getnframes()) / float(sound.getframerate())
