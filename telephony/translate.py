"""Asterisk's words into ours: an AMI event in, our events out. Pure.

The only place that knows AMI field names. Values come from callers and carriers and are hostile:
control characters go, lengths are bounded, and what cannot be read becomes an empty value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from workflows.events import (
    BecameEmergency,
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
    SeatLost,
    SeatMissed,
    SeatRang,
)

MAX_NAME: Final = 80
MAX_NUMBER: Final = 40
MAX_WHOLE: Final = 2**31
NO_NUMBER: Final = frozenset({"", "<unknown>", "anonymous", "unknown", "restricted", "unavailable"})
DIAL_RESULTS: Final = {
    "ANSWER": DialResult.ANSWERED,
    "BUSY": DialResult.BUSY,
    "NOANSWER": DialResult.NO_ANSWER,
    "CANCEL": DialResult.NO_ANSWER,
}

ESCAPED: Final = re.compile(r"\\(.)")
DIALLED: Final = re.compile(r"PJSIP/([+0-9]{1,40})(?:[@,]|$)")
ENTRIES: Final = {entry.value: entry for entry in Entry}

AmiEvent = Mapping[str, Any]
Normalise = Callable[[str], str]


def plain(value: object, limit: int = MAX_NAME) -> str:
    """Text from outside: printable characters only, at most `limit` of them."""
    text = value if isinstance(value, str) else ""
    if "\\" not in text and text.isprintable():
        return text[:limit].strip()
    # Asterisk writes names as C would: \" and \' and \\ for the signs, \n and others for controls.
    text = ESCAPED.sub(lambda found: "" if found[1] in "abfnrtv" else found[1], text)
    return "".join(c for c in text if c.isprintable())[:limit].strip()


def number(value: object) -> str:
    """A caller's number as it was delivered, or empty when it was withheld."""
    text = plain(value, MAX_NUMBER)
    return "" if text.lower() in NO_NUMBER else text


def variable(event: AmiEvent, name: str, prefix: str = "") -> str:
    """A channel variable that the event carries (`channelvars` in manager.conf)."""
    carried = event.get(f"{prefix}ChanVariable", [])
    for pair in carried if isinstance(carried, list) else [carried]:
        key, _, value = str(pair).partition("=")
        if key == name:
            return value
    return ""


def happened_at(event: AmiEvent) -> datetime:
    """Asterisk's own time of the event, aware UTC; ours if it says none."""
    try:
        return datetime.fromtimestamp(float(event["Timestamp"]), UTC)
    # Beyond the years that the C library knows it is an OSError.
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return datetime.now(UTC)


def seat_of(interface: object) -> str:
    """The extension in `PJSIP/1001` or `PJSIP/1001-0000002a`."""
    text = plain(interface)
    return text.removeprefix("PJSIP/").split("-")[0][:5] if text.startswith("PJSIP/") else ""


def figure(value: object, scale: float = 1.0) -> float | None:
    """A measured number, or None when there was nothing to measure."""
    try:
        measured = float(str(value)) * scale
    except ValueError:
        return None
    # No database keeps what is infinite or not a number.
    return round(measured, 3) if math.isfinite(measured) else None


def share_lost(ami: AmiEvent, way: str) -> float | None:
    """Lost packets as a share of those that were sent this way."""
    lost, came = figure(ami.get(f"{way}Lost")), figure(ami.get(f"{way}Count"))
    # RTCP counts a repeated packet as less than none lost.
    if lost is None or came is None or lost < 0 or lost + came <= 0:
        return None
    return round(lost / (lost + came), 4)


def queue_of(channel: AmiEvent) -> str:
    """The queue in which a live channel waits, or out of which it was answered."""
    if plain(channel.get("Application")) != "Queue":
        return ""
    return plain(channel.get("ApplicationData"), 31).split(",")[0]


def dialled_by(channel: AmiEvent) -> str:
    """The number that a live channel dials, or talks to; empty when it dials nothing now."""
    if plain(channel.get("Application")) != "Dial":
        return ""
    dialled = DIALLED.match(plain(channel.get("ApplicationData")))
    return dialled[1] if dialled else ""


