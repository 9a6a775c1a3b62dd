"""From raw speech to a telephone prompt: trimmed, paced by pauses, levelled, in both bandwidths.

All prompts come out equally loud, because an elderly caller who turned the handset up for one
sentence must not be hurt by the next. The telephone's usual level for active speech is -26 dB;
ours is about 3 dB above it, with the peaks held so that nothing clips on the way.
"""

from __future__ import annotations

import re
import wave
from math import gcd
from pathlib import Path
from typing import Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from ivr.voice import Samples, tool

Shorts: TypeAlias = npt.NDArray[np.int16]

NARROW: Final = 8_000
WIDE: Final = 16_000
LOUDNESS: Final = -23.0
"""LUFS of every prompt."""
CEILING: Final = -3.0
"""dB below full scale that no peak passes, seen at four times the sample rate."""

PAUSES: Final = {"，": 0.35, "、": 0.25, "；": 0.5, "：": 0.4, "。": 0.7, "？": 0.7, "！": 0.7}
"""Seconds of silence that each mark gets inside a prompt. Pauses let slow listeners catch up."""
LEAD: Final = 0.05
"""Seconds of silence before a prompt: whoever calls should hear at once that somebody is there."""
TAIL_WHOLE: Final = 0.15
"""Seconds of silence after a sentence."""
TAIL_PIECE: Final = 0.05
"""The same after a piece, since Asterisk puts another one right behind it."""
CLEAR_GAP: Final = 0.07
"""Seconds of silence that are a pause between words."""

_FRAME: Final = 0.01
_QUIET: Final = -40.0
"""dB against the loudest 10 ms: below it there is a gap inside the speech."""
_FAINT: Final = -34.0
"""Below it there is only breath before the first word and after the last."""


