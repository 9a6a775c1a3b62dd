"""The systemd units: Asterisk stands alone in them, and nothing in them is root's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from launch.install import install
from launch.steps import CHECKOUT, SetupError
from launch.units import Plan, quoted, units

PLAN = Plan("daemon", Path("/var/lib/careline"), CHECKOUT, Path(sys.executable))
OURS = ("controller", "desk", "worker")


def settings_of(text: str) -> dict[str, list[str]]:
    """The settings of a unit: key → its values."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(key, []).extend(value.split())
    return found


def test_no_other_unit_stops_or_restarts_asterisk() -> None:
    made = {name: settings_of(text) for name, text in units(PLAN).items()}
    asterisk = made["careline-asterisk.service"]
    assert asterisk["Restart"] == ["always"]
    assert asterisk["StartLimitIntervalSec"] == ["0"], "it is never given up"
    for key in ("PartOf", "Requires", "BindsTo", "Requisite", "PropagatesStopTo"):
        assert key not in asterisk
        others = [value for unit in made.values() for value in unit.get(key, [])]
        assert not [value for value in others if "asterisk" in value]


def test_one_restart_of_the_target_is_an_upgrade() -> None:
    """First the database and the files, then the three processes; each an ordinary user's."""
    made = {name: settings_of(text) for name, text in units(PLAN).items()}
    for name in OURS:
        unit = made[f"careline-{name}.service"]
        assert unit["PartOf"] == ["careline.target"]
        assert "careline-prepare.service" in unit["After"]
        assert unit["Type"] == ["notify"]
        assert unit["WatchdogSec"] == ["10"]
    assert made["careline-prepare.service"]["PartOf"] == ["careline.target"]
    for name, unit in made.items():
        if name.endswith(".service"):
            assert unit["User"] == ["daemon"]
            assert unit["ReadWritePaths"] == ["/var/lib/careline"]
            assert unit["ProtectSystem"] == ["strict"]
            assert unit["NoNewPrivileges"] == ["yes"]
            assert int(unit["LimitNOFILE"][0]) >= 10_000


def test_calls_go_before_recordings_when_the_machine_is_full() -> None:
    made = {name: settings_of(text) for name, text in units(PLAN).items()}
    weights = {
        name: int(made[f"careline-{name}.service"]["CPUWeight"][0]) for name in ("asterisk", *OURS)
    }
    assert min(weights[name] for name in ("asterisk", "controller", "desk")) > 100
    assert weights["worker"] < 100, "it takes what all others leave over"


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("/opt/careline/app.py", "/opt/careline/app.py"),
        ("/opt/50% off", '"/opt/50%% off"'),
        ("a$b", '"a$$b"'),
        ('a"b', '"a\\"b"'),
    ],
)
def test_what_means_something_to_systemd_is_taken_literally(word: str, line: str) -> None:
    assert quoted(word) == line


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Plan("root", PLAN.home, CHECKOUT, PLAN.python), "never runs as root"),
        (Plan("a b", PLAN.home, CHECKOUT, PLAN.python), "no name of a user"),
        (Plan("daemon", Path("/srv/my home"), CHECKOUT, PLAN.python), "has a space"),
    ],
)
def test_what_systemd_would_refuse_is_refused_before(
    tmp_path: Path, plan: Plan, words: str
) -> None:
    with pytest.raises(SetupError, match=words):
        install(plan, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_home_of_the_practice_town_is_refused(tmp_path: Path) -> None:
    """`./careline run` has the same home by default, and was perhaps only to be tried."""
    home, root = tmp_path / "home", tmp_path / "root"
    home.mkdir()
    (home / "mode").write_text("practice\n")
    with pytest.raises(SetupError, match=r"practice town[\s\S]*new one with --home"):
        install(Plan("daemon", home, CHECKOUT, PLAN.python), root)
    assert not root.exists()


def test_a_checkout_that_others_cannot_read_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "careline"
    closed.mkdir(mode=0o700)
    (closed / "app.py").touch()
    with pytest.raises(SetupError, match=r"closed to other users[\s\S]*/opt/careline"):
        install(Plan("daemon", PLAN.home, closed, PLAN.python), tmp_path)
