"""Many events, one commit: the same rows as one by one, and how the database is written to."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as hook
from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from sql.engine import Database
from tests.database.centre import Centre, arrived, queued, whole_call
from tests.database.test_store import another
from workflows import call
from workflows.effects import MakeRecording
from workflows.errors import NotAllowed, StoreDown
from workflows.events import Event


def side_by_side(*calls: str) -> list[Event]:
    """Whole calls at the same time: the first event of each, then the second of each, …"""
    return list(itertools.chain(*zip(*map(whole_call, calls), strict=True)))


async def take_all(centre: Centre, events: Sequence[Event]) -> list[int]:
    """Hand them over as the listener does; returns how many were taken each time."""
    taken: list[int] = []
    while rest := events[sum(taken) :]:
        taken.append(await centre.runner.handle_many(rest))
    return taken


@contextmanager
def transactions(database: Database) -> Iterator[list[list[str]]]:
    """The statements of each writing transaction that was committed."""
    seen: list[list[str]] = []
    now: list[str] = []

    def execute(*given: Any) -> None:
        now.append(given[2])

    def commit(_: object) -> None:
        seen.append(list(now))
        now.clear()

    engine = database._writer.sync_engine
    hook.listen(engine, "before_cursor_execute", execute)
    hook.listen(engine, "commit", commit)
    try:
        yield seen
    finally:
        hook.remove(engine, "before_cursor_execute", execute)
        hook.remove(engine, "commit", commit)


TIMERS = "SELECT process, case_id, name FROM timer ORDER BY case_id, name"


def comparable(everything: dict[str, list[Any]]) -> dict[str, Any]:
    """Rows without what differs by design: the outbox ids, the journal's numbers, versions, and
    when a timer is due, which counts from now."""
    return {
        name: rows
        for name, rows in everything.items()
        if name not in ("outbox", "journal", "process_case", "timer")
    }


async def journal_of(centre: Centre, case: str) -> list[tuple[str, str, str]]:
    rows = await centre.rows(
        f"SELECT event, state_before, state_after FROM journal WHERE case_id = '{case}' ORDER BY id"
    )
    return [(row["event"], row["state_before"], row["state_after"]) for row in rows]


async def test_many_at_once_write_what_they_write_one_by_one(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.runner.STEPPING_S", 60)
    calls = ("c1", "c2", "c3")
    await centre.elder("王秀英")
    with transactions(centre.database) as seen:
        assert await take_all(centre, side_by_side(*calls)) == [36]
    together, *told = seen
    assert len([s for s in together if s.startswith("INSERT INTO journal")]) == 1
    assert len(together) < 36, "fewer statements than events"
    assert len(told) == 6, "each order was made, and tied to its call"
    assert {c.id for c in await centre.store.open_cases(call.PROCESS)} == set(calls)
    kept = {case: await journal_of(centre, case) for case in calls}
    rows = comparable(await centre.everything())
    timers = await centre.rows(TIMERS)
    for table in ("process_case", "journal", "outbox", "timer", "running_number"):
        await _clear(centre, table)
    for table in ("call_order", "recording", "call_leg", "work_order", "service_request"):
        await _clear(centre, table)
    await _clear(centre, "call_record")
    await centre.play(*side_by_side(*calls))
    assert comparable(await centre.everything()) == rows
    assert await centre.rows(TIMERS) == timers
    assert {case: await journal_of(centre, case) for case in calls} == kept


async def _clear(centre: Centre, table: str) -> None:
    async with centre.database.writing() as session:
        await session.execute(text(f"DELETE FROM {table}"))


async def test_every_recording_of_many_calls_is_owed_in_order(centre: Centre) -> None:
    await take_all(centre, side_by_side("c1", "c2", "c3"))
    owed = [one.effect for one in await centre.store.owed(MakeRecording)]
    assert [e.serial for e in owed if isinstance(e, MakeRecording)] == ["c1", "c2", "c3"]


async def test_one_that_the_database_refuses_costs_none_of_its_neighbours(
    centre: Centre, kind: str
) -> None:
    """PostgreSQL keeps no NUL; what came before and after it is kept all the same."""
    bad = arrived("c2", name="a\0b" if kind == "postgresql" else "李")
    events = [arrived("c1"), queued("c1"), bad, arrived("c3"), queued("c3")]
    taken = 0
    while taken < len(events):
        try:
            taken += await centre.runner.handle_many(events[taken:])
        except NotAllowed:
            # So does the listener: the first one alone is at fault.
            assert events[taken] is bad
            taken += 1
    states = {r["id"]: r["state"] for r in await centre.rows("SELECT id, state FROM call_record")}
    assert (states["c1"], states["c3"]) == ("waiting", "waiting")
    assert ("c2" in states) == (kind == "sqlite")


async def test_two_controllers_that_take_many_at_once_lose_no_event(centre: Centre) -> None:
    async with another(centre) as other:
        await asyncio.gather(
            take_all(centre, [queued(f"c{n % 3}", n) for n in range(30)]),
            take_all(other, [queued(f"c{(n + 1) % 3}", n) for n in range(30)]),
        )
    assert len(await centre.rows("SELECT id FROM journal")) == 60


async def test_many_at_once_are_all_saved_or_none(centre: Centre) -> None:
    def refuse(_: object) -> None:
        raise StoreDown("the disk is full")

    before = await centre.everything()
    engine = centre.database._writer.sync_engine
    hook.listen(engine, "commit", refuse)
    with pytest.raises(StoreDown):
        await centre.runner.handle_many(side_by_side("c1", "c2"))
    hook.remove(engine, "commit", refuse)
    assert await centre.everything() == before


async def test_sqlite_is_written_by_one_connection_that_keeps_what_it_commits(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    file = tmp_path / "careline.db"
    shutil.copyfile(request.getfixturevalue("ready_file"), file)
    database = Database(f"sqlite+aiosqlite:///{file}")
    engine = database._writer.sync_engine
    begun: list[str] = []
    hook.listen(engine, "before_cursor_execute", lambda *given: begun.append(given[2]))
    try:
        async with database.writing() as session:
            settings = [
                (await session.execute(text(f"PRAGMA {name}"))).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
    finally:
        await database.close()
    assert settings == ["wal", 2, 1], "WAL, FULL, foreign keys"
    assert begun[0] == "BEGIN IMMEDIATE"
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    assert (pool.size(), pool._max_overflow) == (1, 0)


async def test_a_slow_write_is_named_in_the_log(
    centre: Centre, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events, and how many were slow so far; a slow disk does not fill the log with it."""
    monkeypatch.setattr("sql.engine.SLOW_S", 0.0)
    centre.database._slow = 0
    centre.database._slow_said_at = float("-inf")
    await centre.play(arrived(), queued())
    slow = [r.getMessage() for r in caplog.records if "a write took" in r.getMessage()]
    assert len([line for line in slow if "CallArrived (1 events of 1 cases)" in line]) == 1
    assert not [line for line in slow if "CallQueued" in line], "once in ten seconds"
    assert centre.database._slow == 2
