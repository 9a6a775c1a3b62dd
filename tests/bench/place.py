"""A house and a carrier of its own for each bench, and the load that calls it."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

import app
import precedence
from asterisk_conf.instance import service_user
from asterisk_conf.render import centre_instance
from launch import asterisk_tree
from sql.models import CallRecord, Recording
from tests.house import House, Town, running, town_of, write_config
from tests.observer import Observer, wait_until
from tests.telephone import Block, Carrier, Leg, claim_addresses

NO_MENU: Final = "96102"
"""The complaints number: a word of greeting and no menu, so that calls reach a seat soon."""
FIRST_SEAT: Final = 1001
ELDERS: Final = 10
KEPT_WITHIN_S: Final = 300
SEATS_AT: Final = '[[seats]]\nextension = "1001"'


@contextmanager
def temporary() -> Iterator[Path]:
    """A folder with a short path that Asterisk's user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def configuration(file: Path, block: Block, seats: int) -> Path:
    """Settings with so many seats."""
    write_config(file, block)
    text = file.read_text("utf-8").partition(SEATS_AT)[0]
    # As many lines and ports as the most calls of a ceiling want.
    text = text.replace("[centre]\n", "[centre]\nlines = 1000\n")
    text = text.replace("[addresses]\n", '[addresses]\nrtp = "10000-14999"\n')
    text += "".join(
        f'[[seats]]\nextension = "{FIRST_SEAT + number}"\n' for number in range(max(seats, 1))
    )
    file.write_text(text, "utf-8")
    return file


@contextmanager
def bench_house() -> Iterator[tuple[House, Block]]:
    """A running house with one seat and nobody to call it."""
    with temporary() as folder, claim_addresses() as block:
        config = configuration(folder / "careline.toml", block, 1)
        with running(folder / "home", config) as house:
            put_calls_first(house)
            yield house, block


@contextmanager
def bench_town(seats: int) -> Iterator[Town]:
    """A running house whose seats all answer, and a carrier to call it from."""
    with temporary() as folder, claim_addresses() as block:
        config = configuration(folder / "careline.toml", block, seats)
        with (
            running(folder / "home", config) as house,
            town_of(house, block, folder / "carrier") as town,
        ):
            put_calls_first(house)
            for extension in range(FIRST_SEAT, FIRST_SEAT + seats):
                town.carrier.phone(str(extension)).answers(0.2, 740)
            for number in range(ELDERS):
                house.enter_elder(f"长者{number}", caller(number))
            yield town
            town.carrier.hang_up_all()


def put_calls_first(house: House) -> None:
    """As the units do by CPUWeight; a start by root can do so only where it has the right."""
    for name, niceness in app.PRECEDENCE.items():
        asyncio.run(precedence.give(niceness, house.child(name)))
    asyncio.run(precedence.give(precedence.FIRST, asterisk_pid(house)))


def caller(number: int) -> str:
    """One of the numbers that belong to an elder of the register, over and over."""
    return f"1380000{number % ELDERS:04d}"


@dataclass(slots=True)
class Load:
    """Calls that the carrier places, so many a second."""

    carrier: Carrier
    per_second: float
    placed: int = 0

    def place(self, calls: int) -> Iterator[Leg]:
        """Place so many calls, each at its time; yields each as it is placed."""
        begun = time.monotonic()
        for number in range(calls):
            wait = begun + number / self.per_second - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            self.placed += 1
            yield self.carrier.call(NO_MENU, caller(self.placed), tone=440)


def put_down(observer: Observer, legs: Sequence[Leg]) -> None:
    """Hang up without waiting for the end; Asterisk takes a channel's id for its name."""
    for leg in legs:
        observer.action("Hangup", Channel=leg.uniqueid, Cause="16")


def asterisk_pid(house: House) -> int:
    """The process of the house's Asterisk."""
    tree = asterisk_tree.find()
    pid = centre_instance(house.settings, house.home, tree, service_user()).pid
    assert pid is not None, "Asterisk does not run"
    return pid


def cpu_s(pid: int) -> float:
    """Processor time that the process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory_mb(pid: int) -> float:
    """The most memory that the process ever had resident."""
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise AssertionError(f"no memory is told of process {pid}")


@dataclass(frozen=True, slots=True)
class Talk:
    """One call by Asterisk's own times: seconds recorded before its talk, and seconds of talk."""

    before_s: float
    bridged_s: float

    def recorded_s(self, length_s: float) -> float:
        """Seconds of the talk that a recording of this length holds.

        Whatever is missing in it counts as missing from the talk.
        """
        return min(max(length_s - self.before_s, 0.0), self.bridged_s)


def talks(observer: Observer) -> dict[str, Talk]:
    """Every call that was recorded and bridged with a seat, by id."""
    recording, met = _first(observer, "MixMonitorStart"), _first(observer, "BridgeEnter")
    return {
        call: Talk(met[call] - begun, _until_left(observer, call) - met[call])
        for call, begun in recording.items()
        if call in met
    }


def _first(observer: Observer, event: str) -> dict[str, float]:
    """When each channel first had this event, in seconds since 1970."""
    times: dict[str, float] = {}
    for message in observer.find(event):
        times.setdefault(message["Uniqueid"], float(message["Timestamp"]))
    return times


def _until_left(observer: Observer, call: str) -> float:
    return float(observer.find("BridgeLeave", Uniqueid=call)[-1]["Timestamp"])


def share(talked: Mapping[str, Talk], lengths: Mapping[str, float]) -> float:
    """Recorded seconds of talk ÷ seconds of talk; `lengths` are the recordings', in seconds."""
    recorded = sum(talk.recorded_s(lengths.get(call, 0.0)) for call, talk in talked.items())
    return recorded / sum(talk.bridged_s for talk in talked.values())


def kept_lengths(house: House, calls: int) -> dict[str, float]:
    """Seconds of each call's recording, once so many are verified and kept."""

    async def ask(session: AsyncSession) -> dict[str, float]:
        rows = await session.execute(
            select(Recording.call_id, Recording.seconds).where(Recording.state == "kept")
        )
        kept = {call: seconds or 0.0 for call, seconds in rows}
        return kept if len(kept) >= calls else {}

    deadline = time.monotonic() + KEPT_WITHIN_S
    while not (kept := house.read(ask)):
        assert time.monotonic() < deadline, f"recordings are missing\n{house.log('worker')}"
        time.sleep(1)
    lengths: dict[str, float] = kept
    return lengths


def answered(house: House) -> int:
    """How many calls a seat answered, as their rows say."""

    async def ask(session: AsyncSession) -> int:
        rows = select(func.count()).where(CallRecord.result == "answered")
        return await session.scalar(rows) or 0

    return int(house.read(ask))


def talk(
    carrier: Carrier, observer: Observer, calls: int, seconds: float, per_second: float = 5.0
) -> None:
    """Place the calls, let each talk so long, and hang them up in their order.

    `observer` watches the centre, from before the first call on.
    """
    legs = list(Load(carrier, per_second).place(calls))
    wait_until(
        lambda: len(observer.find("AgentConnect")) >= calls, 60, f"{calls} calls with a seat"
    )
    begun = time.monotonic()
    for number, leg in enumerate(legs):
        wait = begun + seconds + number / per_second - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        put_down(carrier.observer, [leg])
    wait_until(lambda: not observer.channels(), 30, "the end of every call")
