"""What the caller hears: every phrase has its files, and they are fit for an elderly ear."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ivr.prompts import catalogue
from ivr.prompts.catalogue import Phrase

PHRASES = catalogue.phrases()
MANIFEST = catalogue.manifest()
WHOLE = [phrase for phrase in PHRASES.values() if phrase.whole]

# What the dialplan, app_queue and the number rules of Asterisk ask for by name.
ASKED_FOR = {
    "notice",
    "greeting",
    "menu",
    "menu-person",
    "please-wait",
    "emergency-wait",
    "queue-youarenext",
    "queue-thereare",
    "queue-callswaiting",
    "queue-thankyou",
    "queue-periodic-announce",
    "busy",
    "no-answer",
    "failed",
    "not-allowed",
    "goodbye",
    "sorry",
}
FULL_SCALE = 32768.0

Levels = npt.NDArray[np.float64]


def samples(path: Path) -> tuple[npt.NDArray[np.float64], int]:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2), path.name
        shorts = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return shorts / FULL_SCALE, file.getframerate()


def levels(sound: npt.NDArray[np.float64], rate: int) -> Levels:
    """dB below full scale of each 10 ms."""
    size = rate // 100
    frames = sound[: len(sound) // size * size].reshape(-1, size)
    decibels: Levels = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    return decibels


def speech_level(sound: npt.NDArray[np.float64], rate: int) -> float:
    """The level while there is speech: 10 ms frames within 25 dB of the loudest."""
    all_levels = levels(sound, rate)
    active = all_levels[all_levels > all_levels.max() - 25]
    return float(10 * np.log10(np.mean(10 ** (active / 10))))


def silence(sound: npt.NDArray[np.float64], rate: int) -> tuple[float, float]:
    """Seconds before the first and after the last sound."""
    all_levels = levels(sound, rate)
    heard = np.flatnonzero(all_levels > all_levels.max() - 35)
    return heard[0] / 100, (len(all_levels) - 1 - heard[-1]) / 100


def each(phrases: list[Phrase]) -> list[object]:
    return [pytest.param(phrase, id=phrase.id) for phrase in phrases]


def test_every_prompt_that_asterisk_asks_for_is_a_phrase() -> None:
    assert set(PHRASES) >= ASKED_FOR


def test_every_place_in_the_queue_can_be_said() -> None:
    for position in range(100):
        assert set(catalogue.queue_position(position)) <= set(PHRASES), position


def test_numbers_are_put_together_as_asterisk_does_it() -> None:
    assert catalogue.spoken_number(0) == ("digits/0",)
    assert catalogue.spoken_number(2) == ("digits/2",)
    assert catalogue.spoken_number(10) == ("digits/10",)
    assert catalogue.spoken_number(11) == ("digits/10", "digits/1")
    assert catalogue.spoken_number(23) == ("digits/20", "digits/3")
    with pytest.raises(ValueError, match="0 to 99"):
        catalogue.spoken_number(100)


def test_a_changed_phrase_must_be_rendered_again() -> None:
    said = {name: phrase.zh for name, phrase in PHRASES.items()}
    assert said == {name: entry.text for name, entry in MANIFEST.items()}, (
        "phrases.toml changed: run python -m ivr.render_prompts"
    )


def test_one_person_speaks_all_prompts() -> None:
    assert {entry.voice for entry in MANIFEST.values()} == {catalogue.voice_name()}


def test_nothing_lies_there_that_nobody_says() -> None:
    known = {file for phrase in PHRASES.values() for file in phrase.files()}
    assert {file for file in catalogue.SPOKEN.rglob("*") if file.is_file()} == known


@pytest.mark.parametrize("phrase", each(list(PHRASES.values())))
def test_the_files_are_those_that_were_rendered(phrase: Phrase) -> None:
    assert catalogue.digests(phrase.files()) == MANIFEST[phrase.id].sha256


@pytest.mark.parametrize("phrase", each(list(PHRASES.values())))
def test_a_prompt_is_clean_telephone_sound(phrase: Phrase) -> None:
    wav, raw = phrase.files()
    sound, rate = samples(wav)
    assert rate == 8000
    assert np.abs(sound).max() < 10 ** (-2 / 20), "peaks are closer than 2 dB to full scale"
    wide = np.frombuffer(raw.read_bytes(), dtype="<i2")
    assert len(wide) / 16000 == pytest.approx(len(sound) / 8000, abs=0.001)
    before, after = silence(sound, rate)
    assert 0 < before < (0.15 if phrase.whole else 0.3)
    assert 0 < after < 0.4
    assert abs(sound[0]) < 0.001
    assert abs(sound[-1]) < 0.001


def test_all_sentences_are_equally_loud() -> None:
    loud = {phrase.id: speech_level(*samples(phrase.files()[0])) for phrase in WHOLE}
    assert max(loud.values()) - min(loud.values()) < 2.0, loud


def test_numbers_are_as_loud_as_the_sentences_around_them() -> None:
    sentence = speech_level(*samples(PHRASES["queue-thereare"].files()[0]))
    for phrase in PHRASES.values():
        if phrase.id.startswith("digits/"):
            assert abs(speech_level(*samples(phrase.files()[0])) - sentence) < 4.0, phrase.id


@pytest.mark.parametrize("phrase", each(WHOLE))
def test_the_speech_is_slow_enough_and_not_too_slow(phrase: Phrase) -> None:
    sound, rate = samples(phrase.files()[0])
    before, after = silence(sound, rate)
    assert 2.6 <= phrase.length / (len(sound) / rate - before - after) <= 4.0


def test_the_menu_is_short() -> None:
    assert MANIFEST["menu"].seconds < 13


def test_the_hold_music_is_quiet_and_has_no_seam() -> None:
    sound, rate = samples(catalogue.MUSIC)
    assert rate == 8000
    assert 40 <= len(sound) / rate <= 60
    speech = min(speech_level(*samples(phrase.files()[0])) for phrase in WHOLE)
    assert 10 * np.log10(np.mean(sound**2)) < speech - 4
    step_at_the_seam = abs(sound[0] - sound[-1])
    assert step_at_the_seam <= np.quantile(np.abs(np.diff(sound)), 0.99)
    # Nowhere so quiet for so long that a caller would think that the line is dead.
    half_seconds = sound.reshape(-1, rate // 2)
    assert (10 * np.log10(np.mean(half_seconds**2, axis=1))).min() > -50
