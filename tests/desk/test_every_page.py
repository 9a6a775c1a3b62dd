"""Every page in every state, wide and narrow, light and dark: whole, legible and photographed.

The states stand in a table, in the order in which a centre meets them: the empty lists come first.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy import text

from agent_desk.routes import CALL, CASE, CASE_FILE, ELDER, ORDER, PLAN, ROUTES, USER
from home import Home
from settings import Settings
from tests.desk.centre import ADDRESS, Call, Centre
from tests.desk.conftest import Desk, new_home, open_centre, sign_in, signed_in, started_desk
from tests.desk.looks import look_at
from tests.desk.rescue_case import CARD, PEOPLE, Case
from tests.desk.rescued import Rescue
from tests.desk.test_calls import fresh_number
from workflows.card import RESCUE, Card
from workflows.commands import Mark
from workflows.events import Entry, LegResult
from workflows.leg import ELDERS, SIDE

LONG: Final = "<script>alert(1)</script>" + "长" * 39
NO_ADDRESS: Final = dict.fromkeys(ADDRESS, "")
LONG_CARD: Final = replace(
    CARD, name=LONG, compound="长" * 40, landmark="长" * 200, entry_route="长" * 200,
    diseases="长" * 200, risk_plan="长" * 200,
    parties=(*RESCUE, *(replace(one, name=f"{one.name}{LONG}") for one in PEOPLE)),
)  # fmt: skip
NEVER: Final = "13099999999"
# These are no pages; the practice town is looked at where it plays (test_practice.py).
NO_PAGE: Final = frozenset(
    {
        "/healthz", "/feed", f"{CASE}/feed", "/rescue/mine", "/phone/sip", "/practice",
        "/practice/now", f"{PLAN}.json",
        f"{CASE_FILE}.json", f"{CASE_FILE}/print",
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def fresh_home() -> Iterator[tuple[Home, Path, Settings]]:
    with new_home() as made:
        yield made


@pytest.fixture(scope="module")
def centre(fresh_home: tuple[Home, Path, Settings]) -> Iterator[Centre]:
    """A centre of its own, in which nothing has happened yet."""
    home, _, settings = fresh_home
    with open_centre(home, settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def desk(fresh_home: tuple[Home, Path, Settings], centre: Centre) -> Iterator[Desk]:
    with started_desk(*fresh_home) as started:
        yield started


@pytest.fixture(scope="module")
def session_cookies(browser: Browser, desk: Desk) -> list[dict[str, object]]:
    return signed_in(browser, desk)


@dataclass
class Stage:
    """What leads to a state: the page, the centre behind it, and calls to end afterwards."""

    page: Page
    centre: Centre
    desk: Desk
    live: list[Call] = field(default_factory=list)
    after: list[Callable[[], object]] = field(default_factory=list)

    def go(self, path: str, says: str = "", status: int = 200) -> None:
        answer = self.page.goto(path)
        assert answer
        assert answer.status == status
        if says:
            expect(self.page.get_by_text(says).first).to_be_visible()

    def post(self, button: str, status: int) -> None:
        """Press a button whose form is refused, whatever the browser itself would say first."""
        self.page.evaluate("document.querySelectorAll('form').forEach(f => f.noValidate = true)")
        with self.page.expect_response(lambda it: it.request.method == "POST") as answer:
            self.page.get_by_role("button", name=button).first.click()
        assert answer.value.status == status
        self.page.wait_for_load_state()

    def call(
        self, number: str = "", *, to: str = "waiting", seat: str = "1002", **more: object
    ) -> Call:
        """A call that has come as far as `to`; it ends when the state has been looked at."""
        call = self.centre.call(number or fresh_number(), **{"ago_s": 42, **more})  # type: ignore[arg-type]
        self.live.append(call)
        call.queue("emergency" if more.get("entry") is Entry.EMERGENCY else "hotline", after=4)
        if to in ("ringing", "talking"):
            call.ring(seat)
        if to == "talking":
            call.answer(seat, after=9)
        return call

    def seat_state(self, says: str) -> None:
        """Open the seat's page once the feed says so."""
        self.page.goto("/seat?seat=1002")
        expect(self.page.locator("#seat-state")).to_contain_text(says)


