"""The emergencies' own journal: on the local disk first, always; the database is filled from it.

Fulfils `workflows.ports.Store` for the process `emergency`, so that the runner is the same for all.
An emergency never waits for the database: whether it is there or away, its steps go the one way,
file first, and then into the tables, once and in order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from sql import codec
from sql.case_file import ENDING, CaseFile, line_of
from sql.filling import Step, cases_in, fill
from sql.store import SqlStore
from workflows.effects import (
    Act,
    CallElder,
    CallParty,
    CallSeat,
    CancelDial,
    Effect,
    EndAlarm,
    HangUpPerson,
    LetGo,
    MakeRecording,
    MovePeople,
    MutePerson,
    RaiseAlarm,
    SendMessage,
    StartTimer,
    StopTimer,
)
from workflows.errors import StoreDown
from workflows.events import Event
from workflows.machine import Process
from workflows.ports import DueTimer, Posted

logger = logging.getLogger(__name__)

AGAIN_S: Final = 0.5
LONG: Final = 200_000
"""Bytes of a file that is worth shortening: each line holds the whole case."""
ACTS: Final = (
    CallSeat, CallParty, CallElder, CancelDial, MovePeople, MutePerson, HangUpPerson, LetGo,
)  # fmt: skip
EFFECTS: Final[dict[str, type[Effect]]] = {
    effect.__name__: effect
    for effect in (*ACTS, MakeRecording, SendMessage, StartTimer, StopTimer, RaiseAlarm, EndAlarm)
}


@dataclass(slots=True)
class Kept:
    """One case as it stands, and what of it is owed to the disk and to the database."""

    file: CaseFile
    case: Any = None
    seq: int = 0
    unwritten: bytes = b""
    unfilled: list[Step] = field(default_factory=list)
    timers: dict[str, float] = field(default_factory=dict)
    alarms: dict[str, tuple[RaiseAlarm, datetime]] = field(default_factory=dict)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    last: Step | None = None

    def take(self, step: Step, now: float) -> None:
        """The case after the step. `now` is monotonic: no clock that jumps holds a timer up."""
        self.case, self.seq, self.last = step.after, step.seq, step
        self.unfilled.append(step)
        # A timer that has become an event is over; the event may start it anew.
        self.timers.pop(getattr(step.event, "name", ""), None)
        for effect in step.effects:
            match effect:
                case StartTimer():
                    self.timers[effect.name] = now + effect.after_s
                case StopTimer():
                    self.timers.pop(effect.name, None)
                case RaiseAlarm():
                    self.alarms.setdefault(effect.key, (effect, step.event.at))
                case EndAlarm():
                    self.alarms.pop(effect.key, None)

    def in_short(self, now: float) -> Step | None:
        """All of it as one step: the last, with every alarm and timer that is open."""
        if self.last is None:
            return None
        alarms = [alarm for alarm, _ in self.alarms.values()]
        timers = [
            StartTimer(name=name, after_s=max(0, round(due - now)))
            for name, due in self.timers.items()
        ]
        return replace(self.last, seq=self.seq, after=self.case, effects=(*alarms, *timers))


class LocalJournal:
    """The cases of one process, kept in `folder`. `is_kept` is told whether the disk takes them."""

    def __init__(
        self, folder: Path, process: Process[Any], is_kept: Callable[[bool], None]
    ) -> None:
        self._folder: Final = folder
        self._process: Final = process
        self._is_kept: Final = is_kept
        self._cases: Final[dict[str, Kept]] = {}
        self._stepped: Final = asyncio.Event()
        # The cases whose file could not be read; each goes on from the database, or anew.
        self.unreadable: Final[list[str]] = []

    # ── from the disk ─────────────────────────────────────────────────────────────────────────

    def load(self) -> None:
        """Take up every case that has a file."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for path in sorted(self._folder.glob(f"*{ENDING}")):
            case_id = unquote(path.name.removesuffix(ENDING))
            try:
                self._load(case_id)
            except (OSError, ValueError, KeyError, TypeError):
                # One file that another version wrote otherwise must not keep the others back.
                logger.exception("the emergency %s cannot be read and is set aside", case_id)
                self._set_aside(case_id)
        self._stepped.set()

    def _load(self, case_id: str) -> None:
        kept = Kept(CaseFile(self._folder, case_id))
        for said in kept.file.read():
            kept.take(self._step_of(said), time.monotonic())
        if kept.case is None:
            kept.file.remove()
        else:
            self._cases[case_id] = kept

    def _set_aside(self, case_id: str) -> None:
        self.unreadable.append(case_id)
        try:
            CaseFile(self._folder, case_id).set_aside()
        except OSError:
            logger.exception("the file of the emergency %s stays in its place", case_id)

    async def catch_up(self, store: SqlStore, node: str) -> None:
        """Take from the database what a full disk kept out of the files. Raises StoreDown.

        Only of this node: of another one's elders our Asterisk knows nothing, and they would pass
        for gone. A case's id begins with its node.
        """
        for case, version in await cases_in(store.database, self._process):
            if case.id.rpartition("-")[0] != node:
                continue
            kept = self._cases.setdefault(case.id, Kept(CaseFile(self._folder, case.id)))
            if version > kept.seq:
                kept.case, kept.seq = case, version

    def open_cases(self) -> list[Any]:
        """Every case that is not over."""
        return [k.case for k in self._cases.values() if not self._process.is_over(k.case)]

    def case(self, case_id: str) -> Any | None:
        kept = self._cases.get(case_id)
        return kept.case if kept else None

    def open_alarms(self) -> Iterator[tuple[RaiseAlarm, datetime]]:
        for kept in self._cases.values():
            yield from kept.alarms.values()

    # ── the runner's store ────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[JournalTransaction]:
        transaction = JournalTransaction(self)
        yield transaction
        for step in transaction.steps:
            await self._keep(step)

    async def untold(self) -> Sequence[Posted]:
        """Nothing: an emergency tells no other case."""
        return ()

    async def due_timers(self, now: datetime) -> Sequence[DueTimer]:  # noqa: ARG002 — see `Kept.take`.
        moment = time.monotonic()
        return [
            DueTimer(self._process.name, case_id, name)
            for case_id, kept in self._cases.items()
            for name, due in kept.timers.items()
            if due <= moment
        ]

    async def next_timer(self) -> datetime | None:
        seconds = self.next_due_s()
        return None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)

    def next_due_s(self) -> float | None:
        """Seconds until the earliest timer is due, not below zero; None without a timer."""
        due = [due for kept in self._cases.values() for due in kept.timers.values()]
        return max(0.0, min(due) - time.monotonic()) if due else None

    async def _keep(self, step: Step) -> None:
        """On the disk, then in memory. A disk that takes nothing stops no rescue."""
        case_id = step.event.case_id
        kept = self._cases.get(case_id) or Kept(CaseFile(self._folder, case_id))
        async with kept.writing:
            kept.unwritten += line_of(_said(step))
            await self._write(case_id, kept)
        self._cases[case_id] = kept
        kept.take(step, time.monotonic())
        self._stepped.set()

    async def _write(self, case_id: str, kept: Kept) -> None:
        """What is not on the disk yet. Only whoever holds `kept.writing` may."""
        try:
            await asyncio.to_thread(kept.file.append, kept.unwritten)
        except OSError as trouble:
            logger.warning("the emergency %s is in memory only: %s", case_id, trouble)
            self._is_kept(False)
        else:
            kept.unwritten = b""
            self._say_kept()

    def _say_kept(self) -> None:
        self._is_kept(not any(kept.unwritten for kept in self._cases.values()))

    def _step_of(self, said: dict[str, Any]) -> Step:
        effects = tuple(
            codec.load(EFFECTS[effect["kind"]], effect["body"]) for effect in said["effects"]
        )
        return Step(
            seq=said["seq"],
            event=codec.load_event(said["event"]),
            before=said["before"],
            after=codec.load(self._process.case_type, said["case"]),
            effects=effects,
        )

    # ── into the database ─────────────────────────────────────────────────────────────────────

    async def keep_filling(self, store: SqlStore, refused: Callable[[str, str], object]) -> None:
        """Bring every step into the database, for ever; while that is away they wait here.

        `refused` is told the case of which it takes a step never, and what that was.
        """
        while True:
            await self._stepped.wait()
            self._stepped.clear()
            for case_id, kept in tuple(self._cases.items()):
                await self._write_again(case_id, kept)
                try:
                    await self._fill(case_id, kept, store)
                except StoreDown as down:
                    logger.warning("the emergency %s waits for the database: %s", case_id, down)
                    self._stepped.set()
                except OSError:
                    logger.exception("the file of the emergency %s stays", case_id)
                except Exception:
                    # Its file stays, and the other cases go on.
                    logger.exception("the emergency %s was not filled in", case_id)
                    refused(case_id, type(kept.unfilled[0].event).__name__)
            if self._stepped.is_set():
                await asyncio.sleep(AGAIN_S)

    async def _write_again(self, case_id: str, kept: Kept) -> None:
        """The disk may have room again, and no further step may come that would find it out."""
        if not kept.unwritten or kept.writing.locked():
            return
        async with kept.writing:
            await self._write(case_id, kept)
        if kept.unwritten:
            self._stepped.set()

    async def _fill(self, case_id: str, kept: Kept, store: SqlStore) -> None:
        while kept.unfilled:
            await fill(store, self._process, kept.unfilled[0])
            del kept.unfilled[0]
        if kept.file.size > LONG and not self._process.is_over(kept.case):
            await self._shorten(kept)
        # Not under the hand of whoever writes a late fact into it just now.
        if self._process.is_over(kept.case) and not kept.unfilled and not kept.writing.locked():
            kept.file.remove()
            self._cases.pop(case_id, None)
            self._say_kept()

    async def _shorten(self, kept: Kept) -> None:
        """What the database has need not be read again at the next start, but for how it stands."""
        async with kept.writing:
            short = kept.in_short(time.monotonic())
            if short is None or kept.unwritten or kept.unfilled:
                return
            await asyncio.to_thread(kept.file.replace, line_of(_said(short)))


