"""Blocking work in threads of its own: few at once, and awaited only so long.

They are none of the loop's own pool: a provider that hangs must neither keep the journal of
emergencies from the disk, nor this process from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from telephony.messages import NotTakenNow, PerhapsTaken

T = TypeVar("T")


class Threads:
    """At most `most` at once. One that is late goes on alone, and keeps its place until it ends."""

    def __init__(self, name: str, most: int) -> None:
        self._name: Final = name
        self._places: Final = threading.BoundedSemaphore(most)

    async def run(self, work: Callable[[], T], within_s: float) -> T:
        """What `work` returns. Raises NotTakenNow when it was not begun, and PerhapsTaken when it
        is late."""
        if not self._places.acquire(blocking=False):
            raise NotTakenNow("busy", "too many messages are on their way at once")
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        one = threading.Thread(target=self._do, args=(work, result), name=self._name, daemon=True)
        try:
            one.start()
        except (RuntimeError, MemoryError) as cause:
            self._places.release()
            raise NotTakenNow("busy", f"no thread could be begun: {cause}") from None
        try:
            async with asyncio.timeout(within_s):
                return await result
        except TimeoutError:
            raise PerhapsTaken(f"no answer within {within_s:.0f} s") from None

    def _do(self, work: Callable[[], T], result: asyncio.Future[T]) -> None:
        settle: Callable[[], None]
        try:
            settle = partial(_settle, result.set_result, work())
        except BaseException as raised:  # noqa: BLE001 - it is raised again where it is awaited.
            settle = partial(_settle, result.set_exception, raised)
        finally:
            self._places.release()
        # The loop is closed when the process ends meanwhile.
        with suppress(RuntimeError):
            result.get_loop().call_soon_threadsafe(settle)


def _settle(give: Callable[[Any], None], what: Any) -> None:
    # Nobody waits for it any more, perhaps.
    with suppress(asyncio.InvalidStateError):
        give(what)
