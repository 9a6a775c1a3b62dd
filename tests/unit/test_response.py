"""Who answered and came how soon: the order in which a case names those who were called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from workflows.card import PartyKind
from workflows.emergency_facts import Emergency
from workflows.leg import Leg
from workflows.response import ranked

NOW = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)


def leg(number: int, party: str, *, asked: int = 0, **after: int) -> Leg:
    """A call; `after` is seconds since NOW, by the name of the time."""
    times: dict[str, Any] = {f"{what}_at": NOW + timedelta(seconds=s) for what, s in after.items()}
    return Leg(
        id=f"n-1.1-L{number}", party=party, kind=PartyKind.CONTACT, name=party,
        asked_by="甲", asked_at=NOW + timedelta(seconds=asked), **times,
    )  # fmt: skip


def order(*legs: Leg) -> list[str]:
    return [one.party for one in ranked(Emergency(id="n-1.1", opened_at=NOW, legs=legs))]


def test_who_came_first_stands_first_and_who_answered_stands_before_who_did_not() -> None:
    legs = (
        leg(1, "never"),
        leg(2, "slow", answered=40),
        leg(3, "came late", answered=5, arrived=900),
        leg(4, "quick", answered=8),
        leg(5, "came", answered=30, arrived=300),
    )
    assert order(*legs) == ["came", "came late", "quick", "slow", "never"]


def test_it_counts_from_the_moment_in_which_each_was_asked() -> None:
    assert order(leg(1, "first", answered=20), leg(2, "later", asked=100, answered=110)) == [
        "later", "first",
    ]  # fmt: skip


def test_several_calls_to_one_are_one_from_the_first_asking_on() -> None:
    again = leg(3, "son", asked=60, answered=70)
    son, other = ranked(
        Emergency(id="n-1.1", opened_at=NOW, legs=(leg(1, "son"), leg(2, "other"), again))
    )
    assert (son.party, len(son.calls), son.answered_after) == ("son", 2, timedelta(seconds=70))
    assert (other.answered_after, other.arrived_after) == (None, None)


def test_who_answers_in_the_same_second_has_answered() -> None:
    assert order(leg(1, "never"), leg(2, "at once", answered=0)) == ["at once", "never"]
