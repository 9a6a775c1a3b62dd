"""The page of an emergency: what two seats see and do on it, live, without touching it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from agent_desk.rights import ROLES, Right
from sql.models import AuditEntry, DeskSession
from tests.desk.centre import Centre
from tests.desk.conftest import Desk, new_home, open_centre, sign_in, signed_in, started_desk
from tests.desk.looks import LOOKS, look_at
from tests.desk.rescue_case import CARD, Case
from workflows.card import Card
from workflows.commands import Mark
from workflows.emergency_facts import Emergency
from workflows.events import LegResult, Owner, TookOver
from workflows.leg import ELDERS, SIDE, State

LIVE = "[rescue]\nlive = true\ncall_back_s = 0\n"
WITHIN_A_SECOND = 1_000


@pytest.fixture(scope="module")
def live_desk() -> Iterator[tuple[Centre, Desk]]:
    """A desk whose centre may call 120, 119 and 110; there is no Asterisk that could."""
    with (
        new_home(LIVE) as (home, config, settings),
        open_centre(home, settings) as centre,
        started_desk(home, config, settings) as desk,
    ):
        yield centre, desk


@pytest.fixture(scope="module")
def centre(live_desk: tuple[Centre, Desk]) -> Centre:
    return live_desk[0]


@pytest.fixture(scope="module")
def desk(live_desk: tuple[Centre, Desk]) -> Desk:
    return live_desk[1]


@pytest.fixture(scope="module")
def session_cookies(browser: Browser, desk: Desk) -> list[dict[str, object]]:
    return signed_in(browser, desk)


@pytest.fixture
def case(centre: Centre) -> Iterator[Case]:
    """Both seats are with an elder who is known."""
    opened = Case(centre, ago_s=60).open().known().seat("1001").seat("1002")
    yield opened
    opened.end()


Seats = Callable[[str], Page]


@pytest.fixture
def at(context: BrowserContext, case: Case) -> Seats:
    """The case's page as somebody at this seat has it, in a tab of their own."""

    def opened(seat: str) -> Page:
        page = context.new_page()
        page.goto(f"/rescue/{case.id}?seat={seat}")
        expect(page.locator("main.ready")).to_be_attached()
        return page

    return opened


def until(case: Case, what: Callable[[Emergency], object], page: Page) -> None:
    """Wait for what a press does to the case."""
    for _ in range(100):
        if what(case.now):
            return
        page.wait_for_timeout(50)
    raise AssertionError(case.now)


# ── both see one case ────────────────────────────────────────────────────────────────────────────


@pytest.mark.row("EMG-02", part="confirmed")
@pytest.mark.row("EMG-06")
@pytest.mark.row("EMG-09")
def test_who_it_is_is_read_out_and_confirmed_with_one_press(at: Seats, case: Case) -> None:
    a, b = at("1001"), at("1002")
    for page in (a, b):
        card = page.locator("#card")
        for known in (
            "测试老人甲、女、82 岁、独居", "魏都区文峰街道春秋小区", "7 号楼 2 单元 4 层 402 室",
            "春秋广场公交站东 50 米", "南门进，直行左转第二栋，电梯可放担架", "0374-0000041",
        ):  # fmt: skip
            expect(card).to_contain_text(known)
        expect(card.locator(".missing")).to_be_hidden()
    expect(a.locator("#posts .mine")).to_contain_text("A")
    expect(b.locator("#posts .mine")).to_contain_text("B")
    a.get_by_role("button", name="姓名住址已核对").click()
    confirmed = b.get_by_role("button", name="姓名住址已核对")
    expect(confirmed).to_have_attribute("aria-pressed", "true", timeout=WITHIN_A_SECOND)
    expect(confirmed).to_contain_text("admin")
    confirmed.click()
    expect(a.locator("#card [data-do=tick]")).to_have_attribute("aria-pressed", "false")


