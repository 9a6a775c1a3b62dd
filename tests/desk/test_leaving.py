"""What is typed in the last moment before a page is left: kept once, and there on the next page."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.desk.centre import Call, Centre
from tests.desk.conftest import sign_in
from tests.desk.test_calls import fresh_number
from tests.desk.test_seat import _nothing_left_to_wrap_up  # noqa: F401 — a fixture of these too.
from tests.desk.test_wrap_up import drafted
from tests.observer import wait_until

TEXT = "老人说昨晚没有睡好，膝盖疼"


@pytest.fixture
def talk(page: Page, centre: Centre) -> Iterator[Call]:
    """The seat's page, with a call that is talked."""
    centre.enter_elder("令狐兰", fresh_number())
    call = centre.call(fresh_number(), ago_s=60)
    call.queue()
    call.answer("1002")
    page.goto("/seat?seat=1002")
    expect(page.locator("#seat-state")).to_contain_text("通话中")
    page.wait_for_load_state("load")
    yield call
    call.end("1002")


def keepings(page: Page) -> list[str]:
    """The notes of all drafts that this page sends from now on."""
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/draft"):
            sent.append(parse_qs(request.post_data or "").get("note", [""])[0])

    page.on("request", note)
    return sent


def slowly(route: Route) -> None:
    time.sleep(0.5)
    route.continue_()


def type_and_search(page: Page) -> None:
    box = page.locator("main").get_by_role("searchbox")
    box.fill("令狐兰")
    page.get_by_label("备注").fill(TEXT)
    box.press("Enter")


def test_a_search_for_the_caller_loses_nothing(page: Page, talk: Call) -> None:
    sent = keepings(page)
    type_and_search(page)
    expect(page.get_by_role("button", name="是令狐兰来电")).to_be_visible()
    expect(page.get_by_label("备注")).to_have_value(TEXT)
    page.wait_for_load_state("load")
    page.get_by_label("备注").fill(TEXT + "，要送药")
    page.get_by_role("button", name="是令狐兰来电").click()
    expect(page.locator("#caller").get_by_role("heading", name="令狐兰")).to_be_visible()
    expect(page.get_by_label("备注")).to_have_value(TEXT + "，要送药")
    # Longer than it waits before it keeps what is typed.
    page.wait_for_timeout(1500)
    assert sent == [TEXT, TEXT + "，要送药"], "each is kept once"


def test_a_link_is_followed_when_all_is_kept(page: Page, centre: Centre, talk: Call) -> None:
    sent = keepings(page)
    page.get_by_label("备注").fill(TEXT)
    page.get_by_role("link", name="通话详情").click()
    expect(page).to_have_url(re.compile(f"/calls/{re.escape(talk.id)}$"))
    expect(page.get_by_label("备注")).to_have_value(TEXT)
    page.wait_for_load_state("load")
    page.get_by_label("备注").fill(TEXT + "，要送药")
    page.get_by_role("link", name="我的坐席").click()
    expect(page).to_have_url(re.compile("/seat$"))
    wait_until(lambda: drafted(centre, talk.id) == TEXT + "，要送药", 3, "kept before it is left")
    assert sent == [TEXT, TEXT + "，要送药"]


def test_who_types_before_the_page_is_whole_is_heard(
    page: Page, centre: Centre, talk: Call
) -> None:
    page.route("**/static/wrap-up.js", slowly)
    page.goto(f"/calls/{talk.id}", wait_until="commit")
    page.get_by_label("备注").fill(TEXT)
    wait_until(lambda: drafted(centre, talk.id) == TEXT, 8, "it is kept")


