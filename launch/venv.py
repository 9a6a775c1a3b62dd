"""Makes the virtual environment from the lock files, and knows whether it can be trusted."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from launch.steps import CHECKOUT, failed, is_root, need_space, only_one, run, say, write_whole

SYSTEM_PYTHON: Final = Path("/usr/bin/python3")
BUILD_LOCK: Final = "requirements-build.lock"


class Kind(StrEnum):
    """What the environment is for; `DEV` holds all of `RUN`, with the tools of test and check."""

    RUN = "run"
    DEV = "dev"


LOCKS: Final = {Kind.RUN: "requirements.lock", Kind.DEV: "requirements-dev.lock"}
SPACE_MB: Final = {Kind.RUN: 350, Kind.DEV: 700}


@dataclass(frozen=True, slots=True)
class Base:
    """The Python that an environment is made from."""

    path: Path
    version: str
    has_ensurepip: bool


@cache
def base_python() -> Base:
    """The launching Python, or the system's where users other than root could not run it.

    Asterisk runs as a user of its own and starts our fallback script with the environment's
    Python: one in root's home would fail there, in the very moment when it is the last help.
    """
    own = Base(
        Path(sys.executable).resolve(),
        f"{sys.version_info.major}.{sys.version_info.minor}",
        importlib.util.find_spec("ensurepip") is not None,
    )
    if not is_root() or all_may_run(own.path):
        return own
    return _asked(SYSTEM_PYTHON) or own


def all_may_run(program: Path) -> bool:
    """Whether every user of this machine can reach and run the program."""
    reachable = all(folder.stat().st_mode & stat.S_IXOTH for folder in program.parents)
    return reachable and bool(program.stat().st_mode & stat.S_IXOTH)


def _asked(python: Path) -> Base | None:
    """What a Python that is not the running one says of itself; None when it is too old."""
    question = (
        "import sys, importlib.util as u;"
        "print('%d.%d' % sys.version_info[:2], u.find_spec('ensurepip') is not None,"
        "sys.version_info >= (3, 11))"
    )
    try:
        told = subprocess.run(
            [python, "-I", "-S", "-c", question], capture_output=True, text=True, check=False
        ).stdout.split()
    except OSError:
        return None
    if len(told) != 3 or told[2] != "True":
        return None
    return Base(python, told[0], told[1] == "True")


@dataclass(frozen=True, slots=True)
class Environment:
    """The virtual environment of one checkout."""

    checkout: Path = CHECKOUT

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.checkout / ".venv"

    @property
    def python(self) -> Path:
        """The interpreter that everything of Careline runs in."""
        return self.folder / "bin/python"

    def program(self, name: str) -> str:
        """A command-line tool that is installed in the environment."""
        return str(self.folder / "bin" / name)

    def is_ready(self, kind: Kind) -> bool:
        """Whether it was finished with today's lock files, this Python, and in this place."""
        try:
            stamped = self._stamp(kind).read_text(encoding="ascii")
        except (OSError, ValueError):
            return False
        return stamped == self._fingerprint(kind) and os.access(self.python, os.X_OK)

    def make(self, kind: Kind) -> None:
        """Make or complete it; nothing without a matching stamp is ever used."""
        if self.is_ready(kind):
            return
        waiting = "another start is making the virtual environment; waiting for it"
        with only_one(self.checkout / ".venv.lock", waiting):
            if self.is_ready(kind):
                return
            on_top = self.is_ready(Kind.RUN) and not self._stamp(Kind.DEV).exists()
            try:
                self._build(kind, on_top=on_top)
            except BaseException:
                if not on_top:
                    shutil.rmtree(self.folder, ignore_errors=True)
                raise

    def _build(self, kind: Kind, *, on_top: bool) -> None:
        if not on_top and self.folder.exists():
            say("removing .venv: it is unfinished, or its lock file has changed")
            shutil.rmtree(self.folder)
        need_space(self.checkout, SPACE_MB[kind], "the virtual environment")
        say(f"installing {LOCKS[kind]} into .venv")
        if not on_top:
            self._lay()
        if kind is Kind.DEV:
            self._pip(BUILD_LOCK)
        self._pip(LOCKS[kind], "--no-build-isolation", "--use-pep517")
        # A machine that loses power right after the stamp must not find empty modules.
        os.sync()
        for done in (Kind.RUN, kind):
            write_whole(self._stamp(done), self._fingerprint(done))

    def _lay(self) -> None:
        """Make the empty environment; in two steps, since venv keeps back why pip failed."""
        base = str(base_python().path)
        for argv in (
            [base, "-m", "venv", "--without-pip", str(self.folder)],
            [str(self.python), "-I", "-m", "ensurepip", "--default-pip"],
        ):
            ended = run(argv)
            if ended.code != 0:
                raise failed("making the virtual environment", ended)

    def _pip(self, lock: str, *options: str) -> None:
        """Install a lock file; only what matches its hashes gets in."""
        ended = run(
            [
                str(self.python),
                "-I",
                "-m",
                "pip",
                "install",
                "--no-input",
                "--disable-pip-version-check",
                "--progress-bar=off",
                "--require-hashes",
                *options,
                "-r",
                str(self.checkout / lock),
            ],
            env={"PIP_USER": "0"},
        )
        if ended.code != 0:
            raise failed(f"installing {lock}", ended)

    def _stamp(self, kind: Kind) -> Path:
        return self.folder / f"careline-{kind}.stamp"

    def _fingerprint(self, kind: Kind) -> str:
        """Changes with the lock files, the Python and the place: environments cannot be moved.

        One that is linked to lies where the link leads: two checkouts may share it.
        """
        digest = hashlib.sha256(f"{self.folder.resolve()}\n{base_python().version}\n".encode())
        # What is for the tests holds what is for running: a change there makes it old too.
        locks = (LOCKS[Kind.RUN], *([LOCKS[Kind.DEV], BUILD_LOCK] if kind is Kind.DEV else []))
        for lock in locks:
            digest.update((self.checkout / lock).read_bytes())
        return digest.hexdigest()
