"""Decisions are pure: no library, no clock, no chance, no I/O; only the runner waits and logs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOM: Final = Path(__file__).parents[2] / "workflows"
MODULES: Final = sorted(ROOM.glob("**/*.py"))
SHELL: Final = "runner.py"
NOT_PURE: Final = {
    "asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "random",
    "secrets", "shutil", "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile",
    "threading", "time", "urllib", "uuid",
}  # fmt: skip
CLOCKS: Final = {"now", "utcnow", "today", "monotonic"}


def imported(module: Path) -> Iterator[str]:
    """The first part of the name of everything that is imported, also inside functions."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module.name}: imports are absolute"
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_decisions_import_only_the_standard_library_and_each_other(module: Path) -> None:
    assert set(imported(module)) <= sys.stdlib_module_names | {"workflows"}


@pytest.mark.parametrize(
    "module", [m for m in MODULES if m.name != SHELL], ids=lambda path: path.name
)
def test_only_the_runner_waits_and_logs_and_nobody_reads_a_clock(module: Path) -> None:
    assert not set(imported(module)) & NOT_PURE
    tree = ast.walk(ast.parse(module.read_text("utf-8")))
    calls = [node.func for node in tree if isinstance(node, ast.Call)]
    assert not [f.attr for f in calls if isinstance(f, ast.Attribute) and f.attr in CLOCKS]
    assert not [f.id for f in calls if isinstance(f, ast.Name) and f.id in ("open", "print")]


def test_the_runner_itself_has_its_time_from_the_clock_that_it_was_given() -> None:
    assert not set(imported(ROOM / SHELL)) & {"time", "random", "os", "datetime"}


def test_every_module_was_looked_at() -> None:
    assert {"call.py", "order.py", "machine.py", SHELL} <= {module.name for module in MODULES}
