"""`bench desk`: the desk in front of ten thousand elders and a hundred thousand calls.

Pages and searches on both databases, and in a browser; the seat's telephone; the open board.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final

from tests.bench.city import CALLS_EACH
from tests.bench.desk_browser import board_cpu_share, usable_ms
from tests.bench.desk_pages import took_ms
from tests.bench.desk_phone import click_to_sound_ms
from tests.bench.desk_place import KINDS, desk_place
from tests.bench.result import Result, Target, percentile

PAGE: Final = Target(at_most=100.0)
SEARCH: Final = Target(at_most=150.0)
USABLE: Final = Target(at_most=1000.0)
BROWSED: Final = 0.1
"""Of the visits by bare requests, so many are made with the browser too."""


def bench(elders: int = 10_000, visits: int = 40, calls: int = 50, seconds: float = 20.0) -> Result:
    """Each page and search is asked for `visits` times; the board has `calls` for so long."""
    figures: dict[str, float | None] = {"elders": elders, "calls": elders * CALLS_EACH}
    targets: dict[str, Target] = {}
    board: float | None = None
    for kind in KINDS:
        with desk_place(kind, elders) as place:
            pages, searches = asyncio.run(took_ms(place, visits))
            usable = usable_ms(place, max(1, int(visits * BROWSED)))
            if board is None:
                # The browser does not know which database it is.
                board = board_cpu_share(place, calls, seconds)
        for what, took, target in (("page", pages, PAGE), ("search", searches, SEARCH)):
            found = _p95(f"{kind}_{what}", took)
            figures |= found
            targets |= dict.fromkeys(found, target)
        figures[f"{kind}_usable_p95_ms"] = percentile(usable, 0.95)
        targets[f"{kind}_usable_p95_ms"] = USABLE
    sounds = click_to_sound_ms(max(2, visits // 4))
    heard = [ms for ms in sounds if ms is not None]
    figures |= {
        "board_calls": calls,
        "board_cpu_share": board,
        "answers": len(sounds),
        "answers_without_sound": len(sounds) - len(heard),
        "click_to_sound_p50_ms": percentile(heard, 0.5),
        "click_to_sound_p95_ms": percentile(heard, 0.95),
    }
    targets |= {
        "board_cpu_share": Target(at_most=0.05),
        "answers_without_sound": Target(at_most=0),
        "click_to_sound_p95_ms": Target(at_most=500.0),
    }
    return Result("desk", figures, targets)


def _p95(prefix: str, took: Mapping[str, list[float]]) -> dict[str, float | None]:
    return {f"{prefix}_{_plain(what)}_p95_ms": percentile(ms, 0.95) for what, ms in took.items()}


def _plain(what: str) -> str:
    """A path with its places, or a search in words, as a part of a figure's name."""
    path = re.sub(r"\{(\w+):.*?\](?:\{[\d,]+\})?\}", r"\1", what)
    return re.sub(r"\W+", "_", path).strip("_") or "board"
