"""The read-out cards of whoever calls: the elders of a number, and everybody who can be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import and_, case, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from sql.engine import Database
from sql.models import ContactPhone, Elder, ElderContact, ElderPhone, Terminal
from sql.queries.elders import ids_by_number
from workflows.card import RESCUE, Card, Party, PartyKind, years
from workflows.numbers import is_for_help

GONE: Final = ("deceased", "left")
KIN: Final = (
    "儿子", "女儿", "儿媳", "女婿", "孙子", "孙女", "外孙", "侄", "外甥", "老伴", "配偶", "爱人",
    "丈夫", "妻子", "哥", "弟", "姐", "妹",
)  # fmt: skip
"""A son who is a doctor is a son."""
KINDS: Final = {
    PartyKind.NEIGHBOUR: ("邻", "隔壁", "对门", "neighbour", "neighbor"),
    PartyKind.DOCTOR: ("医生", "大夫", "医师", "doctor"),
    PartyKind.HOSPITAL: ("医院", "卫生院", "卫生服务", "hospital"),
    PartyKind.COMMITTEE: ("居委", "村委", "committee"),
    PartyKind.STATION: ("驿站", "养护站", "服务站", "care station"),
    PartyKind.PROPERTY: ("物业", "property"),
}
"""By which words in a relation somebody is known; the first that fits counts."""


async def card_for(
    database: Database,
    responders: Mapping[str, Sequence[Party]],
    zone: ZoneInfo,
    *,
    at: datetime,
    number: str | None = None,
    elder_id: int | None = None,
) -> tuple[Card, ...]:
    """The card of the elder, or the cards of all who have this number (E.164); () for nobody.

    Who still lives there comes first. `responders` are those of each site, by its code; `at` says
    on which day the age is counted. With both, `number` is where to call the elder back.
    Raises StoreDown.
    """
    if not number and elder_id is None:
        return ()
    async with database.reading() as session:
        homes = await _homes(session, number or "", elder_id)
        contacts = await _contacts(session, list(homes))
    today = at.astimezone(zone).date()
    return tuple(
        Card(
            elder_id=elder.id, uid=elder.elder_uid, name=elder.full_name, sex=elder.sex,
            age=years(elder.birth_date, today),
            district=elder.addr_district, street=elder.addr_street, compound=elder.addr_compound,
            building=elder.addr_building, unit=elder.addr_unit, floor=elder.addr_floor,
            room=elder.addr_room, landmark=elder.landmark, entry_route=elder.entry_route,
            entry_route_checked_on=elder.entry_route_checked_on, diseases=elder.main_diseases,
            medication=elder.medication_state, risk_plan=elder.risk_plan,
            living=elder.living_arrangement, call_back=call_back, terminal_type=terminal,
            site=elder.site,
            parties=(*RESCUE, *contacts.get(elder.id, ()), *responders.get(elder.site, ())),
        )
        for elder, call_back, terminal in homes.values()
    )  # fmt: skip


async def _homes(
    session: AsyncSession, number: str, elder_id: int | None
) -> dict[int, tuple[Elder, str, str]]:
    """Each elder with the number to call back and the type of the terminal, by id.

    The terminal is the one that calls, or else the first there that could.
    """
    own = (
        select(ElderPhone.number)
        .where(ElderPhone.elder_id == Elder.id)
        .order_by(ElderPhone.id)
        .limit(1)
        .scalar_subquery()
    )
    is_whom = (
        Elder.id.in_(ids_by_number(literal(number))) if elder_id is None else Elder.id == elder_id
    )
    rows = await session.execute(
        select(Elder, own, Terminal.type, Terminal.phone_no)
        .outerjoin(Terminal, and_(Terminal.elder_id == Elder.id, Terminal.status == "active"))
        .where(is_whom)
        .order_by(
            case((Elder.user_status.in_(GONE), 1), else_=0),
            Elder.id,
            case((Terminal.phone_no == "", 2), (Terminal.phone_no == literal(number), 0), else_=1),
            Terminal.id,
        )
    )
    homes: dict[int, tuple[Elder, str, str]] = {}
    for elder, first, terminal, of_terminal in rows:
        call_back = number or first or of_terminal or ""
        homes.setdefault(elder.id, (elder, call_back, terminal or ""))
    return homes


async def _contacts(session: AsyncSession, ids: Sequence[int]) -> dict[int, list[Party]]:
    """Whom to call for each elder: the emergency contacts in their order, then the others."""
    rows = await session.execute(
        select(
            ElderContact.elder_id, ElderContact.id, ElderContact.name, ElderContact.relation,
            ContactPhone.number,
        )
        .outerjoin(ContactPhone, ContactPhone.contact_id == ElderContact.id)
        .where(ElderContact.elder_id.in_(ids))
        .order_by(
            ElderContact.is_emergency.desc(), ElderContact.priority, ElderContact.id,
            # A number that a test call did not reach is tried after the others.
            case((ContactPhone.is_reachable.is_(False), 1), else_=0), ContactPhone.id,
        )
    )  # fmt: skip
    said: dict[int, tuple[int, str, str]] = {}
    numbers: dict[int, list[str]] = {}
    for elder_id, contact_id, name, relation, number in rows:
        said[contact_id] = elder_id, name, relation
        known = numbers.setdefault(contact_id, [])
        if number and number not in known and not is_for_help(number):
            known.append(number)
    found: dict[int, list[Party]] = {}
    for contact_id, (elder_id, name, relation) in said.items():
        party = Party(
            key=f"contact/{contact_id}", kind=kind_of(relation), name=name, relation=relation,
            numbers=tuple(numbers[contact_id]),
        )  # fmt: skip
        found.setdefault(elder_id, []).append(party)
    return found


def kind_of(relation: str) -> PartyKind:
    """What a contact is, by how somebody wrote down the relation."""
    plain = relation.strip().lower()
    if plain.startswith(KIN):
        return PartyKind.CONTACT
    return next(
        (kind for kind, words in KINDS.items() if any(word in plain for word in words)),
        PartyKind.CONTACT,
    )
