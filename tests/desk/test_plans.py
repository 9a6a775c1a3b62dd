"""Emergency handling plans in the desk: read by all, changed as text, and no version is lost."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import delete

from sql.models import PlanVersion
from sql.own_plans import own_plans
from tests.desk.centre import Centre
from tests.desk.conftest import Desk, sign_in
from tests.desk.test_access import ask
from workflows.plan import Kind

OWN = {plan.kind: plan for plan in own_plans()}
STEPS = "A! 马上叫 120\n= Call 120 at once\nB! 陪着老人\nB 让老人坐下"
GUIDANCE = "头晕\n= Dizzy\n扶着墙坐下。\n= Hold on to the wall and sit.\n别自己站起来。"


@pytest.fixture(autouse=True)
def _as_careline_brings_them(centre: Centre) -> Iterator[None]:
    forget_changes(centre)
    yield
    forget_changes(centre)


def forget_changes(centre: Centre) -> None:
    async def forget() -> None:
        async with centre.database.writing() as session:
            await session.execute(delete(PlanVersion).where(PlanVersion.version > 1))

    centre.run(forget())


@pytest.fixture
def seat(browser: Browser, desk: Desk, centre: Centre) -> Iterator[Page]:
    """Somebody at a seat, who follows plans and writes none."""
    context = browser.new_context(locale="zh-CN", base_url=desk.url)
    page = context.new_page()
    sign_in(page, name="seat of the plans")
    page.wait_for_url("**/")
    yield page
    context.close()


@pytest.fixture(scope="module", autouse=True)
def _somebody_at_a_seat(centre: Centre) -> None:
    centre.add_user("seat of the plans", "seat")


def write(page: Page, steps: str = STEPS, guidance: str = GUIDANCE) -> None:
    page.locator("#steps").fill(steps)
    page.locator("#guidance").fill(guidance)


def save(page: Page) -> None:
    page.get_by_role("button", name="保存为").click()


def steps_of(page: Page, seat: str) -> list[str]:
    return page.locator(f"section[aria-labelledby=seat-{seat}] li").all_inner_texts()


def told(page: Page, path: str, status: int = 200) -> Any:
    answer = page.context.request.get(path)
    assert answer.status == status, answer.text()
    return answer.json()


# ── reading ──────────────────────────────────────────────────────────────────────────────────────


def test_a_seat_finds_the_plan_for_a_fire_and_what_to_say(seat: Page) -> None:
    seat.get_by_role("link", name="预案").click()
    row = seat.locator("tr", has_text="火灾、烟雾")
    expect(row).to_contain_text("119 消防、120 急救")
    row.get_by_role("link").click()
    expect(seat.get_by_role("heading", level=1)).to_have_text("火灾、烟雾")
    first = seat.locator("section[aria-labelledby=seat-A]")
    expect(first).to_contain_text("119 消防 → 120 急救")
    assert "立即叫 119" in steps_of(seat, "A")[0]
    assert "必做" in steps_of(seat, "A")[0]
    assert "什么都不拿" in steps_of(seat, "B")[0]
    expect(seat.get_by_role("region", name="被烟火困住，走不了")).to_contain_text("千万别跳")


def test_a_seat_changes_no_plan(seat: Page) -> None:
    for path in ("/plans/fire", "/plans/fire?change=1"):
        seat.goto(path)
        expect(seat.get_by_role("heading", level=1)).to_have_text("火灾、烟雾")
        assert seat.get_by_role("link", name="修改").count() == 0
        assert seat.locator("#steps").count() == 0


def test_a_plan_is_read_in_english_and_chinese_stands_where_there_is_none(page: Page) -> None:
    page.goto("/plans/illness?change=1")
    write(page)
    save(page)
    page.goto("/plans/illness?lang=en")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sudden illness")
    assert "Call 120 at once" in steps_of(page, "A")[0]
    expect(page.locator("li", has_text="让老人坐下").locator("[lang=zh-CN]")).to_have_count(1)


# ── changing ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.row("EMG-18", part="versions")
def test_a_change_is_a_new_version_and_the_former_one_stays(page: Page) -> None:
    page.goto("/plans/fall")
    page.get_by_role("link", name="修改").click()
    page.locator("#first-0").select_option("station")
    page.locator("#first-1").select_option("")
    write(page)
    save(page)
    expect(page.locator("#steps")).to_have_count(0)
    assert [text.replace("\n", " ") for text in steps_of(page, "B")] == [
        "必做 陪着老人", "让老人坐下",
    ]  # fmt: skip
    expect(page.get_by_text("驿站", exact=True)).to_be_visible()
    versions = page.get_by_role("region", name="历次版本").locator("li")
    expect(versions).to_have_count(2)
    expect(versions.first).to_contain_text("admin")
    expect(versions.first).to_contain_text("现行")
    expect(versions.last).to_contain_text("系统自带")

    versions.last.get_by_role("link").click()
    expect(page.get_by_role("status")).to_contain_text("这是以前的版本")
    assert len(steps_of(page, "A")) == len(OWN[Kind.FALL].of("A"))
    expect(page.get_by_role("region", name="没受伤，想自己起来")).to_be_visible()

    page.goto("/record?text=fall")
    entry = page.locator("tbody tr").first
    expect(entry.get_by_role("link", name="跌倒")).to_have_attribute("href", "/plans/fall")
    expect(entry).to_contain_text("1 → 2")


@pytest.mark.row("EMG-18", part="versions")
def test_a_former_version_is_put_in_force_again_as_a_new_one(page: Page) -> None:
    page.goto("/plans/flood?change=1")
    write(page)
    save(page)
    page.goto("/plans/flood?version=1")
    page.get_by_role("link", name="从这一版重新开始").click()
    page.get_by_role("button", name="保存为第 3 版").click()
    expect(page.get_by_role("region", name="历次版本").locator("li")).to_have_count(3)
    assert len(steps_of(page, "A")) == len(OWN[Kind.FLOOD].of("A"))
    again = told(page, "/plans/flood.json")
    assert (again["version"], len(again["guidance"])) == (3, len(OWN[Kind.FLOOD].guidance))


def test_a_slip_is_said_beside_its_field_and_nothing_is_lost(page: Page) -> None:
    page.goto("/plans/gas?change=1")
    page.locator("#first-1").select_option("fire")
    write(page, "A 叫 119\n请老人出门", "煤气味\n\n别开灯。")
    save(page)
    expect(page.get_by_role("alert")).to_contain_text("尚未保存")
    expect(page.locator("#steps-fault")).to_contain_text("第 2 行“请老人出门”")
    expect(page.locator("#guidance-fault")).to_contain_text("“煤气味”")
    expect(page.locator("#first_called-fault")).to_contain_text("写一次就够")
    expect(page.locator("#steps")).to_have_value("A 叫 119\n请老人出门")
    expect(page.locator("#guidance")).to_have_value("煤气味\n\n别开灯。")
    expect(page.locator("#first-1")).to_have_value("fire")
    assert told(page, "/plans/gas.json")["version"] == 1


def test_two_people_change_a_plan_and_the_second_sees_it(page: Page) -> None:
    page.goto("/plans/lost?change=1")
    colleague = page.context.new_page()
    colleague.goto("/plans/lost?change=1")
    write(colleague, "A 叫 110\nB 别让老人走开")
    save(colleague)
    expect(colleague.get_by_text("第 2 版").first).to_be_visible()

    write(page)
    save(page)
    expect(page.get_by_role("alert")).to_contain_text("其间别人已保存了这份预案")
    expect(page.locator("#steps")).to_have_value(STEPS)
    assert steps_of(page, "B") == ["别让老人走开"]
    page.get_by_role("button", name="保存为第 3 版").click()
    expect(page.get_by_role("region", name="历次版本").locator("li")).to_have_count(3)
    assert told(page, "/plans/lost.json?version=2")["steps"][1]["text"] == "别让老人走开"
    assert told(page, "/plans/lost.json")["steps"][0]["text"] == "马上叫 120"


def test_while_the_database_takes_nothing_the_text_stays(page: Page, centre: Centre) -> None:
    page.goto("/plans/other?change=1")
    write(page)
    other = sqlite3.connect(centre.home.root / "careline.db", isolation_level=None)
    with closing(other):
        other.execute("BEGIN IMMEDIATE")
        with page.expect_response(lambda it: it.request.method == "POST", timeout=40_000) as answer:
            save(page)
    assert answer.value.status == 503
    expect(page.get_by_role("alert")).to_contain_text("尚未保存")
    expect(page.locator("#steps")).to_have_value(STEPS)
    save(page)
    expect(page.get_by_text("第 2 版").first).to_be_visible()


# ── for the page of a case ───────────────────────────────────────────────────────────────────────


def test_the_page_of_a_case_gets_the_plan_in_the_visitors_language(seat: Page) -> None:
    plan = told(seat, "/plans/fire.json")
    assert plan.keys() == {"kind", "version", "first_called", "steps", "guidance"}
    assert (plan["kind"], plan["version"], plan["first_called"]) == (
        "fire", 1, ["fire", "ambulance"],
    )  # fmt: skip
    first = plan["steps"][0]
    assert first.keys() == {"id", "text", "role", "mandatory"}
    assert (first["id"], first["role"], first["mandatory"]) == ("call-119", "A", True)
    assert first["text"].startswith("立即叫 119")
    condition = plan["guidance"][0]
    assert condition.keys() == {"id", "condition", "lines"}
    assert (condition["condition"], condition["lines"][0]) == (
        "着火了，能走", "现在就走，什么都别拿。",
    )  # fmt: skip
    english = told(seat, "/plans/fire.json?lang=en")
    assert english["steps"][0]["text"].startswith("Call 119 at once")
    assert english["guidance"][0]["lines"][0] == "Go now. Take nothing."
    assert [step["id"] for step in english["steps"]] == [step["id"] for step in plan["steps"]]


def test_a_case_reads_the_version_by_which_it_works_also_after_a_change(page: Page) -> None:
    before = told(page, "/plans/no_response.json")
    page.goto("/plans/no_response?change=1")
    kept = page.locator("#steps").input_value().replace("听十秒", "听二十秒")
    page.locator("#steps").fill(f"{kept}\nA 通知主管")
    save(page)
    expect(page.get_by_text("第 2 版").first).to_be_visible()
    assert told(page, "/plans/no_response.json?version=1") == before
    now = told(page, "/plans/no_response.json")
    assert now["version"] == 2
    ids = {version["version"]: [step["id"] for step in version["steps"]]
           for version in (before, now)}  # fmt: skip
    assert ids[2][0] not in ids[1], "a step that says something else is another step"
    assert ids[2][1:-1] == ids[1][1:], "a step that says the same is the same step"
    assert ids[2][-1] not in ids[1]
    assert [one["id"] for one in now["guidance"]] == [one["id"] for one in before["guidance"]]


@pytest.mark.parametrize(
    "path",
    [
        "/plans/earthquake", "/plans/fire?version=2", "/plans/fire?version=0",
        "/plans/fire?version=-1", "/plans/fire?version=x", "/plans/fire?version=%D9%A1",
        "/plans/fire?version=99999999999999999999", "/plans/fire?version=%00",
        "/plans/%27%20OR%201=1", "/plans/..%2fpeople",
    ],
)  # fmt: skip
def test_what_does_not_exist_is_not_found(page: Page, path: str) -> None:
    name, _, query = path.partition("?")
    said = told(page, f"{name}.json?{query}", 404)
    assert said["error"]
    answer = page.goto(path)
    assert answer
    assert answer.status == 404
    assert page.locator("h1").count() == 1


def test_nobody_reads_a_plan_without_a_sign_in(desk: Desk) -> None:
    answer = ask(desk, "GET", "/plans/fire.json")
    assert answer.status == 401
    assert "119" not in json.dumps(answer.text)  # type: ignore[attr-defined]