@pytest.mark.row("EMG-06")
def test_what_is_missing_is_said_in_red(centre: Centre, context: BrowserContext) -> None:
    bare = Card(uid="E00000002", name="测试老人乙", district="魏都区", call_back="+8613800000099")
    case = Case(centre).open().known(bare).seat("1001")
    page = context.new_page()
    page.goto(f"/rescue/{case.id}?seat=1001")
    missing = page.locator("#card .missing")
    expect(missing).to_have_text("缺：街道、小区、楼号、单元、楼层、房号、标志物、进场路线")
    red = page.locator(".strip.alarm, .service").first
    assert missing.evaluate("it => getComputedStyle(it).color") == "rgb(179, 22, 27)", red
    case.end()


def test_whom_nobody_knows_is_looked_for_on_the_call_s_page_beside_it(
    centre: Centre, context: BrowserContext
) -> None:
    case = Case(centre, caller="+8613077777777").open().seat("1001")
    page = context.new_page()
    page.goto(f"/rescue/{case.id}?seat=1001")
    expect(page.locator("#card")).to_contain_text("130 7777 7777")
    link = page.get_by_role("link", name="查找是谁")
    expect(link).to_have_attribute("href", f"/calls/{case.id}")
    expect(link).to_have_attribute("target", "careline-elder")
    page.keyboard.press("c")
    expect(page.locator("#fault")).to_contain_text("没有登记联系人")
    case.end()


def test_of_two_elders_with_one_number_a_seat_says_who_it_is(
    centre: Centre, context: BrowserContext
) -> None:
    other = Card(uid="E00000003", name="测试老人丙", sex="male", age=79, call_back="+8613800000098")
    case = Case(centre).open().known(CARD, other).seat("1001")
    page = context.new_page()
    page.goto(f"/rescue/{case.id}?seat=1001")
    expect(page.locator("#pick")).to_contain_text("这个号码有几位老人")
    page.locator("#choices").get_by_role("button", name="测试老人丙").click()
    expect(page.locator("#who")).to_have_text("测试老人丙")
    expect(page.locator("#pick")).to_be_hidden()
    case.end()


@pytest.mark.row("EMG-08")
def test_b_writes_and_a_sees_it_at_once_as_the_condition(at: Seats, case: Case) -> None:
    a, b = at("1001"), at("1002")
    b.keyboard.press("n")
    b.keyboard.type("右髋痛，不能站，清醒 120")
    b.keyboard.press("Enter")
    expect(a.locator("#card [data-f=condition]")).to_have_text(
        "右髋痛，不能站，清醒 120", timeout=WITHIN_A_SECOND
    )
    expect(a.locator("#notes li").first).to_contain_text(re.compile(r"\d\d:\d\d:\d\d"))
    expect(a.locator("#timeline li").first).to_contain_text("右髋痛")
    expect(b.locator("#note")).to_have_value("")
    assert not case.now.legs, "what is typed presses no key"


def test_what_is_typed_stays_while_the_case_changes_and_over_a_reload(
    at: Seats, case: Case
) -> None:
    b = at("1002")
    b.locator("#note").fill("嘴唇发")
    case.call("ambulance").rings("ambulance")
    expect(b.locator("#in-side")).to_contain_text("振铃")
    expect(b.locator("#note")).to_have_value("嘴唇发")
    expect(b.locator("#note")).to_be_focused()
    b.reload()
    expect(b.locator("#note")).to_have_value("嘴唇发")
    b.locator("#note").fill("")


def test_a_note_that_did_not_reach_the_desk_is_kept_and_is_written_once(
    at: Seats, case: Case
) -> None:
    b = at("1002")
    b.route("**/note", lambda route: route.abort())
    b.locator("#note").fill("左手动不了")
    b.locator("#note").press("Enter")
    expect(b.locator("#fault")).to_contain_text("没有送达工作台")
    expect(b.locator("#note")).to_have_value("左手动不了")
    b.unroute("**/note")
    b.locator("#note").press("Enter")
    expect(b.locator("#notes li")).to_have_count(1)
    expect(b.locator("#fault")).to_be_hidden()


