"""A desk in front of a city's data, on either database, with a controller to feed it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import ClientSession, CookieJar

from home import Home
from settings import load
from sql.queries import calls
from tests.bench import city
from tests.bench.city import Pattern
from tests.bench.place import temporary
from tests.database.conftest import running_cluster
from tests.desk.centre import PASSWORD, Centre
from tests.desk.conftest import Desk
from tests.telephone import claim_addresses
from workflows.commands import WrapUpCall
from workflows.events import CallClass

KINDS: Final = ("sqlite", "postgresql")
CONFIG: Final = """
[addresses]
host = "{host}"
[database]
url = "{url}"
[[trunks]]
name = "carrier"
host = "192.0.2.10:5060"
match = ["192.0.2.10"]
"""
OF_PATTERN: Final = "+8613700000001"


@dataclass(frozen=True, slots=True)
class DeskPlace:
    """A running desk, its controller without a telephone, and how many elders it knows."""

    desk: Desk
    centre: Centre
    elders: int
    until: datetime


@contextlib.contextmanager
def desk_place(kind: str, elders: int) -> Iterator[DeskPlace]:
    """A desk on this kind of database with so many elders and ten times as many calls."""
    with temporary() as folder, claim_addresses(150) as block, contextlib.ExitStack() as stack:
        url = "" if kind == "sqlite" else stack.enter_context(running_cluster()).new()
        home = Home(folder / "home")
        home.prepare()
        config = folder / "careline.toml"
        seats = range(city.FIRST_SEAT, city.FIRST_SEAT + city.SEATS)
        config.write_text(
            CONFIG.format(host=block.centre, url=url)
            + "".join(f'[[seats]]\nextension = "{one}"\nname = "测试坐席"\n' for one in seats),
            "utf-8",
        )
        settings = load(config, {})
        centre = Centre(home, settings)
        centre.open()
        stack.callback(centre.close)
        until = datetime.now(UTC).replace(hour=0, minute=0, second=0) - timedelta(days=1)
        city.fill(settings.database_url(home.root), _pattern(centre), elders, until)
        desk = Desk(home, config, settings)
        desk.start()
        stack.callback(desk.stop)
        yield DeskPlace(desk, centre, elders, until)


def _pattern(centre: Centre) -> Pattern:
    """One call from its arrival to its wrap-up, as a person and the worker would bring it about."""
    centre.enter_elder("试验长者", OF_PATTERN)
    call = centre.call(OF_PATTERN, ago_s=600).whole()
    call.record()
    centre.tell(
        WrapUpCall(
            case_id=call.id, at=datetime.now(UTC), by="admin", wrap_up_id="bench",
            call_class=CallClass.LIFE_SERVICE, note="测试",
        )
    )  # fmt: skip
    (order,) = centre.read(lambda session: calls.orders_of(session, call.id))
    return Pattern(call.id, order.id)


@contextlib.asynccontextmanager
async def signed_in(url: str) -> AsyncIterator[ClientSession]:
    """A visitor of the desk who has signed in as its first user."""
    async with ClientSession(url, cookie_jar=CookieJar(unsafe=True)) as session:
        async with session.get("/sign-in") as page:
            found = re.search(r'name="csrf" value="([^"]+)"', await page.text())
        assert found, "the desk shows no sign-in"
        form = {"csrf": found[1], "name": "admin", "password": PASSWORD, "next": "/"}
        async with session.post("/sign-in", data=form, allow_redirects=False) as answer:
            assert answer.status == 303, f"{answer.status}: the sign-in was refused"
        yield session