def test_a_page_that_is_loaded_again_at_once_shows_all_that_was_typed(
    page: Page, centre: Centre, talk: Call
) -> None:
    for end in ("", "，要送药", "，明天上午"):
        page.get_by_label("备注").fill(TEXT + end)
        page.get_by_role("radio", name="生活服务").check()
        page.reload()
        expect(page.get_by_label("备注")).to_have_value(TEXT + end)
        expect(page.get_by_role("radio", name="生活服务")).to_be_checked()
    wait_until(lambda: drafted(centre, talk.id) == TEXT + "，明天上午", 8, "it is kept too")
    talk.end("1002")
    expect(page.locator("#seat-state")).to_contain_text("话后整理")
    page.get_by_label("备注").fill(TEXT)
    page.reload()
    expect(page.get_by_label("备注")).to_have_value(TEXT)
    # It goes along to no other page, where somebody else may sit next.
    page.get_by_label("备注").fill(TEXT + "，好")
    page.goto("/orders")
    assert page.evaluate("sessionStorage.length") == 0
    wait_until(lambda: drafted(centre, talk.id) == TEXT + "，好", 8, "the last words are kept")


def test_who_signs_out_at_once_finds_it_again(page: Page, centre: Centre, talk: Call) -> None:
    own = page.context.browser.new_context(locale="zh-CN", base_url=page.url.split("/seat")[0])  # type: ignore[union-attr]
    one = own.new_page()
    sign_in(one)
    one.wait_for_url("**/")
    one.goto(f"/calls/{talk.id}")
    # A desk that has much to do takes half a second to keep it.
    one.route("**/draft", slowly)
    one.get_by_label("备注").fill(TEXT)
    one.get_by_role("button", name="退出").click()
    expect(one).to_have_url(re.compile("/sign-in"))
    assert drafted(centre, talk.id) == TEXT
    own.close()


def test_what_cannot_be_kept_holds_the_page_once_and_says_so(page: Page, talk: Call) -> None:
    page.route("**/draft", lambda route: route.abort())
    page.get_by_label("备注").fill(TEXT)
    link = page.get_by_role("link", name="通话详情")
    link.click()
    said = page.locator("[data-f=draft]")
    expect(said).to_have_text("草稿尚未保存：工作台没有响应。再按一次将不保存并离开。")
    expect(page).to_have_url(re.compile("/seat"))
    expect(page.get_by_label("备注")).to_have_value(TEXT)
    link.click()
    expect(page).to_have_url(re.compile(f"/calls/{re.escape(talk.id)}$"))


def test_a_form_that_was_refused_is_kept_as_it_was_sent(
    page: Page, centre: Centre, talk: Call
) -> None:
    page.goto(f"/calls/{talk.id}")
    page.evaluate("document.querySelectorAll('form').forEach(f => f.noValidate = true)")
    page.get_by_label("备注").fill(TEXT)
    page.get_by_role("button", name="保存小结").click()
    expect(page.locator("#call_class-fault")).to_be_visible()
    page.wait_for_load_state("load")
    page.goto("/orders")
    wait_until(
        lambda: drafted(centre, talk.id) == TEXT, 8, "nothing more was typed, and it is kept"
    )


def test_a_call_that_rings_in_between_does_not_bring_back_older_words(
    page: Page, centre: Centre, talk: Call
) -> None:
    page.get_by_label("备注").fill("旧")
    expect(page.locator("[data-f=draft]")).to_contain_text("草稿已保存")
    talk.end("1002")
    expect(page.locator("#seat-state")).to_contain_text("话后整理")
    page.route("**/draft", lambda route: route.abort())
    page.get_by_label("备注").fill(TEXT)
    expect(page.locator("[data-f=draft]")).to_contain_text("尚未保存")
    rings = centre.call(fresh_number(), ago_s=9)
    rings.queue()
    rings.ring("1002")
    expect(page.locator("#seat-state")).to_contain_text("振铃")
    rings.end()
    expect(page.locator("#seat-state")).to_contain_text("话后整理")
    expect(page.get_by_label("备注")).to_have_value(TEXT)
    page.unroute("**/draft")
    wait_until(lambda: drafted(centre, talk.id) == TEXT, 8, "it is kept at last")