def order_path(stage: Stage, call: Call) -> str:
    stage.go(f"/calls/{call.id}")
    number = stage.page.locator("#linked-orders a").first.inner_text()
    return f"/orders/{number}"


# ── the door and empty lists ─────────────────────────────────────────────────────────────────────


def door(stage: Stage) -> None:
    stage.page.context.clear_cookies()
    stage.go("/sign-in")


def door_empty(stage: Stage) -> None:
    door(stage)
    stage.post("登录", 422)


def door_wrong(stage: Stage) -> None:
    stage.page.context.clear_cookies()
    stage.go("/sign-in")
    stage.page.get_by_label("用户名").fill("admin")
    stage.page.get_by_label("密码").fill("wrong")
    stage.post("登录", 401)


def board(stage: Stage) -> None:
    stage.go("/")
    expect(stage.page.locator("#link")).to_have_text("实时")


def board_loading(stage: Stage) -> None:
    stage.page.route_web_socket("**/feed", lambda socket: None)
    stage.go("/")
    expect(stage.page.locator("#link")).to_have_text("连接中")


def to(path: str, says: str = "", status: int = 200) -> Callable[[Stage], None]:
    return lambda stage: stage.go(path, says, status)


# ── the board ────────────────────────────────────────────────────────────────────────────────────


def board_busy(stage: Stage) -> None:
    stage.centre.enter_whole_elder("赵玉梅", first := fresh_number())
    stage.call(first, to="talking", seat="1001", ago_s=204)
    stage.call(to="ringing", ago_s=31)
    stage.call(caller_name=LONG * 2)
    stage.call(ago_s=9)
    stage.centre.call(fresh_number(), ago_s=900).whole().record()
    missed = stage.centre.call(fresh_number(), ago_s=300)
    missed.queue()
    missed.end()
    stage.centre.seat("1001", "talking")
    stage.centre.seat("1002", "paused", "用餐")
    stage.centre.trunk("carrier", "refused")
    board(stage)
    expect(stage.page.locator("#alarms li")).not_to_have_count(0)
    stage.after += [lambda: stage.centre.trunk("carrier", "up")]


def board_emergency(stage: Stage) -> None:
    stage.centre.enter_whole_elder("孙桂芳", number := fresh_number())
    stage.call(to="talking", seat="1001")
    stage.call(number, entry=Entry.EMERGENCY, callee="96000", ago_s=17)
    board(stage)
    expect(stage.page.locator("#emergencies")).to_have_class(re.compile("sos"))


def board_away(stage: Stage) -> None:
    stage.call()
    board(stage)
    stage.centre.go_away()
    stage.after.append(stage.centre.come_back)
    expect(stage.page.locator("#away")).to_contain_text("控制程序离线")


def offline(path: str) -> Callable[[Stage], None]:
    """The page while the feed is cut."""

    def cut(stage: Stage) -> None:
        sockets = []
        stage.page.route_web_socket(
            "**/feed", lambda socket: sockets.append((socket, socket.connect_to_server()))
        )
        stage.call(to="ringing")
        stage.go(path)
        expect(stage.page.locator("main")).to_contain_text("振铃")
        stage.page.context.set_offline(True)
        stage.after.append(lambda: stage.page.context.set_offline(False))
        stage.page.unroute_all()
        sockets[0][0].close(code=4000)
        expect(stage.page.get_by_text("与工作台的连接中断").first).to_be_visible()

    return cut


# ── my seat ──────────────────────────────────────────────────────────────────────────────────────


def ringing(stage: Stage) -> None:
    stage.centre.enter_whole_elder("王秀兰", number := fresh_number())
    for ago in (90_000, 40_000, 7_000):
        stage.centre.call(number, ago_s=ago).whole("1001")
    stage.call(number, to="ringing")
    stage.seat_state("振铃")


def talking(stage: Stage) -> None:
    stage.centre.enter_whole_elder("李淑英", number := fresh_number())
    stage.call(number, to="talking")
    stage.seat_state("通话中")


def wrapping_up(stage: Stage) -> None:
    stage.centre.enter_whole_elder("周桂兰", number := fresh_number())
    stage.call(number, to="talking").end("1002")
    stage.live.clear()
    stage.seat_state("话后整理")
    stage.page.get_by_role("radio", name="生活服务").check()
    stage.page.get_by_label("备注").fill("水龙头漏水，已关总阀。")
    expect(stage.page.locator("[data-f=draft]")).to_contain_text("草稿已保存")


