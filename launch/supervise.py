"""Starts everything in a home and keeps it running: Asterisk and Careline's three processes.

Runs in the virtual environment, after the launcher made the machine ready. What dies is started
again. Ctrl-C stops all; while people talk the first one only drains: new calls are refused, so that
the carrier delivers them elsewhere, and the last talk ends everything. When this process is killed,
Asterisk goes on, Careline's processes end, and the next start takes Asterisk over.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from argon2 import PasswordHasher

from asterisk_conf.instance import AsteriskFailed, Bind, Instance, service_user
from asterisk_conf.render import AGI_PORT, centre_instance, render
from control import Controller
from home import BadHome, Home
from launch import asterisk_tree
from launch.child import Child, ChildFailed
from launch.steps import CHECKOUT, SetupError, say
from settings import EXAMPLE, BadConfig, Settings, load, split
from sql.engine import Database
from sql.migrate import BadDatabase, first_admin, seed, upgrade

CANNOT_START: Final = 2
CHILDREN: Final = ("controller", "desk", "worker")
HANG_UP_S: Final = 2.0
ASTERISK_PAUSE_S: Final = 0.5
CHANNELS: Final = re.compile(r"^(\d+) active channels?", re.MULTILINE)


class AlreadyRunning(Exception):
    """Another supervisor has this home; the text names it."""


@contextlib.contextmanager
def only_one(home: Home) -> Iterator[None]:
    """Hold the home's lock; it goes with this process, however that ends."""
    lock = (home.run / "lock").open("a+")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(
                f"{home.root} is in use by the Careline with pid {lock.read().strip()}; stop that "
                "one, or name another --home"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def settle_home(home: Home, config: Path | None) -> tuple[Settings, Path]:
    """Make the home, and the settings file in it at the first start; returns settings and file."""
    home.prepare()
    file = config or home.config
    if not file.exists() and config is None:
        shutil.copyfile(CHECKOUT / EXAMPLE, file)
        say(f"wrote {file}; every setting is explained there")
    return load(file), file


def check_ports(settings: Settings) -> None:
    """Our own addresses must be free; Asterisk's are looked at by its instance."""
    host, port = split(settings.addresses.desk_address)
    Bind(host, port, socket.SOCK_STREAM, "desk", "addresses.desk").check()
    where = "addresses.host"
    Bind(settings.addresses.internal, AGI_PORT, socket.SOCK_STREAM, "menus (AGI)", where).check()


async def settle_database(settings: Settings, home: Home) -> None:
    """Migrate and seed; the first admin's password is said once, when it is made."""
    url = settings.database_url(home.root)
    await asyncio.to_thread(upgrade, url)
    database = Database(url)
    try:
        await seed(
            database,
            {site.code: site.name for site in settings.sites},
            {seat.extension: (seat.name, seat.site) for seat in settings.seats},
        )
        password = secrets.token_urlsafe(12)
        hashed = await asyncio.to_thread(PasswordHasher().hash, password)
        shown = f"first sign-in at the desk: user admin, password {password}   (shown only once)"
        await first_admin(database, hashed, partial(say, shown))
    finally:
        await database.close()


class House:
    """Everything that runs in one home."""

    def __init__(self, settings: Settings, home: Home, config: Path) -> None:
        self.settings: Final = settings
        self.home: Final = home
        asterisk, user = asterisk_tree.find(), service_user()
        render(settings, home, asterisk, user)
        self.asterisk: Final[Instance] = centre_instance(settings, home, asterisk, user)
        words = ["--home", str(home.root), "--config", str(config)]
        self.children: Final = [Child(name, words, home.logs) for name in CHILDREN]
        self._keeping: Final[list[asyncio.Task[Any]]] = []
        # Until a start has found out: what runs there may have people on the line.
        self._adopted = self.asterisk.pid is not None

    async def start(self) -> None:
        """Return when all of it serves. Raises what keeps it from starting."""
        if self.asterisk.pid is None:
            check_ports(self.settings)
        await asyncio.gather(self._start_asterisk(), settle_database(self.settings, self.home))
        await asyncio.gather(*(child.start() for child in self.children))
        for child in self.children:
            self._keeping.append(asyncio.ensure_future(child.keep()))
        self._keeping.append(asyncio.ensure_future(self._keep_asterisk()))

    async def _start_asterisk(self) -> None:
        self._adopted = not await self.asterisk.start()
        if self._adopted:
            say("Asterisk was still running from before; its calls go on")
            await self.asterisk.reload()
        await self.drain(begin=False)

    async def _keep_asterisk(self) -> None:
        while True:
            await self.asterisk.wait()
            say("Asterisk ended; it is started again")
            try:
                await self.asterisk.start()
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

    async def drain(self, *, begin: bool) -> None:
        """Refuse new calls from carriers (503), or take them again."""
        with contextlib.suppress(AsteriskFailed):
            await self.asterisk.cli(f"dialplan set global CARELINE_DRAIN {int(begin)}")

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
                await asyncio.wait_for(self._silent(), HANG_UP_S)
                await asyncio.wait_for(self._noted(), HANG_UP_S)
        await asyncio.gather(*(child.stop() for child in self.children))
        await self.asterisk.stop()

    async def _noted(self) -> None:
        """Return when the controller has saved the end of every call."""
        link = Controller(self.home.control_socket, self.home.secret("control"))
        try:
            calls: set[str] = set()
            async for message in link.feed():
                if message["kind"] == "snapshot":
                    calls = {call["id"] for call in message["data"]["calls"]}
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
    try:
        await asking
        if live := await house.channels():
            await house.drain(begin=True)
            say(f"draining: {live} channels are up, new calls are refused; Ctrl-C again stops now")
            await until_silent_or_asked(house, asked)
    finally:
        asking.cancel()
        await house.stop()


async def until_silent_or_asked(house: House, asked: asyncio.Queue[None]) -> None:
    while await house.channels():
        try:
            await asyncio.wait_for(asked.get(), 0.5)
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
    }
    print(json.dumps(line), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    given = parser.parse_args()
    home = Home(given.home)
    # What a home keeps is about people: nobody else on this machine may read it.
    os.umask(0o077)
    try:
        settings, config = settle_home(home, given.config)
        with only_one(home):
            asyncio.run(run_house(House(settings, home, config)))
    except (
        AlreadyRunning, AsteriskFailed, BadConfig, BadDatabase, BadHome, ChildFailed, SetupError
    ) as cause:  # fmt: skip
        say(str(cause))
        return CANNOT_START
    except OSError as cause:
        say(f"{cause.filename or home.root}: {cause.strerror}; mend that and start again")
        return CANNOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main())
