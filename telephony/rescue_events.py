"""Asterisk's words about emergencies into ours: facts about the room and about our dials. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from telephony.translate import AmiEvent, happened_at, number, plain, seat_of, variable
from workflows.events import (
    DialAnswered,
    DialFailed,
    ElderGone,
    ElderLeft,
    Event,
    HandedBack,
    Person,
    PersonJoined,
    PersonLeft,
    RoomOpened,
    TookOver,
)

STEPS: Final[dict[str, type[RoomOpened | TookOver | HandedBack]]] = {
    "room": RoomOpened,
    "takeover": TookOver,
    "controller": HandedBack,
}
PERSONS: Final = ("seat", "contact")
DIAL: Final = re.compile(r"(?P<case>.+)-[A-Z]\d+")
"""The id of a dial: its case, its role and a running number (`workflows/role.py`)."""


def case_of(dial: str) -> str:
    """The case that this dial is for; empty when this is no dial of an emergency."""
    found = DIAL.fullmatch(dial)
    return found["case"] if found else ""


def rescue_events(ami: AmiEvent) -> tuple[Event, ...]:
    """What this AMI event says about an emergency; mostly nothing."""
    match ami.get("Event"):
        case "UserEvent" if ami.get("UserEvent") == "Rescue":
            return _step(ami)
        case "ConfbridgeJoin":
            case_id, person = variable(ami, "CARELINE_CALL"), person_on(ami)
            if not person or not case_id:
                return ()
            return (PersonJoined(case_id=case_id, at=happened_at(ami), person=person),)
        case "ConfbridgeLeave" if variable(ami, "CARELINE_PARTY") == "caller":
            return (ElderLeft(case_id=plain(ami.get("Uniqueid")), at=happened_at(ami)),)
        case "ConfbridgeLeave":
            case_id, person = variable(ami, "CARELINE_CALL"), person_on(ami)
            if not person or not case_id:
                return ()
            return (PersonLeft(case_id=case_id, at=happened_at(ami), leg=person.leg),)
        case "OriginateResponse":
            return _dial_over(ami)
        case "Hangup" if variable(ami, "CARELINE_CALL") == ami.get("Uniqueid"):
            return (ElderGone(case_id=plain(ami["Uniqueid"]), at=happened_at(ami)),)
        case "Hangup" if ami.get("ChannelStateDesc") == "Up":
            return _answered_and_gone(ami)
        case _:
            return ()


def _step(ami: AmiEvent) -> tuple[Event, ...]:
    case_id, at = plain(ami.get("Call")), happened_at(ami)
    step = plain(ami.get("Step"))
    if not case_id:
        return ()
    if step == "gone":
        return (ElderGone(case_id=case_id, at=at),)
    return (STEPS[step](case_id=case_id, at=at),) if step in STEPS else ()


def _answered_and_gone(ami: AmiEvent) -> tuple[Event, ...]:
    """The end of somebody whom a dial of ours had reached, in the room or on the way into it."""
    person = person_on(ami)
    case_id = case_of(person.effect) if person else ""
    if not person or not case_id:
        return ()
    at = happened_at(ami)
    return (PersonLeft(case_id=case_id, at=at, leg=person.leg, effect=person.effect),)


def _dial_over(ami: AmiEvent) -> tuple[Event, ...]:
    """The end of an Originate whose ActionID is its dial's id: a failed one has no other name."""
    dial = plain(ami.get("ActionID"), 120)
    case_id = case_of(dial)
    if not case_id:
        return ()
    at = happened_at(ami)
    if ami.get("Response") == "Success":
        return (DialAnswered(case_id=case_id, at=at, effect=dial),)
    reason = f"nobody was reached ({plain(ami.get('Reason'))})"
    return (DialFailed(case_id=case_id, at=at, effect=dial, reason=reason),)


def person_on(channel: AmiEvent) -> Person | None:
    """Who is on this channel, if it is somebody beside the elder."""
    party, leg = variable(channel, "CARELINE_PARTY"), plain(channel.get("Uniqueid"))
    if party not in PERSONS or not leg:
        return None
    seat = seat_of(channel.get("Channel"))
    return Person(
        leg=leg,
        party=party,
        who=seat if party == "seat" else number(channel.get("CallerIDNum")),
        effect=plain(variable(channel, "CARELINE_EFFECT"), 120),
    )


def living_dials(case_id: str, channels: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Our dials for this case that live: by a half of their own, or by a leg that they rang.

    That leg outlives both halves: it is the seat's, on its way into the room.
    """
    ids = {plain(channel.get("Uniqueid"), 120).removesuffix("-2") for channel in channels}
    ids |= {plain(variable(channel, "CARELINE_EFFECT"), 120) for channel in channels}
    return tuple(sorted(one for one in ids if case_of(one) == case_id))


def elders_in_rooms(channels: Sequence[Mapping[str, Any]], rooms: Sequence[str]) -> tuple[str, ...]:
    """The cases whose elder is connected: in a room that stands, or on the way there."""
    return tuple(
        plain(channel["Uniqueid"])
        for channel in channels
        if variable(channel, "CARELINE_CALL") == channel.get("Uniqueid")
        and variable(channel, "CARELINE_PARTY") == "caller"
        and (channel.get("Uniqueid") in rooms or plain(channel.get("Context")) == "emergency")
    )
