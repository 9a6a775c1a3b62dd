"""The runner: saves first, then performs; nothing that was promised is lost or done out of turn."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from workflows import call, order, runner
from workflows.call_facts import Result, State
from workflows.commands import ChooseOrder, JudgeRequest, OpenOrder
from workflows.effects import Effect, MakeRecording, RaiseAlarm, StartTimer, StopTimer, Tell
from workflows.errors import InDoubt, NotAllowed, NotFound, Outdated, StoreDown
from workflows.events import (
    CallArrived,
    CallEnded,
    CallQueued,
    Entry,
    Event,
    RecordingFailed,
    RequestAccepted,
    SeatAnswered,
)
from workflows.machine import Process, Processes
from workflows.ports import DueTimer, Posted
from workflows.runner import Runner

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
PROCESSES: Final = Processes((call.PROCESS, order.PROCESS))
CallKey = tuple[str, str]


class Crash(Exception):
    """The process was killed here."""


class MemoryStore:
    """Cases, outbox and timers in memory. A transaction that is left by an error leaves no trace.

    `refuse` holds errors that the next saves meet; `gates` hold back the saves of a case.
    """

    def __init__(self) -> None:
        self.cases: dict[CallKey, Any] = {}
        self.journal: list[tuple[str, str]] = []
        self.outbox: dict[str, Effect] = {}
        self.done: set[str] = set()
        self.timers: dict[tuple[str, str, str], datetime] = {}
        self.numbers = 0
        self.ids = itertools.count()
        self.commits = 0
        self.refuse: list[Exception | None] = []
        self.keeps_in_doubt = False
        self.gates: dict[str, asyncio.Event] = {}
        self.entered: list[str] = []

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[MemoryTransaction]:
        tx = MemoryTransaction(self)
        yield tx
        error = self.refuse.pop(0) if self.refuse else None
        if error is None or (isinstance(error, InDoubt) and self.keeps_in_doubt):
            self.commits += 1
            for write in tx.writes:
                write()
        if error is not None:
            raise error

    async def untold(self) -> Sequence[Posted]:
        return [
            Posted(id_, effect)
            for id_, effect in self.outbox.items()
            if id_ not in self.done and isinstance(effect, Tell)
        ]

    async def due_timers(self, now: datetime) -> Sequence[DueTimer]:
        return [DueTimer(*key) for key, due in sorted(self.timers.items()) if due <= now]

    async def next_timer(self) -> datetime | None:
        return min(self.timers.values(), default=None)


class MemoryTransaction:
    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.writes: list[Any] = []
        self.changed: dict[CallKey, Any] = {}

    async def is_settled(self, posted: str) -> bool:
        return posted in self.store.done

    async def load(self, process: Process[Any], case_id: str) -> Any | None:
        if (process.name, case_id) in self.changed:
            return self.changed[process.name, case_id]
        self.store.entered.append(case_id)
        if gate := self.store.gates.get(case_id):
            await gate.wait()
        return copy.copy(self.store.cases.get((process.name, case_id)))

    async def complete(self, event: Event, case: Any) -> Event:
        if isinstance(event, RequestAccepted) and not case.order_no:
            number = f"{self.store.numbers + 1:04d}"
            return replace(event, order_no=number)
        if isinstance(event, ChooseOrder):
            raise NotFound(f"there is no open order {event.order_id}")
        return event

    async def save(
        self,
        process: Process[Any],
        before: Any | None,
        after: Any,
        event: Event,
        effects: Sequence[Effect],
        because: str | None,
    ) -> Sequence[Posted]:
        store = self.store
        self.changed[process.name, after.id] = after
        posted = [
            Posted(f"{next(store.ids)}", effect)
            for effect in effects
            if isinstance(effect, Tell | MakeRecording)
        ]

        def write() -> None:
            store.cases[process.name, after.id] = after
            store.journal.append((after.id, type(event).__name__))
            store.outbox.update({one.id: one.effect for one in posted})
            store.numbers += isinstance(event, RequestAccepted) and before is None
            if because:
                store.done.add(because)
            if process.on_timer and type(event) is process.on_timer:
                store.timers.pop((process.name, after.id, event.name), None)  # type: ignore[attr-defined]
            for effect in effects:
                if isinstance(effect, StartTimer):
                    due = event.at + timedelta(seconds=effect.after_s)
                    store.timers[process.name, after.id, effect.name] = due
                if isinstance(effect, StopTimer):
                    store.timers.pop((process.name, after.id, effect.name), None)

        self.writes.append(write)
        return posted


class Shown:
    """A publisher that notes what it was shown, and what was saved at that moment."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.states: list[tuple[str, str]] = []
        self.posted: list[Effect] = []
        self.alarms: list[str] = []
        self.crash_at: str | None = None

    def case_changed(self, process: str, case: Any) -> None:
        assert self.store.cases[process, case.id] == case, "shown before it was saved"
        self.states.append((case.id, case.state.value))
        if self.crash_at == case.state.value:
            self.crash_at = None
            raise Crash

    def effect_posted(self, posted: Posted) -> None:
        assert self.store.outbox[posted.id] == posted.effect, "performed before it was saved"
        self.posted.append(posted.effect)

    def alarm_raised(self, alarm: RaiseAlarm, at: datetime) -> None:
        self.alarms.append(alarm.key)

    def alarm_ended(self, key: str) -> None:
        self.alarms.remove(key)


