"""Seats on the real Asterisk: missed calls, vanished phones, pauses, wrap-up, a dead controller."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import asterisk_conf.render
from asterisk_conf.instance import Installation
from home import Home
from settings import Settings
from telephony.switchboard import MISSED_PENALTY, SeatNow
from tests.asterisk.conftest import Centre, running_carrier, running_centre
from tests.board import Board, listening
from tests.observer import Observer, wait_until
from tests.telephone import Carrier, Leg, claim_addresses
from workflows.commands import PauseSeat, ResumeSeat

FAR = "13900000001"


class Town:
    """A centre whose two seats are watched by a board."""

    def __init__(self, centre: Centre, carrier: Carrier, board: Board) -> None:
        self.centre, self.carrier, self.board = centre, carrier, board
        self.observer = centre.observer

    def caller(self, context: str = "waiting", priority: str = "1") -> tuple[Leg, int]:
        """A caller who waits for a seat; with the number of events before."""
        since = len(self.observer.events)
        leg = self.carrier.call("96100")
        arrived = self.observer.wait_for("CallArrived", since=since)
        to = {"Context": context, "Exten": "s", "Priority": priority}
        self.observer.action("Redirect", Channel=arrived["Channel"], **to)
        self.observer.wait_for("QueueCallerJoin", since=since)
        return leg, since

    def penalties(self, seat: str) -> dict[str, int]:
        members = self.observer.list_of("QueueStatus")
        return {
            m["Queue"]: int(m["Penalty"]) for m in members if m.get("Location") == f"PJSIP/{seat}"
        }

    def rung(self, since: int) -> list[str]:
        """The seats that were rung, in order."""
        return [m["MemberName"] for m in self.observer.find("AgentCalled", since)]

    def calm(self) -> None:
        self.carrier.hang_up_all()
        self.carrier.observer.assert_idle()
        self.observer.assert_idle()
        for seat in ("1001", "1002"):
            self.carrier.phone(seat).rings()
            interface = f"PJSIP/{seat}"
            self.observer.action("QueuePause", Interface=interface, Paused="false")
            self.observer.action("QueuePenalty", Interface=interface, Penalty="0")
            self.board.wait_seat(seat, "available")


@pytest.fixture(scope="module")
def whole_town(
    place: Path, prompts: Path, installation: Installation, asterisk_user: str
) -> Iterator[Town]:
    with claim_addresses(80) as block, contextlib.ExitStack() as stack:
        described = Settings.model_validate(
            {
                "centre": {"node": "seats"},
                "addresses": {"host": block.centre},
                "trunks": [
                    {"name": "carrier", "host": f"{block.carrier}:5060", "match": [block.carrier]}
                ],
                "queues": [
                    {"name": "hotline", "ring_s": 5, "wrap_up_s": 2},
                    {"name": "emergency", "ring_s": 5, "weight": 10},
                ],
                "seats": [{"extension": "1001"}, {"extension": "1002"}],
            }
        )
        home = Home(place / "seats")
        centre = stack.enter_context(
            running_centre(home, described, installation, asterisk_user, prompts)
        )
        folder = place / "seats-carrier"
        carrier = stack.enter_context(
            running_carrier(folder, block, centre, installation, asterisk_user)
        )
        centre.wait_reachable("carrier")
        board = stack.enter_context(listening(described, home))
        yield Town(centre, carrier, board)


@pytest.fixture
def town(whole_town: Town) -> Iterator[Town]:
    whole_town.carrier.number(FAR).answers(0.1)
    whole_town.calm()
    yield whole_town
    whole_town.calm()


def miss(town: Town, seat: str) -> None:
    """Let this seat refuse a call while the other one is paused, and the caller leave."""
    other = "1002" if seat == "1001" else "1001"
    town.centre.pause(other)
    town.carrier.phone(seat).is_busy()
    caller, since = town.caller()
    town.observer.wait_for("AgentRingNoAnswer", since=since, MemberName=seat)
    caller.hang_up()
    town.centre.pause(other, False)
    town.board.wait_seat(seat, "not answering")
    wait_until(
        lambda: town.penalties(seat) == {"hotline": MISSED_PENALTY, "emergency": 0},
        5, "rung after the others in the hotline alone", lambda: town.penalties(seat),
    )  # fmt: skip
    town.carrier.phone(seat).rings()


def test_who_does_not_answer_is_shown_and_rung_after_the_others(town: Town) -> None:
    miss(town, "1001")
    town.carrier.phone("1002").answers(0.3)
    for _ in range(2):
        caller, since = town.caller()
        town.observer.wait_for("AgentConnect", since=since)
        assert town.rung(since) == ["1002"]
        caller.hang_up()
        town.board.wait_seat("1002", "wrapping up")
        town.board.wait_seat("1002", "available")


def test_who_did_not_answer_is_still_rung_when_the_others_are_busy(town: Town) -> None:
    """And its answer puts it back in its turn."""
    miss(town, "1001")
    town.carrier.phone("1002").dials(FAR).wait_talking()
    town.board.wait_seat("1002", "talking")
    town.carrier.phone("1001").answers(0.3)
    caller, since = town.caller()
    town.observer.wait_for("AgentConnect", since=since, MemberName="1001")
    town.board.wait_seat("1001", "talking")
    wait_until(lambda: town.penalties("1001")["hotline"] == 0, 5, "in its turn again")
    caller.hang_up()


def test_two_who_do_not_answer_are_both_rung_on(town: Town) -> None:
    """Nobody is taken out: the caller who waits hears somebody's phone ring, in turn."""
    for seat in ("1001", "1002"):
        town.carrier.phone(seat).is_busy()
    caller, since = town.caller()
    wait_until(
        lambda: {"1001", "1002"} <= set(town.rung(since)[-2:]) and len(town.rung(since)) > 5,
        20, "both in turn", lambda: town.rung(since),
    )  # fmt: skip
    for seat in ("1001", "1002"):
        town.board.wait_seat(seat, "not answering")
    town.carrier.phone("1001").answers(0.2)
    town.observer.wait_for("AgentConnect", 10, since)
    caller.hang_up()


