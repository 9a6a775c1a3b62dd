"""Brings the prompts and the music from the checkout to where one Asterisk instance can read them.

The checkout may be closed to the user whom Asterisk runs as, so the files are copied, and copied
again only when they have changed.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PROMPTS: Final = Path(__file__).resolve().parent.parent / "ivr" / "prompts"
PACES: Final = {"quarter-second": bytes(2 * 8000 // 4), "moment": bytes(2 * 8000 // 50)}
"""Silence, 8,000 samples a second of two bytes each: by these the dialplan's watchdogs keep time.

A moment is one packet, 20 ms."""
SOUND_FILES: Final = frozenset({".wav", ".sln", ".sln16", ".alaw", ".ulaw"})


def copy_sounds(prompts: Path, data: Path, user: str) -> None:
    """Fill DATA/sounds/zh, DATA/moh/calm and DATA/moh/emergency; `user` becomes their owner."""
    wanted = {}
    for file in sorted((prompts / "zh").rglob("*")):
        if file.suffix in SOUND_FILES:
            wanted[data / "sounds" / "zh" / file.relative_to(prompts / "zh")] = file
    for file in sorted((prompts / "moh").glob("calm.*")):
        if file.suffix in SOUND_FILES:
            wanted[data / "moh" / "calm" / file.name] = file
            # Sorted by name: first the words, then the music, then the words again.
            wanted[data / "moh" / "emergency" / f"2-{file.name}"] = file
    for file in sorted((prompts / "zh").glob("emergency-wait.*")):
        if file.suffix in SOUND_FILES:
            wanted[data / "moh" / "emergency" / f"1-{file.name}"] = file
    paces = {data / "sounds" / "zh" / f"{name}.sln": sound for name, sound in PACES.items()}
    _open_folders(data, (*wanted, *paces))
    for copy, original in wanted.items():
        _copy_if_changed(original, copy, user)
    for pace, silence in paces.items():
        _write_if_changed(silence, pace, user)
    _remove_what_is_gone(data, frozenset((*wanted, *paces)))


def _open_folders(data: Path, files: Iterable[Path]) -> None:
    """Make the folders in DATA; Asterisk's user can look into them, whatever our umask is."""
    needed = {folder for file in files for folder in file.relative_to(data).parents}
    for folder in sorted(needed - {Path()}):
        (data / folder).mkdir(exist_ok=True)
        (data / folder).chmod(0o755)


def _copy_if_changed(original: Path, copy: Path, user: str) -> None:
    source = original.stat()
    try:
        there = copy.stat()
        if (there.st_size, there.st_mtime_ns) == (source.st_size, source.st_mtime_ns):
            return
    except FileNotFoundError:
        pass
    beside = _beside(copy)
    shutil.copy2(original, beside)
    _put(beside, copy, user)


def _write_if_changed(sound: bytes, file: Path, user: str) -> None:
    if file.exists() and file.read_bytes() == sound:
        return
    beside = _beside(file)
    beside.write_bytes(sound)
    _put(beside, file, user)


def _beside(file: Path) -> Path:
    return file.with_name(f".{file.name}.{os.getpid()}")


def _put(beside: Path, file: Path, user: str) -> None:
    """Let the new file take the old one's place, whole, for Asterisk to read."""
    beside.chmod(0o644)
    if user:
        os.chown(beside, pwd.getpwnam(user).pw_uid, -1)
    beside.replace(file)


def _remove_what_is_gone(data: Path, wanted: frozenset[Path]) -> None:
    """A prompt that the checkout no longer has must not be spoken any more."""
    for folder in (data / "sounds", data / "moh"):
        for file in folder.rglob("*"):
            if file.is_file() and file not in wanted:
                file.unlink()
