"""One clock for each call: how long somebody waited or talked is true, whatever the clock says.

Somebody may set the machine's clock during a call. Its times then stay those of the clock by which
it began; a call that begins afterwards has the new ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from workflows.events import CallArrived, CallPlaced, Event

SET_S: Final = 2.0
"""A clock that moves by less was not set: it is being led, slowly, to the right time."""
REMEMBERED: Final = 1000


class CallClocks:
    """`wall` is the time of day and `steady` the time that only passes, both in seconds."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall: Final = wall
        self._steady: Final = steady
        self._began: Final[dict[str, float]] = {}

    def of_call(self, event: Event) -> Event:
        """The event at the time of its call's own clock."""
        now = self._wall()
        offset = now - self._steady()
        if isinstance(event, CallArrived | CallPlaced):
            self._remember(event.case_id, offset)
        moved = offset - self._began.get(event.case_id, offset)
        # What happened just before the clock was set has the call's own time already.
        has_new_time = abs(event.at.timestamp() - now) < abs(moved) / 2
        if abs(moved) < SET_S or not has_new_time:
            return event
        return replace(event, at=event.at - timedelta(seconds=moved))

    def _remember(self, call: str, offset: float) -> None:
        if len(self._began) >= REMEMBERED:
            # The oldest: its call is long over, or has lasted for a thousand others.
            del self._began[next(iter(self._began))]
        self._began.setdefault(call, offset)