def envelope(sound: Samples, rate: int) -> npt.NDArray[np.float64]:
    """The level of each 10 ms in dB, against the loudest 10 ms."""
    size = int(rate * _FRAME)
    frames = sound[: len(sound) // size * size].astype(np.float64).reshape(-1, size)
    power = np.mean(frames**2, axis=1) + 1e-12
    return cast("npt.NDArray[np.float64]", 10 * np.log10(power / power.max()))


def trimmed(sound: Samples, rate: int) -> Samples:
    """The speech without the silence around it; a little is left for soft beginnings and ends."""
    heard = np.flatnonzero(envelope(sound, rate) > _FAINT)
    size = int(rate * _FRAME)
    return sound[max(0, heard[0] - 3) * size : (heard[-1] + 6) * size]


def with_pauses(sound: Samples, rate: int, text: str) -> Samples:
    """Lengthens the silence at the punctuation marks inside `text` to what each mark deserves.

    The text says how many pauses there are, and they are the longest silences: so the short
    closures inside words (t, k, zh) stay as they were spoken. The voice runs over some commas;
    then the silences that there are belong to the heavier marks.
    """
    marks = re.findall("[" + "".join(PAUSES) + "]", text.rstrip("".join(PAUSES)))
    gaps = _longest_gaps(sound, rate, len(marks))
    heaviest = sorted(range(len(marks)), key=lambda place: -PAUSES[marks[place]])[: len(gaps)]
    pieces, start = [], 0
    for (first, last), place in zip(gaps, sorted(heaviest), strict=True):
        middle = (first + last) // 2
        more = int(PAUSES[marks[place]] * rate) - (last - first)
        pieces += [sound[start:middle], np.zeros(max(0, more), dtype=np.float32)]
        start = middle
    return np.concatenate([*pieces, sound[start:]])


def three_parts(sound: Samples, rate: int) -> tuple[Samples, Samples, Samples] | None:
    """A sentence cut at its two longest silences; None when it has not got two clear ones."""
    speech = trimmed(sound, rate)
    gaps = _longest_gaps(speech, rate, 2)
    if len(gaps) < 2:
        return None
    (first_ends, second_begins), (second_ends, third_begins) = gaps
    # Words begin and end softly, so that a little of the silence around them belongs to them.
    soft = int(0.03 * rate)
    return (
        speech[: first_ends + soft],
        speech[second_begins - soft : second_ends + soft],
        speech[third_begins - soft :],
    )


def _longest_gaps(sound: Samples, rate: int, wanted: int) -> list[tuple[int, int]]:
    """The `wanted` longest silences between words, in order, as ranges of samples.

    There may be fewer: the voice does not stop at every mark, and what is shorter than CLEAR_GAP
    is the closing of the mouth inside a word.
    """
    quiet = np.concatenate([[False], envelope(sound, rate) < _QUIET, [False]])
    edges = np.flatnonzero(quiet[1:] != quiet[:-1]).reshape(-1, 2)
    inside = [
        (first, last) for first, last in edges.tolist() if first > 0 and last < len(quiet) - 2
    ]
    clear = [gap for gap in inside if gap[1] - gap[0] >= CLEAR_GAP / _FRAME]
    size = int(rate * _FRAME)
    longest = sorted(clear, key=lambda gap: gap[0] - gap[1])[:wanted]
    return sorted((first * size, last * size) for first, last in longest)


def resampled(sound: Samples, rate: int, wanted: int) -> Samples:
    common = gcd(rate, wanted)
    result = tool("scipy.signal").resample_poly(sound, wanted // common, rate // common)
    return np.asarray(result, dtype=np.float32)


def loudness(sound: Samples, rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770), with silence not counted.

    The sound is heard several times in a row, since the meter needs whole blocks of 0.4 s and a
    digit is shorter than that.
    """
    speech = trimmed(sound, rate)
    again = int(np.ceil(3.0 * rate / len(speech)))
    meter = tool("pyloudnorm").Meter(rate)
    return float(meter.integrated_loudness(np.tile(speech, again).astype(np.float64)))


def levelled(sound: Samples, rate: int) -> Samples:
    """The sound at the loudness of the house, its peaks held below the ceiling.

    Holding the peaks takes some loudness away, so it is measured and corrected a few times.
    """
    result = sound
    for _ in range(4):
        gain = 10 ** ((LOUDNESS - loudness(result, rate)) / 20)
        result = _limited(result * np.float32(gain), rate)
    return result


def _limited(sound: Samples, rate: int) -> Samples:
    """Turns down only the few milliseconds around each peak, without a step."""
    filters = tool("scipy.ndimage")
    between = tool("scipy.signal").resample_poly(sound, 4, 1)[: 4 * len(sound)]
    peaks = np.abs(between).reshape(-1, 4).max(axis=1)
    need = np.minimum(1.0, 10 ** (CEILING / 20) / np.maximum(peaks, 1e-9))
    reach = int(0.003 * rate) * 2 + 1
    held = filters.minimum_filter1d(need, 2 * reach)
    smooth = np.hanning(reach + 2)[1:-1]
    gain = np.convolve(np.pad(held, reach // 2, mode="edge"), smooth / smooth.sum(), mode="valid")
    return np.asarray(sound * gain, dtype=np.float32)


def prompt(speech: Samples, rate: int, text: str, tail: float) -> Samples:
    """The finished prompt at 16 kHz, from what the voice spoke."""
    spoken = with_pauses(trimmed(speech, rate), rate, text)
    level = levelled(resampled(spoken, rate, WIDE), WIDE)
    # The edges are faded over 5 ms, so that a cut breath does not click.
    fade = np.linspace(0, 1, int(0.005 * WIDE), dtype=np.float32)
    level[: len(fade)] *= fade
    level[-len(fade) :] *= fade[::-1]
    return np.pad(level, (int(LEAD * WIDE), int(tail * WIDE)))


def as_shorts(sound: Samples) -> Shorts:
    return np.asarray(np.clip(np.rint(sound * 32767), -32768, 32767), dtype="<i2")


def write_wav(path: Path, sound: Samples, rate: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(as_shorts(sound).tobytes())


def read_wav(path: Path) -> tuple[Samples, int]:
    with wave.open(str(path), "rb") as file:
        shorts = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return shorts.astype(np.float32) / np.float32(32768), file.getframerate()


def write_prompt(wav: Path, raw: Path, wide: Samples) -> None:
    """Both forms of a prompt: 8 kHz WAV, and 16 kHz headerless as Asterisk's .sln16 is."""
    write_wav(wav, resampled(wide, WIDE, NARROW), NARROW)
    raw.write_bytes(as_shorts(wide).tobytes())
