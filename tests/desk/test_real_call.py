"""A person at the desk and real calls: the queue live, the recording to play, elder and order.

Everything runs: `./careline run`, a carrier with elders and a seat's phone, and Chromium.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from asterisk_conf.sounds import PROMPTS
from tests.audio import find_prompt, loud_seconds, tone_seconds
from tests.desk.conftest import sign_in
from tests.desk.looks import look_at
from tests.desk.test_calls import until
from tests.house import Town, call_of, ended_call, listen, running, town_of, write_config
from tests.observer import wait_until
from tests.telephone import Leg, claim_addresses

Outside = Callable[..., Any]


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    """Runs what needs an event loop of its own: the browser's occupies this thread."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda work, *words: pool.submit(work, *words).result()


@pytest.fixture(scope="module")
def town(outside: Outside) -> Iterator[Town]:
    """One seat that answers; the second one's phone is not there."""
    folder = Path(tempfile.mkdtemp(prefix="careline-"))
    folder.chmod(0o711)
    with ExitStack() as left_again:
        block = left_again.enter_context(claim_addresses(120))
        config = write_config(folder / "careline.toml", block)
        text = config.read_text("utf-8")
        config.write_text(text[: text.index('[[seats]]\nextension = "1002"')], "utf-8")
        stack = ExitStack()
        house = outside(stack.enter_context, running(folder / "home", config))
        try:
            yield outside(stack.enter_context, town_of(house, block, folder / "carrier"))
        finally:
            outside(stack.close)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def page(browser: Browser, town: Town) -> Iterator[Page]:
    """The desk in Chinese, signed in with the password that was printed once."""
    context = browser.new_context(locale="zh-CN", base_url=town.house.ready["desk"])
    opened = context.new_page()
    sign_in(opened, town.house.admin_password)
    yield opened
    context.close()


def states(page: Page) -> list[str]:
    """What the board says of the live calls, oldest first."""
    return page.locator("#calls tr [data-f=state]").all_inner_texts()


@pytest.mark.row("ACD-05")
def test_three_calls_one_seat_in_the_order_of_their_coming(page: Page, town: Town) -> None:
    phone = town.carrier.phone("1001").rings()
    page.goto("/")
    callers: list[Leg] = []
    for number in range(3):
        since = len(town.observer.events)
        callers.append(town.carrier.call("96100", f"1380000000{number}").wait_talking())
        town.observer.wait_for("QueueCallerJoin", 45, since)
    calls_now = page.locator("#calls tr")
    expect(calls_now).to_have_count(3)
    expect(page.locator("[data-queue=hotline] [data-f=waiting]")).to_have_text("3")
    queue = ["振铃 · 第 1 位", "等待第 2 位", "等待第 3 位"]
    wait_until(lambda: states(page) == queue, 10, "the queue on the board", lambda: states(page))
    # The second and the third hear their place and then the music.
    listen(callers[1], 12)
    answered = []
    for caller in callers:
        since = len(town.observer.events)
        phone.answers(0.1)
        connected = town.observer.wait_for("AgentConnect", 45, since)
        answered.append(connected["CallerIDNum"])
        expect(calls_now.first.locator("[data-f=state]")).to_have_text("通话中")
        phone.rings()
        caller.hang_up()
        expect(page.locator("#ended tr")).to_have_count(len(answered))
    assert answered == ["13800000000", "13800000001", "13800000002"]
    _heard_place_and_music(callers[1].heard())
    town.assert_silent()


def _heard_place_and_music(heard: Path) -> None:
    """'You are now number' … 'two' … and music afterwards."""
    place = find_prompt(heard, PROMPTS / "zh" / "queue-thereare.wav")
    assert place is not None
    assert find_prompt(heard, PROMPTS / "zh" / "queue-callswaiting.wav") is not None
    assert loud_seconds(heard, place + 8) > 1


def enter_elder_with_terminal(page: Page) -> None:
    """Register the elder and the one-key terminal at home, as a person does."""
    page.goto("/elders/new")
    typed = {
        "full_name": "测试老人丁", "numbers": "13800000055", "terminals.0.serial_no": "T-77",
        "terminals.0.phone": "13700000077",
    }  # fmt: skip
    for name, value in typed.items():
        page.locator(f"[name='{name}']").first.fill(value)
    page.locator("[name='terminals.0.type']").select_option("one_key")
    page.get_by_role("button", name="保存").click()
    page.wait_for_url(re.compile("/elders/E"))


