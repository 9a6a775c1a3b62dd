"""The emergencies of one controller: their journal, their runner, the dialler, the sender of
messages and the lease.

Beside the calls and orders, and never waiting for what these may wait for. Part of the composition.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from picture import LivePicture
from sql import codec
from sql.flight_log import SqlFlightLog
from sql.local_journal import LocalJournal
from sql.store import SqlStore
from telephony.ami import Ami
from telephony.cel import Fate
from telephony.dialler import Dialler
from telephony.elder_lines import ElderLines
from telephony.lease import keep_claims
from telephony.messages import Channel
from telephony.messages.sender import Sender
from telephony.rescue import Rescue
from telephony.rescue_steps import StepHangs, Steps
from workflows import emergency
from workflows.call_facts import State
from workflows.effects import RaiseAlarm, SendMessage
from workflows.errors import StoreDown
from workflows.events import CallKept, EmergencyTimerFired, Event
from workflows.ports import Clock, DueTimer, Posted
from workflows.runner import Runner

logger = logging.getLogger(__name__)

CATCH_UP_S: Final = 2.0
LEAST_PAUSE_S: Final = 0.1
GIVE_OVER_EVERY_S: Final = 1.0
JOURNAL: Final = "journal"
NOT_HANDLED: Final = "not handled"
UNREADABLE: Final = "journal unreadable"


class Performer:
    """Shows an emergency in the picture, and has what it asks for performed."""

    def __init__(self, picture: LivePicture, dialler: Dialler, sender: Sender) -> None:
        self._picture: Final = picture
        self._dialler: Final = dialler
        self._sender: Final = sender

    def case_changed(self, process: str, case: Any) -> None:
        self._picture.case_changed(process, case)

    def effect_posted(self, posted: Posted) -> None:
        if isinstance(posted.effect, SendMessage):
            self._sender.post(posted.effect)
        else:
            self._dialler.post(posted.effect)

    def alarm_raised(self, alarm: RaiseAlarm, at: datetime) -> None:
        self._picture.alarm_raised(alarm, at)

    def alarm_ended(self, key: str) -> None:
        self._picture.alarm_ended(key)


class Emergencies:
    """All of it; `load` first, then `start`."""

    def __init__(
        self,
        folder: Path,
        ami: Ami,
        store: SqlStore,
        picture: LivePicture,
        clock: Clock,
        *,
        seats: Sequence[str],
        zone: ZoneInfo,
        node: str,
        fate_of: Callable[[str, datetime], Awaitable[Fate]],
        channels: Mapping[str, Channel],
    ) -> None:
        self._ami: Final = ami
        self._store: Final = store
        self._picture: Final = picture
        self._clock: Final = clock
        self._node: Final = node
        self._journal: Final = LocalJournal(folder, emergency.PROCESS, self._kept)
        self._dialler: Final = Dialler(ami, self.handle, clock.now)
        self._sender: Final = Sender(channels, self.handle, clock.now)
        performer = Performer(picture, self._dialler, self._sender)
        self._runner: Final = Runner(codec.PROCESSES, self._journal, clock, performer)
        self._rescue: Final = Rescue(
            ami, self._dialler, self._journal,
            fate_of=fate_of, handle=self.handle, doubted=self._doubted,
            seats=seats, now=clock.now, zone=zone,
        )  # fmt: skip
        self._lines: Final = ElderLines(
            ami, self._journal, handle=self.handle, now=clock.now, zone=zone
        )
        self._steps: Final = Steps(self._runner.handle, self._rescue.doubt)
        self._is_kept = True

    def takes(self, event: Event) -> bool:
        """Whether this event belongs to an emergency."""
        return codec.PROCESSES.for_event(event) is emergency.PROCESS

    async def handle(self, event: Event, because: str | None = None) -> Any:
        """Advance the emergency; see `Runner.handle` and `Steps.take`. Never raises StoreDown."""
        return await self._steps.take(event, because)

    async def load(self) -> None:
        """Take up the emergencies that were open before the last stop."""
        self._journal.load()
        try:
            async with asyncio.timeout(CATCH_UP_S):
                await self._journal.catch_up(self._store, self._node)
        except (StoreDown, TimeoutError) as away:
            logger.warning("the emergencies are taken from the disk alone: %s", away)
        for case in self._journal.open_cases():
            self._picture.case_changed(emergency.PROCESS.name, case)
        for alarm, at in self._journal.open_alarms():
            self._picture.alarm_raised(alarm, at)
        for case_id in self._journal.unreadable:
            key = f"{UNREADABLE}/{case_id}"
            unread = RaiseAlarm(key=key, kind=UNREADABLE, text=f"{case_id}: {UNREADABLE}")
            self._picture.alarm_raised(unread, self._clock.now())

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Listen, dial, claim, wake and fill, until the group ends."""
        claims = keep_claims(self._ami, self._rescue.claimable, self._rescue.look_again)
        for work in (
            self._rescue.run(),
            self._rescue.watch(),
            self._rescue.look_when_in_doubt(),
            self._dialler.run(),
            self._sender.run(),
            self._lines.watch(),
            claims,
            self._wake(),
            self._journal.keep_filling(self._store, self._runner.refused),
            self._give_over(),
        ):
            tasks.create_task(work)

    async def _wake(self) -> None:
        """Fire timers by a clock that never jumps."""
        while True:
            self._runner.timers_changed.clear()
            for timer in await self._journal.due_timers(self._clock.now()):
                await self._fire(timer)
            due = self._journal.next_due_s()
            try:
                async with asyncio.timeout(None if due is None else max(due, LEAST_PAUSE_S)):
                    await self._runner.timers_changed.wait()
            except TimeoutError:
                continue

    async def _fire(self, timer: DueTimer) -> None:
        fired = EmergencyTimerFired(
            case_id=timer.case_id, at=self._clock.now(), name=timer.name
        )  # fmt: skip
        try:
            await self.handle(fired)
        except StepHangs as late:
            # Shown as a case that is not handled; the timer stays due, and is fired after that.
            logger.debug("a timer waits for the step before it: %s", late)
        except Exception:
            # One timer that cannot be fired must not hold up all that are due after it.
            if self._runner.refused(timer.case_id, timer.name):
                logger.exception("a timer of the emergency %s failed", timer.case_id)

    async def _give_over(self) -> None:
        """Keep saying that an elder was not reached until the call's own record says it."""
        calls = SqlFlightLog(self._store.database)
        while True:
            # Who ended it was the database, which tells nobody when it has something.
            await asyncio.sleep(GIVE_OVER_EVERY_S)
            for case in self._journal.open_cases():
                if not case.is_unreached:
                    continue
                try:
                    call = await calls.call(case.id)
                    if call is not None and call.state is State.ENDED:
                        await self.handle(CallKept(case_id=case.id, at=self._clock.now()))
                except StoreDown as down:
                    logger.info("%s is not given over yet: %s", case.id, down)
                except Exception:
                    # A call that cannot be read keeps its alarm, and holds up no other.
                    logger.exception("%s is not given over", case.id)

    def _doubted(self, case_id: str, is_so: bool) -> None:
        """Show that a case is not in our hands, or is again."""
        key = f"{NOT_HANDLED}/{case_id}"
        if is_so:
            alarm = RaiseAlarm(key=key, kind=NOT_HANDLED, text=case_id)
            self._picture.alarm_raised(alarm, self._clock.now())
        else:
            self._picture.alarm_ended(key)

    def _kept(self, is_kept: bool) -> None:
        """The local disk takes the journal, or a crash would lose what is only in memory."""
        if is_kept == self._is_kept:
            return
        self._is_kept = is_kept
        if is_kept:
            self._picture.alarm_ended(JOURNAL)
        else:
            alarm = RaiseAlarm(key=JOURNAL, kind=JOURNAL, text="")
            self._picture.alarm_raised(alarm, self._clock.now())
