"""The exchange: a recorded call, the same with every event lost, late or twice, and nonsense."""

from __future__ import annotations

import random
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from telephony.exchange import TAKES, Exchange
from telephony.listings import Listings
from telephony.switchboard import SeatNow, Switchboard
from workflows.seat import AskPhone, NoteMiss

CALLER: Final = {"Uniqueid": "n-1.0", "Channel": "PJSIP/trunk-carrier-00000000"}
SEAT: Final = {"Uniqueid": "n-1.1", "Channel": "PJSIP/1001-00000001"}
OF_CALL: Final = ["CARELINE_CALL=n-1.0", "CARELINE_PARTY=caller"]
OF_SEAT: Final = ["CARELINE_CALL=n-1.0", "CARELINE_PARTY=seat"]


def member(status: int, **more: str) -> dict[str, Any]:
    return {
        "Event": "QueueMemberStatus", "Queue": "hotline", "MemberName": "1001",
        "Interface": "PJSIP/1001", "Status": str(status), "Paused": "0", "PausedReason": "",
        "Penalty": "0", "InCall": "0", "LastCall": "0", **more,
    }  # fmt: skip


def device(state: str) -> dict[str, Any]:
    return {"Event": "DeviceStateChange", "Device": "PJSIP/1001", "State": state}


SIGNS_IN: Final = [device("NOT_INUSE"), member(1)]
RINGS: Final[list[dict[str, Any]]] = [
    {"Event": "Newchannel", **CALLER, "ChannelStateDesc": "Ring"},
    {"Event": "UserEvent", "UserEvent": "CallArrived", **CALLER, "ChanVariable": OF_CALL},
    {"Event": "Newstate", **CALLER, "ChannelStateDesc": "Up", "ChanVariable": OF_CALL},
    {"Event": "QueueCallerJoin", **CALLER, "Queue": "hotline", "Position": "1"},
    {"Event": "Newchannel", **SEAT, "ChannelStateDesc": "Down"},
    {"Event": "AgentCalled", **CALLER, "Interface": "PJSIP/1001", "DestUniqueid": "n-1.1",
     "DestChanVariable": OF_SEAT},
    {"Event": "Newstate", **SEAT, "ChannelStateDesc": "Ringing"},
    device("BUSY"), member(3),
]  # fmt: skip
TALKS: Final[list[dict[str, Any]]] = [
    {"Event": "Newstate", **SEAT, "ChannelStateDesc": "Up"},
    {"Event": "QueueCallerLeave", **CALLER, "Queue": "hotline", "Position": "1"},
    {"Event": "BridgeEnter", **SEAT, "BridgeUniqueid": "b1"},
    {"Event": "BridgeEnter", **CALLER, "BridgeUniqueid": "b1"},
]
ENDS: Final[list[dict[str, Any]]] = [
    {"Event": "AgentComplete", **CALLER, "Interface": "PJSIP/1001", "Queue": "hotline"},
    {"Event": "BridgeLeave", **CALLER, "BridgeUniqueid": "b1"},
    {"Event": "BridgeLeave", **SEAT, "BridgeUniqueid": "b1"},
    {"Event": "Hangup", **SEAT, "Cause": "16"},
    device("NOT_INUSE"),
    {"Event": "Hangup", **CALLER, "Cause": "16"},
    member(1, LastCall="1772366400"),
]
ROOM: Final[list[dict[str, Any]]] = [
    {"Event": "Newchannel", **CALLER, "ChannelStateDesc": "Up"},
    {"Event": "ConfbridgeStart", "Conference": "r1"},
    {"Event": "ConfbridgeJoin", "Conference": "r1", **CALLER},
    {"Event": "Rename", "Uniqueid": "n-1.0", "Oldname": "a", "Newname": "PJSIP/x-1"},
    {"Event": "ConfbridgeLeave", "Conference": "r1", **CALLER},
    {"Event": "ConfbridgeEnd", "Conference": "r1"},
    {"Event": "Hangup", **CALLER},
]
CALL: Final = [*SIGNS_IN, *RINGS, *TALKS, *ENDS]


def after(*events: dict[str, Any]) -> Exchange:
    exchange = Exchange()
    for event in events:
        exchange.apply(event)
    return exchange


def test_a_call_from_its_first_ring_to_its_end() -> None:
    rings = after(*SIGNS_IN, *RINGS)
    assert rings.waiting == {"hotline": ["n-1.0"]}
    assert {leg.id: (leg.state, leg.call, leg.party) for leg in rings.legs.values()} == {
        "n-1.0": ("Up", "n-1.0", "caller"), "n-1.1": ("Ringing", "n-1.0", "seat"),
    }  # fmt: skip
    talks = after(*SIGNS_IN, *RINGS, *TALKS)
    assert {leg.bridge for leg in talks.legs.values()} == {"b1"}
    ended = after(*CALL)
    assert (ended.legs, ended.waiting["hotline"]) == ({}, [])
    assert ended.members["hotline", "PJSIP/1001"].last_call == 1772366400


def test_a_seat_follows_the_call() -> None:
    board = Switchboard(["1001"], {})
    shown = [one.state for event in CALL for one in board.apply(event) if isinstance(one, SeatNow)]
    assert shown == ["available", "ringing", "talking", "available"]


def test_who_is_in_a_room() -> None:
    assert after(*ROOM[:3]).rooms == {"r1": {"n-1.0"}}
    assert after(*ROOM[:4]).legs["n-1.0"].name == "PJSIP/x-1"
    assert after(*ROOM).rooms == {}


