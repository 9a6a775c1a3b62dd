"""The composition root: builds the processes of Careline and runs one of them.

    python app.py controller|desk|worker|practice --home DIR [--config FILE]

Each says when it is ready, and every second that it lives, to whoever started it (starter.py).
Each loads its own rooms only, so that it starts faster and stays smaller.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import logging.handlers
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

import precedence
from home import PRACTICE, BadHome, Home
from practice import settings_in
from settings import Settings, load, split
from starter import Starter

logger = logging.getLogger("careline")

ASTDB_KEPT_EVERY_S: Final = 60.0


async def controller(settings: Settings, home: Home, ready: Callable[[], None]) -> None:
    """AMI, AGI and the processes."""
    from controller import run_controller

    await run_controller(settings, home, ready)


async def desk(settings: Settings, home: Home, ready: Callable[[], None]) -> None:
    """The web desk."""
    from aiohttp import web

    from agent_desk.app import desk_app
    from asterisk_conf.ports import HTTP_PORT
    from control import Controller
    from sql.engine import Database

    database = Database(settings.database_url(home.root))
    link = Controller(home.control_socket, home.secret("control"))
    runner = web.AppRunner(
        desk_app(
            settings=settings,
            home=home,
            database=database,
            controller=link,
            asterisk_http=f"{settings.addresses.internal}:{HTTP_PORT}",
        ),
        access_log=None,
    )
    await runner.setup()
    try:
        host, port = split(settings.addresses.desk_address)
        await web.TCPSite(runner, host, port, ssl_context=settings.addresses.tls()).start()
        ready()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
        await link.close()
        await database.close()


async def worker(settings: Settings, home: Home, ready: Callable[[], None]) -> None:
    """What takes long: so far, making recordings. And AstDB is copied to the disk."""
    from asterisk_conf.instance import (
        AsteriskFailed,
        identity_of,
        run_start_script,
        service_user,
    )
    from control import Controller
    from recordings.worker import RecordingRound
    from sql.engine import Database
    from sql.store import SqlStore
    from workflows.effects import MakeRecording

    # Among our own, where Linux shares by services or containers and not by sessions.
    os.nice(precedence.LAST)
    database = Database(settings.database_url(home.root))
    store = SqlStore(database, settings.centre.zone, settings.sites[0].code)
    link = Controller(home.control_socket, home.secret("control"))
    rounds = RecordingRound(home.recordings, partial(store.owed, MakeRecording), link)

    async def listen() -> None:
        async for message in link.feed("outbox"):
            if message["kind"] in ("outbox", "snapshot"):
                rounds.look.set()

    async def keep_astdb() -> None:
        while True:
            try:
                await run_start_script(home.asterisk, "keep", **identity_of(service_user()))
            except (AsteriskFailed, OSError) as cause:
                # No recording waits for it, and the next minute tries again.
                logger.warning("AstDB was not copied to the disk: %s", cause)
            await asyncio.sleep(ASTDB_KEPT_EVERY_S)

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(rounds.run())
            tasks.create_task(listen())
            tasks.create_task(keep_astdb())
            ready()
    finally:
        await link.close()
        await database.close()


async def practice(settings: Settings, home: Home, ready: Callable[[], None]) -> None:
    """The practice town's player. Raises BadHome where the elders are real."""
    if home.mode != PRACTICE:
        raise BadHome(f"{home.root} is no practice home: no invented elder is entered there")
    import town

    await town.practice(settings, home, ready)


PROCESSES: Final[dict[str, Callable[[Settings, Home, Callable[[], None]], Awaitable[None]]]] = {
    "controller": controller,
    "desk": desk,
    "worker": worker,
    "practice": practice,
}


PRECEDENCE: Final = {
    "controller": precedence.FIRST,
    "desk": precedence.FIRST,
    "worker": precedence.LAST,
}


async def run(name: str, settings: Settings, home: Home) -> None:
    """Run one process until it is told to end, or until whoever started it is gone."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    starter = Starter()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    starter.watch(ended.set)
    beating = asyncio.ensure_future(starter.beat())
    preceding = asyncio.ensure_future(precedence.give(PRECEDENCE.get(name, 0), os.getpid()))
    process = asyncio.ensure_future(PROCESSES[name](settings, home, starter.ready))
    waiting = asyncio.ensure_future(ended.wait())
    await asyncio.wait((process, waiting), return_when=asyncio.FIRST_COMPLETED)
    for beside in (waiting, beating, preceding):
        beside.cancel()
    if process.done():
        process.result()
        return
    process.cancel()
    await asyncio.wait((process,), timeout=5)


def log_to(file: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(
        file, maxBytes=20 * 2**20, backupCount=5, encoding="utf-8"
    )
    logging.basicConfig(
        level=logging.INFO,
        handlers=[handler],
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # Every woken timer would be a line.
    logging.getLogger("apscheduler").setLevel(logging.WARNING)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("process", choices=PROCESSES)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    given = parser.parse_args()
    home = Home(given.home)
    os.umask(0o077)
    log_to(home.logs / f"{given.process}.log")
    try:
        home.wait_settled()
        asyncio.run(run(given.process, settings_in(home, load(given.config)), home))
    except Exception:
        logger.exception("the %s ends; it is started again", given.process)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
