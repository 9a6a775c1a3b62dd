"""The conformity table: what a mark may say, and when a row counts as shown."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from launch import rows as rows_module
from launch.rows import (
    Marks,
    Row,
    Shown,
    UnknownRow,
    as_json,
    main,
    print_table,
    read_marks,
    read_rows,
    read_shown,
    state_of,
)
from tests import conftest as tests_conftest

WHOLE = Row("ACD-05", "Queue", "Hold callers", "004", "", ())
PARTED = Row("REC-01", "Recording", "Record calls", "001", "", ("calls", "care"))
ROWS = {row.id: row for row in (WHOLE, PARTED)}


def results(**tests: tuple[list[list[str]], bool | None]) -> dict[str, Any]:
    return {
        "commit": "abc",
        "tests": {
            name: {"rows": marks, "passed": passed} for name, (marks, passed) in tests.items()
        },
    }


def shown(**tests: tuple[list[list[str]], bool | None]) -> dict[str, Shown]:
    return read_shown(ROWS, results(**tests), {})


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


def test_a_marked_test_that_did_not_run_keeps_its_row_from_being_shown() -> None:
    ok, left_out = [["ACD-05", ""]], ([["ACD-05", ""]], None)
    half = shown(a=(ok, True), b=left_out)["ACD-05"]
    assert (state_of(WHOLE, half), half.is_whole(WHOLE)) == ("not shown (1 of 2 tests ran)", False)
    assert state_of(WHOLE, shown(a=(ok, False), b=left_out)["ACD-05"]) == "FAILED"
    # A run of one file leaves no word about the others: their source does.
    marked = {"a": [("ACD-05", "")], "elsewhere": [("ACD-05", ""), ("REC-01", "care")]}
    both = read_shown(ROWS, results(**{"a[1]": (ok, True), "a[2]": (ok, True)}), marked)
    assert state_of(WHOLE, both["ACD-05"]) == "not shown (2 of 3 tests ran)"
    assert state_of(PARTED, both["REC-01"]) == "not shown (0 of 1 tests ran)"
    with pytest.raises(UnknownRow, match="elsewhere"):
        read_shown(ROWS, {}, {"elsewhere": [("XXX-99", "")]})


def test_marks_are_read_from_the_source(tmp_path: Path) -> None:
    folder = tmp_path / "tests"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "test_it.py").write_text(
        "import pytest\n"
        '@pytest.mark.row("ACD-05")\n@pytest.mark.row("REC-01", part="calls")\n'
        "async def test_one(): ...\n"
        'class TestMore:\n    @pytest.mark.row("ACD-05")\n    def test_two(self): ...\n'
        "@pytest.fixture\ndef page(): ...\ndef test_unmarked(): ...\n",
        "utf-8",
    )
    assert read_marks(folder) == {
        "tests/deep/test_it.py::test_one": [("ACD-05", ""), ("REC-01", "calls")],
        "tests/deep/test_it.py::TestMore::test_two": [("ACD-05", "")],
    }


@pytest.mark.parametrize(
    "wide",
    ['pytestmark = pytest.mark.row("UI-07")\n', '@pytest.mark.row("UI-07")\nclass TestIt: ...\n'],
    ids=["a file", "a class"],
)
def test_a_mark_on_many_tests_at_once_is_refused(tmp_path: Path, wide: str) -> None:
    """Each row has its own check, and it is one test that performs it."""
    (tmp_path / "test_wide.py").write_text(f"import pytest\n{wide}", "utf-8")
    with pytest.raises(UnknownRow, match=r"test_wide.*on the test itself"):
        read_marks(tmp_path)


@pytest.fixture(scope="module")
def marked() -> dict[str, Marks]:
    """The marks of all tests, which takes a while to read."""
    return read_marks()


def test_no_row_is_shown_by_an_inner_function(marked: dict[str, Marks]) -> None:
    """A row's check goes through a real edge: a call, a page, the API, what a database refuses."""
    edges = (
        "tests/asterisk/", "tests/desk/", "tests/faults/", "tests/database/test_desk_",
        "tests/database/test_ringing_card.py::test_the_card_is_there_while_another",
        "tests/database/test_audit.py::test_the_database_refuses_to_change_the_record",
    )  # fmt: skip
    assert [name for name in marked if not name.startswith(edges)] == []


