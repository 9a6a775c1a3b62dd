"""Everything runs: `./careline run`, a carrier with elders, and Chromium whose microphone plays a
file. A telephone on the table is registered for the same seat all the time.
"""

from __future__ import annotations

import shutil
import tempfile
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Playwright

from tests.desk.conftest import CHROMIUM, sign_in
from tests.desk.phone.place import SEAT_HZ, Link
from tests.house import Town, running, town_of, write_config
from tests.telephone import claim_addresses

Outside = Callable[..., Any]


@pytest.fixture(scope="package")
def outside() -> Iterator[Outside]:
    """Runs what needs an event loop of its own: the browser's occupies this thread."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda work, *words: pool.submit(work, *words).result()


@pytest.fixture(scope="package")
def town(outside: Outside) -> Iterator[Town]:
    with whole_town(outside) as opened:
        yield opened


@pytest.fixture
def own_town(outside: Outside) -> Iterator[Town]:
    """One for a test after which Asterisk is not the one that the others began with."""
    with whole_town(outside) as opened:
        yield opened


@contextmanager
def whole_town(outside: Outside) -> Iterator[Town]:
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


@pytest.fixture(scope="package")
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
            f"--use-file-for-fake-audio-capture={voice}",
            "--allow-loopback-in-peer-connection",
            "--disable-features=WebRtcHideLocalIpsWithMdns",
        ],
    )
    yield opened
    opened.close()


@pytest.fixture
def context(browser: Browser, town: Town) -> Iterator[BrowserContext]:
    """Somebody who is signed in, in Chinese, and has allowed the microphone."""
    with person(browser, town, town.house.ready["desk"]) as opened:
        yield opened
    town.assert_silent()


@pytest.fixture
def link(town: Town) -> Iterator[Link]:
    """A network that leads to the desk."""
    with Link(town.house.ready["desk"].removeprefix("http://")) as opened:
        yield opened


@pytest.fixture
def far_context(browser: Browser, town: Town, link: Link) -> Iterator[BrowserContext]:
    """The same at the other end of that network."""
    with person(browser, town, f"http://{link.address}") as opened:
        yield opened
    town.assert_silent()


@contextmanager
def person(browser: Browser, town: Town, desk: str) -> Iterator[BrowserContext]:
    opened = browser.new_context(locale="zh-CN", base_url=desk, permissions=["microphone"])
    page = opened.new_page()
    sign_in(page, town.house.admin_password)
    page.wait_for_url("**/")
    page.close()
    town.carrier.phone("1001").rings()
    town.carrier.phone("1002").is_busy()
    yield opened
    opened.close()
