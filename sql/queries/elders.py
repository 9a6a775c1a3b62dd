"""Elders as the desk shows them, and the plain way in which one is entered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from sql.models import CallRecord, Elder, ElderPhone


async def latest(session: AsyncSession, limit: int = 50) -> Sequence[Elder]:
    """The newest elders with their numbers."""
    rows = await session.scalars(
        select(Elder).options(selectinload(Elder.phones)).order_by(Elder.id.desc()).limit(limit)
    )
    return rows.all()


async def one(session: AsyncSession, elder_uid: str) -> Elder | None:
    return await session.scalar(
        select(Elder).where(Elder.elder_uid == elder_uid).options(selectinload(Elder.phones))
    )


async def by_ids(session: AsyncSession, ids: Sequence[int]) -> Sequence[Elder]:
    rows = await session.scalars(
        select(Elder).where(Elder.id.in_(ids)).options(selectinload(Elder.phones))
    )
    return rows.all()


async def by_number(session: AsyncSession, number: str) -> Sequence[Elder]:
    """The elders of this E.164 number; more than one when they share a telephone."""
    if not number:
        return ()
    rows = await session.scalars(
        select(Elder)
        .where(Elder.phones.any(ElderPhone.number == number))
        .options(selectinload(Elder.phones))
        .order_by(Elder.id)
    )
    return rows.all()


async def names_by_number(
    session: AsyncSession, numbers: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The names of the elders of each of these numbers, for lists."""
    rows = await session.execute(
        select(ElderPhone.number, Elder.full_name)
        .join(Elder)
        .where(ElderPhone.number.in_([number for number in numbers if number]))
        .order_by(Elder.id)
    )
    names: dict[str, tuple[str, ...]] = {}
    for number, name in rows:
        names[number] = (*names.get(number, ()), name)
    return names


async def calls_of(session: AsyncSession, elder_id: int, limit: int = 10) -> Sequence[CallRecord]:
    """The elder's last calls, newest first."""
    rows = await session.scalars(
        select(CallRecord)
        .where(CallRecord.elder_id == elder_id)
        .options(selectinload(CallRecord.recording))
        .order_by(CallRecord.entered_at.desc())
        .limit(limit)
    )
    return rows.all()


async def add(
    session: AsyncSession,
    *,
    full_name: str,
    sex: str,
    birth_date: date | None,
    site: str,
    numbers: Sequence[tuple[str, str]],
    address: dict[str, str],
    at: datetime,
) -> Elder:
    """Enter an elder. `numbers` are (E.164, as entered); `address` has the addr_* fields,
    landmark and entry_route. The unique code is made from the running id."""
    elder = Elder(
        elder_uid="",
        full_name=full_name,
        sex=sex,
        birth_date=birth_date,
        site=site,
        created_at=at,
        phones=[ElderPhone(number=number, raw=raw) for number, raw in numbers],
        **address,
    )
    session.add(elder)
    await session.flush()
    elder.elder_uid = f"E{elder.id:06d}"
    return elder
