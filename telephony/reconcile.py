"""What was missed while nobody listened: Asterisk's channels against the calls we believe in. Pure.

After every connect the difference becomes ordinary events, so that a case never needs to know that
the controller was away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from telephony.translate import Translator, number, plain, queue_of, seat_of, variable
from workflows.events import CallQueued, CallVanished, Event, PartyAnswered, SeatAnswered

Channel = Mapping[str, Any]


def missed_events(
    open_calls: Mapping[str, str],
    channels: Sequence[Channel],
    translator: Translator,
    now: datetime,
) -> list[Event]:
    """The events that bring our calls (id → state) to what Asterisk has at `now`, aware UTC."""
    first = {
        call: channel
        for channel in channels
        if (call := variable(channel, "CARELINE_CALL")) and call == channel.get("Uniqueid")
    }
    events: list[Event] = [
        CallVanished(case_id=call, at=now) for call in open_calls if call not in first
    ]
    for call, channel in first.items():
        if call not in open_calls:
            events.append(translator.found(call, channel, now))
        events += _present(call, channel, channels, open_calls.get(call, ""), now)
    return events


def _present(
    call: str, channel: Channel, channels: Iterable[Channel], state: str, now: datetime
) -> list[Event]:
    """Where the caller is now, if that is further than we know."""
    bridge = plain(channel.get("BridgeId"))
    if not bridge:
        queue = queue_of(channel) if state in ("", "entered") else ""
        return [CallQueued(case_id=call, at=now, queue=queue, position=0)] if queue else []
    if state == "talking":
        return []
    return [
        answer
        for other in channels
        if plain(other.get("BridgeId")) == bridge and other.get("Uniqueid") != call
        for answer in _answer(call, other, now)
    ]


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
