"""Asterisk's flight record (CEL) into our events. Pure.

One record is one event of one channel, as cel_custom.conf writes it. Every value is hostile: names
and numbers come from callers. A record begins a line with two plain values in quotation marks,
which no value can imitate, since Asterisk doubles the marks in it: so a torn or mangled record
costs only itself.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from telephony.translate import ENTRIES, MAX_NAME, MAX_NUMBER, NO_NUMBER, seat_of, whole
from workflows.events import (
    CallArrived,
    CallEnded,
    CallPlaced,
    CallQueued,
    DialEnded,
    DialResult,
    Entry,
    Event,
    LegEnded,
    PartyAnswered,
    PartyRang,
    SeatAnswered,
    SeatRang,
)

logger = logging.getLogger(__name__)

BEGINS: Final = re.compile(rb'^"[A-Za-z_]{1,40}","\d{1,12}\.\d{6}","', re.MULTILINE)
LINE_ENDS: Final = re.compile(rb'"\n')
BEGINNING: Final = 100_000
"""Bytes in which a file has its first whole record."""
BUSY_CAUSE: Final = 17
NO_ANSWER_CAUSES: Final = (0, 16, 18, 19)

ARRIVED, PLACED, QUEUE = "CallArrived", "CallPlaced", "Queue"
"""The dialplan's own events, and the one application whose start matters here."""

Normalise = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Record:
    """One event of one channel at `at` (aware UTC); `start` is where it stands in its file."""

    start: int
    kind: str
    at: datetime
    channel: str
    linked: str
    name: str = ""
    number: str = ""
    caller_name: str = ""
    exten: str = ""
    app: str = ""
    data: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


def read(text: bytes, offset: int = 0) -> tuple[list[Record], int]:
    """The whole records in this part of a file, which begins at `offset`.

    Returns them and where the next reading begins: a last record that is still being written is
    left for then.
    """
    # Never half a line: what follows the last end of one is being written just now.
    text = text[: text.rfind(b"\n") + 1]
    starts = [found.start() for found in BEGINS.finditer(text)]
    ends = [*starts[1:], len(text)] if starts else []
    records: list[Record] = []
    for start, end in zip(starts, ends, strict=True):
        record = _record(text[start:end], offset + start)
        if record is not None:
            records.append(record)
        elif end == len(text):
            return records, offset + start
        else:
            logger.warning("the flight record has a torn record at %d", offset + start)
    return records, offset + (len(text) if starts else 0)


def first(text: bytes) -> list[Record]:
    """The first record of a file, which says how far back it reaches; none when it has none."""
    return read(text[:BEGINNING])[0][:1]


def of_channel(text: bytes, channel: str) -> list[Record]:
    """The records of this channel alone, in order; all others are passed over unread."""
    found: list[Record] = []
    named = b'","' + channel.encode() + b'","'
    at = text.find(named)
    while at >= 0:
        start = text.rfind(b"\n", 0, at) + 1
        begins = BEGINS.match(text, start)
        if begins and begins.end() == at + 3:
            after = BEGINS.search(text, begins.end())
            found += read(text[start : after.start() if after else None], start)[0]
        at = text.find(named, at + 1)
    return found


def _record(text: bytes, start: int) -> Record | None:
    """The record with which this text begins; the rest of it may be what is left of a torn one."""
    for found in (len(text), *(end.end() for end in LINE_ENDS.finditer(text))):
        record = _parsed(text[:found], start)
        if record is not None:
            return record
    return None


def _parsed(text: bytes, start: int) -> Record | None:
    if not text.endswith(b'"\n'):
        return None
    try:
        reader = csv.reader(io.StringIO(text.decode("utf-8", "replace"), newline=""), strict=True)
        (values,) = list(reader)
        kind, at, channel, linked, name, number, caller_name, exten, _, app, data, _, extra = values
        moment = datetime.fromtimestamp(float(at), UTC)
    except (ValueError, OverflowError, csv.Error):
        return None
    return Record(
        start, kind, moment, clean(channel), clean(linked), clean(name),
        clean(number, MAX_NUMBER), clean(caller_name), clean(exten, MAX_NUMBER), clean(app),
        clean(data, 200), _extra(extra),
    )  # fmt: skip


