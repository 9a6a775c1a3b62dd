"""Each list is asked, changed and taken from by who has the right, and by nobody else (UI-09)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from agent_desk.rights import ROLES, Right
from tests.desk.centre import Centre
from tests.desk.conftest import Desk, sign_in
from tests.desk.test_calls import fresh_number

READS: Final = {
    "/calls": Right.READ_CALLS, "/orders": Right.READ_ORDERS, "/elders": Right.READ_ELDERS,
    "/menu": Right.CHANGE_MENUS, "/plans": Right.READ_PLANS, "/seats": Right.READ_SEATS,
    "/users": Right.MANAGE_USERS, "/record": Right.READ_RECORD,
}  # fmt: skip


@pytest.fixture(scope="module")
def by_role(browser: Browser, desk: Desk, centre: Centre) -> Iterator[dict[str, Page]]:
    """Somebody of each role, signed in."""
    pages = {}
    for role in ROLES:
        if role != "admin":
            centre.add_user(f"{role} of the lists", role)
        context = browser.new_context(locale="zh-CN", base_url=desk.url)
        pages[role] = context.new_page()
        sign_in(pages[role], name="admin" if role == "admin" else f"{role} of the lists")
        pages[role].wait_for_url("**/")
    yield pages
    for page in pages.values():
        page.context.close()


def search(page: Page, path: str, text: str) -> None:
    page.goto(path)
    page.get_by_role("searchbox").first.fill(text)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{path}?**")


def elders(page: Page, centre: Centre) -> None:
    name = f"尹秀荣{fresh_number()[-4:]}"
    centre.enter_whole_elder(name, fresh_number())
    search(page, "/elders", name)
    page.locator("table.list").get_by_role("link", name=name).click()
    page.get_by_role("link", name="修改").click()
    page.get_by_label("姓名").first.fill(f"{name}改")
    page.get_by_label("标志物", exact=True).fill("新修的牌楼")
    # A contact is taken out; the elder leaves and stays in the register, as the record must.
    page.get_by_role("checkbox", name="删除该联系人").first.check()
    page.get_by_label("状态", exact=True).first.select_option(label="已迁出")
    page.get_by_role("button", name="保存", exact=True).click()
    expect(page.get_by_text("新修的牌楼").first).to_be_visible()
    expect(page.locator("main")).to_contain_text("已迁出")
    search(page, "/elders", f"{name}改")
    expect(page.locator("table.list tbody tr")).to_have_count(1)


def orders(page: Page, centre: Centre) -> None:
    number = fresh_number()
    centre.enter_elder(f"冯桂琴{number[-4:]}", number)
    centre.call(number, ago_s=60).whole()
    search(page, "/orders", f"冯桂琴{number[-4:]}")
    row = page.locator("table.list tbody tr")
    expect(row).to_have_count(1)
    row.get_by_role("link").first.click()
    page.get_by_label("服务内容").fill("修门锁")
    page.get_by_role("button", name="生成工单").click()
    expect(page.locator("#order-state")).to_have_text("已生成")
    page.locator("summary", has_text="撤销工单").click()
    page.get_by_label("撤销原因").fill("家人已修")
    page.get_by_role("button", name="撤销工单").click()
    expect(page.locator("#order-state")).to_have_text("已撤销")
    search(page, "/orders", f"冯桂琴{number[-4:]}")
    expect(row).to_contain_text("修门锁")
    expect(row).to_contain_text("已撤销")


def calls(page: Page, centre: Centre) -> None:
    """A call is a fact: what was said of it is changed, and nothing of it can be taken away."""
    number = fresh_number()
    call = centre.call(number, ago_s=60).whole()
    search(page, "/calls", number.removeprefix("+86"))
    page.locator(f"table.list a[href='/calls/{call.id}']").click()
    for about in ("咨询服务", "其他"):
        page.get_by_role("radio", name=about).check()
        page.get_by_role("button", name="保存小结").click()
        expect(page.locator("#wrapped-up")).to_contain_text(about)
    search(page, "/calls", number.removeprefix("+86"))
    expect(page.locator("table.list tbody tr")).to_contain_text("其他")
    assert page.get_by_role("button", name="删除").count() == 0


def users(page: Page, centre: Centre) -> None:
    name = f"坐席{fresh_number()}"
    page.goto("/users")
    page.get_by_label("用户名").fill(name)
    page.get_by_label("密码").fill("three words are easy")
    page.get_by_role("button", name="添加用户").click()
    page.goto("/users")
    row = page.locator("tr", has_text=name)
    row.get_by_role("link").first.click()
    page.locator("[name=role][value=supervisor]").check()
    page.locator("form[action$='/role'] button").click()
    page.locator("form[action$='/active'] button").click()
    page.goto("/users")
    expect(row).to_contain_text("主管")
    expect(row).to_contain_text("已停用")


def menu(page: Page, centre: Centre) -> None:
    page.goto("/menu")
    for key, shown in (("5", True), ("", False)):
        page.locator("#key-3").select_option(key)
        if key:
            page.locator("#service-3").select_option(label="政策信息")
        page.get_by_role("button", name="启用", exact=True).click()
        expect(page.get_by_text("修改人").first).to_be_visible()
        expect(page.locator("#in-force").get_by_text("政策信息，请按")).to_have_count(int(shown))
    centre.forget_menus()


DEEDS: Final[dict[str, tuple[Right, Callable[[Page, Centre], None]]]] = {
    "elders": (Right.EDIT_ELDERS, elders),
    "orders": (Right.WRITE_ORDERS, orders),
    "calls": (Right.WRAP_UP_CALLS, calls),
    "users": (Right.MANAGE_USERS, users),
    "menu": (Right.CHANGE_MENUS, menu),
}
HOLDS: Final = {
    "elders": "/elders/new", "orders": "/orders", "calls": "/calls", "users": "/users",
    "menu": "/menu",
}  # fmt: skip


@pytest.mark.row("UI-09")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", DEEDS)
def test_a_list_is_asked_changed_and_taken_from_by_right(
    by_role: dict[str, Page], centre: Centre, kind: str, role: str
) -> None:
    right, deed = DEEDS[kind]
    page = by_role[role]
    if right in ROLES[role]:
        deed(page, centre)
        return
    answer = page.goto(HOLDS[kind])
    assert answer
    assert answer.status == 403
    assert page.locator(f".place[href='{HOLDS[kind]}']").count() == 0


@pytest.mark.row("UI-09")
@pytest.mark.parametrize("role", ROLES)
def test_a_list_is_read_by_right(by_role: dict[str, Page], role: str) -> None:
    for path, right in READS.items():
        answer = by_role[role].goto(path)
        assert answer
        assert answer.status == (200 if right in ROLES[role] else 403), path
        assert by_role[role].locator(f".place[href='{path}']").count() == int(right in ROLES[role])