# ── calling ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.row("EMG-03")
def test_a_calls_120_by_one_key_and_b_sees_it_ring_answer_and_come(at: Seats, case: Case) -> None:
    a, b = at("1001"), at("1002")
    a.keyboard.press("1")
    aside = b.locator("#in-side")
    expect(aside).to_contain_text("120 急救", timeout=WITHIN_A_SECOND)
    case.rings("ambulance")
    expect(aside.locator(".ringing")).to_contain_text("振铃")
    case.moved("1001", SIDE).comes("ambulance")
    expect(aside.locator(".live")).to_have_count(2)
    expect(b.locator("#in-elder")).not_to_contain_text("1001")
    expect(a.locator("#coming li")).to_contain_text("120 急救")
    a.keyboard.press("t")
    told = b.locator("#coming [data-mark=told]")
    expect(told).to_have_attribute("aria-pressed", "true", timeout=WITHIN_A_SECOND)
    expect(told).to_contain_text(re.compile(r"\d\d:\d\d:\d\d"))
    a.keyboard.press("j")
    until(case, lambda it: {one.moves_to for one in it.people if one.room == SIDE} == {ELDERS}, a)
    expect(b.locator("#in-elder")).to_contain_text("120")


def test_a_slip_is_undone_within_three_seconds(at: Seats, case: Case) -> None:
    a = at("1001")
    a.keyboard.press("2")
    expect(a.locator("#undo")).to_contain_text("正在呼叫 119 消防")
    a.keyboard.press("z")
    expect(a.locator("#undo")).to_be_hidden()
    until(case, lambda it: it.legs[0].is_dropped, a)
    a.keyboard.press("z")
    expect(a.locator("#fault")).to_contain_text("已过撤销时间")


@pytest.mark.row("EMG-07")
@pytest.mark.row("EMG-13")
@pytest.mark.row("EMG-21", part="page")
def test_one_key_calls_everybody_and_each_shows_its_own_result(at: Seats, case: Case) -> None:
    a = at("1001")
    contacts = a.locator("#contacts li")
    expect(contacts).to_have_count(5)
    expect(contacts.first).to_contain_text("138****0021")
    doctor = contacts.last.get_by_role("button")
    expect(doctor).to_have_attribute("aria-disabled", "true")
    # Chromium takes a press of what is impossible too; only the test's own tool would wait.
    doctor.click(force=True)
    expect(a.locator("#fault")).to_contain_text("没有登记号码")
    a.keyboard.press("c")
    until(case, lambda it: len(it.legs) == 4, a)
    assert len({leg.asked_at for leg in case.now.legs}) == 1
    case.fails("contact/1", LegResult.NO_ANSWER).comes("contact/2")
    case.rings("responder/station").fails("responder/committee", LegResult.BUSY)
    expect(contacts.nth(0)).to_contain_text("无人接听")
    expect(contacts.nth(1)).to_contain_text("已接通")
    expect(contacts.nth(2)).to_contain_text("振铃")
    expect(contacts.nth(3)).to_contain_text("占线")
    again = a.locator("#in-side li.failed", has_text="测试女儿").get_by_role("button", name="再拨")
    again.click()
    until(case, lambda it: sum(leg.party == "contact/1" for leg in it.legs) == 2, a)
    expect(a.locator("#in-side li.ringing", has_text="测试女儿")).to_contain_text("第 2 次")


@pytest.mark.row("EMG-16")
def test_whoever_is_in_a_room_is_moved_muted_and_sent_away_by_one_click(
    at: Seats, case: Case
) -> None:
    case.call("ambulance").comes("ambulance").moved("1001", SIDE)
    a = at("1001")
    ambulance = a.locator("#in-side li", has_text="120")
    ambulance.get_by_role("button", name="静音").click()
    expect(ambulance).to_contain_text("已静音")
    ambulance.get_by_role("button", name="取消静音").click()
    expect(ambulance).not_to_contain_text("已静音")
    ambulance.get_by_role("button", name="接入老人").click()
    expect(a.locator("#in-elder li", has_text="120")).to_contain_text("正在移动")
    a.locator("#in-elder li", has_text="120").get_by_role("button", name="挂断").click()
    until(case, lambda it: it.legs[0].is_dropped, a)


