"""`bench calls`: many recorded calls at once, with sound both ways.

Judged by what is recorded against what was talked: overload never shows in the signalling, it
eats the sound.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from sql.models import CallRecord, Recording
from tests.bench.ceiling import ENOUGH, most_calls
from tests.bench.place import asterisk_pid, bench_town, cpu_s, peak_memory_mb, talk
from tests.bench.result import Result, Target
from tests.house import Town

SPARE_SEATS: Final = 3
KEPT_WITHIN_S: Final = 300

Kept = Sequence[tuple[CallRecord, Recording]]


def bench(calls: int = 50, seconds: float = 60.0, *, ceiling: bool = False) -> Result:
    """Each call is bridged with a seat for so many seconds and recorded."""
    with bench_town(calls + SPARE_SEATS) as town:
        controller, asterisk = town.house.child("controller"), asterisk_pid(town.house)
        before = cpu_s(controller), cpu_s(asterisk)
        talk(town.carrier, town.observer, calls, seconds)
        ours, theirs = cpu_s(controller) - before[0], cpu_s(asterisk) - before[1]
        memory = peak_memory_mb(controller)
        kept = _kept(town, calls)
    talked = [row for row, _ in kept if row.result == "answered"]
    lasted = sum(_seconds(row) for row, _ in kept)
    recorded = sum(sound.seconds or 0.0 for _, sound in kept)
    shares = [(sound.seconds or 0.0) / _seconds(row) for row, sound in kept]
    figures: dict[str, float | None] = {
        "calls": calls,
        "calls_failed": calls - len(talked),
        "bridged_s": round(sum(_bridged(row) for row in talked), 1),
        "recorded_share": round(recorded / lasted, 4) if lasted else None,
        "recorded_share_worst_call": round(min(shares), 4) if shares else None,
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


def _kept(town: Town, calls: int) -> Kept:
    """Every call with its recording, once the last one is verified and kept."""

    async def ask(session: AsyncSession) -> Kept:
        rows = await session.execute(
            select(CallRecord, Recording)
            .join(Recording, Recording.call_id == CallRecord.id)
            .where(Recording.state == "kept")
        )
        kept = [(row, sound) for row, sound in rows]
        return kept if len(kept) >= calls else []

    deadline = time.monotonic() + KEPT_WITHIN_S
    while not (kept := town.house.read(ask)):
        assert time.monotonic() < deadline, f"recordings are missing\n{town.house.log('worker')}"
        time.sleep(1)
    return kept  # type: ignore[no-any-return]


def _seconds(row: CallRecord) -> float:
    """From the caller's arrival to the end: recorded is all of it."""
    assert row.ended_at
    return (row.ended_at - row.entered_at).total_seconds()


def _bridged(row: CallRecord) -> float:
    assert row.ended_at
    assert row.answered_at
    return (row.ended_at - row.answered_at).total_seconds()
