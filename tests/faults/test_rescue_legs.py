"""A's work in an emergency, with real telephones: whom a seat calls, and who hears whom."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from control import Controller, ControllerDown
from sql import codec
from tests.audio import tone_so_far
from tests.house import House, Town, call_of, ended_call, listen, own_town, put_away, wish
from tests.observer import wait_until
from tests.telephone import Leg
from workflows import leg as legs
from workflows.commands import (
    CallParties,
    DropLeg,
    Mark,
    MarkLeg,
    MovePerson,
    Mute,
    TalkPrivately,
)
from workflows.emergency_facts import Emergency
from workflows.events import LegResult
from workflows.leg import State

ELDER, FAMILY, AMBULANCE = 480, 1150, 1340
TONES: Final = {"1001": 740, "1002": 940}
NUMBER = "13800000081"


def now() -> datetime:
    return datetime.now(UTC)


def snapshot_of(house: House) -> dict[str, Any]:
    """Everything that the controller tells a desk at first."""

    async def ask() -> Any:
        controller = Controller(house.home.control_socket, house.home.secret("control"))
        try:
            async for message in controller.feed("emergency"):
                if message["kind"] == "snapshot":
                    return message["data"]
        finally:
            await controller.close()

    known: dict[str, Any] = asyncio.run(ask())
    return known


def case_in(house: House, case_id: str) -> Emergency | None:
    """The emergency as the controller's feed has it."""

    known = (codec.load(Emergency, body) for body in snapshot_of(house)["emergencies"])
    return next((case for case in known if case.id == case_id), None)


class Case(NamedTuple):
    """An elder with whom both seats are: A's and B's phones, and who has which."""

    town: Town
    id: str
    elder: Leg
    a: Leg
    b: Leg

    def now(self) -> Emergency:
        case = case_in(self.town.house, self.id)
        assert case is not None
        return case

    def wait(self, what: str, is_so: Callable[[Emergency], object], timeout: float = 12) -> None:
        wait_until(lambda: is_so(self.now()), timeout, what, self.now)

    @property
    def tone_of_a(self) -> int:
        return TONES[extension(self.a)]

    @property
    def tone_of_b(self) -> int:
        return TONES[extension(self.b)]

    def call(self, *parties: str) -> None:
        wish(self.town.house, CallParties(case_id=self.id, at=now(), by="测试", parties=parties))


MORE = """
[rescue]
live = true
call_back_s = 0
[[responders]]
code = "station"
site = "main"
kind = "station"
name = "测试驿站"
number = "13900000085"
[[responders]]
code = "committee"
site = "main"
kind = "committee"
name = "测试居委会"
number = "13900000086"
"""
STATION, COMMITTEE = "13900000085", "13900000086"


@contextlib.contextmanager
def town_of_elder(more: str, number: str) -> Iterator[Town]:
    """A town with these settings, in which one elder is registered with this number."""
    folder = Path(tempfile.mkdtemp(prefix="careline-"))
    folder.chmod(0o711)
    with own_town(folder, more) as made:
        made.house.enter_elder("测试老人", f"+86{number}")
        yield made
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def whole_town() -> Iterator[Town]:
    with town_of_elder(MORE, NUMBER) as made:
        yield made


@pytest.fixture
def case(whole_town: Town) -> Iterator[Case]:
    """Both seats are with the elder; afterwards nothing is left."""
    town = whole_town
    for seat, tone in TONES.items():
        town.carrier.phone(seat).answers(0.2, tone)
    for number, tone in (("120", AMBULANCE), (STATION, FAMILY), (COMMITTEE, FAMILY)):
        town.carrier.number(number).answers(0.5, tone)
    since = len(town.observer.events)
    elder = town.carrier.call("96000", NUMBER, tone=ELDER).wait_talking()
    call = call_of(town, since)
    seated = wait_until(lambda: both_seated(town, call), 15, "both seats with the elder")
    a, b = (town.carrier.phone(who).legs()[-1] for who in seated)
    yield Case(town, call, elder, a, b)
    elder.hang_up()
    town.assert_silent()
    ended_call(town.house, call)
    put_away(town.house, call)


def extension(leg: Leg) -> str:
    return leg.number.removeprefix("phone-")


def hears_no_more(leg: Leg, tone: int) -> None:
    """Return when two seconds came in which the telephone did not hear the tone. What it hears is
    written with a delay."""

    def quiet() -> bool:
        since = leg.bytes_heard()
        listen(leg, 2)
        return tone_so_far(leg.ears(), tone, since) < 0.1

    wait_until(quiet, 12, f"no more of {tone}")


