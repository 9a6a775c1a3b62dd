"""What was missed while nobody listened: Asterisk's channels against the calls we believe in. Pure.

After every connect the difference becomes ordinary events, so that a case never needs to know that
the controller was away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from telephony.translate import Translator, number, plain, queue_of, seat_of, variable
from workflows.events import (
    BecameEmergency,
    CallQueued,
    CallVanished,
    Event,
    LegEnded,
    PartyAnswered,
    PartyRang,
    SeatAnswered,
    SeatLost,
    SeatRang,
)

Channel = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call that we believe in: its state, its seat, and which of its legs have not ended."""

    state: str = ""
    legs: tuple[str, ...] = ()
    seat: str = ""
    is_emergency: bool = False


def missed_events(
    open_calls: Mapping[str, OpenCall],
    channels: Sequence[Channel],
    translator: Translator,
    now: datetime,
) -> list[Event]:
    """The events that bring our calls to what Asterisk has at `now`, aware UTC."""
    first = {
        call: channel
        for channel in channels
        if (call := variable(channel, "CARELINE_CALL")) and call == channel.get("Uniqueid")
        # Whom an emergency calls back has the id of a call that has ended before.
        if variable(channel, "CARELINE_PARTY") != "elder"
    }
    events: list[Event] = [
        CallVanished(case_id=call, at=now) for call in open_calls if call not in first
    ]
    live = {plain(channel.get("Uniqueid")) for channel in channels}
    for call, channel in first.items():
        known = open_calls.get(call, OpenCall())
        if call not in open_calls:
            events.append(translator.found(call, channel, now))
        elif plain(channel.get("Context")) == "emergency" and not known.is_emergency:
            events.append(BecameEmergency(case_id=call, at=now))
        events += [
            # Why it ended nobody saw: cause 0 says nothing.
            LegEnded(case_id=call, at=now, leg=leg, party="", cause=0)
            for leg in known.legs
            if leg not in live
        ]
        events += _present(call, channel, channels, known, now)
    return events


def _present(
    call: str, channel: Channel, channels: Iterable[Channel], known: OpenCall, now: datetime
) -> list[Event]:
    """Where the caller is now, if that is further than we know."""
    bridge = plain(channel.get("BridgeId"))
    if not bridge:
        waits_in = queue_of(channel)
        if known.state == "talking" and waits_in and not _has_seat(call, channels):
            # The seat was lost meanwhile, and the caller stands in the line again.
            return [SeatLost(case_id=call, at=now, seat=known.seat)]
        queue = waits_in if known.state in ("", "entered") else ""
        waits = [CallQueued(case_id=call, at=now, queue=queue, position=0)] if queue else []
        rings = (ring for other in channels for ring in _ringing(call, other, known, now))
        return [*waits, *rings]
    if known.state == "talking":
        return []
    return [
        answer
        for other in channels
        if plain(other.get("BridgeId")) == bridge and other.get("Uniqueid") != call
        for answer in _answer(call, other, now)
    ]


def _has_seat(call: str, channels: Iterable[Channel]) -> bool:
    """Whether a seat's phone is on the call: between its answer and the talk there is no bridge."""
    return any(
        variable(one, "CARELINE_CALL") == call and variable(one, "CARELINE_PARTY") == "seat"
        for one in channels
        if one.get("ChannelStateDesc") == "Up"
    )


def _ringing(call: str, other: Channel, known: OpenCall, now: datetime) -> tuple[Event, ...]:
    """That this channel rings for the call, if we do not know of it."""
    leg = plain(other.get("Uniqueid"))
    if variable(other, "CARELINE_CALL") != call or other.get("ChannelStateDesc") != "Ringing":
        return ()
    if not leg or leg in known.legs:
        return ()
    match variable(other, "CARELINE_PARTY"):
        case "seat":
            seat = seat_of(other.get("Channel"))
            return (SeatRang(case_id=call, at=now, seat=seat, leg=leg),)
        case "called":
            who = number(other.get("CallerIDNum"))
            return (PartyRang(case_id=call, at=now, number=who, leg=leg),)
        case _:
            return ()


def _answer(call: str, other: Channel, now: datetime) -> tuple[Event, ...]:
    """That this channel, which is in one bridge with the call's own, answered it."""
    leg = plain(other.get("Uniqueid"))
    match variable(other, "CARELINE_PARTY"):
        case "seat" if leg:
            seat = seat_of(other.get("Channel"))
            return (SeatAnswered(case_id=call, at=now, seat=seat, leg=leg),)
        case "called" if leg:
            who = number(other.get("CallerIDNum"))
            return (PartyAnswered(case_id=call, at=now, number=who, leg=leg),)
        case _:
            return ()
