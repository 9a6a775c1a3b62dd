"""Alembic's entry: our metadata, batch mode so that SQLite can alter tables.

A migration is one transaction on SQLite too: what a crash leaves half done is as if never begun.
"""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, create_engine, event, pool

from sql.models import Base
from sql.models.base import UtcTime


def plain_type(kind: str, item: object, _autogen: object) -> str | Literal[False]:
    """A migration must not change when our code does: it names the database's own type."""
    if kind == "type" and isinstance(item, UtcTime):
        return "sa.DateTime(timezone=True)"
    return False


def own_begin(connection: Any, _record: object) -> None:
    # Python's driver would commit each CREATE TABLE by itself.
    connection.isolation_level = None


def begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


url = context.config.get_main_option("sqlalchemy.url")
assert url
engine = create_engine(url, poolclass=pool.NullPool)
if engine.dialect.name == "sqlite":
    event.listen(engine, "connect", own_begin)
    event.listen(engine, "begin", begin)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        render_item=plain_type,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
