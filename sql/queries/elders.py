"""Elders as the desk shows them, and the plain way in which one is entered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from sqlalchemy import ColumnElement, CompoundSelect, Select, literal, select, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from sql.models import CallRecord, ContactPhone, Elder, ElderContact, ElderPhone, Terminal
from sql.numbers import digits_of
from sql.queries.matching import has, holds

ADDRESS: Final = (
    "addr_district", "addr_street", "addr_compound", "addr_building", "addr_unit", "addr_floor",
    "addr_room",
)  # fmt: skip
WHOLE: Final = (
    selectinload(Elder.phones),
    selectinload(Elder.contacts).selectinload(ElderContact.phones),
    selectinload(Elder.terminals),
)
"""Everything that an elder's card shows."""


async def latest(
    session: AsyncSession, text: str = "", *, limit: int = 50, before: str = ""
) -> Sequence[Elder]:
    """The newest elders with their numbers; with a text, those who have it in name, code or number.

    Numbers are found as they are written anywhere, the contacts' and the terminals' too. `before`
    is the code of the last elder of the page before.
    """
    query = select(Elder).options(selectinload(Elder.phones)).order_by(Elder.id.desc()).limit(limit)
    if text:
        query = query.where(Elder.id.in_(ids_like(text)))
    if before:
        last = await session.scalar(select(Elder.id).where(Elder.elder_uid == before))
        if last is not None:
            query = query.where(Elder.id < last)
    return (await session.scalars(query)).all()


def ids_like(text: str) -> CompoundSelect[int]:
    """The ids of the elders who have the text in name, code or number.

    Each table is read once: asking for every elder after all of their numbers takes much longer.
    """
    found = [select(Elder.id).where(has(Elder.full_name, text))]
    if text.isascii():
        found.append(select(Elder.id).where(has(Elder.elder_uid, text)))
    if digits := digits_of(text):
        found += [
            select(ElderPhone.elder_id).where(holds(ElderPhone.number, digits)),
            select(Terminal.elder_id).where(holds(Terminal.phone_no, digits)),
            select(ElderContact.elder_id)
            .join(ContactPhone, ContactPhone.contact_id == ElderContact.id)
            .where(holds(ContactPhone.number, digits)),
        ]
    if not text.isalpha():
        found.append(select(Terminal.elder_id).where(has(Terminal.serial_no, text)))
    return union(*found)


def ids_named(name: str) -> Select[int]:
    """The ids of the elders who have this in their name."""
    return select(Elder.id).where(has(Elder.full_name, name))


async def one(session: AsyncSession, elder_uid: str) -> Elder | None:
    return await session.scalar(select(Elder).where(Elder.elder_uid == elder_uid).options(*WHOLE))


async def by_ids(session: AsyncSession, ids: Sequence[int]) -> Sequence[Elder]:
    rows = await session.scalars(select(Elder).where(Elder.id.in_(ids)).options(*WHOLE))
    return rows.all()


async def by_number(session: AsyncSession, number: str) -> Sequence[Elder]:
    """The elders of this E.164 number; more than one when they share a telephone."""
    if not number:
        return ()
    rows = await session.scalars(
        select(Elder)
        .where(Elder.id.in_(ids_by_number(literal(number))))
        .options(*WHOLE)
        .order_by(Elder.id)
    )
    return rows.all()


def ids_by_number(number: ColumnElement[str]) -> CompoundSelect[int]:
    """Whose number it is: an elder's own, or that of a terminal in use."""
    return union(
        select(ElderPhone.elder_id).where(ElderPhone.number == number),
        select(Terminal.elder_id).where(Terminal.phone_no == number, Terminal.status == "active"),
    )


async def names_by_number(
    session: AsyncSession, numbers: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The names of the elders of each of these numbers, for lists."""
    wanted = [number for number in numbers if number]
    whose = union(
        select(ElderPhone.number, ElderPhone.elder_id).where(ElderPhone.number.in_(wanted)),
        select(Terminal.phone_no, Terminal.elder_id).where(
            Terminal.phone_no.in_(wanted), Terminal.status == "active"
        ),
    ).subquery()
    rows = await session.execute(
        select(whose.c.number, Elder.full_name)
        .join(Elder, Elder.id == whose.c.elder_id)
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
    elder.elder_uid = uid_of(elder.id)
    return elder


def uid_of(elder_id: int) -> str:
    """The unique code, made from the running id."""
    return f"E{elder_id:06d}"
