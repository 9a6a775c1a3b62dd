"""The imperative shell: complete the event, step, save in one commit, then perform.

One lock per case orders its steps. Told events are performed after the lock is free, since two
cases may tell each other. What a crash leaves in the outbox is told at the next start; every told
event is harmless when it is told twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

from workflows.commands import Command
from workflows.effects import EndAlarm, RaiseAlarm, StartTimer, Tell
from workflows.errors import CarelineError, NotFound, Outdated, StoreDown
from workflows.events import Event
from workflows.machine import Processes
from workflows.ports import Clock, DueTimer, Posted, Publisher, Store

logger = logging.getLogger(__name__)

TRY_AGAIN_S: Final = 0.5


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
        self.timers_changed: Final = asyncio.Event()

    async def recover(self) -> None:
        """Tell what was promised before the last stop."""
        await self._perform(await self._store.untold())

    async def handle(self, event: Event, because: str | None = None) -> Any:
        """Advance the event's case, carry out what it asked for, and return the case.

        Raises NotAllowed, NotFound or Outdated for a wish; a fact is always taken. Raises StoreDown
        when nothing of the event could be saved: then it may be handed over again.
        """
        lock = self._locks.setdefault(event.case_id, asyncio.Lock())
        async with lock:
            case, posted = await self._step_on_newest(event, because)
        await self._perform(posted)
        return case

    async def _step_on_newest(
        self, event: Event, because: str | None
    ) -> tuple[Any, Sequence[Posted]]:
        while True:
            try:
                return await self._step(event, because)
            except Outdated:
                # A person must see what changed; a fact is as true on the newer case.
                if isinstance(event, Command):
                    raise

    async def _step(self, event: Event, because: str | None) -> tuple[Any, Sequence[Posted]]:
        process = self._processes.for_event(event)
        async with self._store.begin() as tx:
            before = await tx.load(process, event.case_id)
            if before is None and isinstance(event, Command):
                raise NotFound(f"there is no {process.name} {event.case_id}")
            case = before if before is not None else process.begin(event)
            complete = await tx.complete(event, case)
            after, effects = process.step(case, complete)
            posted = await tx.save(process, before, after, complete, effects, because)
        logger.info(
            "%s %s: %s --%s--> %s",
            process.name, event.case_id, case.state.value, type(event).__name__, after.state.value,
        )  # fmt: skip
        if any(isinstance(effect, StartTimer) for effect in effects):
            self.timers_changed.set()
        self._publisher.case_changed(process.name, after)
        for effect in effects:
            match effect:
                case RaiseAlarm():
                    self._publisher.alarm_raised(effect, event.at)
                case EndAlarm():
                    self._publisher.alarm_ended(effect.key)
        return after, posted

    async def _perform(self, posted: Sequence[Posted]) -> None:
        for one in posted:
            if isinstance(one.effect, Tell):
                await self._tell(one.effect.event, one.id)
            else:
                self._publisher.effect_posted(one)

    async def _tell(self, event: Event, because: str) -> None:
        """Tell it until the database has it: what told it is saved and will not be repeated."""
        while True:
            try:
                await self.handle(event, because)
            except StoreDown as down:
                logger.warning("%s %s waits: %s", type(event).__name__, event.case_id, down)
                await asyncio.sleep(TRY_AGAIN_S)
            except CarelineError:
                # It stays in the outbox; who caused it has been served and must not see this.
                logger.exception("%s %s was refused", type(event).__name__, event.case_id)
                return
            else:
                return

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
                logger.exception("a timer of %s %s failed", timer.process, timer.case_id)

    async def _fire(self, timer: DueTimer) -> None:
        now = self._clock.now()
        process = self._processes.by_name[timer.process]
        assert process.on_timer, f"{process.name} started a timer that it has no event for"
        await self.handle(process.on_timer(case_id=timer.case_id, at=now, name=timer.name))
