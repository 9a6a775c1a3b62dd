"""Real or practice: what a home is for, and the settings that count in it.

In practice the only carrier is the town's own (`telephony/practice`), and what is kept is kept in
the home: no real telephone can be reached, and no real elder be met. A home is marked at its first
start and stays what it is.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from typing import ClassVar, Final

from pydantic import ValidationError

from home import PRACTICE, REAL, BadHome, Home
from settings import (
    BadConfig,
    Database,
    Messages,
    Rescue,
    Responder,
    Seat,
    Settings,
    Trunk,
    split,
)

TRUNK: Final = "practice"
SIP_PORT: Final = 5070
"""Not 5060, which the centre may have taken on every address of the machine."""
ROBOTS: Final = ("9901", "9902", "9903")
"""The extensions of the robot seats."""


class TownMessages(Messages):
    """Messages reach the town's own people and nobody else."""

    NEEDS: ClassVar[Mapping[str, tuple[str, ...]]] = {"town": ()}


class Robot(Seat):
    """A seat with nobody at it: it is rung when no person could be."""

    penalty: ClassVar[int] = 90


def choose(settings: Settings, home: Home, *, asked: bool, as_service: bool) -> str:
    """The mode of this start, noted in the home at its first. Raises BadHome for the other one.

    `asked` is --practice. A service never practises by itself: a carrier that vanished from the
    settings must be noticed.
    """
    by_itself = settings.practice.town and not settings.trunks and not as_service
    mode = PRACTICE if asked or by_itself else REAL
    found = home.mode or mode
    if found != mode:
        raise BadHome(_other(home, mode, asked=asked))
    if not (home.root / "mode").exists():
        home.mark(mode)
    return mode


def _other(home: Home, mode: str, *, asked: bool) -> str:
    if mode == REAL:
        return (
            f"{home.root} is a practice home: its elders are invented. Practise on with "
            "`./careline run --practice`, which loads no carrier, or name another --home for the "
            "real centre"
        )
    if asked:
        return (
            f"{home.root} is a real home, and practice never begins in one; name a new folder "
            "with --home to practise in"
        )
    return (
        f"{home.root} is a real home, and there is no carrier in its settings. Put the carrier "
        "([[trunks]]) back into careline.toml; to go on without one, write town = false under "
        "[practice]; to practise, name a new folder with --home"
    )


def settings_in(home: Home, settings: Settings) -> Settings:
    """The settings that count in this home."""
    return practised(settings) if home.mode == PRACTICE else settings


def practised(settings: Settings) -> Settings:
    """The settings with the town for a carrier, and its robots among the seats.

    110, 119, 120 and the responders are the town's own and can be called, and so are those who get
    messages. The database is the home's own, whatever the settings say. Raises BadConfig.
    """
    carrier, _ = town_hosts(settings)
    site = settings.sites[0].code
    queues = tuple(queue.name for queue in settings.queues)
    robots = (
        Robot(extension=extension, name=f"机器人 {number}", site=site, queues=queues)
        for number, extension in enumerate(ROBOTS, start=1)
    )
    changed = {
        "trunks": (Trunk(name=TRUNK, host=f"{carrier}:{SIP_PORT}"),),
        "seats": (*settings.seats, *robots),
        "responders": town_responders(site),
        "rescue": Rescue(live=True),
        "database": Database(),
        "messages": TownMessages(channels=("town",)),
    }
    try:
        return Settings.model_validate(dict(settings) | changed)
    except ValidationError as wrong:
        raise BadConfig(
            f"the practice town's robots have the extensions {', '.join(ROBOTS)}: "
            f"{wrong.errors()[0]['msg'].removeprefix('Value error, ')}"
        ) from None


def town_responders(site: str) -> tuple[Responder, ...]:
    """Who in the town can send somebody to an elder."""
    # Only a practice home reads the town.
    from telephony.practice.town import BadTown, read

    try:
        town = read()
    except BadTown:
        # Whoever starts the town says so; the centre goes on without it.
        return ()
    return tuple(
        Responder(
            code=f"town-{number}", site=site, kind=service.kind, name=service.name,
            number=service.number,
        )
        for number, service in enumerate(town.services, start=1)
        if service.kind
    )  # fmt: skip


def town_hosts(settings: Settings) -> tuple[str, str]:
    """Where the town's carrier listens, and where its robots' telephones do.

    They are loopback addresses that follow from ours, so that two centres have two towns.
    """
    own = ipaddress.ip_address(settings.addresses.internal)
    packed = own.packed if isinstance(own, ipaddress.IPv4Address) else b"\x7f\x00\x00\x01"
    carrier, phones = (bytes((packed[0], packed[1] ^ bit, *packed[2:])) for bit in (128, 64))
    return str(ipaddress.IPv4Address(carrier)), str(ipaddress.IPv4Address(phones))


def centre_host(settings: Settings) -> tuple[str, int]:
    """Where the town finds the centre: host and port. Raises BadConfig without IPv4."""
    host, port = split(settings.addresses.sip_address)
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        host = settings.addresses.internal
    if ":" in host:
        raise BadConfig(
            f"addresses.sip has {host!r}, and the practice town speaks IPv4 only; right would be "
            "'127.0.0.1:5060' or '0.0.0.0:5060'"
        )
    return host, port


def is_service(environ: dict[str, str] | None = None) -> bool:
    """Whether systemd started this very process."""
    given = os.environ if environ is None else environ
    return given.get("SYSTEMD_EXEC_PID") == str(os.getpid())
