"""The private talk of seats A and B: they speak to each other without the elder hearing (EMG-09).

Each seat stays in its room, whichever that is, and goes on hearing it. The rooms hear neither of
them meanwhile: the elder hears nothing of the seats, and as long as one of them is in the room no
calm music either; nor does anybody else who is there (120, the family). So the page must show all
the time that the talk is private and the line silent for the elder. A seat that is muted from the
desk is not heard in private either, and is still muted afterwards.

What is guaranteed, and by whom:

- *By Asterisk alone* (`asterisk_conf/templates/rescue_duo.j2`), whether we live or not: a seat is
  mute only while its half of the talk lives, and whatever ends the half restores the seat. The talk
  ends by itself when a seat's leg, a half or the elder's leg ends, when a half does not find the
  other within two seconds, and after `LONGEST_S`. A controller that is killed at any moment leaves
  either no talk or a whole one: it is asked for by one action.
- *By `begin`*: when it returns, both are mute in their rooms and joined to each other; when it
  raises, no talk stands, unless Asterisk cannot be reached.
- *By `end`*: when it returns, both are heard in their rooms; a half that should have restored its
  seat and did not is made up for.
- *By `sweep`*, which a starting controller calls: a seat whose half was lost without its end being
  run, and a half without its watch; nothing makes either in an Asterisk that works.

What is recorded: the recording of the elder's leg holds nothing of the talk. One of a seat's leg,
where it is made, holds what this seat said in private, since recordings tap before the muting, and
not what it was told; so those of both legs hold the whole.

Asterisk tells `UserEvent(Rescue, Call: <case>, Step: private-over)` whenever a talk has ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from telephony.ami import Ami, AmiDown, AmiRefused
from telephony.listings import live_channels, people_in
from telephony.translate import plain, variable
from workflows.errors import NotAllowed, NotFound, TelephonyDown

logger = logging.getLogger(__name__)

LONGEST_S: Final = 90.0
"""A talk that is forgotten ends then: the elder has heard nobody for so long."""
LOOKS_PER_S: Final = 4
BEGINS_S: Final = 2.0
ENDS_S: Final = 1.0
LOOK_EVERY_S: Final = 0.03
HELD_BY: Final = "SHARED(DUO)"
"""With a seat's channel stands the name of the half that mutes it."""

Channels = Sequence[Mapping[str, Any]]
ONE_AT_A_TIME: Final = asyncio.Lock()
"""Two may press at once, and each would take the other's beginning for a broken talk."""


async def begin(
    ami: Ami, case_id: str, leg_a: str, leg_b: str, *, longest_s: float = LONGEST_S
) -> None:
    """Let these two seats of the case, by their channels' ids, speak in private.

    Does nothing when they do already; a talk of other two ends before. Raises NotFound when the
    elder or a seat has gone, NotAllowed for a leg that is no seat of this case, and TelephonyDown.
    """
    async with ONE_AT_A_TIME:
        try:
            await _begin(ami, case_id, (leg_a, leg_b), longest_s)
        except (AmiDown, AmiRefused, TimeoutError) as cause:
            raise TelephonyDown(
                f"the private talk was not begun ({str(cause) or 'no answer'}); press again"
            ) from None


async def end(ami: Ami, case_id: str) -> None:
    """End the case's private talk, if there is one. Raises TelephonyDown."""
    async with ONE_AT_A_TIME:
        try:
            await _end(ami, case_id, await live_channels(ami))
        except (AmiDown, AmiRefused, TimeoutError) as cause:
            raise TelephonyDown(
                f"the private talk was not ended ({str(cause) or 'no answer'}); press again"
            ) from None


async def sweep(ami: Ami) -> tuple[str, ...]:
    """Restore what nobody restored, and return the cases whose private talk stands.

    Raises AmiDown, AmiRefused or TimeoutError; to sweep again does no harm.
    """
    async with ONE_AT_A_TIME:
        channels = await live_channels(ami)
        standing = {_talk_of(one) for one in channels if _is_watch(one)}
        kept: set[str] = set()
        for one in filter(_talk_of, channels):
            if _talk_of(one) in standing:
                kept.add(plain(one.get("Channel"), 120))
                continue
            logger.warning("a half of %s was left over", _talk_of(one))
            with suppress(AmiRefused):
                await ami.action("Hangup", Channel=plain(one.get("Channel"), 120))
        for leg in (plain(one["Uniqueid"]) for one in channels if _is_seat(one)):
            half = await _held_by(ami, leg)
            if half and half not in kept:
                await _restore(ami, leg)
        return tuple(sorted(talk.removesuffix("-duo") for talk in standing))


# ── one talk ──────────────────────────────────────────────────────────────────────────────────


