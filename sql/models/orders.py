"""Accepted needs and the work orders made of them (b.5; WO-05)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from sql.models.base import Base


class ServiceRequest(Base):
    """An accepted need (服务需求). Its id is its order's; one need becomes one order."""

    __tablename__ = "service_request"

    id: Mapped[str] = mapped_column(String(96), primary_key=True)
    request_no: Mapped[str] = mapped_column(String(20), unique=True)
    channel: Mapped[str] = mapped_column(String(20))
    call_id: Mapped[str | None] = mapped_column(ForeignKey("call_record.id"), index=True)
    elder_id: Mapped[int | None] = mapped_column(ForeignKey("elder.id"), index=True)
    content: Mapped[str] = mapped_column(Text, default="")
    accepted_by: Mapped[str] = mapped_column(String(64), default="")
    accepted_at: Mapped[datetime]


class WorkOrder(Base):
    """A work order (服务工单), written from its case in the same commit.

    `origin` is need or call_back; a call-back has the number to call, in E.164, in `call_back_no`.
    `is_urgent`: whoever is called back called in an emergency.
    """

    __tablename__ = "work_order"
    __table_args__ = (Index("ix_work_order_status_no", "status", "order_no"),)

    id: Mapped[str] = mapped_column(String(96), primary_key=True)
    order_no: Mapped[str] = mapped_column(String(20), unique=True)
    request_id: Mapped[str] = mapped_column(ForeignKey("service_request.id"))
    elder_id: Mapped[int | None] = mapped_column(ForeignKey("elder.id"), index=True)
    origin: Mapped[str] = mapped_column(String(12))
    call_back_no: Mapped[str] = mapped_column(String(40), default="", server_default="", index=True)
    is_urgent: Mapped[bool] = mapped_column(default=False, server_default=false())
    content: Mapped[str] = mapped_column(Text, default="")
    requirement: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[str] = mapped_column(String(16))
    generated_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str] = mapped_column(String(64), default="")
    outcome: Mapped[str] = mapped_column(Text, default="")
