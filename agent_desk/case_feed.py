"""The feeds of single emergencies: whoever has a case's page open hears the whole case, at once.

Beside the board's feed and not in it: a case is large, and few look at it. The messages are the
board's, with one item of kind `case`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from agent_desk.live import Item
from control import Feed


class CaseFeeds:
    """`case_of` says how a case is shown now, None for one that nobody knows (any more)."""

    def __init__(self, case_of: Callable[[str], Item | None], is_away: Callable[[], bool]) -> None:
        self._case_of: Final = case_of
        self._is_away: Final = is_away
        self._feeds: Final[dict[str, Feed]] = {}
        self._readers: Final[Counter[str]] = Counter()
        self._shown: Final[dict[str, Item | None]] = {}

    async def read(self, case_id: str) -> AsyncGenerator[str, None]:
        """The case, then everything that changes in it, as JSON."""
        if case_id not in self._feeds:
            self._shown[case_id] = self._case_of(case_id)
            self._feeds[case_id] = Feed(lambda: self._snapshot(case_id))
        self._readers[case_id] += 1
        try:
            async for message in self._feeds[case_id].read():
                yield message
        finally:
            self._readers[case_id] -= 1
            if not self._readers[case_id]:
                del self._readers[case_id], self._feeds[case_id], self._shown[case_id]

    def look(self, case_ids: Iterable[str]) -> None:
        """Something was told of these: pass on what it changes."""
        for case_id in set(case_ids) & self._feeds.keys():
            now = self._case_of(case_id)
            if now == self._shown[case_id]:
                continue
            self._shown[case_id] = now
            name = {"kind": "case", "key": case_id}
            if now is None:
                self._feeds[case_id].publish("drop", name)
            else:
                self._feeds[case_id].publish("put", {**name, "item": now})

    def publish(self, kind: str) -> None:
        """Tell all who read: the controller is away, or back; or just that we are here."""
        for feed in self._feeds.values():
            feed.publish(kind, {})

    def _snapshot(self, case_id: str) -> dict[str, Any]:
        # What the others were shown is not touched: this very change may be before them still.
        now = self._case_of(case_id)
        items = [{"kind": "case", "key": case_id, "item": now}] if now else []
        at = int(datetime.now(UTC).timestamp() * 1000)
        return {"now": at, "away": self._is_away(), "items": items}
