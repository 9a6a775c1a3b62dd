"""Help is one key away on every page, and nothing that was typed is lost by it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.desk.conftest import Desk


@pytest.mark.row("UI-07")
def test_a_question_mark_opens_the_help_of_this_page_beside_it(page: Page) -> None:
    page.goto("/elders/new")
    expect(page.get_by_role("link", name="帮助 ?")).to_be_visible()
    name = page.get_by_label("姓名").first
    name.fill("")
    name.press_sequentially("王?")
    assert len(page.context.pages) == 1
    page.get_by_role("heading", level=1).click()
    with page.context.expect_page() as opened:
        page.keyboard.press("?")
    expect(opened.value.get_by_role("heading", level=1)).to_have_text("登记与修改老人")
    expect(opened.value.get_by_text("从马路到房门")).to_be_visible()
    expect(name).to_have_value("王?")


@pytest.mark.row("UI-07")
def test_who_cannot_sign_in_finds_help(browser: Browser, desk: Desk) -> None:
    context = browser.new_context(locale="en-GB", base_url=desk.url)
    try:
        door = context.new_page()
        door.goto("/sign-in")
        with context.expect_page() as opened:
            door.get_by_role("link", name="Help").click()
        text = opened.value
        expect(text.get_by_role("heading", level=1)).to_have_text("Sign-in")
        text.get_by_role("link", name="All help").click()
        text.get_by_role("link", name="Alarms").click()
        expect(text.get_by_role("cell", name="A carrier refuses us")).to_be_visible()
        answer = text.goto("/help/nothing-of-this")
        assert answer is not None
        assert answer.status == 404
    finally:
        context.close()
