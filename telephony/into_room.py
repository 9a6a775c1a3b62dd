"""Brings a call that turns out to be an emergency into the emergency's room, with who talks there.

Nothing needs to be noted before: the dialplan opens the room and tells of it, and doing it twice
moves nobody twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from telephony.ami import Ami, AmiDown, AmiRefused
from telephony.listings import live_channels
from telephony.translate import plain, variable
from workflows.errors import NotAllowed, NotFound, TelephonyDown

Channel = Mapping[str, Any]
ONE_AT_A_TIME: Final = asyncio.Lock()
"""Two seats may press at once, and who is in the room already is not moved again."""


async def into_room(ami: Ami, call: str) -> None:
    """Move the elder into the room, and with them the seat that talks with them, if one does.

    Raises NotFound for a call that is over, NotAllowed for one that a seat has placed, and
    TelephonyDown.
    """
    try:
        async with ONE_AT_A_TIME:
            if move := _move(call, await live_channels(ami)):
                await ami.action("Redirect", **move)
    except AmiRefused as refused:
        raise NotFound(f"the call {call} is over ({refused}); call the elder back") from None
    except (AmiDown, TimeoutError) as cause:
        raise TelephonyDown(f"the telephone system did not do it ({cause}); try again") from None


def _move(call: str, channels: Sequence[Channel]) -> dict[str, Any] | None:
    """What to ask for; None when the elder is in the room, or on the way into it."""
    elder = next((one for one in channels if plain(one.get("Uniqueid")) == call), None)
    if elder is None:
        raise NotFound(f"the call {call} is over; call the elder back")
    if variable(elder, "CARELINE_PARTY") != "caller":
        raise NotAllowed("a seat placed this call; ask the elder to press the emergency key")
    if plain(elder.get("Context")) == "emergency":
        return None
    return redirect(elder, _talks_with(elder, channels))


def _talks_with(elder: Channel, channels: Sequence[Channel]) -> Channel | None:
    bridge = plain(elder.get("BridgeId"))
    seats = (
        one
        for one in channels
        if bridge
        and plain(one.get("BridgeId")) == bridge
        and variable(one, "CARELINE_PARTY") == "seat"
    )
    return next(seats, None)


def redirect(elder: Channel, seat: Channel | None) -> dict[str, Any]:
    """Both at once: whoever was moved second would be hung up with the talk's end."""
    first = {
        "Channel": plain(elder.get("Channel"), 120),
        "Context": "emergency",
        "Exten": "begun",
        "Priority": "1",
    }
    if seat is None:
        return first
    return first | {
        "ExtraChannel": plain(seat.get("Channel"), 120),
        "ExtraContext": "rescue-join",
        "ExtraExten": "s",
        "ExtraPriority": "1",
    }
