"""Connections: one writer a process on SQLite, and readers that never wait for it.

SQLite runs in WAL mode with `synchronous=FULL`; a writing transaction begins IMMEDIATE, so that two
writers queue instead of failing half-way. A commit that it refuses is undone. PostgreSQL is reached
through psycopg 3; there the answer to a commit can be lost on its way, and is asked for again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from workflows.errors import InDoubt, StoreDown

logger = logging.getLogger(__name__)

BUSY_MS: Final = 10_000
AWAY_MS: Final = 10_000
"""A server whose machine is silent for so long is given up; the network itself would wait hours."""
LOOK_EVERY_S: Final = 1.0
PATIENCE_S: Final = 2.0
SLOW_S: Final = 0.02
SAY_SLOW_EVERY_S: Final = 10.0
REACH: Final = {
    "connect_timeout": AWAY_MS // 1000,
    "tcp_user_timeout": AWAY_MS,
    "keepalives_idle": AWAY_MS // 1000,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
PLANS: Final = "-c random_page_cost=1.1 -c max_parallel_workers_per_gather=0"
"""PostgreSQL plans for disks that turn, and shares a list's search among all cores: here the lists
lie in memory or on flash, and the cores belong to the calls."""
NOT_READY: Final = ("42P01", "42703", "42501", "3F000")
"""No such table, column, right or schema: it is being restored, say. SQLite calls that away too."""
NUMBER: Final = text("SELECT CAST(pg_current_xact_id_if_assigned() AS text)")
FATE: Final = text("SELECT pg_xact_status(CAST(:number AS xid8))")


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
            wished = make_url(url).query.get("options", "")
            self._writer = create_async_engine(
                url, pool_size=5, pool_pre_ping=True, hide_parameters=True,
                # What the database's address says itself comes last, and counts.
                connect_args={**REACH, "options": f"{PLANS} {wished}".strip()},
            )  # fmt: skip
            self._reader = self._writer
        self._write: Final = async_sessionmaker(self._writer, expire_on_commit=False)
        self._read: Final = async_sessionmaker(self._reader, expire_on_commit=False)
        self._slow = 0
        self._slow_said_at = float("-inf")

    @asynccontextmanager
    async def writing(self, what: str = "a page") -> AsyncIterator[AsyncSession]:
        """One short writing transaction: committed on leaving, rolled back on an error.

        `what` names the write in the log when it is slow; `session.info["what"]` may say it better.
        Raises InDoubt when the answer to the commit was lost.
        """
        number, begun = None, 0.0
        with _in_our_words():
            try:
                async with self._write(info={"what": what}) as session, session.begin():
                    await session.connection()
                    begun = time.monotonic()
                    yield session
                    if not self.is_sqlite:
                        await session.flush()
                        number = await session.scalar(NUMBER)
            except DBAPIError as cause:
                if number is None or not cause.connection_invalidated:
                    raise
                said = f"the database's answer to a commit was lost: {cause.orig}"
                raise InDoubt(said, partial(self._was_kept, number)) from cause
        self._note_slow(session.info["what"], time.monotonic() - begun)

    async def _was_kept(self, number: str) -> bool:
        """Whether the server committed the transaction of this number. Raises StoreDown."""
        async with self.reading() as session:
            try:
                fate = await session.scalar(FATE, {"number": number})
            except DataError:
                # A stand-by that took over has never heard of it.
                return False
        if fate == "in progress":
            raise StoreDown("the database has not ended a commit whose answer was lost")
        return bool(fate == "committed")

    def _note_slow(self, what: str, seconds: float) -> None:
        if seconds < SLOW_S:
            return
        self._slow += 1
        now = time.monotonic()
        if now - self._slow_said_at >= SAY_SLOW_EVERY_S:
            self._slow_said_at = now
            logger.warning(
                "a write took %.0f ms instead of %.0f: %s (slow since the start: %d)",
                seconds * 1000, SLOW_S * 1000, what, self._slow,
            )  # fmt: skip

    async def watch(self, is_there: Callable[[bool], None]) -> None:
        """Say for ever whether a writer gets its turn, within a few seconds of any change.

        Also in a quiet hour, and while what is away does not even say so.
        """
        while True:
            turn = asyncio.ensure_future(self._take_turn())
            try:
                # Never cut short: a driver that is stopped in the middle may hang for longer.
                done, _ = await asyncio.wait((turn,), timeout=PATIENCE_S)
                if not done:
                    is_there(False)
                is_there(await turn)
            finally:
                turn.cancel()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _take_turn(self) -> bool:
        try:
            async with self.writing("nothing") as session:
                await session.execute(text("SELECT 1"))
        except StoreDown as down:
            logger.warning("%s", down)
            return False
        return True

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
    except DBAPIError as cause:
        is_ready = getattr(cause.orig, "sqlstate", None) not in NOT_READY
        if is_ready and isinstance(cause, DataError | IntegrityError | ProgrammingError):
            # What was said is at fault, not the database: saying it again would not help.
            raise
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
