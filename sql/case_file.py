"""One emergency's file: what happened, line after line, on the disk before anything is done.

Each line is a checksum and a JSON object with the whole case after one step. A line that a crash or
a full disk cut short, or that a failing disk spoilt, is recognised by it and passed over; the lines
around it are whole.
"""

from __future__ import annotations

import json
import logging
import os
import time
import zlib
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

logger = logging.getLogger(__name__)

SCHEMA: Final = 1
ENDING: Final = ".jsonl"
UNREADABLE: Final = ".unreadable"
NEW: Final = ".new"


def line_of(said: dict[str, Any]) -> bytes:
    """The object as a line with its checksum."""
    text = json.dumps({"v": SCHEMA, **said}, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def said_in(line: bytes) -> dict[str, Any] | None:
    """The object of a line that ends where it should; None for a torn or a spoilt one.

    Raises ValueError for one of another version: it says something, but not to us.
    """
    checksum, _, text = line.removesuffix(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    said = json.loads(text)
    if not isinstance(said, dict) or said.get("v") != SCHEMA:
        raise ValueError("the line is of another version of Careline")
    return said


class CaseFile:
    """The file of one case. Blocking: to be used in a thread."""

    def __init__(self, folder: Path, case_id: str) -> None:
        # A case's id comes from Asterisk, and a file's name must never lead out of the folder.
        self.path: Final = folder / f"{quote(case_id, safe='')}{ENDING}"
        self._whole = self.path.stat().st_size if self.path.exists() else 0

    def read(self) -> list[dict[str, Any]]:
        """Every whole line, in order; what follows the last of them is cut off when one is added.

        Changes nothing on the disk, which may be one that takes nothing. Raises OSError, and
        ValueError for a file of another version.
        """
        found: list[dict[str, Any]] = []
        at = whole = 0
        for line in self.path.read_bytes().splitlines(keepends=True):
            at += len(line)
            said = said_in(line)
            if said is None:
                logger.warning("%s: passed over what stands before byte %d", self.path.name, at)
                continue
            found.append(said)
            whole = at
        self._whole = whole
        return found

    def append(self, lines: bytes) -> None:
        """Put the lines on the disk. Raises OSError; the file is then as it was before."""
        is_new = self._whole == 0
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.ftruncate(file, self._whole)
            if os.pwrite(file, lines, self._whole) < len(lines):
                raise OSError(f"{self.path.name}: the disk took only a part")
            os.fsync(file)
        finally:
            os.close(file)
        if is_new:
            self._sync_folder()
        self._whole += len(lines)

    @property
    def size(self) -> int:
        """Bytes of whole lines."""
        return self._whole

    def replace(self, lines: bytes) -> None:
        """Put these lines in the place of all. Raises OSError; the file is then as it was."""
        new = self.path.with_name(f"{self.path.name}{NEW}")
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            if os.write(file, lines) < len(lines):
                raise OSError(f"{new.name}: the disk took only a part")
            os.fsync(file)
        finally:
            os.close(file)
        new.rename(self.path)
        self._sync_folder()
        self._whole = len(lines)

    def set_aside(self) -> None:
        """Keep it under another name, for somebody who can read it. Raises OSError."""
        name = f"{self.path.name}.{time.time_ns()}{UNREADABLE}"
        self.path.rename(self.path.with_name(name))
        self._whole = 0

    def remove(self) -> None:
        self._whole = 0
        self.path.unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
