"""After a reconnect the calls that we believe in become those that Asterisk has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from telephony.reconcile import OpenCall, missed_events
from telephony.translate import Translator
from workflows import call
from workflows.call_facts import Call, Direction, State
from workflows.events import (
    BecameEmergency,
    CallArrived,
    CallPlaced,
    CallQueued,
    CallVanished,
    Entry,
    Event,
    LegEnded,
    PartyAnswered,
    PartyRang,
    SeatAnswered,
    SeatLost,
    SeatRang,
)

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
TRANSLATOR: Final = Translator("node1", lambda number: f"+86{number}" if number else "")


def channel(id_: str, of: str = "", party: str = "caller", **fields: object) -> dict[str, Any]:
    return {
        "Uniqueid": id_,
        "Channel": "PJSIP/trunk-carrier-00000001",
        "CallerIDNum": "13800000000",
        "Context": "waiting",
        "Exten": "s",
        "BridgeId": "",
        "Application": "Playback",
        "ApplicationData": "greeting",
        "ChanVariable": [f"CARELINE_CALL={of or id_}", f"CARELINE_PARTY={party}"],
        **fields,
    }


def queue(name: str = "hotline") -> dict[str, str]:
    return {"Application": "Queue", "ApplicationData": f"{name},b(seat-leg^s^1)"}


def seat(id_: str, of: str, bridge: str = "b1") -> dict[str, Any]:
    name = "PJSIP/1001-00000002"
    return channel(id_, of, "seat", Channel=name, CallerIDNum="1001", BridgeId=bridge)


def missed(states: dict[str, str], *channels: dict[str, Any], legs: str = "") -> list[Event]:
    open_calls = {id_: OpenCall(state, tuple(legs.split())) for id_, state in states.items()}
    return missed_events(open_calls, channels, TRANSLATOR, NOW)


def test_what_is_as_we_believe_makes_no_event() -> None:
    assert missed({}) == []
    assert missed({"c1": "waiting"}, channel("c1", **queue())) == []
    talking = channel("c1", BridgeId="b1", **queue())
    assert missed({"c1": "talking"}, talking, seat("s1", "c1")) == []


def test_a_call_that_became_an_emergency_unseen() -> None:
    """Who reached nobody there is to be called back at once, and not as after any call."""
    in_room = channel("c1", Context="emergency", Application="ConfBridge", BridgeId="room")
    assert missed({"c1": "waiting"}, in_room) == [BecameEmergency(case_id="c1", at=NOW)]
    known = {"c1": OpenCall("waiting", is_emergency=True)}
    assert missed_events(known, [in_room], TRANSLATOR, NOW) == []


def test_a_call_that_asterisk_no_longer_has_is_gone() -> None:
    assert missed({"c1": "talking", "c2": "waiting"}, channel("c2", **queue())) == [
        CallVanished(case_id="c1", at=NOW)
    ]


def test_a_caller_whose_seat_was_lost_meanwhile_waits_again() -> None:
    """Asterisk put the caller back into the line while nobody listened: no talk, and no answer."""
    lost = missed({"c1": "talking"}, channel("c1", **queue()), legs="s1")
    assert [type(one) for one in lost] == [LegEnded, SeatLost]
    # A phone that was just answered is no loss: the two are brought together in a moment.
    answered = {**seat("s1", "c1", ""), "ChannelStateDesc": "Up"}
    assert missed({"c1": "talking"}, channel("c1", **queue()), answered, legs="s1") == []


def test_a_seats_leg_alone_is_not_the_call() -> None:
    assert missed({"c1": "talking"}, seat("s1", "c1")) == [CallVanished(case_id="c1", at=NOW)]


def test_a_call_that_came_while_we_were_away_is_found_in_its_queue() -> None:
    found, waits = missed({}, channel("c1", **queue()))
    assert isinstance(found, CallArrived)
    assert (found.entry, found.caller, found.node) == (Entry.HOTLINE, "+8613800000000", "node1")
    assert waits == CallQueued(case_id="c1", at=NOW, queue="hotline", position=0)


def test_an_emergency_is_found_as_an_emergency() -> None:
    """Wherever it is by now: it waits in the queue of emergencies and not in its own context."""
    found, waits = missed({}, channel("c1", **queue("emergency")))
    assert isinstance(found, CallArrived)
    assert found.entry is Entry.EMERGENCY
    assert waits == CallQueued(case_id="c1", at=NOW, queue="emergency", position=0)
    (found,) = missed({}, channel("c1", Context="emergency"))
    assert isinstance(found, CallArrived)
    assert found.entry is Entry.EMERGENCY


def test_a_call_that_joined_its_queue_meanwhile_waits() -> None:
    assert missed({"c1": "entered"}, channel("c1", **queue())) == [
        CallQueued(case_id="c1", at=NOW, queue="hotline", position=0)
    ]


def test_a_call_in_a_menu_is_found_and_does_not_wait_yet() -> None:
    assert [type(event) for event in missed({}, channel("c1"))] == [CallArrived]


def test_an_answer_that_we_missed_is_told() -> None:
    talking = channel("c1", BridgeId="b1", **queue())
    for state in ("entered", "waiting", "ringing"):
        assert missed({"c1": state}, talking, seat("s1", "c1")) == [
            SeatAnswered(case_id="c1", at=NOW, seat="1001", leg="s1")
        ]
    events = missed({}, talking, seat("s1", "c1"), seat("s2", "c2", bridge="b2"))
    assert [type(event) for event in events] == [CallArrived, SeatAnswered]


def test_a_placed_call_that_was_answered_meanwhile_is_told_and_becomes_an_order() -> None:
    first = channel(
        "c1", party="seat", Channel="PJSIP/1001-00000002", BridgeId="b1", Application="Dial",
        ApplicationData="PJSIP/13800000000@trunk-carrier,60,b(called-leg^s^1(96100))",
    )  # fmt: skip
    far = channel("far", "c1", "called", BridgeId="b1")
    answer = PartyAnswered(case_id="c1", at=NOW, number="13800000000", leg="far")
    assert missed({"c1": "ringing"}, first, far) == [answer]
    found, answered = missed({}, first, far)
    assert isinstance(found, CallPlaced)
    assert (found.seat, answered) == ("1001", answer)
    assert (found.callee_raw, found.callee) == ("13800000000", "+8613800000000")
    talk = call.begin(found)
    for event in (found, answered):
        talk, _ = call.step(talk, event)
    assert (talk.state, talk.direction) == (State.TALKING, Direction.OUTBOUND)


def test_a_seat_that_rings_no_longer_is_not_shown_ringing() -> None:
    waits = channel("c1", **queue())
    (over,) = missed({"c1": "ringing"}, waits, legs="c1 s1")
    assert over == LegEnded(case_id="c1", at=NOW, leg="s1", party="", cause=0)
    ringing = Call(id="c1", entered_at=NOW, state=State.RINGING, ringing=("s1",))
    after, _ = call.step(ringing, over)
    assert (after.state, after.ringing) == (State.WAITING, ())


def test_a_seat_that_rings_now_is_shown_ringing() -> None:
    rings = {**seat("s2", "c1", bridge=""), "ChannelStateDesc": "Ringing"}
    waits = channel("c1", **queue())
    rang = SeatRang(case_id="c1", at=NOW, seat="1001", leg="s2")
    assert missed({"c1": "waiting"}, waits, rings, legs="c1") == [rang]
    assert missed({"c1": "ringing"}, waits, rings, legs="c1 s2") == []
    far = channel("f1", "c1", "called", ChannelStateDesc="Ringing", CallerIDNum="110")
    placed = channel("c1", party="seat", Channel="PJSIP/1001-1", Application="Dial")
    (rang_far,) = missed({"c1": "entered"}, placed, far, legs="c1")
    assert rang_far == PartyRang(case_id="c1", at=NOW, number="110", leg="f1")


def test_a_seat_that_was_called_by_a_seat_is_the_callee() -> None:
    data = "PJSIP/1002,60,b(seat-leg^s^1)"
    first = channel(
        "c1", party="seat", Channel="PJSIP/1001-1", Application="Dial", ApplicationData=data
    )
    (found,) = missed({}, first)
    assert isinstance(found, CallPlaced)
    assert found.callee_raw == "1002"


def test_odd_channels_are_nobodys_calls() -> None:
    odd: list[dict[str, Any]] = [
        {}, {"Uniqueid": "x"}, {"ChanVariable": "CARELINE_CALL="}, {"Uniqueid": ""},
        channel("x", ChanVariable="CARELINE_CALL=y"), channel("x", ChanVariable=[]),
        {"Uniqueid": ["a", "b"], "BridgeId": ["b1"], "ChanVariable": ["CARELINE_CALL=a"]},
    ]  # fmt: skip
    assert missed({}, *odd) == []
    talking = channel("c1", BridgeId="b1", **queue())
    assert missed({"c1": "waiting"}, talking, {"BridgeId": "b1"}, *odd) == []
