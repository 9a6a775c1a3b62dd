"""Places for homes, the site of the matrix of faults, and the table that a full run keeps."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.faults.faults import CLOCKS
from tests.faults.site import AWAY_S, Site, open_site
from tests.faults.table import FaultTable

FULL_AWAY_S: Final = 60.0
FAILED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="every fault in every stage of a call")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("full", False):
        config.pluginmanager.register(FaultTable(), "careline-faults")


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder with a short path that Asterisk's user may enter (pytest's own is closed)."""
    folder = Path(tempfile.mkdtemp(prefix="careline-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def small_disk(open_place: Path) -> Iterator[Path]:
    """A disk of 8 MB; mounting one needs root."""
    disk = open_place / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


class Sites:
    """One site for the tests of a module, and a new one after a test that failed.

    A test that needs a clock of its own gets another site; there is one at a time, so such tests
    stand together, at the end.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._site: Site | None = None

    def get(self, *, own_clock: bool) -> Site:
        if self._site is None or bool(self._site.clock) != own_clock:
            self.close()
            self._site = self._stack.enter_context(open_site(own_clock=own_clock))
        return self._site

    def close(self) -> None:
        self._site = None
        self._stack.close()


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    kept = Sites()
    yield kept
    kept.close()


@pytest.fixture
def site(sites: Sites, fault: str, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A running Careline with its surroundings; what a failed test leaves is not used again."""
    yield sites.get(own_clock=fault in CLOCKS)
    if request.node.stash.get(FAILED, True):
        sites.close()


@pytest.fixture
def away_s(request: pytest.FixtureRequest) -> float:
    """How long the database is away: a minute in a full run, else shorter."""
    return FULL_AWAY_S if request.config.getoption("full", False) else AWAY_S


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report