def both_seated(town: Town, call: str) -> tuple[str, ...]:
    """The extensions of A and B, once there are both."""
    known = case_in(town.house, call)
    if known is None or not known.cards:
        return ()
    who = {person.leg: person.who for person in known.people}
    seated = tuple(who[role.leg] for role in known.roles if role.leg in who)
    return seated if len(seated) == 2 else ()


def leg_of(case: Emergency, party: str) -> legs.Leg:
    return next(one for one in reversed(case.legs) if one.party == party)


@pytest.mark.row("EMG-03")
@pytest.mark.row("EMG-16")
def test_a_calls_120_aside_while_b_stays_and_brings_them_to_the_elder(case: Case) -> None:
    """One click: A hears 120 and the elder does not; one more, and all hear each other."""
    case.call("ambulance")
    case.wait("120 is with A", lambda one: leg_of(one, "ambulance").state is State.THERE)
    listen(case.a, 1, AMBULANCE)
    listen(case.elder, 1, case.tone_of_b)
    ambulance = case.town.carrier.number("120").legs()[-1]
    listen(ambulance, 1, case.tone_of_a)
    heard = case.elder.ears()
    hears_no_more(case.elder, case.tone_of_a)
    assert tone_so_far(heard, AMBULANCE, 0) < 0.2, "the elder heard nothing of it"
    leg = leg_of(case.now(), "ambulance")
    times = [leg.asked_at, leg.sent_at, leg.rang_at, leg.answered_at, leg.joined_at]
    assert all(times)
    assert times == sorted(time for time in times if time)
    for channel in (leg.channel, case.now().roles[0].leg):
        move = MovePerson(case_id=case.id, at=now(), by="测试", channel=channel, room="elder")
        wish(case.town.house, move)
    case.wait("all are with the elder", lambda one: {p.room for p in one.people} == {"elder"})
    listen(case.elder, 1, AMBULANCE)
    listen(case.elder, 1, case.tone_of_a)
    listen(ambulance, 1, ELDER)
    mute = Mute(case_id=case.id, at=now(), by="测试", channel=leg.channel, is_muted=True)
    wish(case.town.house, mute)
    hears_no_more(case.elder, AMBULANCE)
    for mark in (Mark.TOLD, Mark.ON_THE_WAY):
        wish(case.town.house, MarkLeg(case_id=case.id, at=now(), by="测试", leg=leg.id, mark=mark))
    wish(case.town.house, DropLeg(case_id=case.id, at=now(), by="测试", leg=leg.id))
    case.wait("120 is gone", lambda one: leg_of(one, "ambulance").state is State.OVER)
    leg = leg_of(case.now(), "ambulance")
    assert leg.result is LegResult.SPOKEN
    assert leg.told_at
    assert leg.on_the_way_at
    case.wait("its recording is kept", lambda one: leg_of(one, "ambulance").file, 40)
    kept = case.town.house.home.recordings / leg_of(case.now(), "ambulance").file
    assert kept.exists()


@pytest.mark.row("EMG-13")
def test_all_are_called_at_once_and_a_contact_comes_by_key_alone(case: Case) -> None:
    case.call("responder/station", "responder/committee")
    carrier = case.town.carrier
    legs_there = [carrier.number(one).wait_ringing() for one in (STATION, COMMITTEE)]
    begun = [carrier.observer.wait_for("Newchannel", Uniqueid=leg.uniqueid) for leg in legs_there]
    first, second = sorted(float(message["Timestamp"]) for message in begun)
    assert second - first < 1.0
    case.wait("both have answered", lambda one: all(leg.answered_at for leg in one.legs))
    legs_there[0].press("1")
    case.wait("the station has come", lambda one: leg_of(one, "responder/station").joined_at)
    listen(case.a, 1, FAMILY)
    # Whoever presses nothing is a mailbox.
    case.wait(
        "the committee is given up",
        lambda one: leg_of(one, "responder/committee").result is LegResult.NOT_ACCEPTED,
        40,
    )


@pytest.mark.row("NRS-01", part="emergency")
def test_noise_that_stays_is_no_word_and_the_plan_is_that_for_no_response(case: Case) -> None:
    """A television, a tap that runs: the seats see that nobody has spoken."""
    wait_until(lambda: speaking(case), 5, "the elder's line and the seats make sounds")
    case.wait("nothing was said", lambda one: one.is_speechless, 15)
    assert case.now().kind == "no_response"
    case.elder.falls_silent()
    case.wait("it had an end", lambda one: one.spoke_at)
    assert not case.now().is_speechless
    wait_until(lambda: case.id not in shown(case, "speaking").get(case.id, ()), 5, "it is quiet")
    assert not case.elder.has_ended, "nobody hangs up on silence"


def speaking(case: Case) -> bool:
    legs = shown(case, "speaking").get(case.id, ())
    return case.id in legs and len(legs) == 3


