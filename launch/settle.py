"""What has to be true before anything runs in a home: its folders, database, and rendered files.

    python -m launch.settle --home DIR [--config FILE]

does it once and ends, which is what careline-prepare.service runs; the supervisor does the same
before it starts anything. An Asterisk that runs already keeps its calls and reads the new files.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from asterisk_conf.instance import AsteriskFailed, Bind, Instance, service_user
from asterisk_conf.ports import AGI_PORT
from asterisk_conf.render import centre_instance, render
from home import PRACTICE, BadHome, Home
from launch import asterisk_tree
from launch.child import ChildFailed
from launch.identity import become_service_user
from launch.processes import of_services
from launch.steps import CHECKOUT, SetupError, say
from practice import choose, is_service, settings_in
from settings import EXAMPLE, BadConfig, Settings, load, split

CANNOT_START: Final = 2
INTERRUPTED: Final = 130


class AlreadyRunning(Exception):
    """Another Careline has this home; the text names it."""


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


def refuse_beside_services(home: Home) -> None:
    """A supervisor beside the systemd services would be a second controller."""
    if pids := of_services(home):
        raise AlreadyRunning(
            f"{home.root} is in use by Careline's services (pid {pids[0]}); `systemctl stop "
            "careline.target` stops them, or name another --home"
        )


def settle_home(
    home: Home, config: Path | None, *, practice: bool = False, as_service: bool = True
) -> tuple[Settings, Path]:
    """Make the home, and the settings file in it at the first start; returns settings and file.

    The settings are those of the home's mode, which the first start decides (`practice.choose`).
    """
    home.prepare()
    file = config or home.config
    if not file.exists() and config is None:
        shutil.copyfile(CHECKOUT / EXAMPLE, file)
        say(f"wrote {file}; every setting is explained there")
    settings = load(file)
    try:
        settings.addresses.tls()
    except BadConfig as wrong:
        raise BadConfig(f"{file}: {wrong}") from None
    if choose(settings, home, asked=practice, as_service=as_service) == PRACTICE:
        say(
            "practice: every call stays in an invented town, and no carrier is loaded; for the "
            f"real centre put a carrier into {file} and name another --home"
        )
    elif not settings.trunks:
        say(f"there is no carrier in {file}: nobody outside can call or be called")
    return settings_in(home, settings), file


def check_ports(settings: Settings) -> None:
    """Our own addresses must be free; Asterisk's are looked at by its instance."""
    for bind in own_binds(settings):
        bind.check()


def own_binds(settings: Settings) -> tuple[Bind, Bind]:
    """Where desk and controller listen."""
    host, port = split(settings.addresses.desk_address)
    internal = settings.addresses.internal
    return (
        Bind(host, port, socket.SOCK_STREAM, "desk", "addresses.desk"),
        Bind(internal, AGI_PORT, socket.SOCK_STREAM, "menus (AGI)", "addresses.host"),
    )


async def settle_database(settings: Settings, home: Home) -> None:
    """Migrate and seed. Raises SetupError."""
    # Loaded only here, when Asterisk boots already: it takes long, and a start should be quick.
    from launch import database

    await database.settle(settings, home)


def settle_asterisk(settings: Settings, home: Home) -> Instance:
    """Write its configuration and the script that starts it; nothing is started or reloaded."""
    asterisk, user = asterisk_tree.find(), service_user()
    render(settings, home, asterisk, user)
    instance = centre_instance(settings, home, asterisk, user)
    instance.write_start()
    return instance


async def adopt(asterisk: Instance, settings: Settings) -> None:
    """Have a running Asterisk read what was rendered, and say what it cannot take over."""
    say("Asterisk was still running from before; its calls go on")
    await asterisk.reload()
    if old := await old_transports(asterisk, settings):
        say(
            f"Asterisk still listens at {old}, for the sake of its calls; "
            f"{settings.addresses.sip_address} counts from its next start"
        )


async def old_transports(asterisk: Instance, settings: Settings) -> str:
    """Where a running Asterisk takes SIP, when the settings say otherwise by now; else ""."""
    told = await asterisk.cli("pjsip show transports")
    binds = [
        words[-1] for line in told.splitlines() if (words := line.split())[:1] == ["Transport:"]
    ]
    found = sorted({bind for bind in binds if bind[-1:].isdigit()})
    return "" if found in ([], [settings.addresses.sip_address]) else ", ".join(found)


async def drain(asterisk: Instance, *, begin: bool) -> None:
    """Refuse new calls from carriers (503), or take them again."""
    with contextlib.suppress(AsteriskFailed):
        await asterisk.cli(f"dialplan set global CARELINE_DRAIN {int(begin)}")


async def settle_all(settings: Settings, home: Home) -> None:
    """Everything, for processes that somebody else starts afterwards."""
    asterisk = settle_asterisk(settings, home)
    await settle_database(settings, home)
    if asterisk.pid is not None:
        await adopt(asterisk, settings)
        await drain(asterisk, begin=False)


def from_command_line(
    doc: str | None, work: Callable[[Settings, Home, Path], None], *, may_practise: bool = False
) -> int:
    """Become the home's user, settle the home, do the work; returns the exit code."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--practice", action="store_true")
    given = parser.parse_args()
    home = Home(given.home)
    # What a home keeps is about people: nobody else on this machine may read it.
    os.umask(0o077)
    try:
        become_service_user(home)
        settings, config = settle_home(
            home, given.config,
            practice=given.practice, as_service=not may_practise or is_service(),
        )  # fmt: skip
        with only_one(home):
            work(settings, home, config)
    except (
        AlreadyRunning, AsteriskFailed, BadConfig, BadHome, ChildFailed, SetupError
    ) as cause:  # fmt: skip
        say(str(cause))
        return CANNOT_START
    except KeyboardInterrupt:
        say("stopped; what was half done is made anew at the next start")
        return INTERRUPTED
    except OSError as cause:
        say(f"{cause.filename or home.root}: {cause.strerror}; mend that and start again")
        return CANNOT_START
    return 0


def main() -> int:
    return from_command_line(
        __doc__, lambda settings, home, _config: asyncio.run(settle_all(settings, home))
    )


if __name__ == "__main__":
    sys.exit(main())
