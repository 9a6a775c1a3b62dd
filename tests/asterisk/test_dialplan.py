"""What the dialplan does alone: every call reaches a telephone while Careline's processes are dead.

Two real Asterisk instances talk SIP and RTP with each other; who heard whom is proven by tones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.asterisk.conftest import Centre
from tests.audio import find_prompt, loud_seconds, seconds, tone_begins, tone_seconds
from tests.house import listen
from tests.observer import Message, wait_until
from tests.telephone import Carrier, Leg, SeatPhone, finished

ELDER = 440
SEAT = 620
SECOND_SEAT = 850
ENOUGH_S = 1.5
"""A tone that sounds this long was certainly heard."""
CHANCE_S = 0.5
"""A voice or the music may hit a tone's pitch for a moment."""


def arrived(centre: Centre, since: int) -> Message:
    """The first call that arrived after so many events."""
    return centre.observer.wait_for("CallArrived", since=since)


def hears(leg: Leg, tone: int) -> float:
    """For how many seconds the telephone heard the tone."""
    return tone_seconds(leg.heard(), tone)


def legs_ended(centre: Centre, call: str, count: int) -> dict[str, Message]:
    """The LegEnded events of a call by party, once there are so many."""
    found = wait_until(
        lambda: (m := centre.observer.find("LegEnded", Call=call)) and len(m) >= count and m,
        what=f"{count} legs of {call} ended",
    )
    assert found
    return {m["Party"]: m for m in found}


def connected_seat(phones: list[SeatPhone]) -> Leg:
    """The seat's leg that talks now."""
    legs = [leg for phone in phones for leg in phone.legs() if leg.is_talking]
    assert len(legs) == 1, legs
    return legs[0]


def test_hotline_reaches_a_seat_and_both_hear_each_other(
    telephones: Carrier, centre_asterisk: Centre
) -> None:
    """AGI is refused and the call falls through to the queue; it is recorded from entry."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    phones = [telephones.phone(seat).answers(0.3, SEAT) for seat in ("1001", "1002")]
    elder = telephones.call("96100", caller="13800000001", tone=ELDER).wait_talking()
    call = arrived(centre, since)
    member = centre.observer.wait_for("AgentConnect", 40, since)
    wait_until(lambda: any(_talking(phone) for phone in phones), 5, "a seat talks")
    # RTCP speaks every five seconds.
    listen(elder, 6, SEAT)
    seat = connected_seat(phones)
    elder.hang_up()
    seat.wait_ended()

    assert (call["Entry"], call["Dialled"], call["Trunk"]) == ("hotline", "96100", "carrier")
    assert call["Call"] == call["Uniqueid"]
    assert call["Call"].startswith("test-"), "the node's name makes the id unique"
    assert (call["CallerIDNum"], call["CARELINE_PARTY"]) == ("13800000001", "caller")
    assert member["CARELINE_CALL"] == call["Call"]
    assert hears(elder, SEAT) > ENOUGH_S
    assert hears(seat, ELDER) > ENOUGH_S
    assert tone_seconds(seat.heard(), SEAT) < CHANCE_S, "the seat hears itself"
    notice = find_prompt(elder.heard(), centre.prompt("notice"))
    greeting = find_prompt(elder.heard(), centre.prompt("greeting"))
    assert notice is not None
    assert greeting is not None
    assert notice < greeting
    _is_recorded_in_step(centre, call["Call"])
    _has_quality_figures(legs_ended(centre, call["Call"], 2), "caller", "seat")


def _is_recorded_in_step(centre: Centre, call: str) -> None:
    """Mix and sides have one length; each side has its own tone, at the mix's moments."""
    mix, elder, others = (finished(centre.recording(call, s)) for s in ("", "elder", "others"))
    assert seconds(mix) == pytest.approx(seconds(elder), abs=0.05)
    assert seconds(mix) == pytest.approx(seconds(others), abs=0.05)
    assert tone_seconds(elder, ELDER) > ENOUGH_S
    assert tone_seconds(elder, SEAT) < CHANCE_S
    assert tone_seconds(others, SEAT) > ENOUGH_S
    assert tone_seconds(others, ELDER) < CHANCE_S
    begins = tone_begins(others, SEAT)
    assert tone_begins(mix, SEAT) == pytest.approx(begins, abs=0.5)
    assert find_prompt(others, centre.prompt("notice")) is not None, "recorded from entry"


