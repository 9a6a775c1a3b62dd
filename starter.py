"""How one of our processes and whoever started it know of each other: ready, alive, gone.

Under the supervisor standard input is a pipe and the lifeline: when it ends, the supervisor is gone
and a new one may be starting, so we end too. What we say goes to standard output: `ready` once,
then `alive` every second. As a systemd service standard input is /dev/null and is not looked at;
the same two words go to NOTIFY_SOCKET, where systemd's watchdog waits for them.

Both are said by the event loop that does the work: a loop that is stuck, or a process that is
stopped, falls silent, and is killed and started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import stat
import sys
from collections.abc import Callable
from typing import Final

BEAT_S: Final = 1.0
HUNG_AFTER_S: Final = 10
"""So long a process may be silent; three seconds without a processor are no reason to kill it."""


class Starter:
    """The supervisor or systemd, as the process sees it."""

    def __init__(self) -> None:
        self._said_ready = False
        self._holds_lifeline: Final = is_pipe(sys.stdin.fileno())
        self._notify: Final = os.environ.pop("NOTIFY_SOCKET", "")
        if self._holds_lifeline and is_pipe(sys.stdout.fileno()):
            # A starter that stands still must not make us wait for room in its pipe.
            os.set_blocking(sys.stdout.fileno(), False)

    def watch(self, gone: Callable[[], None]) -> None:
        """Call `gone` when the starter is; never as a service."""
        if self._holds_lifeline:
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _look, gone)

    def ready(self) -> None:
        """Say it once; a reconnect to Asterisk is not a new start."""
        if not self._said_ready:
            self._said_ready = True
            # What was loaded until now stays for good: whoever waits for a card need not wait
            # until Python has looked through all of it for what could be thrown away.
            gc.collect()
            gc.freeze()
            self._say("ready", "READY=1")

    async def beat(self) -> None:
        """Say that the event loop runs, for ever."""
        while True:
            await asyncio.sleep(BEAT_S)
            if self._said_ready:
                self._say("alive", "WATCHDOG=1")

    def _say(self, word: str, to_systemd: str) -> None:
        if self._notify:
            # A leading @ stands for Linux's abstract addresses.
            address = self._notify.replace("@", "\0", 1)
            with (
                contextlib.suppress(OSError),
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify,
            ):
                # A systemd that stands still must not make us wait either.
                notify.sendto(to_systemd.encode("ascii"), socket.MSG_DONTWAIT, address)
        else:
            with contextlib.suppress(OSError):
                os.write(sys.stdout.fileno(), f"{word}\n".encode("ascii"))


def is_pipe(descriptor: int) -> bool:
    """Whether another process holds the other end (asyncio uses sockets as pipes)."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _look(gone: Callable[[], None]) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        gone()
