"""The register of elders: one way in and one way to change, with contacts and terminals (PER-19).

What was there before stays on the record, with who changed it and when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from sql import audit
from sql.audit import Actor
from sql.models import ContactPhone, Elder, ElderContact, ElderPhone, Terminal
from sql.queries import elders

Number = tuple[str, str]
"""E.164, and as it was entered."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact as entered; `id` is None for a new one. Those with the lowest priority come first.

    Numbers that stay keep what a test call has found.
    """

    id: int | None
    name: str
    relation: str
    priority: int
    is_emergency: bool
    phones: Sequence[Number]


@dataclass(frozen=True, slots=True)
class Device:
    """A terminal as entered; `id` is None for a new one, `number` for one that does not call."""

    id: int | None
    serial_no: str
    type: str
    number: Number | None
    status: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Everything of an elder that a person writes. `fields` are the columns by name."""

    fields: Mapping[str, Any]
    numbers: Sequence[Number]
    contacts: Sequence[Contact]
    terminals: Sequence[Device]


async def enter(session: AsyncSession, actor: Actor, entry: Entry, at: datetime) -> Elder:
    """A new elder with a unique code."""
    elder = Elder(elder_uid="", created_at=at, version=1, phones=[], contacts=[], terminals=[])
    _fill(elder, entry)
    session.add(elder)
    await session.flush()
    elder.elder_uid = elders.uid_of(elder.id)
    audit.note(session, actor, at, "added", "elder", elder.elder_uid, after=snapshot(elder))
    return elder


async def for_change(session: AsyncSession, uid: str) -> Elder | None:
    """The elder with everything, kept for whoever changes it until the transaction is over."""
    return await session.scalar(
        select(Elder).where(Elder.elder_uid == uid).options(*elders.WHOLE).with_for_update()
    )


async def change(
    session: AsyncSession, actor: Actor, elder: Elder, entry: Entry, at: datetime
) -> None:
    """The elder as entered now; nothing is noted when nothing differs."""
    before = snapshot(elder)
    _fill(elder, entry)
    if snapshot(elder) == before:
        return
    elder.version += 1
    await session.flush()
    audit.note(
        session, actor, at, "changed", "elder", elder.elder_uid,
        before=before, after=snapshot(elder),
    )  # fmt: skip


async def note_test(
    session: AsyncSession, actor: Actor, elder: Elder, phone_id: int, is_reachable: bool,
    at: datetime,
) -> bool:  # fmt: skip
    """What a test call to a contact's number found (PER-18); False for a number not of this elder.

    An unreachable number is called after all others in an emergency.
    """
    for contact in elder.contacts:
        for phone in contact.phones:
            if phone.id != phone_id:
                continue
            whom = f"{contact.name} {phone.raw}"
            audit.note(
                session, actor, at, "test call", "elder", elder.elder_uid,
                before={"is_reachable": phone.is_reachable}, after={"is_reachable": is_reachable},
                why=whom,
            )  # fmt: skip
            phone.is_reachable, phone.checked_at = is_reachable, at
            return True
    return False


def snapshot(elder: Elder) -> dict[str, Any]:
    """Everything that a person may change, as JSON, for the record."""
    fields = {
        name: value.isoformat() if isinstance(value := getattr(elder, name), date) else value
        for name in FIELDS
    }
    return {
        **fields,
        "version": elder.version,
        "numbers": [phone.raw for phone in elder.phones],
        "contacts": [_shown_contact(contact) for contact in elder.contacts],
        "terminals": [
            {"serial_no": one.serial_no, "type": one.type, "number": one.phone_raw,
             "status": one.status}
            for one in elder.terminals
        ],
    }  # fmt: skip


FIELDS = (
    "full_name", "sex", "birth_date", "site", "user_status", "living_arrangement",
    *elders.ADDRESS, "landmark", "entry_route", "entry_route_checked_on", "risk_plan",
    "main_diseases", "medication_state", "remark",
)  # fmt: skip


def _shown_contact(contact: ElderContact) -> dict[str, Any]:
    return {
        "name": contact.name, "relation": contact.relation, "priority": contact.priority,
        "is_emergency": contact.is_emergency, "numbers": [phone.raw for phone in contact.phones],
    }  # fmt: skip


def _fill(elder: Elder, entry: Entry) -> None:
    for name, value in entry.fields.items():
        setattr(elder, name, value)
    _fill_numbers(elder, entry.numbers)
    known: dict[int | None, ElderContact] = {one.id: one for one in elder.contacts}
    # Whoever is put before the others comes first; those of one rank stay as they were written.
    ordered = sorted(entry.contacts, key=lambda contact: contact.priority)
    elder.contacts = [
        _filled_contact(known.get(one.id) or ElderContact(phones=[]), one, place)
        for place, one in enumerate(ordered, 1)
    ]
    devices: dict[int | None, Terminal] = {one.id: one for one in elder.terminals}
    elder.terminals = [
        _filled_terminal(devices.get(one.id) or Terminal(), one) for one in entry.terminals
    ]


def _fill_numbers(elder: Elder, numbers: Sequence[Number]) -> None:
    known = {phone.number: phone for phone in elder.phones}
    elder.phones = [known.get(number) or ElderPhone(number=number) for number, _ in numbers]
    for phone, (_, raw) in zip(elder.phones, numbers, strict=True):
        phone.raw = raw


def _filled_contact(contact: ElderContact, entry: Contact, place: int) -> ElderContact:
    contact.name, contact.relation = entry.name, entry.relation
    contact.priority, contact.is_emergency = place, entry.is_emergency
    known = {phone.number: phone for phone in contact.phones}
    contact.phones = [
        known.get(number) or ContactPhone(number=number) for number, _ in entry.phones
    ]
    for phone, (_, raw) in zip(contact.phones, entry.phones, strict=True):
        phone.raw = raw
    return contact


def _filled_terminal(terminal: Terminal, entry: Device) -> Terminal:
    terminal.serial_no, terminal.type = entry.serial_no, entry.type
    terminal.phone_no, terminal.phone_raw = entry.number or ("", "")
    terminal.status = entry.status
    return terminal
