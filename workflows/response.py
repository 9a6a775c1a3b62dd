"""Who was called in an emergency, how soon each of them answered and came (EMG-19, EMG-20).

Pure. What was done is in the case's legs; here it is put together by whom it was asked of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows.card import PartyKind
from workflows.emergency_facts import Emergency
from workflows.leg import Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One party, with every call to it, oldest first. Times are aware UTC, None for never."""

    party: str
    kind: PartyKind
    name: str
    relation: str
    calls: tuple[Leg, ...]

    @property
    def asked_at(self) -> datetime:
        return self.calls[0].asked_at

    @property
    def rang_at(self) -> datetime | None:
        return first(self.calls, lambda leg: leg.rang_at)

    @property
    def answered_at(self) -> datetime | None:
        return first(self.calls, lambda leg: leg.answered_at)

    @property
    def told_at(self) -> datetime | None:
        return first(self.calls, lambda leg: leg.told_at)

    @property
    def on_the_way_at(self) -> datetime | None:
        return first(self.calls, lambda leg: leg.on_the_way_at)

    @property
    def arrived_at(self) -> datetime | None:
        return first(self.calls, lambda leg: leg.arrived_at)

    @property
    def answered_after(self) -> timedelta | None:
        """From the first asking on, whichever of the calls was answered."""
        return self.answered_at - self.asked_at if self.answered_at else None

    @property
    def arrived_after(self) -> timedelta | None:
        return self.arrived_at - self.asked_at if self.arrived_at else None


def first(calls: Iterable[Leg], time_of: Callable[[Leg], datetime | None]) -> datetime | None:
    """The earliest of these times of the calls."""
    return min((at for leg in calls if (at := time_of(leg))), default=None)


def ranked(case: Emergency) -> Sequence[Response]:
    """Who came, the quickest first; then who answered; then those of whom nothing was heard."""
    by_party: dict[str, list[Leg]] = {}
    for leg in case.legs:
        # The elder is no helper.
        if leg.kind is PartyKind.ELDER:
            continue
        by_party.setdefault(leg.party, []).append(leg)
    found = [
        Response(
            party=party, kind=legs[0].kind, name=legs[0].name, relation=legs[0].relation,
            calls=tuple(legs),
        )
        for party, legs in by_party.items()
    ]  # fmt: skip
    return sorted(found, key=_how_soon)


def _how_soon(one: Response) -> tuple[timedelta, timedelta, datetime]:
    came, answered = one.arrived_after, one.answered_after
    never = timedelta.max
    return (
        never if came is None else came,
        never if answered is None else answered,
        one.asked_at,
    )
