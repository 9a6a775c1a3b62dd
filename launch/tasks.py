"""The developer's two tasks: the tests, part by part or side by side, and all checks in turn."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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


AT_ONCE: Final = 3
PIECES: Final[Mapping[str, tuple[str, ...]]] = {
    "faults": (
        "tests/faults", "--ignore-glob=*/test_benches.py", "--ignore-glob=*/test_matrix.py",
        "--ignore-glob=*/test_s*.py", "--ignore-glob=*/test_u*.py",
    ),
    "survival": ("tests/faults", "-o", "python_files=test_matrix.py test_s*.py test_u*.py"),
    "database": ("tests/database",),
    "rescue": ("tests/asterisk", "-o", "python_files=test_rescue_*.py"),
    "asterisk": (
        "tests/asterisk", "--ignore-glob=*/test_rescue_*.py", "--ignore-glob=*/test_full_house.py",
    ),
    "desk": ("tests/desk",),
    "unit": ("tests/unit",),
    "full-house": ("tests/asterisk", "-o", "python_files=test_full_house.py"),
    "benches": ("tests/faults", "-o", "python_files=test_benches.py"),
}  # fmt: skip
"""The parts as they run side by side, in the order in which they are begun.

The telephones of `asterisk` ring in real time and leave the processor to others, so its tests are
two pieces; of the three that need it, two run at a time. So are the faults, since they last
longest. What wants most of it, fifty calls at once
and the benches, is run when the others are nearly done.
"""
TESTS_FAILED: Final = 1
NONE_CHOSEN: Final = 5
"""Pytest's exit codes: tests failed; of this part, its words chose no test."""
MOST_LOOKED_AT_AGAIN: Final = 10
SLOWEST: Final = 40
"""How many of a part's slowest tests are named: the whole suite is to last 40 minutes at most."""

_showing: Final = threading.Lock()


def pytest_words(part: str, for_pytest: Sequence[str]) -> list[str]:
    """The words after `python` that run the tests of this part."""
    return ["-m", "pytest", f"tests/{part}", *for_pytest]


@dataclass(frozen=True, slots=True)
class PartsRun:
    """One run of several parts in one checkout; `running` holds every pytest that it started."""

    python: Path
    for_pytest: Sequence[str]
    checkout: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, piece: str, *again: str) -> int:
        """Run one piece in a pytest of its own and show what it said; returns its exit code."""
        begun = time.monotonic()
        log = self.checkout / "results" / f"{piece}{'-again' if again else ''}.log"
        # Each has notes of its own on what failed: two writers would lose one another's.
        notes = f"cache_dir=results/{piece}.cache"
        words = [f"--durations={SLOWEST}", *self.for_pytest, "-o", notes, *again]
        with log.open("wb") as out:
            argv: list[str | Path] = [self.python, "-m", "pytest", *PIECES[piece], *words]
            program = _start(argv, self.checkout, out)
            self.running.append(program)
            code = program.wait()
        with _showing:
            say(f"{piece} took {time.monotonic() - begun:.0f} s{' alone' if again else ''}")
            print(log.read_text("utf-8", "replace"), flush=True)
        return code

    def run_all(self, parts: Sequence[str]) -> dict[str, int]:
        """Run the pieces of these parts, some at a time; returns their exit codes."""
        pieces = [
            name for name, words in PIECES.items() if words[0].removeprefix("tests/") in parts
        ]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                return dict(zip(pieces, pool.map(self.run, pieces), strict=True))
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                self.interrupt()
                raise

    def look_again(self, codes: Mapping[str, int]) -> dict[str, int]:
        """Run what failed once more, a piece alone; returns the codes that count."""
        failed = {piece: self._failed_in(piece) for piece in codes if codes[piece] == TESTS_FAILED}
        if sum(map(len, failed.values())) > MOST_LOOKED_AT_AGAIN:
            return dict(codes)
        counts = dict(codes)
        for piece, names in failed.items():
            # Without a name it was no test that failed: nothing to be run alone.
            if names and self.run(piece, "--last-failed") == 0:
                counts[piece] = 0
                say(f"passed only alone, and want mending: {', '.join(names)}")
        return counts

    def _failed_in(self, piece: str) -> list[str]:
        """The tests that failed in the piece's last run, as pytest noted them."""
        notes = self.checkout / "results" / f"{piece}.cache" / "v" / "cache" / "lastfailed"
        try:
            return list(json.loads(notes.read_text("utf-8")))
        except FileNotFoundError:
            return []

    def interrupt(self) -> None:
        """Pass Ctrl-C on, and let every one clear away what it has started."""
        for program in self.running:
            program.send_signal(signal.SIGINT)
        for program in self.running:
            program.wait()


def run_parts(
    python: Path, parts: Sequence[str], for_pytest: Sequence[str], checkout: Path = CHECKOUT
) -> int:
    """Run the parts in pieces, each in a pytest of its own; 0 only when none failed.

    What a piece says is shown whole when it ends; until then it can be read in
    `results/PIECE.log`.

    A few that failed while others had most of the machine are run once more, alone: a telephone
    call goes on in real time, and a machine that stands still for a second is no fault of the
    centre's. They are named, since such a test, or the code, still wants mending.
    """
    (checkout / "results").mkdir(exist_ok=True)
    for piece in PIECES:
        shutil.rmtree(checkout / "results" / f"{piece}.cache", ignore_errors=True)
    tests = PartsRun(python, for_pytest, checkout)
    codes = tests.run_all(parts)
    if len(parts) > 1:
        try:
            codes = tests.look_again(codes)
        except KeyboardInterrupt:
            tests.interrupt()
            raise
    for piece, code in codes.items():
        if code not in (0, NONE_CHOSEN):
            say(f"{piece} FAILED: pytest ended with {code}")
    # Words such as `-k` may choose tests in some of the parts only.
    ended = set(codes.values())
    return 0 if 0 in ended and ended <= {0, NONE_CHOSEN} else 1


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
