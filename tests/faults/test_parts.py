"""Parts of the tests that run side by side are judged and shown as one run."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch.tasks import run_parts
from tests.house import ROOT
from tests.observer import wait_until

PYTHON = Path(sys.executable)
GREEN = "def test_green(): pass\n"
RED = "def test_red(): assert 'the elder' == 'heard'\n"
SLOW = """
import pathlib, pytest, time

@pytest.fixture
def line():
    yield
    pathlib.Path("cleared").touch()

def test_slow(line):
    pathlib.Path("begun").touch()
    time.sleep(60)
"""


def write(checkout: Path, **parts: str) -> tuple[str, ...]:
    """A checkout whose parts have one test file each."""
    (checkout / "pytest.ini").write_text("[pytest]\n")
    for part, text in parts.items():
        (checkout / "tests" / part).mkdir(parents=True)
        (checkout / "tests" / part / f"test_{part}.py").write_text(text)
    return tuple(parts)


def test_one_red_part_makes_the_run_red_and_everything_is_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    parts = write(tmp_path, unit=GREEN, desk=RED, database=GREEN)
    assert run_parts(PYTHON, parts, (), tmp_path) == 1
    shown, said = capfd.readouterr()
    assert shown.count("1 passed") == 2
    assert said.endswith("desk FAILED: pytest ended with 1\n")
    assert "AssertionError: assert 'the elder' == 'heard'" in shown
    assert shown.count("test session starts") == 4, "the red one is looked at once more"


BUSY = """
import pathlib

def test_busy():
    was_there, mark = pathlib.Path("busy").exists(), pathlib.Path("busy")
    mark.touch()
    assert was_there

def test_well(): pass
"""


def test_what_passes_alone_is_named_and_what_fails_alone_too_is_red(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    parts = write(tmp_path, unit=GREEN, desk=BUSY)
    assert run_parts(PYTHON, parts, (), tmp_path) == 0
    told = capfd.readouterr()
    assert "1 failed, 1 passed" in told.out
    assert "rerun previous 1 failure" in told.out
    assert "want mending: tests/desk/test_desk.py::test_busy" in told.err
    assert "FAILED" not in told.err
    # A part alone had the whole machine already.
    (tmp_path / "busy").unlink()
    assert run_parts(PYTHON, ("desk",), (), tmp_path) == 1


def test_many_failures_are_no_accident(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    many = "\n".join(f"def test_{number}(): assert False" for number in range(11))
    parts = write(tmp_path, unit=GREEN, desk=many)
    assert run_parts(PYTHON, parts, (), tmp_path) == 1
    assert capfd.readouterr().out.count("test session starts") == 2


def test_words_may_choose_tests_of_one_part_only(tmp_path: Path) -> None:
    parts = write(tmp_path, unit=GREEN, desk=RED)
    assert run_parts(PYTHON, parts, ("-k", "green"), tmp_path) == 0
    assert run_parts(PYTHON, parts, ("-k", "no such test"), tmp_path) == 1


def test_ctrl_c_lets_every_part_clear_away(tmp_path: Path) -> None:
    parts = write(tmp_path, unit=SLOW, desk=GREEN, database=GREEN)
    call = f"from launch.tasks import *; run_parts(Path({str(PYTHON)!r}), {parts}, (), Path('.'))"
    program = subprocess.Popen(
        [PYTHON, "-c", call], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until((tmp_path / "begun").exists, 30)
    begun = time.monotonic()
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    assert (tmp_path / "cleared").exists()
    assert time.monotonic() - begun < 30
