"""The notes of calls that the dialplan led without us (telephony/fallback_agi.py) into our events.

A note fills what the flight record leaves open, or stands for it when there is none. It was written
by Asterisk's user from what callers sent: nothing in it is trusted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from telephony.cel import Normalise, clean
from telephony.translate import ENTRIES, MAX_NUMBER, figure, seat_of, whole
from workflows.events import (
    CallArrived,
    CallEnded,
    CallQueued,
    Entry,
    Event,
    LegEnded,
    SeatAnswered,
)

logger = logging.getLogger(__name__)

LONGEST: Final = 10_000
"""A note has a few hundred bytes."""


@dataclass(frozen=True, slots=True)
class Note:
    """One note; times are aware UTC."""

    file: Path
    call: str
    began: datetime
    ended: datetime
    entry: Entry | None
    dialled: str
    caller: str
    trunk: str
    queue: str
    seat: str
    cause: int
    queued: datetime | None
    answered: datetime | None


def read_notes(folder: Path) -> dict[str, Note]:
    """Every whole note in the folder, by call. One that cannot be read is set aside, not lost."""
    notes: dict[str, Note] = {}
    for file in sorted(folder.glob("[!.]*.json")):
        note = _read(file)
        if note is None:
            logger.warning("the note %s cannot be read and is set aside", file.name)
            with contextlib.suppress(OSError):
                file.replace(file.with_suffix(".unreadable"))
        else:
            notes[note.call] = note
    return notes


def _read(file: Path) -> Note | None:
    try:
        said = {str(k): clean(str(v)) for k, v in json.loads(_text(file)).items()}
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    began, ended, queued = (_time(said.get(k)) for k in ("began", "ended", "queued"))
    if not said.get("call") or began is None or ended is None:
        return None
    held = figure(said.get("held"))
    seat = seat_of(said.get("seat"))
    return Note(
        file=file,
        call=said["call"],
        began=began,
        ended=ended,
        entry=ENTRIES.get(said.get("entry", "")),
        dialled=said.get("dialled", "")[:MAX_NUMBER],
        caller=said.get("caller", "")[:MAX_NUMBER],
        trunk=said.get("trunk", "")[:31],
        queue=said.get("queue", "")[:31],
        seat=seat,
        cause=whole(said.get("cause")),
        queued=queued,
        answered=_time(queued.timestamp() + held) if seat and queued and held is not None else None,
    )


def _text(file: Path) -> bytes:
    """Raises OSError for what is no plain file of a note's size: none of it may hold us up."""
    place = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(place, "rb") as stream:  # noqa: PTH123 - by its number, as it was looked at
        seen = os.fstat(place)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > LONGEST:
            raise OSError(f"{file.name} is no note")
        return stream.read(LONGEST)


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(str(value)), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def completed(events: Sequence[Event], note: Note, normalise: Normalise, node: str) -> list[Event]:
    """The events of the flight record with what only the note knows; all of it when there are
    none."""
    if not events:
        return _from_note(note, normalise, node)
    return [
        replace(event, entry=note.entry or event.entry, callee=note.dialled or event.callee)
        if isinstance(event, CallArrived)
        else event
        for event in events
    ]


def _from_note(note: Note, normalise: Normalise, node: str) -> list[Event]:
    call = note.call
    events: list[Event] = [
        CallArrived(
            case_id=call, at=note.began, entry=note.entry or Entry.HOTLINE,
            caller=normalise(note.caller), caller_raw=note.caller, callee=note.dialled,
            trunk=note.trunk, node=node,
        )
    ]  # fmt: skip
    if note.queue and note.queued:
        events.append(CallQueued(case_id=call, at=note.queued, queue=note.queue, position=0))
    if note.answered:
        # The note does not know the channel; one seat answers a call once.
        leg = f"{call}/{note.seat}"
        events.append(SeatAnswered(case_id=call, at=note.answered, seat=note.seat, leg=leg))
        events.append(
            LegEnded(case_id=call, at=note.ended, leg=leg, party="seat", cause=note.cause)
        )
    events.append(LegEnded(case_id=call, at=note.ended, leg=call, party="caller", cause=note.cause))
    events.append(CallEnded(case_id=call, at=note.ended, cause=note.cause))
    return events
