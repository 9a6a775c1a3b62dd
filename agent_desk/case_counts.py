"""How many emergencies still ask for something: the figure beside the word in the menu."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from agent_desk.access import SAFE_METHODS, Handler, wants_page
from agent_desk.desk import VISITOR
from agent_desk.rights import Right, may
from sql.engine import Database
from sql.queries import cases
from workflows.errors import StoreDown

logger = logging.getLogger(__name__)

GOOD_FOR_S: Final = 5.0


class CaseCounts:
    """The figures as they were counted last; none before that, or while the database is away."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database
        self._counted_at = float("-inf")
        self.now: Mapping[str, int] = {}

    async def refresh(self) -> None:
        """Count anew what was counted a while ago; one page in five seconds waits for it."""
        if time.monotonic() - self._counted_at < GOOD_FOR_S:
            return
        self._counted_at = time.monotonic()
        try:
            async with self._database.reading() as session:
                self.now = await cases.counts(session, datetime.now(UTC))
        except StoreDown as down:
            self.now = {}
            logger.warning("emergencies were not counted: %s", down)

    def forget(self) -> None:
        """Something was just done: what was counted is not so any more."""
        self._counted_at = float("-inf")


COUNTS: web.AppKey[CaseCounts] = web.AppKey("case counts", CaseCounts)


@web.middleware
async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have the figures ready before a page is made; what was sent may change them."""
    counts = request.app[COUNTS]
    if request.method not in SAFE_METHODS:
        counts.forget()
    elif wants_page(request) and may(request.get(VISITOR), Right.READ_CASES):
        await counts.refresh()
    return await handler(request)
