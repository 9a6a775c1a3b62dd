"""A seat's telephone in the browser, with real calls: heard on both sides, and gone with its tab.

Everything runs: `./careline run`, a carrier with elders, and Chromium with a microphone that plays
a file. A telephone on the table is registered for the same seat all the time.
"""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from tests.audio import tone_seconds, tone_times
from tests.desk.conftest import CHROMIUM, sign_in
from tests.house import Town, call_of, listen, running, town_of, write_config
from tests.observer import wait_until
from tests.telephone import Leg, claim_addresses

Outside = Callable[..., Any]
SEAT_HZ = 1150
"""What the seat says into the microphone."""
ELDER_HZ = 480

HEARD = """async (hertz) => {
  const stream = document.querySelector("audio").srcObject;
  if (!stream) return 0;
  const sound = window.testSound ??= new AudioContext();
  const analyser = new AnalyserNode(sound, { fftSize: 4096 });
  new MediaStreamAudioSourceNode(sound, { mediaStream: stream }).connect(analyser);
  await new Promise((done) => setTimeout(done, 300));
  const bins = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(bins);
  const at = (hz) => Math.round(hz * analyser.fftSize / sound.sampleRate);
  const loudest = bins.indexOf(Math.max(...bins));
  return Math.abs(loudest - at(hertz)) <= 2 && bins[loudest] > -60 ? 1 : 0;
}"""


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    """Runs what needs an event loop of its own: the browser's occupies this thread."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda work, *words: pool.submit(work, *words).result()


@pytest.fixture(scope="module")
def town(outside: Outside) -> Iterator[Town]:
    folder = Path(tempfile.mkdtemp(prefix="careline-"))
    folder.chmod(0o711)
    with ExitStack() as left_again:
        block = left_again.enter_context(claim_addresses(120))
        config = write_config(folder / "careline.toml", block)
        stack = ExitStack()
        house = outside(stack.enter_context, running(folder / "home", config))
        try:
            yield outside(stack.enter_context, town_of(house, block, folder / "carrier"))
        finally:
            outside(stack.close)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def browser(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose microphone says beep, beep."""
    voice = tmp_path_factory.mktemp("voice") / "voice.wav"
    moments = np.arange(48000 * 2) / 48000
    beeps = np.sin(2 * np.pi * SEAT_HZ * moments) * ((moments % 0.5) < 0.35) * 12000
    with wave.open(str(voice), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes(beeps.astype("<i2").tobytes())
    opened = playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=[
            "--no-sandbox",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-audio-capture={voice}",
            "--allow-loopback-in-peer-connection",
            "--disable-features=WebRtcHideLocalIpsWithMdns",
        ],
    )
    yield opened
    opened.close()


@pytest.fixture
def context(browser: Browser, town: Town) -> Iterator[BrowserContext]:
    """Somebody who is signed in, in Chinese."""
    opened = browser.new_context(locale="zh-CN", base_url=town.house.ready["desk"])
    page = opened.new_page()
    sign_in(page, town.house.admin_password)
    page.wait_for_url("**/")
    page.close()
    town.carrier.phone("1001").rings()
    town.carrier.phone("1002").is_busy()
    yield opened
    opened.close()
    town.assert_silent()


def take_seat(context: BrowserContext, seat: str = "1001") -> Page:
    """The telephone of the seat, ready for calls."""
    page = context.new_page()
    page.goto("/phone")
    if page.locator("#phone").count() == 0:
        page.get_by_role("button", name=seat).click()
        again = page.get_by_role("button", name="接替")
        if again.count():
            again.click()
    expect(page.locator("[data-f=state]")).to_have_text("就绪", timeout=15_000)
    return page


def arrive(town: Town, number: str = "13800000001") -> tuple[Leg, str]:
    """An elder calls the hotline and waits for a seat."""
    since = len(town.observer.events)
    elder = town.carrier.call("96100", number, tone=ELDER_HZ).wait_talking()
    call = call_of(town, since)
    channel = town.observer.wait_for("CallArrived", since=since)["Channel"]
    town.observer.action("Redirect", Channel=channel, Context="waiting", Exten="s", Priority="1")
    return elder, call


def reach_carrier(town: Town) -> None:
    """Ask the carrier at once whether it is there; it came up after the centre."""
    town.observer.action("PJSIPQualify", Endpoint="trunk-carrier")
    wait_until(
        lambda: any(
            m.get("Status") == "Reachable"
            for m in town.observer.list_of("PJSIPShowEndpoint", Endpoint="trunk-carrier")
        ),
        8,
        "the carrier answers",
    )


def hears(page: Page, hertz: float) -> bool:
    return bool(page.evaluate(HEARD, hertz))


