"""The place of the emergency tests: a centre without Careline's processes, its carrier and phones.

Where a test needs the controller it renews the controller's counter itself.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import asterisk_conf.instance
import asterisk_conf.render
from asterisk_conf.instance import Installation
from asterisk_conf.render import LOOKS_PER_S
from home import Home
from settings import Settings
from tests.asterisk.conftest import Centre, running_centre
from tests.observer import Message, Observer, wait_until
from tests.telephone import Block, Carrier, Leg, SeatPhone, claim_addresses

ELDER = 480
SEAT = 740
SECOND_SEAT = 1150
CONTACT = 950
ENOUGH_S = 1.0
"""A tone that sounds this long was certainly heard."""
LEASE_S = 2.0
SLOW_S = 1.0
"""By how much this machine may be late with what the dialplan does after two seconds."""
CONTACT_SILENT_S = 8
CONTACTS_AFTER_S = 4
LONG_S = 60
"""For tests in which the controller has the case and nobody comes for some time."""
WRAP_UP_S = 30
"""So long that a test which waits for its end fails."""
ZERO_S = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """The centre, its carrier with the phones 1001 and 1002, and the phone 1003 elsewhere."""

    centre: Centre
    carrier: Carrier
    elsewhere: Carrier
    phones: dict[str, SeatPhone]

    @property
    def observer(self) -> Observer:
        return self.centre.observer

    @property
    def events(self) -> int:
        return len(self.observer.events)

    def phone(self, extension: str) -> SeatPhone:
        return self.phones[extension]

    def elder(self, number: str = "13800000001", tone: int = ELDER) -> tuple[str, Leg]:
        """An elder who is in the room: the case, and the elder's telephone."""
        since = self.events
        leg = self.carrier.call("96000", number, tone=tone)
        room = self.observer.wait_for("Rescue", 5, since, Step="room", CallerIDNum=number)
        leg.wait_talking()
        return room["Call"], leg

    def originate(self, call: str, channel: str, effect: str, role: str = "A") -> None:
        """As the controller asks for somebody."""
        answer = self.observer.action(
            "Originate",
            ("Variable", f"CARELINE_CALL={call}"),
            ("Variable", f"CARELINE_ROLE={role}"),
            ("Variable", f"CARELINE_EFFECT={effect}"),
            Channel=channel,
            ChannelId=effect,
            OtherChannelId=f"{effect}-2",
            Context="rescue-place",
            Exten="room",
            Priority="1",
            Timeout="3600000",
            Async="true",
        )
        assert answer["Response"] == "Success", answer

    def place(self, call: str, effect: str, role: str = "A") -> None:
        self.originate(call, "Local/wait@rescue-place/n", effect, role)

    def in_room(self, call: str) -> list[str]:
        """The parties of those who are in the room now: caller, seat, contact."""
        entries = self.observer.list_of("ConfbridgeList", Conference=call)
        found = [e.get("CARELINE_PARTY", "") for e in entries if e["Event"] == "ConfbridgeList"]
        return sorted(found)

    def wait_in_room(self, call: str, *parties: str, timeout: float = 12) -> None:
        wanted = sorted(("caller", *parties))
        wait_until(lambda: self.in_room(call) == wanted, timeout, f"{wanted} in {call}",
                   lambda: self.in_room(call))  # fmt: skip

    def shared(self, call: str, name: str) -> str:
        """What stands with the elder's channel: CLAIM, OWNER, WATCH, LOOKS, ALONE or LONELY."""
        answer = self.observer.action("Getvar", Channel=call, Variable=f"SHARED({name})")
        return str(answer.get("Value", ""))

    def noted(self, kind: str) -> list[str]:
        """The lists of one kind (ring, call, in), of all cases."""
        listed = self.centre.cli("dialplan show globals")
        return [line for line in listed.splitlines() if f"RESCUE_{kind}_" in line]

    def ended_after(self, call: str) -> float:
        """The seconds from the elder's end to that of the last channel, once all are gone."""
        end = self.observer.wait_for("Hangup", 5, Uniqueid=call)
        self.observer.assert_idle()
        last = self.observer.find("Hangup")[-1]
        return float(last["Timestamp"]) - float(end["Timestamp"])


def settings_of(block: Block, away: Block, call_back_s: int = 0) -> Settings:
    return Settings.model_validate(
        {
            "rescue": {"call_back_s": call_back_s},
            "centre": {"node": "test"},
            "addresses": {"host": block.centre},
            "trunks": [
                {
                    "name": "carrier",
                    "host": f"{block.carrier}:5060",
                    # The scripted peer calls as one of the carrier's machines.
                    "match": [block.carrier, block.caller(0)],
                },
                # Asked for a number when the first one cannot; it can vanish.
                {"name": "far", "host": f"{away.carrier}:5060"},
            ],
            "queues": [
                {"name": "hotline", "ring_s": 10, "wrap_up_s": WRAP_UP_S},
                {"name": "emergency", "ring_s": 10, "weight": 10},
            ],
            "seats": [
                {"extension": "1001"},
                {"extension": "1002"},
                {"extension": "1003", "queues": ["hotline"]},
            ],
        }
    )


