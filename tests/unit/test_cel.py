"""Asterisk's flight record, as it really looks, with everything a caller can put into it."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from telephony import cel
from telephony.cel import FateKind, Record, Teller
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
    SeatRang,
)

T0: Final = 1795372239.130351
CALL, SEAT = "n1-1795372239.0", "n1-1795372247.1"
TRUNK, PHONE = "PJSIP/trunk-carrier-00000000", "PJSIP/1001-00000001"


def line(
    kind: str, after: float = 0.0, channel: str = CALL, linked: str = CALL, name: str = TRUNK,
    caller: str = "13800000005", caller_name: str = "", exten: str = "96100",
    app: str = "", data: str = "", **extra: object,
) -> bytes:  # fmt: skip
    """One record as cel_custom.conf writes it."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(
        [kind, f"{T0 + after:.6f}", channel, linked, name, caller, caller_name, exten,
         "from-carrier", app, data, "", json.dumps(extra) if extra else ""]
    )  # fmt: skip
    return out.getvalue().encode()


def at(after: float) -> datetime:
    return datetime.fromtimestamp(round(T0 + after, 6), UTC)


ANSWERED: Final = (
    line("CHAN_START"),
    line("CallArrived", extra="hotline/96100/carrier", caller_name="王\"'"),
    line("ANSWER", app="Answer"),
    line("APP_START", 8, app="Queue", data="hotline,b(seat-leg^s^1)"),
    line("CHAN_START", 8.1, SEAT, name=PHONE),
    line("ANSWER", 9, SEAT, name=PHONE),
    line("BRIDGE_ENTER", 9.1, SEAT, name=PHONE, bridge_id="b1"),
    line("BRIDGE_ENTER", 9.2, bridge_id="b1"),
    line("HANGUP", 20, hangupcause=16, dialstatus="ANSWER"),
    line("HANGUP", 20.1, SEAT, name=PHONE, hangupcause=16),
)


def teller() -> Teller:
    return Teller("n1", lambda number: f"+86{number}" if number else "")


def told(*lines: bytes, call: str = CALL) -> list[object]:
    records, _ = cel.read(b"".join(lines))
    return list(teller().events(call, cel.stories(records)[call]))


def test_an_answered_call_is_told_as_if_it_had_been_heard() -> None:
    assert told(*ANSWERED) == [
        CallArrived(
            case_id=CALL, at=at(0), entry=Entry.HOTLINE, caller="+8613800000005",
            caller_raw="13800000005", caller_name="王\"'", callee="96100", trunk="carrier",
            node="n1",
        ),
        CallQueued(case_id=CALL, at=at(8), queue="hotline", position=0),
        SeatRang(case_id=CALL, at=at(8.1), seat="1001", leg=SEAT),
        SeatAnswered(case_id=CALL, at=at(9.1), seat="1001", leg=SEAT),
        LegEnded(case_id=CALL, at=at(20), leg=CALL, party="caller", cause=16),
        CallEnded(case_id=CALL, at=at(20), cause=16),
        LegEnded(case_id=CALL, at=at(20.1), leg=SEAT, party="seat", cause=16),
    ]  # fmt: skip


def test_whoever_is_called_back_under_the_same_id_changes_nothing_of_the_call() -> None:
    """The elder's second channel has the id of the first (workflows/call_back.py)."""
    stays, (over, seat_over) = ANSWERED[:-2], ANSWERED[-2:]
    again = (
        line("CHAN_START", 24, name="PJSIP/trunk-carrier-00000009"),
        line("ANSWER", 30, name="PJSIP/trunk-carrier-00000009"),
        line("CHAN_START", 31, "n1-9.9", name="PJSIP/1002-00000009"),
        line("BRIDGE_ENTER", 32, "n1-9.9", name="PJSIP/1002-00000009", bridge_id="b1"),
        line("HANGUP", 90, name="PJSIP/trunk-carrier-00000009", hangupcause=16),
    )
    late = line("HANGUP", 91, SEAT, name=PHONE, hangupcause=16)
    *before, last = told(*stays, over, *again, late)
    assert before == told(*stays, over, seat_over)[:-1]
    assert last == LegEnded(case_id=CALL, at=at(91), leg=SEAT, party="seat", cause=16)


def test_a_seat_that_lifted_and_was_not_joined_did_not_answer() -> None:
    events = told(*ANSWERED[:6], line("HANGUP", 9.5, SEAT, name=PHONE, hangupcause=26))
    assert not [one for one in events if isinstance(one, SeatAnswered)]


def test_a_placed_call_is_told_with_the_number_that_was_dialled() -> None:
    far = "n1-1795372250.3"
    begins = (
        line("CHAN_START", name=PHONE, exten="013900000001"),
        line("CallPlaced", name=PHONE, extra="1001/013900000001"),
        line("APP_START", 1, name=PHONE, app="Dial", data="PJSIP/13900000001@trunk-carrier,60"),
        line("CHAN_START", 1.1, far, exten="s"),
    )
    over = (
        line("HANGUP", 9, far, hangupcause=16),
        line("HANGUP", 9.1, name=PHONE, hangupcause=16),
    )
    placed, rang, answered, _, dial, _, _ = told(*begins, line("ANSWER", 4, far), *over)
    assert placed == CallPlaced(
        case_id=CALL, at=at(0), seat="1001", callee="+86013900000001", callee_raw="013900000001",
        node="n1",
    )  # fmt: skip
    assert rang == PartyRang(case_id=CALL, at=at(1.1), number="13900000001", leg=far)
    assert answered == PartyAnswered(case_id=CALL, at=at(4), number="13900000001", leg=far)
    assert isinstance(dial, DialEnded)
    assert dial.result is DialResult.ANSWERED
    for cause, result in ((17, "busy"), (19, "no_answer"), (16, "no_answer"), (21, "failed")):
        ends = line("HANGUP", 9, name=PHONE, hangupcause=cause)
        (dial,) = (e for e in told(*begins, ends) if isinstance(e, DialEnded))
        assert dial.result.value == result


