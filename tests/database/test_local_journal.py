"""The emergencies' journal: on the local disk first, and in the database once, away or not."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from sql import codec
from sql.case_file import line_of
from sql.engine import Database
from sql.filling import Step
from sql.local_journal import LONG, LocalJournal
from sql.store import SqlStore
from tests.database.centre import NOW, Centre, Clock, Nobody, after
from workflows import emergency, emergency_facts, role
from workflows.commands import CallAgain, CloseCase, FollowUp, WriteNote, WriteRecord
from workflows.events import (
    CallKept,
    CaseFound,
    CaseOutcome,
    CaseOverdue,
    DialAnswered,
    DialAttempted,
    DialFailed,
    DialLost,
    ElderGone,
    EmergencyTimerFired,
    Event,
    Owner,
    Person,
    PersonJoined,
    PersonLeft,
    RoomOpened,
)
from workflows.runner import Runner

CASE: Final = "n-1.1"
DIAL: Final = f"{CASE}-A1"
OF_B: Final = f"{CASE}-B1"


def opened() -> Event:
    return RoomOpened(case_id=CASE, at=NOW)


def whole_case() -> tuple[Event, ...]:
    """The elder is in the room, a seat is rung and answers, then the elder hangs up, and a person
    puts the case away."""
    person = Person(leg="s1", party="seat", who="1001", effect=DIAL)
    return (
        opened(),
        DialAttempted(case_id=CASE, at=after(0.1), effect=DIAL),
        DialAnswered(case_id=CASE, at=after(4), effect=DIAL),
        PersonJoined(case_id=CASE, at=after(4.1), person=person),
        ElderGone(case_id=CASE, at=after(60)),
        WriteRecord(case_id=CASE, at=after(61), by="测试", text="…"),
        CloseCase(
            case_id=CASE, at=after(62), by="测试", outcome=CaseOutcome.TEST, changes="…"
        ),
        FollowUp(case_id=CASE, at=after(63), by="测试", text="…"),
    )  # fmt: skip


class Rescue:
    """A controller's emergencies in this folder, as they come up after a start."""

    def __init__(self, folder: Path) -> None:
        self.kept: list[bool] = []
        self.never: list[tuple[str, str]] = []
        self.journal = LocalJournal(folder, emergency.PROCESS, self.kept.append)
        self.journal.load()
        self.runner = Runner(codec.PROCESSES, self.journal, Clock(), Nobody())

    async def play(self, *events: Event) -> None:
        for event in events:
            await self.runner.handle(event)

    def refused(self, case_id: str, what: str) -> None:
        self.never.append((case_id, what))

    @property
    def state(self) -> emergency_facts.State:
        case = self.journal.case(CASE)
        assert isinstance(case, emergency_facts.Emergency)
        return case.state


