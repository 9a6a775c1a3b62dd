"""`./careline bench NAME`: run one bench and print what it found.

    python -m tests.bench NAME [--json] [--seconds N] [--calls N] [--starts N] [--ceiling]
                               [--elders N] [--visits N]

Ends with 0 when every target is met, else with 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any

from tests.bench import arrive, calls, desk, pop, recover, rescue, start
from tests.bench.result import Result

BENCHES: Mapping[str, tuple[Callable[..., Result], tuple[str, ...]]] = {
    "pop": (pop.bench, ("calls", "seconds")),
    "calls": (calls.bench, ("calls", "seconds", "ceiling")),
    "arrive": (arrive.bench, ("seconds",)),
    "recover": (recover.bench, ("calls",)),
    "rescue": (rescue.bench, ("calls",)),
    "start": (start.bench, ("starts",)),
    "desk": (desk.bench, ("elders", "visits", "calls", "seconds")),
}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="careline bench", description="Measure Careline.")
    parser.add_argument("name", choices=BENCHES)
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    parser.add_argument("--seconds", type=float, help="how long, for a quick try")
    parser.add_argument("--calls", type=int, help="how many calls are up at once")
    parser.add_argument("--starts", type=int, help="how many warm starts")
    parser.add_argument("--elders", type=int, help="how many the desk knows, with ten calls each")
    parser.add_argument("--visits", type=int, help="how often each page is asked for")
    parser.add_argument("--ceiling", action="store_true", default=None, help="find the most calls")
    given = vars(parser.parse_args(words))
    run, takes = BENCHES[given["name"]]
    options: dict[str, Any] = {key: given[key] for key in takes if given[key] is not None}
    result = run(**options)
    print(result.as_json() if given["json"] else result.as_table(), flush=True)
    return 0 if result.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
