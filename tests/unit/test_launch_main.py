"""The command line: which words are understood, and which exit code stands for what."""

from __future__ import annotations

import errno
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from launch import main, steps
from launch.steps import CHECKOUT, SetupError
from launch.venv import Environment, Kind


class Became(Exception):
    """Raised instead of turning the test into another program."""


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> list[main.Wants]:
    """A machine on which everything is there; what was wanted is noted."""
    wanted: list[main.Wants] = []

    def become(words: list[str]) -> None:
        raise Became(*words)

    monkeypatch.setattr(main, "make_ready", wanted.append)
    monkeypatch.setattr(main, "become", become)
    return wanted


def launcher() -> ModuleType:
    """The file `careline` as a module."""
    loader = importlib.machinery.SourceFileLoader("careline_file", str(CHECKOUT / "careline"))
    spec = importlib.util.spec_from_loader("careline_file", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_a_python_too_old_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = launcher()
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    assert module.start() == main.CANNOT_PREPARE
    said = capsys.readouterr().err
    assert "this is Python 3.9, and 3.11 or newer is needed" in said


def test_modules_are_compiled_for_those_who_may_not_write_there(tmp_path: Path) -> None:
    room = tmp_path / "telephony"
    room.mkdir()
    (room / "ami.py").write_text("UP = True\n")
    (tmp_path / "app.py").write_text("from telephony import ami\n")
    main.all_of([lambda: main.compile_modules(tmp_path)])
    made = [*room.glob("__pycache__/ami.*.pyc"), *tmp_path.glob("__pycache__/app.*.pyc")]
    assert len(made) == 2
    assert all(one.stat().st_mode & 0o004 for one in made)
    # A second start finds them, and so does one that could not write them.
    before = [one.stat().st_mtime_ns for one in made]
    main.compile_modules(tmp_path)
    assert [one.stat().st_mtime_ns for one in made] == before


def test_run_hands_over_absolute_paths(ready: list[main.Wants]) -> None:
    with pytest.raises(Became) as became:
        main.main(["run", "--home", "somewhere", "--config", "my.toml"])
    here = Path.cwd()
    assert became.value.args == (
        "-m", "launch.supervise", "--home", f"{here}/somewhere", "--config", f"{here}/my.toml",
    )  # fmt: skip
    assert ready == [main.wants_to_run()]


def test_install_and_doctor_hand_over_what_they_were_told(ready: list[main.Wants]) -> None:
    here = Path.cwd()
    with pytest.raises(Became) as became:
        main.main(["install", "--root", "image", "--user", "anna"])
    assert became.value.args == (
        "-m", "launch.install", "--home", "/var/lib/careline", "--user", "anna",
        "--root", f"{here}/image",
    )  # fmt: skip
    with pytest.raises(Became) as became:
        main.main(["doctor", "--home", "somewhere", "--json"])
    assert became.value.args == ("-m", "launch.doctor", "--home", f"{here}/somewhere", "--json")
    assert ready == [main.wants_to_run()], "the doctor changes no environment that is there"


def test_the_doctor_makes_an_environment_where_there_is_none(
    ready: list[main.Wants], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(main, "Environment", lambda: Environment(tmp_path))
    with pytest.raises(Became):
        main.main(["doctor"])
    assert ready == [main.Wants(Kind.RUN)]


def test_a_bench_gets_asterisk_and_all_its_words(ready: list[main.Wants]) -> None:
    with pytest.raises(Became) as became:
        main.main(["bench", "calls", "--calls", "7", "--json"])
    assert became.value.args == ("-m", "tests.bench", "calls", "--calls", "7", "--json")
    assert (ready[0].asterisk, ready[0].environment) == (True, Kind.DEV)


@pytest.mark.parametrize(("root", "home"), [(True, "/var/lib/careline"), (False, "/data/careline")])
def test_everybody_has_a_home(
    ready: list[main.Wants], monkeypatch: pytest.MonkeyPatch, root: bool, home: str
) -> None:
    monkeypatch.setattr(main, "is_root", lambda: root)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    with pytest.raises(Became) as became:
        main.main(["run"])
    assert became.value.args == ("-m", "launch.supervise", "--home", home)


def test_the_words_after_the_dashes_are_pytests(ready: list[main.Wants]) -> None:
    with pytest.raises(Became) as became:
        main.main(["test", "unit", "--", "-k", "order", "--", "-x"])
    assert became.value.args == ("-m", "pytest", "tests/unit", "-k", "order", "--", "-x")
    assert ready == [main.Wants(Kind.DEV)]


def test_the_full_matrix_is_for_the_faults_alone(
    ready: list[main.Wants], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["test", "--full"]) == main.CANNOT_PREPARE
    assert "Run ./careline test faults --full" in capsys.readouterr().err
    with pytest.raises(Became) as became:
        main.main(["test", "faults", "--full"])
    assert became.value.args == ("-m", "pytest", "tests/faults", "--full")


def test_a_part_with_a_telephone_gets_asterisk() -> None:
    wants = main.wants_to_test(["unit", "asterisk"])
    assert wants.asterisk
    assert {"ffmpeg", "postgresql"} <= set(wants.packages)


def test_an_unknown_part_is_named(
    ready: list[main.Wants], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["test", "everything"]) == main.CANNOT_PREPARE
    assert "there is no part 'everything'" in capsys.readouterr().err
    assert ready == []


def test_no_command_shows_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main.main([])
    assert left.value.code == main.CANNOT_PREPARE
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SetupError("no."), 2, "careline: no."),
        (OSError(errno.ENOSPC, "No space", "/x"), 2, "the disk is full (/x).\n    Make room"),
        (PermissionError(errno.EACCES, "no", "/x"), 2, "no permission to write there (/x)"),
        (OSError(errno.EIO, "Input/output error", "/x"), 2, "Input/output error (/x)"),
        (KeyboardInterrupt(), 130, "stopped; what was half done"),
    ],
)
def test_whatever_stops_it_is_one_message(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    def work() -> int:
        raise error

    monkeypatch.setattr(steps, "stop_all", lambda: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert main.guarded(work) == code
    assert said in capsys.readouterr().err
