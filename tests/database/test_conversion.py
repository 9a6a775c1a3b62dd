"""Recordings: the elder left, the others right, and nothing lost wherever it breaks off."""

from __future__ import annotations

import os
import shutil
import time
import wave
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from pydub import AudioSegment

from recordings import conversion
from recordings.conversion import Kept, NothingRecorded, NotVerified, decode, make_recording

SERIAL: Final = "node1-1772326800.7"
BEGAN: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
FILE: Final = f"2026/03/01/{SERIAL}.opus"
RATE: Final = 8000
ELDER, OTHERS = 620.0, 1330.0
Samples = NDArray[np.int16]


def tone(hertz: float, seconds: float, loud: float = 0.3, rate: int = RATE) -> Samples:
    times = np.arange(int(seconds * rate)) / rate
    return (np.sin(2 * np.pi * hertz * times) * loud * 32767).astype(np.int16)


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), np.int16)


def wav(samples: Samples, rate: int = RATE) -> bytes:
    """As Asterisk writes it: a header of 44 bytes, then the sound."""
    sound, byte_rate = samples.tobytes(), rate * 2
    sizes = [len(sound) + 36, 16, 0x00010001, rate, byte_rate, 0x00100002, len(sound)]
    size, fmt, kind, hertz, per_second, frame, data = (n.to_bytes(4, "little") for n in sizes)
    return (
        b"RIFF" + size + b"WAVEfmt " + fmt + kind + hertz + per_second + frame + b"data" + data
        + sound
    )  # fmt: skip


class Recordings:
    """A recordings folder, and what Asterisk left in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.live = root / "live"
        self.live.mkdir(parents=True)

    def left(self, elder: bytes | None, others: bytes | None, serial: str = SERIAL) -> None:
        mix = elder or others
        for name, content in (("-elder", elder), ("-others", others), ("", mix)):
            if content is not None:
                (self.live / f"{serial}{name}.wav").write_bytes(content)

    def make(self, serial: str = SERIAL, began: datetime = BEGAN) -> Kept:
        return make_recording(serial, began, self.root, settle_s=0.0)

    def wavs(self) -> set[str]:
        return {file.name.removeprefix(SERIAL) for file in self.live.iterdir()}

    def sides(self) -> tuple[Samples, Samples]:
        left, right = decode(self.root / FILE, RATE).split_to_mono()
        return np.array(left.get_array_of_samples()), np.array(right.get_array_of_samples())


@pytest.fixture
def recordings(tmp_path: Path) -> Recordings:
    return Recordings(tmp_path / "recordings")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ffmpeg: the finished file is the bare sound. What is tested is not how it is encoded."""

    def bare(file: Path, rate: int) -> AudioSegment:
        return AudioSegment(file.read_bytes(), sample_width=2, frame_rate=rate, channels=2)

    monkeypatch.setattr(conversion, "encode", lambda stereo: stereo.raw_data)
    monkeypatch.setattr(conversion, "decode", bare)


