"""Elders (服务对象): who they are and where, the numbers they call from, whom to call for them, and
their terminals (b.1, b.2)."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sql.models.base import Base


class Elder(Base):
    """One elder. `version` counts the changes, so that a second editor is noticed.

    `user_status` is applied, active, suspended, declined, deceased or left; `living_arrangement`
    with_children, with_relatives_friends, with_spouse, alone, or empty when nobody asked.
    """

    __tablename__ = "elder"

    id: Mapped[int] = mapped_column(primary_key=True)
    elder_uid: Mapped[str] = mapped_column(String(20), unique=True)
    full_name: Mapped[str] = mapped_column(String(64), index=True)
    sex: Mapped[str] = mapped_column(String(7), default="unknown")
    birth_date: Mapped[date | None]
    site: Mapped[str] = mapped_column(ForeignKey("site.code"))
    user_status: Mapped[str] = mapped_column(String(12), default="active", server_default="active")
    living_arrangement: Mapped[str] = mapped_column(String(24), default="", server_default="")
    addr_district: Mapped[str] = mapped_column(String(40), default="")
    addr_street: Mapped[str] = mapped_column(String(40), default="")
    addr_compound: Mapped[str] = mapped_column(String(60), default="")
    addr_building: Mapped[str] = mapped_column(String(20), default="")
    addr_unit: Mapped[str] = mapped_column(String(20), default="")
    addr_floor: Mapped[str] = mapped_column(String(20), default="")
    addr_room: Mapped[str] = mapped_column(String(20), default="")
    landmark: Mapped[str] = mapped_column(Text, default="")
    entry_route: Mapped[str] = mapped_column(Text, default="")
    entry_route_checked_on: Mapped[date | None]
    risk_plan: Mapped[str] = mapped_column(Text, default="", server_default="")
    main_diseases: Mapped[str] = mapped_column(Text, default="", server_default="")
    medication_state: Mapped[str] = mapped_column(Text, default="", server_default="")
    remark: Mapped[str] = mapped_column(Text, default="")
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    created_at: Mapped[datetime]

    phones: Mapped[list[ElderPhone]] = relationship(
        back_populates="elder", cascade="all, delete-orphan", order_by="ElderPhone.id"
    )
    contacts: Mapped[list[ElderContact]] = relationship(
        back_populates="elder", cascade="all, delete-orphan",
        order_by="(ElderContact.priority, ElderContact.id)",
    )  # fmt: skip
    terminals: Mapped[list[Terminal]] = relationship(
        back_populates="elder", cascade="all, delete-orphan", order_by="Terminal.id"
    )


class ElderPhone(Base):
    """A number of an elder: E.164 for the look-up, and as it was entered."""

    __tablename__ = "elder_phone"

    id: Mapped[int] = mapped_column(primary_key=True)
    elder_id: Mapped[int] = mapped_column(ForeignKey("elder.id"), index=True)
    number: Mapped[str] = mapped_column(String(20), index=True)
    raw: Mapped[str] = mapped_column(String(40))

    elder: Mapped[Elder] = relationship(back_populates="phones")


class ElderContact(Base):
    """Somebody to call for an elder: `relation` in their own words (女儿, 邻居, 居委会).

    `priority` counts from 1; those with `is_emergency` are called in this order in an emergency.
    """

    __tablename__ = "elder_contact"

    id: Mapped[int] = mapped_column(primary_key=True)
    elder_id: Mapped[int] = mapped_column(ForeignKey("elder.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    relation: Mapped[str] = mapped_column(String(32), default="")
    priority: Mapped[int] = mapped_column(default=1)
    is_emergency: Mapped[bool] = mapped_column(default=False)

    elder: Mapped[Elder] = relationship(back_populates="contacts")
    phones: Mapped[list[ContactPhone]] = relationship(
        back_populates="contact", cascade="all, delete-orphan", order_by="ContactPhone.id"
    )


class ContactPhone(Base):
    """A number of a contact: E.164 and as it was entered (PER-18).

    `is_reachable` is what the last test call found, at `checked_at`; None before the first one.
    """

    __tablename__ = "contact_phone"

    id: Mapped[int] = mapped_column(primary_key=True)
    contact_id: Mapped[int] = mapped_column(ForeignKey("elder_contact.id"), index=True)
    number: Mapped[str] = mapped_column(String(20), index=True)
    raw: Mapped[str] = mapped_column(String(40))
    is_reachable: Mapped[bool | None]
    checked_at: Mapped[datetime | None]

    contact: Mapped[ElderContact] = relationship(back_populates="phones")


class Terminal(Base):
    """A terminal in an elder's home (智能终端). By its number the elder is known when it calls.

    `type` is a code of b.2 (one_key, fall_alarm, …); `status` active or retired. A terminal that
    does not call by itself has an empty `phone_no`.
    """

    __tablename__ = "terminal"

    id: Mapped[int] = mapped_column(primary_key=True)
    elder_id: Mapped[int] = mapped_column(ForeignKey("elder.id"), index=True)
    serial_no: Mapped[str] = mapped_column(String(40), index=True)
    type: Mapped[str] = mapped_column(String(20))
    phone_no: Mapped[str] = mapped_column(String(20), default="", index=True)
    phone_raw: Mapped[str] = mapped_column(String(40), default="")
    status: Mapped[str] = mapped_column(String(12), default="active")

    elder: Mapped[Elder] = relationship(back_populates="terminals")
