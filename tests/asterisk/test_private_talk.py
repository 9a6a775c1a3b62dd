"""The private talk of two seats: each hears the other and the elder, and the elder hears neither.

Who heard whom is proven by tones between two real Asterisk instances; the talk is begun and ended
as the controller does it, by its own connection.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pytest

from asterisk_conf.instance import Installation
from asterisk_conf.ports import AMI_PORT, AMI_USER
from telephony import cel
from telephony.ami import AmiEvent
from telephony.listings import live_channels, people_in, rooms_of
from telephony.private_talk import begin, end, sweep
from telephony.reconcile import OpenCall, missed_events
from telephony.rescue_events import elders_in_rooms, living_dials, person_on, rescue_events
from telephony.translate import Translator, plain, variable
from tests.asterisk.rescue_place import (
    ELDER,
    ENOUGH_S,
    LONG_S,
    SEAT,
    SECOND_SEAT,
    SLOW_S,
    Place,
    controlled,
    one_test,
    running_place,
    talking,
    wait_for_contacts,
)
from tests.audio import Samples, samples, tone_seconds, tone_times
from tests.board import listening
from tests.connection import Connection, connected
from tests.house import listen
from tests.observer import wait_until
from tests.telephone import Leg, claim_addresses, finished
from workflows.errors import NotAllowed, NotFound, TelephonyDown
from workflows.events import LegEnded, PrivateTalkOver

T = TypeVar("T")
A, B = "1001", "1002"
TALK_S: Final = 3.0
SETTLED_S: Final = 0.3
"""Sound that is on its way, and the steps in which tones are judged."""
AT_ONCE_S: Final = 0.2


@pytest.fixture(scope="module")
def whole_place(
    place: Path, prompts: Path, installation: Installation, asterisk_user: str
) -> Iterator[Place]:
    with (
        claim_addresses(60) as block,
        running_place(place / "private", prompts, block, installation, asterisk_user) as made,
    ):
        yield made


@pytest.fixture
def town(whole_place: Place) -> Iterator[Place]:
    with one_test(whole_place) as town:
        wait_for_contacts(town, LONG_S)
        yield town


@pytest.fixture
def controller(town: Place) -> Iterator[Connection]:
    with connected(town.centre.settings, town.centre.home) as controller:
        yield controller


@dataclass(frozen=True, slots=True)
class Case:
    """An emergency with both seats in the elder's room. `legs` are the seats' channels' ids."""

    town: Place
    id: str
    elder: Leg
    legs: dict[str, str]

    def phone(self, seat: str) -> Leg:
        return talking(self.town.phone(seat))[0]

    def channel(self, seat: str) -> str:
        """The name of the seat's channel."""
        listed = self.town.observer.list_of("CoreShowChannels")
        return next(m["Channel"] for m in listed if m["Uniqueid"] == self.legs[seat])

    def move(self, seat: str, room: str) -> None:
        """Into the room "side" or "elder", as the controller moves a leg."""
        since = self.town.events
        answer = self.town.observer.action(
            "Redirect", Channel=self.channel(seat), Context="rescue-move", Exten=room, Priority="1"
        )
        assert answer["Response"] == "Success", answer
        self.town.observer.wait_for("ConfbridgeJoin", 3, since, Uniqueid=self.legs[seat])

    def record(self, seat: str) -> tuple[Path, Path]:
        """Record the seat's leg from now on; what comes from the seat, and what goes to it."""
        stem = self.town.centre.home.live_recordings / f"{self.id}-{seat}"
        said, told = Path(f"{stem}-said.wav"), Path(f"{stem}-told.wav")
        answer = self.town.observer.action(
            "MixMonitor", Channel=self.channel(seat), File=f"{stem}.wav",
            Options=f"r({said})t({told})",
        )  # fmt: skip
        assert answer["Response"] == "Success", answer
        return said, told

    def over(self) -> dict[str, Path]:
        """Everybody hangs up; what each of them heard."""
        phones = {"elder": self.elder} | {seat: self.phone(seat) for seat in self.present()}
        self.town.carrier.hang_up_all()
        self.town.ended_after(self.id)
        return {name: leg.heard() for name, leg in phones.items()}

    def present(self) -> list[str]:
        return [seat for seat in (A, B) if talking(self.town.phone(seat))]


