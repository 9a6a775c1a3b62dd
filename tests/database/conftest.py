"""Every database test runs twice: on SQLite, and on a real PostgreSQL that is started here."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import psycopg
import pytest

from sql.engine import SLOW_S, Database
from sql.migrate import seed, upgrade
from sql.store import SqlStore
from tests.database.centre import Centre

KINDS: Final = ("sqlite", "postgresql")
OWNER: Final = "careline"
TEMPLATE: Final = "careline_ready"
HOW: Final = "apt-get install --no-install-recommends postgresql"
# On a busy machine the minute that pg_ctl waits by itself is not always enough.
PATIENTLY: Final = ("-w", "-t", "180")
_numbers: Final = count(1)
_slow: Final[dict[str, list[float]]] = {}
"""The writes that took too long, in seconds, by what they wrote."""


@pytest.fixture(scope="session", autouse=True)
def _slow_writes() -> Iterator[None]:
    """Note every write that lasts longer than it may; the log says only one in ten seconds."""
    note = Database._note_slow

    def noting(database: Database, what: str, seconds: float) -> None:
        if seconds >= SLOW_S:
            kind = "SQLite" if database.is_sqlite else "PostgreSQL"
            _slow.setdefault(f"{kind}: {what}", []).append(seconds)
        note(database, what, seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "_note_slow", noting)
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which of our own transactions are too long; a busy machine makes some of any kind so."""
    if not _slow:
        return
    terminalreporter.section(f"writes longer than {SLOW_S * 1000:.0f} ms, the longest first")
    for what, times in sorted(_slow.items(), key=lambda one: -max(one[1]))[:20]:
        terminalreporter.line(f"{max(times) * 1000:5.0f} ms  {len(times):4} times  {what}")


def programs() -> Path:
    """The folder with initdb and pg_ctl, the newest version's; without them the test fails."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4])
    )
    if on_path := shutil.which("initdb"):
        found.insert(0, Path(on_path))
    if not found:
        pytest.fail(f"PostgreSQL's own programs are not installed; get them with: {HOW}")
    return found[-1].parent


def server_user() -> str | None:
    """PostgreSQL refuses to run as root: the user that its package made, or ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.fail(f"there is no user postgres to run the server as; get it with: {HOW}")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server, reached through a socket in its own folder and by no network."""

    folder: Path

    def control(self, program: str, *words: str) -> None:
        """Run one of the server's own programs as its user."""
        ended = subprocess.run(
            [str(programs() / program), *words],
            cwd="/", user=server_user(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        log = self.folder / "log"
        told = log.read_text("utf-8", "replace") if log.exists() else ""
        assert ended.returncode == 0, f"{program}: {ended.stdout}{ended.stderr}{told}"

    def start(self) -> None:
        options = f"-c listen_addresses='' -k {self.folder} -c fsync=off -c timezone=Asia/Shanghai"
        log = str(self.folder / "log")
        data = str(self.folder / "data")
        self.control("pg_ctl", "-D", data, "-l", log, "-o", options, *PATIENTLY, "start")

    def stop(self) -> None:
        data = str(self.folder / "data")
        self.control("pg_ctl", "-D", data, "-m", "immediate", *PATIENTLY, "stop")

    def url(self, name: str, user: str = OWNER) -> str:
        return f"postgresql+psycopg://{user}@/{name}?host={self.folder}"

    def run(self, *statements: str, database: str = "postgres") -> None:
        words = f"host={self.folder} user={OWNER} dbname={database}"
        with psycopg.connect(words, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def new(self, template: str = "template0") -> str:
        """The address of a database of its own."""
        name = f"d{next(_numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    user = server_user()
    # Pytest's own folders are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="careline-pg-"))
    # Careline's own user passes through to the socket.
    folder.chmod(0o711)
    if user:
        shutil.chown(folder, user)
    cluster, data = Cluster(folder), str(folder / "data")
    try:
        cluster.control(
            "initdb", "-D", data, "-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"
        )
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        cluster.run(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
        upgrade(cluster.url(TEMPLATE))
        yield cluster


@pytest.fixture(scope="session")
def ready_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ready") / "careline.db"
    upgrade(f"sqlite+aiosqlite:///{file}")
    return file


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database in which there is nothing yet."""
    if kind == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'careline.db'}"
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.new()


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database at the present revision."""
    if kind == "sqlite":
        file = tmp_path / "careline.db"
        shutil.copyfile(request.getfixturevalue("ready_file"), file)
        return f"sqlite+aiosqlite:///{file}"
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.new(TEMPLATE)


@pytest.fixture
async def centre(url: str) -> AsyncIterator[Centre]:
    """A controller's runner on its store, in a database with one site and two seats."""
    database = Database(url)
    await seed(database, {"main": "本部"}, {"1001": ("张敏", "main"), "1002": ("", "main")})
    yield Centre(database, SqlStore(database, ZoneInfo("Asia/Shanghai"), "main"))
    await database.close()
