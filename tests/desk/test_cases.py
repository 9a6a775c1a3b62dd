"""The case file: what was seen and done in an emergency, and how a named person ends it."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from sql.models import AuditEntry
from tests.desk.centre import Centre
from tests.desk.conftest import Desk, new_home, open_centre, sign_in, started_desk
from tests.desk.looks import LOOKS
from tests.desk.rescued import STATION, Rescue
from tests.desk.test_calls import fresh_number
from workflows.commands import WriteNote
from workflows.events import CaseOutcome

DAY: float = 24 * 3600


def name() -> str:
    return f"韩玉兰{fresh_number()[-4:]}"


def row(page: Page, rescue: Rescue) -> Locator:
    return page.locator("#cases tr", has=page.locator(f"a[href='/cases/{rescue.id}']"))


def record_of(centre: Centre, case_id: str) -> list[AuditEntry]:
    async def read(session: AsyncSession) -> list[AuditEntry]:
        found = select(AuditEntry).where(
            AuditEntry.subject == "emergency", AuditEntry.subject_id == case_id
        )
        return list((await session.scalars(found.order_by(AuditEntry.id))).all())

    return centre.read(read)


@pytest.mark.row("EMG-11")
@pytest.mark.row("EMG-12")
@pytest.mark.row("EMG-24")
@pytest.mark.row("FUP-01")
def test_a_case_goes_from_its_record_over_its_closing_to_the_follow_up(
    page: Page, centre: Centre
) -> None:
    rescue = Rescue(centre, name()).whole()
    page.goto(f"/cases/{rescue.id}")
    expect(page.locator("#case-state")).to_contain_text("待写记录")
    # There is no way to close it without a record.
    assert page.locator("#close-form, #follow-up-form").count() == 0
    page.get_by_label("救援经过").fill("120 到达，送市医院。")
    page.get_by_label("移交给").fill("120 急救人员")
    page.get_by_role("button", name="保存救援记录").click()
    expect(page.locator("#case-state")).to_contain_text("待结案")
    expect(page.locator("#written")).to_contain_text("120 到达，送市医院。")
    expect(page.locator("#written")).to_contain_text("admin")
    expect(page.locator("#progress li.reached").filter(has_text="已移交")).to_have_count(1)
    # What was changed in the elder's file is asked for, and the way there is one press.
    link = page.get_by_role("link", name="修改老人档案")
    expect(link).to_have_attribute("href", f"/elders/{rescue.uid}/edit")
    page.get_by_role("radio", name="已救援").check()
    page.get_by_label("老人档案的变更").fill("增加女儿的新号码")
    page.get_by_role("button", name="结案").click()
    expect(page.locator("#case-state")).to_contain_text("待回访")
    expect(page.locator("#facts")).to_contain_text("admin")
    due = rescue.began + timedelta(hours=48)
    shown = due.astimezone(centre.settings.centre.zone).strftime("%m-%d %H:%M")
    expect(page.locator("#follow-up-form .due")).to_contain_text(shown)
    page.get_by_label("老人现状").fill("老人住院，精神好。")
    page.get_by_role("button", name="保存回访").click()
    expect(page.locator("#case-state")).to_contain_text("完成")
    expect(page.locator("#written")).to_contain_text("老人住院，精神好。")
    assert page.locator("main form").filter(has=page.locator("textarea")).count() == 0
    said = rescue.kept().closing
    assert said.record
    assert (said.record.by, said.handed_to) == ("admin", "120 急救人员")
    assert said.outcome is CaseOutcome.RESCUED
    # The elder's page has the case's number with what was changed.
    page.goto(f"/elders/{rescue.uid}")
    emergencies = page.locator("#emergencies")
    expect(emergencies).to_contain_text(rescue.id)
    expect(emergencies).to_contain_text("增加女儿的新号码")
    emergencies.get_by_role("link").click()
    expect(page).to_have_url(re.compile(f"/cases/{re.escape(rescue.id)}$"))
    # And the call and the case lead to each other.
    page.get_by_role("link", name="老人的通话").click()
    page.locator("#call-state a").click()
    expect(page).to_have_url(re.compile(f"/cases/{re.escape(rescue.id)}$"))


@pytest.mark.row("NRS-08")
@pytest.mark.row("NRS-09")
@pytest.mark.row("FUP-03")
def test_a_cancelled_case_without_a_word_is_recorded_closed_and_followed_up_like_all(
    page: Page, centre: Centre
) -> None:
    """An elder who said nothing, and nobody was called."""
    rescue = Rescue(centre, name(), ago_s=2 * DAY + 60)
    rescue.end(60)
    page.goto(f"/cases/{rescue.id}")
    page.get_by_label("救援经过").fill("回拨接通，老人误触，无需救援。")
    page.get_by_role("button", name="保存救援记录").click()
    page.get_by_role("radio", name="报警撤销").check()
    page.get_by_label("老人档案的变更").fill("无变更")
    page.get_by_role("button", name="结案").click()
    # Two days are over: it is red here and in the list.
    expect(page.locator("#follow-up-form .pill.alarm")).to_contain_text("逾期")
    page.goto("/cases?show=overdue")
    expect(row(page, rescue)).to_contain_text("回访")
    expect(row(page, rescue).locator(".pill.alarm")).to_contain_text("逾期")
    expect(page.locator(".place[href='/cases'] .to-do.late")).to_be_visible()
    page.goto(f"/elders/{rescue.uid}")
    expect(page.locator("#emergencies")).to_contain_text("无变更")
    page.goto(f"/cases/{rescue.id}")
    page.get_by_label("老人现状").fill("老人在家，一切正常。")
    page.get_by_role("button", name="保存回访").click()
    expect(page.locator("#case-state")).to_contain_text("完成")
    page.goto("/cases?show=overdue")
    expect(row(page, rescue)).to_have_count(0)


@pytest.mark.row("EMG-11")
def test_while_somebody_is_on_the_line_it_says_why_it_cannot_be_closed(
    page: Page, centre: Centre
) -> None:
    rescue = Rescue(centre, name())
    daughter = rescue.contact()
    rescue.ring(daughter, after=30)
    rescue.recorded()
    page.goto(f"/cases/{rescue.id}")
    for reason in ("老人仍在通话中", "王小兰”的电话仍在振铃或通话中"):
        expect(page.locator("#not-yet")).to_contain_text(reason)
        page.get_by_role("radio", name="已救援").check()
        page.get_by_label("老人档案的变更").fill("无变更，已核对")
        page.get_by_role("button", name="结案").click()
        expect(page.locator("main [role=alert]")).to_contain_text(reason)
        # What was typed and chosen is still there.
        expect(page.get_by_label("老人档案的变更")).to_have_value("无变更，已核对")
        expect(page.get_by_role("radio", name="已救援")).to_be_checked()
        if rescue.kept().closed_at is None:
            rescue.end()
            page.goto(f"/cases/{rescue.id}")
    rescue.not_reached(daughter, 950)
    page.get_by_role("button", name="结案").click()
    expect(page.locator("#case-state")).to_contain_text("待回访")


def test_what_another_seat_has_done_meanwhile_is_said_in_words(page: Page, centre: Centre) -> None:
    rescue = Rescue(centre, name()).whole().recorded()
    page.goto(f"/cases/{rescue.id}")
    page.get_by_role("radio", name="误操作").check()
    page.get_by_label("老人档案的变更").fill("我写的变更")
    rescue.closed()
    page.get_by_role("button", name="结案").click()
    expect(page.locator("main [role=alert]")).to_contain_text("李敏 已经结案")
    assert rescue.kept().closing.outcome is CaseOutcome.RESCUED
    assert page.request.get(f"/cases/{rescue.id}").text().count("我写的变更") == 0


def test_what_is_typed_is_kept_and_there_after_a_reload(page: Page, centre: Centre) -> None:
    rescue = Rescue(centre, name()).whole()
    page.goto(f"/cases/{rescue.id}")
    page.get_by_label("救援经过").fill("写到一半")
    expect(page.locator("[data-f=draft]")).to_contain_text("草稿已保存")
    page.goto("/calls")
    page.goto(f"/cases/{rescue.id}")
    expect(page.get_by_label("救援经过")).to_have_value("写到一半")
    page.get_by_role("button", name="保存救援记录").click()
    expect(page.locator("#written")).to_contain_text("写到一半")
    # It is not in the next form, and nobody else ever saw it.
    expect(page.get_by_label("老人档案的变更")).to_have_value("")


def test_a_form_that_lacks_something_says_so_and_keeps_the_rest(page: Page, centre: Centre) -> None:
    rescue = Rescue(centre, name()).whole().recorded()
    page.goto(f"/cases/{rescue.id}")
    page.evaluate("document.querySelectorAll('form').forEach(f => f.noValidate = true)")
    page.get_by_label("老人档案的变更").fill("改了住址")
    page.get_by_role("button", name="结案").click()
    expect(page.locator("#outcome-fault")).to_contain_text("请选择处理结果")
    expect(page.get_by_label("老人档案的变更")).to_have_value("改了住址")
    assert rescue.kept().closing.outcome is None


def test_while_the_controller_is_away_nothing_is_lost(page: Page, centre: Centre) -> None:
    rescue = Rescue(centre, name()).whole()
    page.goto(f"/cases/{rescue.id}")
    page.get_by_label("救援经过").fill("控制程序离线时写的")
    centre.go_away()
    try:
        page.get_by_role("button", name="保存救援记录").click()
        expect(page.locator("main [role=alert]")).to_contain_text("尚未保存")
        expect(page.get_by_label("救援经过")).to_have_value("控制程序离线时写的")
    finally:
        centre.come_back()
    page.get_by_role("button", name="保存救援记录").click()
    expect(page.locator("#written")).to_contain_text("控制程序离线时写的")


@pytest.mark.row("EMG-19")
@pytest.mark.row("EMG-20", part="times")
def test_each_party_has_its_times_and_the_quickest_stands_first(page: Page, centre: Centre) -> None:
    rescue = Rescue(centre, name()).whole()
    page.goto(f"/cases/{rescue.id}")
    parties = page.locator(".parties > li")
    expect(parties).to_have_count(3)
    # The daughter came first although the ambulance had answered before her.
    for place, (who, words) in enumerate(
        (
            ("王小兰", ("0:20 后应答", "6:10 后到达")),
            ("120", ("0:06 后应答", "10:20 后到达")),
            (STATION.name, ("无人接听", "由 李敏 呼叫")),
        )
    ):
        for word in (who, *words):
            expect(parties.nth(place)).to_contain_text(word)
    zone = centre.settings.centre.zone
    for label, after in (
        ("振铃", 32),
        ("已接听", 36),
        ("已告知", 60),
        ("在途", 120),
        ("到达", 650),
    ):
        shown = (rescue.began + timedelta(seconds=after)).astimezone(zone).strftime("%H:%M:%S")
        cell = parties.nth(1).locator(".times > div").filter(has_text=label).first
        expect(cell).to_contain_text(shown)
    # Each line of the timeline is to the second, and says who is meant.
    arrived = page.locator("#timeline li").filter(has_text="已到达").first
    expect(arrived).to_contain_text("王小兰")
    expect(arrived.locator("time")).to_have_text(
        (rescue.began + timedelta(seconds=400)).astimezone(zone).strftime("%H:%M:%S")
    )


def test_the_delivery_of_a_message_is_in_the_record_and_a_failed_one_is_decided(
    page: Page, centre: Centre
) -> None:
    rescue = Rescue(centre, name()).whole()
    page.goto(f"/cases/{rescue.id}")
    to = page.locator(".messages > li")
    expect(to.nth(0)).to_contain_text("王小兰")
    expect(to.nth(0)).to_contain_text("已送达")
    expect(to.nth(0).locator("form")).to_have_count(0)
    expect(to.nth(1)).to_contain_text("30003")
    to.nth(1).get_by_role("button", name="搁置").click()
    expect(to.nth(1)).to_contain_text("admin 已搁置")
    to.nth(1).get_by_role("button", name="重新发送").click()
    expect(to.nth(1)).to_contain_text("发送中")
    expect(page.locator("#timeline")).to_contain_text("admin 要求重新发送短信")
    assert [one.action for one in record_of(centre, rescue.id)][-2:] == [
        "LeaveMessage", "SendMessageAgain",
    ]  # fmt: skip


def test_a_recording_is_heard_by_right_and_on_record(
    browser: Browser, desk: Desk, page: Page, centre: Centre
) -> None:
    rescue = Rescue(centre, name()).whole()
    rescue.call.record()
    page.goto(f"/cases/{rescue.id}")
    expect(page.locator("#recording audio")).to_have_attribute(
        "src", f"/calls/{rescue.id}/recording"
    )
    sources = [one.get_attribute("src") or "" for one in page.locator(".parties audio").all()]
    assert len(sources) == 2
    answer = page.request.get(sources[0], headers={"Range": "bytes=0-3"})
    assert (answer.status, answer.body()) == (206, b"OggS")
    assert page.request.get(f"/cases/{rescue.id}/legs/3/recording").status == 404
    assert page.request.get(f"/cases/{rescue.id}/legs/9999/recording").status == 404
    (played,) = [one for one in record_of(centre, rescue.id) if one.action == "played"]
    assert played.after == {"leg": "王小兰"}
    centre.add_user("听不了录音", "seat")
    context = browser.new_context(locale="zh-CN", base_url=desk.url)
    seat = context.new_page()
    sign_in(seat, name="听不了录音")
    seat.wait_for_url("**/")
    seat.goto(f"/cases/{rescue.id}")
    expect(seat.locator(".parties")).to_contain_text("主管可以播放")
    assert seat.locator("audio").count() == 0
    assert context.request.get(sources[0]).status == 403
    context.close()


def test_the_list_shows_what_is_to_be_done(page: Page, centre: Centre) -> None:
    mark = fresh_number()[-5:]
    running = Rescue(centre, f"甲{mark}")
    ended = Rescue(centre, f"乙{mark}").whole()
    recorded = Rescue(centre, f"丙{mark}").whole().recorded()
    mistaken = Rescue(centre, f"丁{mark}").whole().recorded()
    mistaken.closed(outcome=CaseOutcome.MISOPERATION)
    done = Rescue(centre, f"戊{mark}").whole().recorded().closed().followed_up()
    shown = {
        "": {running, ended, recorded, mistaken, done},
        "show=open": {running, ended, recorded},
        "show=record": {ended},
        "show=close": {recorded},
        "show=follow-up": {mistaken},
        "outcome=misoperation": {mistaken},
    }
    for query, wanted in shown.items():
        page.goto(f"/cases?text={mark}&{query}")
        links = {one.get_attribute("href") for one in page.locator("#cases .main-cell a").all()}
        assert links == {f"/cases/{one.id}" for one in wanted}, query
    for text in (ended.id, ended.uid, ended.number.removeprefix("+86")):
        page.goto(f"/cases?text={text}")
        expect(row(page, ended)).to_have_count(1)
    # The figures above the list and in the menu are of all that waits.
    page.goto("/cases")
    figures = page.locator("#case-counts a")
    opened = int(figures.filter(has_text="未结案").locator("b").inner_text())
    due = int(figures.filter(has_text="待回访").locator("b").inner_text())
    assert opened >= 3
    assert due >= 1
    badge = page.locator(".place[href='/cases'] .to-do")
    assert badge.inner_text().split()[0].startswith(str(opened + due))
    # An emergency whose elder still waits is no work left over: it goes on.
    page.goto(f"/cases?text={mark}&show=open")
    expect(row(page, running)).to_contain_text("进行中")


def test_a_caller_who_was_unknown_is_named_on_the_calls_page_and_so_in_the_case(
    page: Page, centre: Centre
) -> None:
    rescue = Rescue(centre, "")
    rescue.end(60)
    who = f"申{name()[-4:]}".translate(str.maketrans("0123456789", "零一二三四五六七八九"))
    uid = centre.enter_whole_elder(who, fresh_number())
    page.goto(f"/cases/{rescue.id}")
    expect(page.locator("main")).to_contain_text("还不知道是谁呼叫")
    page.get_by_role("link", name="请在通话页上指明").click()
    page.goto(f"{page.url}?find={who}")
    page.locator("#who-else").get_by_text("是这位来电").click()
    page.goto(f"/cases?text={who}")
    row(page, rescue).get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(who)
    page.goto(f"/elders/{uid}")
    expect(page.locator("#emergencies")).to_contain_text(rescue.id)


@pytest.mark.row("EMG-20", part="report")
@pytest.mark.row("EMG-24")
def test_the_whole_case_is_exported_with_numbers_by_right(
    browser: Browser, desk: Desk, page: Page, centre: Centre
) -> None:
    rescue = Rescue(centre, who := name()).whole().recorded().closed()
    answer = page.request.get(f"/cases/{rescue.id}.json")
    assert answer.headers["content-type"].startswith("application/json")
    said = answer.json()
    assert said["schema"] == "careline.case/1"
    assert (said["number"], said["elder"]["name"], said["numbers"]) == (rescue.id, who, "whole")
    assert said["caller"] == rescue.number
    assert [one["name"] for one in said["parties"]] == ["王小兰", "120", STATION.name]
    assert said["parties"][0]["arrived_after_s"] == 370
    assert said["record"]["text"].startswith("120 十一分钟到达")
    assert (said["outcome"], said["changes"]["by"]) == ("rescued", "李敏")
    assert [one["state"] for one in said["messages"]] == ["delivered", "failed"]
    opened = datetime.fromisoformat(said["opened_at"])
    assert opened.utcoffset() == timedelta(hours=8)
    assert abs(opened - rescue.began) < timedelta(seconds=1)
    assert [one["at"] for one in said["timeline"]] == sorted(one["at"] for one in said["timeline"])
    assert {"CallArrived", "LegAnswered", "WriteNote", "TickStep", "CloseCase"} <= {
        one["event"] for one in said["timeline"]
    }
    reached = [one["step"] for one in said["progress"] if one["at"]]
    assert reached == [
        "called", "dispatched", "on the way", "arrived", "recorded", "handed over", "closed",
    ]  # fmt: skip
    entry = record_of(centre, rescue.id)[-1]
    assert (entry.action, entry.by) == ("exported", "admin")
    assert datetime.now(UTC) - entry.at < timedelta(minutes=1)
    # A seat may take the case along, and no whole number in it.
    centre.add_user(seat := f"坐席{fresh_number()}", "seat")
    context = browser.new_context(locale="zh-CN", base_url=desk.url)
    other = context.new_page()
    sign_in(other, name=seat)
    other.wait_for_url("**/")
    masked = context.request.get(f"/cases/{rescue.id}.json")
    assert masked.json()["numbers"] == "masked"
    for number in (rescue.number, "+8613800000021", "+863742000001"):
        assert number.removeprefix("+86")[-8:] not in masked.text(), number
    context.close()


def text_of(pdf: bytes, folder: Path) -> str:
    """What a person reads in it, by a program that has nothing to do with ours."""
    file = folder / "case.pdf"
    file.write_bytes(pdf)
    told = subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, check=True)
    return told.stdout.decode("utf-8")


@pytest.mark.row("EMG-24")
def test_the_case_is_printed_with_everything_and_who_printed_it_is_on_record(
    browser: Browser, desk: Desk, page: Page, centre: Centre, tmp_path: Path
) -> None:
    who = f"<b>{name()}</b>"
    rescue = Rescue(centre, who).whole()
    # What somebody writes is a text on paper too, and reaches for nothing.
    trap = '<img src="file:///etc/passwd"><link rel=stylesheet href="http://127.0.0.1:9/x.css">'
    rescue.do(WriteNote, 790, note_id="n2", text=trap)
    rescue.recorded().closed().followed_up()
    answer = page.request.get(f"/cases/{rescue.id}/print")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.body().startswith(b"%PDF")
    said = text_of(answer.body(), tmp_path)
    for words in (
        rescue.id, who, "120 十一分钟到达", "增加了女儿的新号码", "老人住院，女儿陪护", "已救援",
        "王小兰", STATION.name, "file:///etc/passwd", "打印人 admin", "138 0000 0021",
    ):  # fmt: skip
        assert words in said, words
    (LOOKS / "case.pdf").write_bytes(answer.body())
    entry = record_of(centre, rescue.id)[-1]
    assert (entry.action, entry.by) == ("printed", "admin")
    centre.add_user(seat := f"坐席{fresh_number()}", "seat")
    context = browser.new_context(locale="zh-CN", base_url=desk.url)
    other = context.new_page()
    sign_in(other, name=seat)
    other.wait_for_url("**/")
    masked = text_of(context.request.get(f"/cases/{rescue.id}/print").body(), tmp_path)
    assert "138****0021" in masked
    assert "138 0000 0021" not in masked
    assert rescue.number.removeprefix("+86") not in masked
    context.close()


def test_what_cannot_be_printed_is_said_and_the_page_is_there_all_the_same(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine without Pango, which the printer loads."""
    broken = tmp_path / "weasyprint.py"
    broken.write_text("raise OSError(\"cannot load library 'libpango-1.0-0'\")\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (
        new_home() as (home, config, settings),
        open_centre(home, settings) as centre,
        started_desk(home, config, settings) as desk,
    ):
        rescue = Rescue(centre, name()).whole()
        context = browser.new_context(locale="zh-CN", base_url=desk.url)
        page = context.new_page()
        sign_in(page)
        page.wait_for_url("**/")
        answer = page.goto(f"/cases/{rescue.id}/print")
        assert answer
        assert answer.status == 503
        expect(page.locator("main [role=alert]")).to_contain_text("现在不能打印")
        expect(page.locator("#timeline")).to_be_visible()
        assert "libpango" in desk.log()
        assert [one.action for one in record_of(centre, rescue.id)].count("printed") == 0
        context.close()