def test_who_alone_is_with_the_elder_cannot_leave_and_is_told_why(at: Seats, case: Case) -> None:
    case.leave("1002")
    a = at("1001")
    expect(a.locator("#posts .vacant")).to_contain_text("B")
    aside = a.locator("#in-elder li", has_text="1001").get_by_role("button", name="到旁边")
    expect(aside).to_have_attribute("aria-disabled", "true")
    a.keyboard.press("k")
    expect(a.locator("#fault")).to_contain_text("老人身边没有别的坐席")
    case.seat("1002")
    expect(aside).not_to_have_attribute("aria-disabled", "true")


# ── the helpers are coming (EMG-10) ──────────────────────────────────────────────────────────────


@pytest.mark.row("EMG-10")
@pytest.mark.row("EMG-20", part="times")
def test_b_is_alerted_within_a_second_and_ticks_that_the_elder_knows(at: Seats, case: Case) -> None:
    case.call("ambulance").comes("ambulance").moved("1001", SIDE)
    a, b = at("1001"), at("1002")
    a.keyboard.press("w")
    news = b.locator("#news li")
    expect(news).to_contain_text("120 急救 已出发，在路上", timeout=WITHIN_A_SECOND)
    expect(b).to_have_title(re.compile("^120 急救 已出发"))
    expect(a.locator("#news li")).to_have_count(0)
    expect(a.locator("#coming li")).to_contain_text("老人还不知道")
    b.keyboard.press("e")
    expect(news).to_have_count(0)
    expect(a.locator("#coming li")).to_contain_text("老人已知道")
    first = case.leg("ambulance").elder_told_at
    assert first
    a.keyboard.press("r")
    expect(news).to_contain_text("120 急救 已到达", timeout=WITHIN_A_SECOND)
    news.get_by_role("button", name="已告诉老人").click()
    until(case, lambda it: it.legs[0].elder_told_at not in (None, first), b)
    times = b.locator("#timeline")
    for said in ("120 接听", "120 在路上", "120 到达", "已告诉老人：120"):
        expect(times).to_contain_text(said)


# ── the plan, and what B says ────────────────────────────────────────────────────────────────────


@pytest.mark.row("EMG-18", part="case")
@pytest.mark.row("EMG-23")
def test_the_plan_leads_each_seat_to_its_next_step(at: Seats, case: Case) -> None:
    a, b = at("1001"), at("1002")
    a.locator("#kinds").get_by_role("button", name="跌倒").click()
    expect(b.locator("#show-kinds")).to_have_text("跌倒")
    expect(b.locator("#opened")).to_contain_text("跌倒")
    step = a.locator("#step")
    expect(step).to_contain_text("和老人核对姓名、住址")
    a.keyboard.press("d")
    expect(step).to_contain_text("判断要不要 120")
    expect(b.locator("#step")).to_contain_text("先问：人清醒吗？")
    expect(a.locator("#guidance")).to_be_hidden()
    b.locator("#conditions").get_by_role("button", name="碰到头").click()
    expect(b.locator("#lines li")).not_to_have_count(0)
    expect(a.locator("#timeline li").first).to_contain_text("admin 指导：碰到头")


def test_while_no_plan_can_be_read_the_steps_of_every_emergency_stand_there(
    context: BrowserContext, case: Case
) -> None:
    page = context.new_page()
    page.route("**/plans/*", lambda route: route.abort())
    page.goto(f"/rescue/{case.id}?seat=1002")
    page.locator("#kinds").get_by_role("button", name="跌倒").click()
    expect(page.locator("#show-kinds")).to_have_text("跌倒")
    expect(page.locator("#step")).to_contain_text("清醒吗？喘得上气吗？")
    page.locator("#conditions").get_by_role("button").click()
    expect(page.locator("#lines li").first).to_have_text("我在这儿，我不挂电话。")


# ── what must not be missed ──────────────────────────────────────────────────────────────────────