def test_a_caller_who_leaves_blames_no_seat(town: Town) -> None:
    caller, since = town.caller()
    rung = town.observer.wait_for("AgentCalled", since=since)["MemberName"]
    town.board.wait_seat(rung, "ringing")
    caller.hang_up()
    town.board.wait_seat(rung, "available")
    assert town.penalties(rung) == {"hotline": 0, "emergency": 0}


def test_who_is_rung_for_an_emergency_instead_has_missed_nothing(town: Town) -> None:
    """The only free seat rings for a caller when an elder needs it."""
    town.carrier.phone("1002").dials(FAR).wait_talking()
    caller, since = town.caller()
    town.observer.wait_for("AgentCalled", since=since, MemberName="1001")
    elder = town.carrier.call("96000", tone=0).wait_talking()
    town.observer.wait_for("AgentRingNoAnswer", 8, since, MemberName="1001")
    of_1001 = {"MemberName": "1001", "Queue": "emergency"}
    town.observer.wait_for("AgentCalled", 5, since, **of_1001)
    town.board.wait_seat("1001", "ringing")
    since = len(town.observer.events)
    elder.hang_up()
    town.observer.wait_for("AgentCalled", 8, since, MemberName="1001", Queue="hotline")
    town.board.wait_seat("1001", "ringing")
    assert town.penalties("1001")["hotline"] == 0
    caller.hang_up()


@pytest.mark.parametrize("sign", ["dials", "signs in", "a person"])
def test_a_sign_of_life_puts_a_seat_back(town: Town, sign: str) -> None:
    miss(town, "1001")
    if sign == "dials":
        town.carrier.phone("1001").dials(FAR).wait_talking().hang_up()
    elif sign == "a person":
        town.board.wish(ResumeSeat(case_id="1001", at=datetime.now(UTC), by="李敏"))
    else:
        registration = {"Registration": "phone-1001"}
        town.carrier.observer.action("PJSIPUnregister", **registration)
        town.board.wait_seat("1001", "offline")
        town.carrier.observer.action("PJSIPRegister", **registration)
    town.board.wait_seat("1001", "available")
    wait_until(lambda: town.penalties("1001")["hotline"] == 0, 5, "in its turn again")


def test_without_the_controller_all_are_rung_in_turn(town: Town) -> None:
    """Whoever left a call ringing just before it died would never be rung again otherwise."""
    assert asterisk_conf.render.MISSED_PENALTY == MISSED_PENALTY
    of_1001 = {"Interface": "PJSIP/1001", "Penalty": str(MISSED_PENALTY), "Queue": "hotline"}
    town.observer.action("QueuePenalty", **of_1001)
    for seat in ("1001", "1002"):
        town.carrier.phone(seat).answers(0.1)
    begin = len(town.observer.events)
    # One wrap-up lies between two calls, so each could be the same seat's.
    for _ in range(2):
        caller, since = town.caller("hotline", "alone")
        town.observer.wait_for("AgentConnect", since=since)
        caller.hang_up()
        for seat in ("1001", "1002"):
            wait_until(lambda: seat in town.centre.free_seats(), 6, "wrapped up")  # noqa: B023
    assert set(town.rung(begin)) == {"1001", "1002"}


def test_an_unregistered_phone_is_never_available(town: Town) -> None:
    town.carrier.observer.action("PJSIPUnregister", Registration="phone-1002")
    town.board.wait_seat("1002", "offline")
    town.centre.pause("1002")
    town.centre.pause("1002", False)
    caller, since = town.caller()
    town.observer.wait_for("AgentCalled", since=since, MemberName="1001")
    town.board.wait_seat("1001", "ringing")
    assert town.board.seat("1002") == "offline"
    caller.hang_up()
    town.carrier.observer.action("PJSIPRegister", Registration="phone-1002")
    town.board.wait_seat("1002", "available")


