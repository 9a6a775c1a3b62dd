"""Asterisk's events become ours, however hostile the caller and however odd the message."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panoramisk.message import Message

from sql import codec
from sql.numbers import e164
from telephony.translate import Translator, happened_at, plain, seat_of, variable
from workflows.events import (
    CallArrived,
    CallEnded,
    CallPlaced,
    CallQueued,
    DialEnded,
    DialResult,
    Entry,
    LegEnded,
    PartyAnswered,
    PartyRang,
    SeatAnswered,
    SeatMissed,
    SeatRang,
)

CALL: Final = "node1-1772326800.7"
AT: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
TRANSLATOR: Final = Translator("node1", partial(e164, country="86", area="0374"))
OURS: Final = {"ChanVariable": [f"CARELINE_CALL={CALL}", "CARELINE_PARTY=caller"]}


def ami(event: str, **fields: object) -> dict[str, Any]:
    return {"Event": event, "Timestamp": f"{AT.timestamp():.6f}", **fields}


def arrival(**fields: object) -> dict[str, Any]:
    given = {
        "UserEvent": "CallArrived", "Call": CALL, "Uniqueid": CALL, "Entry": "hotline",
        "Dialled": "96100", "Trunk": "carrier", "CallerIDNum": "13800000000",
        "CallerIDName": "王秀英",
    }  # fmt: skip
    return ami("UserEvent", **given | fields)


def arrived(**fields: object) -> CallArrived:
    (event,) = TRANSLATOR.to_events(arrival(**fields))
    assert isinstance(event, CallArrived)
    return event


def test_an_arriving_call() -> None:
    assert arrived() == CallArrived(
        case_id=CALL, at=AT, entry=Entry.HOTLINE, caller="+8613800000000",
        caller_raw="13800000000", caller_name="王秀英", callee="96100", trunk="carrier",
        node="node1",
    )  # fmt: skip


@pytest.mark.parametrize("entry", Entry)
def test_the_number_that_was_dialled_is_the_entry(entry: Entry) -> None:
    assert arrived(Entry=entry.value).entry is entry


@pytest.mark.parametrize("entry", ["", "HOTLINE", "fax", ["hotline", "emergency"], None])
def test_nobody_is_turned_away_because_of_an_unknown_entry(entry: object) -> None:
    assert arrived(Entry=entry).entry is Entry.HOTLINE


@pytest.mark.parametrize(
    "number", ["", "<unknown>", "anonymous", "Anonymous", "unknown", "Restricted", None, ["1", "2"]]
)
def test_a_hidden_number_is_a_call_without_a_number(number: object) -> None:
    event = arrived(CallerIDNum=number)
    assert (event.caller, event.caller_raw) == ("", "")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("王秀英", "王秀英"),
        ("<unknown>", ""),
        ("", ""),
        (r"say \"Cause: 1\"", 'say "Cause: 1"'),
        (r"O\'Brien", "O'Brien"),
        (r"back\\slash", r"back\slash"),
        (r"quote after slash \\\"", r"quote after slash " + '\\"'),
        (r"why\?", "why?"),
        (r"x\r\nEntry: emergency", "xEntry: emergency"),
        ("x\r\nEntry: emergency", "xEntry: emergency"),
        ("a\0b\x1b[31mc\u202ed\ud800", "ab[31mcd"),
        ("'; DROP TABLE elder; --", "'; DROP TABLE elder; --"),
        ("${SHELL(id)}", "${SHELL(id)}"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("👵🏻 a\u200db", "👵🏻 ab"),
        ("长" * 200, "长" * 80),
        (["a", "b"], ""),
        (None, ""),
    ],
)
def test_a_name_is_shown_as_it_was_meant_and_does_no_harm(sent: object, shown: str) -> None:
    event = arrived(CallerIDName=sent)
    assert event.caller_name == shown
    assert event.entry is Entry.HOTLINE


@pytest.mark.parametrize("number", ["1" * 500, "+" * 50, "١٢٣", "sip:a@b;x=y", "0\r\n1", "１３８"])
def test_no_number_breaks_a_call(number: str) -> None:
    event = arrived(CallerIDNum=number)
    assert len(event.caller) <= 40
    assert len(event.caller_raw) <= 40
    assert all(c in "+0123456789" for c in event.caller)


def test_a_seat_dials() -> None:
    (event,) = TRANSLATOR.to_events(
        ami("UserEvent", UserEvent="CallPlaced", Call=CALL, Seat="1001", Dialled="13800000000")
    )
    assert event == CallPlaced(
        case_id=CALL, at=AT, seat="1001", callee="+8613800000000", callee_raw="13800000000",
        node="node1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("ANSWER", DialResult.ANSWERED),
        ("BUSY", DialResult.BUSY),
        ("NOANSWER", DialResult.NO_ANSWER),
        ("CANCEL", DialResult.NO_ANSWER),
        ("CHANUNAVAIL", DialResult.FAILED),
        ("CONGESTION", DialResult.FAILED),
        ("NOTALLOWED", DialResult.FAILED),
        ("", DialResult.FAILED),
        ([], DialResult.FAILED),
    ],
)
def test_how_a_dial_ended(status: object, result: DialResult) -> None:
    (event,) = TRANSLATOR.to_events(
        ami("UserEvent", UserEvent="DialEnded", Call=CALL, Status=status)
    )
    assert event == DialEnded(case_id=CALL, at=AT, result=result)


# ── the queue ─────────────────────────────────────────────────────────────────────────────────


def queue_event(name: str, **fields: object) -> tuple[object, ...]:
    given = {"Queue": "hotline", "Interface": "PJSIP/1001", "DestUniqueid": "leg-1"}
    return TRANSLATOR.to_events(ami(name, **OURS | given | fields))


def test_a_caller_joins_the_queue() -> None:
    assert queue_event("QueueCallerJoin", Position="3") == (
        CallQueued(case_id=CALL, at=AT, queue="hotline", position=3),
    )


@pytest.mark.parametrize("position", [None, "", "first", ["1", "2"], "9" * 30])
def test_a_caller_whose_place_is_unreadable_waits_all_the_same(position: object) -> None:
    assert queue_event("QueueCallerJoin", Position=position) == (
        CallQueued(case_id=CALL, at=AT, queue="hotline", position=0),
    )
    without = ami("QueueCallerJoin", **OURS, Queue="hotline")
    assert len(TRANSLATOR.to_events(without)) == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [("AgentCalled", SeatRang), ("AgentConnect", SeatAnswered), ("AgentRingNoAnswer", SeatMissed)],
)
def test_a_seat_rings_answers_or_misses(name: str, kind: type[SeatRang]) -> None:
    assert queue_event(name) == (kind(case_id=CALL, at=AT, seat="1001", leg="leg-1"),)
    # A leg without an id would be the same leg for every call.
    assert queue_event(name, DestUniqueid="") == ()


def test_a_seat_on_the_way_to_an_elder_has_not_answered_yet() -> None:
    """It may hang up before it is in the room, and nobody would have been with the elder."""
    half = [f"CARELINE_CALL={CALL}", "CARELINE_PARTY=placeholder"]
    assert queue_event("AgentConnect", ChanVariable=half) == ()
    assert len(queue_event("AgentCalled", ChanVariable=half)) == 1
    seat = [f"CARELINE_CALL={CALL}", "CARELINE_PARTY=seat"]
    joined = ami("ConfbridgeJoin", ChanVariable=seat, Uniqueid="leg-1", Channel="PJSIP/1001-1")
    assert TRANSLATOR.to_events(joined) == (
        SeatAnswered(case_id=CALL, at=AT, seat="1001", leg="leg-1"),
    )


@pytest.mark.parametrize("name", ["QueueCallerJoin", "AgentCalled", "DialBegin", "Hangup"])
def test_a_channel_of_nobodys_call_is_left_alone(name: str) -> None:
    event = ami(name, Uniqueid="other", DestUniqueid="x", ChanVariable="CARELINE_PARTY=seat")
    assert TRANSLATOR.to_events(event) == ()


# ── legs and the end ──────────────────────────────────────────────────────────────────────────


def dial(name: str, party: str = "called", **fields: object) -> tuple[object, ...]:
    given = {
        "DestChanVariable": [f"CARELINE_CALL={CALL}", f"CARELINE_PARTY={party}"],
        "DestUniqueid": "far", "DestCallerIDNum": "13800000000",
    }  # fmt: skip
    return TRANSLATOR.to_events(ami(name, **OURS | given | fields))


def test_the_other_side_of_a_placed_call_rings_and_answers() -> None:
    assert dial("DialBegin") == (PartyRang(case_id=CALL, at=AT, number="13800000000", leg="far"),)
    assert dial("DialEnd", DialStatus="ANSWER") == (
        PartyAnswered(case_id=CALL, at=AT, number="13800000000", leg="far"),
    )
    assert dial("DialEnd", DialStatus="BUSY") == ()
    assert dial("DialBegin", party="seat") == (), "a queue's own dialling is told by the queue"


@pytest.mark.parametrize("half", ["watch", "placeholder"])
def test_a_seat_that_an_emergency_rings_without_a_queue(half: str) -> None:
    """Every phone that is free is rung, also those of seats who pause; the card must be there."""
    given = {
        "ChanVariable": [f"CARELINE_CALL={CALL}", f"CARELINE_PARTY={half}"],
        "DestChannel": "PJSIP/1001-00000002",
    }
    rang = SeatRang(case_id=CALL, at=AT, seat="1001", leg="far")
    assert dial("DialBegin", party="seat", **given) == (rang,)
    assert dial("DialEnd", party="seat", DialStatus="ANSWER", **given) == ()


def test_only_the_end_of_the_calls_own_channel_is_its_end() -> None:
    hangup = ami("Hangup", **OURS, Uniqueid=CALL, Cause="16", **{"Cause-txt": "Normal Clearing"})
    (event,) = TRANSLATOR.to_events(hangup)
    assert event == CallEnded(case_id=CALL, at=AT, cause=16, cause_text="Normal Clearing")
    assert TRANSLATOR.to_events(hangup | {"Uniqueid": "a seat's leg"}) == ()
    (event,) = TRANSLATOR.to_events(hangup | {"Cause": "what?"})
    assert isinstance(event, CallEnded)
    assert event.cause == 0


def leg_end(**fields: object) -> LegEnded:
    given = {
        "UserEvent": "LegEnded", "Call": CALL, "Uniqueid": "leg-1", "Party": "seat",
        "HangupCause": "16", "Rtt": "0.050000", "RxJitter": "0.002", "TxJitter": "0.004",
        "RxLost": "1", "RxCount": "99", "TxLost": "0", "TxCount": "100",
    }  # fmt: skip
    (event,) = TRANSLATOR.to_events(ami("UserEvent", **given | fields))
    assert isinstance(event, LegEnded)
    return event


def test_a_leg_ends_with_what_was_measured_on_it() -> None:
    """The delay is one way, jitter the worse of both, loss a share of what was sent."""
    event = leg_end()
    assert (event.leg, event.party, event.cause) == ("leg-1", "seat", 16)
    assert (event.delay_ms, event.jitter_ms, event.loss) == (25.0, 4.0, 0.01)


def test_what_was_not_measured_is_not_invented() -> None:
    nothing = dict.fromkeys(("Rtt", "RxJitter", "TxJitter", "RxLost", "TxLost"), "")
    event = leg_end(**nothing)
    assert (event.delay_ms, event.jitter_ms, event.loss) == (None, None, None)
    assert leg_end(Rtt="0.000000").delay_ms is None
    assert leg_end(RxCount="0", RxLost="0", TxCount="0").loss is None


@pytest.mark.parametrize("odd", ["nan", "inf", "-inf", "1e400", "x", None, ["1", "2"], "-3"])
def test_a_figure_that_no_database_keeps_is_no_figure(odd: object) -> None:
    event = leg_end(Rtt=odd, RxJitter=odd, TxJitter=odd, RxLost=odd, TxLost=odd, HangupCause=odd)
    json.loads(json.dumps(codec.dump(event), allow_nan=False))
    assert event.loss is None or 0 <= event.loss <= 1


def test_a_leg_without_an_id_is_nobodys_leg() -> None:
    event = ami("UserEvent", UserEvent="LegEnded", Call=CALL, Party="seat")
    assert TRANSLATOR.to_events(event) == ()


# ── time, names of channels, anything at all ──────────────────────────────────────────────────


@pytest.mark.parametrize("stamp", ["", "yesterday", "nan", "inf", "1e30", "6.8e16", ["1"], None])
def test_without_a_readable_time_it_happened_now(stamp: object) -> None:
    before = datetime.now(UTC)
    assert before <= happened_at({"Timestamp": stamp}) <= datetime.now(UTC)
    assert happened_at({"Timestamp": "0.5"}).tzinfo is UTC


@pytest.mark.parametrize(
    ("channel", "seat"),
    [
        ("PJSIP/1001", "1001"),
        ("PJSIP/1001-0000002a", "1001"),
        ("PJSIP/trunk-carrier-00000001", "trunk"),
        ("Local/1001@x", ""),
        ("", ""),
        (None, ""),
        (["PJSIP/1001"], ""),
        ("PJSIP/" + "1" * 90, "11111"),
    ],
)
def test_the_seat_of_a_channel(channel: object, seat: str) -> None:
    assert seat_of(channel) == seat


def test_variables_of_one_or_of_many() -> None:
    assert variable({"ChanVariable": "CARELINE_CALL=a=b"}, "CARELINE_CALL") == "a=b"
    assert variable(OURS, "CARELINE_PARTY") == "caller"
    assert variable({}, "CARELINE_CALL") == ""


FIELDS: Final = (
    "UserEvent", "Call", "Entry", "CallerIDNum", "CallerIDName", "Dialled", "Trunk", "Seat",
    "Status", "Uniqueid", "Party", "HangupCause", "Rtt", "RxLost", "RxCount", "Queue", "Position",
    "Interface", "DestUniqueid", "DestCallerIDNum", "DialStatus", "Cause", "Timestamp",
    "ChanVariable", "DestChanVariable",
)  # fmt: skip
NAMES: Final = (
    "UserEvent", "QueueCallerJoin", "AgentCalled", "AgentConnect", "AgentRingNoAnswer",
    "DialBegin", "DialEnd", "Hangup", "Newchannel",
)  # fmt: skip
VALUES: Final = st.one_of(
    st.sampled_from(["CallArrived", "CallPlaced", "DialEnded", "LegEnded", CALL, "ANSWER"]),
    st.just(list(OURS["ChanVariable"])),
    st.text(max_size=100),
    st.lists(st.text(max_size=9), min_size=2, max_size=3),
)


@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(FIELDS), VALUES))
@settings(max_examples=60, deadline=None)
def test_no_message_breaks_the_translator(name: str, fields: dict[str, Any]) -> None:
    """Whatever comes out fits the database and can be read again."""
    for event in TRANSLATOR.to_events(Message({"Event": name, **fields})):
        stored = json.loads(json.dumps(codec.dump_event(event), allow_nan=False))
        assert codec.load_event(stored) == event
        assert "\0" not in json.dumps(stored, ensure_ascii=False)


@given(st.text(max_size=300))
def test_plain_text_is_printable_and_bounded(text: str) -> None:
    assert plain(text).isprintable()
    assert len(plain(text)) <= 80