@contextmanager
def emergency(town: Place) -> Iterator[Case]:
    for seat, tone in ((A, SEAT), (B, SECOND_SEAT)):
        town.phone(seat).answers(0.1, tone)
    call, elder = town.elder()
    with controlled(town, call):
        for role in ("A", "B"):
            town.place(call, f"{call}-{role}1", role)
        town.wait_in_room(call, "seat", "seat")
        listed = town.observer.list_of("CoreShowChannels")
        legs = {m["Channel"][6:10]: m["Uniqueid"] for m in listed if m["CARELINE_PARTY"] == "seat"}
        assert sorted(legs) == [A, B]
        listen(elder, 1, SEAT)
        yield Case(town, call, elder, legs)


def of_talk(town: Place) -> list[str]:
    """The channels of private talks that live."""
    listed = town.observer.list_of("CoreShowChannels")
    return [m["Channel"] for m in listed if m.get("CARELINE_PARTY") == "duo"]


def speak(town: Place) -> int:
    """How many seats are listened to by a half."""
    listed = town.observer.list_of("CoreShowChannels")
    return len([m for m in listed if m["Application"] == "ChanSpy"])


def is_held(case: Case, seat: str) -> bool:
    """Whether it is noted that the seat is mute towards its room."""
    answer = case.town.observer.action(
        "Getvar", Channel=case.legs[seat], Variable="SHARED(DUO)"
    )  # fmt: skip
    return bool(answer.get("Value"))


def silent_seconds(wav: Path, *tones: int) -> float:
    """The longest time between two moments at which any of the tones sounded."""
    found = sorted({moment for tone in tones for moment in tone_times(wav, tone, share=0.1)})
    return max(after - before for before, after in itertools.pairwise(found))


def begins_after(wav: Path, tone: int) -> float:
    """When the tone is first heard, in steps of 10 ms."""
    sound, rate = samples(wav)
    size = rate // 100
    for start in range(0, len(sound) - 4 * size, size):
        piece = sound[start : start + 4 * size]
        turn = [piece @ wave for wave in _waves(tone, rate, len(piece))]
        if sum(part**2 for part in turn) ** 0.5 / len(piece) > 0.005:
            return start / rate
    raise AssertionError(f"{tone} Hz never sounds in {wav}")


def _waves(tone: int, rate: int, length: int) -> tuple[Samples, Samples]:
    moments = 2 * np.pi * tone * np.arange(length) / rate
    return np.sin(moments), np.cos(moments)


