"""The store: one commit or none, whoever else writes, and whatever goes away in the middle."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event as hook
from sqlalchemy import text, update
from sqlalchemy.exc import OperationalError, StatementError

from sql import engine as engine_module
from sql.engine import Database
from sql.models import Case, Timer
from sql.store import SqlStore
from tests.database.centre import (
    NOW,
    Centre,
    after,
    answered,
    arrived,
    ended,
    need,
    queued,
    whole_call,
)
from tests.database.conftest import Cluster
from workflows import call, order
from workflows.commands import CancelOrder, ChooseOrder, OpenOrder
from workflows.effects import MakeRecording
from workflows.errors import NotAllowed, NotFound, Outdated, StoreDown
from workflows.events import (
    CallTimerFired,
    CallVanished,
    Event,
    RecordingFailed,
    RecordingMade,
)
from workflows.ports import DueTimer

ROOT: Final = Path(__file__).parents[2]
SHANGHAI: Final = ZoneInfo("Asia/Shanghai")


@asynccontextmanager
async def another(centre: Centre) -> AsyncIterator[Centre]:
    """A second controller on the same database."""
    database = Database(centre.database.url)
    try:
        yield Centre(database, SqlStore(database, SHANGHAI, "main"))
    finally:
        await database.close()


# ── one commit or none ────────────────────────────────────────────────────────────────────────


@contextmanager
def failing(database: Database, at: int) -> Iterator[list[str]]:
    """Let the writing statement of this number fail, 0 the commit; yields the statements seen."""
    seen: list[str] = []

    def fail() -> None:
        raise OperationalError("it", {}, Exception("database or disk is full"))

    def execute(*given: Any) -> None:
        if given[2].startswith(("INSERT", "UPDATE", "DELETE")):
            seen.append(given[2])
            if len(seen) == at:
                fail()

    def commit(_: object) -> None:
        if at == 0:
            fail()

    engine = database._writer.sync_engine
    hook.listen(engine, "before_cursor_execute", execute)
    hook.listen(engine, "commit", commit)
    try:
        yield seen
    finally:
        hook.remove(engine, "before_cursor_execute", execute)
        hook.remove(engine, "commit", commit)


class Rehearsed(Exception):
    """Everything was written, and now nothing of it shall count."""


def rehearsed() -> None:
    raise Rehearsed


async def save(centre: Centre, event: Event, at_last: Callable[[], object] = bool) -> None:
    """One event of the call c1, without performing what it asks for."""
    async with centre.store.begin() as tx:
        case: Any = await tx.load(call.PROCESS, event.case_id)
        changed, effects = call.step(case, event)
        await tx.save(call.PROCESS, case, changed, event, effects, None)
        await tx.write()
        at_last()


async def test_a_failure_anywhere_leaves_nothing_and_the_event_can_be_given_again(
    centre: Centre,
) -> None:
    """The end of a call writes case, journal, rows, outbox and timer: all of it, or none."""
    *story, last = whole_call()
    await centre.play(*story)
    before = await centre.everything()
    with failing(centre.database, -1) as statements, suppress(Rehearsed):
        await save(centre, last, rehearsed)
    assert len(statements) > 5, "the end of a call writes in many places"
    for at in range(len(statements) + 1):
        with failing(centre.database, at), pytest.raises(StoreDown, match="disk is full"):
            await save(centre, last)
        assert await centre.everything() == before, statements[at - 1]
    await save(centre, last)
    written = await centre.everything()
    changed_tables = {name for name, rows in written.items() if rows != before[name]}
    assert changed_tables == {
        "process_case", "journal", "outbox", "timer", "call_record", "recording",
    }  # fmt: skip


async def test_an_alarm_is_in_the_commit_that_raised_it(centre: Centre) -> None:
    await centre.play(*whole_call())
    failed = RecordingFailed(case_id="c1", at=after(99), reason="no sound")
    with failing(centre.database, 0), pytest.raises(StoreDown):
        await centre.play(failed)
    assert await centre.store.open_alarms() == []
    await centre.play(failed)
    assert [alarm.key for alarm in await centre.store.open_alarms()] == ["recording/c1"]


@pytest.mark.parametrize("statement", [0, 3], ids=["in the commit", "in the middle"])
async def test_a_killed_controller_has_written_everything_or_nothing(
    centre: Centre, statement: int
) -> None:
    words = [sys.executable, "-m", "tests.database.writer", centre.database.url, "n", "1"]
    killed = await asyncio.to_thread(
        subprocess.run, [*words, str(statement)], cwd=ROOT, capture_output=True, text=True
    )
    assert killed.returncode == 9, killed.stderr
    (row,) = await centre.rows("SELECT state FROM call_record")
    assert row["state"] == "talking"
    for table in ("outbox", "timer", "work_order", "recording"):
        assert await centre.rows(f"SELECT * FROM {table}") == []
    # The next controller finds the call gone and nothing is missing of what must follow.
    await centre.play(CallVanished(case_id="n-0", at=after(200)))
    assert [r["state"] for r in await centre.rows("SELECT state FROM call_record")] == ["ended"]
    assert len(await centre.rows("SELECT * FROM call_order")) == 1


# ── writers at once ───────────────────────────────────────────────────────────────────────────


async def test_a_second_writer_is_refused(centre: Centre) -> None:
    await centre.play(arrived())

    async def be_late() -> None:
        async with centre.store.begin() as tx:
            case: Any = await tx.load(call.PROCESS, "c1")
            newer = update(Case).where(Case.id == "c1").values(version=Case.version + 1)
            await tx._session.execute(newer.execution_options(synchronize_session=False))
            await tx.save(call.PROCESS, case, case, queued(), (), None)

    with pytest.raises(Outdated, match="call c1 was changed by another writer"):
        await be_late()
    assert (await centre.rows("SELECT version FROM process_case")) == [{"version": 1}]


async def test_two_controllers_on_one_call_lose_no_event(centre: Centre) -> None:
    """Not even the very first one, which both believe to be the first."""
    async with another(centre) as other:
        await asyncio.gather(
            *(centre.play(queued("c1", n)) for n in range(10)),
            *(other.play(queued("c1", n)) for n in range(10, 20)),
        )
    journal = await centre.rows("SELECT body FROM journal")
    assert len(journal) == 20
    assert await centre.rows("SELECT version FROM process_case") == [{"version": 20}]


async def test_two_processes_write_at_once(centre: Centre) -> None:
    """On SQLite they queue for the one writer's place; nobody is turned away."""
    words = [sys.executable, "-m", "tests.database.writer", centre.database.url]

    async def run(node: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *words, node, "8", cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        return process.returncode, said.decode()

    # A machine that is busy has slow writes, and they say so; nothing else may be said.
    for code, said in await asyncio.gather(run("a"), run("b")):
        assert code == 0, said
        assert "Traceback" not in said
    calls = await centre.rows("SELECT id, state, result FROM call_record")
    assert {(row["state"], row["result"]) for row in calls} == {("ended", "answered")}
    assert len(calls) == 16
    numbers = await centre.rows("SELECT order_no FROM work_order ORDER BY order_no")
    assert [row["order_no"] for row in numbers] == [f"20260301-{n:04d}" for n in range(1, 17)]


# ── order numbers ─────────────────────────────────────────────────────────────────────────────


async def test_order_numbers_are_unique_and_without_gaps(centre: Centre) -> None:
    """Also the first ones of the day, and although some orders come to nothing on the way."""
    async with another(centre) as other:
        # An elder that does not exist: the number was taken already and has to come back.
        lost = [centre.play(need(f"lost{n}", elder=999)) for n in range(5)]
        made = [one.play(need(f"{n}{one is other}")) for n in range(15) for one in (centre, other)]
        results = await asyncio.gather(*lost, *made, return_exceptions=True)
    assert [type(result) for result in results[:5]] == [NotAllowed] * 5
    assert not [result for result in results[5:] if isinstance(result, BaseException)]
    rows = await centre.rows("SELECT order_no FROM work_order ORDER BY order_no")
    assert [row["order_no"] for row in rows] == [f"20260301-{n:04d}" for n in range(1, 31)]


async def test_a_day_ends_when_it_ends_for_the_people_of_the_centre(centre: Centre) -> None:
    """Midnight in Shanghai is 16:00 in UTC."""
    midnight = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)
    before = await centre.play(need("o1", midnight - timedelta(microseconds=1)))
    at = await centre.play(need("o2", midnight))
    late = await centre.play(need("o3", midnight - timedelta(hours=1)))
    assert [one.order_no for one in (before, at, late)] == [
        "20260301-0001", "20260302-0001", "20260301-0002",
    ]  # fmt: skip
    row = await centre.rows("SELECT request_no FROM service_request WHERE id = 'o2'")
    assert row == [{"request_no": "R20260302-0001"}]


