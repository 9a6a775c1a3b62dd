"""A page left open over a night: its sign-in is over, and nothing that was typed is lost."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect
from sqlalchemy import delete

from sql.models import DeskSession
from tests.desk.centre import PASSWORD, Centre
from tests.desk.conftest import Desk, sign_in
from tests.desk.test_calls import fresh_number, until


@pytest.fixture
def own(browser: Browser, desk: Desk) -> Iterator[Page]:
    """A sign-in of its own, which these tests end."""
    context = browser.new_context(locale="zh-CN", base_url=desk.url)
    page = context.new_page()
    sign_in(page)
    page.wait_for_url("**/")
    yield page
    context.close()


def the_night_passes(centre: Centre, page: Page) -> None:
    """The cookie stays in the browser; at the desk nobody knows it any more."""
    cookies = page.context.cookies()
    value = next(c["value"] for c in cookies if re.fullmatch(r"careline-\d+", c["name"]))
    token = hashlib.sha256(value.encode()).hexdigest()

    async def forget() -> None:
        async with centre.database.writing() as session:
            await session.execute(delete(DeskSession).where(DeskSession.token == token))

    centre.run(forget())


def sign_in_at(page: Page) -> None:
    page.get_by_label("用户名").fill("admin")
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_role("button", name="登录").click()


def test_what_an_ended_sign_in_could_not_save_is_shown_to_copy(own: Page, centre: Centre) -> None:
    own.goto("/elders/new")
    own.get_by_label("姓名").fill("马<淑芬>")
    own.get_by_label("号码 1").fill("0374-7654321")
    own.get_by_label("进场路线", exact=True).fill("南门进\n直行左转")
    the_night_passes(centre, own)
    own.get_by_role("button", name="保存", exact=True).click()
    expect(own.get_by_role("heading", name="请先登录")).to_be_visible()
    for label, value in (("姓名", "马<淑芬>"), ("进场路线", "南门进\n直行左转")):
        expect(own.get_by_label(label, exact=True)).to_have_value(value)
    with own.context.expect_page() as opened:
        own.get_by_role("link", name="在新标签页登录").click()
    sign_in_at(opened.value)
    expect(opened.value).to_have_url(re.compile("/elders/new$"))
    # What was typed stays in the first tab until it has been copied.
    expect(own.get_by_label("姓名", exact=True)).to_have_value("马<淑芬>")


def test_a_form_of_a_former_sign_in_is_shown_to_copy_too(own: Page, centre: Centre) -> None:
    call = centre.call(fresh_number(), ago_s=90).whole()
    own.goto(f"/calls/{call.id}")
    own.get_by_label("服务内容").fill("送米到三楼")
    the_night_passes(centre, own)
    other = own.context.new_page()
    sign_in(other)
    other.wait_for_url("**/")
    own.get_by_role("button", name="建立工单").click()
    expect(own.locator("main")).to_contain_text("表单已过期")
    expect(own.get_by_label("服务内容")).to_have_value("送米到三楼")
    with own.context.expect_page() as opened:
        own.get_by_role("link", name="在新标签页打开页面").click()
    expect(opened.value).to_have_url(re.compile(f"/calls/{call.id}$"))


def test_no_password_is_shown_to_copy(own: Page, centre: Centre) -> None:
    own.goto("/users")
    own.get_by_label("用户名").fill("周悦")
    own.get_by_label("密码").fill("three words are easy")
    the_night_passes(centre, own)
    own.get_by_role("button", name="添加用户").click()
    expect(own.get_by_role("heading", name="请先登录")).to_be_visible()
    assert "three words" not in own.content()


def test_a_wrap_up_says_that_it_is_not_kept_any_more_and_stops_trying(
    own: Page, centre: Centre
) -> None:
    call = centre.call(fresh_number(), ago_s=90).whole()
    tries: list[str] = []
    own.on("request", lambda it: tries.append(it.url) if it.url.endswith("/draft") else None)
    own.goto(f"/calls/{call.id}")
    own.get_by_label("备注").fill("老人问")
    said = own.locator("[data-f=draft]")
    expect(said).to_contain_text("草稿已保存")
    the_night_passes(centre, own)
    own.get_by_label("备注").fill("老人问补贴")
    expect(said).to_contain_text("登录已过期")
    expect(said).to_have_attribute("role", "alert")
    count = len(tries)
    # Longer than it waits before it tries again.
    own.wait_for_timeout(3500)
    assert len(tries) == count == 2
    expect(own.get_by_label("备注")).to_have_value("老人问补贴")


@pytest.mark.parametrize("path", ["/seat?seat=1002", "/orders?state=accepted&text=%E7%8E%8B"])
def test_after_the_sign_in_the_page_is_there_with_what_it_was_asked_for(
    own: Page, path: str
) -> None:
    own.goto(path)
    expect(own.locator("body")).to_have_class(re.compile("framed"))
    # Somebody signs out in another tab of this browser.
    other = own.context.new_page()
    other.goto("/")
    other.get_by_role("button", name="退出").click()
    expect(own).to_have_url(re.compile("/sign-in"))
    other.close()
    sign_in_at(own)
    expect(own).to_have_url(re.compile(re.escape(path) + "$"))


def test_a_feed_that_comes_back_to_an_ended_sign_in_asks_for_it_with_the_page(
    own: Page, centre: Centre
) -> None:
    sockets: list[WebSocketRoute] = []

    def keep(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    own.route_web_socket("**/feed", keep)
    own.goto("/seat?seat=1002")
    expect(own.get_by_role("heading", name="周悦", level=1)).to_be_visible()
    until(lambda: sockets, own)
    the_night_passes(centre, own)
    sockets[0].close(code=4000)
    expect(own).to_have_url(re.compile(r"/sign-in\?next=%2Fseat%3Fseat%3D1002$"))
