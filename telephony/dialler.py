"""Dials and withdrawals: effects into AMI actions, each at most once.

A dial is noted as attempted, durably, before it is sent, and its id is the channel's id in
Asterisk: a second one with the same id is refused there while the first lives. What was noted and
may not have happened is never sent again here; it is looked for (`telephony/rescue.py`).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Final

from telephony.ami import Ami, AmiDown, AmiRefused
from workflows import emergency
from workflows.call_back import SHORTEST
from workflows.effects import (
    CallElder,
    CallParty,
    CallSeat,
    CancelDial,
    Dial,
    Effect,
    HangUpPerson,
    LetGo,
    MovePeople,
    MutePerson,
)
from workflows.events import DialAttempted, DialFailed, Event

logger = logging.getLogger(__name__)

RING_MS: Final = 6 * 3600 * 1000
"""A placeholder waits until a seat is free, not for half a minute as Asterisk would have it."""
OUTWARD_MS: Final = 300 * 1000
"""Every carrier in turn; each rings for as long as the dialplan says."""
NOT_DIALLED: Final = re.compile(r"[^0-9+]")
DISPATCHERS: Final = re.compile(r"(\+|00)?(86)?0?\d{0,3}(110|119|120|122)")
"""In no spelling is one of these an elder's own telephone: who calls can write any number."""
ELDER_RINGS_MS: Final = 60 * 1000
"""An elder may have to come from another room, with a stick."""
UNSEEN_S: Final = 1.0
"""Asterisk says that it has taken a dial before it has made the channel."""