# ── what only the database knows ──────────────────────────────────────────────────────────────


async def test_a_call_finds_its_elder_by_any_of_the_numbers(centre: Centre) -> None:
    wang = await centre.elder("王秀英", "+8613800000000", "+863741234567", "+863741234567")
    await centre.elder("李建国", "+8613900000000")
    case = await centre.play(arrived(caller="+863741234567"))
    assert [(elder.id, elder.name, elder.uid) for elder in case.elders] == [
        (wang, "王秀英", f"E{wang:06d}")
    ]
    assert await centre.rows("SELECT elder_id FROM call_record") == [{"elder_id": wang}]


async def test_two_elders_on_one_number_are_both_known_and_neither_is_chosen(
    centre: Centre,
) -> None:
    await centre.elder("王秀英")
    await centre.elder("李建国")
    case = await centre.play(arrived(), answered(), ended())
    assert [elder.name for elder in case.elders] == ["王秀英", "李建国"]
    assert await centre.rows("SELECT elder_id FROM call_record") == [{"elder_id": None}]
    assert await centre.rows("SELECT elder_id FROM work_order") == [{"elder_id": None}]


@pytest.mark.parametrize("caller", ["", "+8613700000000", "' OR 1=1; --"])
async def test_an_unknown_or_hidden_number_belongs_to_nobody(centre: Centre, caller: str) -> None:
    await centre.elder("王秀英")
    case = await centre.play(arrived(caller=caller))
    assert case.elders == ()


