"""Users and their sign-ins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from sql.models import DeskSession, Seat, User


async def user_named(session: AsyncSession, name: str) -> User | None:
    """The user who signs in by this name; nobody who is no longer active."""
    return await session.scalar(select(User).where(User.name == name, User.is_active))


async def users(session: AsyncSession) -> Sequence[User]:
    """Every user; those who are active first, then by name."""
    rows = await session.scalars(select(User).order_by(User.is_active.desc(), User.name))
    return rows.all()


async def user(session: AsyncSession, user_id: int) -> User | None:
    return await session.get(User, user_id)


async def signed_in(
    session: AsyncSession, token: str, seen_after: datetime
) -> tuple[DeskSession, User] | None:
    """The sign-in with this token hash and its user, unless it has been idle too long."""
    row = (
        await session.execute(
            select(DeskSession, User)
            .join(User, User.id == DeskSession.user_id)
            .where(DeskSession.token == token, DeskSession.seen_at >= seen_after, User.is_active)
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


class Sitting(NamedTuple):
    """Who sits on a seat, and by which sign-in."""

    seat: str
    name: str
    token: str


async def sitting(session: AsyncSession, seen_after: datetime) -> list[Sitting]:
    """The seats that are taken; a sign-in that has been idle too long sits nowhere."""
    rows = await session.execute(
        select(DeskSession.seat, User.name, DeskSession.token)
        .join(User, User.id == DeskSession.user_id)
        .where(DeskSession.seat.is_not(None), DeskSession.seen_at >= seen_after)
    )
    return [Sitting(seat or "", name, token) for seat, name, token in rows]


async def hold_seat(session: AsyncSession, seat: str) -> None:
    """Let nobody else take this seat until the transaction is over."""
    await session.execute(select(Seat).where(Seat.extension == seat).with_for_update())


async def sit(session: AsyncSession, token: str, seat: str | None) -> None:
    """Give the seat to this sign-in, whoever had it; None gets up."""
    if seat is not None:
        await session.execute(update(DeskSession).where(DeskSession.seat == seat).values(seat=None))
    await session.execute(update(DeskSession).where(DeskSession.token == token).values(seat=seat))


async def seats(session: AsyncSession) -> dict[str, str]:
    """Seat names by extension."""
    rows = await session.scalars(select(Seat).order_by(Seat.extension))
    return {seat.extension: seat.name for seat in rows}
