"""A call's page: live while it happens, then with its recording, its elder and its orders."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Dialog, Page, expect
from sqlalchemy import func, select

from sql.models import CallOrder
from tests.desk.centre import Centre

HOSTILE = "\"><script>alert(1)</script>'${EXTEN}&amp;{{7*7}}" + "长" * 150


def fresh_number(last: list[int] = [13_600_000_000]) -> str:  # noqa: B006
    """A number that no other test calls from."""
    last[0] += 1
    return f"+86{last[0]}"


def until(is_so: Callable[[], object], page: Page) -> None:
    """Wait for a property; Playwright's own way needs eval, which our policy forbids."""
    for _ in range(80):
        if is_so():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not come to be within 8 seconds")


def orders_of(centre: Centre, call_id: str) -> int:
    async def count(session: object) -> int:
        query = select(func.count()).select_from(CallOrder).where(CallOrder.call_id == call_id)
        return await session.scalar(query) or 0  # type: ignore[attr-defined]

    return centre.read(count)


def test_the_page_follows_the_call_and_leaves_alone_what_is_typed(
    page: Page, centre: Centre
) -> None:
    call = centre.call(fresh_number(), ago_s=8)
    page.goto(f"/calls/{call.id}")
    page.get_by_label("服务内容").fill("换灯泡")
    state = page.locator("#call-state")
    expect(state).to_contain_text("语音菜单")
    call.queue()
    expect(state).to_contain_text("等待中")
    call.ring()
    call.answer()
    expect(state).to_contain_text("通话中")
    expect(page.locator("#timeline")).to_contain_text("坐席 1001 接听")
    call.end("1001", delay_ms=44)
    expect(state).to_contain_text("已接听")
    expect(page.locator("#legs .pill.wait").first).to_contain_text("44 ms")
    expect(page.locator("#recording")).to_contain_text("生成中")
    kept = call.record()
    expect(page.locator("#recording audio")).to_be_attached()
    expect(page.locator("#recording")).to_contain_text(
        hashlib.sha256(kept.read_bytes()).hexdigest()
    )
    expect(page.get_by_label("服务内容")).to_have_value("换灯泡")


def test_the_recording_plays_and_can_be_sought(page: Page, centre: Centre) -> None:
    call = centre.call(fresh_number(), ago_s=90).whole()
    call.record(seconds=12)
    answers: list[int] = []
    page.on(
        "response", lambda it: answers.append(it.status) if it.url.endswith("/recording") else None
    )
    page.goto(f"/calls/{call.id}")
    player = page.locator("#recording audio")
    expect(page.locator("#recording")).to_contain_text(call.id)
    # Nothing is fetched, and so nothing put on record as heard, before somebody presses play.
    assert not answers
    player.evaluate("it => { it.volume = 0; return it.play(); }")
    until(lambda: player.evaluate("it => it.duration > 11"), page)
    player.evaluate("it => { it.currentTime = 8; }")
    until(lambda: player.evaluate("it => it.currentTime > 8.2"), page)
    assert 206 in answers


def test_ranges_of_the_recording(context: BrowserContext, centre: Centre) -> None:
    call = centre.call(fresh_number(), ago_s=90).whole()
    sound = call.record().read_bytes()
    url = f"/calls/{call.id}/recording"
    whole = context.request.get(url)
    assert whole.headers["content-type"] == "audio/ogg"
    assert whole.headers["cache-control"] == "private, no-store"
    assert whole.body() == sound
    part = context.request.get(url, headers={"Range": "bytes=100-199"})
    assert part.status == 206
    assert part.headers["content-range"] == f"bytes 100-199/{len(sound)}"
    assert part.body() == sound[100:200]
    beyond = context.request.get(url, headers={"Range": f"bytes={len(sound) + 1}-"})
    assert beyond.status == 416


@pytest.mark.parametrize("file", ["../secrets/control", "/etc/passwd", "../careline.db"])
def test_no_path_leads_out_of_the_recordings(
    context: BrowserContext, centre: Centre, file: str
) -> None:
    centre.home.secret("control")
    call = centre.call(fresh_number(), ago_s=90).whole()
    call.record(file=file)
    answer = context.request.get(f"/calls/{call.id}/recording")
    assert answer.status == 404


def test_a_file_that_is_gone_is_said(page: Page, centre: Centre) -> None:
    call = centre.call(fresh_number(), ago_s=90).whole()
    call.record().unlink()
    answer = page.goto(f"/calls/{call.id}/recording")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_text("录音文件不在原位")).to_be_visible()


