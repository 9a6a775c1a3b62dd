"""Brings Asterisk's events into the processes, one after another, as they happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from telephony.ami import Ami, AmiDown, AmiEvent, AmiRefused
from telephony.reconcile import missed_events
from telephony.switchboard import Change, Switchboard, live_channels
from telephony.translate import Translator
from workflows.errors import StoreDown
from workflows.events import Event

logger = logging.getLogger(__name__)

TRY_AGAIN_S: Final = 0.5
TRUNKS_EVERY_S: Final = 5.0
MOST_AT_ONCE: Final = 100
"""Events that are offered for one commit; the runner takes as many as its time allows."""

StoredT = TypeVar("StoredT")


class Listener:
    """Drains `ami.events` for ever.

    What Asterisk says changes the picture at once, and becomes events of ours that wait in a line
    for the database: so a slow database delays no picture. `handle_many` takes the first of the
    line and returns how many, `heard` is told of each event before it is saved, `open_calls` gives
    (id → state) of the calls that have not ended, `changed` is told what changed in the picture of
    seats and trunks, `connected` whether Asterisk is there and its picture is read, and `stored`
    whether the database takes what is told.
    """

    def __init__(
        self,
        ami: Ami,
        translator: Translator,
        switchboard: Switchboard,
        *,
        handle_many: Callable[[Sequence[Event]], Awaitable[int]],
        heard: Callable[[Event], None],
        open_calls: Callable[[], Awaitable[dict[str, str]]],
        changed: Callable[[Change], Awaitable[None]],
        connected: Callable[[bool], None],
        stored: Callable[[bool], None],
        now: Callable[[], datetime],
    ) -> None:
        self._ami: Final = ami
        self._translator: Final = translator
        self._switchboard: Final = switchboard
        self._handle_many: Final = handle_many
        self._heard: Final = heard
        self._open_calls: Final = open_calls
        self._changed: Final = changed
        self._connected: Final = connected
        self._stored: Final = stored
        self._now: Final = now
        self._line: Final[asyncio.Queue[Event]] = asyncio.Queue()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear())
            tasks.create_task(self._save())

    async def _hear(self) -> None:
        while True:
            event = await self._ami.events.get()
            try:
                await self._take(event)
            except (AmiDown, AmiRefused, TimeoutError) as cause:
                logger.warning("Asterisk's picture could not be read: %s", cause)
                if self._ami.is_up:
                    loop = asyncio.get_running_loop()
                    loop.call_later(TRY_AGAIN_S, self._ami.events.put_nowait, event)
            except Exception:
                # One event that we cannot understand must not deafen us to all that follow.
                # Not the event itself: it holds the caller's number.
                logger.exception("an event was not taken: %s", _named(event))

    def tell(self, event: Event) -> None:
        """Take an event that another ear heard (a menu); it goes the way of all the others."""
        self._ami.events.put_nowait(event)

    async def _take(self, event: AmiEvent | Event | None) -> None:
        if event is None:
            self._connected(False)
        elif isinstance(event, Event):
            self._line.put_nowait(event)
        elif event["Event"] == "Connected":
            await self._read_anew()
            self._connected(True)
        else:
            await self._tell_changes(self._switchboard.apply(event))
            for ours in self._translator.to_events(event):
                self._heard(ours)
                self._line.put_nowait(ours)

    async def _read_anew(self) -> None:
        await self._tell_changes(await self._switchboard.read(self._ami))
        channels = await live_channels(self._ami)
        # What was heard before is not missed; it must be saved before the calls are compared.
        await self._line.join()
        open_calls = await self._until_stored(self._open_calls, "the open calls")
        for missed in missed_events(open_calls, channels, self._translator, self._now()):
            self._line.put_nowait(missed)
        await self._line.join()

    async def _save(self) -> None:
        """Save what waits, many events in one commit, in their order."""
        waiting: list[Event] = []
        while True:
            waiting.append(await self._line.get())
            while waiting:
                while not self._line.empty() and len(waiting) < MOST_AT_ONCE:
                    waiting.append(self._line.get_nowait())
                for _ in range(await self._save_first(waiting)):
                    del waiting[0]
                    self._line.task_done()

    async def _save_first(self, waiting: Sequence[Event]) -> int:
        """Save the first of them and return how many need not be told again."""
        what = f"{type(waiting[0]).__name__} {waiting[0].case_id}"
        try:
            return await self._until_stored(partial(self._handle_many, tuple(waiting)), what)
        except Exception:
            # One event that cannot be taken must not keep back all that follow.
            logger.exception("an event was not taken: %s", _named(waiting[0]))
            return 1

    async def _tell_changes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            await self._until_stored(partial(self._changed, change), str(change))

    async def watch_trunks(self) -> None:
        """Look at the registrations again and again: a refusal makes no event."""
        while True:
            await asyncio.sleep(TRUNKS_EVERY_S)
            try:
                await self._tell_changes(await self._switchboard.read_trunks(self._ami))
            except (AmiDown, AmiRefused, TimeoutError) as cause:
                logger.debug("trunks not read: %s", cause)

    async def _until_stored(self, work: Callable[[], Awaitable[StoredT]], what: str) -> StoredT:
        """Repeat it until the database answers: no fact is lost, their order is never broken."""
        while True:
            try:
                done = await work()
            except StoreDown as down:
                logger.warning("%s waits: %s", what, down)
                self._stored(False)
                await asyncio.sleep(TRY_AGAIN_S)
            else:
                self._stored(True)
                return done


def _named(event: object) -> str:
    """Which event it was, without what it says."""
    if isinstance(event, Mapping):
        return f"{event.get('Event')} {event.get('UserEvent', '')}"
    return type(event).__name__
