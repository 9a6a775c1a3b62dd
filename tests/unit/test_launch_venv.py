"""When a virtual environment is trusted, and what becomes of one that is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from launch import venv
from launch.steps import CHECKOUT, Ended, SetupError
from launch.venv import Environment, Kind


class Installer:
    """Stands in for `python -m venv` and pip; fails at the lock file that it is told."""

    def __init__(self, fails_at: str = "") -> None:
        self.fails_at = fails_at
        self.installed: list[str] = []

    def __call__(self, argv: Sequence[str], **_more: object) -> Ended:
        if "venv" in argv:
            python = Path(argv[-1]) / "bin/python"
            python.parent.mkdir(parents=True)
            python.touch(mode=0o755)
        if "pip" not in argv:
            return Ended(0, "")
        assert "--require-hashes" in argv
        name = Path(argv[-1]).name
        if name == self.fails_at:
            return Ended(1, "OSError: [Errno 28] No space left on device\n")
        self.installed.append(name)
        return Ended(0, "")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """A checkout with lock files and no environment yet."""
    for lock in (*venv.LOCKS.values(), venv.BUILD_LOCK):
        (tmp_path / lock).write_text(f"{lock}\n")
    monkeypatch.setattr(venv, "SPACE_MB", {Kind.RUN: 0, Kind.DEV: 0})
    return Environment(tmp_path)


def install_with(monkeypatch: pytest.MonkeyPatch, fails_at: str = "") -> Installer:
    """Put the stand-in where the launcher starts its programs."""
    installer = Installer(fails_at)
    monkeypatch.setattr(venv, "run", installer)
    return installer


def test_made_once_it_is_ready(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    installer = install_with(monkeypatch)
    environment.make(Kind.RUN)
    environment.make(Kind.RUN)
    assert environment.is_ready(Kind.RUN)
    assert not environment.is_ready(Kind.DEV)
    assert installer.installed == ["requirements.lock"]


def test_the_tools_come_on_top(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    installer = install_with(monkeypatch)
    environment.make(Kind.RUN)
    kept = environment.folder / "kept"
    kept.touch()
    environment.make(Kind.DEV)
    assert kept.exists()
    assert installer.installed[1:] == ["requirements-build.lock", "requirements-dev.lock"]
    assert environment.is_ready(Kind.RUN)
    assert environment.is_ready(Kind.DEV)


def test_a_half_finished_one_is_removed(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    leftover = environment.folder / "lib/leftover"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    assert not environment.is_ready(Kind.RUN)
    install_with(monkeypatch)
    environment.make(Kind.RUN)
    assert not leftover.exists()
    assert environment.is_ready(Kind.RUN)


def test_a_changed_lock_file_makes_it_anew(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for the tests holds what runs: else the next start would remove it under the tests."""
    install_with(monkeypatch)
    environment.make(Kind.DEV)
    (environment.checkout / "requirements.lock").write_text("other\n")
    assert not environment.is_ready(Kind.RUN)
    assert not environment.is_ready(Kind.DEV)
    environment.make(Kind.RUN)
    assert environment.is_ready(Kind.RUN)
    assert not environment.is_ready(Kind.DEV)
    environment.make(Kind.DEV)
    assert environment.is_ready(Kind.RUN)


def test_it_is_not_trusted_without_its_python_or_in_another_place(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_with(monkeypatch)
    environment.make(Kind.RUN)
    moved = Environment(tmp_path / "moved")
    moved.checkout.mkdir()
    for path in environment.checkout.glob("*.lock"):
        (moved.checkout / path.name).write_bytes(path.read_bytes())
    environment.folder.rename(moved.folder)
    assert not moved.is_ready(Kind.RUN)
    moved.folder.rename(environment.folder)
    assert environment.is_ready(Kind.RUN)
    environment.python.unlink()
    environment.python.symlink_to("/no/such/python")
    assert not environment.is_ready(Kind.RUN)


def test_a_failure_leaves_nothing(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_with(monkeypatch, fails_at="requirements.lock")
    with pytest.raises(SetupError, match="the disk is full"):
        environment.make(Kind.RUN)
    assert not environment.folder.exists()


def test_a_failure_on_top_leaves_what_runs(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_with(monkeypatch)
    environment.make(Kind.RUN)
    install_with(monkeypatch, fails_at="requirements-dev.lock")
    with pytest.raises(SetupError):
        environment.make(Kind.DEV)
    assert environment.is_ready(Kind.RUN)
    assert not environment.is_ready(Kind.DEV)


def test_a_python_in_a_closed_folder_is_not_for_all(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    python = closed / "python3"
    python.touch(mode=0o755)
    closed.chmod(0o700)
    assert not venv.all_may_run(python)
    assert venv.all_may_run(Path("/bin/sh").resolve())


def test_hashes_stand_at_every_requirement() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock", "requirements-build.lock"):
        lines = (CHECKOUT / lock).read_text().replace("\\\n", "").splitlines()
        assert lines
        assert all("==" in line and "--hash=sha256:" in line for line in lines)


def test_what_runs_is_pinned_alike_in_both_lock_files() -> None:
    def pins(lock: str) -> set[str]:
        lines = (CHECKOUT / lock).read_text().splitlines()
        return {line.removesuffix(" \\") for line in lines if "==" in line}

    assert pins("requirements.lock") <= pins("requirements-dev.lock")
