"""The practice town's page, on a real house in practice: the band, an elder who calls now."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.desk.conftest import sign_in
from tests.desk.looks import look_at
from tests.house import House, running
from tests.telephone import claim_addresses

CONFIG = """
[addresses]
host = "{host}"
[practice]
every_s = 3600
"""
START_MS = 60_000


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="careline-"))
    folder.chmod(0o711)
    try:
        with claim_addresses(170) as block:
            config = folder / "careline.toml"
            config.write_text(CONFIG.format(host=block.centre), "utf-8")
            with running(folder / "home", config) as started:
                yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def town(browser: Browser, house: House) -> Iterator[Page]:
    """The page in a signed-in browser, once the town plays."""
    context = browser.new_context(locale="zh-CN", base_url=house.ready["desk"])
    opened = context.new_page()
    sign_in(opened, house.admin_password)
    opened.wait_for_url("**/")
    yield opened
    context.close()


def open_town(page: Page) -> None:
    """The page, as soon as the town answers."""

    def plays() -> bool:
        page.goto("/practice")
        return page.get_by_text("小镇没有响应").count() == 0

    for _ in range(60):
        if plays():
            return
        page.wait_for_timeout(500)
    raise AssertionError("the practice town never answered")


def test_an_elder_calls_now_and_is_on_the_board(town: Page, house: House) -> None:
    """Speaking or silent, from the page; every page says that this is practice."""
    open_town(town)
    expect(town.locator(".practice")).to_contain_text("练习模式")
    expect(town.locator(".side .reach")).to_have_text("110、119、120 由小镇扮演")
    look_at(town, "practice")
    assert town.locator("table.list tbody tr").count() >= 30
    pause = town.get_by_role("button", name="暂停自动来电")
    pause.click()
    expect(town.get_by_role("button", name="恢复自动来电")).to_be_visible()
    row = town.locator("tr", has_text="陈德山")
    row.get_by_label("来电事由").select_option("medicine")
    row.get_by_role("button", name="来电", exact=True).click()
    shown = town.locator("#now li", has_text="陈德山")
    expect(shown).to_contain_text("用药咨询")
    # A second click while the elder calls is refused in words.
    town.locator("tr", has_text="陈德山").get_by_role("button", name="来电不说话").click()
    expect(town.locator(".notice")).to_contain_text("正在通话")
    # A robot answers; the page follows by itself, and the link leads to the call.
    town.goto("/practice")
    expect(shown.locator("a")).to_be_visible(timeout=START_MS)
    shown.locator("a").click()
    expect(town.locator("main")).to_contain_text("陈德山")
    # What is to be known of the elder is there, as README promises: also the risks.
    for known in ("风险预案", "备注"):
        expect(town.locator("main .elder")).to_contain_text(known)
    # Who had whom call is on record, and who paused the town.
    town.goto("/record?text=admin")
    for deed in ("让老人来电", "设置小镇是否自动来电"):
        expect(town.locator("tbody tr", has_text=deed).first).to_contain_text("练习小镇")
    expect(town.locator(".practice")).to_be_visible()


def test_the_settings_say_that_rescue_is_played_here_and_real_nowhere(town: Page) -> None:
    town.goto("/settings")
    rescue = town.get_by_role("region", name="110 · 119 · 120")
    expect(rescue).to_contain_text("演练")
    expect(rescue).to_contain_text("只到练习小镇自己的接警台")
    expect(rescue).not_to_contain_text("真实")


def test_a_real_centre_has_no_practice_town(page: Page) -> None:
    answer = page.goto("/practice")
    assert answer
    assert answer.status == 404
    expect(page.locator("main")).to_contain_text("没有练习小镇")
    expect(page.locator(".practice")).to_have_count(0)
    expect(page.locator(".side .reach")).to_have_text("110、119、120 未开通")
