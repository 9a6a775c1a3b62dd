"""Two seats, one case, live: `./careline run`, real telephones, and a browser for each seat."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.audio import tone_so_far
from tests.desk.conftest import sign_in
from tests.desk.looks import look_at
from tests.house import Town, call_of, ended_call, listen, own_town

NUMBER: Final = "13800000091"
ELDER, AMBULANCE = 480, 1340
TONES: Final = {"1001": 740, "1002": 940}
LIVE: Final = "[rescue]\nlive = true\ncall_back_s = 0\n"
WITHIN_MS: Final = 1000
SEEN: Final = """() => new Promise((seen) => {
  const look = () => document.querySelector("#in-side .ringing, #in-side .live")
    && seen(Date.now());
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
  look();
})"""

Outside = Callable[..., Any]


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    """Runs what needs an event loop of its own: the browser's occupies this thread."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda work, *words: pool.submit(work, *words).result()


@pytest.fixture(scope="module")
def town(outside: Outside) -> Iterator[Town]:
    folder = Path(tempfile.mkdtemp(prefix="careline-"))
    folder.chmod(0o711)
    stack = ExitStack()
    try:
        town = outside(stack.enter_context, own_town(folder, LIVE))
        outside(town.house.enter_elder, "测试老人己", f"+86{NUMBER}")
        yield town
    finally:
        outside(stack.close)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def seats(browser: Browser, town: Town) -> Iterator[dict[str, Page]]:
    """A browser at each seat, with the seat's page open."""
    contexts = []
    pages = {}
    for seat in TONES:
        context = browser.new_context(locale="zh-CN", base_url=town.house.ready["desk"])
        contexts.append(context)
        pages[seat] = page = context.new_page()
        sign_in(page, town.house.admin_password)
        page.wait_for_url("**/")
        page.goto(f"/seat?seat={seat}")
        expect(page.get_by_role("heading", name="没有来电")).to_be_visible()
    yield pages
    for context in contexts:
        context.close()


@pytest.mark.row("EMG-03")
@pytest.mark.row("EMG-08")
@pytest.mark.row("EMG-09")
@pytest.mark.row("EMG-10")
def test_two_seats_lead_one_rescue_on_one_page(
    seats: dict[str, Page], town: Town, outside: Outside
) -> None:
    for seat, tone in TONES.items():
        town.carrier.phone(seat).answers(0.2, tone)
    town.carrier.number("120").answers(2.0, AMBULANCE)
    since = len(town.observer.events)
    elder = town.carrier.call("96000", NUMBER, tone=ELDER).wait_talking()
    case = call_of(town, since)
    # Whoever has answered stands before the case, without having touched anything.
    for page in seats.values():
        expect(page).to_have_url(re.compile(f"/rescue/{re.escape(case)}"), timeout=20_000)
        expect(page.locator("#who")).to_have_text("测试老人己", timeout=10_000)
        expect(page.locator("#posts .vacant")).to_have_count(0, timeout=15_000)
    of_role = {
        page.locator("#posts .mine").inner_text()[0]: (seat, page) for seat, page in seats.items()
    }
    (_, a), (seat_b, b) = of_role["A"], of_role["B"]
    look_at(a, "rescue-live-a")

    # A calls 120 with one key, and B sees it.
    b.evaluate(f"void (window.seen = ({SEEN})())")
    pressed = a.evaluate("Date.now()")
    a.keyboard.press("1")
    seen = b.evaluate("window.seen")
    assert seen - pressed < WITHIN_MS, f"{seen - pressed} ms"
    coming = b.locator("#coming li", has_text="120")
    expect(coming).to_be_visible(timeout=15_000)
    expect(b.locator("#in-side .live")).to_have_count(2)
    listen(elder, 1, TONES[seat_b])
    assert tone_so_far(elder.ears(), AMBULANCE, 0) < 0.2, "the elder hears nothing of 120"

    # B writes what the elder says, and A can read it to 120.
    b.keyboard.press("n")
    b.keyboard.type("右髋痛，不能站")
    b.keyboard.press("Enter")
    expect(a.locator("#card [data-f=condition]")).to_have_text("右髋痛，不能站", timeout=WITHIN_MS)
    a.keyboard.press("t")
    expect(coming.locator("[data-mark=told]")).to_have_attribute("aria-pressed", "true")

    # Help is on the way: B is alerted, and ticks that the elder knows.
    a.keyboard.press("w")
    expect(b.locator("#news li")).to_contain_text("120 急救 已出发", timeout=WITHIN_MS)
    # Also with the finger on what is being written.
    b.keyboard.press("Alt+e")
    expect(a.locator("#coming li")).to_contain_text("老人已知道")

    # 120 speaks to the elder.
    a.keyboard.press("j")
    expect(b.locator("#in-elder")).to_contain_text("120", timeout=5_000)
    listen(elder, 1, AMBULANCE)
    ambulance = b.locator("#in-elder li", has_text="120")
    ambulance.get_by_role("button", name="挂断").click()
    expect(ambulance).to_have_count(0, timeout=10_000)
    elder.hang_up()
    for page in (a, b):
        expect(page.locator("#over")).to_contain_text("老人已挂断", timeout=10_000)
    outside(ended_call, town.house, case)
    a.goto("/record")
    for said in ("呼叫求助", "记录了老人现状", "标记了救援进展"):
        expect(a.locator("main")).to_contain_text(said)
    town.assert_silent()
