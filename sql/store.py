"""The store of the processes: cases, journal, outbox, timers and alarms in one commit."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import String, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sql import audit, codec
from sql.engine import Database
from sql.models import (
    Alarm,
    AuditEntry,
    Case,
    Elder,
    Journal,
    Number,
    Outbox,
    Terminal,
    Timer,
    WorkOrder,
)
from sql.projections import project
from sql.queries.elders import ids_by_number
from sql.writes import Writes
from workflows import order
from workflows.commands import (
    ChooseOrder,
    Command,
    JudgeRequest,
    NameCaller,
    OpenOrder,
    TakeBackCaller,
)
from workflows.effects import Effect, EndAlarm, RaiseAlarm, StartTimer, StopTimer, Tell
from workflows.errors import NotAllowed, NotFound
from workflows.events import (
    CallArrived,
    Caller,
    CallPlaced,
    Event,
    KnownElder,
    KnownTerminal,
    RequestAccepted,
)
from workflows.machine import Process
from workflows.ports import DueTimer, Posted

logger = logging.getLogger(__name__)

CASE_BY_KEY: Final = select(Case.version, Case.body).where(
    Case.process == bindparam("of_process"), Case.id == bindparam("of_id")
)
ELDERS_BY_NUMBER: Final = (
    select(Elder.id, Elder.full_name, Elder.elder_uid)
    .where(Elder.id.in_(ids_by_number(bindparam("number", type_=String()))))
    .order_by(Elder.id)
)
TERMINALS_BY_NUMBER: Final = (
    select(Terminal.serial_no, Terminal.type)
    .where(Terminal.phone_no == bindparam("number", type_=String()), Terminal.status == "active")
    .limit(2)
)


class SqlStore:
    """Fulfils `workflows.ports.Store`. `zone` is the centre's: order numbers count its days."""

    def __init__(self, database: Database, zone: ZoneInfo, site: str) -> None:
        self._database: Final = database
        self._zone: Final = zone
        self._site: Final = site

    @property
    def database(self) -> Database:
        return self._database

    @property
    def site(self) -> str:
        """The site of this node."""
        return self._site

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[SqlTransaction]:
        try:
            async with self._database.writing("no event") as session:
                tx = SqlTransaction(session, self._zone, self._site)
                yield tx
                await tx.write()
        except (DataError, IntegrityError) as cause:
            # A text with a NUL or beyond its length, a call or elder that does not exist.
            said = str(cause.orig).partition("\n")[0]
            raise NotAllowed(f"the database cannot keep what this says: {said}") from cause

    async def untold(self) -> Sequence[Posted]:
        return await self.owed(Tell)

    async def owed(self, kind: type[Effect]) -> Sequence[Posted]:
        """Effects of this kind that were asked for and are not done, oldest first."""
        async with self._database.reading() as session:
            rows = await session.scalars(
                select(Outbox)
                .where(Outbox.done_at.is_(None), Outbox.kind == kind.__name__)
                .order_by(Outbox.seq)
            )
            return [posted for row in rows if (posted := _readable_effect(row))]

    async def due_timers(self, now: datetime) -> Sequence[DueTimer]:
        async with self._database.reading() as session:
            rows = await session.scalars(
                select(Timer).where(Timer.due_at <= now).order_by(Timer.due_at)
            )
            return [DueTimer(row.process, row.case_id, row.name) for row in rows]

    async def next_timer(self) -> datetime | None:
        async with self._database.reading() as session:
            return await session.scalar(select(Timer.due_at).order_by(Timer.due_at).limit(1))

    async def open_cases(self, process: Process[Any]) -> list[Any]:
        """Every case of the process that is not over."""
        async with self._database.reading() as session:
            rows = await session.scalars(
                select(Case).where(Case.process == process.name, Case.is_over.is_(False))
            )
            return [case for row in rows if (case := _readable_case(process, row)) is not None]

    async def who_calls(self, number: str) -> Caller:
        """Whose number it is (E.164); read beside any writer, and waits for none (ACD-16)."""
        async with self._database.reading() as session:
            return await _who_calls(session, number)

    async def raise_alarm(self, key: str, kind: str, text: str, at: datetime) -> bool:
        """Open the alarm unless one with this key is open; True when it is new."""
        async with self._database.writing("an alarm") as session:
            return await raise_alarm(session, key, kind, text, at)

    async def end_alarm(self, key: str, at: datetime) -> bool:
        """The trouble is over; True when an alarm was open."""
        async with self._database.writing("the end of an alarm") as session:
            return await end_alarm(session, key, at)

    async def open_alarms(self) -> Sequence[Alarm]:
        """Every alarm whose trouble goes on, oldest first."""
        async with self._database.reading() as session:
            rows = await session.scalars(
                select(Alarm).where(Alarm.ended_at.is_(None)).order_by(Alarm.id)
            )
            return rows.all()


