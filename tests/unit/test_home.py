"""The home: made, kept private, and refused in words when it cannot be used."""

from __future__ import annotations

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from home import LAYOUT, BadHome, Home, write_atomically

ROOT: Final = Path(__file__).parents[2]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "deep" / "home")
    home.prepare()
    return home


def test_it_is_made_with_its_folders_and_can_be_made_again(home: Home) -> None:
    home.prepare()
    for folder in (home.secrets, home.recordings, home.asterisk, home.logs, home.run):
        assert folder.is_dir()
    assert (home.root / "version").read_text() == f"{LAYOUT}\n"


def test_making_the_object_touches_nothing(tmp_path: Path) -> None:
    Home(tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


def test_a_home_of_a_newer_version_is_refused_and_left_as_it_is(home: Home) -> None:
    (home.root / "version").write_text(f"{LAYOUT + 1}\n")
    with pytest.raises(BadHome, match=rf"newer Careline \(layout {LAYOUT + 1}.*start that version"):
        home.prepare()
    assert (home.root / "version").read_text() == f"{LAYOUT + 1}\n"


@pytest.mark.parametrize("torn", [b"", b"\n", b"\xff\xfe", b"one", b"1 1"])
def test_a_torn_version_file_is_what_a_crash_leaves_and_is_made_anew(
    home: Home, torn: bytes
) -> None:
    (home.root / "version").write_bytes(torn)
    home.prepare()
    assert (home.root / "version").read_text() == f"{LAYOUT}\n"


def test_a_file_in_its_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a letter")
    with pytest.raises(BadHome, match=r"home.*: (Not a directory|File exists)"):
        Home(tmp_path / "home").prepare()


def test_a_full_disk_is_said_before_anything_is_lost(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(home.root)
    full = os.statvfs_result((real.f_bsize, 4096, 10**6, 100, 100, 9, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    with pytest.raises(BadHome, match=r"less than 50 MB free.*Free some space"):
        home.prepare()


@pytest.mark.parametrize("there", [[], ["careline.toml"], ["logs", "secrets", "lost+found"]])
def test_a_new_home_or_a_half_made_one_is_given_to_its_user(
    tmp_path: Path, there: list[str]
) -> None:
    for name in there:
        (tmp_path / name).mkdir()
    Home(tmp_path).give_to(os.getuid(), os.getgid())


def test_a_folder_of_other_things_is_given_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    with pytest.raises(BadHome, match="letters"):
        Home(tmp_path).give_to(os.getuid(), os.getgid())


# ── secrets ───────────────────────────────────────────────────────────────────────────────────


def test_secrets_are_random_kept_and_nobody_elses(home: Home) -> None:
    first = home.secret("ami")
    assert len(first) >= 32
    assert home.secret("ami") == first == Home(home.root).secret("ami")
    assert home.secret("control") != first
    assert mode(home.secrets) == 0o700
    assert mode(home.secrets / "ami") == 0o600


def test_an_open_folder_of_secrets_is_closed_again(home: Home) -> None:
    home.secrets.chmod(0o755)
    home.prepare()
    assert mode(home.secrets) == 0o700


def test_an_empty_secret_is_no_secret(home: Home) -> None:
    (home.secrets / "ami").write_text("\n")
    assert len(home.secret("ami")) >= 32


def test_three_who_start_at_once_agree_on_their_secret(home: Home) -> None:
    """Else one of the processes would be locked out for as long as it lives."""
    at_once = threading.Barrier(3)

    def ask(_: int) -> str:
        at_once.wait(5)
        return Home(home.root).secret("control")

    for _ in range(10):
        (home.secrets / "control").unlink(missing_ok=True)
        with ThreadPoolExecutor(3) as three:
            assert set(three.map(ask, range(3))) == {home.secret("control")}


def test_a_seat_keeps_its_password_and_a_new_one_gets_its_own(home: Home) -> None:
    first = home.seat_passwords(("1001", "1002"))
    assert len(set(first.values())) == 2
    second = home.seat_passwords(("1001", "1003"))
    assert second["1001"] == first["1001"]
    assert set(second) == {"1001", "1003"}
    assert home.seat_passwords(("1002",)) == {"1002": first["1002"]}
    assert mode(home.secrets / "seats.json") == 0o600


@pytest.mark.parametrize("torn", ["", "{", "[]", '"x"', "null", "7"])
def test_passwords_that_cannot_be_read_are_not_replaced(home: Home, torn: str) -> None:
    """Every phone that has its old one would be refused from then on."""
    (home.secrets / "seats.json").write_text(torn)
    with pytest.raises(BadHome, match=r"seats\.json cannot be read .*; mend it, or remove it"):
        home.seat_passwords(("1001",))
    assert (home.secrets / "seats.json").read_text() == torn


# ── writing ───────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_replaced_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "extensions.conf"
    write_atomically(file, "old\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, "new\n" * 1000)
    assert file.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [file], "half a file would be left on a full disk"
    monkeypatch.undo()
    write_atomically(file, "新\n", mode=0o600)
    assert (file.read_text("utf-8"), mode(file)) == ("新\n", 0o600)
