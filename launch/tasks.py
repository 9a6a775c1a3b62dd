"""The developer's two tasks: the tests, part by part or side by side, and all checks in turn."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from launch.steps import CHECKOUT, run, say
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


PARTS_AT_ONCE: Final = 2
LONGEST_FIRST: Final = ("asterisk", "faults", "desk", "database", "unit")
NONE_CHOSEN: Final = 5
"""Pytest's exit code when, of this part, its words chose no test."""

_showing: Final = threading.Lock()


def pytest_words(part: str, for_pytest: Sequence[str]) -> list[str]:
    """The words after `python` that run the tests of this part."""
    return ["-m", "pytest", f"tests/{part}", *for_pytest]


def run_parts(
    python: Path, parts: Sequence[str], for_pytest: Sequence[str], checkout: Path = CHECKOUT
) -> int:
    """Run each part in a pytest of its own, two at a time; 0 only when no part failed.

    Most of a test is waiting for telephones, and two cores carry two parts. What a part says is
    shown whole when it ends; until then it can be read in `results/PART.log`.
    """
    (checkout / "results").mkdir(exist_ok=True)
    running: list[subprocess.Popen[bytes]] = []

    def run_part(part: str) -> int:
        begun, log = time.monotonic(), checkout / "results" / f"{part}.log"
        with log.open("wb") as out:
            program = _start([python, *pytest_words(part, for_pytest)], checkout, out)
            running.append(program)
            code = program.wait()
        with _showing:
            say(f"tests/{part} took {time.monotonic() - begun:.0f} s")
            print(log.read_text("utf-8", "replace"), flush=True)
        return code

    with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
        try:
            codes = set(pool.map(run_part, sorted(parts, key=LONGEST_FIRST.index)))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for program in running:
                program.send_signal(signal.SIGINT)
            raise
    # Words such as `-k` may choose tests in some of the parts only.
    return 0 if 0 in codes and codes <= {0, NONE_CHOSEN} else 1


def _start(words: Sequence[str | Path], folder: Path, out: IO[bytes]) -> subprocess.Popen[bytes]:
    """Ctrl-C reaches the launcher alone, which passes it on once: two would break off clearing."""
    return subprocess.Popen(
        words, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


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