async def test_only_an_open_order_can_be_chosen(centre: Centre) -> None:
    await centre.play(arrived(), need("open"), need("over"))
    await centre.play(CancelOrder(case_id="over", at=NOW, by="张敏", reason="x"))
    for id_ in ("over", "nowhere"):
        with pytest.raises(NotFound, match=f"there is no open order {id_}"):
            await centre.play(ChooseOrder(case_id="c1", at=NOW, by="张敏", order_id=id_))
    case = await centre.play(ChooseOrder(case_id="c1", at=NOW, by="张敏", order_id="open"))
    assert [one.order_no for one in case.orders] == ["20260301-0001"]
    assert await centre.rows("SELECT * FROM call_order") == [{"call_id": "c1", "order_id": "open"}]


# ── outbox, timers, alarms ────────────────────────────────────────────────────────────────────


async def test_what_a_crash_left_in_the_outbox_is_told_by_the_next_controller(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(_: object) -> None:
        raise KeyboardInterrupt

    *story, last = whole_call()
    await centre.play(*story)
    monkeypatch.setattr(centre.runner, "_perform", crash)
    with pytest.raises(KeyboardInterrupt):
        await centre.play(last)
    assert len(await centre.store.untold()) == 1
    async with another(centre) as after_it:
        await after_it.runner.recover()
        assert await after_it.store.untold() == []
    numbers = await centre.rows("SELECT order_no FROM call_order JOIN work_order ON id = order_id")
    assert numbers == [{"order_no": "20260301-0001"}]


async def test_a_recording_is_owed_until_its_result_is_saved(centre: Centre) -> None:
    await centre.play(*whole_call("c1"), *whole_call("c2"))
    first, second = await centre.store.owed(MakeRecording)
    assert [one.effect for one in (first, second)] == [
        MakeRecording(serial="c1", began_at=NOW), MakeRecording(serial="c2", began_at=NOW),
    ]  # fmt: skip
    made = RecordingMade(
        case_id="c1", at=after(100), file="2026/03/01/c1.opus", sha256="0" * 64, seconds=95.0,
        size=400_000,
    )  # fmt: skip
    await centre.runner.handle(made, because=first.id)
    assert await centre.store.owed(MakeRecording) == [second]
    assert [case.id for case in await centre.store.open_cases(call.PROCESS)] == ["c2"]


async def test_a_timer_is_a_row_until_its_event_is_saved(centre: Centre) -> None:
    assert await centre.store.next_timer() is None
    asked = datetime.now(UTC)
    await centre.play(*whole_call())
    due = await centre.store.next_timer()
    assert due is not None
    # Whatever the clock was when the call ended: it may have been set since, or the call be old.
    assert (
        timedelta(0) <= due - asked - timedelta(seconds=call.RECORDING_DUE_S) < timedelta(hours=1)
    )
    assert await centre.store.due_timers(due - timedelta(milliseconds=1)) == []
    timer = DueTimer(process="call", case_id="c1", name=call.RECORDING_DUE)
    assert await centre.store.due_timers(due) == [timer]
    centre.clock.time = due
    await centre.runner.fire_due_timers()
    assert await centre.store.next_timer() is None
    assert [alarm.kind for alarm in await centre.store.open_alarms()] == ["recording"]


async def test_one_alarm_is_open_for_one_trouble(centre: Centre) -> None:
    store = centre.store
    assert await store.raise_alarm("trunk/a", "trunk", "silent", after(1))
    assert not await store.raise_alarm("trunk/a", "trunk", "silent", after(2))
    assert await store.raise_alarm("trunk/b", "trunk", "silent", after(3))
    assert await store.end_alarm("trunk/a", after(4))
    assert not await store.end_alarm("trunk/a", after(5))
    assert await store.raise_alarm("trunk/a", "trunk", "silent again", after(6))
    open_ones = await store.open_alarms()
    assert [(alarm.key, alarm.raised_at) for alarm in open_ones] == [
        ("trunk/b", after(3)), ("trunk/a", after(6)),
    ]  # fmt: skip


async def test_two_controllers_that_see_one_trouble_open_one_alarm(centre: Centre) -> None:
    async with another(centre) as other:
        opened = await asyncio.gather(
            *(one.store.raise_alarm("picture", "picture", "", NOW) for one in (centre, other) * 5)
        )
    assert sorted(opened) == [False] * 9 + [True]
    assert len(await centre.store.open_alarms()) == 1


async def test_an_alarm_that_another_opens_meanwhile_costs_the_event_nothing(
    centre: Centre,
) -> None:
    """Both look, neither sees the other's, and both write: the event is kept all the same."""
    await centre.play(*whole_call())
    failed = RecordingFailed(case_id="c1", at=after(99), reason="no sound")
    async with another(centre) as other:
        await asyncio.gather(
            centre.play(failed), other.store.raise_alarm("recording/c1", "recording", "", NOW)
        )
    assert len(await centre.store.open_alarms()) == 1
    assert len(await centre.rows("SELECT * FROM journal WHERE event = 'RecordingFailed'")) == 1


# ── away and full ─────────────────────────────────────────────────────────────────────────────


async def test_a_full_sqlite_says_so_and_goes_on_when_there_is_room(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'careline.db'}"
    ready: Path = request.getfixturevalue("ready_file")
    (tmp_path / "careline.db").write_bytes(ready.read_bytes())
    database = Database(url)
    centre = Centre(database, SqlStore(database, SHANGHAI, "main"))

    async def pages(most: str) -> None:
        async with database.writing() as session:
            await session.execute(text(f"PRAGMA max_page_count = {most}"))

    try:
        async with database.writing() as session:
            await session.execute(text("INSERT INTO site (code, name) VALUES ('main', '本部')"))
        await pages("1")
        calls = (arrived(f"c{n}", name="长" * 80) for n in range(1000))
        with pytest.raises(StoreDown, match="full"):
            await centre.play(*calls)
        taken = len(await centre.rows("SELECT * FROM call_record"))
        before = await centre.everything()
        with pytest.raises(StoreDown, match="full"):
            await centre.play(arrived(f"c{taken}", name="长" * 80))
        assert await centre.everything() == before
        await pages("100000")
        await centre.play(*whole_call(f"c{taken}"))
        assert len(await centre.rows("SELECT * FROM call_record")) == taken + 1
    finally:
        await database.close()


async def test_a_locked_sqlite_says_so(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "BUSY_MS", 50)
    file = tmp_path / "careline.db"
    file.write_bytes(request.getfixturevalue("ready_file").read_bytes())
    database = Database(f"sqlite+aiosqlite:///{file}")
    store = SqlStore(database, SHANGHAI, "main")
    holder = sqlite3.connect(file, isolation_level=None)
    try:
        assert not await store.end_alarm("x", NOW)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreDown, match="locked"):
            await store.raise_alarm("x", "trunk", "silent", NOW)
        assert await store.open_alarms() == [], "reading goes on"
        holder.execute("ROLLBACK")
        assert await store.raise_alarm("x", "trunk", "silent", NOW)
    finally:
        holder.close()
        await database.close()