@asynccontextmanager
async def filling(rescue: Rescue, store: SqlStore) -> AsyncIterator[None]:
    task = asyncio.create_task(rescue.journal.keep_filling(store, rescue.refused))
    yield
    task.cancel()
    await asyncio.wait((task,))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 — the filling says nothing of itself.
            await asyncio.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "rescue"


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Somebody holds the SQLite file, and nobody else can write."""
    connection = sqlite3.connect(url.partition("///")[2], isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@asynccontextmanager
async def away(centre: Centre, rescue: Rescue) -> AsyncIterator[None]:
    """The database is locked, or its server cannot be reached, while the filling goes on."""
    if centre.database.is_sqlite:
        async with filling(rescue, centre.store):
            with locked(centre.database.url):
                yield
        return
    nowhere = Database("postgresql+psycopg://careline@/d1?host=/nonexistent")
    async with filling(rescue, SqlStore(nowhere, ZoneInfo("Asia/Shanghai"), "main")):
        yield
    await nowhere.close()


async def rows(centre: Centre) -> tuple[list[str], list[str], list[tuple[str, str, bool]]]:
    """The case, the journal, and the dials with their results."""
    cases = await centre.rows("SELECT id, state FROM process_case WHERE process = 'emergency'")
    journal = await centre.rows("SELECT event FROM journal WHERE process = 'emergency' ORDER BY id")
    dials = await centre.rows("SELECT id, result, attempted_at FROM outbox ORDER BY seq")
    return (
        [f"{row['id']} {row['state']}" for row in cases],
        [row["event"] for row in journal],
        [(row["id"], row["result"], row["attempted_at"] is not None) for row in dials],
    )


EVERYTHING: Final = (
    [f"{CASE} closed"],
    [
        "RoomOpened",
        "DialAttempted",
        "DialAnswered",
        "PersonJoined",
        "ElderGone",
        "WriteRecord",
        "CloseCase",
        "FollowUp",
    ],
    # Nobody came for role B before the elder hung up.
    [(DIAL, "answered", True), (OF_B, "cancelled", False), (f"{OF_B}/cancel", "", False)],
)


async def test_a_whole_emergency_while_the_database_is_away(centre: Centre, folder: Path) -> None:
    rescue = Rescue(folder)
    async with away(centre, rescue):
        async with asyncio.timeout(2):
            await rescue.play(*whole_case())
        assert rescue.state is emergency_facts.State.CLOSED
        if not centre.database.is_sqlite:
            assert (await rows(centre))[0] == []
    assert list(folder.iterdir()), "what the database does not have must stay on the disk"
    async with filling(rescue, centre.store):
        await until(lambda: not list(folder.iterdir()))
    assert await rows(centre) == EVERYTHING


async def test_the_database_is_filled_while_it_is_there_too(centre: Centre, folder: Path) -> None:
    rescue = Rescue(folder)
    async with filling(rescue, centre.store):
        await rescue.play(*whole_case())
        await until(lambda: not list(folder.iterdir()))
    assert await rows(centre) == EVERYTHING
    assert rescue.journal.open_cases() == []


async def test_a_crash_at_any_step_loses_and_doubles_nothing(centre: Centre, folder: Path) -> None:
    """A new controller comes up after every step; some steps are in the database already."""
    for number, event in enumerate(whole_case()):
        rescue = Rescue(folder)
        await rescue.play(event)
        if number % 2 and event is not whole_case()[-1]:
            async with filling(Rescue(folder), centre.store):
                await asyncio.sleep(0.2)
    async with filling(Rescue(folder), centre.store):
        await until(lambda: not list(folder.iterdir()))
    assert await rows(centre) == EVERYTHING


@pytest.mark.parametrize("cut", [1, 9, 40])
async def test_a_torn_last_line_is_dropped_and_the_rest_goes_on(folder: Path, cut: int) -> None:
    await Rescue(folder).play(*whole_case()[:4])
    file = next(folder.iterdir())
    file.write_bytes(file.read_bytes()[:-cut])
    rescue = Rescue(folder)
    assert rescue.state is emergency_facts.State.ALONE
    await rescue.play(*whole_case()[3:])
    assert Rescue(folder).state is emergency_facts.State.CLOSED


@pytest.mark.parametrize("is_away", [False, True])
async def test_a_file_that_cannot_be_read_is_kept_and_no_later_step_is_lost(
    centre: Centre, folder: Path, *, is_away: bool
) -> None:
    """Another version wrote it, whoever goes back to that must find it; the case goes on."""
    rescue = Rescue(folder)
    async with filling(rescue, centre.store):
        await rescue.play(*whole_case()[:4])
        await until(lambda: not rescue.journal._cases[CASE].unfilled)
    file = next(folder.iterdir())
    foreign = line_of({"v": 0, "seq": 4})
    file.write_bytes(foreign)
    after_start = Rescue(folder)
    assert after_start.journal.unreadable == [CASE]
    (kept,) = folder.iterdir()
    assert (kept.suffix, kept.read_bytes()) == (".unreadable", foreign)
    if is_away:
        found = CaseFound(case_id=CASE, at=after(50), owner=Owner.CONTROLLER, people=())
        await after_start.play(found)
    else:
        await after_start.journal.catch_up(centre.store, "n")
        assert after_start.state is emergency_facts.State.ACCOMPANIED
    # One who begins anew does not know that a seat was there, and waits for the call's record.
    await after_start.play(*whole_case()[4:], CallKept(case_id=CASE, at=after(61)))
    async with filling(after_start, centre.store):
        await until(lambda: list(folder.iterdir()) == [kept])
    cases, journal, _ = await rows(centre)
    assert cases == [f"{CASE} closed"]
    began_anew = ["CaseFound"] if is_away else []
    assert journal == [*EVERYTHING[1][:4], *began_anew, *EVERYTHING[1][4:], "CallKept"]


async def test_a_line_of_another_hand_is_not_believed(folder: Path) -> None:
    await Rescue(folder).play(*whole_case()[:4])
    file = next(folder.iterdir())
    file.write_bytes(file.read_bytes().replace(b"1001", b"1002"))
    assert Rescue(folder).state is emergency_facts.State.ALONE


async def test_a_spoilt_line_costs_itself_alone(folder: Path) -> None:
    """Each line has the whole case in it: those behind the spoilt one are as good as before."""
    await Rescue(folder).play(*whole_case()[:4])
    file = next(folder.iterdir())
    first, second, *rest = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + second.replace(b"DialAttempted", b"DialAttempteX") + b"".join(rest))
    rescue = Rescue(folder)
    assert rescue.state is emergency_facts.State.ACCOMPANIED
    await rescue.play(whole_case()[4])
    assert Rescue(folder).state is emergency_facts.State.CLOSED


async def test_a_disk_that_takes_nothing_still_gives_what_it_has(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was mounted read-only after a fault; the emergencies on it go on from there."""
    await Rescue(folder).play(*whole_case()[:4])

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for change in ("truncate", "ftruncate", "pwrite"):
        monkeypatch.setattr(os, change, refuse)
    rescue = Rescue(folder)
    assert rescue.state is emergency_facts.State.ACCOMPANIED
    await rescue.play(whole_case()[4])
    assert (rescue.state, rescue.kept[-1]) == (emergency_facts.State.CLOSED, False)


