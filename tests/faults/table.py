"""The table that a full run of the matrix keeps: results/faults.json, and faults.md to read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import RESULTS, current_commit

TABLE: Final = RESULTS.with_name("faults.json")


class FaultTable:
    """Notes how each pair came out and in how many seconds; pairs of another commit are dropped."""

    def __init__(self) -> None:
        self.commit = ""
        self.pairs: dict[str, dict[str, Any]] = {}

    def pytest_sessionstart(self) -> None:
        # Files that change while the tests run were not what was tested.
        self.commit = current_commit()

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        pair = (
            item.callspec.params
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else {}
        )
        if pair.keys() >= {"fault", "stage"}:
            item.user_properties.append(("pair", f"{pair['fault']}×{pair['stage']}"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        pair = dict(report.user_properties).get("pair")
        if not isinstance(pair, str) or (report.passed and report.when != "call"):
            return
        known = self.pairs.get(pair, {"passed": True, "seconds": 0.0})
        self.pairs[pair] = {
            "passed": known["passed"] and report.passed,
            "seconds": round(known["seconds"] + report.duration, 1),
        }

    def pytest_sessionfinish(self) -> None:
        if not self.pairs:
            return
        kept = read(TABLE)
        pairs = kept["pairs"] if kept.get("commit") == self.commit else {}
        table = {
            "commit": self.commit,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "pairs": pairs | self.pairs,
        }
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", "utf-8")
        TABLE.with_suffix(".md").write_text(as_text(table), "utf-8")


def read(file: Path) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return kept


def as_text(table: dict[str, Any]) -> str:
    """The table as Markdown: a line for each fault, a column for each stage."""
    pairs = {tuple(name.split("×")): how for name, how in table["pairs"].items()}
    faults = list(dict.fromkeys(fault for fault, _ in pairs))
    stages = list(dict.fromkeys(stage for _, stage in pairs))
    lines = [
        f"Faults in every stage of a call, commit {table['commit']}, {table['at']}",
        "",
        "| | " + " | ".join(stages) + " |",
        "|---" * (len(stages) + 1) + "|",
    ]
    for fault in faults:
        cells = [cell(pairs.get((fault, stage))) for stage in stages]
        lines.append(f"| {fault} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(how: dict[str, Any] | None) -> str:
    if how is None:
        return "not run"
    return f"{'passed' if how['passed'] else 'FAILED'} {how['seconds']:.0f} s"
