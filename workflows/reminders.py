"""What an emergency waits for, and since when somebody has to be reminded of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from workflows import closing
from workflows.emergency_facts import Emergency, State
from workflows.rescue_work import NO_FOLLOW_UP, NO_NEWS, NO_RECORD

NEWS_WITHIN: Final = timedelta(minutes=10)
"""A case on which nobody of the centre has done anything for so long (EMG-24)."""
RECORD_WITHIN: Final = timedelta(minutes=30)
"""From the helpers' arrival, or from the end of the elder's call (EMG-11)."""


def overdue(case: Emergency, now: datetime) -> Iterator[str]:
    """What is overdue at `now` and was not said before."""
    for what, due in waits_for(case):
        if now >= due and what not in case.reminded:
            yield what


def waits_for(case: Emergency) -> Iterator[tuple[str, datetime]]:
    """What the case waits for, and by when."""
    state = case.closing.state
    if state is closing.State.OPEN and case.state is not State.CLOSED:
        yield NO_NEWS, (case.news_at or case.opened_at) + NEWS_WITHIN
    arrived = [leg.arrived_at for leg in case.legs if leg.arrived_at]
    ends = [*arrived, *([case.closed_at] if case.closed_at else [])]
    if state is closing.State.OPEN and ends:
        yield NO_RECORD, min(ends) + RECORD_WITHIN
    if not closing.is_over(case.closing):
        yield NO_FOLLOW_UP, closing.follow_up_due(case.opened_at)
