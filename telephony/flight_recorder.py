"""Brings into the database what happened while nobody listened: whole, once, and true (BAK-09).

Asterisk writes a flight record of every channel (cel_custom.conf), the dialplan a note of every
call that it led without us. After each connect, and once a minute, both are held against the cases,
and what a case does not know yet is told to it, in order and with its true time, as if it had been
heard. How far the record was read is remembered in the database only after everything before it was
saved; a crash in between reads it again, and a case is never told what it knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from telephony import cel
from telephony.alone import Note, completed, read_notes
from telephony.cel import Fate, Normalise, Record, Teller
from workflows.call_facts import Call, record
from workflows.errors import StoreDown
from workflows.events import CallArrived, CallImported, CallPlaced, CallQueued, DialEnded, Event

logger = logging.getLogger(__name__)

FULL: Final = 20 * 2**20
"""A file of so many bytes is put aside, when the one before it is a day old."""
NAMED_BY: Final = 2000
"""So many bytes of a first record tell its file from all others: time and channel are in them."""
DAY_S: Final = 86_400
CALM: Final = timedelta(seconds=30)
"""What ended less than this ago is left to the events that are on their way."""
LOST: Final = timedelta(days=1)
"""Of a channel without an end nothing more is expected after so long."""
EVERY_S: Final = 60.0


class Memory(Protocol):
    """What the recorder asks of the database. Raises StoreDown when it is away."""

    async def call(self, call_id: str) -> Call | None: ...

    async def place(self, name: str) -> int:
        """How far the file of this name was read, in bytes."""
        ...

    async def keep_place(self, name: str, place: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Window:
    """The part of one file that was not read yet; `end` is where its whole records end."""

    name: str
    size: int
    start: int
    end: int
    records: Sequence[Record]


class FlightRecorder:
    """Reads the flight record and the notes in Asterisk's folder `asterisk` (HOME/asterisk)."""

    def __init__(
        self,
        asterisk: Path,
        node: str,
        normalise: Normalise,
        memory: Memory,
        handle: Callable[[Event], Awaitable[object]],
        now: Callable[[], datetime],
    ) -> None:
        self._file: Final = asterisk / "log" / "cel-custom" / "careline.csv"
        self._former: Final = self._file.with_suffix(".csv.1")
        self._notes: Final = asterisk / "spool" / "alone"
        self._node: Final = node
        self._normalise: Final = normalise
        self._teller: Final = Teller(node, normalise)
        self._memory: Final = memory
        self._handle: Final = handle
        self._now: Final = now
        self._one_at_a_time: Final = asyncio.Lock()
        self.caught_up: Final = asyncio.Event()

    async def catch_up(
        self, live: Collection[str] | None = None, until: datetime | None = None
    ) -> None:
        """Tell the cases what they do not know.

        `live` are the ids of the channels that Asterisk has now, right after a connect: calls that
        go on are told as well, and a call that is neither there nor ended in the record is left to
        whoever compares. Without it only what ended a while ago is looked at. What was written
        from `until` on, an aware time, is left to the events that tell it. Raises StoreDown.
        """
        async with self._one_at_a_time:
            try:
                await self._catch_up(live, until)
            except StoreDown:
                raise
            except OSError as cause:
                # A full disk, a folder that is closed to us: the calls themselves must go on.
                logger.warning("the flight record cannot be read: %s", cause)
            except Exception:
                # What one round cannot read must end neither the connect nor the rounds after it.
                logger.exception("the flight record was not read")
            else:
                self.caught_up.set()

    async def watch(self) -> None:
        """Once a minute look for what the events did not bring."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.catch_up()
            except StoreDown as down:
                logger.warning("the flight record waits: %s", down)

    async def fate_of(self, effect_id: str, asked_at: datetime) -> Fate:
        """What became of the channel that an effect asked for at `asked_at` with its own id."""
        try:
            records = await asyncio.to_thread(self._about, effect_id)
        except OSError:
            records = []
        return cel.fate(records, effect_id, asked_at)

    def _about(self, channel: str) -> list[Record]:
        """The first record that there is, and this channel's: an elder waits for them."""
        found: list[Record] = []
        for file in (self._former, self._file):
            if file.exists():
                text = file.read_bytes()
                found += cel.first(text) if not found else []
                found += cel.of_channel(text, channel)
        return found

    async def _catch_up(self, live: Collection[str] | None, until: datetime | None) -> None:
        windows = [
            window
            for file in (self._former, self._file)
            if (window := await self._window(file)) is not None
        ]
        notes = await asyncio.to_thread(read_notes, self._notes)
        records = [r for window in windows for r in window.records]
        # What came after the lists were asked for, they do not have: it would pass for vanished.
        later = [r for r in records if until is not None and r.at >= until]
        waiting = {id(r) for r in later}
        stories = cel.stories([r for r in records if id(r) not in waiting])
        for call, story in stories.items():
            if self._goes_on(story, live):
                waiting |= {id(r) for r in story}
                if live is None:
                    continue
            await self._tell(call, self._teller.events(call, story), notes.pop(call, None))
        told_before = self._now() - CALM if live is None else until
        for note in notes.values():
            if told_before is None or note.ended < told_before:
                await self._tell(note.call, [], note)
        done: set[str] = set()
        for window in windows:
            rest = [r.start for r in window.records if id(r) in waiting]
            place = min(rest, default=window.end)
            if place != window.start:
                await self._memory.keep_place(window.name, place)
            if place == window.size:
                done.add(window.name)
        await asyncio.to_thread(self._put_aside, done)

    def _goes_on(self, story: Sequence[Record], live: Collection[str] | None) -> bool:
        """More of this call may be written, or is told by the events that are on their way."""
        open_ones = cel.open_channels(story)
        if live is not None:
            return any(channel in live for channel in open_ones)
        last = story[-1].at
        return last > self._now() - (LOST if open_ones else CALM)

    async def _window(self, file: Path) -> Window | None:
        name = await asyncio.to_thread(name_of, file)
        if not name:
            return None
        start = await self._memory.place(name)
        return await asyncio.to_thread(read_window, file, name, start)

    async def _tell(self, call: str, events: list[Event], note: Note | None) -> None:
        """Tell this call what it does not know; the note goes when all of it is saved."""
        if note is not None:
            events = completed(events, note, self._normalise, self._node)
        try:
            known = await self._memory.call(call)
            for event in with_mark(news(known, events), known, self._now()):
                await self._handle(event)
        except StoreDown:
            raise
        except Exception:
            # One call that cannot be kept must not keep all the others out of the database.
            logger.exception("%s was not imported from the flight record", call)
            return
        if note is not None:
            with contextlib.suppress(OSError):
                note.file.unlink()

    def _put_aside(self, done: Collection[str]) -> None:
        """Begin a new file when this one is full and nothing in the former one is needed."""
        if not self._file.exists() or self._file.stat().st_size < FULL:
            return
        if self._former.exists() and (
            name_of(self._former) not in done or time.time() - self._former.stat().st_mtime < DAY_S
        ):
            return
        self._file.replace(self._former)