async def test_a_postgresql_that_went_away_says_so_and_nothing_is_lost(
    cluster: Cluster, request: pytest.FixtureRequest
) -> None:
    url = cluster.new("careline_ready")
    name = url.rpartition("?")[0].rpartition("/")[2]
    database = Database(url)
    centre = Centre(database, SqlStore(database, SHANGHAI, "main"))
    try:
        async with database.writing() as session:
            await session.execute(text("INSERT INTO site (code, name) VALUES ('main', '本部')"))
        *story, last = whole_call()
        await centre.play(*story)
        drop = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        cluster.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", drop)
        with pytest.raises(StoreDown):
            await centre.play(last)
        for reading in (
            centre.store.untold(), centre.store.next_timer(), centre.store.open_alarms(),
            centre.store.due_timers(NOW), centre.store.open_cases(call.PROCESS),
        ):  # fmt: skip
            with pytest.raises(StoreDown):
                await reading
        with pytest.raises(StoreDown):
            await centre.store.raise_alarm("x", "trunk", "silent", NOW)
        cluster.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await centre.play(last)
        assert [row["result"] for row in await centre.rows("SELECT result FROM call_record")] == [
            "answered"
        ]
        # Cut in the middle of a transaction: nothing of it is there.
        before = await centre.everything()
        with pytest.raises(StoreDown):
            await save(centre, queued(), lambda: cluster.run(drop))
        assert await centre.everything() == before
    finally:
        await database.close()


