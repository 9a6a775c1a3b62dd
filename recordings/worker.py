"""The worker's round: makes every recording that the outbox owes, one at a time.

What is owed is in the outbox; a message on the feed only says that it is worth a look. A recording
is owed until the controller has saved what became of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from control import Controller, ControllerDown
from recordings.conversion import (
    SERIAL,
    SETTLE_S,
    NothingRecorded,
    NotVerified,
    make_recording,
)
from workflows.effects import MakeRecording
from workflows.errors import CarelineError, StoreDown
from workflows.events import Event, RecordingFailed, RecordingMade
from workflows.ports import Posted

logger = logging.getLogger(__name__)

LOOK_AGAIN_S: Final = 15.0
TRIES: Final = 3
"""A fault that nobody foresaw is met so often before the recording is given up and shown."""


class RecordingRound:
    """Goes round until cancelled. `owed` reads the outbox, oldest first."""

    def __init__(
        self,
        recordings: Path,
        owed: Callable[[], Awaitable[Sequence[Posted]]],
        controller: Controller,
    ) -> None:
        self._recordings: Final = recordings
        self._owed: Final = owed
        self._controller: Final = controller
        self.look: Final = asyncio.Event()

    async def run(self) -> None:
        while True:
            self.look.clear()
            try:
                for posted in await self._owed():
                    await self._make(posted)
            except StoreDown as down:
                logger.warning("recordings must wait: %s", down)
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self.look.wait()
            except TimeoutError:
                continue

    async def _make(self, posted: Posted) -> None:
        effect = posted.effect
        assert isinstance(effect, MakeRecording)
        try:
            event = await asyncio.to_thread(self._convert, effect)
            await self._controller.tell(event, because=posted.id)
        except OSError as cause:
            # A full disk or no permission: the WAVs stay, and it is tried again at the next look.
            logger.warning("recording %s must wait: %s", effect.serial, cause)
        except ControllerDown as down:
            logger.info("recording %s is made but not told: %s", effect.serial, down)
        except CarelineError as refused:
            logger.warning("recording %s was refused: %s", effect.serial, refused)
        except Exception:
            # Whatever it is, the recordings after this one must be made all the same.
            logger.exception("recording %s met a fault; it is tried again", effect.serial)

    def _convert(self, effect: MakeRecording) -> Event:
        """What became of it; one that met too many faults is given up, its WAVs are kept.

        A fault is also the end of the whole process, of a night's recording that takes all of the
        memory, say: so tries are counted beside the WAVs. A worker that is just ending may
        be at it too, and take the note away first.
        """
        if not SERIAL.fullmatch(effect.serial):
            return _failed(effect, f"{effect.serial!r} is no serial of a recording")
        note = self._recordings / "live" / f"{effect.serial}.tries"
        tries = len(note.read_text("ascii", "replace")) if note.exists() else 0
        if tries >= TRIES:
            said = f"the conversion failed {tries} times; worker.log says how. The WAVs are kept"
            return _failed(effect, said)
        with note.open("a") as noted:
            noted.write("x")
        try:
            kept = make_recording(effect.serial, effect.began_at, self._recordings, SETTLE_S)
        except (NothingRecorded, NotVerified) as cause:
            note.unlink(missing_ok=True)
            return _failed(effect, str(cause))
        except OSError:
            # That is no fault of the recording's.
            note.unlink(missing_ok=True)
            raise
        note.unlink(missing_ok=True)
        return RecordingMade(
            case_id=effect.serial,
            at=datetime.now(UTC),
            file=kept.file,
            sha256=kept.sha256,
            seconds=kept.seconds,
            size=kept.size,
        )


def _failed(effect: MakeRecording, reason: str) -> RecordingFailed:
    return RecordingFailed(case_id=effect.serial, at=datetime.now(UTC), reason=reason)