def emergency_rings(stage: Stage) -> None:
    stage.centre.enter_whole_elder("何玉珍", number := fresh_number())
    stage.call(number, to="ringing", entry=Entry.EMERGENCY, callee="96000")
    stage.seat_state("振铃")


def two_elders(stage: Stage) -> None:
    number = fresh_number()
    stage.centre.enter_whole_elder("陈国富", number, sex="male")
    stage.centre.enter_whole_elder("欧阳" + "若兰" * 9, number, **NO_ADDRESS, remark="")
    stage.call(number, to="ringing")
    stage.seat_state("振铃")
    expect(stage.page.get_by_text("这几位老人共用一个号码").first).to_be_visible()


def unknown(stage: Stage) -> None:
    stage.call(to="ringing")
    stage.seat_state("振铃")
    expect(stage.page.get_by_text("这个号码没有对应的老人。")).to_be_visible()


def unknown_found(stage: Stage) -> None:
    stage.centre.enter_whole_elder("欧阳兰", fresh_number())
    stage.call(to="ringing")
    stage.go("/seat?seat=1002&find=欧", "是这位来电")


def unknown_not_found(stage: Stage) -> None:
    stage.call(to="ringing")
    stage.go("/seat?seat=1002&find=查无此人", "没有找到")


def named(stage: Stage) -> None:
    """Somebody else than the number says, with an order that is still the former one's."""
    stage.centre.enter_whole_elder("邓秀兰", number := fresh_number())
    for name in ("夏侯芳", "夏侯" + "若兰" * 9):
        stage.centre.enter_whole_elder(name, fresh_number())
    stage.centre.call(number, ago_s=7_000).whole("1001")
    stage.call(number, to="talking")
    stage.seat_state("通话中")
    stage.page.locator("#open-orders").get_by_role("button").click()
    stage.go("/seat?seat=1002&find=夏侯", "是这位来电")
    stage.page.locator("#who-else li").first.get_by_role("button").click()
    expect(stage.page.locator("#linked-orders")).to_contain_text("属于邓秀兰")
    stage.go("/seat?seat=1002&find=夏侯", "见上方")


def named_call(stage: Stage) -> None:
    named(stage)
    stage.go(f"/calls/{stage.live[-1].id}?find=夏侯", "见上方")


# ── a rescue ─────────────────────────────────────────────────────────────────────────────────────


def rescue(seat: str, whose: Card = CARD) -> Callable[[Stage], None]:
    """The third minute: 120 is aside with A, the daughter with the elder, others ring or failed."""

    def show(stage: Stage) -> None:
        case = Case(stage.centre, ago_s=167).open()
        stage.after.append(case.end)
        case.known(whose).seat("1001").seat("1002").plan("fall").tick("identity", "call-120")
        case.note("浴室跌倒，清醒，能说话", "周悦").call("ambulance").moved("1001", SIDE)
        case.comes("ambulance").mark("ambulance", Mark.TOLD)
        case.call("contact/1", "contact/2", "responder/station", "responder/committee")
        case.comes("contact/1", ELDERS).rings("responder/station").rings("responder/committee")
        case.fails("contact/2", LegResult.NO_ANSWER)
        case.note("右髋痛，不能站，没有出血", "周悦").mark("ambulance", Mark.ON_THE_WAY)
        stage.page.set_viewport_size({"width": 1366, "height": 768})
        open_case(stage, case, seat)
        expect(stage.page.locator("#in-side li")).to_have_count(5)

    return show


def open_case(stage: Stage, case: Case, seat: str) -> None:
    stage.go(f"/rescue/{case.id}?seat={seat}")
    expect(stage.page.locator("main.ready")).to_be_attached()


def rescue_b(stage: Stage) -> None:
    rescue("1002")(stage)
    stage.page.locator("#conditions").get_by_role("button").first.click()
    expect(stage.page.locator("#lines li")).not_to_have_count(0)


