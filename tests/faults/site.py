"""A running Careline with its surroundings, each of which can be broken alone.

The carrier brings the callers. Every seat's telephone is an Asterisk of its own, so that one seat's
phone can vanish while the others ring. The home is on a small disk of its own, which can be filled.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asterisk_conf.instance import service_user
from control import Controller
from launch import asterisk_tree
from tests.faults.shifted import CLOCK
from tests.house import ROOT, House, running, write_config
from tests.observer import Message, Observer, wait_until
from tests.telephone import Block, Carrier, SeatPhone, claim_addresses

DISK_MB = 160
RING_S = 6
WRAP_UP_S = 4
AWAY_S = 12.0
"""Longer than a writer waits for a lock, so that the database is really away."""


@dataclass
class Site:
    """`phones` are the seats' telephones by extension; `observer` watches Careline's Asterisk.

    `clock` holds how many seconds the clock of Careline and its Asterisk is ahead, where it has
    one of its own (see tests.faults.shifted).
    """

    house: House
    carrier: Carrier
    phones: dict[str, Carrier]
    observer: Observer
    clock: Path | None = None
    does: str = ""
    callers: Iterator[int] = field(default_factory=lambda: itertools.count(13900000001))

    def phone(self, seat: str) -> SeatPhone:
        return self.phones[seat].phone(seat)

    def seats_ring(self) -> None:
        """The seats' phones ring and nobody answers."""
        for seat in self.phones:
            self.phone(seat).rings()
        self.does = "ring"

    def seats_answer(self, tone: int) -> None:
        """Whoever is rung from now on answers soon."""
        for seat in self.phones:
            self.phone(seat).answers(0.3, tone)
        self.does = f"answer:0.3:{tone}"

    def pause_seats(self, paused: bool, seats: Iterable[str] = ()) -> None:
        """These seats, or all: nobody is free, or everybody is again."""
        for seat in seats or self.phones:
            answer = self.observer.action(
                "QueuePause", Interface=f"PJSIP/{seat}", Paused=str(paused).lower()
            )
            assert answer["Response"] == "Success", answer

    def start_phone(self, seat: str) -> None:
        """A phone that was gone comes back as it was."""
        phones = self.phones[seat]
        # Nobody told of the end of the calls that it had.
        phones.observer.events.append({"Event": "PhoneLost"})
        phones.start()
        phones.observer.set_global(f"DOES_phone-{seat}", self.does)
        phones.wait_registered(30)

    def watch_again(self) -> None:
        """Sign in at an Asterisk that was restarted; its events go on in the same list."""
        self.observer.close()
        self.observer = observe(self.house, self.observer.events)

    def close(self) -> None:
        self.observer.close()

    def picture(self) -> dict[str, Any]:
        """What the controller shows to the desk; empty while there is none."""

        return shown_by(self.house)

    def alarms(self) -> set[str]:
        """The kinds of the alarms that are open."""
        return {alarm["kind"] for alarm in self.picture().get("alarms", ())}

    def channels(self) -> list[Message]:
        return self.observer.list_of("CoreShowChannels")

    def where(self, call_id: str) -> str:
        """Where the caller is: room, talk, queue, menu, way (between two), or gone."""
        for channel in self.channels():
            if channel["Uniqueid"] == call_id:
                if channel["Application"] == "ConfBridge":
                    return "room"
                if channel.get("BridgeId"):
                    return "talk"
                return {"Queue": "queue", "AGI": "menu"}.get(channel["Application"], "way")
        return "gone"

    def close_line(self, call_id: str) -> None:
        """End the line of a caller whose own telephone can no longer do it."""
        for channel in self.channels():
            if channel["Uniqueid"] == call_id:
                self.observer.action("Hangup", Channel=channel["Channel"], Cause="16")

    def hang_up_all(self) -> None:
        for carrier in (self.carrier, *self.phones.values()):
            carrier.hang_up_all()

    def assert_silent(self) -> None:
        """Zero channels and zero rooms, here and there."""
        for carrier in (self.carrier, *self.phones.values()):
            carrier.observer.assert_idle(10)
        self.observer.assert_idle(10)


