"""How long the desk takes for its pages and searches: real requests, one after the other."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import quote

from aiohttp import ClientSession

from agent_desk.routes import CALL, CASE, CASE_FILE, ELDER, ORDER, PLAN, ROUTES, USER
from sql.queries.elders import uid_of
from tests.bench import city
from tests.bench.city import Invented
from tests.bench.desk_place import DeskPlace, signed_in

NO_PAGE: Final = (
    "/healthz", "/feed", "/phone/sip", f"{CALL}/recording",
    # Only in a home without a carrier, and never asked of the database.
    "/practice", "/practice/now",
    # Nobody in this city is in an emergency now, and of those that were the lists are asked for.
    CASE, f"{CASE}/feed", "/rescue/mine", CASE_FILE, f"{CASE_FILE}.json", f"{CASE_FILE}/print",
    CASE_FILE + r"/legs/{number:[0-9]{1,4}}/recording",
)  # fmt: skip
HELP: Final = r"/help/{page:[a-z\-]{1,20}}"


class Asked:
    """What visitors ask for: other calls, elders and orders each time, the same in every run."""

    def __init__(self, place: DeskPlace) -> None:
        self._chance = random.Random(120)
        self._calls = list(city.invented(place.elders, place.until))
        self._of_elders = [one for one in self._calls if one.elder and one.is_answered]
        self._until = place.until
        self.pages: Mapping[str, Callable[[], str]] = self._pages()
        self.searches: Mapping[str, Callable[[], str]] = self._searches()

    def _call(self) -> Invented:
        return self._chance.choice(self._calls)

    def _known(self) -> Invented:
        """An answered call of an elder, which has an order."""
        return self._chance.choice(self._of_elders)

    def _elder(self) -> int:
        return self._known().elder or city.FIRST_ELDER

    def _name(self) -> str:
        return city.name_of(self._elder())

    def _uid(self) -> str:
        return uid_of(self._elder())

    def _day(self) -> str:
        return f"{self._call().at:%Y-%m-%d}"

    def _pages(self) -> dict[str, Callable[[], str]]:
        """Every page by its path in the table of routes, and the lists from somewhere in them."""
        filled: dict[str, Callable[[], str]] = {
            CALL: lambda: f"/calls/{self._call().id}",
            ORDER: lambda: f"/orders/{self._known().order_no}",
            ELDER: lambda: f"/elders/{self._uid()}",
            f"{ELDER}/edit": lambda: f"/elders/{self._uid()}/edit",
            USER: lambda: "/users/1",
            PLAN: lambda: "/plans/fall",
            f"{PLAN}.json": lambda: "/plans/fall.json",
            HELP: lambda: "/help/board",
        }
        paths = [path for method, path, *_ in ROUTES if method == "GET" and path not in NO_PAGE]
        pages = {path: filled.get(path, lambda path=path: path) for path in paths}
        return pages | {
            "/seat?seat": lambda: f"/seat?seat={self._known().seat}",
            "/calls?before": lambda: f"/calls?before={self._call().id}",
            "/orders?before": lambda: f"/orders?before={self._known().order_no}",
            "/elders?before": lambda: f"/elders?before={self._uid()}",
        }

    def _searches(self) -> dict[str, Callable[[], str]]:
        classes = ("emergency", "no_response", "other", "none")
        return {
            "elders name": lambda: f"/elders?text={quote(self._name())}",
            "elders one character": lambda: f"/elders?text={quote(self._name()[0])}",
            "elders code": lambda: f"/elders?text={self._uid()}",
            "elders number": lambda: f"/elders?text={self._known().caller.removeprefix('+86')}",
            "elders part of a number": lambda: f"/elders?text={self._known().caller[-6:]}",
            "elders contact": lambda: f"/elders?text=139{2 * self._elder() + 1:08d}",
            "elders nobody": lambda: f"/elders?text={quote(chr(0x1F475))}",
            "seat finds a name": lambda: f"/seat?seat=1001&find={quote(self._name()[:2])}",
            "calls number": lambda: f"/calls?text={self._known().caller.removeprefix('+86')}",
            "calls part of a number": lambda: f"/calls?text={self._known().caller[-6:]}",
            "calls stranger": lambda: f"/calls?text=136{self._call().number % 3000:08d}",
            "calls elder": lambda: f"/calls?text={quote(self._name())}",
            "calls one character": lambda: f"/calls?text={quote(self._name()[0])}",
            "calls code": lambda: f"/calls?text={self._uid()}",
            "calls serial number": lambda: f"/calls?text={self._call().id}",
            "calls nobody": lambda: f"/calls?text={quote(chr(0x1F475))}",
            "calls signs": lambda: f"/calls?text={quote(chr(39) + '%_' + chr(34))}",
            "calls day": lambda: f"/calls?from={(day := self._day())}&to={day}",
            "calls quarter": self._calls_quarter,
            "calls seat": lambda: f"/calls?seat={self._known().seat}",
            "calls result": lambda: f"/calls?result={self._chance.choice(('failed', 'busy'))}",
            "calls answered": lambda: "/calls?result=answered",
            "calls class": lambda: f"/calls?class={self._chance.choice(classes)}",
            "calls everything": self._calls_everything,
            "orders number": lambda: f"/orders?text={self._known().order_no}",
            "orders elder": lambda: f"/orders?text={quote(self._name())}",
            "orders need": lambda: f"/orders?text={quote(self._chance.choice(city.NEEDS))}",
            "orders one need": lambda: f"/orders?text={quote(f'测试 {self._known().number}）')}",
            "orders nobody": lambda: f"/orders?text={quote(chr(0x1F475))}",
            "orders state": lambda: f"/orders?state={self._chance.choice(('accepted', 'closed'))}",
            "orders state and need": lambda: (
                f"/orders?state=accepted&text={quote(self._chance.choice(city.NEEDS))}"
            ),
            "cases name": lambda: f"/cases?text={quote(self._name())}",
            "cases one character": lambda: f"/cases?text={quote(self._name()[0])}",
            "cases number": lambda: f"/cases?text={self._known().caller.removeprefix('+86')}",
            "cases nobody": lambda: f"/cases?text={quote(chr(0x1F475))}",
            "cases overdue": lambda: "/cases?show=overdue",
            "cases outcome": lambda: "/cases?outcome=misoperation",
            "record user": lambda: "/record?text=admin",
            "record call": lambda: f"/record?text={self._known().id}",
            "record nobody": lambda: "/record?text=nobody",
        }

    def _calls_quarter(self) -> str:
        last = self._call().at
        return f"/calls?from={last - timedelta(days=90):%Y-%m-%d}&to={last:%Y-%m-%d}"

    def _calls_everything(self) -> str:
        call = self._known()
        return (
            f"/calls?text={quote(city.name_of(call.elder or 0))}&seat={call.seat}"
            f"&result=answered&class=life_service&from={call.at - timedelta(days=90):%Y-%m-%d}"
        )


Took = dict[str, list[float]]


async def took_ms(place: DeskPlace, visits: int) -> tuple[Took, Took]:
    """Milliseconds for each page, and for each search, so many times each."""
    asked = Asked(place)
    async with signed_in(place.desk.url) as session:
        pages = await _all(session, asked.pages, visits)
        return pages, await _all(session, asked.searches, visits)


async def _all(session: ClientSession, asked: Mapping[str, Callable[[], str]], visits: int) -> Took:
    for address in asked.values():
        # A desk reads a page's template once in its life.
        await _one(session, address())
    return {
        what: [await _one(session, address()) for _ in range(visits)]
        for what, address in asked.items()
    }


async def _one(session: ClientSession, path: str) -> float:
    """From the request to the last byte of a page that is all right."""
    begun = time.perf_counter()
    async with session.get(path, headers={"Accept": "text/html"}) as answer:
        await answer.read()
    took = (time.perf_counter() - begun) * 1000
    assert answer.status == 200, f"{path}: {answer.status}"
    return took
