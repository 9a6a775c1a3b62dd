"""What the runner keeps: cases, journal, outbox, timers, alarms, and the running numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from sql.models.base import Base


class Case(Base):
    """One case of a process as it stands. `version` refuses a second writer."""

    __tablename__ = "process_case"

    process: Mapped[str] = mapped_column(String(31), primary_key=True)
    id: Mapped[str] = mapped_column(String(96), primary_key=True)
    state: Mapped[str] = mapped_column(String(31))
    is_over: Mapped[bool] = mapped_column(index=True)
    version: Mapped[int]
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    changed_at: Mapped[datetime]


class Journal(Base):
    """Every event of every case, in order, with the move that it made."""

    __tablename__ = "journal"
    __table_args__ = (Index("ix_journal_case", "process", "case_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    process: Mapped[str] = mapped_column(String(31))
    case_id: Mapped[str] = mapped_column(String(96))
    at: Mapped[datetime]
    event: Mapped[str] = mapped_column(String(31))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    state_before: Mapped[str] = mapped_column(String(31), default="")
    state_after: Mapped[str] = mapped_column(String(31))


class Outbox(Base):
    """An effect that was asked for; `done_at` stays empty until its result is saved.

    A dial has `attempted_at` from before it is sent, and a `result`: answered, failed, cancelled or
    uncertain. One that was attempted and has no result is looked for in Asterisk. The asking of a
    provider for a message has both too; the result is then: sent, failed or uncertain.
    """

    __tablename__ = "outbox"

    seq: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(120), unique=True)
    process: Mapped[str] = mapped_column(String(31))
    case_id: Mapped[str] = mapped_column(String(96))
    kind: Mapped[str] = mapped_column(String(31), index=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    posted_at: Mapped[datetime]
    done_at: Mapped[datetime | None] = mapped_column(index=True)
    attempted_at: Mapped[datetime | None]
    result: Mapped[str] = mapped_column(String(12), default="", server_default="")


class Timer(Base):
    """A timer of a case; the row is the truth, the scheduler only wakes for it."""

    __tablename__ = "timer"

    process: Mapped[str] = mapped_column(String(31), primary_key=True)
    case_id: Mapped[str] = mapped_column(String(96), primary_key=True)
    name: Mapped[str] = mapped_column(String(31), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(index=True)


class Alarm(Base):
    """A trouble that a person has to see. One open row for each `key`."""

    __tablename__ = "alarm"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(31))
    text: Mapped[str] = mapped_column(Text)
    raised_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    seen_by: Mapped[str] = mapped_column(String(64), default="")


Index(
    "uq_alarm_open",
    Alarm.key,
    unique=True,
    sqlite_where=Alarm.ended_at.is_(None),
    postgresql_where=Alarm.ended_at.is_(None),
)


class Number(Base):
    """The last number given out, by name (order numbers of one day)."""

    __tablename__ = "running_number"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    last: Mapped[int]
