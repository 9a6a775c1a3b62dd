"""Users and their sign-ins."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from sql.models import DeskSession, Seat, User


async def user_named(session: AsyncSession, name: str) -> User | None:
    return await session.scalar(select(User).where(User.name == name))


async def signed_in(
    session: AsyncSession, token: str, seen_after: datetime
) -> tuple[DeskSession, User] | None:
    """The sign-in with this token hash and its user, unless it has been idle too long."""
    row = (
        await session.execute(
            select(DeskSession, User)
            .join(User, User.id == DeskSession.user_id)
            .where(DeskSession.token == token, DeskSession.seen_at >= seen_after)
        )
    ).first()
    return (row[0], row[1]) if row else None


async def touch(session: AsyncSession, token: str, at: datetime) -> bool:
    """Note that the sign-in is in use; False when it no longer exists."""
    touched = await session.execute(
        update(DeskSession)
        .where(DeskSession.token == token)
        .values(seen_at=at)
        .returning(DeskSession.token)
    )
    return touched.first() is not None


async def forget_idle(session: AsyncSession, seen_before: datetime) -> None:
    """Drop the sign-ins that have been idle too long."""
    await session.execute(delete(DeskSession).where(DeskSession.seen_at < seen_before))


async def sign_out(session: AsyncSession, token: str) -> None:
    await session.execute(delete(DeskSession).where(DeskSession.token == token))


async def seats(session: AsyncSession) -> dict[str, str]:
    """Seat names by extension."""
    rows = await session.scalars(select(Seat).order_by(Seat.extension))
    return {seat.extension: seat.name for seat in rows}
