"""One of Careline's processes: started, awaited until it serves, started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from launch.steps import CHECKOUT, say
from starter import BEAT_S, HUNG_AFTER_S

READY_S: Final = 30.0
START_LIMIT_S: Final = 120
"""Who was started again and does not come to serve in this time is started once more: also while
the database is away, which costs nothing. Never the controller: it may lead an emergency."""
STOP_S: Final = 6.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
STEADY_S: Final = 30.0


class ChildFailed(Exception):
    """A process does not come to serve; the text holds the end of its log."""


class Child:
    """`app.py NAME` with these words. Its standard input is its lifeline: it ends with ours.

    It says `ready` when it serves, and then every second that it lives; one that falls silent for
    HUNG_AFTER_S is killed, and so is one that hangs before, except the controller.
    """

    def __init__(self, name: str, words: Sequence[str], logs: Path) -> None:
        self.name: Final = name
        self._words: Final = tuple(words)
        self._logs: Final = logs
        self._process: asyncio.subprocess.Process | None = None

    async def serves(self) -> None:
        """Return when it says that it serves. Raises ChildFailed."""
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(READY_S):
                said = await self._process.stdout.readline()
        except TimeoutError:
            said = b""
        if said.strip() != b"ready":
            raise ChildFailed(f"the {self.name} does not start; the end of its log:\n{self._log()}")

    async def spawn(self) -> None:
        """Start the process; it may take a while until it serves."""
        with (self._logs / f"{self.name}.out").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(CHECKOUT / "app.py"),
                self.name,
                *self._words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                cwd=CHECKOUT,
                # Ctrl-C at the terminal is for the supervisor, which then decides.
                start_new_session=True,
            )

    def _log(self) -> str:
        lines: list[str] = []
        for suffix in ("log", "out"):
            with contextlib.suppress(OSError):
                text = (self._logs / f"{self.name}.{suffix}").read_text("utf-8", "replace")
                lines += text.splitlines()[-8:]
        return "\n".join(f"    {line}" for line in lines) or "    (it is empty)"

    async def keep(self) -> None:
        """Start it again whenever it dies; in growing pauses while it dies at once."""
        pause, since = FIRST_PAUSE_S, time.monotonic()
        serves = True
        while True:
            code = await self._ended(serves=serves)
            serves = False
            if time.monotonic() - since > STEADY_S:
                pause = FIRST_PAUSE_S
            say(f"the {self.name} ended ({code}); it is started again")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)
            since = time.monotonic()
            try:
                await self.spawn()
            except OSError as cause:
                say(f"the {self.name} cannot be started: {cause}; it is tried again")

    async def _ended(self, *, serves: bool) -> int:
        """The exit code, once there is one; whoever fell silent, or never serves, is killed.

        Seconds are counted by our own looks: had this machine slept, nobody would be to blame.
        """
        process = self._process
        assert process is not None
        assert process.stdout is not None
        silent = 0
        while process.returncode is None:
            try:
                async with asyncio.timeout(BEAT_S):
                    said = await process.stdout.readline()
            except TimeoutError:
                silent += 1
            else:
                if not said:
                    break
                serves, silent = True, 0
            if silent > self._patience(serves=serves):
                say(f"the {self.name} has not stirred for {silent} s; it is killed")
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                break
        return await process.wait()

    def _patience(self, *, serves: bool) -> float:
        """How many seconds it may be silent."""
        if serves:
            return HUNG_AFTER_S
        return math.inf if self.name == "controller" else START_LIMIT_S

    async def stop(self) -> None:
        """Ask it to end, and end it when it does not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