def rescue_begins(stage: Stage) -> None:
    """The first second: a number that nobody knows, and nobody is there yet."""
    case = Case(stage.centre, caller="+8613077777777").open()
    stage.after.append(case.end)
    open_case(stage, case, "1001")
    expect(stage.page.locator("#troubles")).to_contain_text("没有坐席")


def rescue_refused(stage: Stage) -> None:
    """Two elders to choose from, no agreement, a seat alone, and a press that is impossible."""
    case = Case(stage.centre, ago_s=40).open()
    stage.after.append(case.end)
    other = replace(CARD, uid="E00000007", name="欧阳" + "若兰" * 9, sex="male", age=None)
    case.known(replace(CARD, has_agreement=False, entry_route="", unit=""), other).seat("1001")
    open_case(stage, case, "1001")
    stage.page.keyboard.press("k")
    expect(stage.page.locator("#fault")).to_be_visible()


def rescue_over(stage: Stage) -> None:
    case = Case(stage.centre, ago_s=300).open().known().seat("1001").seat("1002")
    case.call("ambulance").comes("ambulance").mark("ambulance", Mark.ARRIVED)
    open_case(stage, case, "1001")
    case.end()
    expect(stage.page.locator("#over")).to_be_visible()


def rescue_opening(stage: Stage) -> None:
    call = stage.call(to="talking", seat="1001")
    stage.go(f"/rescue/{call.id}?seat=1001", "正在打开老人的房间")


def rescue_list(path: str) -> Callable[[Stage], None]:
    def show(stage: Stage) -> None:
        well = Case(stage.centre, ago_s=185).open().known().seat("1001").seat("1002").plan("fall")
        well.call("ambulance").comes("ambulance").mark("ambulance", Mark.ON_THE_WAY)
        bad = Case(stage.centre, ago_s=21, caller="+8613077777777").open()
        stage.after += [well.end, bad.end]
        stage.go(path)
        expect(stage.page.locator("#cases > li")).to_have_count(2)

    return show


# ── calls and orders ─────────────────────────────────────────────────────────────────────────────


def call_whole(stage: Stage) -> None:
    stage.centre.enter_whole_elder("刘凤英", number := fresh_number())
    call = stage.centre.call(number, ago_s=600).whole()
    call.record()
    stage.go(f"/calls/{call.id}")


def call_unknown(stage: Stage) -> None:
    call = stage.centre.call(fresh_number(), ago_s=600, caller_name=LONG * 2).whole()
    call.record_fails("no sound was written")
    stage.go(f"/calls/{call.id}", "缺失")


def call_live(stage: Stage) -> None:
    stage.centre.enter_whole_elder("高秀芝", number := fresh_number())
    stage.go(f"/calls/{stage.call(number, to='ringing').id}")


def call_away(stage: Stage) -> None:
    """503: nothing was saved, and what was typed is there."""
    call = stage.centre.call(fresh_number(), ago_s=600).whole()
    stage.go(f"/calls/{call.id}")
    stage.page.get_by_label("服务内容").fill("修水管")
    stage.centre.go_away()
    stage.after.append(stage.centre.come_back)
    stage.post("建立工单", 503)


def wrap_up_refused(stage: Stage) -> None:
    call = stage.centre.call(fresh_number(), ago_s=600).whole()
    stage.go(f"/calls/{call.id}")
    stage.post("保存小结", 422)


def wrapped_up(stage: Stage) -> None:
    call = stage.centre.call(fresh_number(), ago_s=600).whole()
    stage.go(f"/calls/{call.id}")
    stage.page.get_by_role("radio", name="咨询服务").check()
    stage.page.get_by_label("备注").fill("问高龄补贴怎样申请。")
    stage.page.get_by_role("button", name="保存小结").click()
    expect(stage.page.locator("#wrapped-up")).to_contain_text("高龄补贴")


def order_new(stage: Stage) -> None:
    stage.centre.enter_whole_elder("吴秀珍", number := fresh_number())
    stage.go(order_path(stage, stage.centre.call(number, ago_s=600).whole()), "待判断")


def order_refused(stage: Stage) -> None:
    stage.go(order_path(stage, stage.centre.call(fresh_number(), ago_s=600).whole()))
    stage.post("生成工单", 422)