def test_callers_stand_in_their_order() -> None:
    def joins(id_: str, position: int) -> dict[str, Any]:
        return {"Event": "QueueCallerJoin", "Queue": "q", "Uniqueid": id_, "Position": position}

    line = after(joins("a", 1), joins("b", 2), joins("urgent", 1), joins("b", 3))
    assert line.waiting == {"q": ["urgent", "a", "b"]}


@given(st.randoms(use_true_random=False))
def test_lost_late_and_doubled_events_never_raise(chance: random.Random) -> None:
    events = [*CALL, *ROOM] * 2
    chance.shuffle(events)
    board = Switchboard(["1001"], {})
    for event in events[: chance.randrange(len(events))]:
        board.apply(event)


KEYS: Final = (
    "Uniqueid", "Channel", "ChannelStateDesc", "BridgeUniqueid", "Queue", "Position", "Interface",
    "Status", "Penalty", "LastCall", "Conference", "Device", "State", "ChanVariable", "Cause",
    "Newname", "AOR", "ContactStatus", "Timestamp",
)  # fmt: skip
nonsense = st.one_of(
    st.text(max_size=8), st.lists(st.text(max_size=4), max_size=2), st.none(), st.integers(),
    st.sampled_from(["n-1.0", "PJSIP/1001", "PJSIP/1001-1", "44", "-1", "1e9", "Up"]),
)  # fmt: skip
names = st.one_of(
    st.sampled_from([*TAKES, "AgentRingNoAnswer", "AgentComplete", "ContactStatus"]), nonsense
)


@given(st.lists(st.tuples(names, st.dictionaries(st.sampled_from(KEYS), nonsense)), max_size=6))
def test_nonsense_never_raises(events: list[tuple[Any, dict[str, Any]]]) -> None:
    board = Switchboard(["1001"], {"carrier": False})
    for event in (*CALL[:9], *({"Event": name, **fields} for name, fields in events)):
        board.apply(event)


def test_one_look_is_a_doubt_and_the_second_is_sure() -> None:
    board = Switchboard(["1001"], {})
    board.apply(RINGS[0])
    assert board.compare(Listings(10.0)) == ()
    assert board.is_in_doubt
    assert board.compare(Listings(10.5)) == (), "too soon to say"
    (wrong,) = board.compare(Listings(11.2))
    assert wrong.what == "leg n-1.0"
    assert wrong.asterisk == "is not there"


def test_another_difference_is_another_doubt() -> None:
    board = Switchboard(["1001"], {})
    board.apply(RINGS[0])
    board.compare(Listings(10.0))
    board.apply(ENDS[5])
    board.apply(RINGS[4])
    assert board.compare(Listings(12.0)) == ()
    assert board.is_in_doubt


def test_a_call_that_ends_because_nothing_is_heard_makes_its_seat_offline() -> None:
    board = Switchboard(["1001"], {})
    for event in (*SIGNS_IN, *RINGS, *TALKS):
        board.apply(event)
    vanished = {"Event": "Hangup", **SEAT, "ChannelStateDesc": "Up", "Cause": "44"}
    told = board.apply(vanished)
    assert SeatNow("1001", "offline", "lost") in told
    assert AskPhone(seat="1001") in told
    assert NoteMiss(seat="1001") in told
    # The caller's own channel ends with the same cause, and is no phone of ours.
    assert board.apply({"Event": "Hangup", **CALLER, "Cause": "44"}) == ()
    assert board.apply(device("NOT_INUSE")) == ()
    assert board.seats["1001"].state == "offline"


def test_a_second_leg_that_the_dialplan_refused_is_no_miss() -> None:
    """A seat rings for one call at a time; the other call's queue hears of no answer."""
    board = Switchboard(["1001"], {})
    for event in (*SIGNS_IN, *RINGS):
        board.apply(event)
    refused = {"Event": "AgentRingNoAnswer", **CALLER, "Interface": "PJSIP/1001"}
    assert board.apply({**refused, "DestUniqueid": "n-1.7"}) == ()
    assert board.apply({**refused, "DestUniqueid": "n-1.1"}) == (NoteMiss(seat="1001"),)


def test_a_seats_pause_survives_the_controller() -> None:
    """Nothing is stored here: pause, miss and wrap-up are read from the queues again."""
    channels = [{**SEAT, "ChannelStateDesc": "Up"}]
    entry = {**member(1, Paused="1", PausedReason="meal"), "Event": "QueueMember"}
    devices = [device("NOT_INUSE")]
    board = Switchboard(["1001"], {})
    board.put(Listings(0.0, queues=[entry], devices=devices))
    assert board.seats["1001"] == SeatNow("1001", "paused", "meal")
    board.put(Listings(0.0, queues=[entry], devices=devices, channels=channels))
    assert board.seats["1001"].state == "talking"
    missed = {**member(1, Penalty="50"), "Event": "QueueMember"}
    board.put(Listings(0.0, queues=[missed], devices=devices))
    assert board.seats["1001"].state == "not answering"
    wraps = Switchboard(["1001"], {}, {"hotline": 10**9})
    just = {**member(1, LastCall="1772366400"), "Event": "QueueMember"}
    wraps.put(Listings(0.0, queues=[just], devices=devices))
    assert wraps.seats["1001"].state == "wrapping up"
