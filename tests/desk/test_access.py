"""Nothing of the desk is open: every route, every form, every feed asks who is there."""

from __future__ import annotations

import hashlib
import http.client
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select, update

from agent_desk.rights import Right
from agent_desk.routes import ROUTES
from sql.models import DeskSession
from tests.desk.centre import PASSWORD, Centre
from tests.desk.conftest import Desk, sign_in

CLOSED = [(method, path) for method, path, _, right in ROUTES if right is not Right.ANYONE]
FORMS = [(path, right) for method, path, _, right in ROUTES if method == "POST"]
EXAMPLES = {"call_id": "test-1.1", "order_no": "20260418-0001", "uid": "E000001",
            "user_id": "1", "number": "1", "kind": "fall", "case_id": "test-1.1"}  # fmt: skip


def example(path: str) -> str:
    return re.sub(
        r"\{(\w+):[^}]*\}+", lambda match: EXAMPLES[match[1]], re.sub(r"\{1,\d+\}", "", path)
    )


def ask(
    desk: Desk, method: str, path: str, body: str = "", **headers: str
) -> http.client.HTTPResponse:
    """One bare request, as no browser would send it."""
    host, port = desk.settings.addresses.desk_address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    if body:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    connection.request(
        method, path, body or None, {k.replace("_", "-"): v for k, v in headers.items()}
    )
    answer = connection.getresponse()
    answer.text = answer.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return answer


@pytest.fixture
def cookie(session_cookies: list[dict[str, object]], desk: Desk) -> str:
    name = f"careline-{desk.settings.addresses.desk_address.rsplit(':', 1)[1]}"
    value = next(c["value"] for c in session_cookies if c["name"] == name)
    return f"{name}={value}"


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_every_route_asks_for_a_sign_in(desk: Desk, method: str, path: str) -> None:
    at = example(path)
    assert ask(desk, method, at).status == 401
    for_a_person = ask(desk, method, at, Accept="text/html")
    if method == "GET":
        assert for_a_person.status == 303
        assert str(for_a_person.getheader("Location")).startswith("/sign-in?next=/")
    else:
        assert for_a_person.status == 401
    assert ask(desk, method, at, Cookie="careline-8080=guess").status == 401


def test_what_does_not_exist_looks_the_same_from_outside(desk: Desk) -> None:
    assert ask(desk, "GET", "/admin").status == 401
    assert ask(desk, "DELETE", "/calls").status == 401
    assert ask(desk, "GET", "/static/../app.py").status in (401, 403, 404)
    assert ask(desk, "GET", "/static/%2e%2e/app.py").status in (401, 403, 404)


def test_the_sign_of_life_and_the_style_are_open(desk: Desk) -> None:
    alive = ask(desk, "GET", "/healthz")
    assert (alive.status, alive.text) == (200, '{"ok": true}')  # type: ignore[attr-defined]
    assert ask(desk, "GET", "/static/look.css").status == 200


@pytest.mark.parametrize("path", [path for path, right in FORMS if right is not Right.ANYONE])
def test_every_form_needs_its_token(desk: Desk, cookie: str, path: str) -> None:
    at = example(path)
    assert ask(desk, "POST", at, Cookie=cookie).status == 403
    assert ask(desk, "POST", at, "csrf=guess&content=x", Cookie=cookie).status == 403
    assert ask(desk, "POST", at, Cookie=cookie, X_CSRF_Token="guess").status == 403
    assert (
        ask(desk, "POST", at, '{"csrf": 1}', Cookie=cookie, Content_Type="application/json").status
        == 403
    )


def test_the_sign_in_needs_its_token_too(desk: Desk) -> None:
    given = urlencode({"name": "admin", "password": PASSWORD})
    assert ask(desk, "POST", "/sign-in", given).status == 403
    assert ask(desk, "POST", "/sign-in", given + "&csrf=", Cookie="careline-visit=").status == 403


def test_tabs_that_ask_for_the_sign_in_at_once_can_both_be_used(
    stranger: Page, centre: Centre
) -> None:
    tabs = [stranger, stranger.context.new_page()]
    cookies = []
    for tab in tabs:
        # The browser had none yet when it asked.
        stranger.context.clear_cookies()
        tab.goto("/sign-in")
        cookies += stranger.context.cookies()
    stranger.context.clear_cookies()
    # Those of one name it has once: the last.
    stranger.context.add_cookies(cookies)  # type: ignore[arg-type]
    for tab in tabs:
        tab.get_by_label("用户名").fill("admin")
        tab.get_by_label("密码").fill(PASSWORD)
        tab.get_by_role("button", name="登录").click()
        expect(tab).to_have_url(re.compile(r"\d/$"))
    tab.context.clear_cookies(name=re.compile(r"careline-\d+"))
    tab.goto("/sign-in")
    tab.evaluate("document.querySelector('[name=csrf]').value = 'guess'")
    tab.get_by_label("用户名").fill("admin")
    tab.get_by_label("密码").fill(PASSWORD)
    with tab.expect_response(lambda it: it.request.method == "POST") as answer:
        tab.get_by_role("button", name="登录").click()
    assert answer.value.status == 403