def order_generated(stage: Stage) -> None:
    order_new(stage)
    stage.page.get_by_label("服务内容").fill("理发")
    stage.page.get_by_label("具体要求").fill("上门，周五上午")
    stage.page.get_by_role("button", name="生成工单").click()
    expect(stage.page.locator("#order-state")).to_have_text("已生成")


def order_closed(stage: Stage) -> None:
    order_new(stage)
    stage.page.locator("summary", has_text="直接答复并办结").click()
    stage.page.get_by_label("答复内容").fill("老年卡在街道办理。")
    stage.page.get_by_role("button", name="直接答复并办结").click()
    expect(stage.page.locator("#order-state")).to_have_text("已办结")


def order_outdated(stage: Stage) -> None:
    """409: somebody else was faster."""
    order_new(stage)
    stage.page.get_by_label("服务内容").fill("理发")
    colleague = stage.page.context.new_page()
    colleague.goto(stage.page.url)
    colleague.locator("summary", has_text="撤销工单").click()
    colleague.get_by_label("撤销原因").fill("重复")
    colleague.get_by_role("button", name="撤销工单").click()
    expect(colleague.locator("#order-state")).to_have_text("已撤销")
    colleague.close()
    stage.post("生成工单", 409)


def order_call_back(stage: Stage) -> None:
    missed = stage.centre.call(fresh_number(), ago_s=300)
    missed.queue()
    missed.end()
    stage.go(order_path(stage, missed), "回拨")


# ── emergencies ──────────────────────────────────────────────────────────────────────────────────


def case_running(stage: Stage) -> None:
    """The elder is on the line, and a daughter's telephone rings."""
    rescue = Rescue(stage.centre, "彭秀珍", ago_s=95)
    rescue.ring(rescue.contact(), "ambulance", after=20)
    rescue.pick_up("ambulance", 31)
    stage.after.append(lambda: rescue.end(100))
    stage.go(f"/cases/{rescue.id}", "进行中")


def case_to_record(stage: Stage) -> None:
    stage.go(f"/cases/{Rescue(stage.centre, '蒋兰英').whole().id}", "待写记录")


def case_to_close(stage: Stage) -> None:
    rescue = Rescue(stage.centre, "董淑珍").whole().recorded()
    rescue.call.record()
    stage.go(f"/cases/{rescue.id}", "待结案")


def case_not_yet(stage: Stage) -> None:
    """409: the elder is on the line still."""
    rescue = Rescue(stage.centre, "程桂英").recorded()
    stage.after.append(lambda: rescue.end(3600))
    stage.go(f"/cases/{rescue.id}", "暂时不能结案")
    stage.page.get_by_role("radio", name="已救援").check()
    stage.page.get_by_label("老人档案的变更").fill("无变更")
    stage.post("结案", 409)


def case_refused(stage: Stage) -> None:
    case_to_close(stage)
    stage.post("结案", 422)


def case_to_follow_up(stage: Stage) -> None:
    rescue = Rescue(stage.centre, "余凤兰", ago_s=3 * 86400).whole().recorded().closed()
    stage.go(f"/cases/{rescue.id}", "逾期")


def case_done(stage: Stage) -> None:
    rescue = Rescue(stage.centre, LONG).whole().recorded().closed().followed_up()
    stage.go(f"/cases/{rescue.id}", "完成")


def case_unknown(stage: Stage) -> None:
    rescue = Rescue(stage.centre, "")
    rescue.end(60)
    stage.go(f"/cases/{rescue.id}", "还不知道是谁呼叫")


def elder_with_cases(stage: Stage) -> None:
    rescue = Rescue(stage.centre, "潘玉珍").whole().recorded().closed()
    stage.go(f"/elders/{rescue.uid}", "救援案件")


# ── elders, the menu, the rest ───────────────────────────────────────────────────────────────────


def elder_refused(stage: Stage) -> None:
    stage.go("/elders/new")
    stage.page.get_by_label("号码 1").fill("不知道")
    stage.post("保存", 422)


def elder_not_saved(stage: Stage) -> None:
    """503: the database takes nothing, and what was typed is there."""
    stage.go("/elders/new")
    stage.page.get_by_label("姓名").fill("马淑芬")
    stage.page.get_by_label("号码 1").fill("13877770001")
    other = sqlite3.connect(stage.centre.home.root / "careline.db", isolation_level=None)
    with closing(other):
        other.execute("BEGIN IMMEDIATE")
        stage.post("保存", 503)


