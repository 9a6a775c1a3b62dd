"""My seat: who is calling, before answer; one of two; an unknown number; the talk; the wrap-up."""

from __future__ import annotations

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
