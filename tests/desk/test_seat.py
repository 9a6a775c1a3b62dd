"""My seat: who is calling, before answer; one of two; an unknown number; the talk; the wrap-up."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from tests.desk.centre import Centre
from tests.desk.test_calls import fresh_number


@pytest.fixture(autouse=True)
def _nothing_left_to_wrap_up(centre: Centre) -> None:
    """Calls of other tests at this seat are none of ours."""

    async def forget() -> None:
        async with centre.database.writing() as session:
            await session.execute(text("UPDATE call_record SET wrapped_up_at = ended_at"))

    centre.run(forget())


@pytest.mark.row("ACD-16")
@pytest.mark.row("ACD-17")
@pytest.mark.row("PER-15")
@pytest.mark.row("PER-16")
@pytest.mark.row("PER-17")
def test_all_that_is_known_of_the_caller_is_there_before_the_answer(
    page: Page, centre: Centre
) -> None:
    number = fresh_number()
    checked = datetime(2026, 3, 2, tzinfo=UTC).date()
    centre.enter_whole_elder("王秀兰", number, entry_route_checked_on=checked)
    centre.enter_whole_elder("李门牌", other := fresh_number(), addr_unit="")
    earlier = centre.call(number, ago_s=3600).whole("1001")
    page.goto("/seat?seat=1002")
    call = centre.call(number, ago_s=9)
    call.queue()
    call.ring("1002")
    expect(page.locator("#seat-state")).to_contain_text("振铃")
    card = page.locator("#caller")
    age = datetime.now(UTC).year - 1944
    expect(card).to_contain_text(re.compile(rf"女 ·\s+({age}|{age - 1}) 岁"))
    parts = ("魏都区", "文峰街道", "春秋小区", "7 号楼", "2 单元", "4 层", "402 室")
    expect(card.locator(".address .whole")).to_have_text(parts)
    for known in (
        "王秀兰", "独居", "标志物 春秋广场公交站东 50 米", "进场路线 南门进，直行左转第二栋",
        "2026-03-02", "夜间起身易跌倒；助行器放在床尾。", "高血压、骨质疏松", "每晨服降压药一片",
        "听力弱，请说慢一些。",
    ):  # fmt: skip
        expect(card).to_contain_text(known)
    beside = page.locator("#beside")
    for name, phone in (("王小兰", "138 0000 0021"), ("王建国", "138 0000 0022")):
        expect(beside).to_contain_text(name)
        expect(beside.get_by_role("button", name=phone)).to_be_visible()
    expect(beside.locator(f"a[href='/calls/{earlier.id}']")).to_be_visible()
    order = page.locator("#open-orders li")
    expect(order).to_have_count(1)
    order_no = order.get_by_role("link").inner_text()
    # The order that is chosen is the call's from then on, and its page lists the call.
    order.get_by_role("button").click()
    expect(page.locator("#linked-orders")).to_contain_text(order_no)
    assert page.locator("#seat-state").get_by_text("振铃").count(), "it still rings"
    call.end()
    page.goto(f"/orders/{order_no}")
    expect(page.locator(f"#calls a[href='/calls/{call.id}']")).to_be_visible()
    # What is missing of an address is said.
    gap = centre.call(other, ago_s=5)
    gap.queue()
    gap.ring("1002")
    page.goto("/seat?seat=1002")
    expect(page.locator("#caller")).to_contain_text("缺：单元")
    gap.end()


@pytest.mark.row("ACD-16")
def test_the_card_is_there_before_answer_and_the_wrap_up_after_the_talk(
    page: Page, centre: Centre
) -> None:
    number = fresh_number()
    centre.enter_elder("王秀兰", number)
    centre.call(number, ago_s=3600).whole("1001")
    page.goto("/seat?seat=1002")
    expect(page.get_by_role("heading", name="没有来电")).to_be_visible()
    call = centre.call(number, ago_s=9)
    call.queue()
    call.ring("1002")
    expect(page.get_by_role("heading", name="王秀兰", level=2)).to_be_visible()
    state = page.locator("#seat-state")
    expect(state).to_contain_text("振铃")
    expect(page.locator("#caller")).to_contain_text("文峰街道")
    expect(page.locator("#open-orders li")).to_have_count(1)
    expect(page.locator("#beside")).to_contain_text("已接听")
    call.answer("1002")
    expect(state).to_contain_text("通话中")
    page.get_by_label("备注").fill("问体检")
    call.end("1002")
    expect(state).to_contain_text("话后整理")
    expect(page.get_by_label("备注")).to_have_value("问体检")
    page.get_by_role("radio", name="咨询服务").check()
    expect(page.locator("[data-f=draft]")).to_contain_text("草稿已保存")
    page.reload()
    expect(page.get_by_label("备注")).to_have_value("问体检")
    page.get_by_role("button", name="保存小结").click()
    expect(page.get_by_role("heading", name="没有来电")).to_be_visible()


def test_a_page_that_the_desk_could_not_make_is_asked_for_again(page: Page, centre: Centre) -> None:
    call = centre.call(fresh_number(), ago_s=9)
    call.queue()
    call.answer("1002")
    page.goto("/seat?seat=1002")
    expect(page.locator("#seat-state")).to_contain_text("通话中")
    page.route("**/seat?*", lambda route: route.fulfill(status=503))
    with page.expect_response(lambda answer: answer.status == 503):
        call.end("1002")
    # By then everything about the end has been told, and nothing more brings the page to ask.
    page.wait_for_timeout(1000)
    expect(page.locator("#seat-state")).to_contain_text("通话中")
    page.unroute("**/seat?*")
    expect(page.locator("#seat-state")).to_contain_text("话后整理")


def test_a_wrap_up_that_the_next_call_interrupts_is_kept_when_the_desk_is_back(
    page: Page, centre: Centre
) -> None:
    talked = centre.call(fresh_number(), ago_s=90)
    talked.queue()
    talked.answer("1002")
    talked.end("1002")
    draft = f"**/calls/{talked.id}/draft"
    page.goto("/seat?seat=1002")
    page.route(draft, lambda route: route.abort())
    page.get_by_label("备注").fill("要送米到三楼")
    expect(page.locator("[data-f=draft]")).to_contain_text("尚未保存")
    rings = centre.call(fresh_number(), ago_s=9)
    rings.queue()
    rings.ring("1002")
    expect(page.locator("#seat-state")).to_contain_text("振铃")
    page.keyboard.press("Alt+2")
    with page.expect_response(draft) as kept:
        page.unroute(draft)
    assert kept.value.status == 204
    rings.end()
    page.goto(f"/calls/{talked.id}")
    expect(page.get_by_label("备注")).to_have_value("要送米到三楼")


@pytest.mark.row("ACD-16")
def test_of_two_elders_on_one_number_the_one_who_calls_is_chosen(
    page: Page, centre: Centre
) -> None:
    number = fresh_number()
    centre.enter_elder("陈国富", number)
    centre.enter_elder("李桂英", number)
    page.goto("/seat?seat=1002")
    call = centre.call(number)
    call.queue()
    call.ring("1002")
    for name in ("陈国富", "李桂英"):
        expect(page.locator("#caller").get_by_role("heading", name=name)).to_be_visible()
    page.get_by_role("button", name="是李桂英来电").click()
    expect(page.locator("#caller").get_by_role("heading", name="陈国富")).to_have_count(0)
    expect(page.locator("#caller").get_by_role("heading", name="李桂英")).to_be_visible()
    call.end()
    expect(page.get_by_role("heading", name="没有来电")).to_be_visible()


@pytest.mark.row("ACD-16")
def test_an_unknown_number_has_an_empty_card_that_is_linked(page: Page, centre: Centre) -> None:
    centre.enter_elder("欧阳若兰", fresh_number())
    page.goto("/seat?seat=1002")
    call = centre.call(fresh_number())
    call.queue()
    call.ring("1002")
    expect(page.get_by_text("这个号码没有对应的老人。")).to_be_visible()
    expect(page.get_by_role("link", name="用此号码登记老人")).to_be_visible()
    search = page.locator("main").get_by_role("searchbox")
    for nothing in ("'%_\"", "👵🏻"):
        search.fill(nothing)
        search.press("Enter")
        expect(page.get_by_text("没有找到，请试试姓名的一部分。")).to_be_visible()
    search.fill("欧")
    search.press("Enter")
    page.get_by_role("button", name="是欧阳若兰来电").click()
    expect(page.get_by_role("heading", name="欧阳若兰", level=2)).to_be_visible()
    call.end()


def test_a_tab_in_the_background_says_in_its_title_who_rings(page: Page, centre: Centre) -> None:
    centre.enter_elder("段玉兰", number := fresh_number())
    page.goto("/seat?seat=1002")
    expect(page).to_have_title("我的坐席 · 颐铃 Careline")
    front = page.context.new_page()
    front.bring_to_front()
    call = centre.call(number, ago_s=5)
    call.queue()
    call.ring("1002")
    expect(page).to_have_title("☎ 来电 段玉兰 · 我的坐席 · 颐铃 Careline")
    call.answer("1002")
    expect(page).to_have_title("我的坐席 · 颐铃 Careline")
    call.end("1002")
    front.close()