@pytest.mark.row("EMG-15", part="warned")
def test_without_agreement_a_seat_is_warned_the_call_goes_out_and_it_is_on_record(
    centre: Centre, context: BrowserContext
) -> None:
    case = Case(centre).open().known(replace(CARD, has_agreement=False)).seat("1001")
    page = context.new_page()
    page.goto(f"/rescue/{case.id}?seat=1001")
    expect(page.locator("#no-agreement")).to_contain_text("没有人工代呼协议")
    page.locator(".service").first.click()
    until(case, lambda it: it.legs, page)

    async def noted(session: AsyncSession) -> AuditEntry | None:
        wanted = select(AuditEntry).where(
            AuditEntry.subject_id == case.id, AuditEntry.action == "called without agreement"
        )
        return await session.scalar(wanted)

    entry = None
    for _ in range(100):
        entry = centre.read(noted)
        if entry:
            break
        page.wait_for_timeout(50)
    assert entry
    assert (entry.by, entry.after) == ("admin", {"parties": ["ambulance"]})
    case.end()


def test_what_is_wrong_stands_on_top_of_the_page(at: Seats, case: Case) -> None:
    a = at("1001")
    expect(a.locator("#troubles li")).to_have_count(0)
    case.leave("1002")
    case.leave("1001")
    expect(a.locator("#troubles")).to_contain_text("老人身边没有坐席")
    case.tell(TookOver)
    assert case.now.owner is Owner.DIALPLAN
    expect(a.locator("#troubles")).to_contain_text("电话系统")


@pytest.mark.row("NRS-02")
@pytest.mark.row("NRS-06")
def test_an_elder_whose_line_is_gone_is_seen_to_be_called_back(at: Seats, case: Case) -> None:
    """Since when, which call it is, what became of the last; and help can be called meanwhile."""
    a = at("1001")
    away = a.locator("#gone")
    expect(away).to_be_hidden()
    case.lose()
    expect(away).to_contain_text("老人线路已断", timeout=WITHIN_A_SECOND)
    expect(away).to_contain_text("即将第一次回拨")
    expect(a.locator("#heard")).to_have_text("老人线路已断")
    case.call_back().rings("elder")
    expect(away).to_contain_text("第 1 次回拨：0374-****041 振铃中。")
    look_at(a, "rescue-away")
    case.fails("elder", LegResult.NO_ANSWER)
    expect(away).to_contain_text("第 1 次回拨：无人接听。即将再次回拨。")
    a.keyboard.press("1")
    expect(a.locator("#in-side")).to_contain_text("120")
    case.call_back()
    case.back()
    expect(away).to_be_hidden()
    expect(a.locator("#timeline")).to_contain_text("老人已重新接通")


@pytest.mark.row("NRS-07")
def test_a_seat_says_that_no_help_is_needed_and_nobody_calls_back(at: Seats, case: Case) -> None:
    case.call("ambulance").comes("ambulance")
    a, b = at("1001"), at("1002")
    b.get_by_role("button", name="不需要帮助").click()
    expect(b.locator("#fault")).to_contain_text("再按一次")
    expect(a.locator("#safe")).to_be_hidden()
    b.get_by_role("button", name="不需要帮助").click()
    said = a.locator("#safe")
    expect(said).to_contain_text("老人表示不需要帮助。挂断后不再回拨。")
    said.get_by_role("button", name="收回").click()
    expect(b.locator("#safe")).to_be_hidden()
    case.lose()
    expect(a.locator("#gone")).to_be_visible()
    a.keyboard.press("f")
    expect(a.locator("#fault")).to_contain_text("再按一次")
    expect(b.locator("#gone")).to_be_visible()
    a.keyboard.press("f")
    expect(b.locator("#over")).to_be_visible()
    # Whoever was called is told so, too.
    expect(a.locator("#call-off")).to_contain_text("请告知已联系的人不用来了：120")
    b.get_by_role("button", name="已告知取消").click()
    expect(a.locator("#call-off")).to_be_hidden()
    expect(a.locator("#timeline")).to_contain_text("120：已告知不需要帮助")
    expect(b.locator("#timeline")).to_contain_text("老人表示不需要帮助")
    listed = a.context.new_page()
    listed.goto(f"/cases/{case.id}")
    expect(listed.locator("#called-back")).to_contain_text("老人表示不需要帮助")


