"""Finds sound that belongs to no call: nobody would ever look for it, so somebody is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

OLD_S: Final = 3600.0
"""Asterisk writes on while a call lives; its row comes within the first minutes after a fault."""
SIDES: Final = ("-elder", "-others")


def old_recordings(live: Path, now: float) -> frozenset[str]:
    """The names (without side and ending) of WAVs to which nothing was added for an hour.

    `now` is seconds since 1970. Raises OSError when the folder cannot be read.
    """
    found: set[str] = set()
    for wav in live.glob("*.wav"):
        if now - wav.stat().st_mtime > OLD_S:
            name = wav.stem
            for side in SIDES:
                name = name.removesuffix(side)
            found.add(name)
    return frozenset(found)


def possible_calls(name: str) -> Iterator[str]:
    """The ids that the call of this recording may have: a leg's own one begins with the call's."""
    parts = name.split("-")
    return ("-".join(parts[:length]) for length in range(1, len(parts) + 1))