def test_a_hostile_caller_is_text(page: Page, centre: Centre) -> None:
    def never(dialog: Dialog) -> None:
        raise AssertionError(dialog.message)

    page.on("dialog", never)
    call = centre.call("", caller_name=HOSTILE)
    call.queue()
    page.goto("/")
    row = page.locator("#calls tr", has=page.locator(f"a[href='/calls/{call.id}']"))
    expect(row.locator("[data-f=who]")).to_have_text(HOSTILE)
    expect(row.locator("[data-f=number]")).to_have_text("无号码")
    call.end()
    for path in ("/calls", f"/calls/{call.id}"):
        page.goto(path)
        expect(page.get_by_text(HOSTILE, exact=True).first).to_be_attached()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("main script").count() == 0


def test_an_unknown_caller_becomes_an_elder(page: Page, centre: Centre) -> None:
    number = fresh_number()
    call = centre.call(number)
    call.queue()
    page.goto(f"/calls/{call.id}")
    expect(page.get_by_text("这个号码没有对应的老人。")).to_be_visible()
    page.get_by_role("link", name="用此号码登记老人").click()
    expect(page.get_by_label("号码 1")).to_have_value(number)
    page.get_by_label("姓名").fill("周桂兰")
    page.get_by_role("button", name="保存").click()
    expect(page).to_have_url(re.compile(re.escape(f"/calls/{call.id}")))
    expect(page.get_by_role("heading", name="周桂兰", level=2)).to_be_visible()
    expect(page.get_by_text("缺：区县")).to_be_visible()
    call.end()


def test_two_elders_on_one_number(page: Page, centre: Centre) -> None:
    number = fresh_number()
    centre.enter_elder("陈国富", number)
    centre.enter_elder("李桂英", number)
    call = centre.call(number, ago_s=90).whole()
    page.goto(f"/calls/{call.id}")
    for name in ("陈国富", "李桂英"):
        expect(page.get_by_role("heading", name=name, level=2)).to_be_visible()
    expect(page.get_by_text("这几位老人共用一个号码，请先问清是谁来电。")).to_be_visible()
    page.get_by_label("服务内容").fill("送餐")
    page.get_by_role("button", name="建立工单").click()
    expect(page.locator("#linked-orders")).not_to_contain_text("送餐")
    page.get_by_role("radio", name="李桂英").check()
    page.get_by_role("button", name="建立工单").click()
    expect(page.locator("#linked-orders")).to_contain_text("送餐")
    page.locator("#linked-orders li", has_text="送餐").get_by_role("link").click()
    expect(page.get_by_text("李桂英").first).to_be_visible()
    expect(page.get_by_text("陈国富")).to_have_count(0)


def test_a_call_of_an_elder_with_an_open_order(page: Page, centre: Centre) -> None:
    number = fresh_number()
    centre.enter_elder("孙秀英", number)
    centre.call(number, ago_s=600).whole()
    call = centre.call(number, ago_s=10)
    call.queue()
    page.goto(f"/calls/{call.id}")
    choose = page.locator("#open-orders").get_by_role("button")
    expect(choose).to_have_count(1)
    order_no = page.locator("#open-orders li a").inner_text()
    choose.click()
    expect(page.locator("#linked-orders")).to_contain_text(order_no)
    expect(page.locator("#open-orders").get_by_role("button")).to_have_count(0)
    page.locator("#linked-orders").get_by_role("link", name=order_no).click()
    expect(page.locator(f"a[href='/calls/{call.id}']")).to_be_visible()
    call.end()


def test_sending_an_order_twice_makes_one(page: Page, centre: Centre) -> None:
    call = centre.call(fresh_number())
    call.queue()
    page.goto(f"/calls/{call.id}")
    page.get_by_label("服务内容").fill("助浴")
    page.get_by_role("button", name="建立工单").dblclick()
    expect(page.locator("#linked-orders li")).to_have_count(1)
    assert orders_of(centre, call.id) == 1
    call.end()


def test_the_very_same_form_twice_without_a_browser(
    context: BrowserContext, page: Page, centre: Centre
) -> None:
    call = centre.call(fresh_number())
    page.goto(f"/calls/{call.id}")
    form = page.locator("#wrap-up form")
    given: dict[str, str | float | bool] = {"content": "送餐", "requirement": ""}
    for name in ("csrf", "order_id"):
        given[name] = form.locator(f"[name={name}]").input_value()
    for _ in range(3):
        sent = context.request.post(f"/calls/{call.id}/orders", form=given, max_redirects=0)
        assert sent.status == 303
    assert orders_of(centre, call.id) == 1
    other = context.request.post(
        f"/calls/{call.id}/orders", form={**given, "order_id": "../../x"}, max_redirects=0
    )
    assert other.status == 422


