"""Asterisk's own lists, taken together: from them the picture is read, and with them compared."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from telephony.ami import Ami, AmiEvent, AmiRefused
from telephony.exchange import Exchange
from telephony.translate import plain

NO_ROOMS: Final = ("No active conferences.", "Invalid/unknown command: ConfbridgeListRooms")


@dataclass(frozen=True, slots=True)
class Listings:
    """What Asterisk said at `taken_at` (seconds of this machine's monotonic clock).

    `asked_at` is the aware time at which it was asked, before anything that the lists may not have.
    `started` is when it started, in its own words.
    """

    taken_at: float
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: str = ""
    channels: Sequence[AmiEvent] = ()
    queues: Sequence[AmiEvent] = ()
    rooms: Sequence[AmiEvent] = ()
    in_rooms: Sequence[AmiEvent] = ()
    devices: Sequence[AmiEvent] = ()
    trunk_contacts: Sequence[AmiEvent] = ()
    registrations: Sequence[AmiEvent] = ()

    def exchange(self) -> Exchange:
        """The exchange as the lists say it is."""
        made = Exchange()
        for channel in self.channels:
            made.add_leg(channel)
        for entry in self.queues:
            match entry.get("Event"):
                case "QueueMember":
                    made.add_member(entry)
                # They are listed in their order.
                case "QueueEntry":
                    made.add_caller(entry)
        for room in self.rooms:
            made.open_room(room)
        for person in self.in_rooms:
            made.enter_room(person)
        for device in self.devices:
            made.note_device(device)
        return made


async def take(ami: Ami, trunks: Iterable[str] = ()) -> Listings:
    """Ask for every list, and about these trunks. Raises AmiDown, AmiRefused or TimeoutError."""
    taken_at, asked_at = time.monotonic(), datetime.now(UTC)
    rooms = await rooms_of(ami)
    return Listings(
        taken_at=taken_at,
        asked_at=asked_at,
        started=await started(ami),
        channels=await live_channels(ami),
        queues=await ami.listing("QueueStatus"),
        rooms=rooms,
        in_rooms=[
            person for room in rooms for person in await people_in(ami, plain(room["Conference"]))
        ],
        devices=await ami.listing("DeviceStateList"),
        trunk_contacts=[one for trunk in trunks for one in await contacts_of(ami, trunk)],
        registrations=await ami.listing("PJSIPShowRegistrationsOutbound"),
    )


async def started(ami: Ami) -> str:
    """When this Asterisk started: another one has forgotten what the former knew."""
    status = await ami.action("CoreStatus")
    return f"{plain(status.get('CoreStartupDate'))} {plain(status.get('CoreStartupTime'))}".strip()


async def live_channels(ami: Ami) -> list[AmiEvent]:
    """Every channel that Asterisk has. Raises AmiDown, AmiRefused or TimeoutError."""
    return await ami.listing("CoreShowChannels")


async def rooms_of(ami: Ami) -> list[AmiEvent]:
    """Every room that stands; none also when this Asterisk knows nothing of rooms."""
    try:
        return [*await ami.listing("ConfbridgeListRooms")]
    except AmiRefused as refused:
        if str(refused).startswith(NO_ROOMS):
            return []
        raise


async def people_in(ami: Ami, room: str) -> list[AmiEvent]:
    """Who is in the room; nobody when it was closed meanwhile."""
    try:
        return [*await ami.listing("ConfbridgeList", Conference=room)]
    except AmiRefused:
        return []


async def contacts_of(ami: Ami, trunk: str) -> list[AmiEvent]:
    """The carrier's addresses, each with its answer to our OPTIONS; none of a trunk that this
    Asterisk does not have.

    `PJSIPShowContacts` lists only who signed in; a carrier's address stands in the configuration.
    """
    try:
        told = await ami.listing("PJSIPShowEndpoint", Endpoint=f"trunk-{trunk}")
    except AmiRefused:
        return []
    return [one for one in told if one.get("Event") == "ContactStatusDetail"]
