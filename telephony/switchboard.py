"""The live picture of seats and trunks, and which calls Asterisk really has.

It can be thrown away at any time: every connect reads it anew. Truth about calls lives in their
cases; here is only what Asterisk says now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from telephony.ami import Ami
from telephony.translate import plain

SEAT_STATES: Final = {
    "NOT_INUSE": "available",
    "INUSE": "talking",
    "BUSY": "talking",
    "RINGING": "ringing",
    "RINGINUSE": "ringing",
    "ONHOLD": "talking",
}
UP, DOWN, REFUSED = "up", "down", "refused"
ANSWERING: Final = ("Reachable", "NonQualified", "Avail")
REGISTRATIONS: Final = {"Registered": UP, "Rejected": REFUSED}


@dataclass(frozen=True, slots=True)
class SeatNow:
    """A seat as its phone is; `offline` is a phone that is not registered."""

    extension: str
    state: str


@dataclass(frozen=True, slots=True)
class TrunkNow:
    """A trunk: up, down (no answer), or refused (the carrier knows us but does not let us in)."""

    name: str
    state: str


Change = SeatNow | TrunkNow


class Switchboard:
    """`seats` and `trunks` as they are.

    `trunks` tells of each trunk whether we register with it: then its registration speaks for it,
    otherwise the answers to our OPTIONS do.
    """

    def __init__(self, seats: Sequence[str], trunks: Mapping[str, bool]) -> None:
        self.seats: dict[str, SeatNow] = {s: SeatNow(s, "offline") for s in seats}
        self.trunks: dict[str, TrunkNow] = {t: TrunkNow(t, DOWN) for t in trunks}
        self._registers: Final = dict(trunks)
        # Before the first look a trunk is down; that it really is must be told all the same.
        self._seen: Final[set[str]] = set()

    def apply(self, event: Mapping[str, Any]) -> tuple[Change, ...]:
        """What this AMI event changes in the picture."""
        match event.get("Event"):
            case "DeviceStateChange":
                return self._device(plain(event.get("Device")), plain(event.get("State")))
            case "ContactStatus":
                return self._answers(event.get("AOR"), event.get("ContactStatus"))
            case _:
                return ()

    def _device(self, device: str, state: str) -> tuple[Change, ...]:
        extension = device.removeprefix("PJSIP/")
        if extension not in self.seats:
            return ()
        now = SeatNow(extension, SEAT_STATES.get(state, "offline"))
        if now == self.seats[extension]:
            return ()
        self.seats[extension] = now
        return (now,)

    def _answers(self, aor: object, status: object) -> tuple[Change, ...]:
        name = plain(aor).removeprefix("trunk-")
        if self._registers.get(name, True):
            return ()
        return self._trunk(name, UP if status in ANSWERING else DOWN)

    def _trunk(self, name: str, state: str) -> tuple[Change, ...]:
        if name not in self.trunks:
            return ()
        if name in self._seen and self.trunks[name].state == state:
            return ()
        self._seen.add(name)
        self.trunks[name] = TrunkNow(name, state)
        return (self.trunks[name],)

    async def read(self, ami: Ami) -> tuple[Change, ...]:
        """Read everything anew; returns what differs from the picture so far."""
        devices = {
            plain(device.get("Device")): plain(device.get("State"))
            for device in await ami.listing("DeviceStateList")
        }
        changes: list[Change] = []
        for extension in self.seats:
            # Asterisk lists only what it has heard of: a phone that it does not know is away.
            device = f"PJSIP/{extension}"
            changes += self._device(device, devices.get(device, "UNAVAILABLE"))
        return (*changes, *await self.read_trunks(ami))

    async def read_trunks(self, ami: Ami) -> tuple[Change, ...]:
        """Ask for the registrations and contacts; Asterisk tells of a refusal no other way."""
        answering = {
            plain(contact.get("Aor"))
            for contact in await ami.listing("PJSIPShowContacts")
            if contact.get("Status") in ANSWERING
        }
        registered = {
            plain(one.get("ObjectName")): REGISTRATIONS.get(plain(one.get("Status")), DOWN)
            for one in await ami.listing("PJSIPShowRegistrationsOutbound")
            # The list holds the credentials too, under the same name and without a status.
            if one.get("Event") == "OutboundRegistrationDetail"
        }
        changes: list[Change] = []
        for name, registers in self._registers.items():
            key = f"trunk-{name}"
            answers = UP if key in answering else DOWN
            changes += self._trunk(name, registered.get(key, DOWN) if registers else answers)
        return tuple(changes)


async def live_channels(ami: Ami) -> list[Mapping[str, Any]]:
    """Every channel that Asterisk has. Raises AmiDown, AmiRefused or TimeoutError."""
    return [dict(channel) for channel in await ami.listing("CoreShowChannels")]
