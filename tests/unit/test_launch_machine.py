"""Which system packages the launcher asks for, and how it gets them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from launch import machine
from launch.steps import Ended, SetupError

POLICY = """\
asterisk:
  Installed: (none)
  Candidate: {}
  Version table:
"""


class Apt:
    """Stands in for every program that the module starts; answers in turn, then with success."""

    def __init__(self, *answers: Ended) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.options: list[list[str]] = []

    def __call__(self, argv: Sequence[str], **_more: object) -> Ended:
        self.options.append([word for word in argv if word.startswith("-")])
        self.asked.append(" ".join(word for word in argv if not word.startswith("-")))
        return self.answers.pop(0) if self.answers else Ended(0, "")


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root, on a machine whose package lists are there."""
    monkeypatch.setattr(machine, "is_root", lambda: True)
    monkeypatch.setattr(machine, "lists_are_empty", lambda: False)


def apt_with(monkeypatch: pytest.MonkeyPatch, *answers: Ended) -> Apt:
    """Put the stand-in where the launcher starts its programs."""
    apt = Apt(*answers)
    monkeypatch.setattr(machine, "run", apt)
    return apt


@pytest.mark.parametrize(("empty", "update"), [(False, ""), (True, "sudo apt-get update && ")])
def test_who_is_not_root_is_told_the_exact_command(
    monkeypatch: pytest.MonkeyPatch, empty: bool, update: str
) -> None:
    monkeypatch.setattr(machine, "is_root", lambda: False)
    monkeypatch.setattr(machine, "lists_are_empty", lambda: empty)
    apt = apt_with(monkeypatch)
    with pytest.raises(SetupError) as caught:
        machine.install(("mmdebstrap", "ffmpeg"))
    command = f"{update}sudo apt-get install --no-install-recommends mmdebstrap ffmpeg"
    assert f"    {command}\n" in str(caught.value)
    assert apt.asked == []


def test_nothing_missing_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    apt = apt_with(monkeypatch)
    machine.install(())
    assert apt.asked == []


def test_only_what_dpkg_calls_installed_is_there() -> None:
    assert machine.missing(["dpkg", "no-such-package", "no-such-package"]) == ("no-such-package",)


@pytest.mark.parametrize(
    ("candidate", "enough"),
    [
        ("(none)", False),
        ("1:16.28.0~dfsg-0+deb11u4", False),
        ("1:20.6.0~dfsg+~cs6.13.40431414-2build5", True),
        ("1:22.10.1+dfsg+~cs6.17.60671434-1", True),
        ("20.1", True),
    ],
)
def test_the_distributions_asterisk_is_taken_when_new_enough(candidate: str, enough: bool) -> None:
    assert machine.distribution_has_asterisk(POLICY.format(candidate)) is enough


def test_an_unknown_package_is_no_candidate() -> None:
    assert not machine.distribution_has_asterisk("")


@pytest.mark.usefixtures("as_root")
def test_an_interrupted_installation_is_completed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'\n"
    apt = apt_with(monkeypatch, Ended(100, told))
    machine.install(("ffmpeg",))
    assert apt.asked == ["apt-get install ffmpeg", "dpkg", "apt-get install ffmpeg"]


@pytest.mark.usefixtures("as_root")
def test_old_package_lists_are_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    apt = apt_with(monkeypatch, Ended(100, "E: Failed to fetch x.deb  404  Not Found\n"))
    machine.install(("ffmpeg",))
    assert apt.asked == ["apt-get install ffmpeg", "apt-get update", "apt-get install ffmpeg"]


@pytest.mark.usefixtures("as_root")
def test_expired_package_lists_are_told_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "lists_are_empty", lambda: True)
    told = "E: Release file for http://archive.example/x is expired (invalid since 16d).\n"
    apt = apt_with(monkeypatch, Ended(100, told))
    machine.install(("ffmpeg",))
    assert apt.asked == ["apt-get update", "apt-get update", "apt-get install ffmpeg"]
    off = "-oAcquire::Check-Valid-Until=false"
    assert [off in options for options in apt.options] == [False, True, False]
    assert "going on with its signature check alone" in capsys.readouterr().err


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("E: Write error - write (28: No space left on device)", "Make room"),
        ("E: Failed to fetch x  Could not connect to archive.example:80", "Check the network"),
        ("E: something new", "E: something new"),
    ],
)
def test_a_failed_installation_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, text: str, way_out: str
) -> None:
    apt_with(monkeypatch, Ended(100, text))
    with pytest.raises(SetupError, match=way_out):
        machine.install(("ffmpeg",))


def test_the_unit_tests_install_nothing() -> None:
    assert machine.TEST_PACKAGES["unit"] == ()
