"""The desk in a real browser: how soon a page can be used, and what an open board costs."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, WebSocket, expect, sync_playwright

from tests.bench.city import FIRST_ELDER, FIRST_SEAT, SEATS, number_of
from tests.bench.desk_pages import Asked
from tests.bench.desk_place import DeskPlace
from tests.desk.centre import Call
from tests.desk.conftest import CHROMIUM, sign_in

TALK_S: Final = 180.0
"""How long a call lasts on the average: so often does one of those that are up go, and one come."""


@contextmanager
def browser(*more: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM,
            # Chromium's own sandbox does not work as root.
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required", *more],
        )
        yield opened
        opened.close()


def usable_ms(place: DeskPlace, visits: int) -> list[float]:
    """Milliseconds until each page can be used, so many times each, with an empty cache.

    It can when it is loaded with its scripts, and knows what goes on where it follows the feed.
    """
    asked = Asked(place)
    with browser() as chromium:
        cookies = _cookies(chromium, place)
        took = []
        for address in asked.pages.values():
            for _ in range(visits):
                context = _visitor(chromium, place, cookies)
                took.append(_usable(context, address()))
                context.close()
    return took


def _cookies(chromium: Browser, place: DeskPlace) -> list[Any]:
    context = chromium.new_context(locale="zh-CN", base_url=place.desk.url)
    page = context.new_page()
    sign_in(page)
    page.wait_for_url("**/")
    cookies = list(context.cookies())
    context.close()
    return cookies


def _visitor(chromium: Browser, place: DeskPlace, cookies: list[Any]) -> BrowserContext:
    context = chromium.new_context(
        locale="zh-CN", base_url=place.desk.url, viewport={"width": 1440, "height": 900}
    )
    context.add_cookies(cookies)
    return context


def _usable(context: BrowserContext, path: str) -> float:
    page = context.new_page()
    sockets: list[WebSocket] = []
    told: set[WebSocket] = set()

    def follow(socket: WebSocket) -> None:
        sockets.append(socket)
        socket.on("framereceived", lambda _: told.add(socket))

    page.on("websocket", follow)
    begun = time.perf_counter()
    page.goto(path, wait_until="load")
    for socket in sockets:
        if socket not in told:
            socket.wait_for_event("framereceived", timeout=10_000)
    return (time.perf_counter() - begun) * 1000


# ── the board ────────────────────────────────────────────────────────────────────────────────────


def board_cpu_share(place: DeskPlace, calls: int, seconds: float) -> float:
    """Of one core, what the whole browser needs for a board with so many calls and fifty seats."""
    with browser() as chromium:
        cookies = _cookies(chromium, place)
        traffic = Traffic(place, calls)
        page = _visitor(chromium, place, cookies).new_page()
        page.goto("/")
        expect(page.locator("#calls tr")).to_have_count(calls)
        expect(page.locator("#seats li")).to_have_count(SEATS)
        before, begun = _cpu_s(chromium), time.monotonic()
        # In a thread of its own, so that nothing but the page itself keeps the browser busy.
        going_on = threading.Thread(target=traffic.go_on, args=(seconds,))
        going_on.start()
        going_on.join()
        share = (_cpu_s(chromium) - before) / (time.monotonic() - begun)
        # It was alive all the time: what came last is on the screen.
        newest = page.locator(f"#calls a[href='/calls/{traffic.up[-1].call.id}']")
        expect(newest).to_have_count(1)
        traffic.end()
        return round(share, 4)


def _cpu_s(chromium: Browser) -> float:
    """Processor time that all of the browser's processes have used, in seconds."""
    session = chromium.new_browser_cdp_session()
    told = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return float(sum(process["cpuTime"] for process in told))


@dataclass(frozen=True, slots=True)
class Up:
    """A call that is up, at its seat."""

    call: Call
    seat: str


class Traffic:
    """So many calls that are up, on fifty seats; one comes whenever one goes."""

    def __init__(self, place: DeskPlace, calls: int) -> None:
        self._centre = place.centre
        self._elders = place.elders
        self._every_s = TALK_S / calls
        self._come = 0
        for number in range(SEATS):
            self._centre.seat(str(FIRST_SEAT + number), "available")
        self.up = deque(self._begin() for _ in range(calls))

    def _begin(self) -> Up:
        """A call comes in and is answered; of every ten one goes on waiting."""
        number = self._come
        self._come += 1
        call = self._centre.call(number_of(FIRST_ELDER + number * 7 % self._elders), ago_s=30)
        call.press("1")
        call.queue()
        up = Up(call, str(FIRST_SEAT + number % SEATS))
        if number % 10:
            self._centre.seat(up.seat, "ringing")
            call.ring(up.seat)
            call.answer(up.seat)
            self._centre.seat(up.seat, "talking")
        return up

    def _finish(self, up: Up) -> None:
        up.call.end(up.seat)
        self._centre.seat(up.seat, "available")

    def go_on(self, seconds: float) -> None:
        """One goes and one comes in each interval, until the time is over."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            due = time.monotonic() + self._every_s
            self._finish(self.up.popleft())
            self.up.append(self._begin())
            time.sleep(max(0.0, due - time.monotonic()))

    def end(self) -> None:
        for up in self.up:
            self._finish(up)
