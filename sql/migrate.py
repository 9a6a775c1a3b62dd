"""Bring a database to the present revision, and put into it what the settings name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import create_engine, select
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from sql.engine import Database
from sql.models import Seat, Site, User

SCRIPTS: Final = Path(__file__).parent / "migrations"


class BadDatabase(Exception):
    """The database cannot be used; the text says why and what to do."""


def sync_url(url: str) -> str:
    """The address for the blocking driver: Alembic works without a loop."""
    return (
        make_url(url)
        .set(drivername=make_url(url).drivername.replace("+aiosqlite", ""))
        .render_as_string(hide_password=False)
    )


def alembic_config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("sqlalchemy.url", sync_url(url).replace("%", "%%"))
    return config


def upgrade(url: str) -> None:
    """Run what is missing. Raises BadDatabase for a newer database or one out of reach."""
    config = alembic_config(url)
    engine = create_engine(sync_url(url))
    try:
        with engine.connect() as connection:
            _refuse_newer(connection, ScriptDirectory.from_config(config))
        command.upgrade(config, "head")
    except DBAPIError as cause:
        shown = make_url(url).render_as_string(hide_password=True)
        # PostgreSQL goes on for lines about where in the statement it was.
        said = str(cause.orig).strip().partition("\n")[0]
        raise BadDatabase(
            f"{shown}: {said}; is the server running, is the address right, "
            "may this user make tables there, is there room on the disk?"
        ) from None
    finally:
        engine.dispose()


def _refuse_newer(connection: Connection, scripts: ScriptDirectory) -> None:
    for revision in MigrationContext.configure(connection).get_current_heads():
        try:
            scripts.get_revision(revision)
        except CommandError:
            raise BadDatabase(
                f"the database is at revision {revision}, which this version does not know: it "
                "was used by a newer Careline. Start that version again, or name another --home"
            ) from None


async def seed(
    database: Database, sites: dict[str, str], seats: dict[str, tuple[str, str]]
) -> None:
    """Put sites (code → name) and seats (extension → name, site) in; rename, never delete."""
    async with database.writing("sites and seats") as session:
        for code, name in sites.items():
            await session.merge(Site(code=code, name=name))
        await session.flush()
        for extension, (name, site) in seats.items():
            await session.merge(Seat(extension=extension, name=name or extension, site=site))


async def has_users(session: AsyncSession) -> bool:
    return (await session.scalar(select(User.id).limit(1))) is not None


async def first_admin(database: Database, password_hash: str, announce: Callable[[], None]) -> None:
    """Make the user `admin` when there is nobody yet.

    The password is announced before it counts: a crash in between costs a new one at the next
    start, while one that counts and was never seen would lock everybody out.
    """
    async with database.writing("the first user") as session:
        if await has_users(session):
            return
        now = datetime.now(UTC)
        session.add(User(name="admin", password=password_hash, role="admin", created_at=now))
        await session.flush()
        announce()
