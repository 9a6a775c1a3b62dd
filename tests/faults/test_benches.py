"""Every bench runs and says what it found. How fast this machine is, is not asked here."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.bench.arrive import is_sound
from tests.bench.place import Talk
from tests.bench.result import Result, Target
from tests.house import ROOT

SHORT = {
    "arrive": ("--seconds", "2"),
    "calls": ("--calls", "3", "--seconds", "5"),
    "desk": ("--elders", "20", "--visits", "1", "--calls", "5", "--seconds", "3"),
    "pop": ("--calls", "10", "--seconds", "3"),
    "recover": ("--calls", "4"),
    "rescue": ("--calls", "2"),
    "start": ("--starts", "1"),
}
NEVER_ABOVE_ZERO = (
    "answers_without_sound", "calls_failed", "calls_lost", "calls_without_sound", "cards_missing",
)  # fmt: skip


def run(*words: str) -> tuple[int, dict[str, Any]]:
    """The bench as the launcher starts it; its exit code and its one object."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.bench", *words, "--json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.stdout.count("\n") == 1, ended.stdout + ended.stderr
    return ended.returncode, json.loads(ended.stdout)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SHORT)
def test_a_bench_measures_and_loses_nothing(name: str) -> None:
    code, found = run(name, *SHORT[name])
    assert list(found) == ["bench", "figures", "targets", "met"]
    assert found["bench"] == name
    figures = found["figures"]
    assert all(isinstance(figure, int | float) for figure in figures.values()), figures
    assert set(found["targets"]) <= set(figures)
    assert code == (0 if found["met"] else 1)
    assert not [key for key in NEVER_ABOVE_ZERO if figures.get(key, 0) != 0], figures


@pytest.mark.parametrize(
    ("figure", "is_met"), [(5.0, True), (5.1, False), (None, False)], ids=["on", "above", "none"]
)
def test_a_target_is_met_up_to_its_bound(figure: float | None, is_met: bool) -> None:
    result = Result("pop", {"p50_ms": figure}, {"p50_ms": Target(at_most=5.0)})
    assert result.is_met == is_met
    assert json.loads(result.as_json())["met"] == is_met
    assert ("NOT met" in result.as_table()) != is_met


@pytest.mark.parametrize(
    ("steps", "is_heard"),
    [(b"\xd5\x55", False), (b"\xd5\x5a\xda", False), (b"\xd5\x45", True), (b"\xd5\xaa", True)],
    ids=["silence", "breath", "soft", "loudest"],
)
def test_silence_is_no_sound(steps: bytes, is_heard: bool) -> None:
    assert is_sound(b"\x80\x08" + bytes(10) + steps) == is_heard


@pytest.mark.parametrize(
    ("length", "recorded"), [(70.0, 60.0), (71.0, 60.0), (64.0, 54.0), (3.0, 0.0)]
)
def test_what_a_recording_lacks_is_missing_from_the_talk(length: float, recorded: float) -> None:
    assert Talk(before_s=10.0, bridged_s=60.0).recorded_s(length) == recorded
