"""Asterisk's words about emergencies into ours: facts about the room and about our dials. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from telephony.translate import AmiEvent, happened_at, number, plain, seat_of, variable, whole
from workflows.events import (
    DialAnswered,
    DialFailed,
    ElderGone,
    ElderLeft,
    ElderSpoke,
    Event,
    HandedBack,
    LegAnswered,
    LegOver,
    LegRang,
    LegResult,
    Person,
    PersonJoined,
    PersonLeft,
    PrivateTalkOver,
    RoomOpened,
    TookOver,
)
from workflows.leg import ELDERS, SIDE

STEPS: Final[dict[str, type[TookOver | HandedBack | PrivateTalkOver]]] = {
    "private-over": PrivateTalkOver,
    "takeover": TookOver,
    "controller": HandedBack,
}
PERSONS: Final = ("seat", "contact", "service")
THE_ELDER: Final = ("caller", "elder")
"""On the line on which they called, or on one on which they were called back."""
DIAL: Final = re.compile(r"(?P<case>.+)-(?P<letter>[A-Z])\d+")
"""The id of a dial: its case, its role (`workflows/role.py`) or L for a leg (`workflows/leg.py`),
and a running number."""
RINGS: Final = ("RINGING", "PROGRESS")
RESULTS: Final = {
    "BUSY": LegResult.BUSY,
    "NOANSWER": LegResult.NO_ANSWER,
    "CANCEL": LegResult.CANCELLED,
    "NOTALLOWED": LegResult.NOT_ALLOWED,
}
REJECTED_CAUSE: Final = 21


def case_of(dial: str) -> str:
    """The case that this dial is for; empty when this is no dial of an emergency."""
    found = DIAL.fullmatch(dial)
    return found["case"] if found else ""


def is_leg(dial: str) -> bool:
    """Whether this is the dial of a leg outside, and not of a seat for a role."""
    found = DIAL.fullmatch(dial)
    return found is not None and found["letter"] == "L"


def side_room(case_id: str) -> str:
    """The name of A's own room in Asterisk."""
    return f"{case_id}-side"


def rescue_events(ami: AmiEvent) -> tuple[Event, ...]:
    """What this AMI event says about an emergency; mostly nothing."""
    match ami.get("Event"):
        case "UserEvent" if ami.get("UserEvent") == "Rescue":
            return _step(ami)
        case "ConfbridgeLeave" if variable(ami, "CARELINE_PARTY") in THE_ELDER:
            return (ElderLeft(case_id=plain(ami.get("Uniqueid")), at=happened_at(ami)),)
        case "ConfbridgeJoin" | "ConfbridgeLeave":
            return _in_room(ami)
        case "ConfbridgeTalking" if variable(ami, "CARELINE_PARTY") in THE_ELDER:
            return _elder_speaks(ami)
        case "OriginateResponse":
            return _dial_over(ami)
        case "Hangup" if variable(ami, "CARELINE_CALL") == ami.get("Uniqueid"):
            return _elder_gone(ami)
        case "Hangup" if ami.get("ChannelStateDesc") == "Up":
            return _answered_and_gone(ami)
        case "DialState" | "DialEnd":
            return _leg_rings(ami)
        case _:
            return ()


def _elder_gone(ami: AmiEvent) -> tuple[Event, ...]:
    """The end of the elder's line, and of the call that had brought it if it was one of ours."""
    case_id, at = plain(ami["Uniqueid"]), happened_at(ami)
    gone = ElderGone(case_id=case_id, at=at)
    dial = plain(variable(ami, "CARELINE_EFFECT"), 120)
    if not is_leg(dial) or ami.get("ChannelStateDesc") != "Up":
        return (gone,)
    return LegOver(case_id=case_id, at=at, effect=dial, result=LegResult.SPOKEN), gone


def _elder_speaks(ami: AmiEvent) -> tuple[Event, ...]:
    """Noise has no end, and so it is the end of a sound that tells of speech."""
    if is_speaking(ami):
        return ()
    return (ElderSpoke(case_id=plain(ami.get("Uniqueid")), at=happened_at(ami)),)


def is_speaking(ami: AmiEvent) -> bool:
    """Whether whom this is about begins to speak; they have stopped otherwise."""
    return plain(ami.get("TalkingStatus")) == "on"


def _in_room(ami: AmiEvent) -> tuple[Event, ...]:
    """Somebody beside the elder has come into one of the case's rooms, or is out of it."""
    case_id, person, at = variable(ami, "CARELINE_CALL"), person_on(ami), happened_at(ami)
    if not person or not case_id:
        return ()
    if ami["Event"] == "ConfbridgeLeave":
        return (PersonLeft(case_id=case_id, at=at, leg=person.leg),)
    aside = plain(ami.get("Conference"), 120) == side_room(case_id)
    person = replace(person, room=SIDE if aside else ELDERS)
    return (PersonJoined(case_id=case_id, at=at, person=person),)