async def _begin(ami: Ami, case_id: str, legs: tuple[str, str], longest_s: float) -> None:
    channels = await live_channels(ami)
    _check(case_id, legs, channels)
    if _speak(case_id, channels) == set(legs):
        return
    # One that stands now is another's, or is just ending.
    await _end(ami, case_id, channels)
    # What mutes is tried first, with what changes nothing: without it the elder would hear them.
    for how in ("VOLUME(RX)", f"EXPORT({legs[0]},VOLUME(RX))"):
        await ami.action("Setvar", Channel=legs[0], Variable=how, Value="1")
    await ami.action("Originate", **_watch(case_id, legs, longest_s))

    async def both() -> bool:
        speak = _speak(case_id, await live_channels(ami))
        return speak == set(legs) and len(await people_in(ami, _talk(case_id))) == len(legs)

    if not await _comes_true(both, BEGINS_S):
        await _end(ami, case_id, channels)
        raise TimeoutError("the seats were not joined")


def _check(case_id: str, legs: tuple[str, str], channels: Channels) -> None:
    living = {plain(one.get("Uniqueid")): one for one in channels}
    if case_id not in living:
        raise NotFound(f"the elder of {plain(case_id)} has hung up: speak in the room")
    if legs[0] == legs[1]:
        raise NotAllowed("a private talk needs two seats; ask another one into the room")
    for leg in legs:
        seat = living.get(leg)
        if seat is None or seat.get("ChannelStateDesc") != "Up":
            raise NotFound(f"the seat on {plain(leg)} has hung up; ask another one into the room")
        if not _is_seat(seat) or variable(seat, "CARELINE_CALL") != case_id:
            raise NotAllowed(
                f"{plain(leg)} is no seat of {plain(case_id)}; choose two who are in it"
            )


def _watch(case_id: str, legs: tuple[str, str], longest_s: float) -> dict[str, Any]:
    """What to ask for. The half that is called here never answers: it lives as long as the watch,
    and is its second limit, should the first one not count."""
    talk = _talk(case_id)
    return {
        "Channel": "Local/watch@duo/n",
        "Application": "Hangup",
        "Data": "16",
        "Async": "true",
        "Timeout": str(round(1000 * (longest_s + 60))),
        "ChannelId": talk,
        "OtherChannelId": f"{talk}-2",
        "Variable": [
            "CARELINE_PARTY=duo",
            f"CARELINE_EFFECT={talk}",
            f"DUO_CASE={case_id}",
            f"DUO_1={legs[0]}",
            f"DUO_2={legs[1]}",
            f"DUO_LOOKS={round(longest_s * LOOKS_PER_S)}",
        ],
    }


async def _end(ami: Ami, case_id: str, channels: Channels) -> None:
    """Returns when every seat of the case among these channels is heard in its room."""
    if any(_talk_of(one) == _talk(case_id) for one in channels):
        with suppress(AmiRefused):
            await ami.action("Hangup", Channel=_talk(case_id), Cause="16")
    seats = [
        plain(one["Uniqueid"])
        for one in channels
        if _is_seat(one) and variable(one, "CARELINE_CALL") == case_id
    ]

    async def all_heard() -> bool:
        return not any([await _held_by(ami, leg) for leg in seats])

    if not await _comes_true(all_heard, ENDS_S):
        for leg in seats:
            if await _held_by(ami, leg):
                await _restore(ami, leg)


async def _comes_true(asked: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Whether it is so within that time, asked again and again."""
    until = asyncio.get_running_loop().time() + within_s
    while not await asked():
        if asyncio.get_running_loop().time() > until:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True


async def _held_by(ami: Ami, leg: str) -> str:
    """The half that mutes this seat; empty for none, and when the seat has hung up."""
    try:
        answer = await ami.action("Getvar", Channel=leg, Variable=HELD_BY)
    except AmiRefused:
        return ""
    return plain(answer.get("Value"), 120)


async def _restore(ami: Ami, leg: str) -> None:
    """In the order of the dialplan: what is not noted any more is restored."""
    logger.warning("the seat on %s was still mute towards its room", leg)
    with suppress(AmiRefused):
        await ami.action("Setvar", Channel=leg, Variable="VOLUME(RX)", Value="1")
        await ami.action("Setvar", Channel=leg, Variable=HELD_BY, Value="")


# ── what the channels say ─────────────────────────────────────────────────────────────────────


def _talk(case_id: str) -> str:
    """The talk of a case: the id of its watch, and the name of the room where its halves meet."""
    return f"{case_id}-duo"


def _talk_of(channel: Mapping[str, Any]) -> str:
    """Which private talk this channel belongs to; empty for all other channels."""
    is_ours = variable(channel, "CARELINE_PARTY") == "duo"
    return variable(channel, "CARELINE_EFFECT") if is_ours else ""


def _is_watch(channel: Mapping[str, Any]) -> bool:
    return bool(_talk_of(channel)) and channel.get("Uniqueid") == _talk_of(channel)


def _is_seat(channel: Mapping[str, Any]) -> bool:
    return variable(channel, "CARELINE_PARTY") == "seat"


def _speak(case_id: str, channels: Channels) -> set[str]:
    """The legs of the seats that the halves of the case's talk listen to now."""
    return {
        plain(one.get("ApplicationData"), 120).split(",")[0]
        for one in channels
        if _talk_of(one) == _talk(case_id) and plain(one.get("Application")) == "ChanSpy"
    }
