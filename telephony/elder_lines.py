"""Whether anything still comes in on the elders' lines, asked of Asterisk every two seconds.

A line that died without a goodbye is never cut by us: the elder may be on the floor beside a
terminal whose sound comes back. But whoever is in the room sees since when nothing has come. A
silent elder is no dead line: a terminal sends packets also while nobody speaks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, tzinfo
from typing import Any, Final, NamedTuple, Protocol

from telephony.ami import Ami, AmiDown, AmiRefused
from telephony.translate import plain
from workflows import emergency
from workflows.emergency_facts import Emergency
from workflows.events import ElderHeard, ElderSilent, Event

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 2.0
SILENT_S: Final = 10.0
"""So long nothing must have come before somebody is told: shorter holes mend themselves."""


class Cases(Protocol):
    def open_cases(self) -> list[Emergency]: ...


class Line(NamedTuple):
    """How many packets had come at `seen`, when the last of them was noticed; `at` is aware."""

    packets: str
    seen: float
    at: datetime


class ElderLines:
    """Tells `handle` when a line falls silent and when it is heard again."""

    def __init__(
        self,
        ami: Ami,
        cases: Cases,
        *,
        handle: Callable[[Event], Awaitable[Any]],
        now: Callable[[], datetime],
        zone: tzinfo,
    ) -> None:
        self._ami: Final = ami
        self._cases: Final = cases
        self._handle: Final = handle
        self._now: Final = now
        self._zone: Final = zone
        self._lines: dict[str, Line] = {}

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            cases = [case for case in self._cases.open_cases() if emergency.has_elder(case)]
            self._lines = {
                case.id: self._lines[case.id] for case in cases if case.id in self._lines
            }
            for case in cases:
                try:
                    await self._look(case)
                except (AmiDown, AmiRefused, TimeoutError) as cause:
                    # Of a line that is not there, or not asked about, nothing is said.
                    logger.debug("the line of %s was not asked about: %s", case.id, cause)
                except Exception:
                    # One line that we cannot judge must not hide all the others.
                    logger.exception("the line of %s was not judged", case.id)

    async def _look(self, case: Emergency) -> None:
        count = "CHANNEL(rtcp,rxcount)"
        answer = await self._ami.action("Getvar", Channel=case.id, Variable=count)
        packets = plain(answer.get("Value"))
        moment = asyncio.get_running_loop().time()
        known = self._lines.get(case.id)
        if known is None or known.packets != packets:
            at = self._now().astimezone(self._zone)
            self._lines[case.id] = Line(packets, moment, at)
            if known is not None and case.silent_since is not None:
                await self._handle(ElderHeard(case_id=case.id, at=at))
        elif case.silent_since is None and moment - known.seen >= SILENT_S:
            silent = ElderSilent(case_id=case.id, at=self._now(), since=known.at)
            await self._handle(silent)
