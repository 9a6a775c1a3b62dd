"""Prints which requirement rows the tests show: the conformity table.

Reads tests/rows.csv (all rows) and results/rows.json (what the last test runs showed, and on which
commit). A row with named parts is shown only when a passing test shows each part.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from launch.steps import CHECKOUT

ROWS: Final = CHECKOUT / "tests" / "rows.csv"
RESULTS: Final = CHECKOUT / "results" / "rows.json"


class UnknownRow(Exception):
    """A test is marked with a row or part that the list does not have."""


@dataclass(frozen=True, slots=True)
class Row:
    """One requirement row; `parts` are those that the work names."""

    id: str
    capability: str
    requirement: str
    clause: str
    limit: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the tests show of a row: their number, and by part whether they all passed."""

    tests: int
    by_part: dict[str, bool]

    def is_whole(self, row: Row) -> bool:
        if not self.by_part or not all(self.by_part.values()):
            return False
        return not row.parts or set(row.parts) <= set(self.by_part)


def read_rows(file: Path = ROWS) -> dict[str, Row]:
    with file.open(encoding="utf-8", newline="") as stream:
        return {
            line["id"]: Row(
                line["id"],
                line["capability"],
                line["requirement"],
                line["clause"],
                line["limit"],
                tuple(part for part in line["parts"].split(";") if part),
            )
            for line in csv.DictReader(stream)
        }


def read_shown(rows: dict[str, Row], results: dict[str, Any]) -> dict[str, Shown]:
    """What each row's tests showed. Raises UnknownRow for a mark that means nothing."""
    tests: defaultdict[str, int] = defaultdict(int)
    parts: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    for nodeid, result in results.get("tests", {}).items():
        for row_id, part in result["rows"]:
            row = rows.get(row_id)
            if row is None or (part and part not in row.parts) or (row.parts and not part):
                wanted = f"{row_id} (parts: {', '.join(row.parts) or 'none'})" if row else row_id
                raise UnknownRow(f"{nodeid}: no row {wanted} with part {part!r} in {ROWS.name}")
            tests[row_id] += 1
            parts[row_id][part] = parts[row_id].get(part, True) and result["passed"]
    return {row_id: Shown(tests[row_id], parts[row_id]) for row_id in tests}


def as_json(rows: dict[str, Row], shown: dict[str, Shown]) -> dict[str, Any]:
    nothing = Shown(0, {})
    return {
        row.id: {
            "tests": shown.get(row.id, nothing).tests,
            "passed": shown.get(row.id, nothing).is_whole(row),
        }
        for row in rows.values()
    }


def print_table(rows: dict[str, Row], shown: dict[str, Shown], commit: str) -> None:
    by_capability: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows.values():
        by_capability[row.capability].append(row)
    whole_in_all = 0
    for capability, members in by_capability.items():
        whole = [row for row in members if row.id in shown and shown[row.id].is_whole(row)]
        whole_in_all += len(whole)
        print(f"{capability}: {len(whole)} of {len(members)}")
        for row in members:
            if row.id in shown:
                print(f"  {row.id}  {state_of(row, shown[row.id])}")
    print(f"{whole_in_all} of {len(rows)} rows are shown whole, on commit {commit}")


def state_of(row: Row, shown: Shown) -> str:
    if shown.is_whole(row):
        return f"shown ({shown.tests} tests)"
    failed = sorted(part for part, passed in shown.by_part.items() if not passed)
    missing = [part for part in row.parts if part not in shown.by_part]
    if failed:
        return f"FAILED {', '.join(failed)}".rstrip()
    return f"in part; not yet: {', '.join(missing)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = read_rows()
    try:
        results = json.loads(RESULTS.read_text("utf-8"))
    except (OSError, ValueError):
        print("careline: no test result yet; run ./careline test first", file=sys.stderr)
        return 2
    try:
        shown = read_shown(rows, results)
    except UnknownRow as wrong:
        print(f"careline: {wrong}", file=sys.stderr)
        return 1
    if given.json:
        print(json.dumps(as_json(rows, shown), indent=1))
    else:
        print_table(rows, shown, results["commit"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
