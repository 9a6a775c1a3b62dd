"""One centre, one real desk process and one Chromium for all desk tests; a browser for each."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from home import Home
from settings import Settings, load
from tests.desk.centre import PASSWORD, Centre
from tests.telephone import claim_addresses

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = "/usr/bin/chromium"
CONFIG = """
[addresses]
host = "{host}"
[[seats]]
extension = "1001"
name = "李敏"
[[seats]]
extension = "1002"
name = "周悦"
[[trunks]]
name = "carrier"
host = "192.0.2.10:5060"
match = ["192.0.2.10"]
"""

expect.set_options(timeout=8_000)


class Desk:
    """The desk's process, started as the launcher starts it."""

    def __init__(self, home: Home, config: Path, settings: Settings) -> None:
        self.home, self.config, self.settings = home, config, settings
        self.url = f"http://{settings.addresses.desk_address}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "app.py", "desk", "--home", self.home.root, "--config", self.config],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", self.log()

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=20)

    def log(self) -> str:
        return (self.home.logs / "desk.log").read_text("utf-8")


@contextmanager
def new_home(more: str = "") -> Iterator[tuple[Home, Path, Settings]]:
    """A home with nothing in it, its settings file with `more` in it, and what that says."""
    # A Unix socket's path may have 107 characters; pytest's own folders are longer.
    folder = Path(tempfile.mkdtemp(prefix="desk-"))
    with claim_addresses(150) as block:
        home = Home(folder)
        home.prepare()
        config = folder / "careline.toml"
        config.write_text(CONFIG.format(host=block.centre) + more, "utf-8")
        yield home, config, load(config, {})
    shutil.rmtree(folder)


@contextmanager
def open_centre(home: Home, settings: Settings) -> Iterator[Centre]:
    opened = Centre(home, settings)
    opened.open()
    yield opened
    opened.close()


@contextmanager
def started_desk(home: Home, config: Path, settings: Settings) -> Iterator[Desk]:
    started = Desk(home, config, settings)
    started.start()
    yield started
    started.stop()
    # What went wrong in a page and was only logged is a failure all the same.
    assert "Traceback" not in started.log(), started.log()


@pytest.fixture(scope="package")
def desk_home() -> Iterator[tuple[Home, Path, Settings]]:
    with new_home() as made:
        yield made


@pytest.fixture(scope="package")
def centre(desk_home: tuple[Home, Path, Settings]) -> Iterator[Centre]:
    home, _, settings = desk_home
    with open_centre(home, settings) as opened:
        yield opened


@pytest.fixture(scope="package")
def desk(desk_home: tuple[Home, Path, Settings], centre: Centre) -> Iterator[Desk]:
    with started_desk(*desk_home) as started:
        yield started


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """One for all browsers: a second one cannot be begun while the first lives."""
    if not Path(CHROMIUM).exists():
        pytest.fail(f"{CHROMIUM} is missing; get it with: apt-get install chromium")
    with sync_playwright() as begun:
        yield begun


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    opened = playwright.chromium.launch(
        executable_path=CHROMIUM,
        # Chromium's own sandbox does not work as root, which is who runs the checks.
        args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
    )
    yield opened
    opened.close()


@pytest.fixture(scope="package")
def session_cookies(browser: Browser, desk: Desk) -> list[dict[str, object]]:
    return signed_in(browser, desk)


def signed_in(browser: Browser, desk: Desk) -> list[dict[str, object]]:
    """Sign in once, in the way of a person; returns the cookies."""
    context = browser.new_context(locale="zh-CN", base_url=desk.url)
    sign_in(context.new_page())
    cookies = [dict(cookie) for cookie in context.cookies()]
    context.close()
    return cookies


def sign_in(page: Page, password: str = PASSWORD, name: str = "admin") -> None:
    page.goto("/sign-in")
    page.get_by_label("用户名").fill(name)
    page.get_by_label("密码").fill(password)
    page.get_by_role("button", name="登录").click()


@pytest.fixture
def context(
    browser: Browser, desk: Desk, session_cookies: list[dict[str, object]]
) -> Iterator[BrowserContext]:
    """A signed-in Chinese browser."""
    opened = browser.new_context(locale="zh-CN", base_url=desk.url)
    opened.add_cookies(session_cookies)  # type: ignore[arg-type]
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page in it, on which no script may fail and no policy may be broken."""
    opened = context.new_page()
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on(
        "console",
        lambda said: (
            troubles.append(said.text)
            if said.type == "error" and "Content Security Policy" in said.text
            else None
        ),
    )
    yield opened
    assert not troubles, troubles


@pytest.fixture
def stranger(browser: Browser, desk: Desk) -> Iterator[Page]:
    """A browser that is not signed in."""
    context = browser.new_context(locale="zh-CN", base_url=desk.url)
    yield context.new_page()
    context.close()