def pitch(samples: Samples) -> float:
    """The loudest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples.astype(float)))
    return float(np.argmax(spectrum) * RATE / len(samples))


def loudness(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples.astype(float) ** 2)) / 32767)


def test_the_elder_is_left_and_the_others_are_right(recordings: Recordings) -> None:
    """Each alone on their side, the shorter one filled up with silence; then the WAVs go."""
    recordings.left(wav(tone(ELDER, 2.0)), wav(tone(OTHERS, 1.6)))
    kept = recordings.make()
    content = (recordings.root / FILE).read_bytes()
    assert (kept.file, kept.size) == (FILE, len(content))
    assert kept.sha256 == sha256(content).hexdigest()
    assert kept.seconds == pytest.approx(2.0, abs=0.05)
    left, right = recordings.sides()
    assert pitch(left) == pytest.approx(ELDER, abs=5)
    assert pitch(right[: int(1.6 * RATE)]) == pytest.approx(OTHERS, abs=5)
    assert loudness(right[int(1.8 * RATE) :]) < 0.001
    assert recordings.wavs() == set()


@pytest.mark.parametrize(("elder", "others"), [(2.0, 1.2), (1.2, 2.0), (0.0, 2.0)])
def test_a_side_that_was_cut_is_no_whole_recording(
    recordings: Recordings, elder: float, others: float
) -> None:
    """A disk that was full for a while: the WAVs are all that there is, and they stay."""
    recordings.left(wav(tone(ELDER, elder)), wav(tone(OTHERS, others)))
    with pytest.raises(NotVerified, match=r"s of 2\.0 s; the WAVs are kept"):
        recordings.make()
    assert len(recordings.wavs()) == 3


def test_sides_of_different_rates_keep_their_pitch(recordings: Recordings) -> None:
    recordings.left(wav(tone(ELDER, 1.0, rate=16000), 16000), wav(tone(OTHERS, 1.0)))
    recordings.make()
    left, right = recordings.sides()
    assert pitch(left) == pytest.approx(ELDER, abs=5)
    assert pitch(right) == pytest.approx(OTHERS, abs=5)


@pytest.mark.parametrize(
    "header",
    [b"\0" * 44, b"\xff" * 44, wav(tone(ELDER, 0.0))[:40] + b"\0" * 4],
    ids=["zeros", "ones", "no length"],
)
def test_a_header_that_asterisk_could_not_finish_costs_no_sound(
    recordings: Recordings, header: bytes
) -> None:
    """Asterisk was killed in the middle of the talk."""
    sound = tone(ELDER, 1.0)
    recordings.left(header + sound.tobytes() + b"\x01", None)
    side = conversion.read_side(recordings.live / f"{SERIAL}-elder.wav")
    assert (side.frame_rate, side.channels, side.raw_data) == (RATE, 1, sound.tobytes())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("elder", [None, b"", b"RIFF", wav(silence(0))])
def test_a_side_that_is_missing_is_silence(recordings: Recordings, elder: bytes | None) -> None:
    others = tone(OTHERS, 0.5)
    recordings.left(elder, wav(others))
    recordings.make()
    frames = np.frombuffer((recordings.root / FILE).read_bytes(), np.int16).reshape(-1, 2)
    assert not frames[:, 0].any()
    assert np.array_equal(frames[:, 1], others)


@pytest.mark.parametrize("content", [None, b"", b"RIFF", wav(silence(0))])
def test_nothing_recorded_is_said_and_makes_no_file(
    recordings: Recordings, content: bytes | None
) -> None:
    recordings.left(content, content)
    with pytest.raises(NothingRecorded, match="no sound"):
        recordings.make()
    assert not (recordings.root / "2026").exists()


@pytest.mark.parametrize(
    "serial",
    ["", "../../etc/passwd", "..", ".hidden", "a/b", "/etc/passwd", "a\0b", "a\n", "a b", "x" * 81],
)
def test_a_serial_never_leads_out_of_the_folder(recordings: Recordings, serial: str) -> None:
    with pytest.raises(NothingRecorded, match="is no serial of a recording"):
        recordings.make(serial)
    assert list(recordings.root.iterdir()) == [recordings.live]


@pytest.mark.usefixtures("quick")
def test_the_folder_is_the_day_on_which_the_call_began_in_utc(recordings: Recordings) -> None:
    recordings.left(wav(tone(ELDER, 0.3)), wav(tone(OTHERS, 0.3)))
    shanghai = timezone(timedelta(hours=8))
    kept = recordings.make(began=datetime(2026, 3, 1, 7, 59, tzinfo=shanghai))
    assert kept.file == f"2026/02/28/{SERIAL}.opus"


# ── breaking off ──────────────────────────────────────────────────────────────────────────────


class Killed(BaseException):
    """The worker was killed here."""


def killed(*_: object, **__: object) -> Any:
    raise Killed


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("at", ["encode", "verify", "sync", "describe"])
def test_killed_at_any_step_it_is_made_by_the_next_worker(
    recordings: Recordings, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    recordings.left(wav(tone(ELDER, 0.4)), wav(tone(OTHERS, 0.4)))
    before = getattr(conversion, at)
    monkeypatch.setattr(conversion, at, killed)
    with pytest.raises(Killed):
        recordings.make()
    assert recordings.wavs() == {"-elder.wav", "-others.wav", ".wav"}
    monkeypatch.setattr(conversion, at, before)
    kept = recordings.make()
    assert sha256((recordings.root / FILE).read_bytes()).hexdigest() == kept.sha256
    assert recordings.wavs() == set()
    assert [path.name for path in (recordings.root / FILE).parent.iterdir()] == [f"{SERIAL}.opus"]


@pytest.mark.usefixtures("quick")
def test_made_again_it_is_the_same_file(recordings: Recordings) -> None:
    """The worker was killed between making the file, dropping the WAVs, and telling of it."""
    elder, others = wav(tone(ELDER, 0.4)), wav(tone(OTHERS, 0.4))
    recordings.left(elder, others)
    first = recordings.make()
    assert recordings.make() == first
    recordings.left(None, others)
    assert recordings.make() == first
    assert recordings.wavs() == set()


@pytest.mark.usefixtures("quick")
def test_on_a_full_disk_the_wavs_stay_and_half_a_file_does_not(recordings: Recordings) -> None:
    recordings.left(wav(tone(ELDER, 0.4)), wav(tone(OTHERS, 0.4)))
    draft = (recordings.root / FILE).with_suffix(f".{os.getpid()}.part")
    draft.parent.mkdir(parents=True)
    draft.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        recordings.make()
    assert len(recordings.wavs()) == 3
    assert list(draft.parent.iterdir()) == []
    assert recordings.make().file == FILE


def test_without_ffmpeg_the_wavs_stay(
    recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings.left(wav(tone(ELDER, 0.4)), wav(tone(OTHERS, 0.4)))
    monkeypatch.setenv("PATH", str(recordings.root))
    with pytest.raises(FileNotFoundError, match="ffmpeg"):
        recordings.make()
    assert len(recordings.wavs()) == 3


# ── verification ──────────────────────────────────────────────────────────────────────────────

Spoil = Callable[[Any, Any], tuple[Any, Any]]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda left, right: (right, left), "the side of the elder"),
        (lambda left, right: (left, left), "the side of the others"),
        (lambda left, right: (left[:700], right[:700]), "lasts 0.7"),
        (lambda left, right: (left - 12, right), "the side of the elder"),
    ],
    ids=["swapped", "one side twice", "too short", "too quiet"],
)
def test_a_file_that_is_not_what_was_recorded_never_replaces_it(
    recordings: Recordings, monkeypatch: pytest.MonkeyPatch, spoil: Spoil, says: str
) -> None:
    real = conversion.encode

    def wrong(stereo: Any) -> bytes:
        left, right = spoil(*stereo.split_to_mono())
        return real(type(stereo).from_mono_audiosegments(left, right))

    monkeypatch.setattr(conversion, "encode", wrong)
    recordings.left(wav(tone(ELDER, 1.0)), wav(tone(OTHERS, 1.0, loud=0.05)))
    with pytest.raises(NotVerified, match=says):
        recordings.make()
    assert len(recordings.wavs()) == 3
    assert list((recordings.root / FILE).parent.iterdir()) == []


@pytest.mark.parametrize("junk", [b"", b"OggS", b"x" * 4000])
def test_what_cannot_be_decoded_never_replaces_the_wavs(
    recordings: Recordings, monkeypatch: pytest.MonkeyPatch, junk: bytes
) -> None:
    recordings.left(wav(tone(ELDER, 0.4)), wav(tone(OTHERS, 0.4)))
    monkeypatch.setattr(conversion, "encode", lambda _: junk)
    with pytest.raises(NotVerified):
        recordings.make()
    assert len(recordings.wavs()) == 3


def test_a_finished_file_that_is_spoilt_is_said_and_the_wavs_stay(recordings: Recordings) -> None:
    recordings.left(wav(tone(ELDER, 0.4)), wav(tone(OTHERS, 0.4)))
    (recordings.root / FILE).parent.mkdir(parents=True)
    (recordings.root / FILE).write_bytes(b"spoilt")
    with pytest.raises(NotVerified):
        recordings.make()
    assert len(recordings.wavs()) == 3


# ── waiting for Asterisk ──────────────────────────────────────────────────────────────────────


def test_a_file_is_closed_when_its_header_names_its_length(tmp_path: Path) -> None:
    file, whole = tmp_path / "a.wav", wav(tone(ELDER, 0.2))
    assert not conversion.is_closed(file)
    for content in (b"", whole[:44], whole[:-2], whole[:40] + b"\0" * 4 + whole[44:]):
        file.write_bytes(content)
        assert not conversion.is_closed(file)
    file.write_bytes(whole)
    assert conversion.is_closed(file)
    with wave.open(str(file)) as reader:
        assert reader.getframerate() == RATE


def test_a_file_that_asterisk_still_writes_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, now = tmp_path / "a.wav", [0.0]
    whole = wav(tone(ELDER, 0.2))
    file.write_bytes(whole[:40] + b"\0" * 4 + whole[44:])

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] > 3:
            file.write_bytes(whole)

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    conversion.wait_until_written(file, 15.0)
    assert 3 < now[0] < 4


def test_a_file_that_was_never_begun_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred callers who hung up at once must not hold up the recordings of the others."""
    now = [0.0]
    monkeypatch.setattr(time, "sleep", lambda s: now.__setitem__(0, now[0] + s))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    conversion.wait_until_written(tmp_path / "nothing.wav", 15.0)
    assert now[0] <= conversion.APPEAR_S + 0.2


def test_ffmpeg_is_there() -> None:
    assert shutil.which("ffmpeg"), "ffmpeg is missing; get it with: apt-get install ffmpeg"


def test_a_conversion_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = tmp_path / "ffmpeg"
    stuck.write_text("#!/bin/sh\nexec sleep 60\n", "ascii")
    stuck.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(conversion, "FFMPEG_S", 0.2)
    with pytest.raises(NotVerified, match="not done after"):
        conversion.ffmpeg("-version")
