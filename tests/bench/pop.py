"""`bench pop`: from the ringing of a seat's phone to the card on the desk, with many calls up.

Beside it, in the same run, the least that is possible: a bare AMI listener that pushes to a
WebSocket.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.place import Load, bench_town, put_down
from tests.bench.result import Result, Target, percentile
from tests.house import ROOT, Town
from tests.observer import wait_until
from tests.telephone import Leg

PER_S: Final = 5.0
LIFE_S: Final = 10.0
SPARE_SEATS: Final = 15
READY_S: Final = 30

Line = dict[str, Any]


def bench(calls: int = 50, seconds: float = 60.0) -> Result:
    """`calls` are up at any moment, one comes when one goes, for so many seconds."""
    per_second = min(PER_S, calls / LIFE_S)
    with bench_town(calls + SPARE_SEATS) as town, watched(town) as seen:
        up: deque[Leg] = deque()
        load = Load(town.carrier, per_second)
        for leg in load.place(calls + max(1, int(seconds * per_second))):
            up.append(leg)
            if len(up) > calls:
                put_down(town.carrier.observer, [up.popleft()])
        _wait_for_cards(seen, load.placed)
        rang = {line["call"]: line["rang"] for line in seen.rang if "rang" in line}
        came = {
            way: {line["call"]: line["seen"] for line in lines if "seen" in line}
            for way, lines in (("desk", seen.desk), ("bare", seen.bare))
        }
    # What was measured while the calls were still few does not count.
    late = list(rang)[calls:]
    desk, bare = (
        [(came[way][call] - rang[call]) * 1000 for call in late if call in came[way]]
        for way in ("desk", "bare")
    )
    p50, bare_p50 = percentile(desk, 0.5), percentile(bare, 0.5)
    over = round(p50 - bare_p50, 2) if p50 is not None and bare_p50 is not None else None
    return Result(
        "pop",
        {
            "calls_up": calls,
            "calls_per_s": round(per_second, 2),
            "cards": len(desk),
            "cards_missing": len(late) - len(desk),
            "calls_that_rang_nowhere": load.placed - len(rang),
            "p50_ms": p50,
            "p99_ms": percentile(desk, 0.99),
            "bare_p50_ms": bare_p50,
            "bare_p99_ms": percentile(bare, 0.99),
            "p50_over_bare_ms": over,
        },
        {
            "cards_missing": Target(at_most=0),
            "p50_over_bare_ms": Target(at_most=5.0),
            "p99_ms": Target(at_most=50.0),
        },
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """What the three watchers wrote, line by line."""

    rang: list[Line]
    bare: list[Line]
    desk: list[Line]


def _wait_for_cards(seen: Seen, calls: int) -> None:
    """Return when every call's card came both ways; one that never comes is a figure."""
    with suppress(AssertionError):
        # The first line of each says that it is ready.
        wait_until(lambda: min(len(seen.bare), len(seen.desk)) > calls, 15)


@contextmanager
def watched(town: Town) -> Iterator[Seen]:
    """Two browsers, one on the desk and one behind the bare listener, from their readiness on."""
    house = town.house
    desk = {"desk": house.ready["desk"].rstrip("/"), "password": house.admin_password}
    host, secret = house.settings.addresses.internal, house.home.secret("ami")
    with watcher("bare_listener", {"host": host, "secret": secret}) as rang:
        bare = {"url": rang[0]["url"]}
        with watcher("bare_browser", bare) as in_bare, watcher("desk_browser", desk) as in_desk:
            yield Seen(rang, in_bare, in_desk)


@contextmanager
def watcher(role: str, words: dict[str, str]) -> Iterator[list[Line]]:
    """What this watcher writes, once it has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.watch", role],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    seen: list[Line] = []
    lines = process.stdout
    reading = threading.Thread(
        target=lambda: seen.extend(json.loads(line) for line in lines), daemon=True
    )
    try:
        process.stdin.write(json.dumps(words) + "\n")
        process.stdin.flush()
        reading.start()
        wait_until(lambda: seen, READY_S, f"the watcher {role}")
        yield seen
    finally:
        process.stdin.close()
        process.wait(10)
        reading.join(10)
        process.stdout.close()