@pytest.mark.row("ACD-20", part="terminal")
def test_a_one_key_terminal_calls_before_all_others_and_the_seat_sees_whose_it_is(
    page: Page, town: Town, outside: Outside
) -> None:
    enter_elder_with_terminal(page)
    elder_page = page.url
    phone = town.carrier.phone("1001").answers(0.1, 740)
    callers = []
    for number in range(2):
        since = len(town.observer.events)
        callers.append(town.carrier.call("96100", f"1380000000{number}").wait_talking())
        town.observer.wait_for("QueueCallerJoin" if number else "AgentConnect", 45, since)
    phone.rings()
    since = len(town.observer.events)
    terminal = town.carrier.call("96000", "13700000077", tone=480).wait_talking()
    call_id = call_of(town, since)
    arrived = town.observer.wait_for("CallArrived", since=since)
    assert (arrived["Entry"], arrived["CallerIDNum"]) == ("emergency", "13700000077")
    # The seat is free again: who waits for longer is not the one for whom it rings.
    page.goto("/seat?seat=1001")
    callers[0].hang_up()
    ringing = phone.wait_ringing(20)
    card = page.locator("main")
    said = "终端呼入：一键呼叫 T-77"
    expect(card.get_by_role("heading", name="测试老人丁")).to_be_visible(timeout=15_000)
    expect(card).to_contain_text(said)
    expect(page.locator("#seat-state")).to_contain_text("紧急")
    assert not ringing.is_talking, "all of it is there before the answer"
    assert len(phone.legs()) == 1, "it rang for nobody else before"
    phone.answers(0.1, 740)
    talking = phone.wait_ringing(30).wait_talking()
    listen(talking, 2)
    listen(terminal, 2)
    # In the room the seat has the rescue before it, and the same elder.
    assert call_id in town.observer.rooms()
    page.goto(f"/rescue/{call_id}?seat=1001")
    expect(page.locator("main")).to_contain_text("测试老人丁", timeout=15_000)
    assert not callers[1].has_ended
    terminal.hang_up()
    talking.wait_ended()
    assert tone_seconds(talking.heard(), 480) > 1
    assert tone_seconds(terminal.heard(), 740) > 1
    callers[1].hang_up()
    row = outside(ended_call, town.house, call_id)
    assert (row.entry, row.terminal_serial, row.terminal_type) == ("emergency", "T-77", "one_key")
    assert row.elder_id is not None
    for address in (f"/calls/{call_id}", elder_page):
        page.goto(address)
        expect(page.locator("main")).to_contain_text(said)
    town.assert_silent()


@pytest.mark.row("EMG-01")
def test_a_seat_starts_the_rescue_and_sees_who_has_which_role(
    page: Page, town: Town, outside: Outside
) -> None:
    """In the middle of an ordinary talk; nobody else is free here, and that is said everywhere."""
    outside(town.house.enter_elder, "测试老人戊", "+8613800000058")
    phone = town.carrier.phone("1001").answers(0.2, 740)
    page.goto("/seat?seat=1001")
    since = len(town.observer.events)
    elder = town.carrier.call("96102", "13800000058", tone=480).wait_talking()
    call_id = call_of(town, since)
    town.observer.wait_for("AgentConnect", 45, since)
    expect(page.get_by_role("heading", name="测试老人戊")).to_be_visible(timeout=15_000)
    look_at(page, "seat-may-start-the-rescue")
    page.get_by_role("button", name="启动紧急救援").click()
    # The seat lands on the page of its rescue, which comes to life as soon as the room is open.
    expect(page).to_have_url(re.compile(f"/rescue/{re.escape(call_id)}\\?seat=1001$"))
    expect(page.locator("#posts .mine")).to_contain_text("A", timeout=10_000)
    expect(page.locator("#posts .vacant")).to_contain_text("B")
    page.goto("/seat?seat=1001")
    roles = page.locator("#seat-state .roles li")
    expect(roles).to_have_count(2, timeout=10_000)
    expect(roles.nth(0)).to_contain_text(re.compile(r"A\s*对外联系救援\s*您"))
    expect(roles.nth(1)).to_contain_text(re.compile(r"B\s*陪伴老人\s*空缺"))
    expect(page.locator("#seat-state")).to_contain_text("紧急")
    expect(page.get_by_role("button", name="启动紧急救援")).to_have_count(0)
    look_at(page, "seat-in-a-rescue")
    talking = phone.legs()[-1]
    listen(talking, 1, 480)
    listen(elder, 1, 740)
    page.goto("/")
    row = page.locator("#calls tr", has_text="测试老人戊")
    expect(row).to_contain_text("A")
    alarm = page.locator("#alarms li", has=page.locator(f"a[href='/calls/{call_id}']"))
    expect(alarm).to_contain_text("还缺一个坐席角色", timeout=30_000)
    elder.hang_up()
    expect(alarm).to_have_count(0)
    page.goto("/record")
    expect(page.locator("main")).to_contain_text("判定为紧急情况")
    assert outside(ended_call, town.house, call_id).entry == "emergency"
    town.assert_silent()


