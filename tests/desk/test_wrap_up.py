"""A call's wrap-up on its page: refused in words, kept while it is typed, said once."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from sql.queries import calls
from tests.desk.centre import Call, Centre
from tests.desk.test_calls import fresh_number, orders_of
from tests.observer import wait_until
from workflows.commands import JudgeRequest
from workflows.errors import NotAllowed
from workflows.events import Event


def draft_is_kept(page: Page) -> None:
    expect(page.locator("[data-f=draft]")).to_contain_text("草稿已保存")


def drafted(centre: Centre, call_id: str) -> str:
    async def read() -> str:
        async with centre.database.reading() as session:
            return (await calls.draft(session, call_id, "admin")).get("note", "")

    return centre.run(read())


@pytest.mark.row("ACD-19", part="wrap-up")
def test_a_wrap_up_without_a_class_is_refused_and_loses_nothing(page: Page, centre: Centre) -> None:
    call = centre.call(fresh_number(), ago_s=90).whole()
    page.goto(f"/calls/{call.id}")
    form = page.locator("#wrap-up form")
    page.evaluate("document.querySelectorAll('form').forEach(f => f.noValidate = true)")
    page.get_by_label("备注").fill("<script>alert(1)</script> 问补贴")
    page.get_by_role("button", name="保存小结").click()
    expect(page.locator("#call_class-fault")).to_have_text("请选择这次通话属于哪一类。")
    expect(page.get_by_label("备注")).to_have_value("<script>alert(1)</script> 问补贴")
    # The keys count from when the page's script has begun.
    page.wait_for_load_state("load")
    page.keyboard.press("Alt+2")
    expect(form.get_by_role("radio", name="咨询服务")).to_be_checked()
    page.keyboard.press("Alt+s")
    expect(page.locator("#wrapped-up")).to_contain_text("咨询服务")
    expect(page.locator("#wrapped-up")).to_contain_text("<script>alert(1)</script> 问补贴")
    expect(page.locator("#timeline")).to_contain_text("admin 完成小结：咨询服务")


@pytest.mark.row("ACD-19", part="flows")
def test_each_class_opens_its_own_flow(page: Page, centre: Centre) -> None:
    for about, follows, state, content in (
        ("紧急帮助", "需要马上有人照看老人", "已生成", "紧急帮助"),
        ("咨询服务", "备注作为答复", "已办结", ""),
        ("生活服务", "保存后生成工单", "已生成", "送餐"),
        ("无响应", "请回拨，或派人上门查看", "已生成", "无响应"),
        ("其他", "", "待判断", ""),
    ):
        call = centre.call(fresh_number(), ago_s=90).whole()
        page.goto(f"/calls/{call.id}")
        form = page.locator("#wrap-up form")
        expect(form.locator("[data-follows]:visible")).to_have_count(0)
        form.get_by_role("radio", name=about).check()
        told = form.locator("[data-follows]:visible")
        if follows:
            expect(told).to_contain_text(follows)
        else:
            expect(told).to_have_count(0)
        page.get_by_label("备注").fill("老人说的话")
        if about == "生活服务":
            page.get_by_label("服务内容").fill("送餐")
        page.get_by_role("button", name="保存小结").click()
        expect(page.locator("#wrapped-up")).to_contain_text(about)
        # Saved again with another note, it opens nothing a second time.
        page.get_by_label("备注").fill("老人说的话，补充")
        page.get_by_role("button", name="保存小结").click()
        expect(page.locator("#wrapped-up")).to_contain_text("补充")
        assert orders_of(centre, call.id) == 1
        page.locator("#linked-orders a").first.click()
        expect(page.locator("#order-state")).to_have_text(state)
        if content:
            expect(page.get_by_role("textbox", name="服务内容")).to_have_value(content)
        if about == "咨询服务":
            expect(page.locator("main")).to_contain_text("老人说的话")


def in_talk(page: Page, centre: Centre) -> Call:
    """The page of a call that is talked right now."""
    call = centre.call(fresh_number(), ago_s=90)
    call.queue()
    call.answer()
    page.goto(f"/calls/{call.id}")
    return call


@pytest.mark.row("ACD-19", part="flows")
def test_a_question_that_is_wrapped_up_in_the_talk_is_closed_with_the_call(
    page: Page, centre: Centre
) -> None:
    call = in_talk(page, centre)
    page.get_by_role("radio", name="咨询服务").check()
    page.get_by_label("备注").fill("问补贴，已答复")
    page.get_by_role("button", name="保存小结").click()
    expect(page.locator("#wrapped-up")).to_contain_text("问补贴，已答复")
    call.end("1001")
    page.locator("#linked-orders a").first.click()
    expect(page.locator("#order-state")).to_have_text("已办结")
    expect(page.locator("main")).to_contain_text("问补贴，已答复")


def test_what_is_typed_survives_a_reload_and_the_order_is_made_once(
    page: Page, centre: Centre
) -> None:
    call = in_talk(page, centre)
    page.get_by_label("备注").fill("送餐，少盐")
    page.get_by_label("服务内容").fill("送餐")
    page.get_by_role("radio", name="生活服务").check()
    draft_is_kept(page)
    page.reload()
    expect(page.get_by_label("备注")).to_have_value("送餐，少盐")
    expect(page.get_by_label("服务内容")).to_have_value("送餐")
    expect(page.get_by_role("radio", name="生活服务")).to_be_checked()
    call.end("1001")
    expect(page.locator("#linked-orders li")).to_have_count(1)
    page.get_by_role("button", name="保存小结").dblclick()
    expect(page.locator("#wrapped-up")).to_contain_text("送餐，少盐")
    expect(page.locator("#linked-orders li")).to_have_count(1)
    expect(page.locator("#linked-orders")).to_contain_text("送餐")
    assert orders_of(centre, call.id) == 1
    expect(page.get_by_label("服务内容")).to_have_value("")


def test_who_types_without_a_pause_or_leaves_the_page_loses_nothing(
    page: Page, centre: Centre
) -> None:
    call = centre.call(fresh_number(), ago_s=90).whole()
    page.goto(f"/calls/{call.id}")
    kept: list[str] = []
    page.on("request", lambda sent: kept.append(sent.url) if sent.url.endswith("/draft") else None)
    page.get_by_label("备注").press_sequentially("老人说昨晚没有睡好", delay=400)
    assert kept, "what is typed for seconds is kept meanwhile"
    draft_is_kept(page)
    page.get_by_label("备注").fill("老人说昨晚没有睡好，想听人说说话")
    page.goto("/calls")
    # It is on its way while the next page loads already.
    wait_until(lambda: drafted(centre, call.id).endswith("说说话"), 8, "the last words are kept")
    page.goto(f"/calls/{call.id}")
    expect(page.get_by_label("备注")).to_have_value("老人说昨晚没有睡好，想听人说说话")


def test_of_two_people_the_second_sees_what_the_first_saved(
    page: Page, context: BrowserContext, centre: Centre
) -> None:
    call = centre.call(fresh_number(), ago_s=90).whole()
    page.goto(f"/calls/{call.id}")
    token = page.locator("#wrap-up [name=csrf]").input_value()
    page.get_by_label("备注").fill("我写的")
    page.get_by_role("radio", name="其他").check()
    sent = {"csrf": token, "wrap_up_id": "a" * 32, "order_id": "b" * 32, "content": ""}
    first = context.request.post(
        f"/calls/{call.id}/wrap-up",
        form={**sent, "call_class": "no_response", "note": "别人写的"},
        max_redirects=0,
    )
    assert first.status == 303
    expect(page.locator("#wrapped-up")).to_contain_text("别人写的")
    with page.expect_response(re.compile("/wrap-up$")) as answer:
        page.get_by_role("button", name="保存小结").click()
    assert answer.value.status == 409
    expect(page.locator("main").get_by_role("alert")).to_contain_text(
        "admin 已先完成这次通话的小结"
    )
    expect(page.get_by_label("备注")).to_have_value("我写的")
    page.get_by_role("button", name="保存小结").click()
    expect(page.locator("#wrapped-up")).to_contain_text("我写的")
    expect(page.locator("#wrapped-up")).to_contain_text("其他")


def test_a_wrap_up_whose_order_is_refused_blames_nobody_and_can_be_changed(
    page: Page, centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = centre.call(fresh_number(), ago_s=90).whole()
    handle = centre.runner.handle

    async def without_orders(event: Event, because: str | None = None) -> object:
        if isinstance(event, JudgeRequest):
            raise NotAllowed("judge: not possible just now")
        return await handle(event, because)

    monkeypatch.setattr(centre.runner, "handle", without_orders)
    page.goto(f"/calls/{call.id}")
    page.get_by_role("radio", name="生活服务").check()
    page.get_by_label("备注").fill("送餐，少盐")
    page.get_by_label("服务内容").fill("送餐")
    page.get_by_role("button", name="保存小结").click()
    told = page.locator("main").get_by_role("alert")
    expect(told).to_contain_text("小结已保存，工单没有保存")
    expect(page.locator("#wrapped-up")).to_contain_text("送餐，少盐")
    monkeypatch.undo()
    page.get_by_label("备注").fill("送餐，少盐，加一份汤")
    page.get_by_role("button", name="保存小结").click()
    expect(page.locator("#wrapped-up")).to_contain_text("送餐，少盐，加一份汤")
    expect(told).to_have_count(0)
    expect(page.locator("#linked-orders")).to_contain_text("送餐")
    assert orders_of(centre, call.id) == 1


def test_an_unsound_wrap_up_is_refused(context: BrowserContext, page: Page, centre: Centre) -> None:
    call = centre.call(fresh_number(), ago_s=90).whole()
    page.goto(f"/calls/{call.id}")
    token = page.locator("#wrap-up [name=csrf]").input_value()
    fields: dict[str, str | float | bool] = {
        "csrf": token, "wrap_up_id": "a" * 32, "order_id": "b" * 32, "call_class": "x",
    }  # fmt: skip
    url = f"/calls/{call.id}/wrap-up"
    assert context.request.post(url, form=fields, max_redirects=0).status == 422
    assert context.request.post(url, form={**fields, "csrf": ""}, max_redirects=0).status == 403
    drafted = f"/calls/{call.id}/draft"
    assert context.request.post(drafted, form={"csrf": token, "note": "长" * 2001}).status == 422
    assert context.request.post("/calls/none/draft", form={"csrf": token}).status == 404
