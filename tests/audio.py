"""Finds tones and prompts in recordings, so that a test can prove who heard what, and when."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

STEP = 0.1
"""Seconds of sound that are judged at once."""
PIECE = 0.25
"""Seconds of a prompt that must be found as they are."""
ALIKE = 0.7
SLIP = 0.3
"""Seconds by which the pieces of one prompt may be apart from each other."""


def samples(wav: Path, channel: int = 0) -> tuple[Samples, int]:
    """The sound between -1 and 1, and its rate in Hz."""
    with wave.open(str(wav), "rb") as sound:
        assert sound.getsampwidth() == 2, f"{wav} is not 16 bit"
        raw = np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2")
        rate, channels = sound.getframerate(), sound.getnchannels()
    return raw[channel::channels].astype(np.float64) / 32768, rate


def seconds(wav: Path) -> float:
    """The length of the recording."""
    with wave.open(str(wav), "rb") as sound:
        return sound.getnframes() / sound.getframerate()


def tone_times(wav: Path, frequency: float, share: float = 0.3) -> list[float]:
    """The moments (seconds, in steps of 0.1) at which the tone makes up that share of the power.

    0.3 finds a tone that is mixed with a second one; two equal tones have half of it each.
    """
    return _tone_times(*samples(wav), frequency, share)


def tone_so_far(wav: Path, frequency: float, start: int) -> float:
    """For how long the tone sounds behind this byte of a WAV that is still being written, of 16
    bits, one channel and 8 kHz."""
    raw = wav.read_bytes()[start + start % 2 :]
    sound = np.frombuffer(raw[: len(raw) // 2 * 2], dtype="<i2").astype(np.float64) / 32768
    return len(_tone_times(sound, 8000, frequency, 0.3)) * STEP


def _tone_times(sound: Samples, rate: int, frequency: float, share: float) -> list[float]:
    size = int(rate * STEP)
    window = np.hanning(size)
    hertz = np.fft.rfftfreq(size, 1 / rate)
    near = np.abs(hertz - frequency) <= 20
    found = []
    for start in range(0, len(sound) - size + 1, size):
        power = np.abs(np.fft.rfft(sound[start : start + size] * window)) ** 2
        if power.sum() > 1e-3 and power[near].sum() > share * power.sum():
            found.append(round(start / rate, 2))
    return found


def tone_begins(wav: Path, frequency: float) -> float:
    """When the tone begins to sound for good; a voice may hit its pitch for a moment before."""
    found = tone_times(wav, frequency, share=0.15)
    for start in found:
        if len([moment for moment in found if 0 <= moment - start < 1.0]) >= 8:
            return start
    raise AssertionError(f"{frequency} Hz never sounds for a second in {wav}: {found}")


def tone_seconds(wav: Path, frequency: float, share: float = 0.3) -> float:
    """For how long the tone sounds."""
    return len(tone_times(wav, frequency, share)) * STEP


def loud_seconds(wav: Path, start: float = 0.0, end: float | None = None) -> float:
    """For how long anything at all sounds between two moments (above about -50 dBFS)."""
    sound, rate = samples(wav)
    part = sound[int(start * rate) : None if end is None else int(end * rate)]
    size = int(rate * STEP)
    blocks = part[: len(part) // size * size].reshape(-1, size)
    return float((np.sqrt((blocks**2).mean(axis=1)) > 0.003).sum() * STEP)


def find_prompt(wav: Path, prompt: Path) -> float | None:
    """When the prompt begins in the recording (seconds), or None; both at any rate.

    It is found piece by piece, since a loaded machine may lose 20 ms in between, and a hang-up
    the end: half of its loud pieces must be there, in their order, nearly as they were.
    """
    sound, rate = samples(wav)
    wanted = _resampled(*samples(prompt), rate)
    size = int(rate * PIECE)
    loud = np.sqrt((wanted**2).mean()) / 2
    starts = [s for s in range(0, len(wanted) - size, size) if _level(wanted[s : s + size]) > loud]
    places = [_best_place(sound, wanted[start : start + size]) for start in starts]
    begins = [
        (place - start) / rate
        for start, (place, likeness) in zip(starts, places, strict=True)
        if likeness > ALIKE
    ]
    if not begins:
        return None
    middle = float(np.median(begins))
    together = [begin for begin in begins if abs(begin - middle) < SLIP]
    return min(together) if len(together) * 2 >= len(starts) else None


def prompt_ends(wav: Path, prompt: Path) -> float | None:
    """When the prompt's last words were heard (seconds), or None: quick enough for many callers.

    One of the last half seconds must be there as it is; a loaded machine may have lost another.
    """
    sound, rate = samples(wav)
    wanted = _resampled(*samples(prompt), rate)
    size = rate // 2
    end = int(np.flatnonzero(np.abs(wanted) > 0.1 * np.abs(wanted).max())[-1])
    for start in range(end - size, max(end - 5 * size, 0), -size):
        place, likeness = _best_place(sound, wanted[start : start + size])
        if likeness > ALIKE:
            return (place + end - start) / rate
    return None


def _level(sound: Samples) -> float:
    return float(np.sqrt((sound**2).mean()))


def _best_place(sound: Samples, piece: Samples) -> tuple[int, float]:
    """Where the piece fits best, and how well: 1.0 is the same sound at another loudness."""
    size = len(piece)
    padded = np.pad(sound, (0, size))
    # The transform is many times faster at a power of two.
    length = 1 << (len(padded) + size).bit_length()
    spectrum = np.fft.rfft(padded, length) * np.conj(np.fft.rfft(piece, length))
    match = np.fft.irfft(spectrum, length)[: len(padded) - size + 1]
    local = np.sqrt(np.maximum(_sliding_sum(padded**2, size), 1e-3))
    likeness = match / (local * np.sqrt((piece**2).sum()))
    best = int(likeness.argmax())
    return best, float(likeness[best])


def _sliding_sum(values: Samples, size: int) -> Samples:
    total = np.concatenate(([0.0], np.cumsum(values)))
    return total[size:] - total[:-size]


def _resampled(sound: Samples, rate: int, wanted: int) -> Samples:
    """The sound at another rate, through its spectrum: nothing is shifted in time."""
    if rate == wanted:
        return sound
    count = int(len(sound) * wanted / rate)
    spectrum = np.fft.rfft(sound)[: count // 2 + 1]
    if len(spectrum) < count // 2 + 1:
        spectrum = np.pad(spectrum, (0, count // 2 + 1 - len(spectrum)))
    return np.fft.irfft(spectrum, count) * (count / len(sound))
