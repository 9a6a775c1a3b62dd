"""The live board: what happens is seen while it happens, without touching the page."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from playwright.sync_api import BrowserContext, Locator, Page, WebSocket, WebSocketRoute, expect

from sql.queries import calls
from tests.desk.centre import Centre
from tests.desk.conftest import Desk
from tests.desk.phone.place import Link
from tests.desk.test_calls import fresh_number, until
from workflows.events import ElderGone, Entry, RoomOpened

QUIET_S = 12
"""How long a board believes that a silent connection lives (feed.js)."""


def row_of(page: Page, call_id: str, body: str = "calls") -> Locator:
    return page.locator(f"#{body} tr", has=page.locator(f"a[href='/calls/{call_id}']"))


def opened(page: Page) -> Page:
    """The board, connected, with a mark that a reload would wipe away."""
    page.goto("/")
    expect(page.locator("#link")).to_have_text("实时")
    page.evaluate("window.untouched = true")
    return page


def test_a_call_is_seen_from_the_first_ring_to_its_end(page: Page, centre: Centre) -> None:
    centre.enter_elder("赵玉梅", "+8613511110001")
    opened(page)
    call = centre.call("+8613511110001", ago_s=12)
    row = row_of(page, call.id)
    expect(row.locator("[data-f=state]")).to_have_text("语音菜单")
    expect(row.locator("[data-f=who]")).to_have_text("赵玉梅")
    expect(row.locator("[data-f=number]")).to_have_text("135****0001")
    call.press("1", after=5)
    call.queue(after=7)
    expect(row.locator("[data-f=state]")).to_have_text(re.compile(r"等待第 \d 位"))
    first = row.locator("[data-f=long]").inner_text()
    expect(row.locator("[data-f=long]")).not_to_have_text(first)
    call.ring("1002")
    expect(row.locator("[data-f=state]")).to_have_text(re.compile("振铃"))
    expect(row.locator("[data-f=seats]")).to_have_text("周悦 1002")
    call.answer("1002")
    expect(row.locator("[data-f=state]")).to_have_text("通话中")
    expect(row.locator("[data-f=long]")).to_have_text(re.compile(r"^0:0\d$"))
    call.end("1002")
    expect(row).to_have_count(0)
    over = row_of(page, call.id, "ended")
    expect(over.locator("[data-f=state]")).to_have_text("已接听")
    assert page.evaluate("window.untouched") is True


def test_the_queue_moves_up(page: Page, centre: Centre) -> None:
    waiting = page.locator("[data-queue=hotline] [data-f=waiting]")
    opened(page)
    expect(waiting).to_have_text("0")
    calls = [centre.call(f"+86135222200{n:02}", ago_s=20 - n) for n in range(3)]
    for n, call in enumerate(calls):
        call.queue(position=n + 1, after=2)
    for place, call in enumerate(calls, start=1):
        expect(row_of(page, call.id).locator("[data-f=state]")).to_have_text(f"等待第 {place} 位")
    expect(waiting).to_have_text("3")
    expect(page.locator("[data-queue=hotline] [data-f=longest]")).to_have_text(
        re.compile(r"0:[12]")
    )
    calls[0].ring()
    calls[0].answer()
    expect(row_of(page, calls[1].id).locator("[data-f=state]")).to_have_text("等待第 1 位")
    expect(row_of(page, calls[2].id).locator("[data-f=state]")).to_have_text("等待第 2 位")
    expect(waiting).to_have_text("2")
    calls[1].end()
    expect(row_of(page, calls[1].id, "ended").locator("[data-f=state]")).to_have_text("未接通挂断")
    expect(row_of(page, calls[2].id).locator("[data-f=state]")).to_have_text("等待第 1 位")
    calls[0].end("1001")
    calls[2].end()
    expect(waiting).to_have_text("0")
    expect(page.locator("[data-queue=hotline] [data-f=longest]")).to_have_text("–")


def test_an_emergency_stands_on_top_in_red(page: Page, centre: Centre) -> None:
    before = centre.call("+8613533330001", ago_s=60)
    before.queue(after=5)
    opened(page)
    call = centre.call("+8613533330002", entry=Entry.EMERGENCY, callee="96000")
    call.queue("emergency")
    expect(page.locator("#calls tr").first.get_by_text("紧急")).to_be_visible()
    expect(page.locator("#calls tr").first.locator(f"a[href='/calls/{call.id}']")).to_be_visible()
    expect(page.locator("[data-queue=emergency]")).to_have_class(re.compile("sos"))
    call.end()
    before.end()
    expect(page.locator("[data-queue=emergency]")).not_to_have_class(re.compile("sos"))


def test_seats_trunks_and_alarms(page: Page, centre: Centre) -> None:
    opened(page)
    seat = page.locator("#seats li", has_text="李敏 1001")
    expect(seat).to_contain_text("未上线")
    centre.seat("1001", "available")
    expect(seat).to_contain_text("空闲")
    expect(page.locator("#free")).to_have_text("1")
    centre.trunk("carrier", "refused")
    expect(page.locator("#trunks li", has_text="carrier")).to_contain_text("被拒绝")
    alarm = page.locator("#alarms li", has_text="运营商拒绝接入")
    expect(alarm).to_contain_text("请检查线路的用户名和密码")
    centre.trunk("carrier", "up")
    expect(alarm).to_have_count(0)
    expect(page.locator("#trunks li", has_text="carrier")).to_contain_text("正常")
    centre.seat("1001", "offline")


def test_a_seat_says_why_it_takes_no_calls(page: Page, centre: Centre) -> None:
    opened(page)
    seat = page.locator("#seats li", has_text="周悦 1002")
    for state, reason, word, why in (
        ("paused", "meal", "暂停接听", "用餐"),
        ("paused", "接孩子", "暂停接听", "接孩子"),
        ("offline", "lost", "未上线", "通话中话机失联"),
        ("not answering", "", "无人应答", ""),
        ("wrapping up", "", "话后整理", ""),
    ):
        centre.seat("1002", state, reason)
        expect(seat.locator("[data-f=state]")).to_have_text(word)
        expect(seat.locator("[data-f=reason]")).to_have_text(why)
        if not why:
            expect(seat.locator("[data-f=reason]")).to_be_hidden()
    centre.seat("1002", "offline")


def test_the_list_of_seats_says_so_too(page: Page, centre: Centre) -> None:
    centre.seat("1002", "paused", "meal")
    page.goto("/seats")
    seat = page.locator("tr", has_text="周悦")
    expect(seat).to_contain_text("暂停接听 用餐")
    for reason, why in (("接孩子", "接孩子"), ("training", "培训"), ("", "暂停接听")):
        centre.seat("1002", "paused", reason)
        expect(seat).to_contain_text(why)
    expect(seat.locator("[data-f=reason]")).to_be_empty()
    centre.seat("1002", "offline")


def test_the_telephone_system_is_away(page: Page, centre: Centre) -> None:
    opened(page)
    alarm = page.locator("#alarms li", has_text="电话系统没有响应")
    centre.connected(False)
    expect(alarm).to_contain_text("通话仍可自行继续")
    centre.connected(True)
    expect(alarm).to_have_count(0)


def test_a_missing_recording_leads_to_its_call(page: Page, centre: Centre) -> None:
    opened(page)
    call = centre.call("+8613544440001", ago_s=90).whole()
    call.record_fails("no sound was written")
    alarm = page.locator("#alarms li", has_text="录音缺失")
    alarm.get_by_role("link", name="查看通话").click()
    expect(page).to_have_url(re.compile(re.escape(call.id)))
    expect(page.locator("#recording")).to_contain_text("缺失")
    expect(page.locator("#timeline")).to_contain_text("no sound was written")


def test_the_controller_goes_and_comes_back(page: Page, centre: Centre) -> None:
    call = centre.call("+8613555550001")
    opened(page)
    banner = page.locator("#away")
    expect(banner).to_be_hidden()
    centre.go_away()
    expect(banner).to_be_visible()
    expect(banner).to_contain_text("控制程序离线")
    expect(banner).to_contain_text("通话不受影响")
    expect(row_of(page, call.id)).to_be_visible()
    frozen = row_of(page, call.id).locator("[data-f=long]").inner_text()
    page.wait_for_timeout(1200)
    assert row_of(page, call.id).locator("[data-f=long]").inner_text() == frozen
    # While nobody could tell the desk, that call ended and another came.
    call.end()
    later = centre.call("+8613555550002")
    centre.come_back()
    expect(banner).to_be_hidden()
    expect(row_of(page, later.id)).to_be_visible()
    expect(row_of(page, call.id)).to_have_count(0)
    assert page.evaluate("window.untouched") is True
    later.end()


def test_the_desk_restarts_and_the_board_finds_it_again(
    page: Page, desk: Desk, centre: Centre
) -> None:
    opened(page)
    desk.stop()
    expect(page.locator("#away")).to_contain_text("与工作台的连接中断")
    call = centre.call("+8613566660001")
    desk.start()
    # It asks again after 8 s at the latest, and then draws.
    expect(row_of(page, call.id)).to_be_visible(timeout=20_000)
    expect(page.locator("#link")).to_have_text("实时")
    assert page.evaluate("window.untouched") is True
    call.end()


def test_the_connection_rate_counts_who_found_nobody(page: Page, centre: Centre) -> None:
    opened(page)
    midnight = datetime.now(ZoneInfo("Asia/Shanghai")).replace(hour=0, minute=0, second=0)
    offered, answered = centre.read(lambda it: calls.offered_and_answered(it, midnight))
    waiting = centre.call("+8613577770002")
    waiting.queue()
    centre.call("+8613577770003").whole()
    missed = centre.call("+8613577770004")
    missed.queue()
    missed.end()
    meaning = page.locator("#rate [data-f=meaning]")
    expect(meaning).to_have_text(f"{offered + 2} 个来电，{answered + 1} 个接通", timeout=20_000)
    rate = (answered + 1) * 100 // (offered + 2)
    expect(page.locator("#rate [data-f=rate]")).to_have_text(f"{rate} %")
    waiting.end()


def test_open_emergencies_are_a_figure_of_their_own(page: Page, centre: Centre) -> None:
    opened(page)
    figure = page.locator("#emergencies")
    before = int(figure.locator("[data-f=open]").inner_text())
    call = centre.call("+8613577770005", entry=Entry.EMERGENCY, callee="96000")
    call.queue("emergency")
    call.ring()
    call.answer()
    expect(figure.locator("[data-f=open]")).to_have_text(str(before + 1))
    expect(figure).to_have_class(re.compile("sos"))
    call.end("1001")
    expect(figure.locator("[data-f=open]")).to_have_text(str(before))


def test_an_emergency_that_is_open_after_its_call_is_shown_until_it_is_closed(
    page: Page, centre: Centre
) -> None:
    centre.enter_elder("葛秀兰", number := fresh_number())
    opened(page)
    figure = page.locator("#emergencies")
    before = int(figure.locator("[data-f=open]").inner_text())
    call = centre.call(number, entry=Entry.EMERGENCY, callee="96000")
    centre.tell(RoomOpened(case_id=call.id, at=datetime.now(UTC)))
    # The case and its call are one emergency.
    expect(figure.locator("[data-f=open]")).to_have_text(str(before + 1))
    expect(page.locator("#cases")).to_be_hidden()
    call.end()
    case = page.locator("#open-cases li", has_text="葛秀兰")
    expect(case).to_contain_text("老人身边无人接听")
    expect(case.get_by_role("link")).to_have_attribute("href", f"/calls/{call.id}")
    expect(figure.locator("[data-f=open]")).to_have_text(str(before + 1))
    # A board that is opened later shows it too, also from another desk's start.
    page.reload()
    expect(case).to_be_visible()
    centre.tell(ElderGone(case_id=call.id, at=datetime.now(UTC)))
    expect(case).to_have_count(0)
    expect(figure.locator("[data-f=open]")).to_have_text(str(before))


def test_a_message_that_is_missed_brings_the_whole_picture_again(
    page: Page, centre: Centre
) -> None:
    """The numbers of the feed are checked: a gap is read anew and never guessed over."""
    connections: list[WebSocketRoute] = []
    lost: list[str] = []
    number = fresh_number()
    centre.enter_elder("漏听者", number)

    def between(socket: WebSocketRoute) -> None:
        connections.append(socket)
        is_first = len(connections) == 1

        def pass_on(message: str | bytes) -> None:
            if is_first and "漏听者" in json.loads(message).get("data", {}).get("item", {}).get(
                "who", ""
            ):
                lost.append(str(message))
            else:
                socket.send(message)

        socket.connect_to_server().on_message(pass_on)

    page.route_web_socket("**/feed", between)
    opened(page)
    missed = centre.call(number, ago_s=5)
    until(lambda: lost, page)
    # The next message has a number that is too high.
    other = centre.call(fresh_number(), ago_s=5)
    expect(row_of(page, missed.id)).to_be_visible()
    expect(row_of(page, other.id)).to_be_visible()
    assert len(connections) == 2, "the board connected again, once"
    assert page.evaluate("window.untouched") is True
    missed.end()
    other.end()


def test_a_quiet_board_is_live_and_one_that_hears_nothing_at_all_is_not(
    context: BrowserContext, desk: Desk, centre: Centre
) -> None:
    """The network goes dead without a word to anybody, and later brings what was on its way."""
    sockets: list[WebSocket] = []

    def connects(socket: WebSocket) -> None:
        sockets.append(socket)

    with Link(desk.url.removeprefix("http://")) as link:
        page = context.new_page()
        page.on("websocket", connects)
        page.goto(f"http://{link.address}/")
        expect(page.locator("#link")).to_have_text("实时")
        page.wait_for_timeout((QUIET_S + 3) * 1000)
        expect(page.locator("#link")).to_have_text("实时")
        assert len(sockets) == 1, "nothing happened, and the board stayed connected"
        link.cut()
        missed = centre.call(fresh_number())
        banner = page.locator("#away")
        expect(banner).to_contain_text("与工作台的连接中断", timeout=(QUIET_S + 5) * 1000)
        link.mend()
        # It asks again after 8 s at the latest.
        expect(row_of(page, missed.id)).to_be_visible(timeout=30_000)
        expect(banner).to_be_hidden()
        missed.end()
        expect(row_of(page, missed.id, "ended")).to_be_visible()
        page.close()
