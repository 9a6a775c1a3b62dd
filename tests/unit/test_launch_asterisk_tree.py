"""Which Asterisk the launcher trusts, and how it reads apt's refusals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from launch import asterisk_tree
from launch.asterisk_tree import proxies, release_expired, release_not_yet_valid
from launch.steps import Ended, SetupError

EXPIRED = """\
Get:2 http://archive.example/debian forky InRelease [151 kB]
Reading package lists...
E: Release file for http://archive.example/debian/dists/forky/InRelease is expired \
(invalid since 16d 6h 22min 52s). Updates for this repository will not be applied.
E: apt-get update --error-on=any -oAPT::Status-Fd=<$fd> -oDpkg::Use-Pty=false failed
E: mmdebstrap failed to run
"""
FORGED = "E: The repository 'http://archive.example/debian forky InRelease' is not signed.\n"
FUTURE = """\
E: Release file for http://archive.example/debian/dists/forky/InRelease is not valid yet \
(invalid for another 3h 2min 1s). Updates for this repository will not be applied.
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, on a machine whose distribution has no Asterisk."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(asterisk_tree, "SHARED_CACHE", folder)
    monkeypatch.setattr(asterisk_tree, "INSTALLED", tmp_path / "none/usr/sbin/asterisk")
    monkeypatch.setattr(asterisk_tree, "is_root", lambda: True)
    monkeypatch.setattr(asterisk_tree, "SPACE_MB", 0)
    return folder


def fill(tree: Path) -> None:
    """Lay down the few files of a tree that the launcher looks at."""
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    libraries.mkdir(parents=True)
    (libraries / "ld-linux-x86-64.so.2").touch()
    (tree / "usr/share/asterisk/sounds").mkdir(parents=True)


def stamp(tree: Path, version: str) -> None:
    """Mark a tree as finished."""
    (tree / asterisk_tree.STAMP).write_text(json.dumps({"version": version}))


class Unpacker:
    """Stands in for mmdebstrap and for the tree's own `asterisk -V`."""

    def __init__(self, *answers: Ended) -> None:
        self.answers = list(answers)
        self.asked: list[Sequence[str]] = []

    def __call__(self, argv: Sequence[str], **_more: object) -> Ended:
        if argv[0] == "apt-config":
            return Ended(0, "")
        if argv[0] != "mmdebstrap":
            return Ended(0, "Asterisk 22.10.1+dfsg\n")
        self.asked.append(argv)
        tree = Path(argv[-1])
        tree.mkdir()
        answer = self.answers.pop(0)
        if answer.code == 0:
            fill(tree)
        return answer


def unpack_with(monkeypatch: pytest.MonkeyPatch, *answers: Ended) -> Unpacker:
    """Put the stand-in where the launcher starts its programs."""
    unpacker = Unpacker(*answers)
    monkeypatch.setattr(asterisk_tree, "run", unpacker)
    return unpacker


def test_a_tree_without_its_stamp_is_not_trusted(cache: Path) -> None:
    fill(cache / "asterisk-forky-22.10.1")
    assert asterisk_tree.look() is None
    with pytest.raises(SetupError, match=r"careline prepare"):
        asterisk_tree.find()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 22}', "{}"])
def test_a_torn_stamp_is_no_stamp(cache: Path, text: str) -> None:
    tree = cache / "asterisk-forky-22.10.1"
    fill(tree)
    (tree / asterisk_tree.STAMP).write_text(text)
    assert asterisk_tree.look() is None


def test_a_finished_tree_runs_by_its_own_loader(cache: Path) -> None:
    tree = cache / "asterisk-forky-22.10.1"
    fill(tree)
    stamp(tree, "22.10.1")
    found = asterisk_tree.find()
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    assert found.command == (
        str(libraries / "ld-linux-x86-64.so.2"),
        "--library-path",
        f"{libraries}:{libraries}/pulseaudio",
        str(tree / "usr/sbin/asterisk"),
    )
    assert found.modules_dir == libraries / "asterisk/modules"
    assert found.data_dir == tree / "usr/share/asterisk"
    assert found.version == "22.10.1"


def test_unpacking_removes_what_an_earlier_one_left(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(cache / "half-17")
    fill(cache / "asterisk-forky-22.10.1")
    unpack_with(monkeypatch, Ended(0, ""))
    asterisk_tree.unpack()
    assert sorted(path.name for path in cache.iterdir()) == ["asterisk-forky-22.10.1", "lock"]
    assert (cache / "asterisk-forky-22.10.1/usr/share/asterisk/sounds/en").is_symlink()


def test_an_expired_release_file_is_told_and_passed_over(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unpacker = unpack_with(monkeypatch, Ended(25, EXPIRED), Ended(0, ""))
    asterisk_tree.unpack()
    first, second = unpacker.asked
    assert not any("Valid-Until" in word for word in first)
    assert '--aptopt=Acquire::Check-Valid-Until "false"' in second
    assert "expired; going on with its signature check alone" in capsys.readouterr().err


@pytest.mark.parametrize("text", [FORGED, EXPIRED + FORGED])
def test_a_bad_signature_is_never_passed_over(
    cache: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    unpacker = unpack_with(monkeypatch, Ended(25, text))
    with pytest.raises(SetupError, match="is not signed"):
        asterisk_tree.unpack()
    assert len(unpacker.asked) == 1
    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_a_clock_that_is_slow_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpack_with(monkeypatch, Ended(25, FUTURE))
    with pytest.raises(SetupError, match="Set the clock"):
        asterisk_tree.unpack()


def test_apt_texts_are_told_apart() -> None:
    assert release_expired(EXPIRED)
    assert not release_expired("")
    assert not release_expired("W: something\n")
    assert not release_expired(FUTURE)
    assert release_not_yet_valid(FUTURE)
    assert not release_not_yet_valid(EXPIRED)


def test_the_machines_proxies_are_handed_on() -> None:
    config = """\
Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128/";
Acquire::http::Proxy::archive.example "DIRECT";
Acquire::https::Proxy "http://proxy.example:3128/";
Acquire::Languages "none";
"""
    assert proxies(config) == [
        'Acquire::http::Proxy "http://proxy.example:3128/";',
        'Acquire::http::Proxy::archive.example "DIRECT";',
        'Acquire::https::Proxy "http://proxy.example:3128/";',
    ]
