"""Calls as the desk shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, or_, select, tuple_, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, load_only, selectinload

from sql.models import CallOrder, CallRecord, Case, Elder, Journal, WorkOrder, WrapUpDraft
from sql.numbers import digits_of
from sql.queries import elders
from sql.queries.matching import has, holds

UNCLASSED: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which calls a list shows (REC-03); what is empty chooses nothing.

    `text` is a part of an elder's name, code or number, of a caller's or callee's number, or the
    call's own id, which is its recording's serial. `since` and `until` are aware times, `until`
    excluded. `call_class` UNCLASSED is what nobody has wrapped up yet.
    """

    text: str = ""
    seat: str = ""
    result: str = ""
    call_class: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def where(self) -> list[ColumnElement[bool]]:
        chosen: list[ColumnElement[bool]] = []
        if self.text:
            chosen.append(_matches(self.text))
        if self.seat:
            chosen.append(CallRecord.seat == self.seat)
        if self.result:
            chosen.append(CallRecord.result == self.result)
        if self.call_class:
            name = "" if self.call_class == UNCLASSED else self.call_class
            chosen.append(CallRecord.call_class == name)
            if not name:
                chosen.append(CallRecord.answered_at.is_not(None))
        if self.since:
            chosen.append(CallRecord.entered_at >= self.since)
        if self.until:
            chosen.append(CallRecord.entered_at < self.until)
        return chosen


ALL: Final = Wanted()


def _matches(text: str) -> ColumnElement[bool]:
    found = [
        CallRecord.elder_id.in_(elders.ids_like(text)),
        has(CallRecord.caller_name, text),
        CallRecord.id == text,
    ]
    if digits := digits_of(text):
        found += [holds(CallRecord.caller_no, digits), holds(CallRecord.callee_no, digits)]
    return or_(*found)


async def latest(
    session: AsyncSession, wanted: Wanted = ALL, *, limit: int = 50, before: str = ""
) -> Sequence[tuple[CallRecord, Elder | None]]:
    """The newest of the wanted calls with name and code of their elder, newest first.

    `before` is the id of the last call of the page before.
    """
    newest_first = CallRecord.entered_at.desc(), CallRecord.id.desc()
    chosen = select(CallRecord.id).where(*wanted.where()).order_by(*newest_first).limit(limit)
    if before:
        last = await session.get(CallRecord, before)
        if last is not None:
            place = tuple_(CallRecord.entered_at, CallRecord.id)
            chosen = chosen.where(place < (last.entered_at, last.id))
    # Chosen by the index alone; only then are whole rows read, and of elders no more than is shown.
    rows = await session.execute(
        select(CallRecord, Elder)
        .outerjoin(Elder, Elder.id == CallRecord.elder_id)
        .options(
            joinedload(CallRecord.recording),
            load_only(Elder.elder_uid, Elder.full_name, raiseload=True),
        )
        .where(CallRecord.id.in_(chosen))
        .order_by(*newest_first)
    )
    return [(call, elder) for call, elder in rows]


async def search(
    session: AsyncSession, wanted: Wanted, *, limit: int, before: str = ""
) -> tuple[Sequence[tuple[CallRecord, Elder | None]], dict[str, int]]:
    """What `latest` gives, and `class_counts`; when those are all there are, they are counted."""
    found = await latest(session, wanted, limit=limit, before=before)
    if before or wanted.call_class or len(found) == limit:
        return found, await class_counts(session, wanted)
    classes = (_class_of(call) for call, _ in found)
    return found, dict(Counter(name for name in classes if name))


def _class_of(call: CallRecord) -> str:
    """The call's class; UNCLASSED for one that was answered and has none, else nothing."""
    return call.call_class or (UNCLASSED if call.answered_at else "")


async def class_counts(session: AsyncSession, wanted: Wanted) -> dict[str, int]:
    """How many of the wanted calls are of each class; UNCLASSED were answered and have none.

    Whatever class is wanted itself, all are counted (ACD-19).
    """
    # With a text, SQLite would go through the classes in their order and read every whole row.
    name = CallRecord.call_class + "" if wanted.text else CallRecord.call_class
    rows = await session.execute(
        select(name, func.count())
        .where(
            *replace(wanted, call_class="").where(),
            or_(CallRecord.call_class != "", CallRecord.answered_at.is_not(None)),
        )
        .group_by(name)
    )
    return {name or UNCLASSED: count for name, count in rows}