def _has_quality_figures(legs: dict[str, Message], *parties: str) -> None:
    for party in parties:
        leg = legs[party]
        assert leg["HangupCause"] == "16"
        assert 0 < float(leg["Rtt"]) < 1, leg
        assert 0 <= float(leg["RxJitter"]) < 1
        assert 0 <= float(leg["TxJitter"]) < 1
        assert int(leg["RxLost"]) == 0
        assert int(leg["TxLost"]) == 0
        assert int(leg["RxCount"]) > 200
        assert int(leg["TxCount"]) > 200
        assert float(leg["RxMes"]) > 50
        assert float(leg["TxMes"]) > 50


def test_three_callers_one_seat_are_answered_in_order(
    telephones: Carrier, centre_asterisk: Centre
) -> None:
    """Two wait with hold music and are told their position; first in is first out."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    centre.pause("1002")
    seat = telephones.phone("1001").answers(0.2, SEAT)
    callers = []
    for number in range(3):
        callers.append(telephones.call("96101", f"1380000000{number}", tone=ELDER).wait_talking())
        joined = f"1380000000{number}"
        centre.observer.wait_for("QueueCallerJoin", 30, since, CallerIDNum=joined)
    centre.observer.wait_for("AgentConnect", 10, since)
    # Both who wait hear their position and then some music.
    listen(callers[2], _length(centre, "queue-thereare", "digits/2", "queue-callswaiting") + 4)
    for turn, caller in enumerate(callers):
        wait_until(partial(_has_talked, seat, turn + 1), 15, f"caller {turn} talks")
        listen(caller, 2, SEAT)
        caller.hang_up()
    centre.pause("1002", False)

    order = [m["CallerIDNum"] for m in centre.observer.find("AgentConnect", since)]
    assert order == ["13800000000", "13800000001", "13800000002"]
    positions = [m["Position"] for m in centre.observer.find("QueueCallerJoin", since)]
    assert positions == ["1", "1", "2"]
    first, second, third = (caller.heard() for caller in callers)
    assert find_prompt(second, centre.prompt("queue-youarenext")) is not None
    assert find_prompt(third, centre.prompt("queue-thereare")) is not None
    assert find_prompt(third, centre.prompt("digits/2")) is not None
    for waited in (second, third):
        assert loud_seconds(waited) - tone_seconds(waited, SEAT) > 6, "prompts and music"
        assert tone_seconds(waited, SEAT) > 1
    assert tone_seconds(first, ELDER) < CHANCE_S, "callers do not hear each other"


def _length(centre: Centre, *prompts: str) -> float:
    return sum(seconds(centre.prompt(name)) for name in prompts)


def _has_talked(phone: SeatPhone, times: int) -> bool:
    return len(_talking(phone)) >= times


def _talking(phone: SeatPhone) -> list[Leg]:
    return [leg for leg in phone.legs() if leg.is_talking]


def test_a_seat_that_does_not_answer_does_not_hold_up_the_next(
    telephones: Carrier, centre_asterisk: Centre
) -> None:
    """The phone that rang in vain is followed by the other seat's."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    telephones.call("96101").wait_talking()
    wait_until(lambda: _seats_called(centre, since), 10, "a first seat rings")
    wait_until(lambda: len(set(_seats_called(centre, since))) == 2, 13, "the other one rings")


def _seats_called(centre: Centre, since: int) -> list[str]:
    return [m["MemberName"] for m in centre.observer.find("AgentCalled", since)]


def test_a_full_line_makes_the_caller_wait_and_never_hangs_up(
    telephones: Carrier, centre_asterisk: Centre
) -> None:
    """The line has three places; the fourth caller hears that, and gets the next free place."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    for seat in ("1001", "1002"):
        centre.pause(seat)
    try:
        callers = []
        for number in range(4):
            caller = f"1380000001{number}"
            callers.append(telephones.call("96101", caller, tone=0).wait_talking())
            if number < 3:
                centre.observer.wait_for("QueueCallerJoin", 20, since, CallerIDNum=caller)
        listen(callers[3], _length(centre, "notice", "please-wait") + 1)
        assert not centre.observer.find("QueueCallerJoin", since, CallerIDNum="13800000013")
        callers[0].hang_up()
        centre.observer.wait_for("QueueCallerJoin", 20, since, CallerIDNum="13800000013")
        callers[3].hang_up()
    finally:
        for seat in ("1001", "1002"):
            centre.pause(seat, False)
    assert find_prompt(callers[3].heard(), centre.prompt("please-wait")) is not None


@pytest.mark.parametrize("number", ["96102", "+96102", "555000", "+8637496100", "tel96100"])
def test_every_other_number_reaches_a_queue(
    telephones: Carrier, centre_asterisk: Centre, number: str
) -> None:
    """Complaints have their entry; a number that nobody planned is the hotline's."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    telephones.call(number, tone=0)
    call = arrived(centre, since)
    assert call["Entry"] == ("complaints" if number.endswith("96102") else "hotline")
    assert call["Dialled"].removeprefix("+") == "".join(c for c in number if c.isdigit())
    joined = centre.observer.wait_for("QueueCallerJoin", 40, since)
    assert joined["Queue"] == "hotline"