@pytest.mark.row("REC-01", part="calls")
@pytest.mark.row("ACD-17")
def test_a_call_becomes_a_page_with_its_recording_elder_and_order(
    page: Page, town: Town, outside: Outside
) -> None:
    outside(town.house.enter_elder, "测试老人乙", "+8637412340000")
    phone = town.carrier.phone("1001")
    phone.answers(0.2, 740)
    page.goto("/")
    since = len(town.observer.events)
    elder = town.carrier.call("96100", "037412340000", tone=480).wait_talking()
    call_id = call_of(town, since)
    live = page.locator("#calls tr", has_text="测试老人乙")
    expect(live).to_be_visible()
    town.observer.wait_for("AgentConnect", 45, since)
    expect(live.locator("[data-f=state]")).to_have_text("通话中")
    live.get_by_role("link").click()
    page.get_by_label("服务内容").fill("换灯泡")
    page.get_by_role("button", name="建立工单").click()
    expect(page.locator("#linked-orders")).to_contain_text("换灯泡")
    listen(elder, 6)
    elder.hang_up()
    audio = page.locator("#recording audio")
    expect(audio).to_be_attached(timeout=30_000)
    # Nothing of it is fetched before somebody presses play.
    audio.evaluate("it => { it.volume = 0; return it.play(); }")
    until(lambda: audio.evaluate("it => it.duration > 5"), page)
    page.goto(f"/calls/{call_id}")
    expect(page.locator("#linked-orders li, #linked-orders tr")).to_have_count(1)
    page.locator("#linked-orders").get_by_role("link").first.click()
    expect(page.get_by_text("测试老人乙").first).to_be_visible()
    expect(page.get_by_text("换灯泡").first).to_be_visible()
    # The next call of the same elder: while it rings, its row leads to the open order, which is
    # chosen and then lists both calls.
    order_page = page.url
    page.goto("/")
    phone.rings()
    since = len(town.observer.events)
    elder = town.carrier.call("96100", "037412340000").wait_talking()
    again = call_of(town, since)
    expect(live.locator("[data-f=state]")).to_have_text(re.compile("振铃"), timeout=45_000)
    live.get_by_role("link").click()
    expect(page).to_have_url(re.compile(re.escape(f"/calls/{again}") + "$"))
    expect(page.locator("#call-state")).to_contain_text("振铃")
    page.locator("#open-orders").get_by_role("button").click()
    expect(page.locator("#linked-orders")).to_contain_text("换灯泡")
    elder.hang_up()
    page.goto(order_page)
    for one in (call_id, again):
        expect(page.locator(f"a[href='/calls/{one}']").first).to_be_visible()
    town.assert_silent()


@pytest.mark.row("REC-01", part="calls")
def test_a_call_whose_recording_cannot_be_made_is_an_alarm(
    page: Page, town: Town, outside: Outside
) -> None:
    town.carrier.phone("1001").answers(0.2, 740)
    page.goto("/")
    since = len(town.observer.events)
    elder = town.carrier.call("96100", "13800000077", tone=480).wait_talking()
    call_id = call_of(town, since)
    town.observer.wait_for("AgentConnect", 45, since)
    listen(elder, 2)
    # Somebody, or a broken disk, takes the sound away while they talk.
    written = list(town.house.home.live_recordings.glob(f"{call_id}*"))
    assert written, "nothing was being recorded"
    for file in written:
        file.unlink()
    elder.hang_up()
    outside(ended_call, town.house, call_id)
    alarm = page.locator("#alarms li", has=page.locator(f"a[href='/calls/{call_id}']"))
    expect(alarm).to_contain_text("录音缺失", timeout=90_000)
    expect(alarm).to_contain_text("请补记通话内容")
    alarm.get_by_role("link").click()
    expect(page.locator("#recording")).to_contain_text("缺失")
    expect(page.locator("#timeline")).to_contain_text("录音未能生成")
    town.assert_silent()