@pytest.mark.row("NRS-06")
def test_a_supervisor_stops_calling_with_a_reason_and_no_seat_can(at: Seats, case: Case) -> None:
    a = at("1001")
    case.lose()
    a.get_by_label("为何不再回拨老人").fill("家属已在老人身边，电话停机")
    a.get_by_role("button", name="停止回拨").click()
    expect(a.locator("#over")).to_be_visible()
    expect(a.locator("#timeline")).to_contain_text("停止回拨老人：家属已在老人身边，电话停机")
    assert case.now.call_back.stopped_by == "admin"
    assert Right.STOP_CALLING in ROLES["supervisor"] - ROLES["seat"]


def test_when_the_elder_hangs_up_the_page_stays_and_calls_nobody(at: Seats, case: Case) -> None:
    case.call("ambulance").comes("ambulance")
    a = at("1001")
    case.end()
    expect(a.locator("#over")).to_contain_text("老人已挂断")
    expect(a.locator("#card")).to_contain_text("测试老人甲")
    a.keyboard.press("2")
    expect(a.locator("#fault")).to_contain_text("老人已挂断。请用坐席的话机拨打")
    assert all(leg.state is State.OVER for leg in case.now.legs)


def test_while_the_controller_is_away_a_press_says_to_use_the_telephone(
    at: Seats, case: Case, centre: Centre
) -> None:
    a = at("1001")
    centre.go_away()
    try:
        expect(a.locator("#away")).to_contain_text("控制程序离线")
        a.keyboard.press("1")
        expect(a.locator("#fault")).to_contain_text("没有叫到任何人。请用您的话机")
    finally:
        centre.come_back()
    expect(a.locator("#away")).to_be_hidden()
    a.keyboard.press("1")
    expect(a.locator("#fault")).to_be_hidden()
    until(case, lambda it: it.legs, a)


# ── without the database ─────────────────────────────────────────────────────────────────────────


@contextmanager
def nobody_looks_up_sign_ins(centre: Centre) -> Iterator[None]:
    """For the desk the database is away: it finds no table of sign-ins in it."""
    known, away = DeskSession.__tablename__, f"{DeskSession.__tablename__}_away"
    with closing(sqlite3.connect(centre.home.root / "careline.db", timeout=10)) as other:
        other.execute(f"ALTER TABLE {known} RENAME TO {away}")
        try:
            yield
        finally:
            other.execute(f"ALTER TABLE {away} RENAME TO {known}")


def test_a_rescue_goes_on_while_nobody_can_look_up_a_sign_in(
    at: Seats, case: Case, centre: Centre, browser: Browser, desk: Desk
) -> None:
    """Whoever was signed in goes on; whoever was never seen stays outside, as other pages do."""
    a = at("1001")
    with nobody_looks_up_sign_ins(centre):
        a.reload()
        expect(a.locator("#who")).to_have_text("测试老人甲")
        a.keyboard.press("1")
        until(case, lambda it: it.legs, a)
        expect(a.locator("#in-side")).to_contain_text("120")
        assert a.context.request.get("/elders").status == 503
        stranger = browser.new_context(base_url=desk.url)
        names = (one.get("name", "") for one in a.context.cookies())
        name = next(name for name in names if re.fullmatch(r"careline-\d+", name))
        stranger.add_cookies([{"name": name, "value": "guess", "url": desk.url}])
        assert stranger.request.get(f"/rescue/{case.id}").status == 503
        stranger.close()


# ── unheard by the elder, the card as a message, and the end ─────────────────────────────────────


@pytest.mark.row("EMG-09")
def test_while_both_seats_speak_unheard_both_pages_say_so(at: Seats, case: Case) -> None:
    a, b = at("1001"), at("1002")
    a.get_by_role("button", name="与 B 私语").click()
    for page in (a, b):
        expect(page.locator("#unheard")).to_be_visible(timeout=WITHIN_A_SECOND)
        expect(page.locator("#unheard")).to_contain_text("老人听不到你们")
    b.keyboard.press("p")
    for page in (a, b):
        expect(page.locator("#unheard")).to_be_hidden()


