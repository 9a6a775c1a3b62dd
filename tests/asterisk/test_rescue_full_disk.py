"""An emergency while the disk is full: what the dialplan must know is not on it.

Asterisk runs wholly on the small disk, AstDB as well. Careline's own processes are not there.
"""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from asterisk_conf.instance import Installation
from tests.asterisk.rescue_place import (
    CONTACT,
    CONTACTS_AFTER_S,
    LEASE_S,
    LONG_S,
    SEAT,
    SLOW_S,
    ZERO_S,
    Place,
    between,
    controlled,
    one_test,
    rings_now,
    running_place,
    step,
    talking,
    wait_for_contacts,
)
from tests.house import listen
from tests.observer import wait_until
from tests.telephone import claim_addresses

ELDER_NUMBER = "13800000061"
RELATIVE = "13900000061"


@pytest.fixture(scope="module")
def small_disk(place: Path) -> Iterator[Path]:
    """A disk of its own that can be filled; mounting one needs root."""
    disk = place / "disk"
    disk.mkdir()
    size = "size=160m,mode=0711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture(scope="module")
def whole_place(
    place: Path, small_disk: Path, prompts: Path, installation: Installation, asterisk_user: str
) -> Iterator[Place]:
    with (
        claim_addresses(60) as block,
        running_place(
            place / "full-disk", prompts, block, installation, asterisk_user, small_disk
        ) as made,
    ):
        yield made


@pytest.fixture
def town(whole_place: Place, small_disk: Path) -> Iterator[Place]:
    """The disk is full from before the emergency; nothing can be noted in AstDB any more."""
    with one_test(whole_place) as town:
        put(town, f"rescue/contact/{ELDER_NUMBER}", "1", RELATIVE)
        wait_until(lambda: is_on_disk(town), 10, "the contact is on the disk")
        ballast = small_disk / "ballast"
        wait_until(lambda: is_full(town, ballast), 10, "AstDB takes nothing")
        try:
            yield town
        finally:
            ballast.unlink()
    wait_until(lambda: put(town, "rescue/space", "1", "there is some"), 10, "space again")
    town.centre.cli("database deltree rescue")


def put(town: Place, family: str, key: str, value: str) -> bool:
    """Whether AstDB took it."""
    answer = town.observer.action("DBPut", Family=family, Key=key, Val=value)
    return bool(answer["Response"] == "Success")


def is_on_disk(town: Place) -> bool:
    """Whether AstDB has written the contact; it does so once a second."""
    file = town.centre.home.asterisk / "lib" / "astdb.sqlite3"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        return bool(database.execute("SELECT 1 FROM astdb WHERE value = ?", (RELATIVE,)).fetchall())


def is_full(town: Place, ballast: Path) -> bool:
    """Fill what is left, to the last byte; then whether AstDB really takes nothing any more."""
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    return not put(town, "full", "disk", "x" * 500)


def test_the_seats_are_rung_and_the_contacts_called_without_us(town: Place) -> None:
    """After two seconds, and after the patience; the contact joins by key 1, and then a seat."""
    relative = town.carrier.number(RELATIVE).answers(0.1, CONTACT)
    call, elder = town.elder(ELDER_NUMBER)
    room = step(town, call, "room")
    assert LEASE_S - 0.3 < between(room, step(town, call, "seats")) < LEASE_S + SLOW_S
    rung = [town.phone(seat).wait_ringing() for seat in ("1001", "1002")]
    contacts = step(town, call, "contacts", CONTACTS_AFTER_S + 3)
    assert CONTACTS_AFTER_S - 0.5 < between(room, contacts) < CONTACTS_AFTER_S + SLOW_S + 1
    leg = relative.wait_ringing().wait_talking()
    listen(leg, 1)
    leg.press("1")
    town.wait_in_room(call, "contact")
    assert not any(one.has_ended for one in rung), "a contact is no seat: they ring on"
    town.phone("1001").answers(0.1, SEAT)
    for one in rung:
        one.hang_up()
    town.wait_in_room(call, "contact", "seat", timeout=12)
    wait_until(lambda: not rings_now(town.phone("1002")), 3, "the other phone is silent")
    elder.hang_up()
    talking(town.phone("1001"))[0].hang_up()
    leg.wait_ended(3)
    town.observer.assert_idle()


@pytest.mark.parametrize("stage", ["phones ring", "a contact is asked"])
def test_the_elder_may_hang_up_and_nothing_rings_on(town: Place, stage: str) -> None:
    relative = town.carrier.number(RELATIVE).answers(0.1, CONTACT)
    call, elder = town.elder(ELDER_NUMBER)
    town.phone("1001").wait_ringing()
    if stage == "a contact is asked":
        relative.wait_ringing(CONTACTS_AFTER_S + 4).wait_talking()
    elder.hang_up()
    assert town.ended_after(call) < ZERO_S + 0.2


def test_a_controller_is_believed_and_brings_a_seat(town: Place) -> None:
    """Its claims need no disk either."""
    wait_for_contacts(town, LONG_S)
    since = town.events
    call, elder = town.elder(ELDER_NUMBER)
    with controlled(town, call):
        step(town, call, "controller")
        town.phone("1002").answers(0.1, SEAT)
        town.place(call, "effect-full")
        town.wait_in_room(call, "seat")
        listen(elder, LEASE_S + 1)
        assert not town.observer.find("Rescue", since, Step="takeover")
        elder.hang_up()
        assert town.ended_after(call) < ZERO_S


def test_the_phones_ring_also_when_no_registration_could_be_renewed(town: Place) -> None:
    """A disk that is full for longer than a registration lasts; without us, then with us."""
    wait_until(lambda: not signed_in(town), 80, "every registration has ended")
    call, elder = town.elder()
    assert between(step(town, call, "room"), step(town, call, "seats")) < LEASE_S + SLOW_S
    for seat in ("1001", "1002"):
        town.phone(seat).wait_ringing(3)
    elder.hang_up()
    assert town.ended_after(call) < ZERO_S
    wait_for_contacts(town, LONG_S)
    town.phone("1001").answers(0.1, SEAT)
    call, elder = town.elder("13800000062")
    with controlled(town, call):
        step(town, call, "controller")
        town.place(call, "effect-lapsed")
        town.wait_in_room(call, "seat")
        elder.hang_up()
        assert town.ended_after(call) < ZERO_S


def signed_in(town: Place) -> list[str]:
    """The seats that Asterisk would ring by their registration."""
    asked = {
        seat: town.observer.action("Getvar", Variable=f"PJSIP_DIAL_CONTACTS({seat})")
        for seat in ("1001", "1002")
    }
    return [seat for seat, answer in asked.items() if answer.get("Value")]
