"""Click to dial, and a dialled call that outlives its page."""

from __future__ import annotations

import re

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.audio import tone_seconds
from tests.desk.looks import look_at
from tests.desk.phone.place import (
    ELDER_HZ,
    SEAT_HZ,
    arrive,
    dial,
    hears,
    reach_carrier,
    state_of,
    take_seat,
)
from tests.house import Town, listen
from tests.observer import wait_until
from tests.telephone import Telephone

FAMILY = "13900000031"


def contact_of(page: Page, elder: str, number: str) -> Locator:
    """Enter an elder with a contact; returns the contact's number on the elder's page."""
    page.goto("/elders/new")
    typed = {
        "full_name": elder, "numbers": number, "contacts.0.name": "测试女儿",
        "contacts.0.phones": FAMILY,
    }  # fmt: skip
    for name, value in typed.items():
        page.locator(f"[name='{name}']").first.fill(value)
    page.get_by_role("button", name="保存").click()
    page.wait_for_url(re.compile("/elders/E"))
    return page.locator("#contacts [data-dial]")


def family(town: Town) -> Telephone:
    reach_carrier(town)
    return town.carrier.number(FAMILY).answers(0.2, ELDER_HZ)


def test_a_contact_on_the_card_is_called_by_the_telephone_that_is_open(
    context: BrowserContext, town: Town
) -> None:
    page = context.new_page()
    contact_of(page, "测试老人戊", "13800000061")
    phone = take_seat(context)
    elder, _call = arrive(town, "13800000061")
    phone.get_by_role("button", name="接听").click(timeout=15_000)
    expect(state_of(phone)).to_have_text("通话中")
    elder.hang_up()
    expect(state_of(phone)).to_have_text("就绪")
    # While it is wrapped up, the card of the elder is still there.
    page.goto("/seat")
    far = family(town)
    page.locator("#beside [data-dial]").click()
    leg = far.wait_ringing(20).wait_talking(20)
    expect(page.locator("#phone-bar [data-f=state]")).to_have_text("通话中")
    wait_until(lambda: hears(phone, ELDER_HZ), 8, "the daughter's tone in the browser")
    leg.hang_up()


def test_a_number_that_is_not_dialled_says_why_where_it_was_pressed(
    context: BrowserContext, town: Town
) -> None:
    page = context.new_page()
    contact = contact_of(page, "测试老人庚", "13800000063")
    phone = take_seat(context)
    far = family(town).is_busy()
    said = page.locator("#not-dialled")
    expect(page.locator("#phone-bar [data-f=state]")).to_have_text("就绪")
    expect(said).to_be_hidden()

    elder, _call = arrive(town)
    phone.get_by_role("button", name="接听").click(timeout=15_000)
    expect(state_of(phone)).to_have_text("通话中")
    contact.click()
    expect(said).to_contain_text("没有拨出。")
    expect(said).to_contain_text("电话正在振铃或通话。")
    look_at(page, "elder-not-dialled")
    assert far.legs() == []
    elder.hang_up()
    expect(said).to_be_hidden()

    contact.click()
    expect(said).to_contain_text("对方忙。", timeout=20_000)
    expect(said.get_by_text("没有拨出。")).to_be_hidden()

    context.clear_permissions()
    expect(state_of(phone)).to_have_text("没有麦克风", timeout=10_000)
    contact.click()
    expect(said).to_contain_text("没有拨出。")
    expect(said).to_contain_text("允许")

    phone.close()
    expect(page.locator("#phone-bar [data-f=state]")).to_be_hidden()
    page.evaluate("window.open = () => null")
    contact.click()
    expect(said).to_contain_text("请允许本页弹出窗口。")
    assert len(far.legs()) == 1


def test_a_contact_is_called_by_a_telephone_that_opens_for_it(
    context: BrowserContext, town: Town
) -> None:
    take_seat(context).close()
    page = context.new_page()
    contact = contact_of(page, "测试老人己", "13800000062")
    far = family(town)
    with page.expect_popup() as opened:
        contact.click()
    leg = far.wait_ringing(20).wait_talking()
    expect(state_of(opened.value)).to_have_text("通话中")
    expect(opened.value).to_have_url(re.compile("/phone$"))
    leg.hang_up()
    # A reload is no second wish.
    opened.value.reload()
    expect(state_of(opened.value)).to_have_text("就绪", timeout=15_000)
    assert len(far.legs()) == 1


def test_a_link_from_elsewhere_fills_the_number_in_and_calls_nobody(
    context: BrowserContext, town: Town
) -> None:
    phone = take_seat(context)
    far = family(town)
    phone.goto(f"/phone?dial={FAMILY}")
    expect(state_of(phone)).to_have_text("就绪", timeout=15_000)
    expect(phone.get_by_label("要拨的号码")).to_have_value(FAMILY)
    assert far.legs() == []
    phone.get_by_role("button", name="拨号", exact=True).click()
    far.wait_ringing(20).wait_talking(20).hang_up()


def test_a_call_that_the_seat_dialled_comes_back_after_a_reload(
    context: BrowserContext, town: Town
) -> None:
    phone = take_seat(context)
    far = family(town)
    dial(phone, FAMILY)
    leg = far.wait_ringing(20).wait_talking(20)
    expect(state_of(phone)).to_have_text("通话中")
    listen(leg, 1)
    phone.reload()
    expect(state_of(phone)).to_have_text("通话中", timeout=25_000)
    assert not leg.has_ended
    wait_until(lambda: hears(phone, ELDER_HZ), 8, "the other side's tone in the browser")
    listen(leg, 3)
    phone.get_by_role("button", name="挂断").click()
    leg.wait_ended()
    assert tone_seconds(leg.heard(), SEAT_HZ) > 2
    assert len(far.legs()) == 1, "nobody was called twice"