def test_a_call_rings_in_the_page_and_both_hear_each_other(
    context: BrowserContext, town: Town
) -> None:
    phone = take_seat(context)
    elder, _call = arrive(town)
    expect(phone.locator("[data-f=number]")).to_have_text("13800000001", timeout=15_000)
    phone.get_by_role("button", name="接听").click()
    expect(phone.locator("[data-f=state]")).to_have_text("通话中")
    wait_until(lambda: hears(phone, ELDER_HZ), 8, "the elder's tone in the browser")
    listen(elder, 2, SEAT_HZ)
    phone.get_by_role("button", name="挂断").click()
    elder.wait_ended()
    expect(phone.locator("[data-f=state]")).to_have_text("就绪")
    assert tone_seconds(elder.heard(), SEAT_HZ) > 1
    assert town.carrier.phone("1001").legs() == []


def test_hold_mute_and_dialling_out(context: BrowserContext, town: Town) -> None:
    phone = take_seat(context)
    state = phone.locator("#phone [data-f=state]")
    reach_carrier(town)
    far = town.carrier.number("13900000009").answers(0.2, ELDER_HZ)
    phone.get_by_label("要拨的号码").fill("139 0000 0009")
    phone.get_by_role("button", name="拨号", exact=True).click()
    leg = far.wait_ringing().wait_talking()
    expect(state).to_have_text("通话中")
    wait_until(lambda: hears(phone, ELDER_HZ), 8, "the other side's tone in the browser")
    listen(leg, 2)
    phone.get_by_role("button", name="静音").click()
    listen(leg, 4)
    phone.get_by_role("button", name="取消静音").click()
    phone.get_by_role("button", name="保持").click()
    expect(state).to_have_text("保持中")
    phone.get_by_role("button", name="取回").click()
    expect(state).to_have_text("通话中")
    phone.keyboard.press("Alt+x")
    leg.wait_ended()
    heard = tone_times(leg.heard(), SEAT_HZ, share=0.05)
    assert [at for at in heard if at < 2], "the seat is heard"
    silence = max(later - at for at, later in itertools.pairwise(heard))
    assert silence > 3, "not a word is heard while muted, and after it again"
    expect(state).to_have_text("就绪")
    # What did not come to be is said in words.
    town.carrier.number("13900000008").is_busy()
    phone.get_by_label("要拨的号码").fill("13900000008")
    phone.get_by_role("button", name="拨号", exact=True).click()
    expect(phone.get_by_role("alert")).to_have_text("对方忙。", timeout=15_000)


def test_a_talk_comes_back_to_the_page_that_was_loaded_again(
    context: BrowserContext, town: Town
) -> None:
    phone = take_seat(context)
    state = phone.locator("#phone [data-f=state]")
    elder, _call = arrive(town)
    # A reload while it rings: it rings again.
    expect(state).to_have_text("来电", timeout=15_000)
    phone.reload()
    expect(phone.get_by_role("button", name="接听")).to_be_visible(timeout=25_000)
    phone.get_by_role("button", name="接听").click()
    expect(state).to_have_text("通话中")
    listen(elder, 1)
    # A reload in the talk: nobody needs to answer.
    phone.reload()
    expect(state).to_have_text("通话中", timeout=20_000)
    wait_until(lambda: hears(phone, ELDER_HZ), 8, "the elder's tone in the browser")
    assert not elder.has_ended
    elder.hang_up()
    expect(state).to_have_text("就绪")


def test_a_closed_tab_is_not_rung_any_more(context: BrowserContext, town: Town) -> None:
    phone = take_seat(context)
    assert is_registered(town)
    phone.close()
    wait_until(lambda: not is_registered(town), 5, "the browser is forgotten")
    # The telephone on the table is the seat's again.
    table = town.carrier.phone("1001").answers(0.1, SEAT_HZ)
    elder, _call = arrive(town)
    table.wait_ringing(15).wait_talking()
    elder.hang_up()


def is_registered(town: Town) -> bool:
    """Whether Asterisk knows of a browser for the seat."""
    listed = town.observer.list_of("PJSIPShowContacts")
    return any(m.get("ObjectName", "").startswith("1001-desk;") for m in listed)


def test_a_second_tab_says_where_the_telephone_is_and_may_take_it_over(
    context: BrowserContext, town: Town
) -> None:
    first = take_seat(context)
    second = context.new_page()
    second.goto("/phone")
    expect(second.get_by_role("alert")).to_contain_text("另一个标签页")
    second.get_by_role("button", name="在此使用").click()
    expect(second.locator("#phone [data-f=state]")).to_have_text("就绪", timeout=15_000)
    expect(first.get_by_role("alert")).to_contain_text("另一个标签页")
    # The bar of every other page shows it and steers it.
    board = context.new_page()
    board.goto("/")
    bar = board.locator("#phone-bar")
    expect(bar.locator("[data-f=state]")).to_have_text("就绪")
    assert is_registered(town)
    elder, call = arrive(town)
    bar.get_by_role("button", name="接听").click(timeout=15_000)
    expect(bar.locator("[data-f=state]")).to_have_text("通话中")
    assert board.evaluate("import('/static/phone.js').then((m) => m.phone.state.call)") == call
    elder.hang_up()
    # After the sign-out no telephone is left.
    board.get_by_role("button", name="退出").click()
    wait_until(lambda: not is_registered(town), 5, "the browser is forgotten")
    expect(second).to_have_url(re.compile("/sign-in"))