@pytest.mark.row("EMG-09")
def test_two_seats_speak_and_the_elder_hears_neither(town: Place, controller: Connection) -> None:
    """Each hears the other and the elder all the time. Begun twice it is one talk, ended twice it
    is over; then the elder hears both again, at once. The elder's recording has none of it; one of
    a seat's leg has what this seat said, and not what it was told."""
    with emergency(town) as case:
        said, told = case.record(A)
        called = time.monotonic()
        controller.do(begin(controller.ami, case.id, case.legs[A], case.legs[B]))
        begun = time.monotonic()
        controller.do(begin(controller.ami, case.id, case.legs[A], case.legs[B]))
        listen(case.phone(A), TALK_S)
        assert len(of_talk(town)) == 6, "one watch and two halves, of two channels each"
        assert town.in_room(case.id) == ["caller", "seat", "seat"]
        case.elder.keep_early_sound()
        kept = time.monotonic()
        case.elder.wait_kept(0.5)
        ends = time.monotonic()
        controller.do(end(controller.ami, case.id))
        ended = time.monotonic()
        assert not any(is_held(case, seat) for seat in (A, B))
        controller.do(end(controller.ami, case.id))
        wait_until(lambda: not of_talk(town), 1, "the talk's channels are gone")
        assert town.observer.rooms() == [case.id]
        listen(case.elder, 1.5, SEAT)
        heard = case.over()
        again = begins_after(case.elder.heard_early(), SEAT) - (ends - kept)
    print(
        f"begin took {begun - called:.3f} s, end {ended - ends:.3f} s; "
        f"the elder heard A again {again:.3f} s after the asking"
    )
    assert again < AT_ONCE_S + SLOW_S
    for seat, other in ((A, SECOND_SEAT), (B, SEAT)):
        for tone in (ELDER, other):
            gap = silent_seconds(heard[seat], tone)
            assert gap < 0.4 + SLOW_S, (seat, tone, gap)
    others = finished(town.centre.recording(case.id, "others"))
    for wav in (heard["elder"], others):
        assert silent_seconds(wav, SEAT, SECOND_SEAT) > ends - begun - SETTLED_S, wav
        for tone in (SEAT, SECOND_SEAT):
            assert tone_seconds(wav, tone, share=0.1) > 2 * ENOUGH_S, "before and after it"
    assert silent_seconds(finished(said), SEAT) < SETTLED_S
    assert silent_seconds(finished(told), SECOND_SEAT) > ends - begun - SETTLED_S


@pytest.mark.row("EMG-09")
def test_a_seat_in_another_room_speaks_too_and_may_change_its_room_meanwhile(
    town: Place, controller: Connection
) -> None:
    """A is in the side room, alone with B's voice; then it comes to the elder, unheard."""
    with emergency(town) as case:
        case.move(A, "side")
        phone = case.phone(A).keep_early_sound()
        kept = time.monotonic()
        phone.wait_kept(0.5)
        called = time.monotonic()
        controller.do(begin(controller.ami, case.id, case.legs[A], case.legs[B]))
        listen(phone, TALK_S, SECOND_SEAT)
        case.move(A, "elder")
        joined = case.phone(A).bytes_heard()
        listen(phone, TALK_S, SECOND_SEAT)
        assert speak(town) == 2
        assert case.phone(A).bytes_heard() > joined
        still = time.monotonic()
        heard = case.over()
        after = begins_after(phone.heard_early(), SECOND_SEAT) - (called - kept)
    print(f"A heard B {after:.3f} s after the asking")
    assert 0 < after < 0.3 + SLOW_S
    assert still > called
    # Before the talk the elder heard both, then none of them to the end.
    last = max(tone_times(heard["elder"], SECOND_SEAT, share=0.1))
    assert last < max(tone_times(heard[B], ELDER)) - 2 * TALK_S + 2 * SETTLED_S
    assert tone_seconds(heard[A], ELDER) > 2 * ENOUGH_S, "before, and in the elder's room again"


def _a_hangs_up(case: Case) -> None:
    case.phone(A).hang_up()


def _a_half_dies(case: Case) -> None:
    halves = [one for one in of_talk(case.town) if "meet@duo" in one and one.endswith(";1")]
    case.town.observer.action("Hangup", Channel=min(halves))


def _an_end_in_their_room_dies(case: Case) -> None:
    halves = [one for one in of_talk(case.town) if "meet@duo" in one and one.endswith(";2")]
    case.town.observer.action("Hangup", Channel=max(halves))


def _the_watch_dies(case: Case) -> None:
    watch = next(one for one in of_talk(case.town) if "watch@duo" in one and one.endswith(";2"))
    case.town.observer.action("Hangup", Channel=watch)


