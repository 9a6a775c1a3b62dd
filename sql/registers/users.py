"""Users: who may sign in, with which role, and since when no longer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sql import audit
from sql.audit import Actor
from sql.models import DeskSession, User
from workflows.errors import NotAllowed

ADMIN = "admin"


class LastAdmin(NotAllowed):
    """Nobody would be left who can let anybody in."""


class NameTaken(NotAllowed):
    """Somebody has this name, in whatever capitals: two such could not be told apart."""


async def add(
    session: AsyncSession, actor: Actor, *, name: str, password: str, role: str, at: datetime
) -> User:
    """A new user; `password` is the hash. Raises NameTaken."""
    if await session.scalar(select(User.id).where(func.lower(User.name) == name.lower())):
        raise NameTaken(f"there is a user {name} already")
    user = User(name=name, password=password, role=role, is_active=True, created_at=at)
    session.add(user)
    try:
        await session.flush()
    except IntegrityError:
        # Two admins added the same person at once.
        raise NameTaken(f"there is a user {name} already") from None
    audit.note(session, actor, at, "added", "user", str(user.id), after=_shown(user))
    return user


async def change(
    session: AsyncSession,
    actor: Actor,
    user_id: int,
    *,
    role: str | None = None,
    is_active: bool | None = None,
    at: datetime,
) -> Sequence[str]:
    """Change role or activity; returns the sign-ins that are over with it.

    Raises LastAdmin when no active admin would be left.
    """
    # All admins are locked first: two of them must not remove each other at once.
    admins = await session.scalars(
        select(User).where(User.role == ADMIN, User.is_active).order_by(User.id).with_for_update()
    )
    others = [admin for admin in admins if admin.id != user_id]
    user = await session.get_one(User, user_id)
    before = _shown(user)
    user.role = user.role if role is None else role
    user.is_active = user.is_active if is_active is None else is_active
    if not others and not (user.role == ADMIN and user.is_active):
        raise LastAdmin(f"{user.name} is the last active admin")
    if _shown(user) == before:
        return ()
    audit.note(
        session, actor, at, "changed", "user", str(user_id), before=before, after=_shown(user)
    )
    return () if user.is_active else await _end_sign_ins(session, user_id)


async def set_password(
    session: AsyncSession, actor: Actor, user_id: int, password: str, at: datetime
) -> Sequence[str]:
    """Keep the new hash; every sign-in with the former password is over and returned."""
    user = await session.get_one(User, user_id)
    user.password = password
    # The hash itself has no place in the record.
    audit.note(session, actor, at, "password set", "user", str(user_id))
    return await _end_sign_ins(session, user_id)


async def _end_sign_ins(session: AsyncSession, user_id: int) -> Sequence[str]:
    ended = await session.scalars(
        delete(DeskSession).where(DeskSession.user_id == user_id).returning(DeskSession.token)
    )
    return ended.all()


def _shown(user: User) -> dict[str, Any]:
    return {"name": user.name, "role": user.role, "is_active": user.is_active}
