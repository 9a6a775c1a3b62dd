"""What the flight recorder remembers, and what it asks about calls."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import select

from sql import codec
from sql.engine import Database
from sql.models import CallRecord, Case, Number
from workflows.call import PROCESS
from workflows.call_facts import Call


class SqlFlightLog:
    """Fulfils `telephony.flight_recorder.Memory`."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def call(self, call_id: str) -> Call | None:
        async with self._database.reading() as session:
            row = await session.get(Case, (PROCESS.name, call_id))
            if row is None:
                return None
            case = codec.load(PROCESS.case_type, row.body)
            assert isinstance(case, Call)
            return case

    async def known(self, call_ids: Collection[str]) -> set[str]:
        """Those of the ids that calls have."""
        found: set[str] = set()
        ids = sorted(call_ids)
        async with self._database.reading() as session:
            # A database takes only so many values in one question.
            for begin in range(0, len(ids), 500):
                some = ids[begin : begin + 500]
                found.update(
                    await session.scalars(select(CallRecord.id).where(CallRecord.id.in_(some)))
                )
        return found

    async def place(self, name: str) -> int:
        async with self._database.reading() as session:
            row = await session.get(Number, name)
            return row.last if row else 0

    async def keep_place(self, name: str, place: int) -> None:
        async with self._database.writing("how far the flight record was read") as session:
            await session.merge(Number(name=name, last=place))