def elder(path: str) -> Callable[[Stage], None]:
    def show(stage: Stage) -> None:
        uid = stage.centre.enter_whole_elder("马淑芬", number := fresh_number())
        stage.centre.call(number, ago_s=600).whole()
        stage.go(path.format(uid=uid), "马淑芬" if "edit" not in path else "")

    return show


def elder_long(stage: Stage) -> None:
    more = dict.fromkeys(("landmark", "entry_route"), "长" * 200)
    uid = stage.centre.enter_whole_elder(LONG, fresh_number(), remark="长" * 400, **more)
    stage.go(f"/elders/{uid}")


def elder_bare(stage: Stage) -> None:
    uid = stage.centre.enter_elder("无名氏", fresh_number(), addr_district="魏都区")
    stage.go(f"/elders/{uid}", "缺")


def menu_trial(stage: Stage) -> None:
    stage.go("/menu")
    stage.page.locator("#key-2").select_option("3")
    stage.page.locator("#service-2").select_option(label="设备报修")
    stage.page.get_by_role("button", name="先试一遍").click()
    expect(stage.page.locator("#trial")).to_be_visible()
    stage.page.locator("#trial").get_by_role("button", name="2", exact=True).click()
    expect(stage.page.locator("#trial tr[aria-current]")).to_have_count(1)


def menu_refused(stage: Stage) -> None:
    stage.go("/menu")
    stage.page.locator("#key-3").select_option("1")
    stage.page.locator("#service-3").select_option(label="政策信息")
    stage.post("启用", 422)


def plan_refused(stage: Stage) -> None:
    stage.go("/plans/fire?change=1")
    stage.page.locator("#first-1").select_option("fire")
    stage.page.get_by_label("步骤").fill("A! 叫 119\n请老人离开")
    stage.page.locator("#guidance").fill("着火了\n\n弯着腰走")
    stage.post("保存为", 422)


def plan_outdated(stage: Stage) -> None:
    """409: somebody else has saved the plan meanwhile."""
    stage.go("/plans/gas?change=1")
    colleague = stage.page.context.new_page()
    colleague.goto("/plans/gas?change=1")
    colleague.get_by_label("步骤").fill("A! 立即叫 119\nB! 别碰开关，马上到屋外")
    colleague.get_by_role("button", name="保存为").click()
    expect(colleague.get_by_text("第 2 版").first).to_be_visible()
    colleague.close()
    stage.post("保存为", 409)


def plan_earlier(stage: Stage) -> None:
    stage.go("/plans/other?change=1")
    stage.page.get_by_label("步骤").fill("A! 叫 120\nB! 陪着老人")
    stage.page.get_by_role("button", name="保存为").click()
    expect(stage.page.get_by_text("第 2 版").first).to_be_visible()
    stage.go("/plans/other?version=1", "这是以前的版本")


def take_seat(stage: Stage) -> None:
    """The telephone's window; this browser has no microphone."""
    stage.go("/phone")
    stage.page.get_by_role("button", name="周悦 1002").click()
    expect(stage.page.locator("#phone [data-f=state]")).to_have_text("没有麦克风")
    stage.after.append(lambda: leave_seat(stage.page))


def leave_seat(page: Page) -> None:
    page.goto("/phone")
    page.get_by_role("button", name="离开坐席").click()


def seat_taken(stage: Stage) -> None:
    take_seat(stage)
    first = stage.page
    context = first.context.browser.new_context(locale="zh-CN", base_url=stage.desk.url)  # type: ignore[union-attr]
    stage.page = context.new_page()
    sign_in(stage.page)
    stage.page.wait_for_url("**/")
    stage.go("/phone")
    stage.page.get_by_role("button", name="周悦 1002").click()
    expect(stage.page.get_by_role("alert")).to_contain_text("admin")
    stage.after[:] = [context.close, lambda: leave_seat(first)]


def forbidden(stage: Stage) -> None:
    """403 for a role, who may not see the settings."""

    stage.centre.add_user("坐席小周", "seat")
    stage.page.context.clear_cookies()
    sign_in(stage.page, name="坐席小周")
    stage.page.wait_for_url("**/")
    stage.go("/settings", status=403)


