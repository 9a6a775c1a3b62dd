"""Somebody sets the machine's clock: what that does to Asterisk is undone.

Asterisk forgets a registration by the time of day: set an hour ahead, every phone is gone at once,
and nobody can be rung until each has registered again. It waits and rings by the time of day: set
an hour back, a phone rings for an hour more, a caller in a queue or a menu is forgotten there for
an hour, and for an hour nobody asks the phones and carriers whether they are there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from typing import Any, Final

from telephony.ami import Ami, AmiDown, AmiEvent, AmiRefused
from telephony.translate import plain, variable

logger = logging.getLogger(__name__)

REGISTRATIONS: Final = "registrar/contact"
ENDS: Final = "expiration_time"
RUNG: Final = ("seat", "contact")
WAITS: Final = ("Queue", "AGI")
NO_KEY: Final = "D"
"""No telephone has this key; as if it were heard, it ends a wait and means nothing."""
LOOK_EVERY_S: Final = 0.25
ASK_EVERY_S: Final = 30.0
"""As often as Asterisk does (`qualify_frequency`)."""
SET_S: Final = 2.0
"""A clock that moves by less was not set: it is being led, slowly, to the right time."""
MAX_VALUE: Final = 900
"""Asterisk drops a line of more than 1,024 bytes."""


async def mend_set_clock(ami: Ami, endpoints: Sequence[str]) -> None:
    """Watch the clock, and mend what its setting does, until cancelled.

    `endpoints` are those that Asterisk asks whether they are there.
    """
    known = time.time() - time.monotonic()
    asking: asyncio.Task[None] | None = None
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        ahead = time.time() - time.monotonic()
        moved, known = ahead - known, ahead
        if abs(moved) < SET_S:
            continue
        logger.warning("the clock was set by %+.0f s", moved)
        if asking is not None:
            asking.cancel()
        asking = asyncio.create_task(ask_until(ami, endpoints, time.monotonic() - moved))
        try:
            await move_registrations(ami, round(moved))
            if moved < 0:
                await wake(ami)
        except (AmiDown, AmiRefused, TimeoutError) as cause:
            # Every phone registers again within a minute (`maximum_expiration`).
            logger.warning("what the new time does to phones was not mended: %s", cause)


async def move_registrations(ami: Ami, seconds: int) -> None:
    """Let every registration end when it would have ended."""
    for entry in await ami.listing("DBGetTree", Family=REGISTRATIONS):
        if value := moved_value(entry, seconds):
            key = str(entry.get("Key", "")).removeprefix(f"/{REGISTRATIONS}/")
            await ami.action("DBPut", Family=REGISTRATIONS, Key=key, Val=value)


def moved_value(entry: AmiEvent, seconds: int) -> str:
    """The registration with its end moved; empty when it cannot be read or written. Pure."""
    try:
        contact: dict[str, Any] = json.loads(str(entry.get("Val", "")))
        contact[ENDS] = str(int(contact[ENDS]) + seconds)
    except (KeyError, TypeError, ValueError):
        return ""
    value = json.dumps(contact, separators=(",", ":"))
    return value if len(value) <= MAX_VALUE else ""


async def wake(ami: Ami) -> None:
    """End every ringing and every wait; the queues, menus and rescues go on from there."""
    for channel in await ami.listing("CoreShowChannels"):
        name = plain(channel.get("Channel"))
        try:
            if plain(channel.get("Application")) in WAITS:
                await ami.action("PlayDTMF", Channel=name, Digit=NO_KEY, Receive="true")
            elif channel.get("ChannelStateDesc") == "Ringing" and party(channel) in RUNG:
                await ami.action("Hangup", Channel=name, Cause="16")
        except AmiRefused:
            # Answered or over meanwhile.
            continue


async def ask_until(ami: Ami, endpoints: Sequence[str], end: float) -> None:
    """Ask them in Asterisk's place until it does so again, at `end` of the monotonic clock."""
    while time.monotonic() < end:
        for endpoint in endpoints:
            try:
                await ami.action("PJSIPQualify", Endpoint=endpoint)
            except (AmiDown, AmiRefused, TimeoutError) as cause:
                logger.warning("%s is not asked whether it is there: %s", endpoint, cause)
        await asyncio.sleep(ASK_EVERY_S)


def party(channel: AmiEvent) -> str:
    return variable(channel, "CARELINE_PARTY")
