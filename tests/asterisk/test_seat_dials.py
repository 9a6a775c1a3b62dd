"""What happens when a seat dials: every answer that a carrier can give, and every wrong number.

Careline's processes are not there; the dialplan says how each attempt ended.
"""

from __future__ import annotations

import time

import pytest

from tests.asterisk.conftest import Centre
from tests.audio import find_prompt, seconds, tone_seconds
from tests.house import listen
from tests.observer import Message
from tests.raw_sip import RawPeer
from tests.telephone import Block, Carrier, finished

SEAT = 620
TERMINAL = 1050
NUMBER = "13900000001"
ENOUGH_S = 1.5
CHANCE_S = 0.5


def dial_ended(centre: Centre, since: int, timeout: float = 8.0) -> Message:
    """How the attempt ended; exactly one such event belongs to it."""
    return centre.observer.wait_for("DialEnded", timeout, since)


@pytest.mark.row("ACD-12")
def test_a_seat_calls_a_terminal_over_rtp_with_its_quality(
    telephones: Carrier, centre_asterisk: Centre
) -> None:
    """Both hear each other, both sides are recorded on the right side, the quality is told."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    terminal = telephones.number(NUMBER).answers(0.5, TERMINAL)
    seat = telephones.phone("1001").dials(NUMBER, SEAT).wait_talking()
    # RTCP speaks every five seconds.
    listen(seat, 6, TERMINAL)
    terminal_leg = terminal.legs()[0]
    seat.hang_up()
    terminal_leg.wait_ended()
    placed = centre.observer.wait_for("CallPlaced", since=since)
    ended = dial_ended(centre, since)

    assert (placed["Seat"], placed["Dialled"]) == ("1001", NUMBER)
    assert placed["Call"] == placed["Uniqueid"]
    assert (ended["Call"], ended["Status"], ended["Trunk"]) == (
        placed["Call"],
        "ANSWER",
        "carrier",
    )
    assert tone_seconds(seat.heard(), TERMINAL) > ENOUGH_S
    assert tone_seconds(terminal_leg.heard(), SEAT) > ENOUGH_S
    elder = finished(centre.recording(placed["Call"], "elder"))
    others = finished(centre.recording(placed["Call"], "others"))
    assert seconds(elder) == pytest.approx(seconds(others), abs=0.05)
    assert tone_seconds(elder, TERMINAL) > ENOUGH_S
    assert tone_seconds(elder, SEAT) < CHANCE_S
    assert tone_seconds(others, SEAT) > ENOUGH_S
    assert tone_seconds(others, TERMINAL) < CHANCE_S
    for party in ("seat", "called"):
        leg = centre.observer.wait_for("LegEnded", since=since, Party=party, Call=placed["Call"])
        assert 0 < float(leg["Rtt"]) < 1, leg
        assert int(leg["RxCount"]) > 200, leg
        assert float(leg["RxMes"]) > 50, leg
        assert float(leg["RxJitter"]) >= 0, leg


def test_the_called_party_sees_the_centre_and_not_the_seat(
    telephones: Carrier, centre_asterisk: Centre
) -> None:
    """Neither the extension nor the name of the person at the seat goes out."""
    terminal = telephones.number(NUMBER).rings()
    seat = telephones.phone("1001").dials(NUMBER)
    channel = terminal.wait_ringing()
    new = telephones.observer.wait_for("Newchannel", Uniqueid=channel.uniqueid)
    assert new["CallerIDNum"] == centre_asterisk.settings.numbers.hotline
    assert "王芳" not in new["CallerIDName"]
    assert "1001" not in new["CallerIDName"]
    seat.hang_up()


@pytest.mark.parametrize(
    ("behaviour", "status", "prompt", "cause"),
    [
        ("is_busy", "BUSY", "busy", "17"),
        ("rings", "NOANSWER", "no-answer", "19"),
        ("is_missing", "CHANUNAVAIL", "failed", "1"),
        ("declines", "CHANUNAVAIL", "failed", "21"),
        ("is_unavailable", "CONGESTION", "failed", "34"),
    ],
)
def test_each_answer_of_a_carrier_is_told_to_the_seat(
    telephones: Carrier,
    centre_asterisk: Centre,
    behaviour: str,
    status: str,
    prompt: str,
    cause: str,
) -> None:
    """The status is in the event; the seat hears the prompt before any answer, then the end."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    getattr(telephones.number(NUMBER), behaviour)()
    seat = telephones.phone("1001").dials(NUMBER).keep_early_sound()
    told = dial_ended(centre, since, 20)
    seat.wait_ended(20)
    assert told["Status"] == status
    assert not seat.is_talking, "a call that nobody answered must not look answered"
    assert find_prompt(seat.heard_early(), centre.prompt(prompt)) is not None
    assert seat.wait_ended()["Cause"] == cause
    assert len(centre.observer.find("DialEnded", since)) == 1


