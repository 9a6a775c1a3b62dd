"""`bench calls`: many recorded calls at once, with sound both ways.

Judged by what is recorded of what was talked, as Asterisk tells the talks: overload never shows in
the signalling, it eats the sound.
"""

from __future__ import annotations

from tests.bench.ceiling import ENOUGH, SPARE_SEATS, most_calls
from tests.bench.place import (
    answered,
    asterisk_pid,
    bench_town,
    cpu_s,
    kept_lengths,
    peak_memory_mb,
    share,
    talk,
    talks,
)
from tests.bench.result import Result, Target


def bench(calls: int = 50, seconds: float = 60.0, *, ceiling: bool = False) -> Result:
    """Each call is bridged with a seat for so many seconds and recorded."""
    with bench_town(calls + SPARE_SEATS) as town:
        controller, asterisk = town.house.child("controller"), asterisk_pid(town.house)
        before = cpu_s(controller), cpu_s(asterisk)
        talk(town.carrier, town.observer, calls, seconds)
        ours, theirs = cpu_s(controller) - before[0], cpu_s(asterisk) - before[1]
        memory = peak_memory_mb(controller)
        talked = talks(town.observer)
        lengths = kept_lengths(town.house, calls)
        failed = calls - answered(town.house)
    worst = [
        each.recorded_s(lengths.get(call, 0.0)) / each.bridged_s for call, each in talked.items()
    ]
    figures: dict[str, float | None] = {
        "calls": calls,
        "calls_failed": failed,
        "bridged_s": round(sum(each.bridged_s for each in talked.values()), 1),
        "recorded_share": round(share(talked, lengths), 4) if talked else None,
        "recorded_share_worst_call": round(min(worst), 4) if worst else None,
        "controller_cpu_s": round(ours, 2),
        "asterisk_cpu_s": round(theirs, 2),
        "controller_cpu_share": round(ours / theirs, 3),
        "controller_memory_mb": memory,
    }
    targets = {
        "calls_failed": Target(at_most=0),
        "recorded_share": Target(at_least=ENOUGH),
        "controller_cpu_share": Target(at_most=0.2),
        "controller_memory_mb": Target(at_most=200),
    }
    if ceiling:
        figures |= most_calls(calls, seconds)
    return Result("calls", figures, targets)
