"""Recordings never take the last of the disk: that belongs to the database and the journal.

Recordings are what fills a disk here (5 MB a second with 100 calls), so they stop while there is
still room for everything else: for what is written down of the calls, and for the sign-ins of the
telephones where AstDB cannot be in memory. The calls go on unheard, and the desk says so until the
last of them is over.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from telephony.ami import Ami, AmiDown, AmiRefused
from telephony.switchboard import Switchboard

logger = logging.getLogger(__name__)

NO_ROOM: Final = "CARELINE_NO_ROOM"
"""While this variable of Asterisk's is 1, the dialplan begins no recording."""
LOOK_EVERY_S: Final = 1.0
LOW: Final = 4
"""The disk is low with so many times the room that is kept free."""
ROOM_AGAIN: Final = 1.1
"""What has stopped or was said counts until there is so many times as much again."""


class RecordingRoom:
    """Watches the disk of `folder`, of which recordings leave `keep_free` bytes to all others.

    The `switchboard` knows which calls there are. `changed` is told whether little is free, and
    whether there are, or may be, calls that are not recorded.
    """

    def __init__(
        self,
        ami: Ami,
        switchboard: Switchboard,
        folder: Path,
        keep_free: int,
        changed: Callable[[bool, bool], None],
    ) -> None:
        self._ami: Final = ami
        self._switchboard: Final = switchboard
        self._folder: Final = folder
        self._keep_free: Final = keep_free
        self._changed: Final = changed
        self._is_low = self._is_out = False
        # Calls that are up and have been without a recording, by their id.
        self._unheard: set[str] = set()

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                usage = await asyncio.to_thread(shutil.disk_usage, self._folder)
                await self._take(usage.free)
            except OSError as cause:
                logger.warning("nobody knows how much room there is for recordings: %s", cause)
            except (AmiDown, AmiRefused, TimeoutError) as cause:
                # Asterisk is away, or was started anew; the next look finds it.
                logger.debug("Asterisk was not told of the room for recordings: %s", cause)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _take(self, free: int) -> None:
        is_out = free < self._keep_free * (ROOM_AGAIN if self._is_out else 1)
        self._is_low = free < LOW * self._keep_free * (ROOM_AGAIN if self._is_low else 1)
        if is_out != self._is_out:
            said = "stop" if is_out else "are made again"
            logger.warning("recordings %s: %.0f MB are left", said, free / 1e6)
        self._is_out = is_out
        # Said at every look: an Asterisk that was started anew would not know it.
        await self._ami.action("Setvar", Variable=NO_ROOM, Value="1" if is_out else "0")
        calls = self._switchboard.exchange.calls()
        self._unheard &= calls
        if is_out:
            for call in calls:
                await self._stop(call)
            self._unheard = calls
        self._changed(self._is_low, is_out or bool(self._unheard))

    async def _stop(self, call: str) -> None:
        """End the call's recording. Asked for at every look: it may have just begun."""
        try:
            await self._ami.action("StopMixMonitor", Channel=call)
        except AmiRefused:
            # Nothing is recorded there, or the call has just ended.
            return
