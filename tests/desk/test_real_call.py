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
from tests.audio import find_prompt, loud_seconds
from tests.desk.conftest import sign_in
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