class JournalTransaction:
    """Fulfils `workflows.ports.Transaction`; what it saves is kept when it ends."""

    def __init__(self, journal: LocalJournal) -> None:
        self._journal: Final = journal
        self.steps: Final[list[Step]] = []

    async def load(self, process: Process[Any], case_id: str) -> Any | None:  # noqa: ARG002
        mine = [step.after for step in self.steps if step.event.case_id == case_id]
        return mine[-1] if mine else self._journal.case(case_id)

    async def is_settled(self, posted: str) -> bool:  # noqa: ARG002
        """No: what an emergency asked for comes back as a fact of its own."""
        return False

    async def complete(self, event: Event, case: Any) -> Event:  # noqa: ARG002
        """Nothing of an emergency is known to the database alone."""
        return event

    async def save(
        self,
        process: Process[Any],  # noqa: ARG002
        before: Any | None,
        after: Any,
        event: Event,
        effects: Sequence[Effect],
        because: str | None,  # noqa: ARG002
    ) -> Sequence[Posted]:
        kept = self._journal._cases.get(event.case_id)
        mine = sum(step.event.case_id == event.case_id for step in self.steps)
        self.steps.append(
            Step(
                seq=(kept.seq if kept else 0) + mine + 1,
                event=event,
                before=before.state.value if before else "",
                after=after,
                effects=tuple(effects),
            )
        )
        return [Posted(e.id, e) for e in effects if isinstance(e, Act | SendMessage)]


def _said(step: Step) -> dict[str, Any]:
    effects = [{"kind": type(e).__name__, "body": codec.dump(e)} for e in step.effects]
    return {
        "seq": step.seq,
        "event": codec.dump_event(step.event),
        "before": step.before,
        "case": codec.dump(step.after),
        "effects": effects,
    }
