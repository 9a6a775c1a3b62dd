"""Brings Asterisk's events into the processes, one after another, as they happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import takewhile
from typing import Final, TypeVar, cast

from telephony.ami import Ami, AmiDown, AmiEvent, AmiRefused
from telephony.call_clocks import CallClocks
from telephony.listings import Listings, take
from telephony.reconcile import OpenCall, missed_events
from telephony.seat_keys import press
from telephony.switchboard import MISSED_PENALTY, Change, Consequence, PictureNow, Switchboard
from telephony.translate import Translator, plain
from workflows.commands import Command
from workflows.errors import StoreDown
from workflows.events import Event, SeatRang
from workflows.seat import Seat, SeatEffect

logger = logging.getLogger(__name__)

TRY_AGAIN_S: Final = 0.5
MOST_AT_ONCE: Final = 100
"""Events that are offered for one commit; the runner takes as many as its time allows."""
GATHER_S: Final = 0.05
"""What comes within so long of the first shares its commit: Asterisk tells of one thing, a hang-up
say, in several events, and a card is not held up by the saving of what came right before it."""
TICK_S: Final = 0.5
LOOK_EVERY_S: Final = 1.0
"""What differs at two looks is shown and read anew. With 50 calls up (100 channels, 30 seats) one
look took 31 ms of Asterisk's processor time."""

PATIENCE_S: Final = 2.0
"""After a connect the calls are compared first; a database that takes longer stops no picture."""

LOOKED: Final = "Looked"
"""Our own event: lists were taken, to be compared with the picture."""
ANEW: Final = "Anew"
"""Our own event: the calls could not be compared in time, and Asterisk is read once more."""

StoredT = TypeVar("StoredT")