async def test_nothing_is_lost_while_a_table_is_away(centre: Centre) -> None:
    """A backup is played back, say: what happens meanwhile waits, on every kind of database."""
    await centre.play(arrived())

    async def rename(before: str, after: str) -> None:
        async with centre.database.writing() as session:
            await session.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))

    await rename("journal", "journal_away")
    with pytest.raises(StoreDown):
        await centre.play(queued())
    await rename("journal_away", "journal")
    await centre.play(queued())
    events = await centre.rows("SELECT event FROM journal ORDER BY id")
    assert [row["event"] for row in events] == ["CallArrived", "CallQueued"]


async def test_a_database_that_was_never_there_says_so(tmp_path: Path) -> None:
    for url in (
        f"sqlite+aiosqlite:///{tmp_path / 'nowhere' / 'careline.db'}",
        f"postgresql+psycopg://careline@/careline?host={tmp_path}",
    ):
        database = Database(url)
        try:
            with pytest.raises(StoreDown):
                await SqlStore(database, SHANGHAI, "main").untold()
        finally:
            await database.close()
    # The driver's thread of a connection that failed ends a moment after it has said so.
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 10)


# ── times and texts ───────────────────────────────────────────────────────────────────────────


async def test_times_come_back_aware_and_in_utc(centre: Centre) -> None:
    """Whatever zone the server speaks (here Shanghai's) and whatever zone they came in."""
    odd = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=SHANGHAI)
    await centre.play(arrived(at=odd), answered(), ended())
    due = await centre.store.next_timer()
    assert due
    assert due.tzinfo is UTC
    (case,) = await centre.store.open_cases(call.PROCESS)
    assert case.entered_at == odd

    async def forget_the_zone() -> None:
        async with centre.database.writing() as session:
            naive = datetime(2026, 3, 1)  # noqa: DTZ001 — the fault under test.
            session.add(Timer(process="call", case_id="c", name="x", due_at=naive))

    with pytest.raises(StatementError, match="has no time zone"):
        await forget_the_zone()