def _leg_rings(ami: AmiEvent) -> tuple[Event, ...]:
    """The telephone of somebody whom a seat has called rings, or is taken up."""
    dial, channel = variable(ami, "CARELINE_EFFECT", "Dest"), plain(ami.get("DestUniqueid"))
    case_id, at = case_of(dial), happened_at(ami)
    who = variable(ami, "CARELINE_PARTY", "Dest")
    if not channel or not is_leg(dial) or who not in (*PERSONS, "elder"):
        return ()
    status = plain(ami.get("DialStatus"))
    if ami["Event"] == "DialState":
        rang = LegRang(case_id=case_id, at=at, effect=dial, channel=channel)
        return (rang,) if status in RINGS else ()
    if status == "ANSWER":
        return (LegAnswered(case_id=case_id, at=at, effect=dial, channel=channel),)
    # How a call outside came out, the dialplan tells ([rescue-told]); the elder is called without.
    result = RESULTS.get(status, LegResult.FAILED)
    over = LegOver(case_id=case_id, at=at, effect=dial, result=result)
    return (over,) if who == "elder" else ()


def _step(ami: AmiEvent) -> tuple[Event, ...]:
    case_id, at = plain(ami.get("Call")), happened_at(ami)
    step = plain(ami.get("Step"))
    if not case_id:
        return ()
    if step == "leg-over":
        rejected = whole(ami.get("Cause")) == REJECTED_CAUSE
        other = LegResult.REJECTED if rejected else LegResult.FAILED
        result = RESULTS.get(plain(ami.get("Status")), other)
        dial = plain(ami.get("Effect"), 120)
        return (LegOver(case_id=case_id, at=at, effect=dial, result=result),)
    if step == "gone":
        return (ElderGone(case_id=case_id, at=at),)
    if step == "room":
        return (RoomOpened(case_id=case_id, at=at, caller=number(ami.get("CallerIDNum"))),)
    return (STEPS[step](case_id=case_id, at=at),) if step in STEPS else ()


def _answered_and_gone(ami: AmiEvent) -> tuple[Event, ...]:
    """The end of somebody who was in a room, or on the way there since a dial had reached them."""
    person, at = person_on(ami), happened_at(ami)
    case_id = variable(ami, "CARELINE_CALL") if person else ""
    if not person or not case_id:
        return ()
    left = PersonLeft(
        case_id=case_id, at=at, leg=person.leg, effect=person.effect, is_gone=True
    )  # fmt: skip
    if not is_leg(person.effect):
        return (left,)
    over = LegOver(case_id=case_id, at=at, effect=person.effect, result=LegResult.SPOKEN)
    return left, over


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
    seat, caller = seat_of(channel.get("Channel")), number(channel.get("CallerIDNum"))
    return Person(
        leg=leg,
        party=party,
        # What a rescue service is called by says nothing: its leg has its name.
        who={"seat": seat, "contact": caller}.get(party, ""),
        effect=plain(variable(channel, "CARELINE_EFFECT"), 120),
    )


def people_on(
    channels: Sequence[Mapping[str, Any]], rooms: Mapping[str, str]
) -> tuple[Person, ...]:
    """Who is in a room, by which room each channel is in."""
    persons = ((channel, person_on(channel)) for channel in channels)
    return tuple(
        replace(person, room=rooms[plain(channel.get("Uniqueid"), 120)])
        for channel, person in persons
        if person and plain(channel.get("Uniqueid"), 120) in rooms
    )


def living_dials(case_id: str, channels: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Our dials for this case that live: by a half of their own, or by a leg that they rang.

    That leg outlives both halves: it is the seat's, on its way into the room.
    """
    ids = {plain(channel.get("Uniqueid"), 120).removesuffix("-2") for channel in channels}
    ids |= {plain(variable(channel, "CARELINE_EFFECT"), 120) for channel in channels}
    return tuple(sorted(one for one in ids if case_of(one) == case_id))


def caller_of(case_id: str, channels: Sequence[Mapping[str, Any]]) -> str:
    """The elder's number, as the carrier delivered it."""
    own = (one for one in channels if plain(one.get("Uniqueid")) == case_id)
    return number(next(own, {}).get("CallerIDNum"))


def elders_in_rooms(channels: Sequence[Mapping[str, Any]], rooms: Sequence[str]) -> tuple[str, ...]:
    """The cases whose elder is connected: in a room that stands, or on the way there."""
    return tuple(
        plain(channel["Uniqueid"])
        for channel in channels
        if variable(channel, "CARELINE_CALL") == channel.get("Uniqueid")
        and variable(channel, "CARELINE_PARTY") in THE_ELDER
        and (channel.get("Uniqueid") in rooms or plain(channel.get("Context")) == "emergency")
        # Who is being called back is not there yet.
        and (
            variable(channel, "CARELINE_PARTY") == "caller"
            or channel.get("ChannelStateDesc") == "Up"
        )
    )
