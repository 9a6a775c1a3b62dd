"""The hold music: a slow plucked melody on five notes, composed by the rules below.

It is our own, so nobody has to be paid or asked. It is quiet, has no drums and no sudden notes,
lies where a telephone and an old ear still hear well, and its end runs into its beginning, so that
it can go round for as long as somebody waits.
"""

from __future__ import annotations

from random import Random
from typing import Final

import numpy as np

from ivr.prompts.sound import NARROW, loudness
from ivr.voice import Samples

LOUDNESS: Final = -30.0
"""LUFS: seven below speech, so that a voice that cuts in is never drowned."""
BEAT: Final = 0.75
BEATS_IN_BAR: Final = 4
BARS: Final = 16
SEED: Final = 20

_SCALE: Final = (0, 2, 4, 7, 9)
"""gong, shang, jue, zhi, yu: the semitones of the Chinese pentatonic above its root."""
_ROOT_HZ: Final = 261.63
_LOWEST, _HIGHEST = 2, 9
_RHYTHMS: Final = ((0.0, 2.0), (0.0, 1.5, 2.0), (0.0, 1.0, 2.0), (0.0, 2.0, 3.0), (0.0,))
_BASS: Final = (0, 3, 4, 3)
_FORM: Final = "AABA"
"""Four phrases of four bars; the melody that returns is what makes waiting feel shorter."""


def hold_music() -> Samples:
    """Forty-eight seconds at 8 kHz that can be repeated without a seam."""
    length = int(BARS * BEATS_IN_BAR * BEAT * NARROW)
    ring = np.zeros(length, dtype=np.float64)
    for beat, degree, strength in _melody() + _bass():
        _add(ring, int(beat * BEAT * NARROW), _pluck(_pitch(degree), strength))
    sound = ring.astype(np.float32)
    return sound * np.float32(10 ** ((LOUDNESS - loudness(sound, NARROW)) / 20))


def _pitch(degree: int) -> float:
    octave, step = divmod(degree, len(_SCALE))
    return _ROOT_HZ * float(2 ** (octave + _SCALE[step] / 12))


def _melody() -> list[tuple[float, int, float]]:
    """(beat, degree of the scale, strength) for each note: a walk in small steps that goes home."""
    chance = Random(SEED)  # noqa: S311 - Chance composes here; nothing secret depends on it.
    phrases = {name: _phrase(chance) for name in sorted(set(_FORM))}
    bars_in_phrase = BARS // len(_FORM)
    return [
        (number * bars_in_phrase * BEATS_IN_BAR + beat, degree, strength)
        for number, name in enumerate(_FORM)
        for beat, degree, strength in phrases[name]
    ]


def _phrase(chance: Random) -> list[tuple[float, int, float]]:
    notes: list[tuple[float, int, float]] = []
    degree = chance.choice((5, 6, 7))
    bars = BARS // len(_FORM)
    for bar in range(bars):
        rhythm = _RHYTHMS[-1] if bar == bars - 1 else chance.choice(_RHYTHMS[:-1])
        for beat in rhythm:
            degree += chance.choice((-2, -1, -1, 1, 1, 2))
            degree = min(max(degree, _LOWEST), _HIGHEST)
            notes.append((bar * BEATS_IN_BAR + beat, degree, 1.0 if beat == 0 else 0.75))
    beat, _, strength = notes[-1]
    return [*notes[:-1], (beat, 5, strength)]


def _bass() -> list[tuple[float, int, float]]:
    """Two low notes a bar, a fifth apart in time like breathing."""
    return [
        (bar * BEATS_IN_BAR + beat, _BASS[bar % len(_BASS)] + lift, 0.5)
        for bar in range(BARS)
        for beat, lift in ((0.0, 0), (2.0, 2))
    ]


def _pluck(hertz: float, strength: float) -> Samples:
    """One string: overtones that are weaker and die sooner the higher they are."""
    time = np.arange(int(3.5 * NARROW)) / NARROW
    note = np.zeros_like(time)
    for overtone in range(1, 7):
        if overtone * hertz > 0.42 * NARROW:
            break
        decay = 1.2 / overtone**0.8
        note += np.sin(2 * np.pi * overtone * hertz * time) * np.exp(-time / decay) / overtone**1.6
    # The attack takes 12 ms: a plucked string without its click. The end fades to nothing.
    shape = np.minimum(1.0, time / 0.012) * np.minimum(1.0, (time[-1] - time) / 0.5)
    return np.asarray(strength * note * shape, dtype=np.float32)


def _add(ring: np.ndarray[tuple[int], np.dtype[np.float64]], start: int, note: Samples) -> None:
    """Lays a note into the ring; what sounds beyond the end goes on at the beginning."""
    places = (start + np.arange(len(note))) % len(ring)
    ring[places] += note
