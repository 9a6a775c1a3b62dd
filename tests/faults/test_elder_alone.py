"""An elder in the room of a whole house: whose line died, and to whom nobody comes.

The waits are not scaled here: these are the figures that are promised.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from sql.models import Alarm
from tests.desk_visitor import DeskVisitor, contacts_of
from tests.faults.test_effects_once import calls_for_help, dials, no_restart, seats_in
from tests.house import Town, call_of, listen, put_away, running, town_of, write_config
from tests.observer import wait_until
from tests.raw_sip import RawPeer
from tests.telephone import Block, claim_addresses

CONTACTS_AFTER_S = 30
LATE_S = 4.0
"""By how much the contacts may be later: the looks of a watchdog on a slow machine."""


@pytest.fixture
def block() -> Iterator[Block]:
    with claim_addresses(164) as claimed:
        yield claimed


@pytest.fixture
def town(open_place: Path, block: Block) -> Iterator[Town]:
    config = write_config(open_place / "careline.toml", block)
    with (
        running(open_place / "home", config) as house,
        town_of(house, block, open_place / "carrier") as made,
    ):
        for seat in ("1001", "1002"):
            made.carrier.phone(seat).rings()
        yield made
        made.assert_silent()


async def silences(session: AsyncSession) -> list[Alarm]:
    found = await session.scalars(select(Alarm).where(Alarm.kind == "no sound"))
    return list(found)


def open_silence(town: Town) -> str:
    """What the open alarm about a silent line says; empty without one."""
    return next((a.text for a in town.house.read(silences) if a.ended_at is None), "")


def test_the_seats_see_since_when_a_dead_line_is_silent_and_the_elder_is_not_cut(
    town: Town, block: Block
) -> None:
    """The power goes at the terminal: no goodbye, no sound, no answer. Then it is back; and at last
    Asterisk learns that the line has ended, and the room ends with it."""
    town.carrier.phone("1001").answers(0.2, 740)
    with RawPeer(block.caller(1)) as terminal:
        since = len(town.observer.events)
        sip = town.house.settings.addresses.sip_address
        elder = terminal.call(sip, "96000", f"<sip:13800000041@{terminal.host}>")
        assert elder.status() == 200
        case = call_of(town, since)
        elder.says(4)
        died = time.time()
        terminal.answers = {}
        wait_until(lambda: len(seats_in(town, case)) == 1, 10, "a seat is with the elder")
        said = wait_until(lambda: open_silence(town), 25, "the silence is shown", town.house.log)
        assert time.time() - died < 16
        found = re.search(r"since (\d\d:\d\d:\d\d)$", said)
        assert found, said
        true = datetime.fromtimestamp(died, ZoneInfo("Asia/Shanghai"))
        shown = datetime.combine(true.date(), datetime.strptime(found[1], "%H:%M:%S").time())  # noqa: DTZ007
        assert -1 <= (shown - true.replace(tzinfo=None)).total_seconds() <= 4
        seat = town.carrier.phone("1001").legs()[-1]
        listen(seat, 2)
        assert len(seats_in(town, case)) == 1, "a seat may listen for as long as it likes"
        elder.says(5)
        wait_until(lambda: not open_silence(town), 5, "the line is heard again")
        town.observer.action("Hangup", Channel=case, Cause="44")
        seat.wait_ended(3)
        seat.wait_ended()
        put_away(town.house, case)
        assert not open_silence(town)


@pytest.mark.parametrize("owner", ["controller", "dialplan"])
def test_the_contacts_are_called_after_thirty_seconds_without_anybody(
    town: Town, owner: str
) -> None:
    """The phones ring and nobody answers; the controller is in good health, or dead."""
    relative = town.carrier.number("13900000031").rings()
    DeskVisitor(town.house).enter("测试老人甲", "13800000005", (relative.number,))
    assert contacts_of(town, "13800000005") == [relative.number]
    with no_restart(town.house):
        if owner == "dialplan":
            os.kill(town.house.child("controller"), signal.SIGKILL)
        _case, elder, since = calls_for_help(town)
        room = town.observer.wait_for("Rescue", 5, since, Step="room")
        rang = town.carrier.observer
        first = rang.wait_for("Rang", CONTACTS_AFTER_S + 8, Number=relative.number)
        waited = float(first["Timestamp"]) - float(room["Timestamp"])
        print(f"contacts rung after {waited:.1f} s, {owner}")
        assert CONTACTS_AFTER_S - 1 < waited < CONTACTS_AFTER_S + LATE_S
        phone = town.carrier.phone("1001")
        assert any(not leg.has_ended for leg in phone.legs()), "the seats' phones ring on"
        elder.hang_up()


def test_the_phone_of_a_seat_who_pauses_rings_at_once_with_a_controller_in_good_health(
    town: Town,
) -> None:
    """Nobody else is there; one dial of the controller brings the seat, and it is no failure."""
    for seat in ("1001", "1002"):
        interface = f"PJSIP/{seat}"
        answer = town.observer.action("QueuePause", Interface=interface, Paused="true")
        assert answer["Response"] == "Success", answer
    town.carrier.phone("1001").answers(0.3, 740)
    case, elder, since = calls_for_help(town)
    wait_until(lambda: len(seats_in(town, case)) == 1, 10, "a seat is there", town.house.log)
    listen(elder, 3)
    assert len(seats_in(town, case)) == 1
    assert dials(town, case, since) == [f"{case}-A1"], town.house.log()
    assert not town.observer.find("Rescue", since, Step="takeover")
    assert not [a.kind for a in town.house.read(open_alarms) if case in a.key]
    elder.hang_up()


async def open_alarms(session: AsyncSession) -> list[Alarm]:
    found = await session.scalars(select(Alarm).where(Alarm.ended_at.is_(None)))
    return list(found)
