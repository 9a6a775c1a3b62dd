"""The emergencies of which what we know may be wrong: shown, and not claimed, until they go well.

While a case is in doubt the dialplan leads it alone; see `telephony/rescue.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final, Protocol

from workflows import emergency
from workflows.emergency_facts import Emergency

CALM_S: Final = 1.0
"""A case that was in doubt is claimed again only when it has gone well for so long."""


class Cases(Protocol):
    """The emergencies as they stand, without waiting."""

    def case(self, case_id: str) -> Emergency | None: ...

    def open_cases(self) -> list[Emergency]: ...


class Doubts:
    """`show` is told when a case comes to be in doubt, and when it is so no more."""

    def __init__(self, cases: Cases, show: Callable[[str, bool], None]) -> None:
        self._cases: Final = cases
        self._show: Final = show
        # Since when each has gone well again; None until it does.
        self._since: Final[dict[str, float | None]] = {}
        # Whose elder was connected when Asterisk was asked last.
        self._there: Collection[str] = ()

    def __contains__(self, case_id: str) -> bool:
        return case_id in self._since

    def begin(self, case_id: str) -> bool:
        """It goes wrong; True when it did not before."""
        is_new = case_id not in self._since
        self._since[case_id] = None
        if is_new:
            self._show(case_id, True)
        return is_new

    def goes_well(self, case_id: str) -> None:
        if case_id in self._since:
            self._since[case_id] = asyncio.get_running_loop().time()

    def see(self, there: Collection[str]) -> None:
        """These elders are connected. Of another, of whom there is no case, nothing is in doubt."""
        self._there = there
        for case_id in self._since.keys() - set(there):
            if self._cases.case(case_id) is None:
                self._end(case_id)

    def settle(self) -> None:
        """End the doubt about what has gone well for a while, or is over.

        A case that is closed while its elder is in the room stays shown.
        """
        now = asyncio.get_running_loop().time()
        for case_id, since in list(self._since.items()):
            is_over = self.is_closed(case_id) and case_id not in self._there
            if is_over or (since is not None and now - since >= CALM_S):
                self._end(case_id)

    def is_closed(self, case_id: str) -> bool:
        case = self._cases.case(case_id)
        return case is not None and emergency.is_closed(case)

    def _end(self, case_id: str) -> None:
        del self._since[case_id]
        self._show(case_id, False)
