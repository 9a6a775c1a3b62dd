"""The conformity table: what a mark may say, and when a row counts as shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from launch import rows as rows_module
from launch.rows import (
    Row,
    Shown,
    UnknownRow,
    as_json,
    main,
    print_table,
    read_rows,
    read_shown,
    state_of,
)

WHOLE = Row("ACD-05", "Queue", "Hold callers", "004", "", ())
PARTED = Row("REC-01", "Recording", "Record calls", "001", "", ("calls", "care"))
ROWS = {row.id: row for row in (WHOLE, PARTED)}


def results(**tests: tuple[list[list[str]], bool]) -> dict[str, Any]:
    return {
        "commit": "abc",
        "tests": {
            name: {"rows": marks, "passed": passed} for name, (marks, passed) in tests.items()
        },
    }


def shown(**tests: tuple[list[list[str]], bool]) -> dict[str, Shown]:
    return read_shown(ROWS, results(**tests))


def test_the_list_has_all_427_rows_of_the_standards() -> None:
    rows = read_rows()
    assert len(rows) == 427
    assert all(row.capability and row.requirement and row.clause for row in rows.values())
    assert "calls" in rows["REC-01"].parts
    assert rows["ACD-05"].parts == ()


def test_no_row_is_named_twice() -> None:
    lines = rows_module.ROWS.read_text("utf-8").splitlines()[1:]
    ids = [line.split(",", 1)[0] for line in lines if line[:1].isupper() and "-" in line[:6]]
    assert len(ids) == len(set(ids)) >= 427


@pytest.mark.parametrize(
    "mark",
    [["XXX-99", ""], ["ACD-05", "calls"], ["REC-01", "emergencies"], ["REC-01", ""], ["", ""]],
    ids=["row", "part of a whole row", "part", "no part", "nothing"],
)
def test_a_mark_that_means_nothing_is_an_error_that_names_the_test(mark: list[str]) -> None:
    with pytest.raises(UnknownRow, match="test_spine"):
        shown(test_spine=([mark], True))


def test_a_row_is_shown_when_all_its_tests_pass() -> None:
    ok = (([["ACD-05", ""]]), True)
    bad = (([["ACD-05", ""]]), False)
    assert state_of(WHOLE, shown(a=ok, b=ok)["ACD-05"]) == "shown (2 tests)"
    assert state_of(WHOLE, shown(a=ok, b=bad)["ACD-05"]) == "FAILED"
    assert state_of(WHOLE, shown(a=bad, b=ok)["ACD-05"]) == "FAILED"


def test_a_row_with_parts_is_shown_in_part_until_every_part_is() -> None:
    calls, care = [["REC-01", "calls"]], [["REC-01", "care"]]
    assert state_of(PARTED, shown(a=(calls, True))["REC-01"]) == "in part; not yet: care"
    both = shown(a=(calls, True), b=(care, True))["REC-01"]
    assert (state_of(PARTED, both), both.is_whole(PARTED)) == ("shown (2 tests)", True)
    one_bad = shown(a=(calls, True), b=(care, False))["REC-01"]
    assert (state_of(PARTED, one_bad), one_bad.is_whole(PARTED)) == ("FAILED care", False)


def test_one_test_can_show_several_rows() -> None:
    marks = [["ACD-05", ""], ["REC-01", "calls"]]
    assert as_json(ROWS, shown(a=(marks, True))) == {
        "ACD-05": {"tests": 1, "passed": True},
        "REC-01": {"tests": 1, "passed": False},
    }
    assert as_json(ROWS, {})["ACD-05"] == {"tests": 0, "passed": False}


def test_the_table_counts_by_capability_and_names_the_commit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(ROWS, shown(a=([["ACD-05", ""]], True)), "abc+changes")
    assert capsys.readouterr().out.splitlines() == [
        "Queue: 1 of 1",
        "  ACD-05  shown (1 tests)",
        "Recording: 0 of 1",
        "1 of 2 rows are shown whole, on commit abc+changes",
    ]


@pytest.mark.parametrize(
    ("written", "code", "says"),
    [
        (None, 2, "run ./careline test first"),
        ("", 2, "run ./careline test first"),
        ('{"commit": "abc", "te', 2, "run ./careline test first"),
        (json.dumps(results(t=([["XXX-99", ""]], True))), 1, "XXX-99"),
        (json.dumps(results(t=([["ACD-05", ""]], True))), 0, ""),
    ],
    ids=["none", "empty", "torn", "unknown row", "good"],
)
def test_the_command_says_what_is_wrong(
    written: str | None,
    code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "rows.json"
    if written is not None:
        file.write_text(written)
    monkeypatch.setattr(rows_module, "RESULTS", file)
    monkeypatch.setattr("sys.argv", ["rows", "--json"])
    assert main() == code
    told = capsys.readouterr()
    assert says in told.err
    if code == 0:
        assert json.loads(told.out)["ACD-05"] == {"tests": 1, "passed": True}
