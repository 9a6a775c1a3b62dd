"""Orders: what is made of a call, judged, closed or withdrawn, and only as its state allows."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.desk.centre import Call, Centre
from tests.desk.test_calls import fresh_number
from workflows.events import Channel, RequestAccepted


def order_of(page: Page, call: Call) -> str:
    """Open the page of the order that the answered call brought; returns its number."""
    page.goto(f"/calls/{call.id}")
    link = page.locator("#linked-orders a").first
    number = link.inner_text()
    link.click()
    expect(page.get_by_role("heading", name=number)).to_be_visible()
    return number


@pytest.mark.row("WO-05")
def test_an_order_has_its_number_and_is_tied_to_request_call_and_elder(
    page: Page, centre: Centre
) -> None:
    number = fresh_number()
    uid = centre.enter_elder("吴秀珍", number)
    calls = [centre.call(number, ago_s=ago).whole() for ago in (600, 300)]
    numbers = [order_of(page, call) for call in calls]
    assert len(set(numbers)) == 2
    assert all(re.fullmatch(r"\d{8}-\d{4}", one) for one in numbers)
    expect(page.get_by_text(f"R{numbers[1]}")).to_be_visible()
    expect(page.locator(f"main a[href='/calls/{calls[1].id}']").first).to_be_visible()
    expect(page.locator(f"main a[href='/elders/{uid}']")).to_have_text("吴秀珍")
    page.goto("/orders")
    for one in numbers:
        expect(page.get_by_role("link", name=one)).to_be_visible()
    page.goto(f"/elders/{uid}")
    expect(page.get_by_role("link", name=numbers[0])).to_be_visible()


def test_first_judgement_generates_the_order(page: Page, centre: Centre) -> None:
    number = order_of(page, centre.call(fresh_number(), ago_s=90).whole())
    expect(page.locator("#order-state")).to_have_text("待判断")
    page.get_by_label("服务内容").fill("理发")
    page.get_by_label("具体要求").fill("上门，周五上午")
    page.get_by_role("button", name="生成工单").click()
    expect(page.locator("#order-state")).to_have_text("已生成")
    expect(page.get_by_label("具体要求")).to_have_value("上门，周五上午")
    expect(page.locator(".timeline")).to_contain_text("admin 完成初步判断")
    page.goto("/orders")
    expect(page.locator("tr", has_text=number)).to_contain_text("理发")


@pytest.mark.row("AUD-01", part="desk")
def test_the_record_names_an_order_by_its_number(page: Page, centre: Centre) -> None:
    number = order_of(page, centre.call(fresh_number(), ago_s=90).whole())
    page.get_by_label("服务内容").fill("理发")
    page.get_by_role("button", name="生成工单").click()
    page.goto(f"/record?text={number}")
    row = page.locator("table.list tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("判断需求")
    row.get_by_role("link", name=number).click()
    expect(page.get_by_role("heading", name=number)).to_be_visible()


def test_a_question_is_answered_and_closed(page: Page, centre: Centre) -> None:
    order_of(page, centre.call(fresh_number(), ago_s=90).whole())
    page.locator("summary", has_text="直接答复并办结").click()
    page.get_by_label("答复内容").fill("老年卡在街道办理")
    page.get_by_role("button", name="直接答复并办结").click()
    expect(page.locator("#order-state")).to_have_text("已办结")
    expect(page.locator("dd.lines", has_text="老年卡在街道办理")).to_be_visible()
    # A closed order offers nothing more.
    expect(page.locator("main form")).to_have_count(0)


def test_a_withdrawal_needs_its_reason(page: Page, centre: Centre) -> None:
    order_of(page, centre.call(fresh_number(), ago_s=90).whole())
    page.evaluate("document.querySelectorAll('form').forEach(f => f.noValidate = true)")
    page.locator("summary", has_text="撤销工单").click()
    page.get_by_role("button", name="撤销工单").click()
    expect(page.locator("#reason-fault")).to_have_text("此项必填。")
    page.get_by_label("撤销原因").fill("家人已处理")
    page.get_by_role("button", name="撤销工单").click()
    expect(page.locator("#order-state")).to_have_text("已撤销")


def test_somebody_else_was_faster(page: Page, centre: Centre) -> None:
    order_of(page, centre.call(fresh_number(), ago_s=90).whole())
    page.get_by_label("服务内容").fill("理发")
    colleague = page.context.new_page()
    colleague.goto(page.url)
    colleague.locator("summary", has_text="撤销工单").click()
    colleague.get_by_label("撤销原因").fill("重复")
    colleague.get_by_role("button", name="撤销工单").click()
    expect(colleague.locator("#order-state")).to_have_text("已撤销")
    with page.expect_response(re.compile("/judge$")) as answer:
        page.get_by_role("button", name="生成工单").click()
    assert answer.value.status == 409
    expect(page.locator("main").get_by_role("alert")).to_contain_text("现在已不能这样做")
    expect(page.locator("#order-state")).to_have_text("已撤销")


def test_the_controller_is_away(page: Page, centre: Centre) -> None:
    number = order_of(page, centre.call(fresh_number(), ago_s=90).whole())
    page.get_by_label("服务内容").fill("送药")
    centre.go_away()
    try:
        page.get_by_role("button", name="生成工单").click()
        expect(page.locator("main").get_by_role("alert")).to_contain_text("尚未保存")
        expect(page.get_by_label("服务内容")).to_have_value("送药")
        expect(page.locator("#away")).to_be_visible()
    finally:
        # The page is read anew then, and what the refused form holds stays.
        with page.expect_response(re.compile(f"/orders/{number}$")) as read:
            centre.come_back()
    read.value.finished()
    expect(page.locator("#away")).to_be_hidden()
    expect(page.get_by_label("服务内容")).to_have_value("送药")
    page.get_by_role("button", name="生成工单").click()
    expect(page.locator("#order-state")).to_have_text("已生成")


def test_more_than_fifty_are_on_older_pages(page: Page, centre: Centre) -> None:
    for number in range(51):
        centre.tell(
            RequestAccepted(
                case_id=f"pages-{number}", at=datetime.now(UTC), channel=Channel.COUNTER,
                call_id="", elder_id=None, content=f"翻页需求{number:02}",
            )
        )  # fmt: skip
    rows = page.locator("table.list tbody tr")
    page.goto("/orders?state=generated&text=翻页需求")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("翻页需求50")
    page.get_by_role("link", name="更早的工单").click()
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("翻页需求00")
    expect(page.get_by_role("searchbox")).to_have_value("翻页需求")
    page.get_by_role("link", name="最新").click()
    expect(rows).to_have_count(50)
    page.goto("/orders?before=0")
    expect(page.get_by_text("没有这样的工单")).to_be_visible()


def test_a_missed_caller_is_called_back_from_the_order(page: Page, centre: Centre) -> None:
    call = centre.call(fresh_number(), ago_s=30)
    call.queue()
    call.end()
    order_of(page, call)
    expect(page.locator("#call-back [data-dial]")).to_contain_text("136 0000")


@pytest.mark.row("UI-01")
def test_an_orders_state_is_shown_at_once_in_the_list_and_on_its_page(
    page: Page, centre: Centre
) -> None:
    number = order_of(page, centre.call(fresh_number(), ago_s=90).whole())
    page.evaluate("window.untouched = true")
    listed = page.context.new_page()
    listed.goto("/orders")
    row = listed.locator("tr", has_text=number)
    expect(row).to_contain_text("待判断")
    listed.evaluate("window.untouched = true")
    colleague = page.context.new_page()
    colleague.goto(page.url)
    colleague.get_by_role("textbox", name="服务内容").fill("理发")
    colleague.get_by_role("button", name="生成工单").click()
    expect(row).to_contain_text("已生成")
    expect(row).to_contain_text("理发")
    expect(page.locator("#order-state")).to_have_text("已生成")
    expect(page.get_by_role("textbox", name="服务内容")).to_have_value("理发")
    # What somebody types is left alone; how the order stands is said all the same.
    page.get_by_label("具体要求").fill("周五上午")
    colleague.locator("summary", has_text="直接答复并办结").click()
    colleague.get_by_label("答复内容").fill("老人已自行理发")
    colleague.get_by_role("button", name="直接答复并办结").click()
    expect(page.locator("#order-state")).to_have_text("已办结")
    expect(page.locator("#timeline")).to_contain_text("老人已自行理发")
    expect(page.get_by_label("具体要求")).to_have_value("周五上午")
    expect(row).to_contain_text("已办结")
    for one in (page, listed):
        assert one.evaluate("window.untouched") is True


@pytest.mark.row("UI-01")
def test_a_new_order_and_one_missed_while_the_feed_was_cut_are_in_the_list(
    page: Page, centre: Centre
) -> None:
    page.goto("/orders")
    page.evaluate("window.untouched = true")
    number = fresh_number()
    centre.enter_elder("郝桂英", number)
    centre.call(number, ago_s=90).whole()
    expect(page.locator("tr", has_text="郝桂英")).to_have_count(1)
    centre.go_away()
    expect(page.locator("#away")).to_contain_text("控制程序离线")
    centre.call(number, ago_s=60).whole()
    centre.come_back()
    expect(page.locator("tr", has_text="郝桂英")).to_have_count(2)
    assert page.evaluate("window.untouched") is True