def test_every_answer_is_protected(desk: Desk, cookie: str) -> None:
    for path in ("/", "/nothing", "/sign-in", "/static/look.css", "/calls"):
        answer = ask(desk, "GET", path, Cookie=cookie, Accept="text/html")
        policy = str(answer.getheader("Content-Security-Policy"))
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        assert answer.getheader("Referrer-Policy") == "no-referrer"
    assert "no-store" in str(ask(desk, "GET", "/", Cookie=cookie).getheader("Cache-Control"))


def test_a_foreign_name_is_not_answered(desk: Desk, cookie: str) -> None:
    """DNS rebinding: a page of another site makes its own name point here."""
    assert ask(desk, "GET", "/calls", Cookie=cookie, Host="evil.example").status == 421
    assert ask(desk, "GET", "/healthz", Host="localhost:8080").status == 200


def test_the_feed_is_for_our_own_pages(desk: Desk, cookie: str) -> None:
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Cookie": cookie,
    }  # fmt: skip
    assert ask(desk, "GET", "/feed", **upgrade).status == 403
    assert ask(desk, "GET", "/feed", **upgrade, Origin="https://evil.example").status == 403


def test_too_much_is_refused(desk: Desk, cookie: str) -> None:
    flood = "content=" + "x" * 300_000
    assert ask(desk, "POST", "/calls/test-1.1/orders", flood, Cookie=cookie).status == 413


def test_broken_bytes_and_addresses_are_refused_in_words(desk: Desk, cookie: str) -> None:
    assert ask(desk, "GET", "/sign-in?next=//[").status == 200
    assert ask(desk, "GET", "/healthz", Host="[").status in (400, 421)
    broken = {"Cookie": cookie, "X_CSRF_Token": "\xff"}
    assert ask(desk, "POST", "/elders/new", **broken).status == 403
    assert (
        ask(desk, "POST", "/sign-in", Cookie="careline-visit=a", X_CSRF_Token="\xff").status == 403
    )
    ten_thousand = "&".join(["numbers="] * 10_000)
    assert ask(desk, "POST", "/elders/new", ten_thousand, Cookie=cookie).status == 413


def test_a_new_sign_in_ends_the_one_before_it_in_this_browser(
    stranger: Page, centre: Centre
) -> None:
    sign_in(stranger)
    stranger.wait_for_url("**/")
    former = next(c for c in stranger.context.cookies() if re.fullmatch(r"careline-\d+", c["name"]))
    late = stranger.context.new_page()
    # A sign-in page that was left open: the cookie is there again only when it is sent.
    stranger.context.clear_cookies()
    late.goto("/sign-in")
    stranger.context.add_cookies([former])  # type: ignore[list-item]
    late.get_by_label("用户名").fill("admin")
    late.get_by_label("密码").fill(PASSWORD)
    late.get_by_role("button", name="登录").click()
    late.wait_for_url("**/")
    assert hashlib.sha256(former["value"].encode()).hexdigest() not in centre.read(_tokens)


def test_who_takes_a_seat_or_leaves_it_is_on_record(page: Page) -> None:
    page.goto("/phone")
    page.get_by_role("button", name="周悦 1002").click()
    page.get_by_role("button", name="离开坐席").click()
    page.goto("/record?text=1002")
    expect(page.locator("tbody tr").nth(0)).to_contain_text("离座")
    expect(page.locator("tbody tr").nth(1)).to_contain_text("入座")


def test_a_form_that_is_no_form(desk: Desk, cookie: str) -> None:
    odd = "application/x-www-form-urlencoded; charset=nonsense"
    answer = ask(desk, "POST", "/elders/new", "a=b", Cookie=cookie, Content_Type=odd)
    assert answer.status in (400, 403)
    broken = "multipart/form-data; boundary=x"
    answer = ask(desk, "POST", "/elders/new", "no boundary", Cookie=cookie, Content_Type=broken)
    assert answer.status in (400, 403)


def test_a_wrong_password_is_said_and_nothing_else(stranger: Page) -> None:
    for name in ("admin", "nobody-of-this-name"):
        stranger.goto("/sign-in?next=/orders")
        stranger.get_by_label("用户名").fill(name)
        stranger.get_by_label("密码").fill("wrong")
        stranger.get_by_role("button", name="登录").click()
        expect(stranger.get_by_role("alert")).to_contain_text("用户名或密码不正确")
        expect(stranger.get_by_label("用户名")).to_have_value(name)
    stranger.get_by_label("用户名").fill("admin")
    stranger.get_by_label("密码").fill(PASSWORD)
    stranger.get_by_role("button", name="登录").click()
    expect(stranger).to_have_url(re.compile("/orders$"))


