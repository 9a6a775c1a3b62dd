"""Playing a recording: its file in pieces, and on record who heard it (REC-02)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from aiohttp import web

from agent_desk.access import actor_of
from agent_desk.desk import DESK
from agent_desk.language import gettext as _
from sql import audit
from sql.queries import record

ONE_PLAYING: Final = timedelta(hours=1)


async def play(
    request: web.Request, file: str, serial: str, subject: str, subject_id: str, leg: str = ""
) -> web.StreamResponse:
    """The recording's file, in ranges so that a player can seek. Raises HTTPNotFound.

    `leg` says whom the recorded call of an emergency was to.
    """
    kept = await asyncio.to_thread(kept_file, request.app[DESK].home.recordings, file)
    if kept is None:
        raise web.HTTPNotFound(
            text=_("The recording's file is not in its place. Tell your administrator.")
        )
    if request.method == "GET":
        await _note_play(request, subject, subject_id, leg)
    name = f'inline; filename="{serial}{kept.suffix}"'
    return web.FileResponse(
        kept, headers={"Content-Type": "audio/ogg", "Content-Disposition": name}
    )


async def _note_play(request: web.Request, subject: str, subject_id: str, leg: str) -> None:
    """Put on record who hears this recording.

    A player fetches one recording in many pieces: what it asks for within the hour after the first
    belongs to the same playing, unless it begins anew.
    """
    actor, now = actor_of(request), datetime.now(UTC)
    begins = request.headers.get("Range", "bytes=0-").startswith("bytes=0-")
    async with request.app[DESK].database.writing("who plays a recording") as session:
        since = now - ONE_PLAYING
        if begins or not await record.was_played(session, subject, subject_id, actor.name, since):
            said = {"leg": leg} if leg else {}
            audit.note(session, actor, now, "played", subject, subject_id, after=said)


def kept_file(folder: Path, file: str) -> Path | None:
    """The file when it really lies below the folder; a path or link out of it counts as missing."""
    try:
        kept = (folder / file).resolve(strict=True)
    except (OSError, ValueError):
        return None
    return kept if kept.is_file() and kept.is_relative_to(folder.resolve()) else None
