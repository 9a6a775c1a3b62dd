"""The practice town: elders call by themselves, robots answer until a person is there, and nothing
reaches a real carrier.

`./careline run` alone, as a newcomer starts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, UnixConnector
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from practice import ROBOTS, town_hosts
from sql.models import CallRecord, Elder
from sql.queries import calls, elders
from tests.audio import loud_seconds
from tests.house import ROOT, House, kept_recording, running, town_of
from tests.observer import Observer, wait_until
from tests.raw_sip import RawPeer
from tests.telephone import Block, Leg, SeatPhone, claim_addresses

TOML = """
[addresses]
host = "{host}"
[practice]
every_s = {every_s}
{more}
"""
TRUNK = '[[trunks]]\nname = "city"\nhost = "{host}:5060"\n'


@pytest.fixture
def house_block() -> Iterator[Block]:
    with claim_addresses(150) as block:
        yield block


def config_of(file: Path, block: Block, every_s: int, more: str = "") -> Path:
    file.write_text(TOML.format(host=block.centre, every_s=every_s, more=more), "utf-8")
    return file


@contextlib.contextmanager
def practising(folder: Path, config: Path, *words: str) -> Iterator[House]:
    """A house in practice whose robots are signed in."""
    starter = (str(ROOT / "careline"), "run", *words)
    with running(folder, config, starter=starter) as house:
        assert house.ready["mode"] == "practice"
        yield house


def centre_of(house: House) -> Observer:
    return Observer(house.settings.addresses.internal, "careline", house.home.secret("ami"))


def ask(house: House, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Speak to the town as the desk does."""

    async def speak() -> dict[str, Any]:
        connector = UnixConnector(str(house.home.town_socket))
        async with ClientSession("http://town", connector=connector) as http:
            sending = http.get(path) if body is None else http.post(path, json=body)
            async with sending as answer:
                said: dict[str, Any] = await answer.json()
                return said | {"status": answer.status}

    return asyncio.run(speak())


def end_calls(house: House) -> None:
    """Nobody of the town calls any more, and whoever did has hung up."""
    ask(house, "/rhythm", {"paused": True})
    town = Observer(town_hosts(house.settings)[0], "carrier", house.home.secret("town"))
    try:
        for channel in town.channels():
            town.action("Hangup", Channel=channel)
        town.assert_idle()
    finally:
        town.close()


def wait_playing(house: House) -> None:
    """Return when the town plays, and the centre knows that its carrier is there."""
    wait_until(house.home.town_socket.exists, 40, "the town plays", house.said)
    wait_until(lambda: ask(house, "/")["up"], 20, "the town's telephones")
    centre = centre_of(house)
    try:
        wait_until(lambda: _answers(centre), 40, "the town's carrier")
    finally:
        centre.close()


def _answers(centre: Observer) -> bool:
    return any(
        detail.get("Status") == "Reachable"
        for detail in centre.list_of("PJSIPShowEndpoint", Endpoint="trunk-practice")
    )


async def talked(session: AsyncSession) -> CallRecord | None:
    """A call that a robot had, once it is over."""
    row: CallRecord | None = await session.scalar(
        select(CallRecord).where(CallRecord.seat.in_(ROBOTS), CallRecord.ended_at.is_not(None))
    )
    return row


def test_elders_call_robots_answer_and_both_are_heard(place: Path, house_block: Block) -> None:
    """What a newcomer sees within a minute, without doing anything."""
    config = config_of(place / "town.toml", house_block, 5)
    with practising(place / "town", config) as house:
        found = house.wait_for(talked, "a call that a robot answered", 110)
        row = kept_recording(house, found.id)
        assert [
            elder.full_name for elder in house.read(lambda s: elders.by_number(s, row.caller_no))
        ]
        assert house.read(lambda s: calls.orders_of(s, found.id)), "a talk becomes an order"
        assert row.recording
        stereo = house.home.recordings / str(row.recording.file)
        sides = [place / "side-1.wav", place / "side-2.wav"]
        for number, side in enumerate(sides):
            subprocess.run(
                ["ffmpeg", "-v", "error", "-y", "-i", stereo, "-af", f"pan=mono|c0=c{number}",
                 "-ar", "8000", side],
                check=True,
            )  # fmt: skip
        # On the elder's side there is nothing but the elder; on the other the robot comes after
        # the notice and the greeting.
        assert loud_seconds(sides[0]) > 2
        assert loud_seconds(sides[1], 10) > 2
        assert len(house.read(lambda s: s.scalars(select(Elder))).all()) >= 30


