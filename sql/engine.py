"""Connections: one writer a process on SQLite, and readers that never wait for it.

SQLite runs in WAL mode with `synchronous=FULL`; a writing transaction begins IMMEDIATE, so that two
writers queue instead of failing half-way. PostgreSQL is reached through psycopg 3.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from workflows.errors import StoreDown

BUSY_MS: Final = 10_000


class Database:
    """A database by its SQLAlchemy address. `close` it when done.

    Whoever writes or reads meets StoreDown when it is away, locked or full.
    """

    def __init__(self, url: str) -> None:
        self.url: Final = url
        self.is_sqlite: Final = make_url(url).get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._writer = _sqlite(url, "BEGIN IMMEDIATE", pool_size=1)
            self._reader = _sqlite(url, "BEGIN", pool_size=5)
        else:
            self._writer = create_async_engine(
                url, pool_size=5, pool_pre_ping=True, hide_parameters=True
            )
            self._reader = self._writer
        self._write: Final = async_sessionmaker(self._writer, expire_on_commit=False)
        self._read: Final = async_sessionmaker(self._reader, expire_on_commit=False)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """One short writing transaction: committed on leaving, rolled back on an error."""
        with _in_our_words():
            async with self._write() as session, session.begin():
                yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A consistent view to read from."""
        with _in_our_words():
            async with self._read() as session:
                yield session

    async def close(self) -> None:
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except (DataError, IntegrityError, ProgrammingError):
        # What was said is at fault, not the database: saying it again would not help.
        raise
    except DBAPIError as cause:
        raise StoreDown(f"the database does not take it: {cause.orig}") from cause
    except NoFreeConnection as cause:
        raise StoreDown("every connection to the database is busy") from cause


def _sqlite(url: str, begin: str, pool_size: int) -> AsyncEngine:
    # Numbers and names must not reach a log by way of an error's text.
    engine = create_async_engine(url, pool_size=pool_size, max_overflow=0, hide_parameters=True)

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        # The driver's own BEGIN would come too late and be the wrong kind; ours is below.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_MS}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