def _in_the_notice(centre: Centre, since: int) -> None:
    call = arrived(centre, since)["Call"]
    wait_until(lambda: _doing(centre, call) == "Playback", 5, "the notice is spoken")
    heard = centre.recording(call, "elder")
    wait_until(lambda: heard.exists() and heard.stat().st_size > 16000 // 2, 5, "half a second")


def _doing(centre: Centre, call: str) -> str:
    """The application that the caller's channel is in."""
    channels = centre.observer.list_of("CoreShowChannels")
    return next((m["Application"] for m in channels if m["Uniqueid"] == call), "")


def _in_the_queue(centre: Centre, since: int) -> None:
    centre.observer.wait_for("QueueCallerJoin", 30, since)


def _while_it_rings(centre: Centre, since: int) -> None:
    centre.observer.wait_for("AgentCalled", 30, since)
    centre.observer.wait_for("DialState", 5, since, DialStatus="RINGING")


def _as_it_is_answered(centre: Centre, since: int) -> None:
    centre.observer.wait_for("AgentConnect", 30, since)


@pytest.mark.parametrize(
    "moment", [_in_the_notice, _in_the_queue, _while_it_rings, _as_it_is_answered]
)
def test_the_caller_may_hang_up_at_every_step(
    telephones: Carrier, centre_asterisk: Centre, moment: Callable[[Centre, int], None]
) -> None:
    """Nothing stays behind, and the recording is whole up to that moment."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    if moment is _as_it_is_answered:
        for seat in ("1001", "1002"):
            telephones.phone(seat).answers(0.2, SEAT)
    elder = telephones.call("96101", tone=ELDER).wait_talking()
    moment(centre, since)
    elder.hang_up()
    call = arrived(centre, since)["Call"]
    assert legs_ended(centre, call, 1)["caller"]["HangupCause"] == "16"
    centre.observer.assert_idle()
    assert seconds(finished(centre.recording(call, "elder"))) > 0.2


def test_the_seat_may_hang_up_first(telephones: Carrier, centre_asterisk: Centre) -> None:
    """The elder's call ends with it."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    phones = [telephones.phone(seat).answers(0.2, SEAT) for seat in ("1001", "1002")]
    elder = telephones.call("96101", tone=ELDER).wait_talking()
    centre.observer.wait_for("AgentConnect", 10, since)
    wait_until(lambda: any(_talking(phone) for phone in phones))
    connected_seat(phones).hang_up()
    assert elder.wait_ended()["Cause"] == "16"
    complete = centre.observer.wait_for("AgentComplete", since=since)
    assert complete["Reason"] == "agent"


def test_a_draining_centre_refuses_new_calls_and_keeps_the_living(
    telephones: Carrier, centre_asterisk: Centre
) -> None:
    """503 before the answer, so that the carrier delivers elsewhere; it outlives a reload."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    phones = [telephones.phone(seat).answers(0.2, SEAT) for seat in ("1001", "1002")]
    living = telephones.call("96101", tone=ELDER).wait_talking()
    centre.observer.wait_for("AgentConnect", 10, since)
    centre.observer.set_global("CARELINE_DRAIN", "1")
    try:
        centre.cli("dialplan reload")
        for number in ("96100", "96101", "96102", "555000"):
            since = len(centre.observer.events)
            refused = telephones.call(number, "13800000009")
            ended = refused.wait_ended()
            assert not refused.is_talking
            assert ended["Cause"] in ("34", "38", "42"), ended
            assert not centre.observer.find("CallArrived", since)
        listen(living, 4)
        assert not living.has_ended
    finally:
        centre.observer.set_global("CARELINE_DRAIN", "")
    living.hang_up()
    assert hears(living, SEAT) > ENOUGH_S
    telephones.call("96101").wait_talking()
    wait_until(lambda: len([leg for p in phones for leg in p.legs()]) == 2, 9, "a seat rings again")


def test_a_draining_centre_still_takes_an_emergency(
    telephones: Carrier, centre_asterisk: Centre
) -> None:
    """There may be no other centre that would."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    phones = [telephones.phone(seat).answers(0.2, SEAT) for seat in ("1001", "1002")]
    centre.observer.set_global("CARELINE_DRAIN", "1")
    try:
        elder = telephones.call("96000", tone=ELDER).wait_talking()
        assert arrived(centre, since)["Entry"] == "emergency"
        wait_until(lambda: any(_talking(phone) for phone in phones), 8)
        elder.hang_up()
    finally:
        centre.observer.set_global("CARELINE_DRAIN", "")
