"""`bench start`: from `./careline run` to its ready line, on a machine that is set up."""

from __future__ import annotations

import time

from tests.bench.place import configuration, temporary
from tests.bench.result import Result, Target, percentile
from tests.house import running
from tests.telephone import claim_addresses


def bench(starts: int = 5) -> Result:
    """The first start makes the home; the others are warm."""
    took: list[float] = []
    with temporary() as folder, claim_addresses() as block:
        config = configuration(folder / "careline.toml", block, 2)
        for _ in range(starts + 1):
            begun = time.monotonic()
            with running(folder / "home", config):
                took.append(time.monotonic() - begun)
    first, *warm = took
    return Result(
        "start",
        {
            "first_start_s": round(first, 2),
            "warm_starts": len(warm),
            "warm_p50_s": percentile(warm, 0.5),
            "warm_worst_s": percentile(warm, 1.0),
        },
        {"warm_p50_s": Target(at_most=5.0)},
    )
