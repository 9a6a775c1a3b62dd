"""The steps of emergencies, each watched: one that fails or hangs puts its case in doubt.

Whoever told the fact goes on: one case that is stuck must not hold up the others, and while it is
in doubt nobody says that it is handled, so that the dialplan acts (`telephony/rescue.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from workflows.commands import Command
from workflows.errors import NotFound
from workflows.events import Event

logger = logging.getLogger(__name__)

STALE_S: Final = 1.0
"""What takes or waits for longer is not handled, and then we do not say that we handle the case."""


class StepHangs(Exception):
    """The fact is being taken still; nobody waits for it any longer."""


class Steps:
    """`handle` takes a fact or a wish; `doubt` is told of a case that may be wrong now."""

    def __init__(
        self,
        handle: Callable[[Event, str | None], Awaitable[Any]],
        doubt: Callable[[str], None],
    ) -> None:
        self._handle: Final = handle
        self._doubt: Final = doubt
        # The steps for which nobody waits any longer, by their case.
        self._late: Final[dict[str, asyncio.Future[Any]]] = {}

    async def take(self, event: Event, because: str | None = None) -> Any:
        """The case after it; None for a fact about an emergency that is over and put away.

        Raises StepHangs for a fact that takes too long, or comes behind one that does: what it
        says is read anew later. A wish is waited for, and may be refused.
        """
        if isinstance(event, Command):
            return await self._handle(event, because)
        if event.case_id in self._late:
            raise self._hangs(event)
        step = asyncio.ensure_future(self._handle(event, because))
        done, _ = await asyncio.wait((step,), timeout=STALE_S)
        if not done:
            self._late[event.case_id] = step
            step.add_done_callback(partial(self._over, event.case_id))
            raise self._hangs(event)
        try:
            return step.result()
        except NotFound as late:
            logger.info("dropped: %s", late)
            return None
        except Exception:
            self._doubt(event.case_id)
            raise

    def _hangs(self, event: Event) -> StepHangs:
        self._doubt(event.case_id)
        return StepHangs(f"{type(event).__name__} {event.case_id}")

    def _over(self, case_id: str, step: asyncio.Future[Any]) -> None:
        """It came to its end after all; its case is read anew in any case."""
        self._late.pop(case_id, None)
        if not step.cancelled() and (cause := step.exception()):
            logger.error("a late step of an emergency failed: %r", cause)
