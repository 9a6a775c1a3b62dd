"""Prints which requirement rows the tests show: the conformity table.

Reads tests/rows.csv (all rows), the tests' own marks, and results/rows.json (what the last test
runs showed, and on which commit). A row is shown when every test that is marked with it ran and
passed; one with named parts only when such tests show each part.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from launch.steps import CHECKOUT

ROWS: Final = CHECKOUT / "tests" / "rows.csv"
RESULTS: Final = CHECKOUT / "results" / "rows.json"
TESTS: Final = CHECKOUT / "tests"

Marks = Sequence[Sequence[str]]
"""Rows with the part of each, which may be empty."""


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
    """What the tests show of a row: how many there are and ran, and which parts' tests failed."""

    tests: int = 0
    ran: int = 0
    parts: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()

    def is_whole(self, row: Row) -> bool:
        if not self.tests or self.ran < self.tests or self.failed:
            return False
        return not row.parts or set(row.parts) <= self.parts

    def with_test(self, part: str, passed: bool | None) -> Shown:
        """With one more test of the row; None when it did not run."""
        failed = self.failed | {part} if passed is False else self.failed
        ran = self.ran + (passed is not None)
        return Shown(self.tests + 1, ran, self.parts | {part}, failed)


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


def read_marks(folder: Path = TESTS) -> dict[str, Marks]:
    """Every test function that is marked with rows, by its node id, as it stands in the source.

    A run of some tests leaves no trace of the others; the source knows of them all.
    """
    marked: dict[str, Marks] = {}
    for file in sorted(folder.rglob("*.py")):
        source = file.read_bytes()
        # Most have no mark, and to understand a file takes long.
        if b"mark.row" in source:
            name = f"{folder.name}/{file.relative_to(folder).as_posix()}"
            marked |= _marked_in(ast.parse(source, str(file)).body, name)
    return marked


def _marked_in(body: Sequence[ast.stmt], scope: str) -> dict[str, Marks]:
    marked: dict[str, Marks] = {}
    for it in body:
        if isinstance(it, ast.Assign) and "pytest.mark.row" in ast.unparse(it):
            raise UnknownRow(f"{scope}: a row stands on the test itself that performs its check")
        if isinstance(it, ast.ClassDef):
            if any(_is_row(mark) for mark in it.decorator_list):
                raise UnknownRow(f"{scope}::{it.name}: a row stands on the test itself")
            marked |= _marked_in(it.body, f"{scope}::{it.name}")
        if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef) and (marks := [*_marks_of(it)]):
            marked[f"{scope}::{it.name}"] = marks
    return marked


def _marks_of(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, str]]:
    for mark in test.decorator_list:
        if _is_row(mark) and isinstance(mark, ast.Call):
            named = {word.arg: ast.literal_eval(word.value) for word in mark.keywords}
            yield ast.literal_eval(mark.args[0]), named.get("part") or ""


def _is_row(mark: ast.expr) -> bool:
    return isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.row"


def read_shown(
    rows: Mapping[str, Row], results: Mapping[str, Any], marked: Mapping[str, Marks]
) -> dict[str, Shown]:
    """What each row's tests showed. Raises UnknownRow for a mark that means nothing."""
    tests: dict[str, tuple[Marks, bool | None]] = {
        nodeid: (result["rows"], result["passed"])
        for nodeid, result in results.get("tests", {}).items()
    }
    # A test with parameters has a result for each; its function has none of its own.
    known = {nodeid.partition("[")[0] for nodeid in tests}
    tests |= {nodeid: (marks, None) for nodeid, marks in marked.items() if nodeid not in known}
    shown: defaultdict[str, Shown] = defaultdict(Shown)
    for nodeid, (marks, passed) in tests.items():
        for row_id, part in marks:
            row = rows.get(row_id)
            if row is None or (part and part not in row.parts) or (row.parts and not part):
                wanted = f"{row_id} (parts: {', '.join(row.parts) or 'none'})" if row else row_id
                raise UnknownRow(f"{nodeid}: no row {wanted} with part {part!r} in {ROWS.name}")
            shown[row_id] = shown[row_id].with_test(part, passed)
    return dict(shown)


def as_json(rows: dict[str, Row], shown: dict[str, Shown]) -> dict[str, Any]:
    nothing = Shown()
    return {
        row.id: {
            "tests": shown.get(row.id, nothing).tests,
            "ran": shown.get(row.id, nothing).ran,
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
            state = state_of(row, shown.get(row.id, Shown()))
            print(f"  {row.id:<7} {state:<22} {row.requirement}")
    print(f"{whole_in_all} of {len(rows)} rows are shown whole, on commit {commit}")


def print_second_tries(results: Mapping[str, Any]) -> None:
    """Name the tests that passed only when they were run once more on the same commit."""
    for nodeid, result in results.get("tests", {}).items():
        if result.get("again") and result["passed"]:
            print(f"passed only at a second try: {nodeid}")


def state_of(row: Row, shown: Shown) -> str:
    """What is known of the row, in a few words: shown, in part, or not."""
    if not shown.tests:
        return "no test yet"
    if shown.is_whole(row):
        return f"shown ({shown.tests} tests)"
    if shown.failed:
        return f"FAILED {', '.join(sorted(shown.failed))}".rstrip()
    if shown.ran < shown.tests:
        return f"not shown ({shown.ran} of {shown.tests} tests ran)"
    return f"in part; not yet: {', '.join(part for part in row.parts if part not in shown.parts)}"


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
        shown = read_shown(rows, results, read_marks(TESTS))
    except UnknownRow as wrong:
        print(f"careline: {wrong}", file=sys.stderr)
        return 1
    if given.json:
        print(json.dumps(as_json(rows, shown), indent=1))
    else:
        print_table(rows, shown, results["commit"])
        print_second_tries(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
