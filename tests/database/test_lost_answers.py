"""A commit whose answer was lost on its way is done once, and so is one that failed at its end."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event as hook

from sql.engine import Database
from sql.migrate import seed
from sql.store import SqlStore
from tests.database.centre import Centre, after, arrived, queued, whole_call
from tests.database.conftest import TEMPLATE, Cluster
from tests.database.wire import Wire, wire_to
from workflows.errors import StoreDown
from workflows.events import Event

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")


@asynccontextmanager
async def centre_over_a_wire(cluster: Cluster) -> AsyncIterator[tuple[Centre, Wire]]:
    name = cluster.new(TEMPLATE).rpartition("?")[0].rpartition("/")[2]
    async with wire_to(cluster.folder) as (wire, port):
        database = Database(f"postgresql+psycopg://careline@127.0.0.1:{port}/{name}")
        try:
            await seed(database, {"main": "本部"}, {"1001": ("", "main"), "1002": ("", "main")})
            yield Centre(database, SqlStore(database, SHANGHAI, "main")), wire
        finally:
            await database.close()


@pytest.fixture
async def wired(cluster: Cluster) -> AsyncIterator[tuple[Centre, Wire]]:
    async with centre_over_a_wire(cluster) as both:
        yield both


async def again_and_again(take: Callable[[], Awaitable[Any]]) -> None:
    """As everybody does who hands over a fact."""
    for _ in range(20):
        try:
            await take()
        except StoreDown:
            continue
        return
    pytest.fail("the database did not come back")


async def story_of(centre: Centre, call: str) -> list[str]:
    rows = await centre.rows(f"SELECT event FROM journal WHERE case_id = '{call}' ORDER BY id")
    return [row["event"] for row in rows]


def names(events: tuple[Event, ...]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_every_commit_of_a_call_loses_its_answer_and_each_is_done_once(
    wired: tuple[Centre, Wire],
) -> None:
    centre, wire = wired
    story = whole_call()
    for event in story:
        wire.loses_next_commit = True
        await again_and_again(lambda: centre.runner.handle(event))  # noqa: B023
    assert wire.lost == len(story)
    assert [e for e in await story_of(centre, "c1") if e != "OrderLinked"] == names(story)
    await centre.runner.recover()
    assert await story_of(centre, "c1/order") == ["RequestAccepted"]
    assert len(await centre.rows("SELECT * FROM outbox WHERE kind = 'MakeRecording'")) == 1


async def test_many_events_in_one_commit_whose_answer_is_lost_are_kept_once(
    wired: tuple[Centre, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.runner.STEPPING_S", 60)
    centre, wire = wired
    events = [arrived(f"c{n}") for n in range(10)]
    wire.loses_next_commit = True
    await again_and_again(lambda: centre.runner.handle_many(events))
    assert wire.lost == 1
    assert await centre.rows("SELECT count(*) AS n FROM journal") == [{"n": 10}]


async def test_the_telling_of_an_order_whose_answer_is_lost_is_done_once(
    wired: tuple[Centre, Wire],
) -> None:
    centre, wire = wired
    *story, last = whole_call()
    await centre.play(*story)
    commits = 0

    def lose_the_second(_: object) -> None:
        nonlocal commits
        commits += 1
        wire.loses_next_commit = commits == 2

    hook.listen(centre.database._writer.sync_engine, "commit", lose_the_second)
    await again_and_again(lambda: centre.runner.handle(last))
    await centre.runner.recover()
    assert wire.lost == 1
    assert await story_of(centre, "c1/order") == ["RequestAccepted"]
    assert (await story_of(centre, "c1")).count("OrderLinked") == 1


async def test_a_commit_that_never_reached_the_server_is_done_when_it_is_back(
    wired: tuple[Centre, Wire],
) -> None:
    centre, wire = wired
    await centre.play(arrived())
    wire.loses_next_question = True
    with pytest.raises(StoreDown):
        await centre.play(queued())
    assert await story_of(centre, "c1") == ["CallArrived"]
    await centre.play(queued())
    assert await story_of(centre, "c1") == ["CallArrived", "CallQueued"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB; mounting one needs root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


async def test_a_commit_that_found_the_disk_full_is_done_once_when_there_is_room(
    small_disk: Path, ready_file: Path
) -> None:
    file = small_disk / "careline.db"
    file.write_bytes(ready_file.read_bytes())
    database = Database(f"sqlite+aiosqlite:///{file}")
    centre = Centre(database, SqlStore(database, SHANGHAI, "main"))
    failed = 0
    try:
        await seed(database, {"main": "本部"}, {"1001": ("", "main"), "1002": ("", "main")})
        await centre.play(arrived("c0"))
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as stream, suppress(OSError):
            while stream.write(bytes(512)):
                pass
        for position in range(80):
            try:
                await centre.play(queued("c0", position, after(position)))
            except StoreDown:
                failed += 1
                filler.unlink(missing_ok=True)
                await centre.play(queued("c0", position, after(position)))
        assert failed == 1
    finally:
        await database.close()
    with sqlite3.connect(file) as there:
        (kept,) = there.execute(
            "SELECT count(*) FROM journal WHERE event = 'CallQueued'"
        ).fetchone()
    assert kept == 80
