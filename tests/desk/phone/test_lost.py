"""What a seat's telephone in the browser can lose: microphone, tab, network, and Asterisk itself.

Each is noticed, and the seat is not rung while nobody could pick up there.
"""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from telephony.desk_phones import LOST_AFTER_S
from tests.audio import tone_times
from tests.desk.phone.conftest import person
from tests.desk.phone.place import (
    ELDER_HZ,
    SEAT_HZ,
    Link,
    arrive,
    hears,
    is_registered,
    noticed,
    state_of,
    take_seat,
    wait_for_table,
)
from tests.faults.test_calls_outlive import asterisk_pid
from tests.house import House, Town, listen
from tests.observer import Observer, wait_until
from tests.telephone import Leg


def talk(phone: Page, town: Town) -> Leg:
    """An elder calls and is answered in the browser; both hear each other."""
    elder, _call = arrive(town)
    phone.get_by_role("button", name="接听").click(timeout=15_000)
    expect(state_of(phone)).to_have_text("通话中")
    wait_until(lambda: hears(phone, ELDER_HZ), 8, "the elder's tone in the browser")
    listen(elder, 1)
    return elder


def lose_microphone(context: BrowserContext) -> None:
    """Take it away from the page, as a browser does that is told to or that has none any more."""
    context.clear_permissions()


def plug_in(context: BrowserContext, phone: Page) -> None:
    context.grant_permissions(["microphone"])
    phone.evaluate("navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")


def lost_in_talk(context: BrowserContext, town: Town) -> tuple[Page, Leg]:
    """A telephone that talks and has just lost its microphone, and says so."""
    phone = take_seat(context)
    elder = talk(phone, town)
    lose_microphone(context)
    expect(phone.get_by_role("alert")).to_contain_text("麦克风", timeout=10_000)
    return phone, elder


def test_a_microphone_lost_while_ready_is_noticed_and_the_seat_not_rung(
    context: BrowserContext, town: Town
) -> None:
    phone = take_seat(context)
    assert is_registered(town)
    lose_microphone(context)
    noticed(lambda: not is_registered(town), "a lost microphone")
    expect(state_of(phone)).to_have_text("没有麦克风")
    expect(phone.get_by_role("alert")).to_contain_text("麦克风")
    wait_for_table(town)
    plug_in(context, phone)
    expect(state_of(phone)).to_have_text("就绪", timeout=15_000)
    assert is_registered(town)


def test_a_microphone_lost_in_a_talk_is_said_and_the_next_call_rings_elsewhere(
    context: BrowserContext, town: Town
) -> None:
    phone = take_seat(context)
    elder = talk(phone, town)
    lose_microphone(context)
    said = phone.get_by_role("alert")
    noticed(lambda: "麦克风" in said.inner_text(), "a microphone lost in a talk")
    # The elder can still be heard, and perhaps says what is the matter.
    assert hears(phone, ELDER_HZ)
    assert not elder.has_ended
    elder.hang_up()
    expect(state_of(phone)).to_have_text("没有麦克风")
    wait_until(lambda: not is_registered(town), 10, "the seat is not rung any more")
    wait_for_table(town)


def test_a_microphone_that_comes_back_in_the_talk_is_heard_again(
    context: BrowserContext, town: Town
) -> None:
    phone, elder = lost_in_talk(context, town)
    listen(elder, 2)
    plug_in(context, phone)
    expect(phone.get_by_role("alert")).to_be_hidden(timeout=10_000)
    back = elder.bytes_heard() / 16000
    listen(elder, 3)
    elder.hang_up()
    heard = tone_times(elder.heard(), SEAT_HZ)
    assert [at for at in heard if at > back], heard
    assert max(later - at for at, later in itertools.pairwise(heard)) > 1, "it really was away"


