"""Who calls is said, said anew and taken back; a search is for the call on the page alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.desk.centre import Centre
from tests.desk.test_calls import fresh_number
from tests.desk.test_seat import _nothing_left_to_wrap_up  # noqa: F401 — a fixture of these too.


def search(page: Page, text: str) -> None:
    box = page.locator("main").get_by_role("searchbox")
    box.fill(text)
    box.press("Enter")


def order_page(page: Page, content: str) -> str:
    """The elder under whose name the order of this call stands on its own page."""
    row = page.locator("#linked-orders li", has_text=content)
    page.goto(row.get_by_role("link").get_attribute("href") or "")
    return page.locator("header .quiet").first.inner_text()


@pytest.mark.row("ACD-16")
def test_a_wrong_name_is_replaced_and_taken_back(page: Page, centre: Centre) -> None:
    for name in ("尉迟兰", "尉迟芳"):
        centre.enter_elder(name, fresh_number())
    page.goto("/seat?seat=1002")
    call = centre.call(fresh_number())
    call.queue()
    call.ring("1002")
    expect(page.get_by_role("heading", name="是已登记的老人吗")).to_be_visible()
    search(page, "尉迟")
    page.get_by_role("button", name="是尉迟兰来电").click()
    card = page.locator("#caller")
    expect(card.get_by_role("heading", name="尉迟兰")).to_be_visible()
    call.answer("1002")
    page.get_by_label("服务内容").fill("送餐")
    page.get_by_role("button", name="建立工单").click()
    expect(page.locator("#linked-orders")).to_contain_text("送餐")
    # It was the other one: the search is there still, and says who is shown already.
    search(page, "尉迟")
    expect(page.locator("#who-else li", has_text="尉迟兰")).to_contain_text("见上方")
    page.get_by_role("button", name="是尉迟芳来电").click()
    expect(card.get_by_role("heading", name="尉迟芳")).to_be_visible()
    expect(card.get_by_role("heading", name="尉迟兰")).to_have_count(0)
    expect(page.locator("#who-else")).to_contain_text("admin 已确认来电人是尉迟芳")
    expect(page.locator("#who-else")).to_contain_text("工单随之转到新选的老人")
    assert order_page(page, "送餐") == "尉迟芳"
    page.goto("/seat?seat=1002")
    page.get_by_role("button", name="撤回").click()
    expect(page.get_by_text("这个号码没有对应的老人。")).to_be_visible()
    expect(page.get_by_role("button", name="撤回")).to_have_count(0)
    assert order_page(page, "送餐") == "未关联老人"
    page.goto(f"/calls/{call.id}")
    for said in ("确认来电人：尉迟兰", "确认来电人：尉迟芳", "admin 撤回来电人"):
        expect(page.locator("#timeline")).to_contain_text(said)
    page.goto("/record?text=admin")
    expect(page.locator("tbody")).to_contain_text("撤回了来电人")
    call.end("1002")


@pytest.mark.row("ACD-16")
def test_of_two_on_one_number_the_other_can_still_be_chosen(page: Page, centre: Centre) -> None:
    number = fresh_number()
    for name in ("司徒明", "司徒英"):
        centre.enter_elder(name, number)
    page.goto("/seat?seat=1002")
    call = centre.call(number)
    call.queue()
    call.ring("1002")
    page.get_by_role("button", name="是司徒明来电").click()
    card = page.locator("#caller")
    expect(card.get_by_role("heading", name="司徒英")).to_have_count(0)
    page.get_by_role("button", name="撤回").click()
    for name in ("司徒明", "司徒英"):
        expect(card.get_by_role("heading", name=name)).to_be_visible()
    page.get_by_role("button", name="是司徒英来电").click()
    expect(card.get_by_role("heading", name="司徒明")).to_have_count(0)
    call.end()


@pytest.mark.row("ACD-16")
def test_who_calls_with_another_elders_telephone_is_said_on_the_calls_page_too(
    page: Page, centre: Centre
) -> None:
    centre.enter_elder("端木华", number := fresh_number())
    centre.enter_elder("端木珍", fresh_number())
    call = centre.call(number, ago_s=90).whole()
    page.goto(f"/calls/{call.id}")
    expect(page.get_by_role("heading", name="是别的老人来电吗")).to_be_visible()
    assert page.get_by_role("button", name="撤回").count() == 0, "nobody has said anything yet"
    watching = page.context.new_page()
    watching.goto(f"/calls/{call.id}")
    search(page, "端木珍")
    page.get_by_role("button", name="是端木珍来电").click()
    expect(page).to_have_url(re.compile(rf"/calls/{re.escape(call.id)}#?$"))
    for one in (page, watching):
        expect(one.get_by_role("heading", name="端木珍", level=1)).to_be_visible()
        expect(one.locator("#caller").get_by_role("heading", name="端木华")).to_have_count(0)
    # Who looks from elsewhere writes the order for whoever calls now, though the form is older.
    watching.get_by_label("服务内容").fill("理发")
    watching.get_by_role("button", name="建立工单").click()
    expect(watching.locator("#linked-orders")).to_contain_text("理发")
    assert order_page(watching, "理发") == "端木珍"
    page.goto(f"/calls/{call.id}")
    page.get_by_role("button", name="撤回").click()
    expect(page.get_by_role("heading", name="端木华", level=1)).to_be_visible()


def test_an_order_that_was_only_tied_says_whose_it_is(page: Page, centre: Centre) -> None:
    centre.enter_elder("皇甫梅", number := fresh_number())
    centre.enter_elder("皇甫松", fresh_number())
    centre.call(number, ago_s=900).whole()
    call = centre.call(number, ago_s=60)
    call.queue()
    page.goto(f"/calls/{call.id}")
    page.locator("#open-orders").get_by_role("button").click()
    expect(page.locator("#linked-orders li")).to_have_count(1)
    expect(page.locator("#linked-orders")).not_to_contain_text("属于")
    search(page, "皇甫松")
    page.get_by_role("button", name="是皇甫松来电").click()
    expect(page.locator("#linked-orders li")).to_contain_text("属于皇甫梅")
    call.end()


def test_an_elder_who_is_entered_from_a_call_is_its_caller_whoever_was_named(
    page: Page, centre: Centre
) -> None:
    centre.enter_elder("长孙玉", fresh_number())
    call = centre.call(fresh_number(), ago_s=60)
    call.queue()
    page.goto(f"/calls/{call.id}")
    form = page.context.new_page()
    form.goto(page.get_by_role("link", name="用此号码登记老人").get_attribute("href") or "")
    search(page, "长孙玉")
    page.get_by_role("button", name="是长孙玉来电").click()
    expect(page.get_by_role("heading", name="长孙玉", level=1)).to_be_visible()
    form.get_by_label("姓名").fill("长孙兰")
    form.get_by_role("button", name="保存", exact=True).click()
    expect(form.get_by_role("heading", name="长孙兰", level=1)).to_be_visible()
    expect(page.get_by_role("heading", name="长孙兰", level=1)).to_be_visible()
    call.end()


def test_a_search_is_not_there_any_more_when_the_next_one_calls(page: Page, centre: Centre) -> None:
    centre.enter_elder("欧阳若梅", fresh_number())
    first = centre.call(fresh_number())
    first.queue()
    first.ring("1002")
    page.goto("/seat?seat=1002")
    search(page, "欧阳若梅")
    expect(page.get_by_role("button", name="是欧阳若梅来电")).to_be_visible()
    first.end()
    expect(page.get_by_role("heading", name="没有来电")).to_be_visible()
    second = centre.call(fresh_number())
    second.queue()
    second.ring("1002")
    expect(page.locator("#seat-state")).to_contain_text("振铃")
    expect(page.get_by_role("button", name="是欧阳若梅来电")).to_have_count(0)
    expect(page.locator("main").get_by_role("searchbox")).to_have_value("")
    expect(page).to_have_url(re.compile(r"/seat\?seat=1002$"))
    second.end()


def test_what_is_typed_in_the_search_stays_while_the_call_goes_on(
    page: Page, centre: Centre
) -> None:
    call = centre.call(fresh_number())
    call.queue()
    call.ring("1002")
    page.goto("/seat?seat=1002")
    box = page.locator("main").get_by_role("searchbox")
    box.fill("欧阳")
    page.get_by_label("备注").focus()
    call.answer("1002")
    expect(page.locator("#seat-state")).to_contain_text("通话中")
    expect(box).to_have_value("欧阳")
    call.end("1002")
