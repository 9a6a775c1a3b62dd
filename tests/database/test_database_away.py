"""The database goes away: the desk says so at once, facts wait in order, elders do not wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import event as hook

from controller import keep_promises
from picture import LivePicture
from sql import codec
from telephony.ami import Ami, Login
from telephony.listener import Listener
from telephony.switchboard import Switchboard, TrunkNow
from telephony.translate import Translator
from tests.database.centre import NOW, Centre, whole_call
from tests.database.conftest import Cluster
from tests.database.test_commits import side_by_side
from tests.database.test_local_journal import EVERYTHING, Rescue, filling, locked, rows, whole_case
from tests.database.test_lost_answers import centre_over_a_wire, story_of
from tests.database.test_picture import until_open
from workflows.errors import StoreDown
from workflows.events import Event
from workflows.runner import Runner

SHOWN_WITHIN_S: Final = 5
"""A watch every second with a patience of two, on a machine that does other things too."""
CALLS: Final = tuple(f"c{n}" for n in range(6))


class Controller:
    """A controller's way from Asterisk's events into the database, and what its desk is shown."""

    def __init__(self, centre: Centre) -> None:
        self.centre = centre
        switchboard = Switchboard(["1001"], {"carrier": True})
        self.picture = LivePicture(switchboard, centre.store, centre.clock, lambda: None, "node1")
        self.runner = Runner(codec.PROCESSES, centre.store, centre.clock, self.picture)
        self.ami = Ami(Login("127.0.0.1", 1, "nobody", ""))
        self.listener = Listener(
            self.ami, Translator("node1", str), switchboard,
            handle_many=self.runner.handle_many, heard=self.picture.heard,
            refused=self.picture.refused,
            open_calls=self.picture.open_calls, changed=self.picture.changed,
            connected=self.picture.connected, stored=partial(self.picture.stored, "calls"),
            now=centre.clock.now,
        )  # fmt: skip

    def tell(self, events: list[Event]) -> None:
        for event in events:
            self.listener.tell(event)

    @property
    def alarms(self) -> set[str]:
        return {alarm["key"] for alarm in self.picture.snapshot()["alarms"]}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        watch = self.centre.database.watch(partial(self.picture.stored, "watch"))
        works = (watch, self.listener.run(), keep_promises(self.runner), self.picture.keep_alarms())
        tasks = [asyncio.ensure_future(work) for work in works]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(is_so: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110 — the picture is looked at, as a desk does.
            await asyncio.sleep(0.05)


async def until_row(centre: Centre, number: int, statement: str) -> None:
    async with asyncio.timeout(60):
        while len(await centre.rows(statement)) < number:  # noqa: ASYNC110 — rows tell nothing.
            await asyncio.sleep(0.1)


async def until_everything_is_kept_once(controller: Controller) -> None:
    centre = controller.centre
    await until_row(centre, len(CALLS), "SELECT * FROM call_order")
    for call in CALLS:
        story = [event for event in await story_of(centre, call) if event != "OrderLinked"]
        assert story == [type(event).__name__ for event in whole_call(call)]
        assert await story_of(centre, f"{call}/order") == ["RequestAccepted"]
    assert len(await centre.rows("SELECT * FROM recording")) == len(CALLS)


@contextmanager
def stopped(cluster: Cluster) -> Iterator[None]:
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()


def away(centre: Centre, request: pytest.FixtureRequest) -> AbstractContextManager[None]:
    """The server is stopped, or somebody holds the SQLite file."""
    if centre.database.is_sqlite:
        return locked(centre.database.url)
    return stopped(request.getfixturevalue("cluster"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sql.engine.BUSY_MS", 1000)


async def test_while_the_database_is_away_facts_wait_in_order_and_elders_do_not(
    centre: Centre, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    controller, rescue = Controller(centre), Rescue(tmp_path / "rescue")
    events = side_by_side(*CALLS)
    third = len(events) // 3
    async with controller.running(), filling(rescue, centre.store):
        controller.tell(events[:third])
        with away(centre, request):
            controller.tell(events[third : 2 * third])
            await until(lambda: "database" in controller.alarms, SHOWN_WITHIN_S)
            async with asyncio.timeout(2):
                await rescue.play(*whole_case())
            await asyncio.sleep(3)
            assert "database" in controller.alarms, "it goes on for as long as it is away"
        controller.tell(events[2 * third :])
        await until_everything_is_kept_once(controller)
        await until(lambda: "database" not in controller.alarms)
        await until(lambda: not list((tmp_path / "rescue").iterdir()))
    cases, journal, dials = await rows(centre)
    assert (cases, journal) == EVERYTHING[:2]
    assert dials[0] == EVERYTHING[2][0]


async def test_it_is_shown_also_when_nobody_calls(
    centre: Centre, request: pytest.FixtureRequest
) -> None:
    controller = Controller(centre)
    async with controller.running():
        with away(centre, request):
            await until(lambda: "database" in controller.alarms, SHOWN_WITHIN_S)
        await until(lambda: "database" not in controller.alarms)


async def test_a_server_that_only_stands_still_is_shown_and_loses_nothing(
    cluster: Cluster,
) -> None:
    """Nothing fails and nothing ends; the answers come when it goes on."""
    async with centre_over_a_wire(cluster) as (centre, wire):
        controller = Controller(centre)
        events = side_by_side(*CALLS)
        half = len(events) // 2
        async with controller.running():
            controller.tell(events[:half])
            wire.hold()
            controller.tell(events[half:])
            await until(lambda: "database" in controller.alarms, SHOWN_WITHIN_S)
            wire.go_on()
            await until_everything_is_kept_once(controller)
            await until(lambda: "database" not in controller.alarms)


async def test_an_order_that_waits_for_the_database_holds_nobody_up(
    centre: Centre,
) -> None:
    """It went away between the end of a call and the order that the end asks for."""
    controller = Controller(centre)
    runner = controller.runner
    *story, last = whole_call()
    for event in story:
        await runner.handle(event)

    commits = 0

    def refuse_all_but_the_first(_: object) -> None:
        nonlocal commits
        commits += 1
        if commits > 1:
            raise StoreDown("away")

    engine = centre.database._writer.sync_engine
    hook.listen(engine, "commit", refuse_all_but_the_first)
    async with asyncio.timeout(5):
        await runner.handle_many((last,))
    hook.remove(engine, "commit", refuse_all_but_the_first)
    assert await story_of(centre, "c1/order") == []
    promises = asyncio.ensure_future(keep_promises(runner))
    try:
        await until_row(centre, 1, "SELECT * FROM journal WHERE event = 'OrderLinked'")
    finally:
        promises.cancel()


async def test_a_carrier_that_falls_silent_meanwhile_is_shown_and_stored_later(
    centre: Centre, request: pytest.FixtureRequest
) -> None:
    """Neither the picture nor the events behind it wait for the row of an alarm."""
    controller = Controller(centre)
    async with controller.running():
        with away(centre, request):
            controller.picture.changed(TrunkNow("carrier", "down"))
            assert "trunk down/carrier" in controller.alarms
        await until_open(centre, {"trunk down/carrier"})
    (alarm,) = await centre.store.open_alarms()
    assert (alarm.key, alarm.raised_at) == ("trunk down/carrier", NOW)