class Dialler:
    """Performs the effects of emergencies.

    `handle` takes facts and returns the case after them; None when it is put away. `as_dialled`
    turns E.164, or a number as it was delivered, into what a carrier here is given. `sites` are
    those whose rescue services can be called, the first one for an elder of no site. `trunks` has
    each carrier with the number that it shows the elder; `own` are the numbers of this centre,
    which are nobody's whom one could call back.
    """

    def __init__(
        self,
        ami: Ami,
        handle: Callable[[Event], Awaitable[Any]],
        now: Callable[[], datetime],
        *,
        as_dialled: Callable[[str], str],
        sites: Sequence[str],
        trunks: Sequence[tuple[str, str]],
        own: Collection[str] = (),
    ) -> None:
        self._ami: Final = ami
        self._trunks: Final = trunks
        self._as_dialled: Final = as_dialled
        ours = (*own, *(shown for _, shown in trunks))
        self._own: Final = frozenset(self._digits(number) for number in ours)
        self._sites: Final = sites
        self._handle: Final = handle
        self._now: Final = now
        self._line: Final[asyncio.Queue[Effect]] = asyncio.Queue()
        self._waiting: Final[dict[str, tuple[Dial, float]]] = {}
        self._sent: Final[dict[str, float]] = {}
        # Whoever must be sure that nothing was lost looks when this is set.
        self.in_doubt: Final = asyncio.Event()

    def post(self, effect: Effect) -> None:
        """Perform it soon. The same dial may be posted again: it is sent once."""
        if isinstance(effect, Dial):
            if effect.id in self._waiting:
                return
            self._waiting[effect.id] = (effect, asyncio.get_running_loop().time())
        self._line.put_nowait(effect)

    def waits_longer_than(self, seconds: float, case_id: str) -> bool:
        """Whether a dial of the case is unsent for so long."""
        latest = asyncio.get_running_loop().time() - seconds
        return any(
            dial.case_id == case_id and since < latest for dial, since in self._waiting.values()
        )

    def may_be_unseen(self, dial: str) -> bool:
        """Whether the dial is being sent, or was so lately that Asterisk may not list it yet."""
        sent = self._sent.get(dial, float("-inf"))
        return dial in self._waiting or asyncio.get_running_loop().time() - sent < UNSEEN_S

    async def run(self) -> None:
        next_one: Effect | None = None
        while True:
            effects = [next_one or await self._line.get()]
            next_one = None
            # Calls that are asked for together go out together; all else keeps its place.
            while isinstance(effects[-1], Dial) and not self._line.empty():
                following = self._line.get_nowait()
                if not isinstance(following, Dial):
                    next_one = following
                    break
                effects.append(following)
            await asyncio.gather(*map(self._try, effects))

    async def _try(self, effect: Effect) -> None:
        try:
            await self._perform(effect)
        except Exception:
            # One effect that cannot be performed must not hold up all that follow.
            logger.exception("%s was not performed", type(effect).__name__)

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case Dial():
                try:
                    await self._dial(effect)
                finally:
                    self._waiting.pop(effect.id, None)
            case CancelDial(dial=channel) | HangUpPerson(channel=channel):
                await self._hang_up(channel)
            case MovePeople():
                await self._move(effect)
            case MutePerson():
                await self._mute(effect)
            case LetGo():
                await self._let_go(effect)

    async def _dial(self, dial: Dial) -> None:
        if not self._ami.is_up:
            # Unattempted: whoever reads Asterisk anew posts it again.
            return
        noted = DialAttempted(case_id=dial.case_id, at=self._now(), effect=dial.id)
        case = await self._handle(noted)
        if case is None or not emergency.is_wanted(case, dial):
            return
        originate = self._originate(dial)
        if originate is None:
            reason = "this is no number of an elder's telephone, or there is no carrier"
            await self._handle(
                DialFailed(case_id=dial.case_id, at=self._now(), effect=dial.id, reason=reason)
            )
            return
        self._note_sending(dial.id)
        try:
            await self._ami.action("Originate", **originate)
        except AmiRefused as refused:
            reason = f"Asterisk refused: {refused}"
            await self._handle(
                DialFailed(case_id=dial.case_id, at=self._now(), effect=dial.id, reason=reason)
            )
        except (AmiDown, TimeoutError) as cause:
            logger.warning("the dial %s was perhaps sent: %s", dial.id, cause)
            self.in_doubt.set()

    def _originate(self, dial: Dial) -> dict[str, Any] | None:
        """The call as Asterisk wants it; None for one that must not be made."""
        match dial:
            case CallElder(number=number):
                digits = self._digits(number)
                is_abroad = digits.startswith(("+", "00"))
                is_ours = digits in self._own or DISPATCHERS.fullmatch(digits)
                is_elders = len(digits) >= SHORTEST and not is_abroad and not is_ours
                return self._back(dial, digits) if is_elders and self._trunks else None
            case CallParty(service="", number=number):
                return outward(dial, f"{self._digits(number)}@rescue-contact")
            case CallParty(service=service, site=site):
                at = site if site in self._sites else self._sites[0]
                return outward(dial, f"{service}@rescue-service-{at}")
            case _:
                assert isinstance(dial, CallSeat)
                return place(dial)

    def _digits(self, number: str) -> str:
        return NOT_DIALLED.sub("", self._as_dialled(number))

    def _back(self, dial: CallElder, digits: str) -> dict[str, Any]:
        """The elder's telephone, under the id that the first call had: it is the elder's room."""
        trunk, shown = self._trunks[dial.attempt % len(self._trunks)]
        return {
            "ActionID": dial.id,
            "Channel": f"PJSIP/{digits}@trunk-{trunk}",
            "ChannelId": dial.case_id,
            "CallerID": shown,
            "Context": "emergency",
            "Exten": "back",
            "Priority": "1",
            "Async": "true",
            "Timeout": str(ELDER_RINGS_MS),
            "Variable": [
                f"CARELINE_CALL={dial.case_id}",
                "CARELINE_PARTY=elder",
                f"CARELINE_EFFECT={dial.id}",
                f"CARELINE_ELDER={digits}",
            ],
        }

    async def _let_go(self, done: LetGo) -> None:
        """What is not let go now is at the next look; without us the dialplan does so by itself."""
        held = f"RESCUE_HELD_{done.case_id}"
        try:
            answer = await self._ami.action("Getvar", Variable=held)
            if answer.get("Value") == "1":
                await self._ami.action("Setvar", Variable=held, Value="0")
        except (AmiRefused, AmiDown, TimeoutError) as cause:
            logger.info("the rooms of %s are let go later: %s", done.case_id, cause)

    def _note_sending(self, dial: str) -> None:
        now = asyncio.get_running_loop().time()
        for old in [one for one, sent in self._sent.items() if now - sent >= UNSEEN_S]:
            del self._sent[old]
        self._sent[dial] = now

    async def _hang_up(self, channel: str) -> None:
        """A dial that has become a talk has no channel of its id any more, and that is no fault."""
        try:
            await self._ami.action("Hangup", Channel=channel, Cause="16")
        except AmiRefused:
            logger.debug("the channel %s is gone already", channel)
        except (AmiDown, TimeoutError):
            logger.info("%s was not hung up; it is at the next look", channel)

    async def _move(self, move: MovePeople) -> None:
        """Whoever cannot be moved is gone, or is found where they are at the next look."""
        for channel in move.channels:
            try:
                await self._ami.action(
                    "Redirect",
                    Channel=channel, Context="rescue-move", Exten=move.room, Priority="1",
                )  # fmt: skip
            except AmiRefused as refused:
                logger.info("%s of %s was not moved: %s", channel, move.case_id, refused)
            except (AmiDown, TimeoutError) as cause:
                logger.warning("%s was perhaps moved: %s", channel, cause)
                self.in_doubt.set()

    async def _mute(self, mute: MutePerson) -> None:
        state = "on" if mute.is_muted else "off"
        try:
            await self._ami.action(
                "MuteAudio", Channel=mute.channel, Direction="in", State=state
            )  # fmt: skip
        except (AmiRefused, AmiDown, TimeoutError) as cause:
            logger.warning("%s was not muted: %s", mute.channel, cause)


def outward(dial: CallParty, whom: str) -> dict[str, Any]:
    """Somebody outside: who answers is moved into a room, and the half that called ends."""
    return {
        "ActionID": dial.id,
        "Channel": f"Local/{whom}/n",
        "Application": "Hangup",
        "Data": "16",
        "Async": "true",
        "Timeout": str(OUTWARD_MS),
        "ChannelId": dial.id,
        "OtherChannelId": f"{dial.id}-2",
        "Variable": [f"CARELINE_CALL={dial.case_id}", f"CARELINE_EFFECT={dial.id}"],
    }


def place(dial: CallSeat) -> dict[str, Any]:
    """The next free seat for a role: a placeholder waits in the queue, and brings who answers."""
    return {
        # The answer to it, when everything is over, is known by this.
        "ActionID": dial.id,
        "Channel": "Local/wait@rescue-place/n",
        "Context": "rescue-place",
        "Exten": "room",
        "Priority": "1",
        "Async": "true",
        "Timeout": str(RING_MS),
        "ChannelId": dial.id,
        "OtherChannelId": f"{dial.id}-2",
        "Variable": [
            f"CARELINE_CALL={dial.case_id}",
            f"CARELINE_ROLE={dial.role}",
            f"CARELINE_EFFECT={dial.id}",
        ],
    }