def test_the_card_goes_to_everybody_with_a_number_as_a_message(at: Seats, case: Case) -> None:
    a = at("1001")
    a.keyboard.press("s")
    until(case, lambda it: len(it.messages) == 4, a)
    expect(a.locator("#contacts li").first).to_contain_text("短信发送中")
    expect(a.locator("#send-card")).to_have_attribute("aria-disabled", "true")


def test_a_case_is_recorded_closed_and_asked_after_on_its_page(
    at: Seats, case: Case, centre: Centre
) -> None:
    a = at("1001")
    expect(a.locator("#ending")).to_be_hidden()
    case.end()
    ending = a.locator("#ending")
    ending.get_by_role("button", name="保存救援记录").click()
    expect(a.locator("#fault")).to_contain_text("必填")
    ending.get_by_label("救援记录").fill("09:20 120 到场，送市医院，女儿陪同")
    ending.get_by_label("移交给").fill("测试医院急诊科")
    ending.get_by_role("button", name="保存救援记录").click()
    expect(ending.get_by_role("button", name="结案")).to_be_visible()
    listed = a.context.new_page()
    listed.goto("/rescue")
    row = listed.locator("#unfinished li", has=listed.locator(f"a[href='/rescue/{case.id}']"))
    expect(row).to_contain_text("待结案")
    ending.get_by_label("老人档案的变更").fill("无变更")
    ending.get_by_text("已救援").click()
    ending.get_by_role("button", name="结案").click()
    expect(row).to_contain_text("待回访")
    ending.get_by_label("老人现在怎样？").fill("已出院，能下床")
    ending.get_by_role("button", name="保存").click()
    expect(row).to_have_count(0)
    expect(ending).to_contain_text("已出院，能下床")
    for said in ("写救援记录", "结案：无变更", "回访：已出院"):
        expect(a.locator("#timeline")).to_contain_text(said)
    a.locator("#over").get_by_role("link", name="案件档案").click()
    expect(a).to_have_url(re.compile(f"/cases/{re.escape(case.id)}$"))
    expect(a.locator("main")).to_contain_text("移交给 测试医院急诊科")


# ── the way there, the list and the wall ─────────────────────────────────────────────────────────


