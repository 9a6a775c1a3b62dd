"""A runner on a real store, calls to play on it, and a look at everything that was written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import text

from sql import codec
from sql.engine import Database
from sql.models import Base
from sql.queries import elders
from sql.store import SqlStore
from workflows.effects import RaiseAlarm
from workflows.events import (
    CallArrived,
    CallEnded,
    CallQueued,
    Channel,
    Entry,
    Event,
    KeyPressed,
    LegEnded,
    RequestAccepted,
    SeatAnswered,
    SeatMissed,
    SeatRang,
)
from workflows.ports import Posted
from workflows.runner import Runner

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
NUMBER: Final = "+8613800000000"
Rows = list[Mapping[str, Any]]


class Clock:
    """A clock that stands until it is put forward."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time


class Nobody:
    """A publisher to whom nobody listens."""

    def case_changed(self, process: str, case: Any) -> None: ...

    def effect_posted(self, posted: Posted) -> None: ...

    def alarm_raised(self, alarm: RaiseAlarm, at: datetime) -> None: ...

    def alarm_ended(self, key: str) -> None: ...


class Centre:
    """Everything that one controller has, and a database to look into."""

    def __init__(self, database: Database, store: SqlStore) -> None:
        self.database = database
        self.store = store
        self.clock = Clock()
        self.runner = Runner(codec.PROCESSES, store, self.clock, Nobody())

    async def play(self, *events: Event) -> Any:
        case = None
        for event in events:
            case = await self.runner.handle(event)
        return case

    async def elder(self, name: str, *numbers: str) -> int:
        async with self.database.writing() as session:
            elder = await elders.add(
                session, full_name=name, sex="female", birth_date=None, site="main",
                numbers=[(number, number) for number in numbers or (NUMBER,)], address={}, at=NOW,
            )  # fmt: skip
            return elder.id

    async def rows(self, statement: str) -> Rows:
        async with self.database.reading() as session:
            return [dict(row) for row in (await session.execute(text(statement))).mappings()]

    async def everything(self) -> dict[str, list[str]]:
        """All rows of all tables, as text, to compare."""
        return {
            table.name: sorted(str(row) for row in await self.rows(f"SELECT * FROM {table.name}"))
            for table in Base.metadata.sorted_tables
        }


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def arrived(id_: str = "c1", caller: str = NUMBER, name: str = "", at: datetime = NOW) -> Event:
    return CallArrived(
        case_id=id_, at=at, entry=Entry.HOTLINE, caller=caller, callee="96100",
        caller_raw=caller, caller_name=name, trunk="carrier", node="node1",
    )  # fmt: skip


def queued(id_: str = "c1", position: int = 1, at: datetime = NOW) -> Event:
    return CallQueued(case_id=id_, at=at, queue="hotline", position=position)


def answered(id_: str = "c1", seat: str = "1001", at: datetime = NOW) -> Event:
    return SeatAnswered(case_id=id_, at=at, seat=seat, leg=f"{id_}-{seat}")


def ended(id_: str = "c1", at: datetime = NOW) -> Event:
    return CallEnded(case_id=id_, at=at, cause=16)


def need(id_: str, at: datetime = NOW, elder: int | None = None, content: str = "") -> Event:
    return RequestAccepted(
        case_id=id_, at=at, channel=Channel.COUNTER, call_id="", elder_id=elder, content=content
    )


def whole_call(id_: str = "c1") -> tuple[Event, ...]:
    """Missed by the first seat, answered by the second, with what was measured."""

    def leg_ended(leg: str, party: str, seconds: float, delay: float | None) -> Event:
        return LegEnded(
            case_id=id_, at=after(seconds), leg=leg, party=party, cause=16,
            delay_ms=delay, jitter_ms=1.5, loss=0.01,
        )  # fmt: skip

    first, second = f"{id_}-1001", f"{id_}-1002"
    return (
        arrived(id_, name='王 "秀英" \'; DROP TABLE elder; -- 👵🏻'),
        KeyPressed(case_id=id_, at=after(6), menu="hotline", key="1", choice="life_service"),
        queued(id_, 2, after(7)),
        queued(id_, 1, after(9)),
        SeatRang(case_id=id_, at=after(10), seat="1001", leg=first),
        SeatMissed(case_id=id_, at=after(30), seat="1001", leg=first),
        leg_ended(first, "seat", 30, None),
        SeatRang(case_id=id_, at=after(31), seat="1002", leg=second),
        SeatAnswered(case_id=id_, at=after(34), seat="1002", leg=second),
        leg_ended(second, "seat", 94, 12.5),
        leg_ended(id_, "caller", 95, 40.0),
        ended(id_, after(95)),
    )
