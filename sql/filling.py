"""One step of an emergency into the database: its case, journal, alarms and outbox, once.

The number of the step is the version of the case: a step that is filled in a second time, after a
crash between the commit and its noting, is recognised by it and changes nothing. A controller that
knew nothing of the steps before, because disk and database were both away when it came, counts from
one again: what the journal does not have is no repetition, and is written after what is there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from sql import audit, codec
from sql.engine import Database
from sql.models import AuditEntry, Base, Case, Journal, Outbox
from sql.projections import project
from sql.store import SqlStore, end_alarm, raise_alarm
from workflows.commands import Command
from workflows.effects import (
    CancelDial,
    Dial,
    Effect,
    EndAlarm,
    MakeRecording,
    RaiseAlarm,
    SendMessage,
)
from workflows.events import (
    CaseFound,
    DialAnswered,
    DialAttempted,
    DialFailed,
    DialLost,
    Event,
    LegOver,
    LegRecorded,
    MessageAccepted,
    MessageAttempted,
    MessageDelivered,
    MessageFailed,
    MessageLost,
    PersonJoined,
)
from workflows.machine import Process

logger = logging.getLogger(__name__)

RESULTS: Final[dict[type[Event], str]] = {
    DialAnswered: "answered",
    DialFailed: "failed",
    DialLost: "uncertain",
    MessageAccepted: "sent",
    MessageDelivered: "sent",
    MessageFailed: "failed",
    MessageLost: "uncertain",
}
"""What became of the asking that the fact names."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one event made of its case: the case's step number `seq`, from 1 on."""

    seq: int
    event: Event
    before: str
    after: Any
    effects: tuple[Effect, ...]


async def fill(store: SqlStore, process: Process[Any], step: Step) -> None:
    """Write the step unless it is there already. Raises StoreDown."""
    async with store.database.writing(f"{type(step.event).__name__} of an emergency") as session:
        row = await session.get(Case, (process.name, step.event.case_id))
        if row is not None and row.version >= step.seq and await _is_there(session, process, step):
            return
        if row is None:
            row = Case(process=process.name, id=step.event.case_id, version=0)
            session.add(row)
        body = codec.dump(step.after)
        if isinstance(step.event, Command):
            entry = audit.of_command(process.name, step.event, row.body or {}, body)
            session.add(AuditEntry(**entry))
        row.state, row.is_over = step.after.state.value, process.is_over(step.after)
        row.version, row.body = max(step.seq, row.version + 1), body
        row.changed_at = step.event.at
        await _project(session, step, store.site)
        _write_journal(session, process, step)
        await _post(session, process, step)
        await session.flush()
        await _note_result(session, step)
        await _note_alarms(session, step)


async def _is_there(session: AsyncSession, process: Process[Any], step: Step) -> bool:
    bodies = await session.scalars(
        select(Journal.body).where(
            Journal.process == process.name,
            Journal.case_id == step.event.case_id,
            Journal.event == type(step.event).__name__,
            Journal.at == step.event.at,
        )
    )
    return codec.dump(step.event) in bodies.all()


async def _project(session: AsyncSession, step: Step, site: str) -> None:
    """Write the rows that lists read."""
    rows: list[Base] = []

    def put(model: type[Base], **values: Any) -> None:
        rows.append(model(**values))

    project(put, None, step.after, site)
    for one in rows:
        await session.merge(one)


def _write_journal(session: AsyncSession, process: Process[Any], step: Step) -> None:
    session.add(
        Journal(
            process=process.name,
            case_id=step.event.case_id,
            at=step.event.at,
            event=type(step.event).__name__,
            body=codec.dump(step.event),
            state_before=step.before,
            state_after=step.after.state.value,
        )
    )


async def _post(session: AsyncSession, process: Process[Any], step: Step) -> None:
    for effect in step.effects:
        if isinstance(effect, MakeRecording) and not await _is_posted(session, owed_id(effect)):
            session.add(
                Outbox(
                    id=owed_id(effect),
                    process=process.name,
                    case_id=step.event.case_id,
                    kind=type(effect).__name__,
                    body=codec.dump_effect(effect),
                    posted_at=step.event.at,
                )
            )
        if not isinstance(effect, Dial | CancelDial | SendMessage):
            continue
        # One that a controller before asked for by the same name is in the table already.
        if await _is_posted(session, effect.id):
            continue
        session.add(
            Outbox(
                id=effect.id,
                process=process.name,
                case_id=step.event.case_id,
                kind=type(effect).__name__,
                body=codec.dump_effect(effect),
                posted_at=step.event.at,
                # A withdrawal has no result that anybody waits for.
                done_at=step.event.at if isinstance(effect, CancelDial) else None,
            )
        )


def owed_id(effect: MakeRecording) -> str:
    return f"{effect.serial}/recording"


async def _is_posted(session: AsyncSession, effect: str) -> bool:
    return await session.scalar(select(Outbox.id).where(Outbox.id == effect)) is not None


async def _note_alarms(session: AsyncSession, step: Step) -> None:
    for effect in step.effects:
        match effect:
            case RaiseAlarm():
                await raise_alarm(session, effect.key, effect.kind, effect.text, step.event.at)
            case EndAlarm():
                await end_alarm(session, effect.key, step.event.at)


async def _note_result(session: AsyncSession, step: Step) -> None:
    """What the event says about dials and messages that were asked for before."""
    event = step.event
    if isinstance(event, DialAttempted | MessageAttempted):
        noted = update(Outbox).where(Outbox.id == event.effect).values(attempted_at=event.at)
        await session.execute(noted)
    elif type(event) in RESULTS:
        await _settle(session, getattr(event, "effect", ""), RESULTS[type(event)], step)
    elif isinstance(event, LegOver):
        await _settle(session, event.effect, event.result.value, step)
    elif isinstance(event, LegRecorded):
        result = "made" if event.file else "failed"
        await _settle(session, f"{event.leg}/recording", result, step)
    elif isinstance(event, PersonJoined):
        await _settle(session, event.person.effect, "answered", step)
    elif isinstance(event, CaseFound):
        for person in event.people:
            await _settle(session, person.effect, "answered", step)
    for effect in step.effects:
        if isinstance(effect, CancelDial):
            await _settle(session, effect.dial, "cancelled", step)


async def _settle(session: AsyncSession, dial: str, result: str, step: Step) -> None:
    """The first that is certain stays; what was uncertain gives way to it.

    A withdrawal makes nothing certain: what was perhaps called may have rung before it.
    """
    before = ("",) if result == "cancelled" else ("", "uncertain")
    await session.execute(
        update(Outbox)
        .where(Outbox.id == dial, Outbox.result.in_(before))
        .values(result=result, done_at=step.event.at)
    )


async def cases_in(database: Database, process: Process[Any]) -> list[tuple[Any, int]]:
    """The open cases that the database has, with the number of their last step."""
    async with database.reading() as session:
        rows = await session.scalars(
            select(Case).where(Case.process == process.name, Case.is_over.is_(False))
        )
        found: list[tuple[Any, int]] = []
        for row in rows:
            try:
                found.append((codec.load(process.case_type, row.body), row.version))
            except codec.NotReadable:
                logger.exception("%s %s cannot be read and is left", process.name, row.id)
        return found
