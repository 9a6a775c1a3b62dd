"""What all tests share: which part a test belongs to, and the result file for `./careline rows`."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = ROOT / "results" / "rows.json"


class RowResults:
    """Notes for each row mark whether its test passed, and writes them when the run ends."""

    def __init__(self) -> None:
        self.marks: dict[str, list[tuple[str, str]]] = {}
        self.outcomes: dict[str, bool] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            marks = [
                (mark.args[0], mark.kwargs.get("part") or "") for mark in item.iter_markers("row")
            ]
            if marks:
                self.marks[item.nodeid] = marks

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid in self.marks:
            before = self.outcomes.get(report.nodeid, True)
            self.outcomes[report.nodeid] = before and report.passed

    def pytest_sessionfinish(self) -> None:
        if not self.outcomes:
            return
        now, commit = self._kept(), current_commit()
        tests = now["tests"] if now.get("commit") == commit else {}
        for nodeid, passed in self.outcomes.items():
            tests[nodeid] = {"rows": self.marks[nodeid], "passed": passed}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(
            json.dumps(
                {"commit": commit, "at": datetime.now(UTC).isoformat(), "tests": tests},
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


def current_commit() -> str:
    """The commit that is tested; marked when the files differ from it."""
    try:
        head = git("rev-parse", "HEAD")
        return head + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        # A release without its history is tested as it lies there.
        return "unknown"


def git(*words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(RowResults(), "careline-rows")