class At:
    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time


class Stage:
    """A runner with all that it needs."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.shown = Shown(self.store)
        self.clock = At(NOW)
        self.runner = Runner(PROCESSES, self.store, self.clock, self.shown)

    async def play(self, *events: Event) -> None:
        for event in events:
            await self.runner.handle(event)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    # Here a slow machine must not part what is handed over together.
    monkeypatch.setattr(runner, "STEPPING_S", 60)
    return Stage()


def arrived(id_: str = "c1") -> Event:
    return CallArrived(case_id=id_, at=NOW, entry=Entry.HOTLINE, caller="1", callee="96100")


def answered(id_: str = "c1") -> Event:
    return SeatAnswered(case_id=id_, at=NOW, seat="1001", leg="leg")


def queued(position: int, id_: str = "c1") -> Event:
    return CallQueued(case_id=id_, at=NOW, queue="hotline", position=position)


def ended(id_: str = "c1") -> Event:
    return CallEnded(case_id=id_, at=NOW, cause=16)


def open_order() -> Event:
    return OpenOrder(case_id="c1", at=NOW, by="张敏", content="送餐", requirement="", order_id="o1")


@pytest.mark.timeout(5)
async def test_an_ended_call_tells_its_order_which_tells_the_call(stage: Stage) -> None:
    """Both ways, with every lock taken and given back on the way."""
    await stage.play(arrived(), answered(), ended())
    ended_call, made = stage.store.cases["call", "c1"], stage.store.cases["order", "c1/order"]
    assert [one.order_no for one in ended_call.orders] == [made.order_no] == ["0001"]
    assert stage.store.done == {k for k, e in stage.store.outbox.items() if isinstance(e, Tell)}
    assert stage.shown.posted == [MakeRecording(serial="c1", began_at=NOW)]
    assert stage.shown.states[-1] == ("c1", "ended")


async def test_what_could_not_be_saved_is_neither_shown_nor_done(stage: Stage) -> None:
    await stage.play(arrived(), answered())
    before = list(stage.shown.states)
    stage.store.refuse = [StoreDown("the disk is full")]
    with pytest.raises(StoreDown):
        await stage.runner.handle(ended())
    assert (stage.shown.states, stage.shown.posted, stage.store.outbox) == (before, [], {})
    await stage.runner.handle(ended())
    assert stage.store.cases["call", "c1"].result is Result.ANSWERED
    assert len(stage.shown.posted) == 1


async def test_what_is_told_is_told_until_the_database_has_it(stage: Stage) -> None:
    """The end is saved; then the database goes away for a while. The order must still come."""
    await stage.play(arrived(), answered())
    stage.store.refuse = [None, StoreDown("away"), StoreDown("away"), None, StoreDown("away")]
    await stage.runner.handle(ended())
    assert stage.runner.owes.is_set(), "nobody waits for it, and it is not forgotten"
    with pytest.raises(StoreDown):
        await stage.runner.recover()
    for _ in range(2):
        await stage.runner.recover()
    assert [one.order_no for one in stage.store.cases["call", "c1"].orders] == ["0001"]
    assert stage.store.journal.count(("c1", "CallEnded")) == 1


async def test_a_crash_between_the_commit_and_the_telling_loses_nothing(stage: Stage) -> None:
    await stage.play(arrived(), answered())
    stage.shown.crash_at = "ended"
    with pytest.raises(Crash):
        await stage.runner.handle(ended())
    assert ("order", "c1/order") not in stage.store.cases
    after = Stage(stage.store)
    await after.runner.recover()
    assert [one.order_no for one in stage.store.cases["call", "c1"].orders] == ["0001"]
    assert await stage.store.untold() == []


async def test_telling_twice_is_harmless(stage: Stage) -> None:
    """The crash came after the telling and before anybody noted it."""
    await stage.play(arrived(), answered(), ended())
    before = copy.deepcopy(stage.store.cases)
    stage.store.done.clear()
    await Stage(stage.store).runner.recover()
    assert stage.store.cases == before
    assert stage.store.numbers == 1


async def test_what_two_tell_at_once_is_told_once(stage: Stage) -> None:
    """The round that tells what waits comes upon what is being told just now."""
    await stage.play(arrived(), answered())
    stage.store.gates["c1/order"] = asyncio.Event()
    telling = asyncio.ensure_future(stage.runner.handle(ended()))
    while "c1/order" not in stage.store.entered:  # noqa: ASYNC110 — the runner says nothing.
        await asyncio.sleep(0)
    recovering = asyncio.ensure_future(stage.runner.recover())
    await asyncio.sleep(0)
    stage.store.gates["c1/order"].set()
    await asyncio.gather(telling, recovering)
    assert stage.store.journal.count(("c1/order", "RequestAccepted")) == 1


@pytest.mark.parametrize("was_kept", [True, False])
async def test_a_commit_in_doubt_is_asked_for_and_not_repeated_blindly(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, was_kept: bool
) -> None:
    monkeypatch.setattr(runner, "TRY_AGAIN_S", 0.001)
    await stage.play(arrived())
    answers: list[StoreDown | bool] = [StoreDown("away"), was_kept]

    async def ask() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, StoreDown):
            raise answer
        return answer

    stage.store.keeps_in_doubt = was_kept
    stage.store.refuse = [InDoubt("the answer was lost", ask)]
    if was_kept:
        await stage.runner.handle(queued(1))
    else:
        with pytest.raises(StoreDown):
            await stage.runner.handle(queued(1))
    assert stage.store.journal.count(("c1", "CallQueued")) == was_kept
    assert (stage.shown.states[-1] == ("c1", "waiting")) == was_kept
    assert answers == []


async def test_one_case_takes_its_events_in_order_and_another_does_not_wait(stage: Stage) -> None:
    stage.store.gates["c1"] = asyncio.Event()
    first = asyncio.ensure_future(stage.runner.handle(arrived()))
    second = asyncio.ensure_future(stage.runner.handle(queued(2)))
    third = asyncio.ensure_future(stage.runner.handle(queued(1)))
    await asyncio.wait_for(stage.runner.handle(arrived("c2")), 1)
    assert stage.store.journal == [("c2", "CallArrived")]
    assert stage.store.entered == ["c1", "c2"], "the second event began before the first was done"
    stage.store.gates["c1"].set()
    await asyncio.wait_for(asyncio.gather(first, second, third), 1)
    assert [name for id_, name in stage.store.journal if id_ == "c1"] == [
        "CallArrived", "CallQueued", "CallQueued",
    ]  # fmt: skip
    assert stage.store.cases["call", "c1"].position == 1


async def test_a_wish_about_nothing_is_not_found(stage: Stage) -> None:
    with pytest.raises(NotFound, match="there is no order o9"):
        await stage.runner.handle(
            JudgeRequest(case_id="o9", at=NOW, by="张敏", content="x", requirement="")
        )
    assert stage.store.cases == {}


async def test_a_refused_wish_leaves_no_trace(stage: Stage) -> None:
    await stage.play(arrived(), answered(), ended())
    before = len(stage.store.journal)
    with pytest.raises(NotAllowed):
        await stage.runner.handle(
            JudgeRequest(case_id="c1/order", at=NOW, by="张敏", content="", requirement="")
        )
    with pytest.raises(NotFound):
        await stage.runner.handle(ChooseOrder(case_id="c1", at=NOW, by="张敏", order_id="o9"))
    assert len(stage.store.journal) == before


async def test_a_fact_is_taken_on_the_newest_case_and_a_wish_must_be_read_again(
    stage: Stage,
) -> None:
    """Another node wrote between our reading and our writing."""
    await stage.play(arrived())
    stage.store.refuse = [Outdated("another was first"), Outdated("another was first")]
    await stage.runner.handle(queued(1))
    assert stage.store.cases["call", "c1"].state is State.WAITING
    stage.store.refuse = [Outdated("another was first")]
    with pytest.raises(Outdated):
        await stage.runner.handle(open_order())


async def test_a_told_event_that_is_refused_does_not_hurt_the_one_that_told_it(
    stage: Stage,
) -> None:
    await stage.play(arrived(), answered())
    stage.store.refuse = [None, NotAllowed("an elder that does not exist")]
    assert (await stage.runner.handle(ended())).state is State.ENDED
    assert len(await stage.store.untold()) == 1
    assert stage.shown.alarms == ["not kept/c1/order"]
    stage.store.refuse = [NotAllowed("an elder that does not exist")]
    await stage.runner.recover()
    assert stage.shown.alarms == ["not kept/c1/order"], "it is said once"


async def test_a_due_timer_becomes_its_event_once(stage: Stage) -> None:
    await stage.play(arrived(), answered(), ended())
    assert stage.runner.timers_changed.is_set()
    await stage.runner.fire_due_timers()
    assert stage.shown.alarms == []
    stage.clock.time = NOW + timedelta(seconds=call.RECORDING_DUE_S)
    await stage.runner.fire_due_timers()
    assert stage.shown.alarms == ["recording/c1"]
    await stage.runner.fire_due_timers()
    assert stage.shown.alarms == ["recording/c1"]
    assert await stage.store.next_timer() is None


async def test_an_alarm_is_shown(stage: Stage) -> None:
    failed = RecordingFailed(case_id="c1", at=NOW, reason="no sound")
    await stage.play(arrived(), answered(), ended(), failed)
    assert stage.shown.alarms == ["recording/c1"]


async def test_no_lock_outlives_its_case(stage: Stage) -> None:
    for n in range(20):
        await stage.play(arrived(f"c{n}"))
    assert len(stage.runner._locks) == 0


# ── many at once ──────────────────────────────────────────────────────────────────────────────


def storm(calls: int = 3) -> list[Event]:
    """Calls that come, wait, are answered and end side by side."""
    ids = [f"c{n}" for n in range(calls)]
    return [
        event
        for stage_of in (arrived, lambda id_: queued(1, id_), answered, ended)
        for event in map(stage_of, ids)
    ]


async def take_all(stage: Stage, events: Sequence[Event]) -> list[int]:
    """Hand them over as the listener does; returns how many were taken each time."""
    taken: list[int] = []
    while rest := events[sum(taken) :]:
        taken.append(await stage.runner.handle_many(rest))
    return taken


async def test_what_waits_together_shares_a_commit_and_ends_as_if_one_by_one(stage: Stage) -> None:
    alone = Stage()
    await alone.play(*storm())
    assert sum(await take_all(stage, storm())) == 12
    assert {id_: c.state for id_, c in stage.store.cases.items()} == {
        id_: c.state for id_, c in alone.store.cases.items()
    }
    for id_ in ("c0", "c1", "c2"):
        of_case = [name for case, name in stage.store.journal if case == id_]
        assert of_case == [name for case, name in alone.store.journal if case == id_]
    assert stage.store.commits < alone.store.commits
    assert [e.serial for e in stage.shown.posted if isinstance(e, MakeRecording)] == [
        "c0", "c1", "c2",
    ]  # fmt: skip


async def test_a_slow_step_lets_the_rest_wait_for_the_next_commit(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "STEPPING_S", -1.0)
    assert await take_all(stage, storm(1)) == [1, 1, 1, 1]
    assert stage.store.cases["call", "c0"].state is State.ENDED


@pytest.mark.parametrize(
    "trouble", [Outdated("another was first"), NotAllowed("a NUL"), LookupError("our fault")]
)
async def test_when_a_commit_of_many_fails_they_are_taken_in_smaller_parts(
    stage: Stage, trouble: Exception
) -> None:
    stage.store.refuse = [trouble, trouble]
    await take_all(stage, storm())
    assert len(stage.store.journal) == len(set(stage.store.journal)), "nothing is taken twice"
    assert {c.state for (name, _), c in stage.store.cases.items() if name == "call"} == {
        State.ENDED
    }
    assert stage.shown.states.count(("c0", "ended")) == 2, "its end, and the order tied to it"


async def test_what_is_raised_is_about_the_first_event_alone(stage: Stage) -> None:
    trouble = NotAllowed("a NUL")
    stage.store.refuse = [trouble] * 4
    with pytest.raises(NotAllowed):
        await stage.runner.handle_many(storm())
    assert stage.store.cases == {}


async def test_when_the_database_is_away_none_of_many_is_taken_or_shown(stage: Stage) -> None:
    stage.store.refuse = [StoreDown("away")]
    with pytest.raises(StoreDown):
        await stage.runner.handle_many(storm())
    assert (stage.store.cases, stage.shown.states) == ({}, [])
    await take_all(stage, storm())
    assert len(stage.store.journal) == 12 + 2 * 3


@pytest.mark.timeout(5)
async def test_many_at_once_keep_to_each_case_s_turn(stage: Stage) -> None:
    """A wish that holds a case is not overtaken, and two batches do not wait for each other."""
    stage.store.gates["c1"] = asyncio.Event()
    first = asyncio.ensure_future(stage.runner.handle(arrived("c1")))
    await asyncio.sleep(0)
    one = asyncio.ensure_future(stage.runner.handle_many([arrived("c0"), queued(2, "c1")]))
    other = asyncio.ensure_future(stage.runner.handle_many([queued(1, "c1"), queued(1, "c0")]))
    await asyncio.sleep(0)
    stage.store.gates["c1"].set()
    await asyncio.gather(first, one, other)
    assert [name for id_, name in stage.store.journal if id_ == "c1"] == [
        "CallArrived", "CallQueued", "CallQueued",
    ]  # fmt: skip
    assert len(stage.runner._locks) == 0
