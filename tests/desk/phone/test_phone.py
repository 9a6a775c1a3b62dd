"""A seat's telephone in the browser, with real calls: heard on both sides, gone with its tab."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.audio import tone_seconds, tone_times
from tests.desk.looks import look_at
from tests.desk.phone.place import (
    ELDER_HZ,
    SEAT_HZ,
    arrive,
    hears,
    is_registered,
    reach_carrier,
    state_of,
    take_seat,
    wait_for_table,
)
from tests.house import Town, listen
from tests.observer import wait_until


def test_a_call_rings_in_the_page_and_both_hear_each_other(
    context: BrowserContext, town: Town
) -> None:
    phone = take_seat(context)
    table = town.carrier.phone("1001").rings()
    elder, _call = arrive(town)
    expect(phone.locator("[data-f=number]")).to_have_text("138 0000 0001", timeout=15_000)
    phone.get_by_role("button", name="接听").click()
    expect(phone.locator("[data-f=state]")).to_have_text("通话中")
    # The second click of a double click presses nothing that has taken its place.
    phone.mouse.down(click_count=2)
    phone.mouse.up(click_count=2)
    expect(phone.get_by_role("button", name="静音")).to_have_attribute("aria-pressed", "false")
    wait_until(lambda: hears(phone, ELDER_HZ), 8, "the elder's tone in the browser")
    listen(elder, 2, SEAT_HZ)
    look_at(phone, "phone-talking")
    phone.get_by_role("button", name="挂断").click()
    elder.wait_ended()
    expect(phone.locator("[data-f=state]")).to_have_text("就绪")
    assert tone_seconds(elder.heard(), SEAT_HZ) > 1
    assert table.legs() == [], "the seat has chosen the one in the browser"


def test_hold_mute_and_dialling_out(context: BrowserContext, town: Town) -> None:
    phone = take_seat(context)
    state = phone.locator("#phone [data-f=state]")
    reach_carrier(town)
    far = town.carrier.number("13900000009").answers(0.2, ELDER_HZ)
    phone.get_by_label("要拨的号码").fill("139 0000 0009")
    phone.get_by_role("button", name="拨号", exact=True).click()
    leg = far.wait_ringing(20).wait_talking(20)
    expect(state).to_have_text("通话中")
    wait_until(lambda: hears(phone, ELDER_HZ), 8, "the other side's tone in the browser")
    listen(leg, 2)
    phone.get_by_role("button", name="静音").click()
    listen(leg, 4)
    phone.get_by_role("button", name="取消静音").click()
    phone.get_by_role("button", name="保持").click()
    expect(state).to_have_text("保持中")
    phone.get_by_role("button", name="取回").click()
    expect(state).to_have_text("通话中")
    phone.keyboard.press("Alt+x")
    leg.wait_ended()
    heard = tone_times(leg.heard(), SEAT_HZ, share=0.05)
    assert [at for at in heard if at < 2], "the seat is heard"
    silence = max(later - at for at, later in itertools.pairwise(heard))
    assert silence > 3, "not a word is heard while muted, and after it again"
    expect(state).to_have_text("就绪")
    # What did not come to be is said in words.
    town.carrier.number("13900000008").is_busy()
    phone.get_by_label("要拨的号码").fill("13900000008")
    phone.get_by_role("button", name="拨号", exact=True).click()
    expect(phone.get_by_role("alert")).to_have_text("对方忙。", timeout=15_000)


def test_a_talk_comes_back_to_the_page_that_was_loaded_again(
    context: BrowserContext, town: Town
) -> None:
    phone = take_seat(context)
    state = phone.locator("#phone [data-f=state]")
    elder, _call = arrive(town)
    # A reload while it rings: it rings again.
    expect(state).to_have_text("来电", timeout=15_000)
    look_at(phone, "phone-ringing")
    phone.reload()
    expect(phone.get_by_role("button", name="接听")).to_be_visible(timeout=25_000)
    phone.get_by_role("button", name="接听").click()
    expect(state).to_have_text("通话中")
    listen(elder, 1)
    # A reload in the talk: nobody needs to answer.
    phone.reload()
    expect(state).to_have_text("通话中", timeout=20_000)
    wait_until(lambda: hears(phone, ELDER_HZ), 8, "the elder's tone in the browser")
    assert not elder.has_ended
    listen(elder, 1, SEAT_HZ)
    # Whoever was muted is so still.
    phone.get_by_role("button", name="静音").click()
    muted = elder.bytes_heard() / 16000
    phone.reload()
    expect(state).to_have_text("通话中", timeout=20_000)
    expect(phone.get_by_role("button", name="取消静音")).to_be_visible()
    listen(elder, 2)
    elder.hang_up()
    expect(state).to_have_text("就绪")
    assert not [at for at in tone_times(elder.heard(), SEAT_HZ) if at > muted + 1]


def test_a_closed_tab_is_not_rung_any_more(context: BrowserContext, town: Town) -> None:
    phone = take_seat(context)
    assert is_registered(town)
    phone.close()
    wait_until(lambda: not is_registered(town), 5, "the browser is forgotten")
    # The telephone on the table is the seat's again.
    table = town.carrier.phone("1001").answers(0.1, SEAT_HZ)
    elder, _call = arrive(town)
    table.wait_ringing(15).wait_talking()
    elder.hang_up()


def test_an_emergency_rings_where_the_seat_has_chosen_and_not_beside_it(
    context: BrowserContext, town: Town
) -> None:
    phone = take_seat(context)
    table = town.carrier.phone("1001").rings()
    elder = town.carrier.call("96000", "13800000005", tone=ELDER_HZ).wait_talking()
    phone.get_by_role("button", name="接听").click(timeout=15_000)
    expect(state_of(phone)).to_have_text("通话中")
    wait_until(lambda: hears(phone, ELDER_HZ), 8, "the elder's tone in the browser")
    listen(elder, 3)
    elder.hang_up()
    expect(state_of(phone)).to_have_text("就绪")
    assert tone_seconds(elder.heard(), SEAT_HZ) > 1
    assert table.legs() == [], "nor does the one on the table ring"
    # The seat chooses otherwise.
    phone.get_by_role("button", name="离开坐席").click()
    wait_until(lambda: not is_registered(town), 10, "the browser is forgotten")
    wait_for_table(town)


def test_a_second_tab_says_where_the_telephone_is_and_may_take_it_over(
    context: BrowserContext, town: Town
) -> None:
    first = take_seat(context)
    second = context.new_page()
    second.goto("/phone")
    expect(second.get_by_role("alert")).to_contain_text("另一个标签页")
    second.get_by_role("button", name="在此使用").click()
    expect(second.locator("#phone [data-f=state]")).to_have_text("就绪", timeout=15_000)
    expect(first.get_by_role("alert")).to_contain_text("另一个标签页")
    # The bar of every other page shows it and steers it.
    board = context.new_page()
    board.goto("/")
    bar = board.locator("#phone-bar")
    expect(bar.locator("[data-f=state]")).to_have_text("就绪")
    assert is_registered(town)
    elder, call = arrive(town)
    bar.get_by_role("button", name="接听").click(timeout=15_000)
    expect(bar.locator("[data-f=state]")).to_have_text("通话中")
    assert board.evaluate("import('/static/phone.js').then((m) => m.phone.state.call)") == call
    elder.hang_up()
    # After the sign-out no telephone is left.
    board.get_by_role("button", name="退出").click()
    wait_until(lambda: not is_registered(town), 5, "the browser is forgotten")
    expect(second).to_have_url(re.compile("/sign-in"))


@pytest.mark.row("UI-06")
def test_a_call_is_taken_talked_and_wrapped_up_without_a_mouse(
    context: BrowserContext, town: Town
) -> None:
    """Answer, mute, hold, hang up, class, note, saving, search and help, by their keys."""
    context.add_init_script(
        "addEventListener('pointerdown', () => localStorage.setItem('touched', 'yes'), true)"
    )
    phone = take_seat(context)
    page = context.new_page()
    page.goto("/seat")
    keys = page.keyboard
    wrap_up_former(page)
    page.evaluate("localStorage.clear()")
    elder, call = arrive(town)
    expect(page.locator("#phone-bar").get_by_role("button", name="接听")).to_be_visible(
        timeout=20_000
    )
    expect(page.locator("#seat-state")).to_contain_text("振铃")
    keys.press("Alt+a")
    expect(page.locator("#seat-state")).to_contain_text("通话中")
    keys.press("Alt+m")
    expect(phone.locator("[data-f=mute]")).to_have_attribute("aria-pressed", "true")
    keys.press("Alt+m")
    expect(phone.locator("[data-f=mute]")).to_have_attribute("aria-pressed", "false")
    keys.press("Alt+h")
    expect(page.locator("#phone-bar [data-f=state]")).to_have_text("保持中")
    keys.press("Alt+h")
    expect(page.locator("#phone-bar [data-f=state]")).to_have_text("通话中")
    note = page.get_by_label("备注")
    tab_to(page, note)
    keys.type("问高龄补贴")
    keys.press("Alt+2")
    expect(page.get_by_role("radio", name="咨询服务")).to_be_checked()
    keys.press("Alt+x")
    elder.wait_ended()
    expect(page.locator("#seat-state")).to_contain_text("话后整理")
    expect(note).to_have_value("问高龄补贴")
    keys.press("Alt+s")
    expect(page.get_by_role("heading", name="没有来电")).to_be_visible()
    tab_to(page, page.get_by_role("link", name="通话", exact=True))
    keys.press("Enter")
    expect(page).to_have_url(re.compile("/calls$"))
    page.wait_for_load_state()
    keys.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    keys.type("13800000001")
    keys.press("Enter")
    row = page.locator("tr", has=page.locator(f"a[href='/calls/{call}']"))
    expect(row).to_contain_text("咨询服务")
    with context.expect_page() as opened:
        tab_to(page, row.get_by_role("link"))
        keys.press("?")
    expect(opened.value.get_by_role("heading", level=1)).to_contain_text("通话")
    assert page.evaluate("localStorage.getItem('touched')") is None, "no mouse, no finger"


def wrap_up_former(page: Page) -> None:
    """The calls that other tests have left to this seat."""
    nobody = page.get_by_role("heading", name="没有来电")
    left = page.get_by_role("link", name="通话详情")
    expect(nobody.or_(left)).to_be_visible()
    while not nobody.is_visible():
        former = left.get_attribute("href")
        # The keys count from when the page's script has begun.
        page.wait_for_load_state("load")
        page.keyboard.press("Alt+5")
        page.keyboard.press("Alt+s")
        another = page.locator(f"main a:not([href='{former}'])", has_text="通话详情")
        expect(nobody.or_(another)).to_be_visible()


def tab_to(page: Page, wanted: Locator) -> None:
    for _ in range(60):
        if wanted.evaluate("it => it === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{wanted} is not reached by the keyboard")