class SqlTransaction:
    """Fulfils `workflows.ports.Transaction`. What it saves is written when it ends, at once."""

    def __init__(self, session: AsyncSession, zone: ZoneInfo, site: str) -> None:
        self._session: Final = session
        self._zone: Final = zone
        self._site: Final = site
        self._writes = Writes()
        self._cases: Final[dict[tuple[str, str], Any]] = {}
        self._versions: Final[dict[tuple[str, str], int]] = {}

    async def is_settled(self, posted: str) -> bool:
        done_at = await self._session.scalar(select(Outbox.done_at).where(Outbox.id == posted))
        return done_at is not None

    async def load(self, process: Process[Any], case_id: str) -> Any | None:
        key = (process.name, case_id)
        if key not in self._cases:
            found = await (await self._session.connection()).execute(
                CASE_BY_KEY, {"of_process": process.name, "of_id": case_id}
            )
            row = found.first()
            self._versions[key] = row.version if row else 0
            self._cases[key] = codec.load(process.case_type, row.body) if row else None
        return self._cases[key]

    async def complete(self, event: Event, case: Any) -> Event:
        match event:
            case CallArrived():
                who = await _who_calls(self._session, event.caller)
                return replace(event, elders=who.elders, terminal=who.terminal)
            case CallPlaced():
                return replace(event, elders=await _elders_of(self._session, event.callee))
            case RequestAccepted() if not case.order_no:
                return await self._numbered(event)
            case OpenOrder(elder_id=int(elder_id)) | JudgeRequest(elder_id=int(elder_id)):
                if await self._session.get(Elder, elder_id) is None:
                    raise NotFound(f"there is no elder {elder_id}")
                return event
            case NameCaller():
                return await self._named(event)
            case TakeBackCaller():
                return replace(event, elders=await _elders_of(self._session, case.number))
            case ChooseOrder():
                chosen = await self._session.get(WorkOrder, event.order_id)
                over = (order.State.CLOSED.value, order.State.CANCELLED.value)
                if chosen is None or chosen.status in over:
                    raise NotFound(f"there is no open order {event.order_id}")
                return replace(event, order_no=chosen.order_no)
            case _:
                return event

    async def _numbered(self, need: RequestAccepted) -> RequestAccepted:
        """The need with its order's number: a new one, or the open call-back's that it joins."""
        if need.call_back_no and (there := await self._open_call_back(need.call_back_no)):
            return replace(need, joins_id=there.id, order_no=there.order_no)
        return replace(need, order_no=await self._next_order_no(need.at))

    async def _named(self, wish: NameCaller) -> NameCaller:
        named = await self._session.get(Elder, wish.elder_id)
        if named is None:
            raise NotFound(f"there is no elder {wish.elder_id}")
        known = KnownElder(id=named.id, name=named.full_name, uid=named.elder_uid)
        return replace(wish, elder=known)

    async def _open_call_back(self, number: str) -> WorkOrder | None:
        """The order to call this number back that nobody has taken up yet, if there is one.

        One that was judged is about a need: whoever called is not called back for it once more.
        """
        # Whoever looks next waits here until this transaction has made its order, or not.
        await self._next("call-backs")
        waits = order.State.ACCEPTED.value
        return await self._session.scalar(
            select(WorkOrder)
            .where(WorkOrder.call_back_no == number, WorkOrder.status == waits)
            .order_by(WorkOrder.order_no)
            .limit(1)
        )

    async def _next_order_no(self, at: datetime) -> str:
        day = at.astimezone(self._zone).strftime("%Y%m%d")
        return f"{day}-{await self._next(f'order-{day}'):04d}"

    async def _next(self, name: str) -> int:
        on_sqlite = self._session.get_bind().dialect.name == "sqlite"
        # One statement: two orders at once must not both be the first of their day.
        taken = (sqlite if on_sqlite else postgresql).insert(Number).values(name=name, last=1)
        last = await self._session.scalar(
            taken.on_conflict_do_update(
                index_elements=[Number.name], set_={"last": Number.last + 1}
            ).returning(Number.last)
        )
        return last or 1

    async def save(
        self,
        process: Process[Any],
        before: Any | None,
        after: Any,
        event: Event,
        effects: Sequence[Effect],
        because: str | None,
    ) -> Sequence[Posted]:
        key = (process.name, after.id)
        self._cases[key] = after
        self._writes.case(
            *key,
            state=after.state.value,
            is_over=process.is_over(after),
            version=self._versions[key] + 1,
            body=after,
            changed_at=event.at,
        )
        self._writes.add(
            Journal,
            process=process.name,
            case_id=after.id,
            at=event.at,
            event=type(event).__name__,
            body=codec.dump(event),
            state_before=before.state.value if before else "",
            state_after=after.state.value,
        )
        if isinstance(event, Command):
            was = codec.dump(before) if before else {}
            entry = audit.of_command(process.name, event, was, codec.dump(after))
            self._writes.add(AuditEntry, **entry)
        project(self._writes.put, before, after, self._site)
        if because:
            self._writes.settle(because, event.at)
        if process.on_timer is not None and type(event) is process.on_timer:
            self._writes.timer(*key, event.name, None)  # type: ignore[attr-defined]
        return [
            posted
            for effect in effects
            if (posted := await self._take(process, after.id, effect, event.at))
        ]

    async def _take(
        self, process: Process[Any], case_id: str, effect: Effect, at: datetime
    ) -> Posted | None:
        match effect:
            case StartTimer():
                # Not from the event on: it may be told late, or by a clock that was set since.
                due = datetime.now(UTC) + timedelta(seconds=effect.after_s)
                self._writes.timer(process.name, case_id, effect.name, due)
            case StopTimer():
                self._writes.timer(process.name, case_id, effect.name, None)
            case RaiseAlarm():
                await raise_alarm(self._session, effect.key, effect.kind, effect.text, at)
            case EndAlarm():
                await end_alarm(self._session, effect.key, at)
            case _:
                assert type(effect).__name__ in codec.OUTBOX_EFFECTS, effect
                return self._post(process, case_id, effect, at)
        return None

    def _post(self, process: Process[Any], case_id: str, effect: Effect, at: datetime) -> Posted:
        posted = Posted(uuid.uuid4().hex, effect)
        self._writes.add(
            Outbox,
            id=posted.id,
            process=process.name,
            case_id=case_id,
            kind=type(effect).__name__,
            body=codec.dump_effect(effect),
            posted_at=at,
        )
        return posted

    async def write(self) -> None:
        """Send what was saved so far; the commit does it. Raises Outdated."""
        writes, self._writes = self._writes, Writes()
        self._session.info["what"] = writes.what()
        await writes.send(await self._session.connection())
        self._versions.update(writes.versions())


