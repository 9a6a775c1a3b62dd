"""After any storm of calls the picture is Asterisk's own, also when the connection broke in it.

Hypothesis makes up the storms, always the same ones; it shortens one that fails, and every step
is a line that can be read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from asterisk_conf.instance import Installation
from home import Home
from settings import Settings
from tests.asterisk.conftest import Centre, running_carrier, running_centre
from tests.board import Board, differences, listening
from tests.observer import wait_until
from tests.telephone import Carrier, claim_addresses

SEATS = ("1001", "1002", "1003")
FAR = "13900000001"


@dataclass(frozen=True)
class Scene:
    centre: Centre
    carrier: Carrier
    board: Board

    def assert_true(self, after: str) -> None:
        """The picture is Asterisk's, and nothing but events has made it so."""
        board, observer = self.board, self.centre.observer
        wait_until(
            lambda: not differences(board, observer), 8, f"a true picture after {after}",
            lambda: "\n".join(["", *differences(board, observer)]),
        )  # fmt: skip
        assert not board.wrong(), f"events were not enough: {board.wrong()}"

    def calm(self) -> None:
        """Everybody hangs up, and every seat is free again."""
        observer = self.centre.observer
        for channel in (*observer.channels(), *self.carrier.observer.channels()):
            connection = observer if channel in observer.channels() else self.carrier.observer
            connection.action("Hangup", Channel=channel)
        self.carrier.hang_up_all()
        self.carrier.observer.assert_idle()
        observer.assert_idle()
        for seat in SEATS:
            self.carrier.phone(seat).rings()
            interface = f"PJSIP/{seat}"
            observer.action("QueuePause", Interface=interface, Paused="false")
            observer.action("QueuePenalty", Interface=interface, Penalty="0")


@pytest.fixture(scope="module")
def scene(
    place: Path, prompts: Path, installation: Installation, asterisk_user: str
) -> Iterator[Scene]:
    with claim_addresses(70) as block, contextlib.ExitStack() as stack:
        described = Settings.model_validate(
            {
                "centre": {"node": "storm"},
                "rescue": {"call_back_s": 0},
                "addresses": {"host": block.centre},
                "trunks": [
                    {"name": "carrier", "host": f"{block.carrier}:5060", "match": [block.carrier]}
                ],
                "queues": [
                    {"name": "hotline", "ring_s": 5, "wrap_up_s": 1},
                    {"name": "emergency", "ring_s": 5, "weight": 10},
                ],
                "seats": [{"extension": seat} for seat in SEATS],
            }
        )
        home = Home(place / "storm")
        centre = stack.enter_context(
            running_centre(home, described, installation, asterisk_user, prompts)
        )
        give_rooms(centre)
        folder = place / "storm-carrier"
        carrier = stack.enter_context(
            running_carrier(folder, block, centre, installation, asterisk_user)
        )
        centre.wait_reachable("carrier")
        board = stack.enter_context(listening(described, home))
        made = Scene(centre, carrier, board)
        carrier.number(FAR).answers(0.1)
        made.calm()
        yield made


def give_rooms(centre: Centre) -> None:
    """Places to which the storm may move a call: rooms, and a hold."""
    for line in (
        "_room-X,1,Answer into storm",
        "_room-X,2,ConfBridge,${EXTEN} into storm",
        "hold,1,Answer into storm",
        "hold,2,MusicOnHold,calm into storm",
    ):
        centre.cli(f"dialplan add extension {line}")


# ── what can happen in a storm ────────────────────────────────────────────────────────────────


def one_of(things: list[str], which: int) -> str | None:
    return things[which % len(things)] if things else None


def call_in(scene: Scene, which: int) -> None:
    """A caller who does not sit through the greeting."""
    observer, since = scene.centre.observer, len(scene.centre.observer.events)
    scene.carrier.call("96100", caller=f"1380000{which:04}")
    arrived = observer.wait_for("CallArrived", since=since)
    observer.action(
        "Redirect", Channel=arrived["Channel"], Context="waiting", Exten="s", Priority="1"
    )


def dial_out(scene: Scene, which: int) -> None:
    scene.carrier.phone(SEATS[which % 3]).dials(FAR)


def answers(scene: Scene, which: int) -> None:
    scene.carrier.phone(SEATS[which % 3]).answers(0.1)


def refuses(scene: Scene, which: int) -> None:
    scene.carrier.phone(SEATS[which % 3]).is_busy()


