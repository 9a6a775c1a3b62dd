"""`bench rescue`: how soon the seats ring, all are called, and a seat that left is replaced.

Telephones are those of another Asterisk, whose own times count: from the INVITE that leaves an
elder's telephone, or a person's click, to the INVITE that comes to a seat's or a helper's. The
second half is measured while another process writes into the database without a pause.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from control import Controller
from sql import codec
from tests.bench.place import FIRST_SEAT, configuration, put_calls_first, temporary
from tests.bench.result import Result, Target, percentile
from tests.house import Town, running, town_of
from tests.observer import Message, wait_until
from tests.telephone import Leg, claim_addresses
from workflows.commands import CallParties
from workflows.emergency_facts import Emergency

SEATS: Final = 3
HELPERS: Final = 6
NUMBER: Final = "1380000{:04d}"
HELPER: Final = "1390000{:04d}"
ROWS_AT_ONCE: Final = 500

Times = dict[str, list[float]]


def bench(calls: int = 20) -> Result:
    """So many emergencies, one after the other, half of them while the database is written to."""
    with rescue_town() as town:
        quiet, bare = Times(), Times()
        for number in range(max(1, calls // 2)):
            one_case(town, number, quiet)
            one_bare_call(town, bare)
        busy = Times()
        with writing(town.house.home.root / "careline.db"):
            for number in range(max(1, calls // 2)):
                one_case(town, number, busy)
    figures: dict[str, float | None] = {"cases": 2 * max(1, calls // 2)}
    for name, times in (("", quiet), ("busy_", busy)):
        for what, took in times.items():
            figures |= {
                f"{name}{what}_p50_ms": percentile(took, 0.5),
                f"{name}{what}_p99_ms": percentile(took, 0.99),
            }
    figures["bare_call_all_p99_ms"] = percentile(bare["call_all"], 0.99)
    targets = {
        f"{name}{what}_p99_ms": Target(at_most=bound)
        for name in ("", "busy_")
        for what, bound in (("both_ring", 300.0), ("call_all", 150.0), ("next_seat", 1000.0))
    }
    return Result("rescue", figures, targets)


@contextmanager
def rescue_town() -> Iterator[Town]:
    with temporary() as folder, claim_addresses() as block:
        config = configuration(folder / "careline.toml", block, SEATS)
        with config.open("a", encoding="utf-8") as file:
            file.write("".join(map(responder, range(HELPERS))))
        with (
            running(folder / "home", config) as house,
            town_of(house, block, folder / "carrier") as town,
        ):
            put_calls_first(house)
            for number in range(10):
                house.enter_elder(f"长者{number}", "+86" + NUMBER.format(number))
            for number in range(HELPERS):
                town.carrier.number(HELPER.format(number)).rings()
            yield town
            town.carrier.hang_up_all()


def responder(number: int) -> str:
    return (
        f'[[responders]]\ncode = "r{number}"\nsite = "main"\nkind = "station"\n'
        f'name = "驿站{number}"\nnumber = "{HELPER.format(number)}"\n'
    )


def one_case(town: Town, number: int, times: Times) -> None:
    """An elder calls, two seats answer, everybody is called, a seat hangs up."""
    first, second, third = (
        town.carrier.phone(str(FIRST_SEAT + seat)) for seat in range(SEATS)
    )  # fmt: skip
    third.rings()
    for phone in (first, second):
        phone.answers(1.0, 740)
    since = len(town.carrier.observer.events)
    elder = town.carrier.call("96000", NUMBER.format(number % 10), tone=480)
    wait_until(lambda: len(incoming(town, since, (first, second))) == 2, 20, "two seats ring")
    note(
        times, "both_ring", max(map(at, incoming(town, since, (first, second)))) - at(began(elder))
    )
    case = wait_until(lambda: case_of_two(town), 20, "both seats with the elder")
    assert case is not None
    wait_until(lambda: not ringing(third.legs()), 20, "the third seat is silent")
    call_all(town, case, times)
    since = len(town.carrier.observer.events)
    gone = first.legs()[-1]
    first.rings()
    gone.hang_up()
    end = town.carrier.observer.wait_for("Hangup", Uniqueid=gone.uniqueid)
    others = (first, third)
    wait_until(lambda: incoming(town, since, others), 20, "the next seat rings")
    note(times, "next_seat", at(incoming(town, since, others)[0]) - at(end))
    elder.hang_up()
    town.assert_silent()


def call_all(town: Town, case: Emergency, times: Times) -> None:
    since, home = len(town.carrier.observer.events), town.house.home
    everybody = tuple(f"responder/r{number}" for number in range(HELPERS))

    async def press() -> float:
        controller = Controller(home.control_socket, home.secret("control"))
        try:
            now = time.time()
            await controller.tell(
                CallParties(case_id=case.id, at=datetime.now(UTC), by="测试", parties=everybody)
            )
            return now
        finally:
            await controller.close()

    pressed = asyncio.run(press())
    note(times, "call_all", max(map(at, helpers_called(town, since))) - pressed)


def one_bare_call(town: Town, times: Times) -> None:
    """The same six calls by six bare AMI actions."""
    since, pressed = len(town.carrier.observer.events), time.time()
    for number in range(HELPERS):
        town.observer.action(
            "Originate", Channel=f"PJSIP/{HELPER.format(number)}@trunk-carrier",
            Application="Hangup", Data="16", Async="true", Timeout="5000",
        )  # fmt: skip
    note(times, "call_all", max(map(at, helpers_called(town, since))) - pressed)
    town.assert_silent()


def helpers_called(town: Town, since: int) -> list[Message]:
    helpers = [town.carrier.number(HELPER.format(number)) for number in range(HELPERS)]
    wait_until(lambda: len(incoming(town, since, helpers)) == HELPERS, 20, "all are called")
    return incoming(town, since, helpers)


def incoming(town: Town, since: int, phones: Sequence[Any]) -> list[Message]:
    """The beginning of every call that came to one of these telephones."""
    legs = {leg.uniqueid for phone in phones for leg in phone.legs()}
    begun = town.carrier.observer.find("Newchannel", since)
    return [message for message in begun if message["Uniqueid"] in legs]


def ringing(legs: Sequence[Leg]) -> list[Leg]:
    return [leg for leg in legs if not leg.has_ended]


def began(leg: Leg) -> Message:
    return leg._observer.wait_for("Newchannel", Uniqueid=leg.uniqueid)


def at(message: Message) -> float:
    return float(message["Timestamp"])


def note(times: Times, what: str, seconds: float) -> None:
    times.setdefault(what, []).append(seconds * 1000)


def case_of_two(town: Town) -> Emergency | None:
    """The emergency with which two seats are and whose elder is read."""
    home = town.house.home

    async def ask() -> list[Emergency]:
        controller = Controller(home.control_socket, home.secret("control"))
        try:
            async for message in controller.feed("emergency"):
                if message["kind"] == "snapshot":
                    return [codec.load(Emergency, one) for one in message["data"]["emergencies"]]
        finally:
            await controller.close()
        return []

    return next(
        (case for case in asyncio.run(ask()) if len(case.people) == 2 and case.cards), None
    )  # fmt: skip


@contextmanager
def writing(database: Path) -> Iterator[None]:
    """Another process writes rows, in chunks as the worker does, for as long as this lasts."""
    writer = multiprocessing.get_context("spawn").Process(target=write, args=(database,))
    writer.start()
    try:
        yield
    finally:
        writer.terminate()
        writer.join()


def write(database: Path) -> None:
    connection = sqlite3.connect(database, isolation_level=None, timeout=30)
    connection.execute("CREATE TABLE IF NOT EXISTS bench_load (id INTEGER PRIMARY KEY, text TEXT)")
    rows = [("载荷" * 40,)] * ROWS_AT_ONCE
    while True:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO bench_load (text) VALUES (?)", rows)
        connection.execute("COMMIT")
