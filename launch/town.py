"""Keeps the practice town running: its Asterisk, and the process that plays it.

It starts after the centre has said that it is ready, and whatever becomes of it, the centre goes
on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from asterisk_conf.instance import AsteriskFailed, Instance, service_user
from home import Home
from launch import asterisk_tree
from launch.asterisk_logs import keep_short
from launch.child import Child, ChildFailed
from launch.steps import say
from practice import TRUNK
from settings import BadConfig, Settings

AGAIN_S: Final = 5.0
GOODBYE_S: Final = 1.0


class PracticeTown:
    """The town of one home, for the `centre` there. `words` name the home and the settings for its
    process."""

    def __init__(
        self, settings: Settings, home: Home, centre: Instance, words: Sequence[str]
    ) -> None:
        self._settings: Final = settings
        self._home: Final = home
        self._centre: Final = centre
        self._asterisk: Instance | None = None
        self._player: Final = Child("practice", words, home.logs)

    async def keep(self) -> None:
        """Start it, and start again what ends, until cancelled."""
        try:
            self._asterisk = await asyncio.to_thread(self._render)
        except (BadConfig, ValueError, OSError) as cause:
            say(f"there is no practice town: {cause}")
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_asterisk(self._asterisk))
            tasks.create_task(self._keep_player())
            tasks.create_task(keep_short(self._asterisk))

    def _render(self) -> Instance:
        # What is not needed before the centre is ready does not make its start longer.
        from asterisk_conf.town import render_town

        return render_town(self._settings, self._home, asterisk_tree.find(), service_user())

    async def _keep_asterisk(self, asterisk: Instance) -> None:
        while True:
            try:
                if not await asterisk.start():
                    await asterisk.reload()
                # The centre looks every half minute whether its carrier is there.
                await self._centre.cli(f"pjsip qualify trunk-{TRUNK}")
            except (AsteriskFailed, OSError) as cause:
                say(f"the practice town's Asterisk: {cause}")
                await asyncio.sleep(AGAIN_S)
            else:
                await asterisk.wait()
                say("the practice town's Asterisk ended; it is started again")

    async def _keep_player(self) -> None:
        while True:
            try:
                await self._player.spawn()
                await self._player.serves()
                break
            except (ChildFailed, OSError) as cause:
                say(f"the practice town does not play: {cause}")
                await self._player.stop()
                await asyncio.sleep(AGAIN_S)
        await self._player.keep()

    async def stop(self) -> None:
        """Nobody calls any more, and every receiver is put down."""
        await self._player.stop()
        if self._asterisk is None or self._asterisk.pid is None:
            return
        with contextlib.suppress(AsteriskFailed):
            await self._asterisk.cli("channel request hangup all", within=GOODBYE_S)
            # The goodbyes have to leave before Asterisk does.
            await asyncio.sleep(GOODBYE_S / 4)
        await self._asterisk.stop()
