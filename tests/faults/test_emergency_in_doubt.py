"""A case that is not as its room: shown, and led by the dialplan, which needs no case of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.site import shown_by
from tests.faults.test_effects_once import SEAT, assert_heard_each_other, calls_for_help, seats_in
from tests.house import Town, ended_call, own_town
from tests.observer import wait_until


@pytest.fixture
def town(open_place: Path) -> Iterator[Town]:
    with own_town(open_place) as made:
        yield made
        made.assert_silent()


def kinds(town: Town) -> set[str]:
    """The kinds of the alarms that the desk shows."""
    return {alarm["kind"] for alarm in shown_by(town.house).get("alarms", ())}


def test_a_room_whose_case_was_closed_is_led_by_the_dialplan_and_shown(town: Town) -> None:
    """Somebody says that the elder is gone, who is not."""
    case, elder, since = calls_for_help(town)
    town.observer.wait_for("Rescue", 10, since, Step="room")
    answer = town.observer.action("UserEvent", UserEvent="Rescue", Call=case, Step="gone")
    assert answer["Response"] == "Success", answer
    wait_until(lambda: "not handled" in kinds(town), 30, "it is shown", town.house.log)
    town.observer.wait_for("Rescue", 15, since, Step="takeover")
    town.carrier.phone("1001").answers(0.3, SEAT)
    wait_until(lambda: len(seats_in(town, case)) == 1, 40, "a seat is with the elder")
    seat = next(leg for leg in town.carrier.phone("1001").legs() if not leg.has_ended)
    assert_heard_each_other(town, elder, seat)
    assert ended_call(town.house, case).result == "answered"
    wait_until(lambda: kinds(town).isdisjoint({"not handled", "call back"}), 30, "it is over",
               lambda: kinds(town))  # fmt: skip
