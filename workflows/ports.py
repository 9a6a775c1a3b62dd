"""Ports: what the processes need from outside, as narrow protocols."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from workflows.effects import Effect, RaiseAlarm
from workflows.events import Event
from workflows.machine import Process


@dataclass(frozen=True, slots=True)
class Posted:
    """An effect as it stands in the outbox: its id makes performing it twice harmless."""

    id: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class DueTimer:
    """A timer whose time has come."""

    process: str
    case_id: str
    name: str


class Transaction(Protocol):
    """One database transaction; leaving it normally commits, leaving it by an error does not."""

    async def load(self, process: Process[Any], case_id: str) -> Any | None:
        """The case, or None when this is the first that is heard of it."""
        ...

    async def is_settled(self, posted: str) -> bool:
        """Whether the effect with this outbox id has its result already."""
        ...

    async def complete(self, event: Event, case: Any) -> Event:
        """The event with what only the database knows: elders by number, the next order number.

        Raises NotFound when the event names something that does not exist.
        """
        ...

    async def save(
        self,
        process: Process[Any],
        before: Any | None,
        after: Any,
        event: Event,
        effects: Sequence[Effect],
        because: str | None,
    ) -> Sequence[Posted]:
        """Case, journal, outbox, timers and alarms in this one commit.

        `because` is the outbox id of the effect whose result this event is; it is marked done.
        Raises Outdated when another writer was first.
        """
        ...


class Store(Protocol):
    """Where cases live."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Leaving it raises StoreDown when nothing was saved, InDoubt when nobody knows yet."""
        ...

    async def untold(self) -> Sequence[Posted]:
        """What the outbox still owes to other cases, oldest first."""
        ...

    async def due_timers(self, now: datetime) -> Sequence[DueTimer]: ...

    async def next_timer(self) -> datetime | None:
        """When the earliest timer is due, aware UTC."""
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC."""
        ...


class Publisher(Protocol):
    """Shows what changed to whoever looks; must not fail and must not block."""

    def case_changed(self, process: str, case: Any) -> None: ...

    def effect_posted(self, posted: Posted) -> None:
        """An effect that another process performs now waits in the outbox."""
        ...

    def alarm_raised(self, alarm: RaiseAlarm, at: datetime) -> None: ...

    def alarm_ended(self, key: str) -> None: ...
