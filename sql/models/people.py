"""Sites, seats, users and their sign-ins."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, true
from sqlalchemy.orm import Mapped, mapped_column

from sql.models.base import Base


class Site(Base):
    """A site (服务站点); seeded from careline.toml at each start."""

    __tablename__ = "site"

    code: Mapped[str] = mapped_column(String(31), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))


class Seat(Base):
    """A seat (坐席) by its extension; seeded from careline.toml at each start."""

    __tablename__ = "seat"

    extension: Mapped[str] = mapped_column(String(5), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    site: Mapped[str] = mapped_column(ForeignKey("site.code"))


class User(Base):
    """A person who signs in to the desk. `password` is an argon2 hash.

    `role` names a set of rights (agent_desk.rights). Who left is not deleted but no longer active:
    the name stands in the record of what was done.
    """

    __tablename__ = "user_account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(31))
    is_active: Mapped[bool] = mapped_column(default=True, server_default=true())
    created_at: Mapped[datetime]


class DeskSession(Base):
    """One sign-in. `token` is the SHA-256 of the cookie, so that a stolen table opens no door.

    `seat` is where this person sits; one person on a seat, one seat for a sign-in.
    """

    __tablename__ = "desk_session"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    csrf: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    seat: Mapped[str | None] = mapped_column(ForeignKey("seat.extension"), unique=True)
