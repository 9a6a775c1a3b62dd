"""Renders Careline's Mandarin prompts and hold music, and listens to them.

    python -m ivr.render_prompts            render the phrases that changed since the last time
    python -m ivr.render_prompts menu       render these again
    python -m ivr.render_prompts --check    transcribe every prompt as a caller hears it, and fail
                                            when one is unclear, too fast, too slow or too loud

The libraries and the voice have their own environment; ivr/prompts/requirements.txt says how to
make it. What is rendered is committed, so that a centre needs neither.
"""

# ruff: noqa: T201 - this is a tool for a person at a terminal.

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from ivr.prompts import catalogue, hearing, sound
from ivr.prompts.catalogue import Phrase, Rendered
from ivr.prompts.music import hold_music
from ivr.voice import VOICES_PACKAGE, Samples, Voice, VoiceMissing

WAY_OF_SENTENCES: Final = 2
WAY_OF_PIECES: Final = 1
"""Raise these when voice.py or sound.py change what comes out: then it is rendered again."""

POSITIONS: Final = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 23, 35, 48, 50)
"""The places in the queue whose announcement is listened to as Asterisk puts it together."""
WORST: Final = 0.2
"""The share of syllables that the listener may mishear in one prompt, and below it in all."""
WORST_OF_ALL: Final = 0.08
RATES: Final = (2.6, 3.8)
"""Characters a second in a sentence, pauses included."""
LUFS_OFF: Final = 1.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What the listener made of one prompt."""

    name: str
    length: int
    by_character: float
    by_syllable: float
    understood: str


def recipe(phrase: Phrase, voice: str) -> str:
    """One hash over everything that shapes the sound of a phrase."""
    way = WAY_OF_SENTENCES if phrase.whole else WAY_OF_PIECES
    parts = [phrase.zh, phrase.said, phrase.pace, phrase.whole, phrase.carriers, voice, way]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def render(phrase: Phrase, voice: Voice) -> Rendered:
    """Speaks one phrase, writes its files, and measures what a caller on 8 kHz gets."""
    tail = sound.TAIL_WHOLE if phrase.whole else sound.TAIL_PIECE
    speech = cut_out(phrase, voice) if phrase.carriers else voice.speak(phrase.said, phrase.pace)
    wav, raw = phrase.files()
    sound.write_prompt(wav, raw, sound.prompt(speech, voice.rate, phrase.said, tail))
    return measured(phrase, voice.name)


def cut_out(phrase: Phrase, voice: Voice) -> Samples:
    """One piece, cut out of a sentence that carries it; a nudge of pace moves an unclear cut."""
    for carrier, nudge in product(phrase.carriers, (0.0, 0.03, -0.03)):
        sentence = voice.speak(carrier.format(phrase.said), phrase.pace + nudge)
        if parts := sound.three_parts(sentence, voice.rate):
            return parts[2] if carrier.endswith("{}") else parts[1]
    raise SystemExit(f"{phrase.id} cannot be cut out of its sentence: try another carrier.")


def measured(phrase: Phrase, voice: str) -> Rendered:
    narrow, rate = sound.read_wav(phrase.files()[0])
    seconds = len(narrow) / rate
    tail = sound.TAIL_WHOLE if phrase.whole else sound.TAIL_PIECE
    return Rendered(
        text=phrase.zh,
        recipe=recipe(phrase, voice),
        voice=voice,
        seconds=round(seconds, 2),
        lufs=round(sound.loudness(narrow, rate), 1),
        rate=round(phrase.length / (seconds - sound.LEAD - tail), 2),
        sha256=catalogue.digests(phrase.files()),
    )


def is_current(phrase: Phrase, voice: str, done: Rendered | None) -> bool:
    """Whether the files are those that the manifest tells of, made from this very phrase."""
    return (
        done is not None
        and done.recipe == recipe(phrase, voice)
        and all(file.exists() for file in phrase.files())
        and done.sha256 == catalogue.digests(phrase.files())
    )


def render_changed(voices: Path, again: Iterable[str]) -> None:
    """Brings files and manifest up to the phrases; files without a phrase are removed."""
    book, name = catalogue.phrases(), catalogue.voice_name()
    done, wanted = catalogue.manifest(), set(again)
    if unknown := wanted - book.keys():
        raise SystemExit(f"No such phrase: {', '.join(sorted(unknown))}")
    todo = [
        phrase
        for phrase in book.values()
        if phrase.id in wanted or not is_current(phrase, name, done.get(phrase.id))
    ]
    voice = Voice(name, voices) if todo else None
    for phrase in todo:
        if voice is not None:
            done[phrase.id] = render(phrase, voice)
            entry = done[phrase.id]
            # Kept at once, so that a failure later on does not cost what is done.
            catalogue.write_manifest(done)
            print(f"{phrase.id:24} {entry.seconds:5.2f} s  {entry.lufs:6.1f} LUFS  {phrase.zh}")
    catalogue.write_manifest({phrase: done[phrase] for phrase in book})
    remove_strays(book.values())
    print(f"{len(todo)} of {len(book)} phrases rendered.")


def remove_strays(book: Iterable[Phrase]) -> None:
    wanted = {file for phrase in book for file in phrase.files()}
    for file in catalogue.SPOKEN.rglob("*"):
        if file.is_file() and file not in wanted:
            file.unlink()


def render_music() -> None:
    sound.write_wav(catalogue.MUSIC, hold_music(), sound.NARROW)


def assembled(pieces: Sequence[str], book: dict[str, Phrase]) -> Samples:
    """The pieces one behind the other, as Asterisk plays them."""
    return np.concatenate([sound.read_wav(book[piece].files()[0])[0] for piece in pieces])


def listen() -> list[Heard]:
    """Every sentence, and the queue announcement for several places, through the listener."""
    book, listener = catalogue.phrases(), hearing.Listener()
    prompts: dict[str, tuple[str, ...]]
    prompts = {phrase.id: (phrase.id,) for phrase in book.values() if phrase.whole}
    prompts |= {f"position {number}": catalogue.queue_position(number) for number in POSITIONS}
    return [judged(listener, name, pieces, book) for name, pieces in prompts.items()]


def judged(
    listener: hearing.Listener, name: str, pieces: Sequence[str], book: dict[str, Phrase]
) -> Heard:
    wanted = "".join(book[piece].zh for piece in pieces)
    all_heard = listener.hear(assembled(pieces, book), sound.NARROW)
    letters, spoken = hearing.characters(wanted), hearing.syllables(wanted)
    return Heard(
        name=name,
        length=len(letters),
        by_character=float(
            np.mean([hearing.error_rate(letters, hearing.characters(one)) for one in all_heard])
        ),
        by_syllable=float(
            np.mean([hearing.error_rate(spoken, hearing.syllables(one)) for one in all_heard])
        ),
        understood=all_heard[0],
    )


def complaints(all_heard: Sequence[Heard], done: dict[str, Rendered]) -> list[str]:
    """What is not good enough to be played to a caller, in whole sentences."""
    found = [
        f"{heard.name}: {heard.by_syllable:.0%} of the syllables were misheard."
        for heard in all_heard
        if heard.by_syllable > WORST
    ]
    misheard = average(all_heard, [heard.by_syllable for heard in all_heard])
    if misheard > WORST_OF_ALL:
        found.append(f"All prompts together: {misheard:.1%} of the syllables were misheard.")
    for name, phrase in catalogue.phrases().items():
        entry = done[name]
        if abs(entry.lufs - sound.LOUDNESS) > LUFS_OFF:
            found.append(f"{name}: {entry.lufs} LUFS is too far from {sound.LOUDNESS}.")
        if phrase.whole and not RATES[0] <= entry.rate <= RATES[1]:
            found.append(f"{name}: {entry.rate} characters a second is not a calm pace.")
    return found


def average(all_heard: Sequence[Heard], values: Sequence[float]) -> float:
    return float(np.average(values, weights=[heard.length for heard in all_heard]))


def check() -> int:
    """Prints what was heard and measured; 1 when something is not good enough."""
    done, all_heard = catalogue.manifest(), listen()
    print(f"{'prompt':24} {'CER':>5} {'syll.':>5} {'s':>5} {'LUFS':>6} {'ch/s':>5}  understood")
    for heard in all_heard:
        entry = done.get(heard.name)
        size = f"{entry.seconds:5.2f} {entry.lufs:6.1f} {entry.rate:5.2f}" if entry else " " * 18
        errors = f"{heard.by_character:5.2f} {heard.by_syllable:5.2f}"
        print(f"{heard.name:24} {errors} {size}  {heard.understood}")
    by_character = average(all_heard, [heard.by_character for heard in all_heard])
    by_syllable = average(all_heard, [heard.by_syllable for heard in all_heard])
    print(f"{'all':24} {by_character:5.3f} {by_syllable:5.3f}")
    found = complaints(all_heard, done)
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("phrase", nargs="*", help="render these even if they did not change")
    parser.add_argument("--check", action="store_true", help="listen instead of rendering")
    parser.add_argument(
        "--voices",
        type=Path,
        default=Path.home() / ".cache" / "careline" / VOICES_PACKAGE,
        help="the packed npm package with the voices",
    )
    wanted = parser.parse_args()
    try:
        if wanted.check:
            return check()
        render_changed(wanted.voices, wanted.phrase)
        render_music()
    except VoiceMissing as missing:
        print(missing, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
