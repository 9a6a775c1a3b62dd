"""The imperative shell: complete the event, step, save in one commit, then perform.

One lock per case orders its steps; facts that wait together share one commit. Told events are
performed after the lock is free, since two cases may tell each other. What a crash, or a database
that went away, leaves in the outbox is told from there, once, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakValueDictionary

from workflows.commands import Command
from workflows.effects import Effect, EndAlarm, RaiseAlarm, StartTimer, Tell
from workflows.errors import InDoubt, NotFound, Outdated, StoreDown
from workflows.events import Event
from workflows.machine import Processes
from workflows.ports import Clock, DueTimer, Posted, Publisher, Store, Transaction

logger = logging.getLogger(__name__)

NOT_KEPT: Final = "not kept"
"""Kind of alarm: the record of a case has a gap."""
TRY_AGAIN_S: Final = 0.5
STEPPING_S: Final = 0.006
"""After so long no further event joins a transaction, which then ends within 20 ms."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one event did to its case."""

    process: str
    event: Event
    before: Any
    after: Any
    effects: Sequence[Effect]
    posted: Sequence[Posted]


class Runner:
    """Handles each case's events one at a time, and different cases side by side."""

    def __init__(
        self, processes: Processes, store: Store, clock: Clock, publisher: Publisher
    ) -> None:
        self._processes: Final = processes
        self._store: Final = store
        self._clock: Final = clock
        self._publisher: Final = publisher
        self._locks: Final[WeakValueDictionary[str, asyncio.Lock]] = WeakValueDictionary()
        self._refused: Final[set[str]] = set()
        self.timers_changed: Final = asyncio.Event()
        # Something was promised to another case, and the database went away before it was told.
        self.owes: Final = asyncio.Event()

    async def recover(self) -> None:
        """Tell what was promised and not told, oldest first. Raises StoreDown."""
        for one in await self._store.untold():
            await self._tell(one)

    async def handle(self, event: Event, because: str | None = None) -> Any:
        """Advance the event's case, carry out what it asked for, and return the case.

        Raises NotAllowed, NotFound or Outdated for a wish; a fact is always taken. Raises StoreDown
        when nothing of the event could be saved: then it may be handed over again.
        """
        async with self._lock(event):
            step = await self._step_on_newest(event, because)
            self._publish([step])
        await self._perform(step.posted)
        return step.after

    async def handle_many(self, events: Sequence[Event]) -> int:
        """Take the first of these facts in one commit and return how many, one at the least.

        Taken are as many as can be stepped in a few milliseconds. If one of them cannot be taken,
        none is, and fewer are tried; so what is raised is about the first event alone.
        """
        if len(events) == 1:
            await self.handle(events[0])
            return 1
        # In one order always, so that no two batches wait for each other's cases.
        locks = {event.case_id: self._lock(event) for event in events}
        async with AsyncExitStack() as held:
            for case_id in sorted(locks):
                await held.enter_async_context(locks[case_id])
            try:
                steps = await self._step_together(events)
            except StoreDown:
                raise
            except Exception:
                logger.info("%d events are taken in smaller parts", len(events), exc_info=True)
                steps = []
            self._publish(steps)
        if not steps:
            return await self.handle_many(events[: len(events) // 2])
        await self._perform([posted for step in steps for posted in step.posted])
        return len(steps)

    def _lock(self, event: Event) -> asyncio.Lock:
        return self._locks.setdefault(event.case_id, asyncio.Lock())

    async def _step_on_newest(self, event: Event, because: str | None) -> Step:
        while True:
            try:
                async with self._commit() as tx:
                    return await self._step(tx, event, because)
            except Outdated:
                # A person must see what changed; a fact is as true on the newer case.
                if isinstance(event, Command):
                    raise

    @asynccontextmanager
    async def _commit(self) -> AsyncIterator[Transaction]:
        """One transaction. Raises StoreDown only when it is certain that nothing was saved."""
        try:
            async with self._store.begin() as tx:
                yield tx
        except InDoubt as doubt:
            if not await self._was_kept(doubt):
                raise StoreDown(f"nothing was saved: {doubt}") from doubt

    async def _was_kept(self, doubt: InDoubt) -> bool:
        """Ask until the database answers: to do it again unasked would do it twice."""
        while True:
            try:
                was_kept = await doubt.was_kept()
            except StoreDown as down:
                logger.warning("a commit is in doubt: %s", down)
                await asyncio.sleep(TRY_AGAIN_S)
            else:
                logger.warning("%s; it was %s", doubt, "kept" if was_kept else "not kept")
                return was_kept

    async def _step_together(self, events: Sequence[Event]) -> list[Step]:
        time = asyncio.get_running_loop().time
        steps: list[Step] = []
        async with self._commit() as tx:
            enough = time() + STEPPING_S
            for event in events:
                steps.append(await self._step(tx, event, None))
                if time() > enough:
                    break
        return steps

    async def _step(self, tx: Transaction, event: Event, because: str | None) -> Step:
        process = self._processes.for_event(event)
        before = await tx.load(process, event.case_id)
        if before is None and isinstance(event, Command):
            raise NotFound(f"there is no {process.name} {event.case_id}")
        case = before if before is not None else process.begin(event)
        if because and await tx.is_settled(because):
            return Step(process.name, event, case, case, (), ())
        complete = await tx.complete(event, case)
        after, effects = process.step(case, complete)
        posted = await tx.save(process, before, after, complete, effects, because)
        return Step(process.name, event, case, after, effects, posted)

    def _publish(self, steps: Sequence[Step]) -> None:
        """Show what was saved: of each case the newest, and every alarm."""
        for step in steps:
            logger.info(
                "%s %s: %s --%s--> %s",
                step.process, step.event.case_id, step.before.state.value,
                type(step.event).__name__, step.after.state.value,
            )  # fmt: skip
        if any(isinstance(effect, StartTimer) for step in steps for effect in step.effects):
            self.timers_changed.set()
        newest = {(step.process, step.event.case_id): step for step in steps}
        for step in newest.values():
            self._publisher.case_changed(step.process, step.after)
        for step in steps:
            for effect in step.effects:
                match effect:
                    case RaiseAlarm():
                        self._publisher.alarm_raised(effect, step.event.at)
                    case EndAlarm():
                        self._publisher.alarm_ended(effect.key)

    async def _perform(self, posted: Sequence[Posted]) -> None:
        for one in posted:
            if not isinstance(one.effect, Tell):
                self._publisher.effect_posted(one)
                continue
            try:
                await self._tell(one)
            except StoreDown as down:
                logger.warning("what was promised waits: %s", down)
                self.owes.set()

    async def _tell(self, posted: Posted) -> None:
        """Tell it, unless it was told meanwhile. Raises StoreDown: it waits in the outbox."""
        assert isinstance(posted.effect, Tell)
        event = posted.effect.event
        try:
            await self.handle(event, posted.id)
        except StoreDown:
            raise
        except Exception:
            # It stays in the outbox; who caused it has been served and must not see this.
            if self.refused(event.case_id, type(event).__name__):
                logger.exception("%s %s was refused", type(event).__name__, event.case_id)

    async def fire_due_timers(self) -> None:
        """Turn every due timer into its event. A timer ends when its event is saved."""
        now = self._clock.now()
        for timer in await self._store.due_timers(now):
            try:
                await self._fire(timer)
            except StoreDown:
                raise
            except Exception:
                # One timer that cannot be fired must not hold up all that are due after it.
                if self.refused(timer.case_id, timer.name):
                    logger.exception("a timer of %s %s failed", timer.process, timer.case_id)

    def refused(self, case_id: str, what: str) -> bool:
        """Raise the alarm that this cannot be kept; True when it is the first of its case.

        It may be tried again and again, and neither seats nor log are to be flooded with it.
        """
        key = f"{NOT_KEPT}/{case_id}"
        if key in self._refused:
            return False
        self._refused.add(key)
        alarm = RaiseAlarm(key=key, kind=NOT_KEPT, text=f"{case_id}: {what}")
        self._publisher.alarm_raised(alarm, self._clock.now())
        return True

    async def _fire(self, timer: DueTimer) -> None:
        now = self._clock.now()
        process = self._processes.by_name[timer.process]
        assert process.on_timer, f"{process.name} started a timer that it has no event for"
        await self.handle(process.on_timer(case_id=timer.case_id, at=now, name=timer.name))