@pytest.mark.row("EMG-09")
@pytest.mark.parametrize(
    "drops", [_a_hangs_up, _a_half_dies, _an_end_in_their_room_dies, _the_watch_dies]
)
def test_whatever_drops_the_talk_ends_and_nobody_stays_mute(
    town: Place, controller: Connection, drops: Callable[[Case], None]
) -> None:
    with emergency(town) as case:
        controller.do(begin(controller.ami, case.id, case.legs[A], case.legs[B]))
        listen(case.elder, 1)
        case.elder.keep_early_sound()
        kept, since = time.monotonic(), town.events
        case.elder.wait_kept(0.5)
        dropped = time.monotonic()
        drops(case)
        town.observer.wait_for("Rescue", 2, since, Call=case.id, Step="private-over")
        wait_until(lambda: not of_talk(town), 1, "the talk's channels are gone")
        listen(case.elder, 1.5, SECOND_SEAT)
        assert not any(is_held(case, seat) for seat in case.present())
        present = case.present()
        case.over()
        early = case.elder.heard_early()
        tones = {A: SEAT, B: SECOND_SEAT}
        for seat in present:
            again = begins_after(early, tones[seat]) - (dropped - kept)
            print(f"{drops.__name__}: the elder heard {seat} again after {again:.3f} s")
            assert 0 < again < AT_ONCE_S + SLOW_S
    assert (A in present) == (drops is not _a_hangs_up)


def test_the_elder_hangs_up_and_the_seats_go_on_in_the_room(
    town: Place, controller: Connection
) -> None:
    """Each hears the other in the room; nothing is left of the talk."""
    with emergency(town) as case:
        controller.do(begin(controller.ami, case.id, case.legs[A], case.legs[B]))
        listen(case.phone(B), 1)
        case.elder.hang_up()
        wait_until(lambda: not of_talk(town), 1 + SLOW_S, "the talk's channels are gone")
        assert not any(is_held(case, seat) for seat in (A, B))
        for seat, tone in ((A, SECOND_SEAT), (B, SEAT)):
            listen(case.phone(seat), 1.5, tone)
        with pytest.raises(NotFound, match="has hung up"):
            controller.do(begin(controller.ami, case.id, case.legs[A], case.legs[B]))
        case.over()


def test_a_forgotten_talk_ends_by_itself(town: Place, controller: Connection) -> None:
    with emergency(town) as case:
        begun = time.monotonic()
        controller.do(begin(controller.ami, case.id, case.legs[A], case.legs[B], longest_s=TALK_S))
        listen(case.phone(A), TALK_S / 2)
        assert speak(town) == 2
        wait_until(lambda: not of_talk(town), TALK_S + SLOW_S, "the talk is over")
        lasted = time.monotonic() - begun
        assert TALK_S - 0.5 < lasted < TALK_S + SLOW_S
        listen(case.elder, 1.5, SEAT)
        heard = case.over()
    assert tone_seconds(heard["elder"], SECOND_SEAT, share=0.1) > 2 * ENOUGH_S


def test_only_two_seats_of_the_case_speak_in_private(town: Place, controller: Connection) -> None:
    """What is refused says why, and begins nothing."""
    with emergency(town) as case:
        a, b = case.legs[A], case.legs[B]
        for legs, error in (
            ((a, a), NotAllowed),
            ((a, case.id), NotAllowed),
            ((a, "gone.1"), NotFound),
            ((a, f"{b}\r\nAction: Ping"), NotFound),
        ):
            with pytest.raises(error):
                controller.do(begin(controller.ami, case.id, *legs))
        with pytest.raises(NotFound):
            controller.do(begin(controller.ami, "other.1", a, b))
        controller.do(end(controller.ami, "other.1"))
        assert not of_talk(town)
        listen(case.elder, 1, SEAT)
        case.over()


def test_a_half_that_finds_no_other_ends_and_says_so(town: Place, controller: Connection) -> None:
    """Whoever may not meet the other is heard by the elder again; pressing again may do it."""
    with emergency(town) as case:
        town.centre.cli("dialplan remove extension meet@duo")
        try:
            with pytest.raises(TelephonyDown, match="press again"):
                controller.do(begin(controller.ami, case.id, case.legs[A], case.legs[B]))
            wait_until(lambda: not of_talk(town), 1, "no channel of it is left")
            listen(case.elder, 1.5, SEAT)
        finally:
            town.centre.cli("dialplan reload")
        controller.do(begin(controller.ami, case.id, case.legs[A], case.legs[B]))
        assert speak(town) == 2
        case.over()