def shown(case: Case, what: str) -> dict[str, list[str]]:
    """What the controller tells every desk that comes."""
    return {one["case"]: one["legs"] for one in snapshot_of(case.town.house)[what]}


def test_busy_is_shown_and_called_again_by_one_click(case: Case) -> None:
    case.town.carrier.number(STATION).is_busy()
    case.call("responder/station")
    case.wait("it is busy", lambda one: leg_of(one, "responder/station").result is LegResult.BUSY)
    case.town.carrier.number(STATION).rings()
    case.call("responder/station")
    case.wait("it rings", lambda one: leg_of(one, "responder/station").rang_at)
    assert len(case.now().legs) == 2
    drop = DropLeg(
        case_id=case.id, at=now(), by="测试", leg=leg_of(case.now(), "responder/station").id
    )
    wish(case.town.house, drop)
    case.wait(
        "it is stopped",
        lambda one: leg_of(one, "responder/station").result is LegResult.CANCELLED,
    )


@pytest.mark.row("EMG-09")
def test_when_b_is_lost_a_comes_back_to_the_elder_with_120(case: Case) -> None:
    case.call("ambulance")
    case.wait("120 is with A", lambda one: leg_of(one, "ambulance").state is State.THERE)
    case.town.carrier.phone(extension(case.b)).rings()
    case.b.hang_up()
    listen(case.elder, 1, case.tone_of_a)
    listen(case.elder, 1, AMBULANCE)


def test_help_that_was_called_comes_though_the_elder_has_hung_up(case: Case) -> None:
    """A telephone that falls to the floor calls nobody off."""
    case.town.carrier.number(STATION).answers(6, FAMILY)
    case.call("responder/station")
    case.wait("it rings", lambda one: leg_of(one, "responder/station").rang_at)
    station = case.town.carrier.number(STATION).legs()[-1]
    case.elder.hang_up()
    station.wait_talking().press("1")
    case.wait("it has come", lambda one: leg_of(one, "responder/station").joined_at)
    listen(case.a, 1, FAMILY)
    station.hang_up()
    case.wait("it is over", lambda one: leg_of(one, "responder/station").ended_at)


@pytest.mark.row("EMG-09")
def test_a_and_b_speak_unheard_by_the_elder_and_then_are_heard_again(case: Case) -> None:
    talk = TalkPrivately(case_id=case.id, at=now(), by="测试")
    wish(case.town.house, talk)
    assert case.now().private_since
    listen(case.a, 1, case.tone_of_b)
    for tone in TONES.values():
        hears_no_more(case.elder, tone)
    wish(case.town.house, replace(talk, is_so=False))
    assert case.now().private_since is None
    listen(case.elder, 1, case.tone_of_b)
    wish(case.town.house, talk)
    # A hangs up in the middle of it: B is heard by the elder at once.
    case.a.hang_up()
    case.wait("the talk is over", lambda one: one.private_since is None)
    listen(case.elder, 1, case.tone_of_b)


@pytest.mark.row("BAK-07", part="calls")
def test_a_controller_that_is_killed_finds_every_leg_again_and_calls_nobody_twice(
    case: Case,
) -> None:
    case.town.carrier.number(STATION).rings()
    case.call("ambulance", "responder/station")
    case.wait("120 is with A", lambda one: leg_of(one, "ambulance").state is State.THERE)
    case.wait("the station rings", lambda one: leg_of(one, "responder/station").rang_at)
    before = case.now()
    os.kill(case.town.house.child("controller"), signal.SIGKILL)
    wait_until(lambda: found_again(case, before), 20, "the case as it was")
    for number in ("120", STATION):
        living = [leg for leg in case.town.carrier.number(number).legs() if not leg.has_ended]
        assert len(living) == 1
    listen(case.a, 1, AMBULANCE)
    listen(case.elder, 1, case.tone_of_b)
    # What ends while nobody listens is known afterwards.
    os.kill(case.town.house.child("controller"), signal.SIGKILL)
    case.town.carrier.number("120").legs()[-1].hang_up()
    wait_until(
        lambda: found_again(case, before) and leg_of(case.now(), "ambulance").ended_at, 20,
        "the end of 120's leg",
    )  # fmt: skip
    assert leg_of(case.now(), "ambulance").result is LegResult.SPOKEN


def found_again(case: Case, before: Emergency) -> bool:
    """Whether a controller has the case with the same seats in the same rooms."""
    with contextlib.suppress(ControllerDown):
        after = case_in(case.town.house, case.id)
        return after is not None and rooms(after) == rooms(before)
    return False


def rooms(case: Emergency) -> dict[str, str]:
    return {one.leg: one.room for one in case.people if one.party == "seat"}