def name_of(file: Path) -> str:
    """What a file is remembered by, wherever it is moved: its first record. Empty without one."""
    try:
        with file.open("rb") as stream:
            first = stream.readline(NAMED_BY)
    except FileNotFoundError:
        return ""
    is_written = first.endswith(b"\n") or len(first) == NAMED_BY
    return f"cel {hashlib.sha256(first).hexdigest()[:32]}" if is_written else ""


def read_window(file: Path, name: str, start: int) -> Window:
    with file.open("rb") as stream:
        stream.seek(start)
        text = stream.read()
    records, end = cel.read(text, start)
    return Window(name, start + len(text), start, end, records)


def news(known: Call | None, events: Sequence[Event]) -> list[Event]:
    """The events of which this call does not know yet. Pure."""
    told: list[Event] = []
    case = known
    for event in events:
        case = case or Call(id=event.case_id, entered_at=event.at)
        if not knows(case, event):
            told.append(event)
            case = record(case, event)
    return told


def knows(case: Call, event: Event) -> bool:
    """Whether the event would change nothing; its time may have been taken by another clock."""
    match event:
        case CallArrived() | CallPlaced():
            return bool(case.node)
        case CallQueued():
            return case.queued_at is not None and case.queue == event.queue
        case DialEnded():
            return case.dial is not None
        case _:
            return record(case, event) == case


def with_mark(events: list[Event], known: Call | None, now: datetime) -> list[Event]:
    """The events, and that they were imported: after the call's beginning, before its end."""
    if not events or (known is not None and known.imported_at):
        return events
    first = 1 if isinstance(events[0], CallArrived | CallPlaced) else 0
    mark = CallImported(case_id=events[0].case_id, at=now)
    return [*events[:first], mark, *events[first:]]