async def test_what_found_no_room_is_written_as_soon_as_there_is(
    folder: Path, tmp_path: Path
) -> None:
    """Also when nothing more happens in the case, and while the database is away."""
    rescue = Rescue(folder)
    await rescue.play(*whole_case()[:3])
    folder.rename(tmp_path / "gone")
    await rescue.play(whole_case()[3])
    assert rescue.kept[-1] is False
    nowhere = Database(f"sqlite+aiosqlite:///{tmp_path / 'nowhere' / 'careline.db'}")
    async with filling(rescue, SqlStore(nowhere, ZoneInfo("Asia/Shanghai"), "main")):
        await until(lambda: not rescue.journal._stepped.is_set())
        (tmp_path / "gone").rename(folder)
        await until(lambda: rescue.kept[-1] is True)
    await nowhere.close()
    assert Rescue(folder).state is emergency_facts.State.ACCOMPANIED


async def test_a_late_fact_is_not_lost_under_the_hand_that_clears_up(
    centre: Centre, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The case is over and in the database; while its file goes, one more fact is written."""
    rescue = Rescue(folder)
    await rescue.play(*whole_case())
    gate, real = threading.Event(), os.fsync

    def slow_fsync(file: int) -> None:
        gate.wait(10)
        real(file)

    monkeypatch.setattr(os, "fsync", slow_fsync)
    late = asyncio.create_task(rescue.play(PersonLeft(case_id=CASE, at=after(61), leg="s1")))
    async with filling(rescue, centre.store):
        await until(lambda: not rescue.journal._cases[CASE].unfilled)
        await asyncio.sleep(0.2)
    gate.set()
    await late
    # The controller dies before it has brought the fact into the database.
    async with filling(Rescue(folder), centre.store):
        await until(lambda: not list(folder.iterdir()))
    assert (await rows(centre))[1][-1] == "PersonLeft"


async def test_a_controller_that_knew_nothing_of_its_case_loses_no_fact_of_it(
    centre: Centre, folder: Path, tmp_path: Path
) -> None:
    """It came up with an empty disk, and without the database that had the case."""
    rescue = Rescue(folder)
    async with filling(rescue, centre.store):
        await rescue.play(*whole_case()[:4])
        await until(lambda: not rescue.journal._cases[CASE].unfilled)
    fresh = Rescue(tmp_path / "empty")
    kept = CallKept(case_id=CASE, at=after(61))
    await fresh.play(RoomOpened(case_id=CASE, at=after(50)), *whole_case()[4:], kept)
    async with filling(fresh, centre.store):
        await until(lambda: not list((tmp_path / "empty").iterdir()))
    cases, journal, _ = await rows(centre)
    assert cases == [f"{CASE} closed"]
    assert journal == [*EVERYTHING[1][:4], "RoomOpened", *EVERYTHING[1][4:], "CallKept"]


async def test_a_long_file_is_shortened_once_the_database_has_it(
    centre: Centre, folder: Path
) -> None:
    """A case that stays open for days does not make the next start slow, and nothing is lost."""
    rescue = Rescue(folder)
    notes = [
        WriteNote(case_id=CASE, at=after(5 + n / 10), by="测试", note_id=str(n), text=f"{n}" * 200)
        for n in range(60)
    ]
    overdue = CaseOverdue(case_id=CASE, at=after(30), what="no news")
    await rescue.play(*whole_case()[:2], *notes, overdue)
    (file,) = folder.iterdir()
    assert file.stat().st_size > LONG
    async with filling(rescue, centre.store):
        await until(lambda: file.stat().st_size < LONG)
    again = Rescue(folder)
    assert again.journal.case(CASE) == rescue.journal.case(CASE)
    assert {one.kind for one, _ in again.journal.open_alarms()} == {"no news"}
    assert again.journal.next_due_s() is not None
    async with filling(again, centre.store):
        await again.play(*whole_case()[2:])
        await until(lambda: not list(folder.iterdir()))
    journal = (await rows(centre))[1]
    assert journal.count("WriteNote") == 60
    assert journal.count("CaseOverdue") == 1
    assert journal[-1] == "FollowUp"


async def test_an_uncertain_dial_is_a_row_and_an_alarm(centre: Centre, folder: Path) -> None:
    rescue = Rescue(folder)
    lost = DialLost(case_id=CASE, at=after(9), effect=DIAL, attempted_at=NOW, seats_there=1)
    again = CallAgain(case_id=CASE, at=after(10), by="张敏")
    await rescue.play(*whole_case()[:2], lost, again)
    async with filling(rescue, centre.store):
        await until(lambda: not rescue.journal._cases[CASE].unfilled)
    dials = (await rows(centre))[2]
    assert (DIAL, "uncertain", True) in dials, "its withdrawal makes nothing certain"
    alarms = await centre.store.open_alarms()
    assert [alarm.kind for alarm in alarms] == ["perhaps called"]
    assert [alarm.key for alarm, _ in Rescue(folder).journal.open_alarms()] == [alarms[0].key]


async def test_a_restart_repeats_no_alarm_that_has_ended(centre: Centre, folder: Path) -> None:
    """The steps are in the database already, and are read again from the disk."""
    failed = DialFailed(case_id=CASE, at=after(1), effect=DIAL, reason="no route")
    again = EmergencyTimerFired(case_id=CASE, at=after(2), name=role.TRY_AGAIN)
    await Rescue(folder).play(*whole_case()[:2], failed, again)
    for _ in range(3):
        rescue = Rescue(folder)
        async with filling(rescue, centre.store):
            await until(lambda: not rescue.journal._cases[CASE].unfilled)  # noqa: B023
    alarms = await centre.rows("SELECT kind, ended_at FROM alarm")
    assert [alarm["kind"] for alarm in alarms] == ["dial failed"]
    assert alarms[0]["ended_at"] is not None


async def test_timers_outlive_a_controller(folder: Path) -> None:
    await Rescue(folder).play(opened())
    due = Rescue(folder).journal.next_due_s()
    assert due is not None
    assert 0 < due <= emergency.NOBODY_S


async def test_what_the_database_never_takes_is_told_and_kept(centre: Centre, folder: Path) -> None:
    rescue = Rescue(folder)
    spoilt = Person(leg="s1", party="seat", who="10\ud80001", effect=DIAL)
    async with filling(rescue, centre.store):
        await rescue.play(opened())
        rescue.journal._cases[CASE].unfilled.append(
            Step(2, PersonJoined(case_id=CASE, at=after(1), person=spoilt), "", None, ())
        )
        await rescue.play(whole_case()[1])
        await until(lambda: bool(rescue.never))
    assert rescue.never == [(CASE, "PersonJoined")]
    assert (folder / "n-1.1.jsonl").exists()


async def test_another_nodes_emergency_is_left_to_it(
    centre: Centre, folder: Path, tmp_path: Path
) -> None:
    """Its elder is in no room of our Asterisk, and would pass for gone."""
    rescue = Rescue(folder)
    async with filling(rescue, centre.store):
        await rescue.play(opened())
        await until(lambda: not rescue.journal._cases[CASE].unfilled)
    neighbour = Rescue(tmp_path / "neighbour")
    await neighbour.journal.catch_up(centre.store, "m")
    assert neighbour.journal.open_cases() == []


async def test_what_only_the_database_has_is_taken_from_there(
    centre: Centre, folder: Path, tmp_path: Path
) -> None:
    """The disk was full for a while, and the controller died."""
    rescue = Rescue(folder)
    async with filling(rescue, centre.store):
        await rescue.play(*whole_case()[:4])
        await until(lambda: not rescue.journal._cases[CASE].unfilled)
    fresh = Rescue(tmp_path / "empty")
    await fresh.journal.catch_up(centre.store, "n")
    assert fresh.state is emergency_facts.State.ACCOMPANIED
    async with filling(fresh, centre.store):
        await fresh.play(*whole_case()[4:])
        await until(lambda: not fresh.journal._cases)
    assert await rows(centre) == EVERYTHING
