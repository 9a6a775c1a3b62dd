"""Plays the town: elders call by themselves or when told to, and speak when a person answers.

The telephones themselves are Asterisk's (asterisk_conf/town); here is decided who calls when. That
somebody has answered is heard from the controller, as the desk hears it: so an elder speaks to a
person, never to the music.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from telephony.ami import Ami, AmiDown, AmiRefused
from telephony.practice.town import Elder, Scene, Town, steps

logger = logging.getLogger(__name__)

SILENT: Final = "silent"
FIRST_S: Final = 3.0
"""How soon after the start the first elder calls."""
AT_ONCE: Final = 4
"""The rhythm waits while so many elders are on the telephone."""


class CannotCall(Exception):
    """The elder cannot call now: `busy`, `unknown` or `away` (the town's Asterisk)."""


@dataclass(slots=True)
class TownCall:
    """An elder on the telephone. `call` is the centre's id of it, once it is talked."""

    id: str
    elder: int
    scene: str
    is_silent: bool
    began_at: datetime
    call: str = ""


class Player:
    """One town. `numbers` is the number plan, `callers` the elders' numbers in E.164."""

    def __init__(
        self,
        town: Town,
        ami: Ami,
        *,
        numbers: Mapping[str, str],
        callers: Sequence[str],
        every_s: float,
        chance: random.Random | None = None,
    ) -> None:
        self.town: Final = town
        self.calls: Final[dict[str, TownCall]] = {}
        self.every_s: Final = every_s
        self.is_paused = False
        self.has_person = False
        self._ami: Final = ami
        self._numbers: Final = numbers
        self._callers: Final = callers
        self._chance: Final = chance or random.Random()  # noqa: S311 - who calls is no secret.
        self._names: Final = itertools.count(1)
        self._since: Final = datetime.now(UTC).strftime("%H%M%S")

    # ── calling ───────────────────────────────────────────────────────────────────────────────

    async def call(self, elder: int, scene_name: str, *, is_silent: bool = False) -> TownCall:
        """Have this elder call now. Raises CannotCall."""
        scene = self.town.scene(scene_name)
        if scene is None or not 0 <= elder < len(self.town.elders):
            raise CannotCall("unknown")
        if self._is_on_the_telephone(elder):
            raise CannotCall("busy")
        name = f"town-{self._since}-{next(self._names)}"
        made = TownCall(name, elder, scene_name, is_silent, datetime.now(UTC))
        # Noted before it is placed: two clicks make one call.
        self.calls[name] = made
        try:
            await self._place(made, self.town.elders[elder], scene)
        except (AmiDown, AmiRefused, TimeoutError) as cause:
            self.calls.pop(name, None)
            logger.warning("%s could not call: %s", name, cause)
            raise CannotCall("away") from None
        return made

    async def _place(self, call: TownCall, elder: Elder, scene: Scene) -> None:
        heard = self.town.scene(SILENT) if call.is_silent else scene
        assert heard
        await self._ami.action(
            "Originate",
            Channel=f"PJSIP/{self._numbers[scene.number]}@centre",
            ChannelId=call.id,
            CallerID=f'"" <{elder.number}>',
            Context="waits",
            Exten="s",
            Priority="1",
            Timeout="60000",
            Async="true",
            Variable=[
                f"STEPS={steps(heard.name, heard.lines, elder.voice)}",
                f"KEY={scene.key}",
                f"PATIENCE={elder.patience_s}",
            ],
        )

    def _is_on_the_telephone(self, elder: int) -> bool:
        number = self._callers[elder]
        return any(self._callers[call.elder] == number for call in self.calls.values())

    async def keep_rhythm(self) -> None:
        """Call again and again."""
        await asyncio.sleep(FIRST_S)
        while True:
            if not self.is_paused and self._ami.is_up and len(self.calls) < AT_ONCE:
                await self._somebody_calls()
            await asyncio.sleep(self.every_s)

    async def _somebody_calls(self) -> None:
        free = [
            number
            for number in range(len(self.town.elders))
            if not self._is_on_the_telephone(number)
        ]
        elder = self._chance.choice(free)
        scenes = [
            scene
            for name in self.town.elders[elder].calls_about
            if (scene := self.town.scene(name)) and self._is_fitting(scene)
        ]
        if not scenes:
            return
        (scene,) = self._chance.choices(scenes, [scene.weight for scene in scenes])
        try:
            await self.call(elder, scene.name)
        except CannotCall as cause:
            logger.info("nobody calls this time: %s", cause)

    def _is_fitting(self, scene: Scene) -> bool:
        # No robot can lead an emergency to its end.
        return scene.weight > 0 and (self.has_person or scene.number != "emergency")

    # ── what happens ──────────────────────────────────────────────────────────────────────────

    async def hear(self) -> None:
        """Follow the town's Asterisk; what it still has from before us is ended."""
        while True:
            event = await self._ami.events.get()
            if not isinstance(event, Mapping):
                self.calls.clear()
            elif event["Event"] == "Connected":
                await self._end_all()
            elif event["Event"] == "Hangup" or event.get("Response") == "Failure":
                self.calls.pop(str(event.get("Uniqueid")), None)

    async def let_go(self) -> None:
        """Nobody here reads what an emergency's listener would."""
        while True:
            await self._ami.urgent.get()

    async def _end_all(self) -> None:
        try:
            for channel in await self._ami.listing("CoreShowChannels"):
                await self._ami.action("Hangup", Channel=str(channel["Channel"]))
        except (AmiDown, AmiRefused, TimeoutError) as cause:
            logger.warning("calls from before could not be ended: %s", cause)
        self.calls.clear()

    async def answered(self, call_id: str, number: str) -> None:
        """A person is there for the call that came from this number: the elder begins to speak."""
        for call in self.calls.values():
            if self._callers[call.elder] == number and not call.call:
                call.call = call_id
                try:
                    await self._speak(call)
                except (AmiDown, AmiRefused, TimeoutError) as cause:
                    logger.warning("%s does not speak: %s", call.id, cause)
                return

    async def _speak(self, call: TownCall) -> None:
        channels = await self._ami.listing("CoreShowChannels")
        for channel in channels:
            if channel["Uniqueid"] == call.id:
                await self._ami.action(
                    "Redirect", Channel=str(channel["Channel"]),
                    Context="speaks", Exten="s", Priority="1",
                )  # fmt: skip

    async def stop_ringing(self) -> None:
        """Put down every robot's telephone that rings: a person can take the call."""
        try:
            for channel in await self._ami.listing("CoreShowChannels"):
                name, state = str(channel["Channel"]), channel["ChannelStateDesc"]
                if name.startswith("PJSIP/phone-") and state != "Up":
                    await self._ami.action("Hangup", Channel=name, Cause="17")
        except (AmiDown, AmiRefused, TimeoutError) as cause:
            logger.warning("a robot's telephone rings on: %s", cause)

    # ── shown ─────────────────────────────────────────────────────────────────────────────────

    def picture(self, uids: Sequence[str]) -> dict[str, Any]:
        """The town for its page; `uids` are the elders' unique codes."""
        calling = {call.elder for call in self.calls.values()}
        return {
            "every_s": self.every_s,
            "paused": self.is_paused,
            "person": self.has_person,
            "up": self._ami.is_up,
            "elders": [
                {
                    "uid": uid,
                    "name": elder.name,
                    "number": caller,
                    "remark": elder.remark,
                    "address": [elder.street, elder.compound, elder.building, elder.room],
                    "terminal": elder.terminal,
                    "about": list(elder.calls_about),
                    "calling": number in calling,
                }
                for number, (elder, uid, caller) in enumerate(
                    zip(self.town.elders, uids, self._callers, strict=True)
                )
            ],
            "scenes": [
                {"name": s.name, "title": s.title, "english": s.english, "number": s.number}
                for s in self.town.scenes
            ],
            "calls": [
                {
                    "elder": self.town.elders[call.elder].name,
                    "scene": call.scene,
                    "silent": call.is_silent,
                    "began": call.began_at.isoformat(),
                    "call": call.call,
                }
                for call in self.calls.values()
            ],
        }
