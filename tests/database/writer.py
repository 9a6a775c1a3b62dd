"""A controller in a process of its own: writes whole calls and their orders, or dies on the way.

    python -m tests.database.writer URL NODE CALLS [STATEMENT]

With a statement number it is killed when it comes to that writing statement of its last event.
"""

from __future__ import annotations

import asyncio
import os
import sys
from zoneinfo import ZoneInfo

from sqlalchemy import event

from sql.engine import Database
from sql.store import SqlStore
from tests.database.centre import Centre, ended, whole_call


def die_at(database: Database, statement: int) -> None:
    """Kill this process at its writing statement of this number; 0 is the commit."""
    left = [statement]

    def count(*given: object) -> None:
        text = str(given[2]) if len(given) > 2 else "COMMIT"
        if text.startswith(("INSERT", "UPDATE", "DELETE", "COMMIT")):
            left[0] -= 1
        if left[0] == 0 or (statement == 0 and text == "COMMIT"):
            os._exit(9)

    engine = database._writer.sync_engine
    event.listen(engine, "commit" if statement == 0 else "before_cursor_execute", count)


async def main(url: str, node: str, calls: int, statement: int | None) -> None:
    database = Database(url)
    centre = Centre(database, SqlStore(database, ZoneInfo("Asia/Shanghai"), "main"))
    for number in range(calls):
        id_ = f"{node}-{number}"
        story = whole_call(id_)
        await centre.play(*story[:-1])
        if statement is not None and number == calls - 1:
            die_at(database, statement)
        await centre.play(ended(id_))
    await database.close()


if __name__ == "__main__":
    given = sys.argv[1:]
    asyncio.run(main(given[0], given[1], int(given[2]), int(given[3]) if len(given) > 3 else None))
