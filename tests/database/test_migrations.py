"""Migrations: from nothing to the models and back, and every database that cannot be used."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command, op
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import IntegrityError

from sql.migrate import (
    BadDatabase,
    alembic_config,
    first_admin,
    seed,
    sync_url,
    upgrade,
)
from sql.models import Base
from tests.database.centre import Centre
from tests.database.conftest import Cluster
from tests.house import ROOT


def tables(url: str) -> set[str]:
    engine = create_engine(sync_url(url))
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def ids(url: str, statement: str) -> list[int]:
    engine = create_engine(sync_url(url))
    try:
        with engine.connect() as connection:
            return list(connection.execute(text(statement)).scalars())
    finally:
        engine.dispose()


def run(url: str, statement: str) -> None:
    engine = create_engine(sync_url(url))
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


def test_the_migrations_make_what_the_models_say(empty_url: str) -> None:
    upgrade(empty_url)
    command.check(alembic_config(empty_url))
    assert set(Base.metadata.tables) < tables(empty_url)


def test_down_to_nothing_and_up_again(empty_url: str) -> None:
    upgrade(empty_url)
    command.downgrade(alembic_config(empty_url), "base")
    assert tables(empty_url) == {"alembic_version"}
    upgrade(empty_url)
    upgrade(empty_url)
    command.check(alembic_config(empty_url))


def test_of_several_open_alarms_for_one_trouble_the_oldest_goes_on(empty_url: str) -> None:
    command.upgrade(alembic_config(empty_url), "0003")
    for number, key in enumerate(("trunk/a", "trunk/a", "trunk/b", "trunk/a"), 1):
        run(
            empty_url,
            "INSERT INTO alarm (id, key, kind, text, raised_at, seen_by) VALUES"
            f" ({number}, '{key}', 'trunk', '', '2026-03-01 00:00:0{number}', '')",
        )
    upgrade(empty_url)
    assert ids(empty_url, "SELECT id FROM alarm WHERE ended_at IS NULL ORDER BY id") == [1, 3]
    with pytest.raises(IntegrityError):
        run(empty_url, "UPDATE alarm SET ended_at = NULL WHERE id = 2")


def test_a_database_of_a_newer_version_is_refused_in_words(url: str) -> None:
    run(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(BadDatabase, match=r"revision 9999.*newer Careline"):
        upgrade(url)


def test_a_migration_that_broke_off_leaves_nothing_behind(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine lost its power in the middle: the next start must not find half the tables."""
    real = op.create_table

    def breaks_off(name: str, *columns: object, **words: object) -> object:
        if name == "call_order":
            raise RuntimeError("the power is gone")
        return real(name, *columns, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(op, "create_table", breaks_off)
    with pytest.raises(RuntimeError, match="power"):
        upgrade(empty_url)
    assert tables(empty_url) <= {"alembic_version"}
    monkeypatch.undo()
    upgrade(empty_url)
    command.check(alembic_config(empty_url))


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "careline.db").write_text("this is no database, but a shopping list\n" * 100)
    with pytest.raises(BadDatabase, match=r"careline\.db: file is not a database"):
        upgrade(f"sqlite+aiosqlite:///{tmp_path / 'careline.db'}")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadDatabase, match="unable to open database file; is the server running"):
        upgrade(f"sqlite+aiosqlite:///{tmp_path / 'nowhere' / 'careline.db'}")


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "careline.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE filler (x)")
        connection.execute("DROP TABLE filler")
    (tmp_path / "careline.db-journal").symlink_to("/dev/full")
    with pytest.raises(BadDatabase, match="is there room on the disk"):
        upgrade(f"sqlite+aiosqlite:///{file}")


def test_a_server_out_of_reach_is_said_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://careline:hush@/careline?host={tmp_path}"
    with pytest.raises(BadDatabase, match="is the server running") as refused:
        upgrade(url)
    assert "hush" not in str(refused.value)


def test_a_user_who_may_not_make_tables_is_told(cluster: Cluster) -> None:
    """The usual case on PostgreSQL 15 and later, where nobody owns the schema public by default."""
    url = cluster.new()
    name = url.rpartition("?")[0].rpartition("/")[2]
    cluster.run("DROP ROLE IF EXISTS visitor", "CREATE ROLE visitor LOGIN")
    with pytest.raises(BadDatabase, match=r"permission denied.*may this user make tables there"):
        upgrade(cluster.url(name, user="visitor"))


async def test_seeding_renames_and_never_deletes(centre: Centre) -> None:
    await seed(centre.database, {"main": "总站", "east": "东站"}, {"1001": ("李娜", "east")})
    sites = await centre.rows("SELECT code, name FROM site ORDER BY code")
    assert sites == [{"code": "east", "name": "东站"}, {"code": "main", "name": "总站"}]
    seats = await centre.rows("SELECT extension, name, site FROM seat ORDER BY extension")
    assert seats == [
        {"extension": "1001", "name": "李娜", "site": "east"},
        {"extension": "1002", "name": "1002", "site": "main"},
    ]


async def test_there_is_one_first_admin(centre: Centre) -> None:
    announced: list[str] = []
    await first_admin(centre.database, "hash", lambda: announced.append("first"))
    await first_admin(centre.database, "another", lambda: announced.append("second"))
    assert announced == ["first"]
    users = await centre.rows("SELECT name, password, role FROM user_account")
    assert users == [{"name": "admin", "password": "hash", "role": "admin"}]


async def test_a_password_that_could_not_be_shown_does_not_count(centre: Centre) -> None:
    def nobody_sees_it() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await first_admin(centre.database, "hash", nobody_sees_it)
    assert await centre.rows("SELECT * FROM user_account") == []


def test_making_the_database_ready_says_nothing_of_slow_writes_at_the_terminal() -> None:
    program = (
        "import launch.database, logging; logging.getLogger('sql.engine').warning('a write took')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ended.stderr == ""
