"""What one transaction writes: gathered row by row, sent table by table with few statements.

Several events of several cases share a commit; a row that each of them changes is written once, as
it was last.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, cast

from sqlalchemy import Executable, Table, bindparam, delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from sql import codec
from sql.models import Base, Case, Journal, Outbox, Timer
from workflows.errors import Outdated

Row = dict[str, Any]
Columns = tuple[str, ...]


def table_of(model: type[Base]) -> Table:
    return cast("Table", model.__table__)


CASE: Final = table_of(Case)
OUTBOX: Final = table_of(Outbox)
TIMER: Final = table_of(Timer)
SETTLE: Final = (
    update(OUTBOX).where(OUTBOX.c.id == bindparam("settled")).values(done_at=bindparam("at"))
)
STOP: Final = delete(TIMER).where(
    TIMER.c.process == bindparam("of_process"),
    TIMER.c.case_id == bindparam("of_case"),
    TIMER.c.name == bindparam("named"),
)
# A row is written after the rows that it points at.
PLACES: Final = {table.name: place for place, table in enumerate(Base.metadata.sorted_tables)}


class Writes:
    """Rows that wait for `send`, which is the first to speak to the database."""

    def __init__(self) -> None:
        self._cases: dict[tuple[str, str], Row] = {}
        self._added: dict[type[Base], list[Row]] = {}
        self._put: dict[tuple[type[Base], Columns], dict[tuple[Any, ...], Row]] = {}
        self._timers: dict[tuple[str, str, str], datetime | None] = {}
        self._settled: list[Row] = []

    def case(self, process: str, case_id: str, **values: Any) -> None:
        """The case as it is now; `version` is one more than it had in the database.

        `body` is the case itself: of all its forms only the last is written.
        """
        self._cases[process, case_id] = {"process": process, "id": case_id, **values}

    def versions(self) -> dict[tuple[str, str], int]:
        """Of every case that is written here."""
        return {key: row["version"] for key, row in self._cases.items()}

    def what(self) -> str:
        """In words for a log: which events of how many cases."""
        events = [row["event"] for row in self._added.get(Journal, ())]
        return f"{', '.join(events[:5])} ({len(events)} events of {len(self._cases)} cases)"

    def add(self, model: type[Base], **values: Any) -> None:
        """A new row, after those that were added before."""
        self._added.setdefault(model, []).append(values)

    def put(self, model: type[Base], **values: Any) -> None:
        """The row with this primary key, whether it is there or not; the last word counts."""
        key = tuple(values[column.name] for column in table_of(model).primary_key)
        self._put.setdefault((model, tuple(values)), {})[key] = values

    def timer(self, process: str, case_id: str, name: str, due_at: datetime | None) -> None:
        """The timer is due then; None stops it."""
        self._timers[process, case_id, name] = due_at

    def settle(self, posted: str, at: datetime) -> None:
        """The effect with this outbox id has its result."""
        self._settled.append({"settled": posted, "at": at})

    async def send(self, connection: AsyncConnection) -> None:
        """Write everything. Raises Outdated when another writer was first with a case."""
        await self._send_cases(connection)
        for model, rows in self._added.items():
            await connection.execute(table_of(model).insert(), rows)
        for (model, columns), by_key in sorted(self._put.items(), key=_place):
            statement = upsert(connection.dialect.name, table_of(model), columns)
            await connection.execute(statement, list(by_key.values()))
        await self._send_timers(connection)
        if self._settled:
            await connection.execute(SETTLE, self._settled)

    async def _send_cases(self, connection: AsyncConnection) -> None:
        # In one order always: two controllers on one PostgreSQL must not wait for each other.
        rows = [
            {**self._cases[key], "body": codec.dump(self._cases[key]["body"])}
            for key in sorted(self._cases)
        ]
        if not rows:
            return
        written = await connection.execute(
            upsert_case(connection.dialect.name, tuple(rows[0])), rows
        )
        there = {(process, case_id) for process, case_id in written}
        for process, case_id in self._cases.keys() - there:
            raise Outdated(f"{process} {case_id} was changed by another writer; read it again")

    async def _send_timers(self, connection: AsyncConnection) -> None:
        started: list[Row] = []
        stopped: list[Row] = []
        for (process, case_id, name), due in self._timers.items():
            if due is None:
                stopped.append({"of_process": process, "of_case": case_id, "named": name})
            else:
                started.append(
                    {"process": process, "case_id": case_id, "name": name, "due_at": due}
                )
        if started:
            statement = upsert(connection.dialect.name, TIMER, tuple(started[0]))
            await connection.execute(statement, started)
        if stopped:
            await connection.execute(STOP, stopped)


def _place(put: tuple[tuple[type[Base], Columns], object]) -> int:
    (model, _), _ = put
    return PLACES[table_of(model).name]


@cache
def upsert(dialect: str, table: Table, columns: Columns) -> Executable:
    """Write these columns of a row, whether it is there already or not."""
    key, changed = _key_and_others(table, columns)
    statement = _insert(dialect, table)
    if not changed:
        return statement.on_conflict_do_nothing(index_elements=key)
    return statement.on_conflict_do_update(
        index_elements=key, set_={name: statement.excluded[name] for name in changed}
    )


@cache
def upsert_case(dialect: str, columns: Columns) -> Executable:
    """Write a case and return its key, but only onto the version that it was read from."""
    key, changed = _key_and_others(CASE, columns)
    statement = _insert(dialect, CASE)
    return statement.on_conflict_do_update(
        index_elements=key,
        set_={name: statement.excluded[name] for name in changed},
        where=CASE.c.version == statement.excluded.version - 1,
    ).returning(CASE.c.process, CASE.c.id)


def _insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def _key_and_others(table: Table, columns: Sequence[str]) -> tuple[list[str], list[str]]:
    key = [column.name for column in table.primary_key]
    return key, [name for name in columns if name not in key]
