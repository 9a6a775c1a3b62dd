"""What the controller shows to the desk, and the same as an observer of Asterisk finds it.

Both are read thing by thing into the same words: each call with its state and seat, the lines of
the queues, the phones that ring, the rooms, the seats, and whether anything is known to be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from telephony.switchboard import MISSED_PENALTY
from tests.faults.site import Site
from tests.observer import Message, wait_until

Picture = dict[str, object]
DEVICES: Final = {"NOT_INUSE": "available", "INUSE": "talking", "RINGING": "ringing"}
WRONG: Final = {"picture", "not handled", "asterisk", "database"}
"""Kinds of alarm by which the controller itself says that its picture is not to be trusted."""
ALONE: Final = "alone"
"""An elder in a room with whom no seat is, whether or not phones ring for it."""
TRUE_S: Final = 120.0
"""What waited for the database is written down first, and on a busy machine each write lasts."""


def assert_true_picture(site: Site) -> None:
    """The desk is shown what Asterisk has, once what was on its way has come."""
    wait_until(lambda: not differences(site), TRUE_S, "a true picture",
               lambda: "\n".join(["", *differences(site), site.house.log()]))  # fmt: skip


def differences(site: Site) -> list[str]:
    """Each thing that is shown otherwise than Asterisk has it, and stays so while it is read."""
    before, shown, after = real(site), shown_in(site.picture()), real(site)
    if before != after:
        return ["it changes while it is read"]
    return [
        f"{what}: shown {shown.get(what)}, true {after.get(what)}"
        for what in sorted(shown.keys() | after.keys())
        if shown.get(what) != after.get(what)
    ]


# ── as it is shown ────────────────────────────────────────────────────────────────────────────


def shown_in(snapshot: dict[str, Any]) -> Picture:
    picture: Picture = {"trusted": bool(snapshot) and not WRONG & kinds(snapshot)}
    calls = {call["id"]: call for call in snapshot.get("calls", ())}
    cases = {case["id"]: case for case in snapshot.get("emergencies", ())}
    for id_, call in calls.items():
        picture[f"call {id_}"] = shown_call(call)
        if call["entry"] == "emergency":
            picture[f"room {id_}"] = True
            if seats := seats_with(cases.get(id_)):
                picture[f"call {id_}"] = f"talks with {', '.join(seats)}"
    for id_ in sorted(calls, key=lambda one: calls[one]["queued_at"] or ""):
        call = calls[id_]
        if call["state"] in ("waiting", "ringing") and call["entry"] != "emergency":
            picture.setdefault(f"line of {call['queue']}", []).append(id_)  # type: ignore[attr-defined]
    for ringing in snapshot.get("ringing", ()):
        picture[f"ringing {ringing['leg']}"] = ringing["seat"]
    for seat in snapshot.get("seats", ()):
        picture[f"seat {seat['extension']}"] = seat["state"]
    return picture


def seats_with(case: dict[str, Any] | None) -> list[str]:
    """The seats in the room of an emergency: there may be two, and each has a role."""
    people = case["people"] if case else ()
    return sorted(person["who"] for person in people if person["party"] == "seat")


def kinds(snapshot: dict[str, Any]) -> set[str]:
    return {alarm["kind"] for alarm in snapshot.get("alarms", ())}


def shown_call(call: dict[str, Any]) -> str:
    match call["state"]:
        case "talking":
            return f"talks with {call['seat']}"
        case "waiting" | "ringing" if call["entry"] == "emergency":
            return ALONE
        case state:
            return str(state)


# ── as it is ──────────────────────────────────────────────────────────────────────────────────


def real(site: Site) -> Picture:
    """The same, from Asterisk's own lists, read by the test's observer alone."""
    picture: Picture = {"trusted": True}
    channels = site.channels()
    rooms = site.observer.rooms()
    members = site.observer.list_of("QueueStatus")
    for channel in channels:
        if channel.get("CARELINE_CALL") == channel["Uniqueid"]:
            id_ = channel["Uniqueid"]
            picture[f"call {id_}"] = real_call(channel, channels, id_ in rooms)
        elif is_ringing(channel):
            picture[f"ringing {channel['Uniqueid']}"] = extension(channel)
    for room in {channel["Uniqueid"] for channel in channels} & set(rooms):
        # A seat whom a full disk has left in the room of an elder who is gone is no emergency.
        picture[f"room {room}"] = True
    for entry in members:
        # In the emergencies' queue only placeholders wait.
        if entry["Event"] == "QueueEntry" and entry["Queue"] != "emergency":
            picture.setdefault(f"line of {entry['Queue']}", []).append(entry["Uniqueid"])  # type: ignore[attr-defined]
    for seat, state in real_seats(site, members).items():
        picture[f"seat {seat}"] = state
    return picture


def real_call(own: Message, channels: Sequence[Message], in_room: bool) -> str:
    bridge = own.get("BridgeId")
    others = [c for c in channels if bridge and c.get("BridgeId") == bridge and c is not own]
    if talks := [extension(c) for c in others if c.get("CARELINE_PARTY") == "seat"]:
        return f"talks with {', '.join(sorted(talks))}"
    if in_room:
        return ALONE
    if own["Application"] != "Queue":
        return "entered"
    rings = [c for c in channels if is_ringing(c) and c.get("CARELINE_CALL") == own["Uniqueid"]]
    return "ringing" if rings else "waiting"


def is_ringing(channel: Message) -> bool:
    return channel["ChannelStateDesc"] == "Ringing" and channel.get("CARELINE_PARTY") == "seat"


def extension(channel: Message) -> str:
    return channel["Channel"].removeprefix("PJSIP/").rpartition("-")[0]


def real_seats(site: Site, members: Sequence[Message] | None = None) -> dict[str, str]:
    """The seats as Asterisk has them: their devices, and which are rung after the others."""
    devices = {m["Device"]: m["State"] for m in site.observer.list_of("DeviceStateList")}
    seats = {s: DEVICES.get(devices.get(f"PJSIP/{s}", ""), "offline") for s in site.phones}
    for channel in site.channels():
        # One call fills a seat, and Asterisk calls it busy also while it only rings.
        if extension(channel) in seats and channel["ChannelStateDesc"] in ("Ringing", "Up"):
            is_up = channel["ChannelStateDesc"] == "Up"
            seats[extension(channel)] = "talking" if is_up else "ringing"
    for member in site.observer.list_of("QueueStatus") if members is None else members:
        seat = member.get("StateInterface", "").removeprefix("PJSIP/")
        if seats.get(seat) != "available":
            continue
        if member["Paused"] == "1":
            seats[seat] = "paused"
        elif int(member["Penalty"]) >= MISSED_PENALTY:
            seats[seat] = "not answering"
    return seats
