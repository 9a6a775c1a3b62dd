"""Menus: the one in force, and how it is changed."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sql import audit
from sql.audit import Actor
from sql.codec import NotReadable, load
from sql.models import MenuRow
from workflows.errors import Outdated
from workflows.menu import HOTLINE, BadMenu, Menu

logger = logging.getLogger(__name__)

NEW: Final = 0
"""The version of a menu that nobody has changed yet."""


@dataclass(frozen=True, slots=True)
class MenuNow:
    """A menu with who made it so; `changed_at` is empty for the one that Careline brings."""

    menu: Menu
    version: int = NEW
    changed_by: str = ""
    changed_at: datetime | None = None


async def hotline(session: AsyncSession) -> MenuNow:
    """The hotline's menu as it is in force now.

    One that this version of Careline cannot speak any more gives way to the one it brings, so that
    a caller hears a question that can be answered.
    """
    row = await session.get(MenuRow, HOTLINE.name)
    if row is None:
        return MenuNow(HOTLINE)
    try:
        menu: Menu = load(Menu, {"name": row.name, "options": row.options})
    except (BadMenu, NotReadable) as wrong:
        logger.warning("the menu %s cannot be used: %s", row.name, wrong)
        menu = HOTLINE
    return MenuNow(menu, row.version, row.changed_by, row.changed_at)


async def change(
    session: AsyncSession, menu: Menu, version: int, actor: Actor, at: datetime
) -> None:
    """Put this menu in force. Raises Outdated when somebody has changed it since `version`."""
    row = await session.get(MenuRow, menu.name, with_for_update=True)
    if (row.version if row else NEW) != version:
        raise Outdated(f"{row.changed_by if row else '–'} has changed the menu in the meantime")
    before = row.options if row else _options(HOTLINE)
    if row is None:
        row = MenuRow(name=menu.name, version=NEW)
        session.add(row)
    row.options, row.version = _options(menu), version + 1
    row.changed_by, row.changed_at = actor.name, at
    try:
        await session.flush()
    except IntegrityError:
        raise Outdated("somebody has made the first menu in the meantime") from None
    audit.note(session, actor, at, "changed", "menu", menu.name, before=before, after=row.options)


def _options(menu: Menu) -> dict[str, dict[str, str]]:
    return {key: asdict(option) for key, option in menu.options.items()}
