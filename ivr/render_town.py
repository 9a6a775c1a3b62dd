"""Speaks what the people of the practice town say (telephony/practice/scripts.toml).

    python -m ivr.render_town               render the lines that are new or have changed
    python -m ivr.render_town --check       transcribe every line as the telephone carries it

It needs the same environment as `ivr.render_prompts`. What is rendered is committed as A-law, which
is what a telephone line carries, so that a newcomer hears the town at once.
"""

# ruff: noqa: T201 - this is a tool for a person at a terminal.

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ivr.prompts import hearing, sound
from ivr.voice import VOICES_PACKAGE, Samples, Voice, VoiceMissing

WAY: Final = 1
"""Raise this when voice.py or sound.py change what comes out so much that all is to be rendered."""
TOWN: Final = Path(__file__).resolve().parent.parent / "telephony" / "practice"
SCRIPTS: Final = TOWN / "scripts.toml"
SPEECH: Final = TOWN / "speech" / "zh"
MADE_FROM: Final = TOWN / "speech" / "made-from.json"
"""Which recipe each file was rendered by."""
ELDERS: Final = ("grandma", "granny", "grandpa", "uncle")
FAMILY: Final = ("woman", "man")
BREATH_S: Final = 9.0
BEEP_S: Final = 0.6
WORST_OF_ALL: Final = 0.2
"""The share of syllables that the listener may mishear; old voices are harder than a prompt's."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line in one voice. `file` is its path below SPEECH, without ending."""

    file: str
    text: str
    speaker: str
    pace: float
    deeper: float

    @property
    def path(self) -> Path:
        return SPEECH / f"{self.file}.alaw"

    @property
    def recipe(self) -> str:
        parts = [self.text, self.speaker, self.pace, self.deeper, WAY]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def lines() -> list[Line]:
    """Every line that somebody says."""
    book = tomllib.loads(SCRIPTS.read_text("utf-8"))
    return [
        Line(f"{voice}/{name}-{number}", text, **book["voices"][voice])
        for voice, name, script in _scripts(book)
        for number, text in enumerate(script, start=1)
        if not text.startswith("(")
    ]


def _scripts(book: dict[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    for voice in ELDERS:
        for scene in book["scenes"]:
            yield voice, scene["name"], scene["lines"]
        yield voice, "elder", book["elder"]["lines"]
    for voice in FAMILY:
        yield voice, "family", book["family"]["lines"]
    for name in ("robot", "mailbox"):
        yield book[name]["voice"], name, book[name]["lines"]
    for service in book["services"]:
        yield service["voice"], service["number"], service["lines"]


def a_law(narrow: Samples) -> bytes:
    """8 kHz sound as G.711 A-law."""
    shorts = sound.as_shorts(narrow).astype(np.int32)
    is_negative = shorts < 0
    level = np.minimum(np.where(is_negative, -shorts - 1, shorts) >> 3, 4095)
    segment = np.maximum(np.floor(np.log2(np.maximum(level, 1))).astype(np.int32) - 4, 0)
    step = np.where(segment == 0, level >> 1, level >> segment) & 0x0F
    code = (segment << 4) | step
    return bytes((np.where(is_negative, code, code | 0x80) ^ 0x55).astype(np.uint8))


def from_a_law(coded: bytes) -> Samples:
    """The sound that a telephone makes of it."""
    code = np.frombuffer(coded, dtype=np.uint8).astype(np.int32) ^ 0x55
    segment, step = (code >> 4) & 7, code & 0x0F
    level = np.where(segment == 0, (step << 1) | 1, ((step << 1) | 0x21) << (segment - 1)) << 3
    shorts = np.where(code & 0x80, level, -level)
    return (shorts / 32768).astype(np.float32)


def render(line: Line, spoken: Samples) -> None:
    """Make the voice older, bring it to the loudness of the house, keep it."""
    older = sound.resampled(spoken, round(24000 * line.deeper / 100) * 100, sound.WIDE)
    wide = sound.prompt(older, sound.WIDE, line.text, sound.TAIL_WHOLE)
    _write(line.path, sound.resampled(wide, sound.WIDE, sound.NARROW))


def _write(path: Path, narrow: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(a_law(narrow))


def render_changed(voices: Path) -> None:
    """Bring the files up to the scripts; a file without a line is removed."""
    wanted = lines()
    made_from = json.loads(MADE_FROM.read_text("utf-8")) if MADE_FROM.exists() else {}
    todo = [one for one in wanted if made_from.get(one.file) != one.recipe or not one.path.exists()]
    speakers: dict[str, Voice] = {}
    spoken: dict[tuple[str, str, float], Samples] = {}
    for line in todo:
        heard = (line.speaker, line.text, line.pace)
        if heard not in spoken:
            if line.speaker not in speakers:
                speakers[line.speaker] = Voice(line.speaker, voices)
            spoken[heard] = speakers[line.speaker].speak(line.text, line.pace)
        render(line, spoken[heard])
        made_from[line.file] = line.recipe
        # Kept at once, so that a failure later on does not cost what is done.
        _keep({one.file: made_from[one.file] for one in wanted if one.file in made_from})
        print(f"{line.file:24} {line.path.stat().st_size / sound.NARROW:5.2f} s  {line.text}")
    noises = render_noises()
    keep = {line.path for line in wanted} | set(noises)
    for file in SPEECH.rglob("*.alaw"):
        if file not in keep:
            file.unlink()
    total = sum(file.stat().st_size for file in keep)
    print(f"{len(todo)} of {len(wanted)} lines rendered; {total / 2**20:.1f} MB in all.")


def _keep(made_from: dict[str, str]) -> None:
    MADE_FROM.parent.mkdir(parents=True, exist_ok=True)
    MADE_FROM.write_text(json.dumps(made_from, indent=1) + "\n", "utf-8")


def render_noises() -> list[Path]:
    """What is heard of somebody who does not speak, and the tone of a mailbox."""
    chance = np.random.default_rng(7)
    count = int(BREATH_S * sound.NARROW)
    at = np.arange(count) / sound.NARROW
    hiss = np.convolve(chance.normal(0, 1, count), np.ones(6) / 6, mode="same")
    breathing = np.clip(np.sin(2 * np.pi * at / 3.0), 0, 1) ** 2
    beep = np.sin(2 * np.pi * 1000 * np.arange(int(BEEP_S * sound.NARROW)) / sound.NARROW)
    noises = {
        "room": 0.0025 * hiss,
        "breath": 0.0025 * hiss + 0.05 * hiss * breathing,
        "beep": 0.2 * beep,
    }
    for name, noise in noises.items():
        _write(SPEECH / "noise" / f"{name}.alaw", noise.astype(np.float32))
    return [SPEECH / "noise" / f"{name}.alaw" for name in noises]


def check() -> int:
    """Print what a listener understands of each line; 1 when it is too little in all."""
    listener = hearing.Listener()
    errors, lengths = [], []
    for line in lines():
        wanted = hearing.syllables(line.text)
        heard = listener.hear(from_a_law(line.path.read_bytes()), sound.NARROW)[0]
        wrong = hearing.error_rate(wanted, hearing.syllables(heard))
        errors.append(wrong)
        lengths.append(len(wanted))
        print(f"{line.file:24} {wrong:5.2f}  {line.text}  →  {heard}", flush=True)
    misheard = float(np.average(errors, weights=lengths))
    print(f"{misheard:.1%} of the syllables were misheard.")
    return 1 if misheard > WORST_OF_ALL else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
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
        render_changed(wanted.voices)
    except VoiceMissing as missing:
        print(missing, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