def test_a_pause_has_its_reason_and_outlives_the_controller(town: Town) -> None:
    at = datetime.now(UTC)
    town.board.wish(PauseSeat(case_id="1001", at=at, by="李敏", reason="午饭"))
    town.board.wait_seat("1001", "paused")
    assert town.board.switchboard.seats["1001"] == SeatNow("1001", "paused", "午饭")
    miss_of_other = {"Interface": "PJSIP/1002", "Penalty": str(MISSED_PENALTY), "Queue": "hotline"}
    town.observer.action("QueuePenalty", **miss_of_other)
    with listening(town.centre.settings, town.centre.home) as another:
        another.wait_seat("1001", "paused")
        assert another.switchboard.seats["1001"].reason == "午饭"
        another.wait_seat("1002", "not answering")
    town.board.wish(ResumeSeat(case_id="1001", at=at, by="李敏"))
    town.board.wait_seat("1001", "available")


def test_a_pause_outlives_a_restart_of_asterisk(
    place: Path, prompts: Path, installation: Installation, asterisk_user: str
) -> None:
    """Asterisk forgets it; the controller does not, and nobody else is paused."""
    with claim_addresses(80) as block:
        described = Settings.model_validate(
            {
                "addresses": {"host": block.centre},
                "seats": [{"extension": "1001"}, {"extension": "1002"}],
            }
        )
        home = Home(place / "pauses")
        with (
            running_centre(home, described, installation, asterisk_user, prompts) as centre,
            listening(described, home) as board,
        ):
            seat = {"Interface": "PJSIP/1001", "Paused": "true", "Reason": "午饭"}
            centre.observer.action("QueuePause", **seat)
            paused = ("PJSIP/1001", "1", "午饭")
            wait_until(lambda: board.switchboard._cases["1001"].pause == "午饭", 5, "it is known")
            asyncio.run(centre.instance.stop())
            asyncio.run(centre.instance.start())
            wait_until(lambda: board.connects[-3:] == [True, False, True], 10, "a new connection")
            again = Observer(described.addresses.internal, "careline", home.secret("ami"))

            def pauses() -> set[tuple[str, str, str]]:
                found = again.list_of("QueueStatus")
                members = [m for m in found if m["Event"] == "QueueMember"]
                return {(m["Location"], m["Paused"], m["PausedReason"]) for m in members}

            wait_until(lambda: pauses() == {paused, ("PJSIP/1002", "0", "")}, 5, "paused", pauses)
            again.close()


def test_a_vanished_phone_is_offline_until_it_is_heard_again(town: Town) -> None:
    """No BYE comes: both phones, and the carrier with them, stop at one moment."""
    phone = town.carrier.phone("1001").answers(0.2)
    town.centre.pause("1002")
    _, since = town.caller()
    phone.wait_ringing().wait_talking()
    town.board.wait_seat("1001", "talking")
    child = town.carrier.instance._child
    assert child is not None
    os.kill(child.pid, signal.SIGSTOP)
    try:
        stopped = time.monotonic()
        town.board.wait_seat("1001", "offline", 10)
        noticed = time.monotonic() - stopped
        assert noticed <= 7, f"noticed after {noticed:.1f} s"
        assert town.board.switchboard.seats["1001"].reason == "lost"
        # Asterisk calls the device free for three seconds more; nobody else may believe it.
        unreachable = {"AOR": "1001", "ContactStatus": "Unreachable"}
        town.observer.wait_for("ContactStatus", 8, since, **unreachable)
        states = {s.state for s in town.board.changes[-6:] if isinstance(s, SeatNow)
                  and s.extension == "1001"}  # fmt: skip
        assert "available" not in states
    finally:
        os.kill(child.pid, signal.SIGCONT)
    town.board.wait_seat("1001", "available", 40)
    wait_until(lambda: town.penalties("1001")["hotline"] == 0, 5, "in its turn again")


def test_a_picture_that_was_spoilt_is_found_and_mended(town: Town) -> None:
    """An event of ours that was lost, as it were: a leg that never was, on a free seat."""
    ghost = {
        "Event": "Newchannel", "Uniqueid": "ghost", "Channel": "PJSIP/1001-ghost",
        "ChannelStateDesc": "Up",
    }  # fmt: skip
    count = len(town.board.wrong())
    town.board.forge(lambda switchboard: switchboard.apply(ghost))
    wait_until(lambda: len(town.board.wrong()) > count, 10, "the difference is told")
    assert "PJSIP/1001-ghost" in town.board.wrong()[-1].differs[0]
    town.board.wait_seat("1001", "available")
    assert "ghost" not in town.board.switchboard.exchange.legs