def expired_form(stage: Stage) -> None:
    """403 for a form whose token is not ours."""
    stage.go("/elders/new")
    stage.page.get_by_label("姓名").fill("马淑芬")
    stage.page.evaluate("document.querySelector('form.form [name=csrf]').value = 'old'")
    stage.post("保存", 403)


def user_refused(stage: Stage) -> None:
    stage.go("/users")
    stage.post("添加用户", 422)


STATES: Final[dict[str, Callable[[Stage], None]]] = {
    "board": board,
    "calls-empty": to("/calls", "还没有"),
    "orders-empty": to("/orders", "还没有"),
    "elders-empty": to("/elders", "还没有"),
    "cases-empty": to("/cases", "还没有"),
    "seat-choose": to("/seat"),
    "seat-no-call": to("/seat?seat=1002", "没有来电"),
    "sign-in": door,
    "sign-in-empty": door_empty,
    "sign-in-wrong": door_wrong,
    "board-loading": board_loading,
    "board-busy": board_busy,
    "board-emergency": board_emergency,
    "board-away": board_away,
    "board-offline": offline("/"),
    "seat-offline": offline("/seat?seat=1002"),
    "seat-ringing": ringing,
    "seat-talking": talking,
    "seat-wrapping-up": wrapping_up,
    "seat-emergency": emergency_rings,
    "seat-two-elders": two_elders,
    "seat-unknown": unknown,
    "seat-unknown-found": unknown_found,
    "seat-unknown-not-found": unknown_not_found,
    "seat-named": named,
    "rescue-list-empty": to("/rescue", "没有紧急呼叫"),
    "rescue-wall-empty": to("/rescue/wall", "没有紧急呼叫"),
    "rescue-a": rescue("1001"),
    "rescue-b": rescue_b,
    "rescue-begins": rescue_begins,
    "rescue-refused": rescue_refused,
    "rescue-over": rescue_over,
    "rescue-opening": rescue_opening,
    "rescue-long": rescue("", LONG_CARD),
    "rescue-list": rescue_list("/rescue"),
    "rescue-wall": rescue_list("/rescue/wall"),
    "calls": to("/calls"),
    "calls-not-found": to(f"/calls?text={NEVER}", "没有符合条件的通话"),
    "calls-wrong-date": to("/calls?from=2099-13-01&to=x", status=422),
    "call": call_whole,
    "call-unknown": call_unknown,
    "call-live": call_live,
    "call-named": named_call,
    "call-503": call_away,
    "call-wrap-up-422": wrap_up_refused,
    "call-wrapped-up": wrapped_up,
    "call-404": to("/calls/no-such-call", "没有通话 no-such-call。", 404),
    "orders": to("/orders"),
    "orders-not-found": to(f"/orders?text={NEVER}", "没有"),
    "order-new": order_new,
    "order-422": order_refused,
    "order-generated": order_generated,
    "order-closed": order_closed,
    "order-409": order_outdated,
    "order-call-back": order_call_back,
    "case-running": case_running,
    "case-to-record": case_to_record,
    "case-to-close": case_to_close,
    "case-409": case_not_yet,
    "case-422": case_refused,
    "case-to-follow-up": case_to_follow_up,
    "case-done": case_done,
    "case-unknown": case_unknown,
    "case-404": to("/cases/no-such-case", "没有救援案件 no-such-case。", 404),
    "cases": to("/cases", "救援案件"),
    "cases-not-found": to(f"/cases?text={NEVER}", "没有符合条件的案件"),
    "elder-cases": elder_with_cases,
    "elders": to("/elders"),
    "elders-not-found": to(f"/elders?text={NEVER}", "没有"),
    "elder": elder("/elders/{uid}"),
    "elder-long": elder_long,
    "elder-bare": elder_bare,
    "elder-edit": elder("/elders/{uid}/edit"),
    "elder-new": to("/elders/new"),
    "elder-422": elder_refused,
    "elder-503": elder_not_saved,
    "plans": to("/plans"),
    "plan": to("/plans/fall"),
    "plan-change": to("/plans/illness?change=1"),
    "plan-422": plan_refused,
    "plan-409": plan_outdated,
    "plan-earlier": plan_earlier,
    "plan-404": to("/plans/fall?version=77", "没有这个版本", 404),
    "menu": to("/menu"),
    "menu-trial": menu_trial,
    "menu-422": menu_refused,
    "phone-seats": to("/phone"),
    "phone-window": take_seat,
    "phone-taken": seat_taken,
    "seats": to("/seats"),
    "users": to("/users"),
    "users-422": user_refused,
    "user": to("/users/1"),
    "record": to("/record?text=admin"),
    "record-empty": to(f"/record?text={NEVER}"),
    "settings": to("/settings"),
    "help": to("/help"),
    "help-page": to("/help/board"),
    "403": forbidden,
    "403-form": expired_form,
    "404": to("/nothing", status=404),
    "practice-404": to("/practice", status=404),
}
IN_ENGLISH: Final = (
    "rescue-a", "rescue-list", "rescue-wall",
    "board", "seat-two-elders", "seat-named", "calls", "call", "orders", "order-new", "cases",
    "case-to-close", "elder-bare",
    "elder-new", "plans", "plan", "plan-change", "menu", "phone-seats", "seats", "users", "record",
    "settings", "404",
)  # fmt: skip
LOOKED_AT: Final = {
    "/sign-in": "sign-in", "/": "board-busy", "/seat": "seat-ringing",
    "/rescue": "rescue-list", "/rescue/wall": "rescue-wall", CASE: "rescue-a", "/calls": "calls",
    CALL: "call", "/orders": "orders", ORDER: "order-new", "/elders": "elders",
    "/elders/new": "elder-new", ELDER: "elder", f"{ELDER}/edit": "elder-edit", "/menu": "menu",
    "/plans": "plans", PLAN: "plan", "/cases": "cases", CASE_FILE: "case-to-record",
    "/phone": "phone-window", "/seats": "seats", "/users": "users", USER: "user",
    "/record": "record", "/settings": "settings", "/help": "help",
    r"/help/{page:[a-z\-]{1,20}}": "help-page",
}  # fmt: skip
"""A state of each page, by its address in the route table."""


