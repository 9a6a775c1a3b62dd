"""Calls (通话记录), their legs and their recordings (b.6; REC-01, REC-04).

These rows are written from the call's case in the same commit, so that they never disagree.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sql.models.base import Base


class CallRecord(Base):
    """One call. Abandoned calls have rows too; `ended_uncertain` marks an end nobody saw.

    `terminal_serial` and `terminal_type` are empty unless the number was a terminal's. They are
    copies: a terminal that is given to somebody else later called for this elder all the same.

    Wrap-up (ACD-19): `call_class` is emergency, consultation, life_service, no_response, other, or
    empty until a seat has said what the call was about.
    """

    __tablename__ = "call_record"
    __table_args__ = (
        # All by which a list chooses, so that of all calls only those are read that it shows.
        Index(
            "ix_call_record_chosen",
            "entered_at", "id", "call_class", "answered_at", "seat", "result", "caller_no",
            "callee_no", "caller_name", "elder_id",
        ),
        Index(
            "ix_call_record_classes", "call_class", "answered_at", "entered_at", "seat", "result"
        ),
        Index("ix_call_record_caller_time", "caller_no", "entered_at"),
        Index("ix_call_record_callee_time", "callee_no", "entered_at"),
        Index("ix_call_record_seat_end", "seat", "ended_at"),
        Index("ix_call_record_state_end", "state", "ended_at"),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    node: Mapped[str] = mapped_column(String(31))
    site: Mapped[str] = mapped_column(ForeignKey("site.code"))
    direction: Mapped[str] = mapped_column(String(8))
    entry: Mapped[str] = mapped_column(String(12), default="")
    state: Mapped[str] = mapped_column(String(12))
    result: Mapped[str] = mapped_column(String(12), default="")
    caller_no: Mapped[str] = mapped_column(String(40))
    caller_name: Mapped[str] = mapped_column(String(80), default="")
    callee_no: Mapped[str] = mapped_column(String(40))
    trunk: Mapped[str] = mapped_column(String(31), default="")
    key_pressed: Mapped[str] = mapped_column(String(4), default="")
    choice: Mapped[str] = mapped_column(String(31), default="")
    queue: Mapped[str] = mapped_column(String(31), default="")
    seat: Mapped[str | None] = mapped_column(String(5))
    elder_id: Mapped[int | None] = mapped_column(ForeignKey("elder.id"), index=True)
    terminal_serial: Mapped[str] = mapped_column(String(40), default="", server_default="")
    terminal_type: Mapped[str] = mapped_column(String(20), default="", server_default="")
    recording_serial: Mapped[str] = mapped_column(String(80), unique=True)
    entered_at: Mapped[datetime]
    queued_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ended_uncertain: Mapped[bool] = mapped_column(default=False)
    cause: Mapped[int | None]
    delay_ms: Mapped[float | None]
    jitter_ms: Mapped[float | None]
    loss: Mapped[float | None]
    call_class: Mapped[str] = mapped_column(String(16), default="", server_default="")
    wrap_up_note: Mapped[str] = mapped_column(Text, default="", server_default="")
    wrapped_up_by: Mapped[str] = mapped_column(String(64), default="", server_default="")
    wrapped_up_at: Mapped[datetime | None]

    legs: Mapped[list[CallLeg]] = relationship(order_by="CallLeg.started_at")
    recording: Mapped[Recording | None] = relationship()


class WrapUpDraft(Base):
    """What somebody has typed of a call's wrap-up and not sent: `typed` is the form's fields.

    It is no fact of the call and nobody else's: it is there to survive a reload.
    """

    __tablename__ = "wrap_up_draft"

    call_id: Mapped[str] = mapped_column(ForeignKey("call_record.id"), primary_key=True)
    by: Mapped[str] = mapped_column(String(64), primary_key=True)
    typed: Mapped[dict[str, str]] = mapped_column(JSON)
    saved_at: Mapped[datetime] = mapped_column(index=True)


class CallLeg(Base):
    """One channel of a call. Delay and jitter in ms, loss as a share of packets."""

    __tablename__ = "call_leg"

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    call_id: Mapped[str] = mapped_column(ForeignKey("call_record.id"), index=True)
    party: Mapped[str] = mapped_column(String(12))
    who: Mapped[str] = mapped_column(String(40), default="")
    started_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    cause: Mapped[int | None]
    delay_ms: Mapped[float | None]
    jitter_ms: Mapped[float | None]
    loss: Mapped[float | None]


class Recording(Base):
    """A finished recording: one verified stereo file, elder left, others right."""

    __tablename__ = "recording"

    serial: Mapped[str] = mapped_column(String(80), primary_key=True)
    call_id: Mapped[str] = mapped_column(ForeignKey("call_record.id"), unique=True)
    state: Mapped[str] = mapped_column(String(12))
    file: Mapped[str | None] = mapped_column(Text)
    sha256: Mapped[str | None] = mapped_column(String(64))
    seconds: Mapped[float | None]
    size: Mapped[int | None] = mapped_column(BigInteger)
    started_at: Mapped[datetime]


class CallOrder(Base):
    """Which orders a call is tied to (n:m, ACD-17)."""

    __tablename__ = "call_order"

    call_id: Mapped[str] = mapped_column(ForeignKey("call_record.id"), primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("work_order.id"), primary_key=True, index=True)