@contextmanager
def running_place(
    folder: Path,
    prompts: Path,
    block: Block,
    installation: Installation,
    user: str,
    disk: Path | None = None,
) -> Iterator[Place]:
    """The place, until the block is left.

    The centre's home is on a disk of its own, if any, and so is AstDB, as where memory cannot be
    had.
    """
    folder.mkdir(mode=0o711)
    home = Home((disk or folder) / "rescue")
    with (
        pytest.MonkeyPatch.context() as patch,
        claim_addresses(60) as away,
    ):
        settings = settings_of(block, away)
        if disk:
            patch.setattr(asterisk_conf.instance, "MEMORY", disk / "none")
        patch.setattr(asterisk_conf.render, "CONTACTS_AFTER_S", CONTACTS_AFTER_S)
        patch.setattr(asterisk_conf.render, "CONTACT_SILENT_S", CONTACT_SILENT_S)
        with running_centre(home, settings, installation, user, prompts) as centre:
            passwords = home.seat_passwords(("1001", "1002", "1003"))
            sip = settings.addresses.sip_address
            alone = {"1003": passwords.pop("1003")}
            elsewhere = Carrier(folder / "away", installation, user, away, sip, alone)
            carrier = Carrier(folder / "town", installation, user, block, sip, passwords)
            for one in (elsewhere, carrier):
                one.start()
            try:
                for one in (elsewhere, carrier):
                    one.wait_registered()
                centre.wait_reachable("carrier")
                centre.wait_reachable("far")
                phones = {seat: carrier.phone(seat) for seat in ("1001", "1002")}
                phones["1003"] = elsewhere.phone("1003")
                yield Place(centre, carrier, elsewhere, phones)
            finally:
                for one in (elsewhere, carrier):
                    one.stop()


@contextmanager
def one_test(place: Place) -> Iterator[Place]:
    """The place for one test; afterwards nothing is left, neither channels nor rooms nor notes."""
    for seat in ("1001", "1002", "1003"):
        place.phone(seat).rings()
        place.observer.set_global(f"REFUSALS_{seat}", "0")
    wait_for_contacts(place, CONTACTS_AFTER_S)
    yield place
    place.carrier.hang_up_all()
    place.elsewhere.hang_up_all()
    place.carrier.observer.assert_idle()
    place.observer.assert_idle()
    for kind in ("ring", "call", "leg", "in"):
        assert not place.noted(kind)
    place.centre.cli("database deltree rescue/contact")


def wait_for_contacts(place: Place, seconds: int) -> None:
    """How long the dialplan lets an elder be alone whom the controller claims, from now on."""
    place.observer.set_global("RESCUE_PATIENCE", str(seconds * LOOKS_PER_S))


@contextmanager
def controlled(town: Place, *calls: str) -> Iterator[None]:
    """The controller handles these cases: it renews their claims twice a second."""
    own = Observer(
        town.centre.settings.addresses.internal, "careline", town.centre.home.secret("ami")
    )
    stop = threading.Event()

    def renew() -> None:
        for number in itertools.count(time.monotonic_ns()):
            for call in calls:
                own.action("Setvar", Channel=call, Variable="SHARED(CLAIM)", Value=str(number))
            if stop.wait(0.5):
                return

    renewing = threading.Thread(target=renew)
    renewing.start()
    try:
        yield
    finally:
        stop.set()
        renewing.join()
        own.close()


def step(town: Place, call: str, name: str, timeout: float = 10, since: int = 0) -> Message:
    return town.observer.wait_for("Rescue", timeout, since, Call=call, Step=name)


def between(one: Message, other: Message) -> float:
    return float(other["Timestamp"]) - float(one["Timestamp"])


def talking(phone: SeatPhone) -> list[Leg]:
    return [leg for leg in phone.legs() if leg.is_talking and not leg.has_ended]


def rings_now(phone: SeatPhone) -> int:
    return len([leg for leg in phone.legs() if not leg.has_ended])


@contextmanager
def vanished(town: Place) -> Iterator[float]:
    """The phone 1003 and the far carrier say and answer nothing any more, without a goodbye."""
    pid = town.elsewhere.instance.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield time.time()
    finally:
        os.kill(pid, signal.SIGCONT)
        town.elsewhere.hang_up_all()
        wait_until(lambda: _is_reachable(town), 8, "1003 is reachable again")


def _is_reachable(town: Place) -> bool:
    town.centre.cli("pjsip qualify 1003")
    return "Avail" in town.centre.cli("pjsip show aor 1003").replace("Unavail", "")