def test_guessing_is_slowed_and_the_waiting_time_is_said(stranger: Page) -> None:
    stranger.goto("/sign-in")
    for _ in range(6):
        stranger.get_by_label("用户名").fill("guesser")
        stranger.get_by_label("密码").fill("wrong")
        # The page before has an alert too, and goes on being there for a moment.
        with stranger.expect_navigation():
            stranger.get_by_role("button", name="登录").click()
        expect(stranger.get_by_role("alert")).to_be_visible()
    expect(stranger.get_by_role("alert")).to_contain_text("失败次数过多。请等待")


def test_an_empty_form_says_so_beside_the_fields(stranger: Page) -> None:
    stranger.goto("/sign-in")
    stranger.evaluate("document.querySelector('form').noValidate = true")
    stranger.get_by_role("button", name="登录").click()
    expect(stranger.get_by_label("用户名")).to_have_attribute("aria-invalid", "true")
    expect(stranger.locator("#name-fault")).to_have_text("此项必填。")


def test_the_cookie_is_kept_from_scripts_and_the_table_from_thieves(
    stranger: Page, centre: Centre
) -> None:
    sign_in(stranger)
    stranger.wait_for_url("**/")
    cookies = {c["name"]: c for c in stranger.context.cookies()}
    kept = next(c for name, c in cookies.items() if re.fullmatch(r"careline-\d+", name))
    assert kept["httpOnly"]
    assert kept["sameSite"] == "Lax"
    assert stranger.evaluate("document.cookie") == ""
    tokens = set(centre.read(_tokens))
    assert kept["value"] not in tokens
    assert hashlib.sha256(kept["value"].encode()).hexdigest() in tokens


async def _tokens(session: object) -> list[str]:
    return list(await session.scalars(select(DeskSession.token)))  # type: ignore[attr-defined]


def test_signing_out_closes_every_page(stranger: Page) -> None:
    sign_in(stranger)
    other = stranger.context.new_page()
    other.goto("/")
    expect(other.locator("#link")).to_have_text("实时")
    stranger.get_by_role("button", name="退出").click()
    expect(stranger).to_have_url(re.compile("/sign-in"))
    # The board in the other tab is told at once, not at its next click.
    expect(other).to_have_url(re.compile("/sign-in"))
    stranger.go_back()
    stranger.goto("/calls")
    expect(stranger).to_have_url(re.compile(r"/sign-in\?next=/calls"))


def test_half_an_hour_away_ends_the_sign_in(stranger: Page, centre: Centre) -> None:
    sign_in(stranger)
    stranger.goto("/calls")
    expect(stranger.get_by_role("heading", name="通话")).to_be_visible()
    value = next(
        c["value"] for c in stranger.context.cookies() if re.fullmatch(r"careline-\d+", c["name"])
    )
    token = hashlib.sha256(value.encode()).hexdigest()
    _seen(centre, token, minutes_ago=29)
    stranger.reload()
    expect(stranger).to_have_url(re.compile("/calls$"))
    assert datetime.now(UTC) - _last_seen(centre, token) < timedelta(minutes=1)
    _seen(centre, token, minutes_ago=31)
    stranger.reload()
    expect(stranger).to_have_url(re.compile("/sign-in"))


def test_reading_does_not_write_each_time(page: Page, centre: Centre) -> None:
    value = next(
        c["value"] for c in page.context.cookies() if re.fullmatch(r"careline-\d+", c["name"])
    )
    token = hashlib.sha256(value.encode()).hexdigest()
    _seen(centre, token, minutes_ago=0.5)
    before = _last_seen(centre, token)
    page.goto("/calls")
    page.goto("/orders")
    assert _last_seen(centre, token) == before


def _seen(centre: Centre, token: str, minutes_ago: float) -> None:
    async def change() -> None:
        at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        async with centre.database.writing() as session:
            await session.execute(
                update(DeskSession).where(DeskSession.token == token).values(seen_at=at)
            )

    centre.run(change())


def _last_seen(centre: Centre, token: str) -> datetime:
    async def ask(session: object) -> datetime:
        query = select(DeskSession.seen_at).where(DeskSession.token == token)
        return await session.scalar(query)  # type: ignore[attr-defined, no-any-return]

    return centre.read(ask)


def test_a_page_that_is_not_there_says_what_to_do(context: BrowserContext) -> None:
    page = context.new_page()
    answer = page.goto("/calls/no-such-call")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_text("没有通话 no-such-call。")).to_be_visible()
    expect(page.get_by_role("link", name="去实时看板")).to_be_visible()
