"""Makes the one stereo file of a recording: elder left, everybody else right (REC-01).

Asterisk leaves three WAVs: the mix and both sides. The sides become Ogg Opus; the file is decoded
again and compared before it gets its name, and only then are the WAVs dropped. Doing it twice gives
the same answer, so a crash at any line loses nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time
import wave
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydub import AudioSegment

BITRATE: Final = "32k"
"""Both sides together: speech at 8 kHz stays as clear as the telephone made it."""
HEADER: Final = 44
SETTLE_S: Final = 15.0
FFMPEG_S: Final = 600.0
"""An hour of sound takes ffmpeg half a minute here; one that hangs must not hold up the others."""
APPEAR_S: Final = 2.0
"""A file that does not exist so long after its call was never begun."""
RATES: Final = range(8000, 48001)
CUT_S: Final = 0.5
LENGTH_TOLERANCE_S: Final = 0.25
LEVEL_TOLERANCE_DB: Final = 3.0
QUIET_DBFS: Final = -50.0
SERIAL: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}")


class NothingRecorded(Exception):
    """There is no sound to keep: Asterisk wrote no file, or an empty one."""


class NotVerified(Exception):
    """The finished file is not what was recorded; the WAVs are kept."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished file; `file` is its path below the recordings folder."""

    file: str
    sha256: str
    seconds: float
    size: int


def make_recording(serial: str, began_at: datetime, recordings: Path, settle_s: float) -> Kept:
    """Make the stereo file of this serial below `recordings` from the WAVs in its live/ folder.

    Waits up to `settle_s` for Asterisk to finish writing. Raises NothingRecorded, NotVerified, and
    OSError when the disk is full; then the WAVs are still there.
    """
    if not SERIAL.fullmatch(serial):
        raise NothingRecorded(f"{serial!r} is no serial of a recording")
    live = recordings / "live"
    sides = [live / f"{serial}-elder.wav", live / f"{serial}-others.wav"]
    # The serial begins with the node's name; the day is the day on which the call began.
    target = recordings / began_at.astimezone(UTC).strftime("%Y/%m/%d") / f"{serial}.opus"
    if target.exists():
        kept = describe(target, recordings, decode(target, RATES.start).duration_seconds)
    else:
        kept = convert(sides, live / f"{serial}.wav", target, settle_s)
    for wav in (*sides, live / f"{serial}.wav"):
        wav.unlink(missing_ok=True)
    return kept


def convert(sides: list[Path], mix: Path, target: Path, settle_s: float) -> Kept:
    """Read both sides, hold them against the mix, and write the file."""
    recordings = mix.parent.parent
    began = time.monotonic()
    # One wait for all three: an Asterisk that was killed closes none of them.
    for wav in (*sides, mix):
        wait_until_written(wav, max(0.0, settle_s - (time.monotonic() - began)))
    try:
        left, right = (read_side(side) for side in sides)
        check_length(read_side(mix), left, right)
        return write_verified(*even(left, right), target, recordings)
    except NothingRecorded:
        # A worker that was just ending may have finished it and dropped the WAVs meanwhile.
        if target.exists():
            return describe(target, recordings, decode(target, RATES.start).duration_seconds)
        raise


def check_length(mix: AudioSegment, left: AudioSegment, right: AudioSegment) -> None:
    """Raise NotVerified when a side is missing or shorter than what was heard in all.

    Asterisk writes mix and sides in step, so that a shorter one was cut: by a full disk, a crash.
    """
    longest = max(side.duration_seconds for side in (mix, left, right))
    for name, side in (("mix", mix), ("elder's side", left), ("others' side", right)):
        if longest - side.duration_seconds > CUT_S:
            has = f"{side.duration_seconds:.1f} s of {longest:.1f} s"
            raise NotVerified(f"the {name} has {has}; the WAVs are kept")