def test_a_carrier_that_cannot_is_followed_by_the_next(
    telephones: Carrier, centre_asterisk: Centre, block: Block
) -> None:
    """The first carrier answers 503; the second is asked and says busy; nobody else is."""
    centre = centre_asterisk
    telephones.number(NUMBER).is_unavailable()
    with RawPeer(block.caller(5), INVITE=486) as second, RawPeer(block.caller(6)) as third:
        centre.wait_reachable("second")
        since = len(centre.observer.events)
        seat = telephones.phone("1001").dials(NUMBER)
        told = dial_ended(centre, since)
        seat.wait_ended()
        assert (told["Status"], told["Trunk"]) == ("BUSY", "second")
        invite = second.requests_of("INVITE")[0]
        assert "sip:3210000@" in invite, "each carrier sees the number that it knows us by"
        assert not third.requests_of("INVITE")


def test_a_carrier_that_never_answers_is_given_up_in_time(
    telephones: Carrier, centre_asterisk: Centre, block: Block
) -> None:
    """It answers OPTIONS and then not a word to the INVITE: the seat is free again after 8 s."""
    centre = centre_asterisk
    telephones.number(NUMBER).is_unavailable()
    with RawPeer(block.caller(5), INVITE=None) as silent:
        centre.wait_reachable("second")
        since = len(centre.observer.events)
        began = time.monotonic()
        seat = telephones.phone("1001").dials(NUMBER)
        told = dial_ended(centre, since, 40)
        took = time.monotonic() - began
        seat.wait_ended(15)
    assert silent.requests_of("INVITE")
    # What counts is the refusal of the first carrier, which did answer.
    assert (told["Status"], told["Trunk"], told["HangupCause"]) == ("CONGESTION", "carrier", "34")
    assert took < 25, "without the shorter timer it is 32 s"


def test_the_seat_hangs_up_while_it_rings(telephones: Carrier, centre_asterisk: Centre) -> None:
    """The terminal stops ringing; the attempt is told as cancelled."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    terminal = telephones.number(NUMBER).rings()
    seat = telephones.phone("1001").dials(NUMBER)
    leg = terminal.wait_ringing()
    seat.hang_up()
    leg.wait_ended()
    assert dial_ended(centre, since)["Status"] == "CANCEL"


def test_one_seat_calls_another(telephones: Carrier, centre_asterisk: Centre) -> None:
    """By extension, without a carrier."""
    other = telephones.phone("1002").answers(0.2, TERMINAL)
    seat = telephones.phone("1001").dials("1002", SEAT).wait_talking()
    listen(seat, 2, TERMINAL)
    other.legs()[0].hang_up()
    seat.wait_ended()
    assert tone_seconds(seat.heard(), TERMINAL) > 1
    assert tone_seconds(other.legs()[0].heard(), SEAT) > 1


def test_a_seat_dials_the_hotline_and_hears_what_a_caller_hears(
    telephones: Carrier, centre_asterisk: Centre
) -> None:
    """For a newcomer to try; it is a caller like any other, from no carrier."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    seat = telephones.phone("1001").dials("96100").wait_talking()
    call = centre.observer.wait_for("CallArrived", since=since)
    assert (call["Entry"], call["Trunk"], call["CallerIDNum"]) == ("hotline", "", "1001")
    other = telephones.phone("1002").answers(0.2, TERMINAL)
    centre.observer.wait_for("AgentConnect", 40, since)
    seat.hang_up()
    assert other.legs()