def worst(figures: Iterable[float | None]) -> float | None:
    return max((f for f in figures if f is not None), default=None)


class Translator:
    """Translates for one node. `normalise` makes E.164 of a number as it was delivered."""

    def __init__(self, node: str, normalise: Normalise) -> None:
        self._node: Final = node
        self._normalise: Final = normalise

    def to_events(self, ami: AmiEvent) -> tuple[Event, ...]:
        """Our events for this AMI event; none if it does not concern us."""
        match ami.get("Event"):
            case "UserEvent":
                return self._user_event(ami)
            case "QueueCallerJoin" | "AgentCalled" | "AgentConnect" | "AgentRingNoAnswer":
                return self._queue_event(ami)
            case "DialBegin" | "DialEnd":
                return self._dial_event(ami)
            case "Hangup" if self._is_first_channel(ami):
                return (
                    CallEnded(
                        case_id=ami["Uniqueid"],
                        at=happened_at(ami),
                        cause=whole(ami.get("Cause")),
                        cause_text=plain(ami.get("Cause-txt")),
                    ),
                )
            case "ConfbridgeJoin":
                return self._joined(ami)
            case _:
                return ()

    @staticmethod
    def _joined(ami: AmiEvent) -> tuple[Event, ...]:
        """In an emergency a seat's coming into the room is the answer, whoever rang it."""
        call, leg = variable(ami, "CARELINE_CALL"), plain(ami.get("Uniqueid"))
        if not call or not leg or variable(ami, "CARELINE_PARTY") != "seat":
            return ()
        seat = seat_of(ami.get("Channel"))
        return (SeatAnswered(case_id=call, at=happened_at(ami), seat=seat, leg=leg),)

    def found(self, call: str, channel: AmiEvent, now: datetime) -> Event:
        """The beginning of a call of which Asterisk's first channel is all that is known."""
        raw = number(channel.get("CallerIDNum"))
        if variable(channel, "CARELINE_PARTY") == "seat":
            dialled = dialled_by(channel)
            return CallPlaced(
                case_id=call,
                at=now,
                seat=seat_of(channel.get("Channel")),
                callee=self._normalise(dialled),
                callee_raw=dialled,
                node=self._node,
            )
        in_emergency = "emergency" in (plain(channel.get("Context")), queue_of(channel))
        return CallArrived(
            case_id=call,
            at=now,
            entry=Entry.EMERGENCY if in_emergency else Entry.HOTLINE,
            caller=self._normalise(raw),
            caller_raw=raw,
            callee="",
            node=self._node,
        )

    @staticmethod
    def _is_first_channel(ami: AmiEvent) -> bool:
        call = variable(ami, "CARELINE_CALL")
        # An elder who was called back in an emergency has the id of a call that has ended before.
        is_back = variable(ami, "CARELINE_PARTY") == "elder"
        return bool(call) and call == ami.get("Uniqueid") and not is_back

    def _user_event(self, ami: AmiEvent) -> tuple[Event, ...]:
        call = plain(ami.get("Call"))
        if not call:
            return ()
        at = happened_at(ami)
        match ami.get("UserEvent"):
            case "CallArrived":
                raw = number(ami.get("CallerIDNum"))
                name = number(ami.get("CallerIDName"))
                return (
                    CallArrived(
                        case_id=call,
                        at=at,
                        # Nobody is turned away because we do not know which number was meant.
                        entry=ENTRIES.get(plain(ami.get("Entry")), Entry.HOTLINE),
                        caller=self._normalise(raw),
                        caller_raw=raw,
                        caller_name=plain(ami.get("CallerIDName")) if name else "",
                        callee=number(ami.get("Dialled")),
                        trunk=plain(ami.get("Trunk"), 31),
                        node=self._node,
                    ),
                )
            case "CallPlaced":
                raw = number(ami.get("Dialled"))
                return (
                    CallPlaced(
                        case_id=call,
                        at=at,
                        seat=plain(ami.get("Seat"), 5),
                        callee=self._normalise(raw),
                        callee_raw=raw,
                        node=self._node,
                    ),
                )
            case "DialEnded":
                status = DIAL_RESULTS.get(plain(ami.get("Status")), DialResult.FAILED)
                return (DialEnded(case_id=call, at=at, result=status),)
            case "BecameEmergency":
                return (BecameEmergency(case_id=call, at=at),)
            case "SeatLost":
                return (SeatLost(case_id=call, at=at, seat=plain(ami.get("Seat"), 5)),)
            case "LegEnded" if plain(ami.get("Uniqueid")):
                return (self._leg_ended(call, at, ami),)
            case _:
                return ()

    @staticmethod
    def _leg_ended(call: str, at: datetime, ami: AmiEvent) -> LegEnded:
        round_trip = figure(ami.get("Rtt"), 1000.0)
        return LegEnded(
            case_id=call,
            at=at,
            leg=plain(ami.get("Uniqueid")),
            party=plain(ami.get("Party"), 12),
            cause=whole(ami.get("HangupCause")),
            # Zero is what Asterisk says before the first RTCP report: nothing was measured.
            delay_ms=round_trip / 2 if round_trip else None,
            jitter_ms=worst(figure(ami.get(f"{way}Jitter"), 1000.0) for way in ("Rx", "Tx")),
            loss=worst(share_lost(ami, way) for way in ("Rx", "Tx")),
        )

    @staticmethod
    def _queue_event(ami: AmiEvent) -> tuple[Event, ...]:
        call = variable(ami, "CARELINE_CALL")
        if not call:
            return ()
        at = happened_at(ami)
        if ami["Event"] == "QueueCallerJoin":
            queue, position = plain(ami.get("Queue"), 31), whole(ami.get("Position"))
            return (CallQueued(case_id=call, at=at, queue=queue, position=position),)
        seat, leg = seat_of(ami.get("Interface")), plain(ami.get("DestUniqueid"))
        is_half = variable(ami, "CARELINE_PARTY") == "placeholder"
        if not leg or (is_half and ami["Event"] == "AgentConnect"):
            # A seat that answers a placeholder has only set out for the elder: `_joined` tells.
            return ()
        kind = {
            "AgentCalled": SeatRang,
            "AgentConnect": SeatAnswered,
            "AgentRingNoAnswer": SeatMissed,
        }[ami["Event"]]
        return (kind(case_id=call, at=at, seat=seat, leg=leg),)

    @staticmethod
    def _dial_event(ami: AmiEvent) -> tuple[Event, ...]:
        """The party `called` of a call that a seat places, and a seat that an emergency rings.

        A queue's own dialling is told by the queue; for an emergency also phones are rung by Dial.
        """
        call = variable(ami, "CARELINE_CALL", "Dest") or variable(ami, "CARELINE_CALL")
        party = variable(ami, "CARELINE_PARTY", "Dest")
        at, leg = happened_at(ami), plain(ami.get("DestUniqueid"))
        if not call or not leg:
            return ()
        if party == "seat" and variable(ami, "CARELINE_PARTY") in ("watch", "placeholder"):
            seat = seat_of(ami.get("DestChannel"))
            is_begin = ami["Event"] == "DialBegin"
            return (SeatRang(case_id=call, at=at, seat=seat, leg=leg),) if is_begin else ()
        if party != "called":
            return ()
        who = number(ami.get("DestCallerIDNum"))
        if ami["Event"] == "DialBegin":
            return (PartyRang(case_id=call, at=at, number=who, leg=leg),)
        if ami.get("DialStatus") == "ANSWER":
            return (PartyAnswered(case_id=call, at=at, number=who, leg=leg),)
        return ()


def whole(value: object) -> int:
    """A whole number that a database takes; 0 for anything else."""
    try:
        read = int(str(value))
    except ValueError:
        return 0
    return read if abs(read) < MAX_WHOLE else 0