def test_a_robot_never_takes_what_a_person_could(place: Path, house_block: Block) -> None:
    """A person signs in: the robots pause, and the next call rings that telephone alone."""
    config = config_of(place / "person.toml", house_block, 3600)
    with practising(place / "person", config) as house:
        wait_playing(house)
        end_calls(house)
        with town_of(house, house_block, place / "phones") as phones:
            seat = phones.carrier.phone("1001").answers(1.0, 740)
            phones.carrier.phone("1002").rings()
            wait_until(lambda: _paused(phones.observer) >= set(ROBOTS), 10, "robots pause")
            since = len(phones.observer.events)
            assert ask(house, "/call", {"elder": 4, "scene": "lonely"})["status"] == 200
            seat.wait_ringing(60).wait_talking()
            rung = {m["MemberName"] for m in phones.observer.find("AgentCalled", since)}
            assert not rung & set(ROBOTS)
            wait_until(lambda: ask(house, "/")["calls"][0]["call"], 10, "the elder knows it")
            _hears_speech(seat)
            end_calls(house)
            phones.assert_silent()
        centre = centre_of(house)
        try:
            wait_until(lambda: not _paused(centre), 30, "the robots are back")
        finally:
            centre.close()


def _paused(centre: Observer) -> set[str]:
    members = centre.list_of("QueueStatus", Queue="hotline")
    return {m["Name"] for m in members if m["Event"] == "QueueMember" and m["Paused"] == "1"}


def _hears_speech(seat: SeatPhone) -> None:
    """The person hears the elder speak."""
    leg = seat.legs()[-1]
    wait_until(lambda: _is_loud(leg), 25, f"speech in {leg.ears()}")


def _is_loud(leg: Leg) -> bool:
    if not leg.bytes_heard():
        return False
    raw = leg.ears().read_bytes()[44:]
    samples = memoryview(raw[: len(raw) // 2 * 2]).cast("h")
    return sum(abs(value) > 2000 for value in samples) > 4000


def test_the_rescue_numbers_and_families_answer_in_the_town(
    place: Path, house_block: Block
) -> None:
    """A seat dials 120, a relative and a mailbox: all of them are the town's own."""
    config = config_of(place / "rescue.toml", house_block, 3600)
    with practising(place / "rescue", config) as house:
        wait_playing(house)
        end_calls(house)
        with town_of(house, house_block, place / "rescue-phones") as phones:
            seat = phones.carrier.phone("1001")
            for number in ("120", "119", "110", "03742610000", "2601002"):
                leg = seat.dials(number, tone=0).wait_talking(15)
                wait_until(partial(_is_loud, leg), 20, f"{number} speaks")
                leg.hang_up()
            end_calls(house)
            phones.assert_silent()


def test_practice_sends_nothing_to_a_real_carrier(place: Path, house_block: Block) -> None:
    """With a carrier in the settings, practice does not even ask whether it is there (issue 4)."""
    more = TRUNK.format(host=house_block.caller(1))
    config = config_of(place / "trunk.toml", house_block, 3, more)
    with (
        RawPeer(house_block.caller(1)) as carrier,
        practising(place / "trunk", config, "--practice") as house,
    ):
        wait_playing(house)
        with town_of(house, house_block, place / "trunk-phones") as phones:
            seat = phones.carrier.phone("1001")
            leg = seat.dials("120", tone=0).wait_talking(15)
            leg.hang_up()
            seat.dials("13912345678").wait_ended(15)
            wait_until(
                lambda: phones.observer.find("CallArrived", Trunk="practice"), 40, "a town's call"
            )
        assert carrier.requests == []
        assert "city" not in (house.home.asterisk / "etc" / "pjsip.conf").read_text("utf-8")
    # The same home is no home for the real centre, and says what to do.
    refused = subprocess.run(
        [ROOT / "careline", "run", "--home", place / "trunk", "--config", config],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "its elders are invented" in refused.stderr
    assert "--home" in refused.stderr


def test_an_elder_calls_now_speaking_or_silent_and_the_town_comes_back(
    place: Path, house_block: Block
) -> None:
    """Told to, one calls at once; a second time not; after a crash the town is there again."""
    config = config_of(place / "now.toml", house_block, 3600)
    with practising(place / "now", config) as house:
        wait_playing(house)
        wait_until(lambda: not ask(house, "/")["calls"], 150, "the first elder has finished")
        assert ask(house, "/rhythm", {"paused": True})["paused"] is True
        centre = centre_of(house)
        try:
            since = len(centre.events)
            asked = {"elder": 2, "scene": "leak", "silent": True}
            assert ask(house, "/call", asked)["status"] == 200
            arrived = centre.wait_for("CallArrived", 5, since)
            assert arrived["CallerIDNum"] == "03742601003"
            again = ask(house, "/call", asked)
            assert (again["status"], again["error"]) == (409, "busy")
            for wrong in ({"elder": 99, "scene": "leak"}, {"elder": 1, "scene": "dragon"}):
                assert ask(house, "/call", wrong)["error"] == "unknown"
            pid = int((house.home.town / "run" / "started.pid").read_text("ascii"))
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not ask(house, "/")["up"], 10, "the town's Asterisk is away")
            wait_until(lambda: ask(house, "/")["up"], 30, "and back", house.said)
            since = len(centre.events)
            assert ask(house, "/call", {"elder": 3, "scene": "fall"})["status"] == 200
            assert centre.wait_for("CallArrived", 5, since)["Entry"] == "emergency"
        finally:
            centre.close()
    assert house.process.returncode == 0, "one Ctrl-C is enough: the town's calls end first"
