"""The developer's two tasks: which words pytest is started with, and all checks in turn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launch.steps import CHECKOUT, run
from launch.venv import Environment

ROOMS: Final = (
    "agent_desk",
    "asterisk_conf",
    "ivr",
    "launch",
    "recordings",
    "sql",
    "telephony",
    "tests",
    "workflows",
)


def pytest_words(parts: Sequence[str], for_pytest: Sequence[str]) -> list[str]:
    """The words after `python` that run the tests of these parts."""
    return ["-m", "pytest", *(f"tests/{part}" for part in parts), *for_pytest]


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name on the screen and its program."""

    name: str
    argv: tuple[str, ...]


def checks(environment: Environment, checkout: Path = CHECKOUT) -> tuple[Check, ...]:
    """Every check, in the order in which they are run: the quick ones first."""
    python, program = str(environment.python), environment.program
    typed = [room for room in ROOMS if (checkout / room).is_dir()]
    typed += sorted(path.name for path in checkout.glob("*.py"))
    return (
        Check("ruff check", (program("ruff"), "check", str(checkout))),
        Check("ruff format", (program("ruff"), "format", "--check", str(checkout))),
        Check("import-linter", (program("lint-imports"), "--no-cache")),
        Check("mypy --strict", (python, "-m", "mypy", "--strict", *typed)),
        Check("dialplan and migrations", (python, "-m", "launch.check_rendered")),
    )


def check(environment: Environment) -> int:
    """Run every check, whatever the others say; 1 when one failed."""
    results = [_passes(one) for one in checks(environment)]
    return 0 if all(results) else 1


def _passes(one: Check) -> bool:
    begun = time.monotonic()
    ended = run(one.argv, cwd=CHECKOUT)
    word = "ok" if ended.code == 0 else "FAILED"
    print(f"{one.name:<24} {word:<7} {time.monotonic() - begun:5.1f} s", flush=True)
    if ended.code != 0:
        print(ended.text, flush=True)
    return ended.code == 0