def test_a_seat_that_was_fetched_into_the_room_belongs_to_its_call() -> None:
    room = line("BRIDGE_ENTER", 1, bridge_id="room")
    fetched = [
        line("CHAN_START", 2, SEAT, SEAT, PHONE),
        line("BRIDGE_ENTER", 3, SEAT, SEAT, PHONE, bridge_id="room"),
        line("CHAN_START", 4, "other", "other", "PJSIP/1002-00000009"),
    ]
    events = told(*ANSWERED[:2], room, *fetched)
    assert [e.leg for e in events if isinstance(e, SeatAnswered)] == [SEAT]
    assert not [e for e in events if getattr(e, "leg", "") == "other"]


def test_what_never_became_a_call_has_no_story() -> None:
    """A call that was refused while the machine empties itself, and a phone that we rang."""
    records, _ = cel.read(line("CHAN_START") + line("HANGUP", 1, hangupcause=34))
    assert cel.stories(records) == {}


def test_a_caller_cannot_forge_a_record() -> None:
    """Whatever stands in a name: the records are as many as Asterisk wrote, and these."""
    forged = line("HANGUP", 5, hangupcause=16).decode()
    for name in (
        forged,
        f"\n{forged}",
        f'x"\n{forged}"',
        '","',
        '"',
        "\n",
        '\n"',
        "\r\n\x00",
        "\\",
    ):
        text = line("CHAN_START", caller_name=name, exten=name) + line("ANSWER", 1)
        records, end = cel.read(text)
        assert [r.kind for r in records] == ["CHAN_START", "ANSWER"]
        assert end == len(text)


@given(st.lists(st.text(max_size=60), min_size=3, max_size=3), st.binary(max_size=20))
def test_any_value_is_read_and_stays_in_its_place(values: list[str], junk: bytes) -> None:
    caller, name, exten = values
    broken = line("ANSWER", 1, caller_name="JUNK").replace(b"JUNK", junk.replace(b'"', b'""'))
    text = line("CHAN_START", caller=caller, caller_name=name, exten=exten) + broken
    first, second = cel.read(text)[0]
    assert (first.kind, first.channel, second.kind) == ("CHAN_START", CALL, "ANSWER")
    assert all(c.isprintable() for r in (first, second) for c in r.caller_name + r.exten)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_a_file_full_of_anything_is_read_without_an_error(junk: bytes, cut: int) -> None:
    cel.stories(cel.read(junk)[0])
    cel.stories(cel.read(b"".join(ANSWERED)[cut:] + junk + b"\n" + ANSWERED[-1])[0])


def test_a_line_that_is_still_being_written_is_left_for_later() -> None:
    first, last = line("CHAN_START"), line("HANGUP", 2, hangupcause=16)
    for length in range(len(last)):
        records, end = cel.read(first + last[:length])
        assert [r.kind for r in records] == ["CHAN_START"]
        again, whole = cel.read((first + last)[end:], end)
        assert [r.kind for r in again] == ["HANGUP"]
        assert whole == len(first + last)


def test_a_torn_record_costs_only_itself() -> None:
    whole = line("ANSWER", 1)
    for length in range(1, len(whole) - 1):
        torn = whole[:length] + b"\n"
        records, _ = cel.read(line("CHAN_START") + torn + line("HANGUP", 2, hangupcause=16))
        assert [r.kind for r in records] == ["CHAN_START", "HANGUP"]


def test_odd_extras_and_times_are_nothing() -> None:
    text = line("HANGUP").replace(b'""\n', b'"[1]"\n') + line("HANGUP").replace(
        b"1795372239", b"999999999999"
    )
    records, _ = cel.read(text + line("ANSWER"))
    assert [(r.kind, r.extra) for r in records] == [("HANGUP", {}), ("ANSWER", {})]


def fate(*lines: bytes, channel: str = SEAT) -> tuple[FateKind, datetime | None, int | None]:
    records: list[Record] = cel.read(b"".join(lines))[0]
    found = cel.fate(records, channel, at(7))
    return found.kind, found.answered_at, found.cause


def test_the_fate_of_a_dial() -> None:
    assert fate(*ANSWERED) == (FateKind.ANSWERED, at(9), 16)
    assert fate(*ANSWERED[:5]) == (FateKind.RINGING, None, None)
    missed = line("HANGUP", 20, SEAT, name=PHONE, hangupcause=19)
    assert fate(*ANSWERED[:5], missed) == (FateKind.FAILED, None, 19)
    assert fate(*ANSWERED[:4]) == (FateKind.NEVER_STARTED, None, None)
    # Nothing is written from before it was asked for: perhaps nothing was written at all then.
    assert fate() == (FateKind.UNKNOWN, None, None)
    assert fate(ANSWERED[3]) == (FateKind.UNKNOWN, None, None)
    talking = cel.fate(cel.read(b"".join(ANSWERED[:8]))[0], SEAT, at(7))
    assert (talking.answered_at, talking.ended_at) == (at(9), None)
    assert at(9) - at(8.1) == timedelta(seconds=0.9)