def test_a_seat_that_comes_to_an_elder_lands_on_the_page_and_alt_r_leads_back(
    centre: Centre, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto("/seat?seat=1002")
    call = centre.call("+863740000042", ago_s=5, callee="96000")
    case = Case(centre, id=call.id).open().known()
    page.wait_for_timeout(300)
    case.seat("1002")
    expect(page).to_have_url(re.compile(f"/rescue/{re.escape(case.id)}\\?seat=1002$"))
    expect(page.locator("#who")).to_have_text("测试老人甲")
    page.goto("/seat?seat=1002")
    expect(page.locator("#seat-state")).to_be_visible()
    page.keyboard.press("Alt+r")
    expect(page).to_have_url(re.compile(f"/rescue/{re.escape(case.id)}\\?seat=1002$"))
    case.end()
    call.end()


def test_the_list_and_the_wall_show_every_case_the_worst_first(page: Page, centre: Centre) -> None:
    page.goto("/rescue")
    expect(page.locator("#none")).to_be_visible()
    well = Case(centre, ago_s=90).open().known().seat("1001").seat("1002")
    bad = Case(centre, ago_s=20).open()
    rows = page.locator("#cases > li")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("老人身边没有坐席")
    expect(rows.first).to_contain_text("未知来电")
    expect(rows.last).to_contain_text("测试老人甲")
    expect(rows.last).to_contain_text("在老人身边：李敏 1001、周悦 1002")
    bad.seat("1001")
    expect(rows.first).to_contain_text("空缺")
    expect(rows.first).not_to_contain_text("老人身边没有坐席")
    page.goto("/rescue/wall")
    expect(page.locator(".case.wrong")).to_contain_text("B 坐席空缺")
    still = page.locator(".case:not(.wrong)")
    moving = "it => getComputedStyle(it).animationName"
    expect(still).to_contain_text("测试老人甲")
    assert still.evaluate(moving) == "none"
    assert (
        page.locator(".case.wrong").evaluate("it => getComputedStyle(it).animationName") != "none"
    )
    size = page.locator(".case .clock").first.evaluate(
        "it => parseFloat(getComputedStyle(it).fontSize)"
    )
    assert size >= 100, "readable across a room"
    bad.end()
    well.end()
    expect(page.locator("#none")).to_be_visible()


# ── who may, and what is sent ────────────────────────────────────────────────────────────────────


def test_a_press_of_nonsense_says_so_and_changes_nothing(at: Seats, case: Case) -> None:
    a = at("1001")
    token = a.locator("main").get_attribute("data-csrf") or ""
    before = case.now
    for wish, form, status in (
        ("call", {"party": "nobody"}, 404),
        ("call", {}, 422),
        ("drop", {"leg": "x" * 900}, 422),
        ("move", {"channel": "x", "room": "kitchen"}, 422),
        ("move", {"channel": "x", "room": "side"}, 404),
        ("mark", {"leg": "x", "mark": "eaten"}, 422),
        ("note", {"note_id": "a" * 32, "text": " \n"}, 422),
        ("note", {"note_id": "a" * 32, "text": "长" * 1001}, 422),
        ("plan", {"kind": "../x"}, 422),
        ("card", {"uid": "E99999999"}, 404),
        ("again", {}, 409),
    ):
        answer = a.context.request.post(f"/rescue/{case.id}/{wish}", form={"csrf": token, **form})
        assert answer.status == status, (wish, form, answer.text())
        assert re.search("[一-鿿]", answer.json()["error"]), answer.text()
    assert case.now == before
    gone = a.context.request.post("/rescue/nobody.1/tick", form={"csrf": token, "step": "x"})
    assert gone.status == 404
    assert "已结束" in gone.json()["error"]


def test_what_matters_needs_no_scrolling_on_a_small_screen(at: Seats, case: Case) -> None:
    case.call("ambulance", "contact/1", "contact/2", "responder/station")
    case.moved("1001", SIDE).comes("ambulance").rings("contact/1").comes("contact/2", ELDERS)
    case.fails("responder/station", LegResult.BUSY).mark("ambulance", Mark.ON_THE_WAY)
    case.plan("fall")
    for _ in range(12):
        case.note("右髋痛，不能站")
    for seat in ("1001", "1002"):
        page = at(seat)
        page.set_viewport_size({"width": 1366, "height": 768})
        assert page.evaluate("document.documentElement.scrollHeight") <= 768
        page.locator("#conditions button").first.evaluate("it => it.click()")
        expect(page.locator("#lines li")).not_to_have_count(0)
        page.screenshot(path=LOOKS / f"rescue-{seat}-1366.png")
        wanted = [
            "#case-clock", "#card [data-f=door]", "#card [data-f=route]",
            "#card [data-f=condition]", "#coming li", ".service", "#call-all", "#step",
            "#tick-next", "#note", "#in-elder li", "#in-side li", "#timeline li",
        ]  # fmt: skip
        # B sees what to say where A has the list of contacts.
        for what in (*wanted, "#contacts li" if seat == "1001" else "#lines li"):
            box = page.locator(what).first.bounding_box()
            assert box, what
            assert box["y"] >= 0, (seat, what, box)
            assert box["y"] + box["height"] <= 768, (seat, what, box)


def test_a_role_without_the_right_sees_no_case(
    browser: Browser, desk: Desk, centre: Centre, case: Case
) -> None:
    centre.add_user("谁也不是", "nobody")
    context = browser.new_context(locale="zh-CN", base_url=desk.url)
    page = context.new_page()
    sign_in(page, name="谁也不是")
    page.wait_for_url("**/")
    for address in (f"/rescue/{case.id}", f"/rescue/{case.id}/feed", "/rescue", "/rescue/wall"):
        assert context.request.get(address).status == 403
    context.close()
