"""The catalogue: every phrase, the files that speak it, and what was measured on them.

`phrases.toml` says what is to be said and is written by people; `manifest.json` says what was
rendered from it and is written by `ivr.render_prompts`. Only the standard library is needed here,
so that tests and a running centre can read both.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
PHRASES: Final = HERE / "phrases.toml"
MANIFEST: Final = HERE / "manifest.json"
SPOKEN: Final = HERE / "zh"
MUSIC: Final = HERE / "moh" / "calm.wav"
ENDINGS: Final = (".wav", ".sln16")
"""Asterisk takes .wav (8 kHz) on a narrow-band call and .sln16 (16 kHz, raw) on a wide-band one."""

_HAN: Final = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class Phrase:
    """One thing Careline says. `id` is the name by which Asterisk asks for the file."""

    id: str
    zh: str
    en: str
    whole: bool
    """True for a sentence of its own, False for a piece that Asterisk puts between others."""
    pace: float
    """How fast the voice speaks; 1 is its natural speed, smaller is slower."""
    said: str
    """What the voice is given to read: the text, or a spelling that it reads better."""
    carriers: tuple[str, ...] = ()
    """Sentences inside which a piece may be spoken, to be cut out of it; {} is its place."""

    @property
    def length(self) -> int:
        """The number of characters that are spoken, without punctuation."""
        return len(_HAN.findall(self.zh))

    def files(self) -> tuple[Path, ...]:
        return tuple(SPOKEN / f"{self.id}{ending}" for ending in ENDINGS)


@dataclass(frozen=True, slots=True)
class Rendered:
    """One line of the manifest: what a pair of files was made from, and what it measures."""

    text: str
    recipe: str
    """Changes when anything that shapes the sound changes: text, voice, pace, way of levelling."""
    voice: str
    seconds: float
    lufs: float
    rate: float
    """Spoken characters a second, from the first sound to the last."""
    sha256: dict[str, str]
    """File name below `prompts/` to the SHA-256 of its bytes."""


def phrases(path: Path = PHRASES) -> dict[str, Phrase]:
    """All phrases by id, in the order of the file."""
    book = tomllib.loads(path.read_text(encoding="utf-8"))
    voice = book["voice"]
    return {
        name: _phrase(name, kind, entry, voice)
        for kind in ("sentences", "pieces", "numbers")
        for name, entry in book[kind].items()
    }


def _phrase(name: str, kind: str, entry: dict[str, Any], voice: dict[str, Any]) -> Phrase:
    number = kind == "numbers"
    return Phrase(
        id=name,
        zh=entry["zh"],
        en=entry["en"],
        whole=kind == "sentences",
        pace=float(entry.get("pace", voice["number_pace" if number else "pace"])),
        said=entry.get("said", entry["zh"]),
        carriers=tuple(entry.get("carriers", voice["number_carriers"] if number else ())),
    )


def voice_name(path: Path = PHRASES) -> str:
    """The one voice of the house, so that a caller hears one person throughout."""
    return str(tomllib.loads(path.read_text(encoding="utf-8"))["voice"]["name"])


def manifest(path: Path = MANIFEST) -> dict[str, Rendered]:
    """What was rendered, by phrase id; empty before the first rendering."""
    if not path.exists():
        return {}
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {name: Rendered(**entry) for name, entry in entries.items()}


def write_manifest(entries: dict[str, Rendered], path: Path = MANIFEST) -> None:
    book = {name: asdict(entry) for name, entry in entries.items()}
    path.write_text(json.dumps(book, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digests(files: tuple[Path, ...]) -> dict[str, str]:
    return {file.relative_to(HERE).as_posix(): digest(file) for file in files}


def spoken_number(number: int) -> tuple[str, ...]:
    """The pieces that Asterisk plays for a number from 0 to 99 on a channel whose language is zh.

    This follows `ast_say_number_full_zh` in Asterisk's main/say.c: the tens as one file
    (digits/20), then the unit (digits/3). Eleven is digits/10, digits/1.
    """
    if not 0 <= number <= 99:
        raise ValueError(f"{number} is not a number from 0 to 99, the only ones we have files for")
    tens, unit = number // 10 * 10, number % 10
    said = [part for part in (tens, unit) if part] or [0]
    return tuple(f"digits/{part}" for part in said)


def queue_position(number: int) -> tuple[str, ...]:
    """The files that app_queue plays one after another to a caller who is not the next one."""
    return ("queue-thereare", *spoken_number(number), "queue-callswaiting")
