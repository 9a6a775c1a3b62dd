"""Who sits where, and who may speak for a seat: nobody but the sign-in that has taken it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.desk.centre import Centre
from tests.desk.conftest import Desk, sign_in
from tests.desk.test_access import ask
from tests.observer import wait_until

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec_WebSocket_Protocol": "sip",
}


@pytest.fixture(autouse=True)
def free_seats(desk: Desk, context: BrowserContext) -> Iterator[None]:
    yield
    page = context.new_page()
    page.goto("/phone")
    if page.get_by_role("button", name="离开坐席").count():
        page.get_by_role("button", name="离开坐席").click()


@pytest.fixture
def colleague(browser: Browser, desk: Desk) -> Iterator[Page]:
    """Another sign-in, in another browser."""
    context = browser.new_context(locale="zh-CN", base_url=desk.url)
    page = context.new_page()
    sign_in(page)
    page.wait_for_url("**/")
    page.goto("/phone")
    yield page
    if page.get_by_role("button", name="离开坐席").count():
        page.get_by_role("button", name="离开坐席").click()
    context.close()


def cookie_of(page: Page) -> str:
    return "; ".join(f"{c['name']}={c['value']}" for c in page.context.cookies())


def line_of(desk: Desk, page: Page) -> http.client.HTTPResponse:
    """Ask for a line with the sign-in of this page."""
    token = page.locator("input[name=csrf]").first.get_attribute("value")
    body = urlencode({"csrf": token or ""})
    return ask(desk, "POST", "/phone/line", body, Cookie=cookie_of(page))


def test_a_seat_without_a_microphone_is_told_so_and_has_no_line(page: Page, centre: Centre) -> None:
    page.goto("/phone")
    page.get_by_role("button", name="李敏 1001").click()
    expect(page.get_by_role("alert")).to_contain_text("因此本坐席不会振铃")
    expect(page.locator("#phone [data-f=state]")).to_have_text("没有麦克风")
    assert centre.phones == {}


def test_the_second_on_a_seat_is_told_who_sits_there_and_may_take_it_over(
    page: Page, colleague: Page
) -> None:
    page.goto("/phone")
    page.get_by_role("button", name="李敏 1001").click()
    expect(page.get_by_role("heading", name="1001")).to_be_visible()
    colleague.reload()
    colleague.get_by_role("button", name="李敏 1001").click()
    expect(colleague.get_by_role("alert")).to_contain_text("admin 正坐在坐席 1001")
    colleague.get_by_role("button", name="接替").click()
    expect(colleague.get_by_role("heading", name="1001")).to_be_visible()
    # The first one sits nowhere now.
    page.goto("/phone")
    expect(page.get_by_role("heading", name="您坐在哪个坐席？")).to_be_visible()


def test_a_seat_that_is_not_there_cannot_be_taken(page: Page, desk: Desk) -> None:
    page.goto("/phone")
    token = page.locator("input[name=csrf]").first.get_attribute("value") or ""
    for seat in ("9999", "", "1001; DROP"):
        body = urlencode({"csrf": token, "seat": seat})
        answer = ask(desk, "POST", "/phone/seat", body, Cookie=cookie_of(page))
        assert answer.status == 404


def test_a_line_has_a_password_of_its_own_that_ends_with_the_sign_in(
    colleague: Page, desk: Desk, centre: Centre
) -> None:
    colleague.get_by_role("button", name="周悦 1002").click()
    expect(colleague.get_by_role("heading", name="1002")).to_be_visible()
    first = json.loads(line_of(desk, colleague).text)  # type: ignore[attr-defined]
    second = json.loads(line_of(desk, colleague).text)  # type: ignore[attr-defined]
    assert first["user"] == second["user"] == "1002-desk"
    assert centre.phones == {"1002": second["password"]} != {"1002": first["password"]}
    # A controller that was away is told again.
    centre.go_away()
    centre.phones = {}
    centre.come_back()
    wait_until(lambda: centre.phones == {"1002": second["password"]}, 5, "the line is told again")
    colleague.goto("/")
    colleague.get_by_role("button", name="退出").click()
    wait_until(lambda: centre.phones == {}, 2, "no password is left", lambda: centre.phones)


def test_a_line_is_for_its_own_sign_in_and_our_own_pages(
    page: Page, colleague: Page, desk: Desk
) -> None:
    colleague.get_by_role("button", name="周悦 1002").click()
    expect(colleague.get_by_role("heading", name="1002")).to_be_visible()
    path = json.loads(line_of(desk, colleague).text)["path"]  # type: ignore[attr-defined]
    page.goto("/phone")
    mine, theirs = cookie_of(colleague), cookie_of(page)

    def status(cookie: str, origin: str, at: str = path) -> int:
        headers = {**UPGRADE, "Origin": origin, "Cookie": cookie}
        return ask(desk, "GET", at, **headers).status

    assert status(mine, "https://elsewhere.example") == 403
    assert status(theirs, desk.url) == 403
    assert status("careline-8080=forged", desk.url) == 401
    assert status(mine, desk.url, "/phone/sip") == 403
    assert status(mine, desk.url, "/phone/sip?line=guessed") == 403


def test_nothing_else_of_asterisk_is_reached_through_the_desk(page: Page, desk: Desk) -> None:
    page.goto("/phone")
    for path in ("/ari", "/ari/channels", "/ws", "/phone/ari", "/phone/sip/../ari", "/httpstatus"):
        assert ask(desk, "GET", path).status == 401
        assert ask(desk, "GET", path, Cookie=cookie_of(page)).status in (403, 404)
