"""A telephone in the browser in the private talk, while the real controller leads the case."""

from __future__ import annotations

import itertools

import pytest
from playwright.sync_api import Browser, expect

from telephony.private_talk import begin, end
from tests.audio import tone_times
from tests.connection import connected
from tests.desk.phone.conftest import Outside, person
from tests.desk.phone.place import SEAT_HZ, hears, state_of, take_seat
from tests.faults.test_effects_once import events_of
from tests.house import Town, call_of, listen
from tests.observer import wait_until

TABLE_HZ = 740
TALK_S = 5.0


@pytest.mark.row("EMG-09")
def test_a_browser_and_a_telephone_speak_and_the_case_does_not_notice(
    browser: Browser, own_town: Town, outside: Outside
) -> None:
    """The elder says nothing here, so that the browser hears the other seat alone."""
    town, house = own_town, own_town.house
    with (
        person(browser, town, house.ready["desk"]) as context,
        connected(house.settings, house.home) as own,
    ):
        phone = take_seat(context)
        table = town.carrier.phone("1002").answers(0.2, TABLE_HZ)
        since = len(town.observer.events)
        elder = town.carrier.call("96000", "13800000077", tone=0).wait_talking()
        case = call_of(town, since)
        phone.get_by_role("button", name="接听").click(timeout=15_000)
        expect(state_of(phone)).to_have_text("通话中")
        legs = wait_until(lambda: seats_in(town, case), 15, "two seats in the room")
        # The browser's beeps are too short for `listen` to add them up.
        listen(elder, 2)
        told, differs = outside(told_of, town, case), len(odd(town))
        own.do(begin(own.ami, case, *legs))
        listen(elder, TALK_S)
        wait_until(lambda: hears(phone, TABLE_HZ), 8, "the telephone's tone in the browser")
        own.do(end(own.ami, case))
        assert outside(told_of, town, case) == told
        assert len(odd(town)) == differs, odd(town)
        listen(elder, 2)
        seat = table.legs()[-1]
        town.carrier.hang_up_all()
        phone.close()
        town.assert_silent()
        heard, at_the_table = tone_times(elder.heard(), SEAT_HZ), tone_times(seat.heard(), SEAT_HZ)
    assert longest(heard) > TALK_S / 2, "the elder heard the browser before and after it"
    assert longest(at_the_table) < TALK_S / 2, "the telephone heard the browser all the time"


def seats_in(town: Town, case: str) -> list[str]:
    """The ids of the two seats' channels in the room; empty while there are fewer."""
    found = town.observer.list_of("ConfbridgeList", Conference=case)
    legs = [one["Uniqueid"] for one in found if one.get("CARELINE_PARTY") == "seat"]
    return legs if len(legs) == 2 else []


def told_of(town: Town, case: str) -> list[str]:
    """What happened in the case, but for the elder's line, on which nothing comes here, and the end
    of a private talk, which is the one thing of it that a case is told."""
    beside = ("ElderSilent", "ElderSpoke", "EmergencyTimerFired", "PrivateTalkOver")
    return [one for one in events_of(town.house, case) if one not in beside]


def odd(town: Town) -> list[str]:
    """What the controller said of a picture or a case that was not as Asterisk has it."""
    said = (town.house.home.logs / "controller.log").read_text("utf-8").splitlines()
    return [line for line in said if "differed" in line or "was wrong" in line]


def longest(moments: list[float]) -> float:
    """The longest time between two of them."""
    return max(after - before for before, after in itertools.pairwise(moments))
