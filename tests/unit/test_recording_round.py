"""The worker's round: whatever one recording meets, the next one is made, and none is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast
from unittest.mock import Mock

import pytest

from control import Controller, ControllerDown
from recordings import worker as worker_module
from recordings.conversion import Kept, NothingRecorded, NotVerified
from recordings.worker import RecordingRound
from workflows.effects import MakeRecording
from workflows.errors import NotAllowed, StoreDown
from workflows.events import Event, RecordingFailed, RecordingMade
from workflows.ports import Posted

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)


class Bench:
    """The outbox, the controller and the conversion, each of which can fail."""

    def __init__(self, recordings: Path) -> None:
        self.live = recordings / "live"
        self.live.mkdir()
        self.owed = [Posted(n, MakeRecording(serial=n, began_at=NOW)) for n in ("r1", "r2")]
        self.made: list[str] = []
        self.told: list[tuple[Event, str | None]] = []
        self.faults: dict[str, list[Exception]] = {}
        self.round = RecordingRound(recordings, self.outbox, cast("Controller", self))

    def meet(self, what: str) -> None:
        if self.faults.get(what):
            raise self.faults[what].pop(0)

    async def outbox(self) -> Sequence[Posted]:
        self.meet("outbox")
        return list(self.owed)

    async def tell(self, event: Event, because: str | None = None) -> dict[str, Any]:
        self.meet("tell")
        self.told.append((event, because))
        self.owed = [one for one in self.owed if one.id != because]
        return {}

    def convert(self, serial: str, *_: object) -> Kept:
        self.meet(serial)
        self.made.append(serial)
        return Kept(file=f"2026/03/01/{serial}.opus", sha256="0" * 64, seconds=9.0, size=4)

    async def until_told(self, count: int) -> None:
        async with asyncio.timeout(3):
            while len(self.told) < count:
                self.round.look.set()
                await asyncio.sleep(0.002)

    def results(self) -> dict[str, Event]:
        return {str(because): event for event, because in self.told}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    monkeypatch.setattr(worker_module, "make_recording", bench.convert)
    return bench


@pytest.fixture
async def start(bench: Bench) -> AsyncIterator[Callable[[], None]]:
    tasks: list[asyncio.Task[None]] = []
    yield lambda: tasks.append(asyncio.ensure_future(bench.round.run()))
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_every_recording_that_is_owed_is_made_and_told(
    bench: Bench, start: Callable[[], None]
) -> None:
    start()
    await bench.until_told(2)
    assert bench.made == ["r1", "r2"]
    assert bench.owed == []
    made = bench.results()["r1"]
    assert isinstance(made, RecordingMade)
    assert (made.case_id, made.file) == ("r1", "2026/03/01/r1.opus")


@pytest.mark.parametrize("fault", [NothingRecorded("no sound"), NotVerified("too short")])
async def test_what_cannot_be_made_is_told_with_its_reason(
    bench: Bench, start: Callable[[], None], fault: Exception
) -> None:
    bench.faults["r1"] = [fault]
    start()
    await bench.until_told(2)
    failed = bench.results()["r1"]
    assert isinstance(failed, RecordingFailed)
    assert failed.reason == str(fault)
    assert isinstance(bench.results()["r2"], RecordingMade)


async def test_on_a_full_disk_it_is_tried_again_and_the_others_go_on(
    bench: Bench, start: Callable[[], None]
) -> None:
    bench.faults["r1"] = [OSError(28, "No space left on device")] * 2
    start()
    await bench.until_told(2)
    assert bench.made[0] == "r2"
    assert isinstance(bench.results()["r1"], RecordingMade)


@pytest.mark.parametrize(
    "fault", [ControllerDown("away"), NotAllowed("not now"), StoreDown("full")]
)
async def test_what_could_not_be_told_stays_owed(
    bench: Bench, start: Callable[[], None], fault: Exception
) -> None:
    bench.faults["tell"] = [fault] * 3
    start()
    await bench.until_told(2)
    assert bench.owed == []


async def test_a_database_that_is_away_does_not_end_the_worker(
    bench: Bench, start: Callable[[], None]
) -> None:
    bench.faults["outbox"] = [StoreDown("away")] * 3
    start()
    await bench.until_told(2)


async def test_a_fault_that_nobody_foresaw_is_counted_told_and_holds_up_nobody(
    bench: Bench, start: Callable[[], None]
) -> None:
    bench.faults["r1"] = [MemoryError(), *[ZeroDivisionError()] * 9]
    start()
    await bench.until_told(2)
    assert bench.made == ["r2"]
    assert len(bench.faults["r1"]) == 10 - worker_module.TRIES
    failed = bench.results()["r1"]
    assert isinstance(failed, RecordingFailed)
    assert "3 times" in failed.reason
    assert bench.owed == []


async def test_a_fault_that_passes_costs_no_recording(
    bench: Bench, start: Callable[[], None]
) -> None:
    bench.faults["r1"] = [MemoryError()]
    start()
    await bench.until_told(2)
    assert isinstance(bench.results()["r1"], RecordingMade)


async def test_a_recording_that_ends_the_worker_itself_is_given_up_and_keeps_back_no_other(
    bench: Bench, start: Callable[[], None]
) -> None:
    """Of a phone that was off the hook all night, say, whose sound takes all of the memory."""
    effect = MakeRecording(serial="r1", began_at=NOW)
    with pytest.MonkeyPatch.context() as patch:
        ended = Mock(side_effect=KeyboardInterrupt("as good as killed"))
        patch.setattr(worker_module, "make_recording", ended)
        for _ in range(worker_module.TRIES):
            with pytest.raises(KeyboardInterrupt):
                bench.round._convert(effect)
    start()
    await bench.until_told(2)
    assert bench.made == ["r2"]
    failed = bench.results()["r1"]
    assert isinstance(failed, RecordingFailed)
    assert "3 times" in failed.reason
    assert [one.name for one in bench.live.iterdir()] == ["r1.tries"], "and r2 has left nothing"
