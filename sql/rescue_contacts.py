"""Whom to call in an emergency, by the number that calls: what the dialplan is given."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import case, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from sql.engine import Database
from sql.models import ContactPhone, ElderContact, ElderPhone, Terminal
from sql.numbers import as_dialled, spellings


async def wanted(
    database: Database, country: str, area: str, numbers: Collection[str] | None = None
) -> dict[str, list[str]]:
    """The emergency contacts' numbers, as they are dialled from here, by the elder's number in each
    spelling in which a carrier may deliver it.

    With `numbers` (E.164) there is an entry for each of them, also an empty one.
    """
    async with database.reading() as session:
        found = await _by_number(session, numbers)
    # All of them are many, and the controller's loop has calls to lead meanwhile.
    return await asyncio.to_thread(_spelt, found, country, area)


def _spelt(found: Mapping[str, Sequence[str]], country: str, area: str) -> dict[str, list[str]]:
    by_spelling: dict[str, list[str]] = {}
    for number, called in found.items():
        dialled = [as_dialled(one, country=country) for one in called]
        by_spelling |= dict.fromkeys(spellings(number, country=country, area=area), dialled)
    return by_spelling


async def _by_number(
    session: AsyncSession, numbers: Collection[str] | None
) -> dict[str, list[str]]:
    own = select(ElderPhone.number, ElderPhone.elder_id)
    of_terminals = select(Terminal.phone_no, Terminal.elder_id).where(
        Terminal.status == "active", Terminal.phone_no != ""
    )
    if numbers is not None:
        own = own.where(ElderPhone.number.in_(numbers))
        of_terminals = of_terminals.where(Terminal.phone_no.in_(numbers))
    whose = union(own, of_terminals).subquery()
    rows = await session.execute(
        select(whose.c.number, ContactPhone.number)
        .join(ElderContact, ElderContact.elder_id == whose.c.elder_id)
        .join(ContactPhone, ContactPhone.contact_id == ElderContact.id)
        .where(ElderContact.is_emergency)
        .order_by(
            # A number that a test call did not reach is tried after all others.
            case((ContactPhone.is_reachable.is_(False), 1), else_=0),
            ElderContact.priority, ElderContact.id, ContactPhone.id,
        )
    )  # fmt: skip
    found: dict[str, list[str]] = {number: [] for number in numbers or () if number}
    for number, called in rows:
        known = found.setdefault(number, [])
        if called not in known:
            known.append(called)
    return found