@pytest.mark.parametrize("module", ["func_volume.so", "func_export.so", "app_chanspy.so"])
def test_an_asterisk_that_cannot_mute_or_join_begins_no_talk(
    town: Place, controller: Connection, module: str
) -> None:
    """Somebody who believes to be unheard must be."""
    with emergency(town) as case:
        assert "Unloaded" in town.centre.cli(f"module unload {module}")
        try:
            with pytest.raises(TelephonyDown):
                controller.do(begin(controller.ami, case.id, case.legs[A], case.legs[B]))
            wait_until(lambda: not of_talk(town), 1, "no channel of it is left")
            listen(case.elder, 1.5, SEAT)
        finally:
            assert "Loaded" in town.centre.cli(f"module load {module}")
        case.over()


BEGINS: Final = """
import asyncio, sys
from telephony.ami import Ami, Login
from telephony.private_talk import begin

async def main(host, port, user, secret, *words):
    ami = Ami(Login(host, int(port), user, secret))
    running = asyncio.ensure_future(ami.run())
    while not ami.is_up:
        await asyncio.sleep(0.01)
    print("connected", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await begin(ami, *words)
    print("begun", flush=True)
    await running

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("after_s", [0.003, 0.01, 0.03, 0.08, 1.0])
def test_a_controller_that_is_killed_leaves_no_talk_or_a_whole_one(
    town: Place, controller: Connection, after_s: float
) -> None:
    """The one that starts next knows of it, and can end it."""
    with emergency(town) as case:
        settings, secret = town.centre.settings, town.centre.home.secret("ami")
        doomed = subprocess.Popen(
            [sys.executable, "-c", BEGINS, settings.addresses.internal, str(AMI_PORT), AMI_USER,
             secret, case.id, case.legs[A], case.legs[B]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert doomed.stdin is not None
        assert doomed.stdout is not None
        try:
            assert doomed.stdout.readline() == "connected\n"
            doomed.stdin.write("\n")
            doomed.stdin.flush()
            time.sleep(after_s)
        finally:
            doomed.kill()
            doomed.communicate()
        wait_until(lambda: speak(town) in (0, 2), 1 + SLOW_S, "both or none")
        listen(case.elder, 0.5)
        both = speak(town)
        assert [is_held(case, seat) for seat in (A, B)] == [both == 2] * 2
        assert controller.do(sweep(controller.ami)) == ((case.id,) if both else ())
        assert speak(town) == both, "a talk that stands is left alone"
        controller.do(end(controller.ami, case.id))
        listen(case.elder, 1.5, SEAT)
        wait_until(lambda: not of_talk(town), 1, "no channel of it is left")
        case.over()
    assert both == 2 or after_s < 1


def test_a_sweep_restores_a_seat_that_no_half_holds_and_ends_halves_without_a_watch(
    town: Place, controller: Connection
) -> None:
    """Nothing makes either in an Asterisk that works, so it is made here by hand."""
    with emergency(town) as case:
        for name, value in (("VOLUME(RX)", "-32000"), ("SHARED(DUO)", "Local/meet@duo-0000ffff;1")):
            town.observer.action("Setvar", Channel=case.legs[A], Variable=name, Value=value)
        answer = town.observer.action(
            "Originate", ("Variable", "CARELINE_PARTY=duo"),
            ("Variable", "CARELINE_EFFECT=other.1-duo"), Channel="Local/meet@duo/n",
            Application="ChanSpy", Data=f"{case.legs[B]},oqSuwE", Async="true",
        )  # fmt: skip
        assert answer["Response"] == "Success", answer
        wait_until(lambda: speak(town) == 1, 2, "an orphan listens")
        assert controller.do(sweep(controller.ami)) == ()
        wait_until(lambda: not of_talk(town), 1, "the orphan is gone")
        assert not is_held(case, A)
        listen(case.elder, 1.5, SEAT)
        assert controller.do(sweep(controller.ami)) == ()
        case.over()


def test_an_end_makes_up_for_a_half_that_did_not_restore_its_seat(
    town: Place, controller: Connection
) -> None:
    with emergency(town) as case:
        for name, value in (("VOLUME(RX)", "-32000"), ("SHARED(DUO)", "Local/meet@duo-0000ffff;1")):
            town.observer.action("Setvar", Channel=case.legs[A], Variable=name, Value=value)
        controller.do(end(controller.ami, case.id))
        assert not is_held(case, A)
        listen(case.elder, 1.5, SEAT)
        case.over()


def test_a_private_talk_is_no_call_no_person_and_no_difference(
    town: Place, controller: Connection
) -> None:
    """The picture that is held against Asterisk every second stays right, of the talk's events only
    its end means anything to a case, nothing in the lists does, and the flight record tells the
    call as if it had not been."""
    settings, home = town.centre.settings, town.centre.home
    translator = Translator(settings.centre.node, str)
    with emergency(town) as case, listening(settings, home) as board:
        controller.heard()
        controller.do(begin(controller.ami, case.id, case.legs[A], case.legs[B]))
        listen(case.phone(A), 3)
        channels = controller.do(live_channels(controller.ami))
        rooms = [plain(one["Conference"]) for one in controller.do(rooms_of(controller.ami))]
        members = controller.do(people_in(controller.ami, case.id))
        controller.do(end(controller.ami, case.id))
        wait_until(lambda: not of_talk(town), 1, "the talk's channels are gone")
        listen(case.phone(A), 2)
        events = controller.heard()
        assert not board.wrong()
        case.over()
    _nothing_is_a_person(case, channels, members)
    assert elders_in_rooms(channels, [*rooms, f"{case.id}-duo"]) == (case.id,)
    known = {case.id: OpenCall("talking", tuple(case.legs.values()), A, is_emergency=True)}
    assert missed_events(known, channels, translator, datetime.now(UTC)) == []
    theirs = [one for one in events if "duo" in f"{one.get('Channel')}{one.get('DestChannel')}"]
    assert {"Newchannel", "ConfbridgeJoin", "Hangup"} <= {one["Event"] for one in theirs}
    for event in theirs:
        assert translator.to_events(event) == (), event
        assert not variable(event, "CARELINE_CALL"), event
    meant = [one for event in theirs for one in rescue_events(event)]
    assert [type(one) for one in meant] == [PrivateTalkOver]
    told = _told_by_the_flight_record(town, case)
    assert {one.leg for one in told if isinstance(one, LegEnded)} == {case.id, *case.legs.values()}


def _nothing_is_a_person(case: Case, channels: list[AmiEvent], members: list[AmiEvent]) -> None:
    duo = [one for one in channels if variable(one, "CARELINE_PARTY") == "duo"]
    assert len(duo) == 6
    assert not any(person_on(one) for one in duo)
    assert len(members) == 3
    ids = {plain(one["Uniqueid"]) for one in members}
    outside = [one for one in channels if plain(one["Uniqueid"]) not in ids]
    assert {plain(one["Uniqueid"]) for one in duo} < {plain(one["Uniqueid"]) for one in outside}
    assert living_dials(case.id, outside) == ()


def _told_by_the_flight_record(town: Place, case: Case) -> list[Any]:
    file = town.centre.home.asterisk / "log" / "cel-custom" / "careline.csv"
    records, _ = cel.read(file.read_bytes())
    story = cel.stories(records)[case.id]
    assert not [one for one in story if "duo" in one.name]
    return cel.Teller("test", str).events(case.id, story)