def leaves_ringing(scene: Scene, which: int) -> None:
    scene.carrier.phone(SEATS[which % 3]).rings()


def far_side_hangs_up(scene: Scene, which: int) -> None:
    if channel := one_of(scene.carrier.observer.channels(), which):
        scene.carrier.observer.action("Hangup", Channel=channel, Cause="16")


def centre_hangs_up(scene: Scene, which: int) -> None:
    if channel := one_of(scene.centre.observer.channels(), which):
        scene.centre.observer.action("Hangup", Channel=channel)


def moved(scene: Scene, which: int, extra: bool, context: str, extension: str) -> None:
    observer = scene.centre.observer
    talking = [m for m in observer.list_of("CoreShowChannels") if m["ChannelStateDesc"] == "Up"]
    if not talking:
        return
    first = talking[which % len(talking)]
    mates = [m["Channel"] for m in talking if first["BridgeId"] == m["BridgeId"] and m is not first]
    to = {"Context": context, "Exten": extension, "Priority": "1"}
    if extra and first["BridgeId"] and mates:
        to |= {"ExtraChannel": mates[0], "ExtraContext": context, "ExtraExten": extension}
        to |= {"ExtraPriority": "1"}
    observer.action("Redirect", Channel=first["Channel"], **to)


def blind_transfer(scene: Scene, which: int) -> None:
    moved(scene, which, False, "waiting", "s")


def into_a_room(scene: Scene, which: int) -> None:
    moved(scene, which, False, "storm", f"room-{which % 2}")


def both_into_a_room(scene: Scene, which: int) -> None:
    moved(scene, which, True, "storm", f"room-{which % 2}")


def on_hold(scene: Scene, which: int) -> None:
    moved(scene, which, False, "storm", "hold")


def pauses(scene: Scene, which: int) -> None:
    scene.centre.observer.action(
        "QueuePause", Interface=f"PJSIP/{SEATS[which % 3]}", Paused="true", Reason=f"午饭 {which}"
    )


def resumes(scene: Scene, which: int) -> None:
    interface = f"PJSIP/{SEATS[which % 3]}"
    scene.centre.observer.action("QueuePause", Interface=interface, Paused="false")


def rung_later(scene: Scene, which: int) -> None:
    interface = f"PJSIP/{SEATS[which % 3]}"
    scene.centre.observer.action("QueuePenalty", Interface=interface, Penalty=str(which))


def a_moment(scene: Scene, which: int) -> None:
    """Until something happens, or nothing does."""
    observer = scene.centre.observer
    wanted = len(observer.events) + which
    with contextlib.suppress(AssertionError):
        wait_until(lambda: len(observer.events) > wanted, 1.0, "more events")


STEPS: tuple[Callable[[Scene, int], None], ...] = (
    call_in, call_in, call_in, dial_out, answers, answers, refuses, leaves_ringing,
    far_side_hangs_up, centre_hangs_up, blind_transfer, into_a_room, both_into_a_room, on_hold,
    pauses, resumes, rung_later, a_moment, a_moment, a_moment,
)  # fmt: skip
storms = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 8)), min_size=8, max_size=16)
quickly = settings(
    max_examples=6, derandomize=True, deadline=None, database=None,
    phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
)  # fmt: skip


def told(storm: list[tuple[Callable[[Scene, int], None], int]]) -> str:
    return ", ".join(f"{step.__name__} {which}" for step, which in storm)


@pytest.mark.timeout(240)
@given(storm=storms)
@quickly
def test_the_picture_is_asterisks_after_any_storm(
    scene: Scene, storm: list[tuple[Callable[[Scene, int], None], int]]
) -> None:
    try:
        for step, which in storm:
            step(scene, which)
        scene.assert_true(told(storm))
    finally:
        scene.calm()
    scene.assert_true("the calm")


@pytest.mark.timeout(240)
@given(storm=storms, cut_after=st.integers(2, 7))
@settings(parent=quickly, max_examples=3)
def test_the_picture_is_asterisks_when_the_connection_breaks_in_a_storm(
    scene: Scene, storm: list[tuple[Callable[[Scene, int], None], int]], cut_after: int
) -> None:
    try:
        for place, (step, which) in enumerate(storm):
            step(scene, which)
            if place == cut_after:
                scene.board.cut()
        scene.assert_true(told(storm))
    finally:
        scene.calm()
    scene.assert_true("the calm")