@contextmanager
def stopped_tabs(context: BrowserContext) -> Iterator[None]:
    """The tab's process hangs; the browser around it lives, and answers for it what it can."""
    assert context.browser
    processes = context.browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    renderers = [one["id"] for one in processes["processInfo"] if one["type"] == "renderer"]
    assert renderers
    for pid in renderers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in renderers:
            os.kill(pid, signal.SIGCONT)


def test_a_frozen_tab_is_noticed_and_comes_back(context: BrowserContext, town: Town) -> None:
    phone = take_seat(context)
    assert is_registered(town)
    with stopped_tabs(context):
        noticed(lambda: not is_registered(town), "a frozen tab")
        wait_for_table(town)
    expect(state_of(phone)).to_have_text("就绪", timeout=20_000)
    talk(phone, town).hang_up()


@pytest.mark.parametrize("is_held", [False, True])
def test_a_browser_that_vanishes_in_a_talk_is_given_up_within_seven_seconds(
    context: BrowserContext, town: Town, is_held: bool
) -> None:
    """Also while it holds. The elder goes on waiting, and is answered on the table."""
    phone = take_seat(context)
    elder = talk(phone, town)
    since = len(town.observer.events)
    if is_held:
        phone.get_by_role("button", name="保持").click()
        expect(state_of(phone)).to_have_text("保持中")
        listen(elder, LOST_AFTER_S + 3)
        assert not town.observer.find("SeatLost", since), "a seat that holds is there"
    table = town.carrier.phone("1001").answers(0.2, SEAT_HZ)
    gone = time.time()
    with stopped_tabs(context):
        lost = town.observer.wait_for("SeatLost", 12, since)
        took = float(lost["Timestamp"]) - gone
        print(f"given up after {took:.1f} s")
        assert took < 7
        table.wait_ringing(20).wait_talking()
        assert not elder.has_ended
        elder.hang_up()
    table.rings()


def test_whoever_comes_back_too_late_for_the_talk_is_rung_as_by_any_call(
    context: BrowserContext, town: Town
) -> None:
    phone = take_seat(context)
    elder = talk(phone, town)
    since = len(town.observer.events)
    phone.goto("about:blank")
    gone = time.monotonic()
    town.observer.wait_for("SeatLost", 12, since)
    wait_until(lambda: time.monotonic() - gone > 6.2, 7, "nobody expects the page any more")
    phone.goto("/phone")
    expect(state_of(phone)).to_have_text("来电", timeout=30_000)
    phone.wait_for_timeout(1500)
    expect(state_of(phone)).to_have_text("来电")
    phone.get_by_role("button", name="接听").click()
    expect(state_of(phone)).to_have_text("通话中")
    assert not elder.has_ended
    elder.hang_up()
    expect(state_of(phone)).to_have_text("就绪")


def test_a_cut_network_is_noticed_on_both_sides(
    far_context: BrowserContext, link: Link, town: Town
) -> None:
    phone = take_seat(far_context)
    assert is_registered(town)
    link.cut()
    noticed(lambda: not is_registered(town), "a cut network, at the desk")
    expect(state_of(phone)).to_have_text("未连接", timeout=10_000)
    expect(phone.get_by_role("alert")).to_contain_text("没有连接")
    wait_for_table(town)
    link.mend()
    expect(state_of(phone)).to_have_text("就绪", timeout=30_000)
    talk(phone, town).hang_up()


def test_a_talk_goes_on_over_a_network_that_was_cut(
    far_context: BrowserContext, link: Link, town: Town
) -> None:
    """The sound goes its own way; only the telephone's words wait."""
    phone = take_seat(far_context)
    elder = talk(phone, town)
    link.cut()
    expect(state_of(phone)).to_have_text("未连接", timeout=10_000)
    link.mend()
    expect(state_of(phone)).to_have_text("通话中", timeout=30_000)
    assert not elder.has_ended
    assert hears(phone, ELDER_HZ)
    phone.get_by_role("button", name="挂断").click()
    elder.wait_ended()


