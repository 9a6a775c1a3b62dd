"""Starts everything in a home and keeps it running: Asterisk and Careline's three processes.

Without a carrier in the settings, or with --practice, the practice town is kept beside them.

Runs in the virtual environment, after the launcher made the machine ready. What dies is started
again. Ctrl-C stops all; while people talk the first one only drains: new calls are refused, so that
the carrier delivers them elsewhere, and the last talk ends everything. When this process is killed,
Asterisk goes on, Careline's processes end, and the next start takes Asterisk over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import resource
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import precedence
from asterisk_conf.instance import AsteriskFailed, Instance
from home import PRACTICE, Home
from launch.asterisk_logs import keep_short
from launch.child import Child
from launch.processes import NAMES
from launch.settle import (
    adopt,
    check_ports,
    drain,
    from_command_line,
    refuse_beside_services,
    settle_asterisk,
    settle_database,
)
from launch.steps import say
from launch.town import PracticeTown
from settings import Settings

HANG_UP_S: Final = 2.0
ASTERISK_PAUSE_S: Final = 0.5
OPEN_FILES: Final = 65_536
"""As many as the units allow (launch/units.py)."""
CHANNELS: Final = re.compile(r"^(\d+) active channels?", re.MULTILINE)


class House:
    """Everything that runs in one home."""

    def __init__(self, settings: Settings, home: Home, config: Path) -> None:
        self.settings: Final = settings
        self.home: Final = home
        self.asterisk: Final[Instance] = settle_asterisk(settings, home)
        words = ["--home", str(home.root), "--config", str(config)]
        self.children: Final = [Child(name, words, home.logs) for name in NAMES]
        self.town: Final = (
            PracticeTown(settings, home, self.asterisk, words) if home.mode == PRACTICE else None
        )
        self._keeping: Final[list[asyncio.Task[Any]]] = []
        self._town_keeping: asyncio.Task[None] | None = None
        # Until a start has found out: what runs there may have people on the line.
        self._adopted = self.asterisk.pid is not None

    async def start(self) -> None:
        """Return when all of it serves. Raises what keeps it from starting."""
        if self.asterisk.pid is None:
            check_ports(self.settings)
        asterisk = asyncio.ensure_future(self._start_asterisk())
        try:
            with self.home.settling():
                # They load while Asterisk boots and the database is made ready.
                for child in self.children:
                    await child.spawn()
                await settle_database(self.settings, self.home)
            await asyncio.gather(asterisk, *(child.serves() for child in self.children))
        finally:
            asterisk.cancel()
        for child in self.children:
            self._keeping.append(asyncio.ensure_future(child.keep()))
        self._keeping.append(asyncio.ensure_future(self._keep_asterisk()))
        self._keeping.append(asyncio.ensure_future(keep_short(self.asterisk)))

    def open_town(self) -> None:
        """Begin to practise, where it is practised; nobody waits for the town."""
        if self.town:
            self._town_keeping = asyncio.ensure_future(self.town.keep())

    async def close_town(self) -> None:
        """The town's calls end, and no more come."""
        if self._town_keeping:
            self._town_keeping.cancel()
            await asyncio.wait((self._town_keeping,))
        if self.town:
            await self.town.stop()

    async def _start_asterisk(self) -> None:
        self._adopted = not await self.asterisk.start()
        await self._put_asterisk_first()
        if self._adopted:
            await adopt(self.asterisk, self.settings)
            await drain(self.asterisk, begin=False)

    async def _put_asterisk_first(self) -> None:
        if pid := self.asterisk.pid:
            await precedence.give(precedence.FIRST, pid)

    async def _keep_asterisk(self) -> None:
        while True:
            await self.asterisk.wait()
            say("Asterisk ended; it is started again")
            try:
                await self.asterisk.start()
                await self._put_asterisk_first()
            except (AsteriskFailed, OSError) as cause:
                # A full disk, say: it is tried again until somebody has mended it.
                say(str(cause))
            await asyncio.sleep(ASTERISK_PAUSE_S)

    async def channels(self) -> int:
        """How many channels are up; one that lives and does not answer may have some."""
        if self.asterisk.pid is None:
            return 0
        try:
            found = CHANNELS.search(await self.asterisk.cli("core show channels count"))
        except AsteriskFailed:
            return 1
        return int(found[1]) if found else 1

    async def give_up(self) -> None:
        """A start that failed ends what it began; an Asterisk from before keeps its calls."""
        await asyncio.gather(*(child.stop() for child in self.children))
        if not self._adopted:
            await self.asterisk.stop()
        elif self.asterisk.pid is not None:
            say(
                f"Asterisk (pid {self.asterisk.pid}) goes on with its calls; mend this, start again"
            )

    async def stop(self) -> None:
        """Hang up what is left, let the controller note it, then end everything."""
        for task in self._keeping:
            task.cancel()
        if await self.channels():
            with contextlib.suppress(AsteriskFailed):
                await self.asterisk.cli("channel request hangup all")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HANG_UP_S):
                    await self._silent()
        # Also of a call that has just ended by itself: its end is on its way still.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HANG_UP_S):
                await self._noted()
        await asyncio.gather(*(child.stop() for child in self.children))
        await self.asterisk.stop()

    async def _noted(self) -> None:
        """Return when the controller has saved the end of every call."""
        # Not at the top: nothing of it is needed at a start, which should be quick.
        from control import Controller

        link = Controller(self.home.control_socket, self.home.secret("control"))
        try:
            calls: set[str] = set()
            async for message in link.feed("call"):
                if message["kind"] == "snapshot":
                    heard = (*message["data"]["calls"], *message["data"]["arrived"])
                    calls = {call["id"] for call in heard}
                elif message["kind"] == "call" and message["data"]["state"] == "ended":
                    calls.discard(message["data"]["id"])
                if not calls:
                    return
        finally:
            await link.close()

    async def _silent(self) -> None:
        # Asterisk is asked on its console, which tells nothing by itself.
        while await self.channels():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def run_house(house: House) -> None:
    """Run until Ctrl-C (or SIGTERM, or a closed terminal); with live calls the first one drains."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Queue[None] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, partial(asked.put_nowait, None))
    starting = asyncio.ensure_future(house.start())
    asking = asyncio.ensure_future(asked.get())
    try:
        await asyncio.wait((starting, asking), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
        await starting
    except BaseException as cause:
        asking.cancel()
        await house.give_up()
        if isinstance(cause, asyncio.CancelledError):
            return
        raise
    announce(house)
    house.open_town()
    try:
        await asking
        await house.close_town()
        if live := await house.channels():
            await drain(house.asterisk, begin=True)
            say(f"draining: {live} channels are up, new calls are refused; Ctrl-C again stops now")
            await until_silent_or_asked(house, asked)
    finally:
        asking.cancel()
        await house.stop()


async def until_silent_or_asked(house: House, asked: asyncio.Queue[None]) -> None:
    while await house.channels():
        try:
            async with asyncio.timeout(0.5):
                await asked.get()
        except TimeoutError:
            continue
        else:
            return


def announce(house: House) -> None:
    """The one line that a program waits for."""
    addresses = house.settings.addresses
    scheme = "https" if addresses.desk_certificate else "http"
    line = {
        "ready": True,
        "desk": f"{scheme}://{addresses.desk_address}",
        "sip": addresses.sip_address,
        "home": str(house.home.root),
        "mode": house.home.mode,
    }
    print(json.dumps(line), flush=True)


def allow_open_files() -> None:
    """A shell's limit is for people: Asterisk has about ten files open for each call."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    if now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def main() -> int:
    def run(settings: Settings, home: Home, config: Path) -> None:
        refuse_beside_services(home)
        allow_open_files()
        asyncio.run(run_house(House(settings, home, config)))

    return from_command_line(__doc__, run, may_practise=True)


if __name__ == "__main__":
    sys.exit(main())
