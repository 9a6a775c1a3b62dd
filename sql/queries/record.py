"""The record of what people did, as the desk shows it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, union
from sqlalchemy.ext.asyncio import AsyncSession

from sql.models import AuditEntry, WorkOrder


async def of_subject(
    session: AsyncSession, subject: str, subject_id: str, limit: int = 50
) -> Sequence[AuditEntry]:
    """What was done to this subject, newest first."""
    rows = await session.scalars(
        select(AuditEntry)
        .where(AuditEntry.subject == subject, AuditEntry.subject_id == subject_id)
        .order_by(AuditEntry.id.desc())
        .limit(limit)
    )
    return rows.all()


async def latest(
    session: AsyncSession, *, text: str = "", before: int | None = None, limit: int = 50
) -> Sequence[AuditEntry]:
    """The newest entries; with a text, those of this user, address, subject's id or order number.

    `before` is the id of the last entry already seen.
    """
    earlier = () if before is None else (AuditEntry.id < before,)
    query = select(AuditEntry).where(*earlier).order_by(AuditEntry.id.desc()).limit(limit)
    if text:
        # Each from its own index; the record is long, and most is found in one of them alone.
        of_order = select(WorkOrder.id).where(WorkOrder.order_no == text)
        newest = (
            select(AuditEntry.id)
            .where(is_asked_for, *earlier)
            .order_by(AuditEntry.id.desc())
            .limit(limit)
            .subquery()
            for is_asked_for in (
                AuditEntry.by == text, AuditEntry.address == text,
                AuditEntry.subject_id == text, AuditEntry.subject_id.in_(of_order),
            )
        )  # fmt: skip
        query = query.where(AuditEntry.id.in_(union(*(select(ids.c.id) for ids in newest))))
    return (await session.scalars(query)).all()


async def was_played(
    session: AsyncSession, subject: str, subject_id: str, by: str, since: datetime
) -> bool:
    """Whether it is on record that this user has played the recording of it since then."""
    found = await session.scalar(
        select(AuditEntry.id)
        .where(
            AuditEntry.subject == subject, AuditEntry.subject_id == subject_id,
            AuditEntry.action == "played", AuditEntry.by == by, AuditEntry.at >= since,
        )
        .limit(1)
    )  # fmt: skip
    return found is not None
