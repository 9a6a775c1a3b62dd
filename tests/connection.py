"""A connection to Asterisk like the controller's own, for tests that do what that does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from asterisk_conf.ports import AMI_PORT, AMI_USER
from home import Home
from settings import Settings
from telephony.ami import Ami, AmiEvent, Login
from tests.observer import wait_until

T = TypeVar("T")


class Connection:
    """It lives in a thread of its own, where `do` runs what is to be done with `ami`."""

    def __init__(self, settings: Settings, home: Home) -> None:
        login = Login(settings.addresses.internal, AMI_PORT, AMI_USER, home.secret("ami"))
        self.ami: Final = Ami(login)
        self._loop: Final = asyncio.new_event_loop()
        self._thread: Final = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.do(self._start())
        wait_until(lambda: self.ami.is_up, 10, "the connection is up")

    async def _start(self) -> None:
        self._running = asyncio.ensure_future(self.ami.run())

    def stop(self) -> None:
        self.do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _stop(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def heard(self) -> list[AmiEvent]:
        """Every event since the last time."""

        async def drain() -> list[AmiEvent]:
            events = [self.ami.urgent.get_nowait() for _ in range(self.ami.urgent.qsize())]
            return [event for event in events if event is not None]

        return self.do(drain())


@contextmanager
def connected(settings: Settings, home: Home) -> Iterator[Connection]:
    """A connection that is up, until the block is left."""
    made = Connection(settings, home)
    made.start()
    try:
        yield made
    finally:
        made.stop()
