"""Emergencies as the desk shows them: lists, one case, and what is to be done in all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from sql import codec
from sql.models import CallRecord, Case, CaseDraft, Elder, EmergencyCase, Journal
from sql.numbers import digits_of
from sql.queries import elders
from sql.queries.matching import holds
from workflows import emergency
from workflows.closing import FOLLOW_UP_WITHIN, State
from workflows.emergency_facts import Emergency

PROCESS: Final = emergency.PROCESS.name
CHOICES: Final = ("open", "record", "close", "follow-up", "overdue")
"""What a list can be asked for; beside these, all."""
OPEN: Final = (State.OPEN.value, State.RECORDED.value)
A_NAME: Final = re.compile(r"\D+|E\d+", re.IGNORECASE)
"""A name, or an elder's code."""
TO_DO: Final = (*OPEN, State.CLOSED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which emergencies a list shows; what is empty chooses nothing. `choice` is one of CHOICES.

    `text` is a part of an elder's name, code or number, or of the number that called, or the case's
    own number.
    """

    text: str = ""
    choice: str = ""
    outcome: str = ""

    def where(self, now: datetime) -> list[ColumnElement[bool]]:
        chosen: list[ColumnElement[bool]] = []
        if self.text:
            chosen.append(_matches(self.text))
        if self.outcome:
            chosen.append(EmergencyCase.outcome == self.outcome)
        if self.choice:
            chosen.append(_is(self.choice, now))
        return chosen


def _is(choice: str, now: datetime) -> ColumnElement[bool]:
    """Whether a case is one of these at that time."""
    stage = EmergencyCase.stage
    match choice:
        case "open":
            return stage.in_(OPEN)
        case "record":
            has_ended = or_(
                EmergencyCase.arrived_at.is_not(None), EmergencyCase.ended_at.is_not(None)
            )
            return and_(stage == State.OPEN.value, has_ended)
        case "close":
            return stage == State.RECORDED.value
        case "follow-up":
            is_late = EmergencyCase.opened_at <= now - FOLLOW_UP_WITHIN
            return or_(stage == State.CLOSED.value, and_(stage.in_(OPEN), is_late))
        case _:
            return and_(stage.in_(TO_DO), EmergencyCase.due_at <= now)


def _matches(text: str) -> ColumnElement[bool]:
    named, digits = elders.ids_like(text), digits_of(text)
    found = [EmergencyCase.id == text, EmergencyCase.elder_id.in_(named)]
    if A_NAME.fullmatch(text):
        # Who called may have been said on the call's page, after the case had been read. The few
        # of which that is so take longer to ask than all the others.
        by_call = exists().where(CallRecord.id == EmergencyCase.id, CallRecord.elder_id.in_(named))
        by_name = holds(EmergencyCase.elder_name, text)
        found.append(and_(EmergencyCase.elder_id.is_(None), or_(by_name, by_call)))
    if digits and not any(c.isalpha() for c in text):
        found.append(holds(EmergencyCase.caller_no, digits))
    return or_(*found)


@dataclass(frozen=True, slots=True)
class Line:
    """One emergency of a list, with name and code of its elder when that is known."""

    case: EmergencyCase
    elder: Elder | None

    @property
    def who(self) -> str:
        return self.elder.full_name if self.elder else self.case.elder_name


async def latest(
    session: AsyncSession, wanted: Wanted, now: datetime, *, limit: int = 50, before: str = ""
) -> Sequence[Line]:
    """The newest of the wanted emergencies, newest first.

    `before` is the number of the last case of the page before.
    """
    newest_first = EmergencyCase.opened_at.desc(), EmergencyCase.id.desc()
    chosen = select(EmergencyCase.id).where(*wanted.where(now)).order_by(*newest_first).limit(limit)
    if before:
        last = await session.get(EmergencyCase, before)
        if last is not None:
            place = tuple_(EmergencyCase.opened_at, EmergencyCase.id)
            chosen = chosen.where(place < (last.opened_at, last.id))
    return await _lines(session, chosen)


async def _lines(session: AsyncSession, chosen: Select[str]) -> Sequence[Line]:
    """The emergencies with these ids, newest first; of elders no more is read than is shown."""
    rows = await session.execute(
        select(EmergencyCase, Elder)
        .outerjoin(CallRecord, CallRecord.id == EmergencyCase.id)
        .outerjoin(Elder, Elder.id == func.coalesce(EmergencyCase.elder_id, CallRecord.elder_id))
        .options(load_only(Elder.elder_uid, Elder.full_name, raiseload=True))
        .where(EmergencyCase.id.in_(chosen))
        .order_by(EmergencyCase.opened_at.desc(), EmergencyCase.id.desc())
    )
    return [Line(row, elder) for row, elder in rows]


async def of_elder(session: AsyncSession, elder_id: int, limit: int = 20) -> Sequence[Line]:
    """The elder's newest emergencies, newest first (EMG-12)."""
    by_call = (
        select(EmergencyCase.id)
        .join(CallRecord, CallRecord.id == EmergencyCase.id)
        .where(CallRecord.elder_id == elder_id, EmergencyCase.elder_id.is_(None))
    )
    by_card = select(EmergencyCase.id).where(EmergencyCase.elder_id == elder_id)
    found = by_card.union(by_call).subquery()
    return await _lines(
        session,
        select(EmergencyCase.id)
        .where(EmergencyCase.id.in_(select(found.c.id)))
        .order_by(EmergencyCase.opened_at.desc())
        .limit(limit),
    )


async def counts(session: AsyncSession, now: datetime) -> dict[str, int]:
    """How many of the cases that still ask for something are of each of CHOICES."""
    row = await session.execute(
        select(*(func.sum(case((_is(one, now), 1), else_=0)) for one in CHOICES)).where(
            EmergencyCase.stage.in_(TO_DO)
        )
    )
    return {name: int(count or 0) for name, count in zip(CHOICES, row.one(), strict=True)}


async def is_there(session: AsyncSession, case_id: str) -> bool:
    found = await session.scalar(select(EmergencyCase.id).where(EmergencyCase.id == case_id))
    return found is not None


async def one(session: AsyncSession, case_id: str) -> Emergency | None:
    """The case as it stands. Raises codec.NotReadable for one that a newer version wrote."""
    body = await session.scalar(
        select(Case.body).where(Case.process == PROCESS, Case.id == case_id)
    )
    return None if body is None else codec.load(Emergency, body)


async def journal(session: AsyncSession, case_id: str) -> Sequence[Journal]:
    """What happened in the emergency and in its call, in order."""
    rows = await session.scalars(
        select(Journal)
        .where(Journal.process.in_((PROCESS, "call")), Journal.case_id == case_id)
        .order_by(Journal.at, Journal.id)
    )
    return rows.all()


async def is_written(
    session: AsyncSession, case_id: str, event: str, at: datetime | None = None
) -> bool:
    """Whether this event of the case is in the database already: it is on the disk before."""
    query = select(Journal.id).where(
        Journal.process == PROCESS, Journal.case_id == case_id, Journal.event == event
    )  # fmt: skip
    if at is not None:
        query = query.where(Journal.at == at)
    return await session.scalar(query.limit(1)) is not None


async def draft(session: AsyncSession, case_id: str, by: str) -> dict[str, str]:
    """What this person typed into the case's forms and has not sent; empty for nothing."""
    kept = await session.get(CaseDraft, (case_id, by))
    return dict(kept.typed) if kept else {}


async def keep_draft(
    session: AsyncSession, case_id: str, by: str, typed: dict[str, str], at: datetime
) -> None:
    await session.merge(CaseDraft(case_id=case_id, by=by, typed=typed, saved_at=at))


async def drop_draft(session: AsyncSession, case_id: str, by: str) -> None:
    await session.execute(delete(CaseDraft).where(CaseDraft.case_id == case_id, CaseDraft.by == by))
