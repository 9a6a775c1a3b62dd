"""Finds Careline's processes in a home by their command lines, whoever started them."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from home import Home

NAMES: Final = ("controller", "desk", "worker")
STOPPED: Final = ("T", "t")


def find(home: Home, name: str) -> list[int]:
    """The pids of `app.py NAME --home HOME`."""
    ours = os.fsencode(home.root)
    return [
        pid
        for pid, words in _command_lines()
        if ours in words and name.encode() in words and any(w.endswith(b"app.py") for w in words)
    ]


def of_services(home: Home) -> list[int]:
    """Those that no supervisor holds by a pipe: systemd's."""
    return [pid for name in NAMES for pid in find(home, name) if not _has_lifeline(pid)]


def stands_still(pid: int) -> bool:
    """Whether somebody has stopped the process (SIGSTOP, a debugger)."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return False
    return told[0] in STOPPED


def _command_lines() -> Iterator[tuple[int, list[bytes]]]:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield int(entry.parent.name), entry.read_bytes().split(b"\0")


def _has_lifeline(pid: int) -> bool:
    try:
        mode = Path(f"/proc/{pid}/fd/0").stat().st_mode
    except OSError:
        # Another user's process, or one that has just ended: it is not for us to refuse.
        return True
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