def test_a_talk_that_was_held_is_held_still_after_the_network_was_cut(
    far_context: BrowserContext, link: Link, town: Town
) -> None:
    phone = take_seat(far_context)
    elder = talk(phone, town)
    phone.get_by_role("button", name="保持").click()
    expect(state_of(phone)).to_have_text("保持中")
    held = elder.bytes_heard() / 16000
    link.cut()
    expect(state_of(phone)).to_have_text("未连接", timeout=10_000)
    link.mend()
    expect(state_of(phone)).to_have_text("保持中", timeout=30_000)
    listen(elder, 2)
    before = elder.bytes_heard() / 16000
    phone.get_by_role("button", name="取回").click()
    expect(state_of(phone)).to_have_text("通话中")
    listen(elder, 1, SEAT_HZ)
    elder.hang_up()
    heard = tone_times(elder.heard(), SEAT_HZ)
    assert not [at for at in heard if held + 1 < at < before - 0.5], heard


def test_a_connection_lost_while_it_rings_leaves_no_busy_line(
    far_context: BrowserContext, link: Link, town: Town
) -> None:
    """Nobody tells the page that this call is over; the next one must ring there all the same."""
    phone = take_seat(far_context)
    elder, _call = arrive(town)
    expect(state_of(phone)).to_have_text("来电", timeout=15_000)
    link.cut()
    expect(state_of(phone)).to_have_text("未连接", timeout=10_000)
    elder.hang_up()
    link.mend()
    expect(state_of(phone)).to_have_text("就绪", timeout=30_000)
    talk(phone, town).hang_up()


def test_a_headset_that_comes_back_after_the_talk_is_heard_in_the_next(
    context: BrowserContext, town: Town
) -> None:
    phone, elder = lost_in_talk(context, town)
    elder.hang_up()
    expect(state_of(phone)).to_have_text("没有麦克风")
    plug_in(context, phone)
    expect(state_of(phone)).to_have_text("就绪", timeout=15_000)
    elder = talk(phone, town)
    listen(elder, 3)
    elder.hang_up()
    assert tone_times(elder.heard(), SEAT_HZ), "the seat is heard again"


def test_a_browser_that_changes_its_network_does_not_stand_in_its_own_way(
    far_context: BrowserContext, link: Link, town: Town
) -> None:
    """To the desk its former connection looks as if it were still there."""
    phone = take_seat(far_context)
    link.change()
    expect(state_of(phone)).to_have_text("未连接")
    expect(state_of(phone)).to_have_text("就绪", timeout=20_000)
    talk(phone, town).hang_up()


def written_down(house: House) -> set[str]:
    """What Asterisk has in its own database, which outlives it."""
    file = house.home.asterisk / "run" / "db" / "astdb.sqlite3"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as kept:
        return {key for (key,) in kept.execute("SELECT key FROM astdb")}


def test_a_restarted_asterisk_has_the_telephone_again(browser: Browser, own_town: Town) -> None:
    house = own_town.house
    with person(browser, own_town, house.ready["desk"]) as context:
        phone = take_seat(context)
        # Asterisk writes it down a moment after it has taken it.
        wait_until(lambda: "/desk/endpoint/1001" in written_down(house), 10, "the seat's choice")
        os.kill(asterisk_pid(house), signal.SIGKILL)
        assert "/desk/endpoint/1001" in written_down(house), (
            "the next Asterisk knows the seat's choice"
        )
        said = phone.locator("#phone [data-f=state]")
        noticed(lambda: said.inner_text() == "未连接", "an Asterisk that died")
        expect(said).to_have_text("就绪", timeout=60_000)
        observer = Observer(house.settings.addresses.internal, "careline", house.home.secret("ami"))
        try:
            town = replace(own_town, observer=observer)
            assert is_registered(town)
            talk(phone, town).hang_up()
            town.assert_silent()
        finally:
            observer.close()