async def _who_calls(session: AsyncSession, number: str) -> Caller:
    if not number:
        return Caller()
    elders = await _elders_of(session, number)
    connection = await session.connection()
    found = (await connection.execute(TERMINALS_BY_NUMBER, {"number": number})).all()
    # Of several on one line nobody can tell which one it was.
    terminal = KnownTerminal(serial=found[0][0], type=found[0][1]) if len(found) == 1 else None
    return Caller(elders=elders, terminal=terminal)


async def _elders_of(session: AsyncSession, number: str) -> tuple[KnownElder, ...]:
    if not number:
        return ()
    connection = await session.connection()
    found = await connection.execute(ELDERS_BY_NUMBER, {"number": number})
    return tuple(KnownElder(id=e.id, name=e.full_name, uid=e.elder_uid) for e in found)


async def raise_alarm(session: AsyncSession, key: str, kind: str, text: str, at: datetime) -> bool:
    """Open the alarm unless one with this key is open, whoever opened it; True when it is new."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    opened = await session.execute(
        insert(Alarm)
        .values(key=key, kind=kind, text=text, raised_at=at, seen_by="")
        .on_conflict_do_nothing(index_elements=[Alarm.key], index_where=Alarm.ended_at.is_(None))
        .returning(Alarm.id)
    )
    return opened.first() is not None


async def end_alarm(session: AsyncSession, key: str, at: datetime) -> bool:
    ended = await session.execute(
        update(Alarm)
        .where(Alarm.key == key, Alarm.ended_at.is_(None))
        .values(ended_at=at)
        .returning(Alarm.id)
    )
    return ended.first() is not None


def _readable_effect(row: Outbox) -> Posted | None:
    """One row that an older version wrote otherwise must not keep all the others waiting."""
    try:
        return Posted(row.id, codec.load_effect(row.kind, row.body))
    except (codec.NotReadable, KeyError):
        logger.exception("outbox %s (%s) cannot be read and is left", row.id, row.kind)
        return None


def _readable_case(process: Process[Any], row: Case) -> Any | None:
    try:
        return codec.load(process.case_type, row.body)
    except codec.NotReadable:
        logger.exception("%s %s cannot be read and is left", process.name, row.id)
        return None
