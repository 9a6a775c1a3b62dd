"""Sound that belongs to no call is found, and never touched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from recordings.orphans import OLD_S, old_recordings, possible_calls

NOW: Final = 1_795_372_239.0


def test_only_what_nobody_writes_any_more_is_old(tmp_path: Path) -> None:
    ages = {"n1-1.0.wav": OLD_S + 9, "n1-1.0-elder.wav": OLD_S + 9, "n1-2.0-others.wav": OLD_S + 9,
            "n1-3.0.wav": OLD_S - 9, "n1-4.0.opus": OLD_S + 9}  # fmt: skip
    for name, age in ages.items():
        (tmp_path / name).write_bytes(b"sound")
        os.utime(tmp_path / name, (NOW - age, NOW - age))
    assert old_recordings(tmp_path, NOW) == {"n1-1.0", "n1-2.0"}
    assert len(list(tmp_path.iterdir())) == len(ages)


def test_a_legs_own_recording_belongs_to_its_call() -> None:
    assert list(possible_calls("n1-1.0-n1-2.7")) == ["n1", "n1-1.0", "n1-1.0-n1", "n1-1.0-n1-2.7"]
    assert list(possible_calls("n1-1.0")) == ["n1", "n1-1.0"]