def shown_by(house: House) -> dict[str, Any]:
    """What the house's controller shows to the desk; empty while there is none."""

    async def ask() -> dict[str, Any]:
        controller = Controller(house.home.control_socket, house.home.secret("control"))
        try:
            async with asyncio.timeout(3), aclosing(controller.feed()) as feed:
                message = await anext(feed)
                return dict(message["data"])
        except TimeoutError:
            return {}
        finally:
            await controller.close()

    return asyncio.run(ask())


def observe(house: House, events: list[Message] | None = None) -> Observer:
    internal, secret = house.settings.addresses.internal, house.home.secret("ami")
    return Observer(internal, "careline", secret, events=events)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own; mounting one needs root."""
    folder.mkdir()
    size = f"size={DISK_MB}m,mode=0711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def open_site(
    *, own_clock: bool = False, database: str = "", keep_free_mb: int = 1
) -> Iterator[Site]:
    """Everything started, registered and silent; stopped afterwards.

    `keep_free_mb` is what recordings leave of the small disk. `database` is the address of a
    PostgreSQL's; without it there is an SQLite file in the home.
    """
    with ExitStack() as stack:
        # Asterisk's user may enter it; pytest's own folder is closed.
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="careline-")))
        place.chmod(0o711)
        disk = stack.enter_context(small_disk(place / "disk"))
        block = stack.enter_context(claim_addresses(200))
        config = write_config(place / "careline.toml", block)
        quicken(config)
        kept_free = f"keep_free_mb = {keep_free_mb}"
        config.write_text(config.read_text("utf-8").replace("keep_free_mb = 1", kept_free), "utf-8")
        if database:
            with config.open("a", encoding="utf-8") as file:
                file.write(f'[database]\nurl = "{database}"\n')
        clock = place / "clock" if own_clock else None
        with_clock = clock_of(clock) if clock else ((), {})
        house = stack.enter_context(running(disk / "home", config, *with_clock))
        for site in surround(house, block, place, stack):
            site.clock = clock
            yield site


def clock_of(file: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """The words and variables that start Careline with a clock of its own; it is right so far."""
    set_clock(file, 0)
    return (sys.executable, "-m", "tests.faults.shifted"), {
        CLOCK: str(file),
        "PYTHONPATH": str(ROOT),
    }


def set_clock(file: Path, ahead_s: int) -> None:
    """Asterisk's user reads it too. It is replaced as a whole, so that nobody reads half of it."""
    beside = file.with_suffix(".new")
    beside.write_text(f"{ahead_s:+d}\n", "ascii")
    beside.chmod(0o644)
    beside.replace(file)


def quicken(config: Path) -> None:
    """Rings and wrap-up are settings; here they are as short as the stages allow."""
    text = config.read_text("utf-8").replace("ring_s = 10", f"ring_s = {RING_S}")
    config.write_text(text.replace("wrap_up_s = 0", f"wrap_up_s = {WRAP_UP_S}", 1), "utf-8")


def surround(house: House, block: Block, place: Path, stack: ExitStack) -> Iterator[Site]:
    settings, tree, user = house.settings, asterisk_tree.find(), service_user()
    passwords = house.home.seat_passwords(tuple(seat.extension for seat in settings.seats))
    centre = settings.addresses.sip_address
    carrier = Carrier(place / "carrier", tree, user, block, centre, {})
    phones = {}
    for seat, password in passwords.items():
        own = stack.enter_context(claim_addresses(200))
        phones[seat] = Carrier(place / seat, tree, user, own, centre, {seat: password})
    for one in (carrier, *phones.values()):
        one.start()
        stack.callback(one.stop)
    site = Site(house, carrier, phones, observe(house))
    stack.callback(site.close)
    for one in phones.values():
        one.wait_registered(30)
    wait_until(lambda: all_available(site), 20, "every seat is available", site.picture)
    yield site


def all_available(site: Site) -> bool:
    """Whether the controller shows every seat as free to be rung."""
    seats = site.picture().get("seats", ())
    return bool(seats) and all(seat["state"] == "available" for seat in seats)
