"""Emergencies as lists read them, and what is typed of a case and not sent.

The case itself is in `process_case`; a row here is written from it in the same commit.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from sql.models.base import Base


class EmergencyCase(Base):
    """One emergency. Its id is that of the elder's call, which may have been lost while it lived.

    `stage` is how far its closing is (`workflows.closing.State`). `elder_id` and `elder_name` are
    those of the card; without an id it is not known which of several elders it is, or none is.
    `due_what` and `due_at`: what it waits for first (`workflows.reminders`), empty when for
    nothing. `changes` says what was changed in the elder's file (EMG-12).
    """

    __tablename__ = "emergency"
    __table_args__ = (
        # All by which a list chooses, so that of all cases only those are read that it shows.
        Index(
            "ix_emergency_chosen",
            "opened_at", "id", "stage", "outcome", "due_at", "arrived_at", "ended_at", "elder_id",
            "elder_name", "caller_no",
        ),
        Index("ix_emergency_stage", "stage", "opened_at", "id", "due_at", "arrived_at", "ended_at"),
        Index("ix_emergency_elder", "elder_id", "opened_at"),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(96), primary_key=True)
    opened_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    stage: Mapped[str] = mapped_column(String(15))
    elder_id: Mapped[int | None]
    elder_name: Mapped[str] = mapped_column(String(200))
    caller_no: Mapped[str] = mapped_column(String(40))
    outcome: Mapped[str] = mapped_column(String(15))
    changes: Mapped[str] = mapped_column(Text)
    arrived_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str] = mapped_column(String(64))
    due_what: Mapped[str] = mapped_column(String(31))
    due_at: Mapped[datetime | None]


class CaseDraft(Base):
    """What somebody has typed into the forms of a case and not sent: `typed` is their fields.

    It is no fact of the case and nobody else's: it is there to survive a reload.
    """

    __tablename__ = "case_draft"

    case_id: Mapped[str] = mapped_column(String(96), primary_key=True)
    by: Mapped[str] = mapped_column(String(64), primary_key=True)
    typed: Mapped[dict[str, str]] = mapped_column(JSON)
    saved_at: Mapped[datetime] = mapped_column(index=True)