@pytest.fixture
def stage(context: BrowserContext, centre: Centre, desk: Desk) -> Iterator[Stage]:
    opened = Stage(context.new_page(), centre, desk)
    yield opened
    for step in opened.after:
        step()
    for call in opened.live:
        call.end()
    _nothing_to_wrap_up(centre)


def _nothing_to_wrap_up(centre: Centre) -> None:
    async def forget() -> None:
        async with centre.database.writing() as session:
            await session.execute(text("UPDATE call_record SET wrapped_up_at = ended_at"))

    centre.run(forget())


@pytest.mark.row("UI-06")
@pytest.mark.row("UI-07")
@pytest.mark.parametrize("state", STATES)
def test_a_page_is_whole_in_each_state(stage: Stage, desk: Desk, state: str) -> None:
    faults: list[str] = []
    asked: list[str] = []
    stage.page.on("pageerror", lambda error: faults.append(str(error)))
    stage.page.on(
        "console",
        lambda said: faults.append(said.text) if "Content Security" in said.text else None,
    )
    stage.page.on("request", lambda request: asked.append(request.url))
    STATES[state](stage)
    look_at(stage.page, state)
    assert [url for url in asked if not url.startswith((desk.url, "data:", "blob:"))] == []
    assert faults == []


@pytest.mark.parametrize("state", IN_ENGLISH)
def test_a_page_in_english_has_room_for_the_longer_words(stage: Stage, state: str) -> None:
    STATES[state](stage)
    address = stage.page.url
    stage.page.goto(f"{address}{'&' if '?' in address else '?'}lang=en")
    if state == "board":
        expect(stage.page.locator("#link")).to_have_text("Live")
    look_at(stage.page, f"{state}-en", "en")


def test_the_table_leads_to_every_page() -> None:
    """A page that is added later is looked at too, or named among those that are none."""
    pages = {path for method, path, *_ in ROUTES if method == "GET"} - NO_PAGE
    assert {page for page in pages if not page.endswith("/recording")} == set(LOOKED_AT)
    assert set(LOOKED_AT.values()) <= set(STATES)
