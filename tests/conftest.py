"""What all tests share: which part a test belongs to, and the result file for `./careline rows`."""

from __future__ import annotations

import fcntl
import hashlib
import json
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = ROOT / "results" / "rows.json"


class RowResults:
    """Notes for each row mark whether its test passed, and writes them when the run ends.

    A marked test that was left out or skipped is noted too, as neither passed nor failed.
    """

    def __init__(self) -> None:
        self.marks: dict[str, list[tuple[str, str]]] = {}
        self.outcomes: dict[str, bool | None] = {}
        self.commit = ""

    def pytest_sessionstart(self) -> None:
        # Whoever started the tests in the background had them ignore Ctrl-C, and so would be every
        # program that they start and interrupt.
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        # Files that change while the tests run were not what was tested.
        self.commit = current_commit()

    # Before pytest's own, which takes out what `-k` and `-m` do not choose.
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            marks = [
                (mark.args[0], mark.kwargs.get("part") or "") for mark in item.iter_markers("row")
            ]
            if marks:
                self.marks[item.nodeid] = marks

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid not in self.marks:
            return
        if not report.passed:
            now = None if report.skipped else False
            self.outcomes[report.nodeid] = worse(self.outcomes.get(report.nodeid, True), now)
        elif report.when == "teardown":
            # Not before its end: one that was interrupted in the middle has shown nothing.
            self.outcomes.setdefault(report.nodeid, True)

    def pytest_sessionfinish(self) -> None:
        if not self.outcomes:
            return
        RESULTS.parent.mkdir(exist_ok=True)
        # Another part may end at the same moment, and adds its tests to the same file.
        with (RESULTS.parent / "rows.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._write()

    def _write(self) -> None:
        kept = self._kept()
        tests = kept["tests"] if kept.get("commit") == self.commit else {}
        for nodeid, rows in self.marks.items():
            if nodeid in self.outcomes or nodeid not in tests:
                had_failed = nodeid in tests and tests[nodeid]["passed"] is False
                tests[nodeid] = {"rows": rows, "passed": self.outcomes.get(nodeid)}
                if had_failed:
                    tests[nodeid]["again"] = True
        RESULTS.write_text(
            json.dumps(
                {"commit": self.commit, "at": datetime.now(UTC).isoformat(), "tests": tests},
                indent=1,
                ensure_ascii=False,
            )
            + "\n",
            "utf-8",
        )

    @staticmethod
    def _kept() -> dict[str, Any]:
        try:
            kept: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return kept


def worse(one: bool | None, other: bool | None) -> bool | None:
    """A failure weighs more than not having run, and that more than success."""
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def current_commit() -> str:
    """The commit that is tested; with a hash of what differs from it, so that no two mix."""
    try:
        head = git("rev-parse", "HEAD")
        if not git("status", "--porcelain"):
            return head
        changes = hashlib.sha256(git("diff", "HEAD").encode("utf-8", "surrogateescape"))
        for name in git("ls-files", "-z", "--others", "--exclude-standard").split("\0"):
            if name and (ROOT / name).is_file():
                changes.update(name.encode("utf-8", "surrogateescape"))
                changes.update((ROOT / name).read_bytes())
        return f"{head}+changes.{changes.hexdigest()[:8]}"
    except (OSError, subprocess.CalledProcessError):
        # A release without its history is tested as it lies there.
        return "unknown"


def git(*words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *words],
        check=True, capture_output=True, encoding="utf-8", errors="surrogateescape",
    ).stdout.strip()  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(RowResults(), "careline-rows")
