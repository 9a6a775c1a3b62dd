"""The hotline's menu in the desk: changed, tried, refused in words, and never lost."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy.ext.asyncio import AsyncSession

from sql.queries import menus
from tests.desk.centre import Centre
from workflows.menu import HOTLINE, Menu


@pytest.fixture(autouse=True)
def _as_careline_brings_it(centre: Centre) -> Iterator[None]:
    yield
    centre.forget_menus()


def in_force(centre: Centre) -> Menu:
    async def read(session: AsyncSession) -> Menu:
        return (await menus.hotline(session)).menu

    return centre.read(read)


def choose(page: Page, row: int, key: str, service: str) -> None:
    page.locator(f"#key-{row}").select_option(key)
    page.locator(f"#service-{row}").select_option(label=service)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def forge(page: Page, row: int, field: str, value: str) -> None:
    """Make the list offer what the desk never offers, and choose it."""
    page.evaluate(
        """([id, value]) => {
            const list = document.getElementById(id);
            list.add(new Option(value, value));
            list.value = value;
        }""",
        [f"{field}-{row}", value],
    )


def test_a_menu_is_tried_then_put_in_force(page: Page, centre: Centre) -> None:
    page.goto("/menu")
    trial = page.locator("#trial")
    expect(trial).to_have_count(0)
    choose(page, 2, "3", "设备报修")
    press(page, "先试一遍")
    expect(trial).to_contain_text("生活服务，请按")
    expect(trial).to_contain_text("设备报修，请按")
    expect(trial.locator("tr", has_text="按 3")).to_contain_text("设备报修")
    for doing in ("按 0", "按其他键", "按了两个不同的键", "5 秒内没有按键"):
        expect(trial.locator("tr", has_text=doing)).to_contain_text("人工")
    expect(trial.locator("tr", has_text="乱按几个键")).to_contain_text("求助")
    assert in_force(centre) == HOTLINE, "a trial changes nothing"
    expect(page.locator("#key-2")).to_have_value("3")

    press(page, "启用")
    expect(page.locator("#in-force")).to_contain_text("设备报修，请按")
    expect(page.get_by_text("修改人：admin")).to_be_visible()
    assert {k: o.choice for k, o in in_force(centre).options.items()} == {
        "1": "life_service", "3": "repair",
    }  # fmt: skip


def test_the_trial_is_heard_and_its_keys_are_pressed(page: Page) -> None:
    page.goto("/menu")
    run = page.locator("#in-force")
    with page.expect_response(re.compile(r"/spoken/notice\.wav$")) as sound:
        run.get_by_role("button", name="试听").click()
    assert sound.value.ok
    run.get_by_role("button", name="2", exact=True).click()
    expect(run.locator("tr[aria-current]")).to_contain_text("咨询")
    # All within the half second in which a call takes them for one.
    for keys, doing in (("17", "按了两个不同的键"), ("1739", "乱按几个键")):
        run.locator(".trial-keys").evaluate(
            "(pad, keys) => [...keys].forEach("
            "key => pad.querySelector(`[data-key='${key}']`).click())",
            keys,
        )
        expect(run.locator("tr[aria-current]")).to_contain_text(doing)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("queue", "menu:hotline", "不能再回到提问"),
        ("queue", "nobody", "该按键无人接听"),
        ("queue", "emergency", "紧急呼叫不经过菜单"),
        ("service", "<script>alert(1)</script>", "没有已录制的语音"),
        ("key", "0", "这不是可用的按键"),
        ("key", "1", "该按键已被占用"),
    ],
    ids=["a circle", "a dead end", "the emergency", "never spoken", "zero", "twice"],
)
def test_a_menu_that_breaks_a_rule_is_refused_beside_its_row(
    page: Page, centre: Centre, field: str, value: str, says: str
) -> None:
    page.goto("/menu")
    choose(page, 3, "5", "政策信息")
    if field == "key" and value == "1":
        page.locator("#key-3").select_option("1")
    else:
        forge(page, 3, field, value)
    press(page, "启用")
    expect(page.locator("#row-3-fault")).to_contain_text(says)
    expect(page.get_by_role("alert")).to_contain_text("您的选择没有丢失")
    if field != "service":
        expect(page.locator("#service-3")).to_have_value("information")
    assert in_force(centre) == HOTLINE


def test_two_people_change_the_menu_and_the_second_sees_it(page: Page, centre: Centre) -> None:
    page.goto("/menu")
    colleague = page.context.new_page()
    colleague.goto("/menu")
    choose(colleague, 3, "4", "投诉和建议")
    press(colleague, "启用")
    expect(colleague.get_by_text("修改人：admin")).to_be_visible()

    choose(page, 3, "6", "政策信息")
    press(page, "启用")
    expect(page.get_by_role("alert")).to_contain_text("别人已改动了菜单")
    expect(page.locator("#key-3")).to_have_value("6")
    expect(page.locator("#in-force")).to_contain_text("投诉和建议")
    press(page, "启用")
    expect(page.locator("#in-force")).to_contain_text("政策信息")
    assert "6" in in_force(centre).options


def test_a_menu_can_be_without_any_key(page: Page, centre: Centre) -> None:
    page.goto("/menu")
    for row in (1, 2):
        page.locator(f"#key-{row}").select_option("")
    press(page, "启用")
    expect(page.get_by_text("修改人：admin")).to_be_visible()
    assert in_force(centre).options == {}