@pytest.mark.parametrize(
    "words",
    [
        "'; DROP TABLE call_record; --", '"quoted" \\ %s %(x)s :y ?', "👵🏻 王秀英 " * 30,
        "${SHELL(id)}\r\nEntry: x", "\u202e\x1b[31m", "<script>alert(1)</script>", "x" * 20_000,
    ],
)  # fmt: skip
async def test_hostile_words_are_only_words(centre: Centre, words: str) -> None:
    wish = OpenOrder(
        case_id="c1", at=NOW, by="张敏", content=words, requirement=words, order_id="o1"
    )
    await centre.play(arrived(), wish)
    (row,) = await centre.rows("SELECT content, requirement FROM work_order")
    assert row == {"content": words, "requirement": words}
    (journal,) = await centre.rows("SELECT id FROM journal WHERE event = 'OpenOrder'")
    assert journal


async def test_what_a_database_cannot_keep_is_refused_in_words_or_kept(
    centre: Centre, kind: str
) -> None:
    """PostgreSQL takes no NUL in a text and nothing beyond its length."""
    await centre.play(arrived())
    before = await centre.everything()
    for content, by in (("a\0b", "张敏"), ("送餐", "名" * 500)):
        wish = OpenOrder(
            case_id="c1", at=NOW, by=by, content=content, requirement="", order_id=f"o{len(by)}"
        )
        await centre.play(wish)
        made = await centre.rows("SELECT content FROM work_order")
        assert bool(made) == (kind == "sqlite")
    if kind == "postgresql":
        # The wish stands in the call's journal; the order that it asked for could not be made.
        after_it = await centre.everything()
        assert [name for name in before if before[name] != after_it[name]] == [
            "audit_entry", "journal", "outbox", "process_case",
        ]  # fmt: skip


async def test_a_need_of_a_call_that_nobody_knows_is_refused(centre: Centre) -> None:
    with pytest.raises(NotAllowed, match="the database cannot keep what this says"):
        await centre.play(need("o1", elder=4711))
    assert await centre.store.open_cases(order.PROCESS) == []


async def test_a_late_timer_of_a_call_that_is_long_over_is_harmless(centre: Centre) -> None:
    await centre.play(*whole_call())
    await centre.play(CallTimerFired(case_id="c1", at=after(9000), name="forgotten"))
    assert await centre.store.open_alarms() == []