def test_an_order_needs_its_content_and_loses_nothing(page: Page, centre: Centre) -> None:
    call = centre.call(fresh_number())
    page.goto(f"/calls/{call.id}")
    page.evaluate("document.querySelectorAll('form').forEach(f => f.noValidate = true)")
    page.get_by_label("具体要求").fill("周三下午")
    page.get_by_role("button", name="建立工单").click()
    expect(page.locator("#content-fault")).to_have_text("此项必填。")
    expect(page.get_by_label("具体要求")).to_have_value("周三下午")
    call.end()


def test_the_controller_is_away_and_nothing_typed_is_lost(page: Page, centre: Centre) -> None:
    call = centre.call(fresh_number())
    call.queue()
    page.goto(f"/calls/{call.id}")
    page.get_by_label("服务内容").fill("修水管")
    centre.go_away()
    page.get_by_role("button", name="建立工单").click()
    expect(page.locator("main").get_by_role("alert")).to_contain_text("控制程序没有响应，尚未保存")
    expect(page.get_by_label("服务内容")).to_have_value("修水管")
    centre.come_back()
    page.get_by_role("button", name="建立工单").click()
    expect(page.locator("#linked-orders")).to_contain_text("修水管")
    assert orders_of(centre, call.id) == 1
    call.end()


def test_the_list_of_calls_finds_a_number(page: Page, centre: Centre) -> None:
    number = fresh_number()
    call = centre.call(number, ago_s=90).whole()
    page.goto("/calls")
    expect(page.locator(f"a[href='/calls/{call.id}']")).to_be_visible()
    expect(page.locator("table.list")).not_to_contain_text(number.removeprefix("+86"))
    page.get_by_role("searchbox").fill(number.removeprefix("+86"))
    page.get_by_role("button", name="查找").click()
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    expect(page.locator(f"a[href='/calls/{call.id}']")).to_be_visible()
    page.get_by_role("searchbox").fill("13099999999")
    page.keyboard.press("Enter")
    expect(page.get_by_text("没有符合条件的通话。")).to_be_visible()


@pytest.mark.row("ACD-19", part="counts")
def test_calls_are_counted_by_class_and_chosen_by_it(page: Page, centre: Centre) -> None:
    number = fresh_number()
    first, second = (centre.call(number, ago_s=ago).whole() for ago in (900, 600))
    page.goto(f"/calls/{first.id}")
    page.get_by_role("radio", name="咨询服务").check()
    page.get_by_role("button", name="保存小结").click()
    expect(page.locator("#wrapped-up")).to_contain_text("咨询服务")
    page.goto(f"/calls?text={number.removeprefix('+86')}")
    counts = page.get_by_role("list", name="各类通话数")
    expect(counts.get_by_role("link", name="咨询服务")).to_contain_text("1")
    counts.get_by_role("link", name="未小结").click()
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    expect(page.locator(f"a[href='/calls/{second.id}']")).to_be_visible()
    page.get_by_label("起始日期").fill("2099-01-01")
    page.get_by_label("结束日期").fill("2098-01-01")
    page.get_by_role("button", name="查找").click()
    expect(page.locator("#to-fault")).to_have_text("结束日期早于开始日期。")
    page.goto("/calls?from=%27%25_&text=%F0%9F%91%B5")
    expect(page.locator("#from-fault")).to_be_visible()


def test_in_english(context: BrowserContext, page: Page, centre: Centre) -> None:
    call = centre.call(fresh_number(), ago_s=90).whole()
    page.goto(f"/calls/{call.id}")
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("button", name="Open the order")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "en"
    # The choice is kept.
    page.goto("/")
    expect(page.locator("#link")).to_have_text("Live")
    page.get_by_role("link", name="中文").click()
    expect(page.locator("#link")).to_have_text("实时")


def test_a_call_without_a_recording_does_not_say_that_it_is_recorded(
    page: Page, centre: Centre
) -> None:
    async def show(is_unrecorded: bool) -> None:
        centre.picture.show_room(is_low=False, is_unrecorded=is_unrecorded)

    call = centre.call(fresh_number(), ago_s=30)
    call.queue()
    call.answer()
    page.goto(f"/calls/{call.id}")
    expect(page.locator("#recording")).to_contain_text("从来电第一秒开始录音")
    centre.run(show(True))
    try:
        page.reload()
        expect(page.locator("#recording")).to_contain_text("磁盘已满，通话未录音")
    finally:
        centre.run(show(False))
        call.end("1001")
