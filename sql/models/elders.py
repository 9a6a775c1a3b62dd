"""Elders (服务对象): who they are and where, and the numbers they call from (b.1)."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sql.models.base import Base


class Elder(Base):
    __tablename__ = "elder"

    id: Mapped[int] = mapped_column(primary_key=True)
    elder_uid: Mapped[str] = mapped_column(String(20), unique=True)
    full_name: Mapped[str] = mapped_column(String(64), index=True)
    sex: Mapped[str] = mapped_column(String(7), default="unknown")
    birth_date: Mapped[date | None]
    site: Mapped[str] = mapped_column(ForeignKey("site.code"))
    addr_district: Mapped[str] = mapped_column(String(40), default="")
    addr_street: Mapped[str] = mapped_column(String(40), default="")
    addr_compound: Mapped[str] = mapped_column(String(60), default="")
    addr_building: Mapped[str] = mapped_column(String(20), default="")
    addr_unit: Mapped[str] = mapped_column(String(20), default="")
    addr_floor: Mapped[str] = mapped_column(String(20), default="")
    addr_room: Mapped[str] = mapped_column(String(20), default="")
    landmark: Mapped[str] = mapped_column(Text, default="")
    entry_route: Mapped[str] = mapped_column(Text, default="")
    remark: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]

    phones: Mapped[list[ElderPhone]] = relationship(
        back_populates="elder", cascade="all, delete-orphan", order_by="ElderPhone.id"
    )


class ElderPhone(Base):
    """A number of an elder: E.164 for the look-up, and as it was entered."""

    __tablename__ = "elder_phone"

    id: Mapped[int] = mapped_column(primary_key=True)
    elder_id: Mapped[int] = mapped_column(ForeignKey("elder.id"), index=True)
    number: Mapped[str] = mapped_column(String(20), index=True)
    raw: Mapped[str] = mapped_column(String(40))

    elder: Mapped[Elder] = relationship(back_populates="phones")