def read_side(wav: Path) -> AudioSegment:
    """One side as mono sound, whole or repaired; silence when only this side is missing."""
    try:
        with wav.open("rb") as file:
            header = file.read(HEADER)
            sound = file.read()
    except FileNotFoundError:
        return AudioSegment.empty()
    if len(header) < HEADER or len(sound) < 2:
        return AudioSegment.empty()
    # The header's length is wrong in a file that Asterisk could not close; the file's is right.
    rate = int.from_bytes(header[24:28], "little")
    return AudioSegment(
        sound[: len(sound) // 2 * 2],
        sample_width=2,
        frame_rate=rate if rate in RATES else RATES.start,
        channels=1,
    )


def wait_until_written(wav: Path, settle_s: float) -> None:
    """Return when the header names the file's real length: then Asterisk has closed it."""
    begun = time.monotonic()
    while not is_closed(wav):
        longest = settle_s if wav.exists() else min(settle_s, APPEAR_S)
        if time.monotonic() - begun >= longest:
            return
        time.sleep(0.1)


def is_closed(wav: Path) -> bool:
    try:
        with wave.open(str(wav), "rb") as reader:
            return reader.getnframes() * 2 + HEADER == wav.stat().st_size
    except (OSError, EOFError, wave.Error):
        return False


def even(left: AudioSegment, right: AudioSegment) -> tuple[AudioSegment, AudioSegment]:
    """Both sides at one rate and of one length; the shorter one ends in silence."""
    if not len(left) and not len(right):
        raise NothingRecorded("Asterisk recorded no sound on this call")
    rate = max(side.frame_rate for side in (left, right) if len(side))
    sides = [side.set_frame_rate(rate) if len(side) else side for side in (left, right)]
    frames = max(int(side.frame_count()) for side in sides)
    left, right = (
        AudioSegment(
            side.raw_data.ljust(frames * 2, b"\0"), sample_width=2, frame_rate=rate, channels=1
        )
        for side in sides
    )
    return left, right


def write_verified(left: AudioSegment, right: AudioSegment, target: Path, recordings: Path) -> Kept:
    """Encode beside the target, decode it again, compare, sync, and only then give it its name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # An ending worker and its successor may both be at it: each has a draft of its own.
    draft = target.with_suffix(f".{os.getpid()}.part")
    try:
        draft.write_bytes(encode(AudioSegment.from_mono_audiosegments(left, right)))
        seconds = verify(draft, left, right)
        sync(draft)
        draft.replace(target)
    except (OSError, NotVerified):
        # On a full disk half a file would only be in the way.
        draft.unlink(missing_ok=True)
        raise
    # The name must be as sure as the sound before the WAVs go.
    sync(target.parent)
    return describe(target, recordings, seconds)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def encode(stereo: AudioSegment) -> bytes:
    """The sound as Ogg Opus. Raises NotVerified when ffmpeg cannot."""
    # Pydub's own export leaves its temporary files behind when a disk is full, and calls it an
    # error of ffmpeg.
    given = ("-f", "s16le", "-ar", str(stereo.frame_rate), "-ac", "2", "-i", "pipe:0")
    return ffmpeg(*given, "-c:a", "libopus", "-b:a", BITRATE, "-f", "ogg", sound=stereo.raw_data)


def decode(file: Path, rate: int) -> AudioSegment:
    """The sound of a finished file at this rate. Raises NotVerified when there is none."""
    made = ffmpeg("-i", f"file:{file}", "-ar", str(rate), "-bitexact", "-f", "wav")
    if len(made) <= HEADER:
        raise NotVerified(f"{file.name} has no sound in it")
    channels = int.from_bytes(made[22:24], "little")
    return AudioSegment(made[HEADER:], sample_width=2, frame_rate=rate, channels=channels)


def ffmpeg(*words: str, sound: bytes = b"") -> bytes:
    try:
        ended = subprocess.run(
            ["ffmpeg", "-v", "error", *words, "pipe:1"],
            input=sound,
            capture_output=True,
            check=False,
            timeout=FFMPEG_S,
        )
    except subprocess.TimeoutExpired:
        raise NotVerified(f"ffmpeg was not done after {FFMPEG_S:.0f} s") from None
    if ended.returncode != 0:
        said = ended.stderr.decode("utf-8", "replace").strip()
        raise NotVerified(f"ffmpeg failed: {said[-200:]}")
    return ended.stdout


def verify(draft: Path, left: AudioSegment, right: AudioSegment) -> float:
    """The file's length in seconds. Raises NotVerified unless it has both sides, their length and
    their loudness."""
    heard = decode(draft, left.frame_rate)
    if heard.channels != 2:
        raise NotVerified(f"it has {heard.channels} channels instead of 2")
    if abs(heard.duration_seconds - left.duration_seconds) > LENGTH_TOLERANCE_S:
        raise NotVerified(
            f"it lasts {heard.duration_seconds:.2f} s instead of {left.duration_seconds:.2f} s"
        )
    for name, made, side in zip(
        ("elder", "others"), heard.split_to_mono(), (left, right), strict=True
    ):
        loud = side.dBFS > QUIET_DBFS
        if loud and abs(made.dBFS - side.dBFS) > LEVEL_TOLERANCE_DB:
            raise NotVerified(
                f"the side of the {name} has {made.dBFS:.1f} dBFS instead of {side.dBFS:.1f}"
            )
    return float(heard.duration_seconds)


def describe(file: Path, recordings: Path, seconds: float) -> Kept:
    """A finished file's hash and size, read from the file itself."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Kept(
        file=str(file.relative_to(recordings)),
        sha256=digest,
        seconds=round(seconds, 3),
        size=file.stat().st_size,
    )