class Listener:
    """Drains `ami.events` for ever.

    What Asterisk says changes the picture at once, and becomes events of ours that wait in a line
    for the database: so a slow database delays no picture. `handle_many` takes the first of the
    line and returns how many, `heard` is told of each event before it is saved, `refused` of one
    that can never be saved, `open_calls` gives this node's calls that have not ended, by id,
    `changed` is told what changed in the picture of seats and trunks, `connected` whether Asterisk
    is there and its picture is read, and `stored` whether the database takes what is told.
    `catch_up` tells, after a connect, what happened to calls while nobody listened.
    """

    def __init__(
        self,
        ami: Ami,
        translator: Translator,
        switchboard: Switchboard,
        *,
        handle_many: Callable[[Sequence[Event]], Awaitable[int]],
        heard: Callable[[Event], None],
        refused: Callable[[Event], None],
        open_calls: Callable[[], Awaitable[dict[str, OpenCall]]],
        changed: Callable[[Change], None],
        connected: Callable[[bool], None],
        stored: Callable[[bool], None],
        now: Callable[[], datetime],
        catch_up: Callable[[Collection[str], datetime], Awaitable[None]] | None = None,
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
        self._refused: Final = refused
        self._now: Final = now
        # Events, and among them, in their place, the lists with which the calls are compared.
        self._line: Final[asyncio.Queue[Event | Listings]] = asyncio.Queue()
        # Those for whose comparison the events that follow still wait.
        self._awaited: Listings | None = None
        self._clocks: Final = CallClocks()
        self._pressing: Final[set[asyncio.Task[None]]] = set()
        self._is_looking = False
        self._catch_up: Final = catch_up

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
            self._line.put_nowait(self._clocks.of_call(event))
        elif event["Event"] == "Connected":
            await self._read_anew()
            self._connected(True)
        elif event["Event"] == ANEW:
            await self._read_anew()
        elif event["Event"] == LOOKED:
            await self._compare(event["Listings"])
        else:
            # First what a person waits for: the card of a call that rings.
            for ours in map(self._clocks.of_call, self._translator.to_events(event)):
                self._heard(ours)
                if isinstance(ours, SeatRang):
                    # Asterisk speaks in bursts; the card goes out before the rest is looked at.
                    await asyncio.sleep(0)
                self._line.put_nowait(ours)
            self._follow(self._switchboard.apply(event))

    async def _read_anew(self) -> None:
        listings = await take(self._ami, self._switchboard.trunks)
        self._follow(self._switchboard.put(listings))
        self._awaited = listings
        self._line.put_nowait(listings)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._line.join()
        self._awaited = None

    async def _save(self) -> None:
        """Save what waits, many events in one commit, in their order."""
        waiting: list[Event | Listings] = []
        while True:
            waiting.append(await self._line.get())
            await asyncio.sleep(GATHER_S)
            while waiting:
                while not self._line.empty() and len(waiting) < MOST_AT_ONCE:
                    waiting.append(self._line.get_nowait())
                for _ in range(await self._take_first(waiting)):
                    del waiting[0]
                    self._line.task_done()

    async def _take_first(self, waiting: Sequence[Event | Listings]) -> int:
        """Save or compare what stands first and return how many of them that were."""
        if isinstance(waiting[0], Listings):
            await self._compare_calls(waiting[0])
            return 1
        events = takewhile(lambda one: isinstance(one, Event), waiting)
        return await self._save_first(cast("tuple[Event, ...]", tuple(events)))

    async def _compare_calls(self, listings: Listings) -> None:
        """Tell the calls what nobody heard. All that was heard before is saved by now.

        Lists for which nobody waits any more are too old: what was heard since then would pass for
        missed, and a call that came since then for vanished.
        """
        open_calls = await self._until_stored(self._open_calls, "the open calls")
        if self._catch_up is not None and self._awaited is listings:
            # First what Asterisk wrote down itself: its times are true, those of now are not.
            live = {plain(channel.get("Uniqueid")) for channel in listings.channels}
            reading = partial(self._catch_up, live, listings.asked_at)
            await self._until_stored(reading, "the flight record")
            open_calls = await self._until_stored(self._open_calls, "the open calls")
        if self._awaited is not listings:
            self._ami.events.put_nowait({"Event": ANEW})
            return
        found = missed_events(open_calls, listings.channels, self._translator, self._now())
        missed = [self._clocks.of_call(event) for event in found]
        for event in missed:
            self._heard(event)
        while missed:
            del missed[: await self._save_first(tuple(missed))]

    async def _save_first(self, waiting: Sequence[Event]) -> int:
        """Save the first of them and return how many need not be told again."""
        what = f"{type(waiting[0]).__name__} {waiting[0].case_id}"
        try:
            return await self._until_stored(partial(self._handle_many, tuple(waiting)), what)
        except Exception:
            # One event that cannot be taken must not keep back all that follow.
            logger.exception("an event was not taken: %s", _named(waiting[0]))
            self._refused(waiting[0])
            return 1

    def _follow(self, consequences: Sequence[Consequence]) -> None:
        """Show what changed, and do in Asterisk what a seat asks for."""
        for one in consequences:
            if isinstance(one, SeatEffect):
                pressing = asyncio.ensure_future(self._press(one))
                self._pressing.add(pressing)
                pressing.add_done_callback(self._pressing.discard)
            else:
                self._changed(one)

    async def _press(self, effect: SeatEffect) -> None:
        """Beside the events: they must not wait for an answer of Asterisk."""
        members = self._switchboard.exchange.members_of(f"PJSIP/{effect.seat}")
        try:
            # A robot's place in the order, behind all persons, is never changed.
            queues = tuple(m.queue for m in members if m.penalty <= MISSED_PENALTY)
            await press(self._ami, effect, queues)
        except (AmiDown, AmiRefused, TimeoutError) as cause:
            # After the next connect the seat is read anew, as it is then.
            logger.warning("%s was not done: %s", effect, cause)

    async def wish(self, command: Command) -> Seat:
        """A person's wish for a seat; returns the seat. Raises NotAllowed or NotFound."""
        seat, consequences = self._switchboard.wish(command)
        self._follow(consequences)
        return seat

    # ── the picture against Asterisk's lists ─────────────────────────────────────────────────

    async def tick(self) -> None:
        """Let time pass for the seats."""
        while True:
            await asyncio.sleep(TICK_S)
            self._follow(self._switchboard.tick())

    async def watch(self) -> None:
        """Hold the picture against Asterisk's lists, again and again."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._ami.is_up and not self._is_looking:
                await self._look()

    async def _look(self) -> None:
        try:
            listings = await take(self._ami, self._switchboard.trunks)
            # Asterisk sends what it had to tell before it answers: behind this answer the picture
            # is at least as new as the lists.
            await self._ami.action("Ping")
        except (AmiDown, AmiRefused, TimeoutError) as cause:
            logger.debug("not looked: %s", cause)
            return
        # Compared in its turn, so that no event that came before it is missing.
        self._is_looking = True
        self._ami.events.put_nowait({"Event": LOOKED, "Listings": listings})

    async def _compare(self, listings: Listings) -> None:
        self._is_looking = False
        wrong = self._switchboard.compare(listings)
        if queues := self._switchboard.queues_ahead:
            logger.warning("the clock was set back; the wrap-ups in %s end", ", ".join(queues))
            for queue in queues:
                # It forgets when each seat's last call ended, and counts from nothing.
                await self._ami.action("QueueReset", Queue=queue)
            self._follow(await self._switchboard.read(self._ami))
        elif wrong:
            words = tuple(str(one) for one in wrong)
            logger.error("the picture was wrong and is read anew: %s", "; ".join(words))
            self._follow((PictureNow(words), *await self._switchboard.read(self._ami)))
        elif not self._switchboard.is_in_doubt:
            self._follow((PictureNow(), *self._switchboard.see_trunks(listings)))

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