def clean(text: str, limit: int = MAX_NAME) -> str:
    """Printable characters only, at most `limit`. Nothing is escaped here, as it is in AMI."""
    return "".join(c for c in text if c.isprintable())[:limit].strip()


def _extra(text: str) -> Mapping[str, Any]:
    try:
        extra = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return extra if isinstance(extra, dict) else {}


# ── which call a record belongs to ────────────────────────────────────────────────────────────


def stories(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records of each call whose beginning is among them, by the call's id, in order."""
    calls = {r.channel for r in records if r.kind in (ARRIVED, PLACED)}
    rooms = {_bridge(r): r.channel for r in records if r.channel in calls and _bridge(r)}
    owner = {call: call for call in calls}
    for r in records:
        # A seat that was fetched for a room came by a way of its own: the room says whose it is.
        if r.linked in calls or _bridge(r) in rooms:
            owner.setdefault(r.channel, r.linked if r.linked in calls else rooms[_bridge(r)])
    told: dict[str, list[Record]] = defaultdict(list)
    hung_up: set[str] = set()
    over: set[str] = set()
    for r in records:
        call = owner.get(r.channel, "")
        # Whom an emergency calls back is on a channel that has the id of the first one: what is
        # written from there on is of another talk, but for the ends of those who have stayed.
        if r.kind == "CHAN_START" and r.channel in hung_up:
            over.add(call)
        stayed = r.kind == "HANGUP" and r.channel != call and r.channel in open_channels(told[call])
        if r.kind == "HANGUP" and r.channel == call:
            hung_up.add(call)
        if call and (call not in over or stayed) and r.name.startswith("PJSIP/"):
            told[call].append(r)
    return {call: story for call, story in told.items() if story}


def _bridge(record: Record) -> str:
    return str(record.extra.get("bridge_id", "")) if record.kind == "BRIDGE_ENTER" else ""


def open_channels(story: Iterable[Record]) -> set[str]:
    """The channels of this call whose end is not written yet."""
    ended = {r.channel for r in story if r.kind == "HANGUP"}
    return {r.channel for r in story} - ended


# ── what happened in one call ─────────────────────────────────────────────────────────────────


class Teller:
    """Tells calls for one node. `normalise` makes E.164 of a number as it was delivered."""

    def __init__(self, node: str, normalise: Normalise) -> None:
        self._node: Final = node
        self._normalise: Final = normalise

    def events(self, call: str, story: Sequence[Record]) -> list[Event]:
        """What happened in this call, in order, as if it had been heard."""
        is_placed = any(r.kind == PLACED for r in story)
        dialled = _dialled(story)
        events: list[Event] = []
        for r in story:
            events += (
                self._of_call(call, r, story) if r.channel == call else
                _of_leg(call, r, is_placed, dialled)
            )  # fmt: skip
        return events

    def _of_call(self, call: str, r: Record, story: Sequence[Record]) -> list[Event]:
        match r.kind:
            case "CallArrived":
                return [self._arrived(call, r)]
            case "CallPlaced":
                seat, _, dialled = str(r.extra.get("extra", "")).partition("/")
                to = clean(dialled, MAX_NUMBER)
                return [
                    CallPlaced(
                        case_id=call, at=r.at, seat=clean(seat, 5), callee=self._normalise(to),
                        callee_raw=to, node=self._node,
                    )
                ]  # fmt: skip
            case "APP_START" if r.app == QUEUE:
                queue = clean(r.data.split(",")[0], 31)
                return [CallQueued(case_id=call, at=r.at, queue=queue, position=0)]
            case "HANGUP":
                return self._over(call, r, story)
            case _:
                return []

    def _arrived(self, call: str, r: Record) -> CallArrived:
        entry, dialled, trunk = (*str(r.extra.get("extra", "")).split("/"), "", "", "")[:3]
        raw = "" if r.number.lower() in NO_NUMBER else r.number
        name = "" if r.caller_name.lower() in NO_NUMBER else r.caller_name
        return CallArrived(
            case_id=call,
            at=r.at,
            entry=ENTRIES.get(entry, Entry.HOTLINE),
            caller=self._normalise(raw),
            caller_raw=raw,
            caller_name=name,
            callee=clean(dialled, MAX_NUMBER),
            trunk=clean(trunk, 31),
            node=self._node,
        )

    @staticmethod
    def _over(call: str, r: Record, story: Sequence[Record]) -> list[Event]:
        cause = whole(r.extra.get("hangupcause"))
        is_placed = any(one.kind == PLACED for one in story)
        events: list[Event] = []
        if is_placed:
            events.append(DialEnded(case_id=call, at=r.at, result=_result(call, cause, story)))
        party = "seat" if is_placed else "caller"
        events.append(LegEnded(case_id=call, at=r.at, leg=call, party=party, cause=cause))
        events.append(CallEnded(case_id=call, at=r.at, cause=cause))
        return events


def _result(call: str, cause: int, story: Iterable[Record]) -> DialResult:
    if any(r.kind == "ANSWER" and r.channel != call for r in story):
        return DialResult.ANSWERED
    if cause == BUSY_CAUSE:
        return DialResult.BUSY
    return DialResult.NO_ANSWER if cause in NO_ANSWER_CAUSES else DialResult.FAILED


def _dialled(story: Iterable[Record]) -> str:
    """The number that a placed call went out with: `PJSIP/13900000001@trunk-…` in its Dial."""
    data = next((r.data for r in story if r.app == "Dial" and r.kind == "APP_START"), "")
    return clean(data.removeprefix("PJSIP/").partition("@")[0], MAX_NUMBER) if "@" in data else ""


def _of_leg(call: str, r: Record, is_placed: bool, dialled: str) -> list[Event]:
    """What one record of another's leg tells: a seat's, or somebody's outside."""
    is_seat = not r.name.startswith("PJSIP/trunk-")
    if r.kind == "HANGUP":
        party, cause = "seat" if is_seat else "called", whole(r.extra.get("hangupcause"))
        return [LegEnded(case_id=call, at=r.at, leg=r.channel, party=party, cause=cause)]
    if is_seat and is_placed:
        # Of a call between two seats only its end tells that it was answered.
        return []
    seat = seat_of(r.name)
    match r.kind:
        case "CHAN_START" if is_seat:
            return [SeatRang(case_id=call, at=r.at, seat=seat, leg=r.channel)]
        case "CHAN_START":
            return [PartyRang(case_id=call, at=r.at, number=dialled, leg=r.channel)]
        case "BRIDGE_ENTER" if is_seat:
            # Two seats may lift at the same moment: the one that was joined is who answered.
            return [SeatAnswered(case_id=call, at=r.at, seat=seat, leg=r.channel)]
        case "ANSWER" if not is_seat:
            return [PartyAnswered(case_id=call, at=r.at, number=dialled, leg=r.channel)]
        case _:
            return []


# ── what became of one dial ───────────────────────────────────────────────────────────────────


class FateKind(Enum):
    """What the record says of a channel that we asked for."""

    UNKNOWN = "unknown"
    NEVER_STARTED = "never started"
    RINGING = "ringing"
    FAILED = "failed"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a channel; times are aware UTC, `cause` is a Q.850 cause.

    An answered one without `ended_at` still talks, or its end was never written.
    """

    kind: FateKind
    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    cause: int | None = None


def fate(records: Sequence[Record], channel: str, asked_at: datetime) -> Fate:
    """What became of the channel with this id, which was asked for at `asked_at`.

    Unknown when the records do not reach back so far: then nothing can be said.
    """
    own = [r for r in records if r.channel == channel]
    if not own:
        reaches_back = bool(records) and records[0].at <= asked_at
        return Fate(FateKind.NEVER_STARTED if reaches_back else FateKind.UNKNOWN)
    answered = next((r.at for r in own if r.kind == "ANSWER"), None)
    hangup = next((r for r in own if r.kind == "HANGUP"), None)
    cause = whole(hangup.extra.get("hangupcause")) if hangup else None
    if answered is not None:
        kind = FateKind.ANSWERED
    else:
        kind = FateKind.FAILED if hangup else FateKind.RINGING
    return Fate(kind, own[0].at, answered, hangup.at if hangup else None, cause)
