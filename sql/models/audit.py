"""The record of what people did (操作痕迹, AUD-01). Rows are only ever added: the database refuses
the rest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from sql.models.base import Base


class AuditEntry(Base):
    """One thing that one person did to one subject.

    `by` is the user's name, `address` where the request came from, `permission` the right that it
    needed. `before` and `after` hold what changed and nothing else; `why` is the reason given.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_subject", "subject_id", "subject", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    by: Mapped[str] = mapped_column(String(64), index=True)
    address: Mapped[str] = mapped_column(String(64), default="", index=True)
    permission: Mapped[str] = mapped_column(String(31), default="")
    action: Mapped[str] = mapped_column(String(31))
    subject: Mapped[str] = mapped_column(String(31))
    subject_id: Mapped[str] = mapped_column(String(96))
    before: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    after: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    why: Mapped[str] = mapped_column(Text, default="")