async def of_number(session: AsyncSession, number: str, limit: int) -> Sequence[CallRecord]:
    """The last calls from and to this E.164 number, newest first."""
    newest = (
        select(CallRecord.id)
        .where(column == number)
        .order_by(CallRecord.entered_at.desc())
        .limit(limit)
        .subquery()
        for column in (CallRecord.caller_no, CallRecord.callee_no)
    )
    rows = await session.scalars(
        select(CallRecord)
        .where(CallRecord.id.in_(union(*(select(ids.c.id) for ids in newest))))
        .options(selectinload(CallRecord.recording))
        .order_by(CallRecord.entered_at.desc())
        .limit(limit)
    )
    return rows.all()


async def just_ended(session: AsyncSession, limit: int) -> Sequence[dict[str, Any]]:
    """The cases of the calls that ended last, as JSON, oldest first."""
    newest = (
        select(CallRecord.id)
        .where(CallRecord.state == "ended")
        .order_by(CallRecord.ended_at.desc())
        .limit(limit)
    )
    rows = await session.scalars(
        select(Case.body)
        .where(Case.process == "call", Case.id.in_(newest))
        .order_by(Case.changed_at)
    )
    return rows.all()


async def offered_and_answered(session: AsyncSession, since: datetime) -> tuple[int, int]:
    """How many calls came in since then, and how many of them a person answered.

    Whoever still waits is in neither: it is not known yet how that comes out. Whoever hung up
    before anybody answered was offered and not answered, wherever in the menu or the queue it was.
    """
    row = await session.execute(
        select(func.count(), func.count(CallRecord.answered_at)).where(
            CallRecord.direction == "inbound",
            CallRecord.entered_at >= since,
            or_(CallRecord.state == "ended", CallRecord.answered_at.is_not(None)),
        )
    )
    offered, answered = row.one()
    return offered, answered


async def one(session: AsyncSession, call_id: str) -> CallRecord | None:
    """The call with its legs and recording."""
    return await session.scalar(
        select(CallRecord)
        .where(CallRecord.id == call_id)
        .options(selectinload(CallRecord.legs), selectinload(CallRecord.recording))
    )


async def orders_of(session: AsyncSession, call_id: str) -> Sequence[WorkOrder]:
    """The orders tied to the call, oldest first."""
    rows = await session.scalars(
        select(WorkOrder)
        .join(CallOrder, CallOrder.order_id == WorkOrder.id)
        .where(CallOrder.call_id == call_id)
        .order_by(WorkOrder.order_no)
    )
    return rows.all()


async def of_order(session: AsyncSession, order_id: str) -> Sequence[CallRecord]:
    """The calls tied to the order, oldest first (ACD-17: the order page lists the call)."""
    rows = await session.scalars(
        select(CallRecord)
        .join(CallOrder, CallOrder.call_id == CallRecord.id)
        .where(CallOrder.order_id == order_id)
        .options(selectinload(CallRecord.recording))
        .order_by(CallRecord.entered_at)
    )
    return rows.all()


async def journal(session: AsyncSession, call_id: str) -> Sequence[Journal]:
    """What happened in the call, in order."""
    rows = await session.scalars(
        select(Journal)
        .where(Journal.process == "call", Journal.case_id == call_id)
        .order_by(Journal.id)
    )
    return rows.all()


async def to_wrap_up(session: AsyncSession, seat: str, since: datetime) -> str | None:
    """The id of the last call that this seat talked in since then and did not wrap up."""
    return await session.scalar(
        select(CallRecord.id)
        .where(
            CallRecord.seat == seat,
            CallRecord.state == "ended",
            CallRecord.answered_at.is_not(None),
            CallRecord.wrapped_up_at.is_(None),
            CallRecord.ended_at >= since,
        )
        .order_by(CallRecord.ended_at.desc())
        .limit(1)
    )


async def draft(session: AsyncSession, call_id: str, by: str) -> dict[str, str]:
    """What this person typed of the call's wrap-up and has not sent; empty for nothing."""
    kept = await session.get(WrapUpDraft, (call_id, by))
    return dict(kept.typed) if kept else {}


async def keep_draft(
    session: AsyncSession, call_id: str, by: str, typed: dict[str, str], at: datetime
) -> None:
    await session.merge(WrapUpDraft(call_id=call_id, by=by, typed=typed, saved_at=at))


async def drop_draft(session: AsyncSession, call_id: str, by: str) -> None:
    await session.execute(
        delete(WrapUpDraft).where(WrapUpDraft.call_id == call_id, WrapUpDraft.by == by)
    )