def test_every_mark_in_our_tests_names_a_row(marked: dict[str, Marks]) -> None:
    assert (
        "tests/desk/test_real_call.py::test_three_calls_one_seat_in_the_order_of_their_coming"
        in marked
    )
    read_shown(read_rows(), {}, marked)


def test_a_run_notes_every_marked_test_whether_it_ran_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tests_conftest, "RESULTS", tmp_path / "rows.json")
    monkeypatch.setattr(tests_conftest, "current_commit", lambda: "abc+changes.1")

    def run(*outcomes: tuple[str, str, str]) -> dict[str, bool | None]:
        noted = tests_conftest.RowResults()
        noted.pytest_sessionstart()
        mark = pytest.mark.row("ACD-05").mark
        items = [
            SimpleNamespace(nodeid=nodeid, iter_markers=lambda _name: [mark]) for nodeid in "abcd"
        ]
        noted.pytest_collection_modifyitems(cast("list[pytest.Item]", items))
        for nodeid, when, outcome in outcomes:
            told = {word: word == outcome for word in ("passed", "failed", "skipped")}
            report = SimpleNamespace(nodeid=nodeid, when=when, **told)
            noted.pytest_runtest_logreport(cast("pytest.TestReport", report))
        noted.pytest_sessionfinish()
        kept = json.loads((tmp_path / "rows.json").read_text("utf-8"))
        return {nodeid: result["passed"] for nodeid, result in kept["tests"].items()}

    whole = [("a", when, "passed") for when in ("setup", "call", "teardown")]
    broken = [("b", "setup", "passed"), ("b", "call", "failed"), ("b", "teardown", "passed")]
    first = run(*whole, *broken, ("c", "setup", "skipped"), ("c", "teardown", "passed"))
    assert first == {"a": True, "b": False, "c": None, "d": None}
    # What an earlier run of the same files showed stays; a run of other files begins anew.
    well = ("d", "teardown", "passed")
    assert run(well) == {"a": True, "b": False, "c": None, "d": True}
    # One that was interrupted after its set-up has shown nothing, and takes nothing back.
    assert run(("b", "setup", "passed"), ("c", "call", "passed"), well)["b"] is False
    assert run(("b", "teardown", "passed"))["b"] is True
    kept = json.loads((tmp_path / "rows.json").read_text("utf-8"))["tests"]
    assert [nodeid for nodeid in kept if kept[nodeid].get("again")] == ["b"]
    monkeypatch.setattr(tests_conftest, "current_commit", lambda: "abc+changes.2")
    assert run(well) == {"a": None, "b": None, "c": None, "d": True}


def test_changed_files_have_a_label_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tests_conftest, "ROOT", tmp_path)
    assert tests_conftest.current_commit() == "unknown"
    for words in (
        ("init", "-q"),
        ("config", "user.name", "t"),
        ("config", "user.email", "t@localhost"),
        ("commit", "-q", "--allow-empty", "-m", "first"),
    ):
        tests_conftest.git(*words)
    clean = tests_conftest.current_commit()
    assert "+" not in clean
    labels = set()
    for text in ("one", "two", "two"):
        (tmp_path / "新.txt").write_text(text, "utf-8")
        labels.add(tests_conftest.current_commit())
    tests_conftest.git("add", ".")
    labels.add(tests_conftest.current_commit())
    assert len(labels) == 3
    assert all(label.startswith(f"{clean}+changes.") for label in labels)


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
        "ACD-05": {"tests": 1, "ran": 1, "passed": True},
        "REC-01": {"tests": 1, "ran": 1, "passed": False},
    }
    assert as_json(ROWS, {})["ACD-05"] == {"tests": 0, "ran": 0, "passed": False}


def test_the_table_counts_by_capability_and_names_the_commit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(ROWS, shown(a=([["ACD-05", ""]], True)), "abc+changes")
    assert capsys.readouterr().out.splitlines() == [
        "Queue: 1 of 1",
        "  ACD-05  shown (1 tests)        Hold callers",
        "Recording: 0 of 1",
        "  REC-01  no test yet            Record calls",
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
    monkeypatch.setattr(rows_module, "TESTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["rows", "--json"])
    assert main() == code
    told = capsys.readouterr()
    assert says in told.err
    if code == 0:
        assert json.loads(told.out)["ACD-05"] == {"tests": 1, "ran": 1, "passed": True}
