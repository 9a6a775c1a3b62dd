"""Elders: entered once, with every fault beside its field, and found by any of their numbers."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.desk.centre import Centre
from tests.desk.test_calls import fresh_number

ADDRESS = {
    "区县": "魏都区", "街道（乡镇）": "文峰街道", "小区或村": "春秋小区", "楼号": "7", "单元": "2",
    "楼层": "4", "房号": "402", "标志物": "春秋广场公交站东 50 米", "进场路线": "南门进",
}  # fmt: skip


def test_an_elder_is_entered_and_known_at_the_next_call(page: Page, centre: Centre) -> None:
    page.goto("/elders")
    page.get_by_role("link", name="登记老人").click()
    page.get_by_label("姓名").fill("马淑芬")
    page.get_by_label("性别").select_option("female")
    page.get_by_label("出生日期").fill("1944-03-21")
    page.get_by_label("号码 1").fill("0374-7654321")
    page.get_by_label("号码 2").fill("138 7777 0001")
    for label, value in ADDRESS.items():
        page.get_by_label(label, exact=True).fill(value)
    daughter = page.get_by_role("group", name="联系人 1")
    daughter.get_by_label("联系人 1").fill("马小兰")
    daughter.get_by_label("电话 1").fill("139 7777 0009")
    # Enter saves; it does not ask for one more row.
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/elders/E\d{6}$"))
    page.get_by_role("button", name="139 7777 0009 未接通").click()
    expect(page.locator("#contacts")).to_contain_text("打不通")
    for text in ("马淑芬", "7 号楼", "402 室", "春秋广场公交站东 50 米", "0374-7654321"):
        expect(page.get_by_text(text).first).to_be_visible()
    page.goto("/elders")
    row = page.locator("tr", has_text="马淑芬")
    expect(row).to_contain_text("138****0001")
    expect(row).not_to_contain_text("7654321")
    call = centre.call("+863747654321")
    page.goto(f"/calls/{call.id}")
    expect(page.get_by_role("heading", name="马淑芬", level=2)).to_be_visible()
    call.end()


def test_an_elder_entered_from_a_call_is_who_called(page: Page, centre: Centre) -> None:
    """Also with another number than the one that was called from: the call is the elder's."""
    call = centre.call(fresh_number(), ago_s=60).whole()
    page.goto(f"/calls/{call.id}")
    page.get_by_role("link", name="用此号码登记老人").click()
    page.get_by_label("姓名").first.fill("褚桂英")
    page.get_by_label("号码 1").fill(fresh_number().removeprefix("+86"))
    page.get_by_role("button", name="保存", exact=True).click()
    page.wait_for_url(f"**/calls/{call.id}")
    page.get_by_role("link", name="褚桂英").first.click()
    page.wait_for_url("**/elders/*")
    expect(page.locator(f"main a[href='/calls/{call.id}']").first).to_be_visible()


def test_faults_stand_beside_their_fields_and_nothing_is_lost(page: Page) -> None:
    page.goto("/elders/new")
    page.evaluate("document.querySelector('form.form').noValidate = true")
    page.get_by_label("号码 1").fill("不知道")
    page.get_by_label("号码 3").fill("13877770002")
    page.get_by_label("标志物", exact=True).fill("大槐树\n第二个路口")
    page.evaluate("document.getElementById('birth_date').type = 'text'")
    page.get_by_label("出生日期").fill("2199-01-01")
    page.get_by_role("button", name="保存").click()
    expect(page.locator("main").get_by_role("alert")).to_contain_text("您填写的内容都在")
    expect(page.locator("#full_name-fault")).to_have_text("此项必填。")
    expect(page.locator("#numbers-fault")).to_contain_text("这不是电话号码")
    expect(page.locator("#birth_date-fault")).to_have_text("出生日期不正确。")
    expect(page.get_by_label("号码 1")).to_have_value("不知道")
    # The places that were left empty are gone, the number is not.
    expect(page.get_by_label("号码 2")).to_have_value("13877770002")
    expect(page.get_by_label("标志物", exact=True)).to_have_value("大槐树\n第二个路口")


def test_a_hostile_name_is_text(page: Page) -> None:
    name = "<b onclick=alert(1)>'\"{{7*7}}</b>"
    page.goto("/elders/new")
    page.get_by_label("姓名").fill(name)
    page.get_by_label("号码 1").fill("13877770003")
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
    page.goto("/elders")
    expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()


def test_more_than_fifty_are_on_older_pages(page: Page, centre: Centre) -> None:
    for number in range(51):
        centre.enter_elder(f"翻页老人{number:02}", f"+8613577{number:06}")
    rows = page.locator("table.list tbody tr")
    page.goto("/elders?text=翻页老人")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("翻页老人50")
    expect(page.get_by_role("link", name="最新")).to_have_count(0)
    page.get_by_role("link", name="更早登记的老人").click()
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("翻页老人00")
    expect(page.get_by_role("searchbox")).to_have_value("翻页老人")
    expect(page.get_by_role("link", name="更早登记的老人")).to_have_count(0)
    page.get_by_role("link", name="最新").click()
    expect(rows).to_have_count(50)
    page.goto("/elders?text=翻页老人00&before=%27%25_%00👵")
    expect(rows).to_have_count(1)


def test_the_keyboard_is_enough(page: Page) -> None:
    page.goto("/elders")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="跳到内容")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    expect(focused).to_have_text("实时看板")
    assert focused.evaluate("it => getComputedStyle(it).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("#link")).to_have_text("实时")


def test_every_text_may_be_as_long_as_it_says(page: Page) -> None:
    page.goto("/elders/new")
    page.get_by_label("姓名", exact=False).first.fill("常文华")
    page.get_by_label("号码 1", exact=False).first.fill("13800009911")
    for text in page.locator("textarea").all():
        text.fill("长" * 2000)
    page.get_by_role("button", name="保存", exact=True).click()
    expect(page.get_by_role("heading", name="常文华").first).to_be_visible()
    expect(page.get_by_text("长" * 2000).first).to_be_attached()
