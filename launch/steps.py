"""What every set-up step shares: the plain line, the programs it runs, and how it fails."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent
LAST_LINES: Final = 6

_running: set[subprocess.Popen[str]] = set()
_stopping = threading.Event()


class SetupError(Exception):
    """The machine cannot be made ready; the text says what happened and what to do about it.

    The launcher prints it as it is and leaves with exit code 2.
    """


def say(line: str) -> None:
    """Tell the person at the terminal what is being done; stdout is kept for results."""
    print(f"careline: {line}", file=sys.stderr, flush=True)


def is_root() -> bool:
    """Whether system packages and users can be changed here."""
    return os.geteuid() == 0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code and everything that it printed."""

    code: int
    text: str

    def last_lines(self) -> str:
        """The end of what it printed, indented, for a message to a person."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        return "\n".join(f"    {line}" for line in lines[-LAST_LINES:])


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    keep_open: Sequence[int] = (),
) -> Ended:
    """Run a program to its end and keep what it prints.

    It gets a session of its own, so that Ctrl-C reaches the launcher alone, which then ends
    everything that it started; and English messages, since failures are told apart by them.
    """
    # Root's PATH lacks the sbin folders after a plain su.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    full = {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8", "LANGUAGE": "en", **(env or {})}
    if _stopping.is_set():
        raise KeyboardInterrupt
    program = subprocess.Popen(
        argv,
        env=full,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        pass_fds=tuple(keep_open),
    )
    _running.add(program)
    try:
        text = program.communicate()[0]
    finally:
        _running.discard(program)
    return Ended(program.returncode, text)


def stop_all() -> None:
    """End every program that `run` still waits for, and let none start any more."""
    _stopping.set()
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        for program in tuple(_running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, how)
        until = time.monotonic() + 5
        while any(program.poll() is None for program in tuple(_running)):
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def only_one(lock: Path, waiting: str) -> Iterator[int]:
    """Hold a lock file while a step runs; `waiting` is said when another start holds it.

    The descriptor that is yielded can be handed to a program through `run(keep_open=...)`:
    the lock then lives as long as that program, even when the launcher is killed before it.
    """
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _locked(handle):
            say(waiting)
            # A blocked flock in a thread would not notice Ctrl-C.
            while not _locked(handle):
                if _stopping.wait(0.2):
                    raise KeyboardInterrupt
        yield handle
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def need_space(folder: Path, megabytes: int, what: str) -> None:
    """Refuse to begin what cannot end for want of space in `folder`."""
    free = shutil.disk_usage(folder).free // 1_000_000
    if free < megabytes:
        raise SetupError(
            f"{what} needs about {megabytes} MB in {folder}, where only {free} MB are free.\n"
            "    Make room there, then start again."
        )


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that a crash leaves the old one or the new one, never a part."""
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


_FULL: Final = "the disk is full"
_FORBIDDEN: Final = "there is no permission to write there"
_OFFLINE: Final = "the package server cannot be reached"
_CAUSES: Final = {
    _FULL: r"No space left on device|Disk quota exceeded|not have enough free space",
    _FORBIDDEN: r"Permission denied|Read-only file system",
    _OFFLINE: r"Could not resolve|Temporary failure|Could not connect|Network is unreachable"
    r"|Connection (refused|timed out|reset)|NewConnectionError|NameResolutionError"
    r"|Failed to fetch|Unable to connect|No address associated",
}
_WAYS_OUT: Final = {
    _FULL: "Make room, then start again; what was half done is made anew.",
    _FORBIDDEN: "Start it as the user who owns the place, or "
    "give that user the right to write there.",
    _OFFLINE: "Check the network (and http_proxy, https_proxy "
    "where a proxy is needed), then start again.",
}


def failed(what: str, ended: Ended) -> SetupError:
    """The error for a program that failed: its cause when it is a known one, and a way out."""
    for cause, pattern in _CAUSES.items():
        if re.search(pattern, ended.text):
            return SetupError(
                f"{what} failed: {cause}.\n{ended.last_lines()}\n    {_WAYS_OUT[cause]}"
            )
    return SetupError(
        f"{what} failed (exit code {ended.code}); the last lines were:\n{ended.last_lines()}\n"
        "    Put right what they name, then start again."
    )


def from_os_error(error: OSError) -> SetupError:
    """The same sentences for an error that Python itself met while writing."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        cause = _FULL
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        cause = _FORBIDDEN
    else:
        return SetupError(f"set-up failed: {error.strerror or error}{where}.")
    return SetupError(f"set-up failed: {cause}{where}.\n    {_WAYS_OUT[cause]}")
