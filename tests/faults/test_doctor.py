"""`./careline doctor` on a real house: while it runs, while it is down, where nothing is."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.house import ROOT, running, town_of, write_config
from tests.observer import wait_until
from tests.raw_sip import RawPeer
from tests.telephone import Block, claim_addresses

REFUSED = "is not registered (Rejected)"


@pytest.fixture
def block() -> Iterator[Block]:
    with claim_addresses(120) as claimed:
        yield claimed


@pytest.fixture
def config(open_place: Path, block: Block) -> Path:
    """With a carrier that refuses us."""
    file = write_config(open_place / "careline.toml", block)
    text = file.read_text("utf-8").replace(
        "[[trunks]]",
        f'[[trunks]]\nname = "city"\nhost = "{block.caller(1)}:5060"\nregisters = true\n'
        'username = "8800"\npassword = "wrong"\n[[trunks]]',
        1,
    )
    file.write_text(text, "utf-8")
    return file


def doctor(home: Path, config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "careline", "doctor", "--home", home, "--config", config, *words],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def findings(home: Path, config: Path) -> dict[str, str]:
    """What it found: the finding → its level."""
    ended = doctor(home, config, "--json")
    said: dict[str, Any] = json.loads(ended.stdout)
    to_do = [finding for finding in said["findings"] if finding["level"] == "do"]
    assert (ended.returncode, said["well"]) == (1 if to_do else 0, not to_do)
    assert all(finding["why"] and finding["do"] for finding in to_do)
    return {finding["what"]: finding["level"] for finding in said["findings"]}


def level(found: dict[str, str], words: str) -> str:
    return next((level for what, level in found.items() if words in what), "")


def test_a_running_house(open_place: Path, block: Block, config: Path) -> None:
    """Seats without a phone, a carrier that refuses us, a worker that stands still."""
    home = open_place / "home"
    with (
        RawPeer(block.caller(1), REGISTER=403),
        running(home, config) as house,
    ):
        assert level(findings(home, config), "No phone is signed in for: 1001, 1002.") == "do"
        with town_of(house, block, open_place / "carrier"):
            assert level(findings(home, config), "All 2 seats have their phone") == "fine"
        wait_until(lambda: level(findings(home, config), REFUSED), 30, "the refusal")
        found = findings(home, config)
        assert level(found, REFUSED) == "do"
        refuses = "A carrier refuses us: city (alarm since"
        wait_until(lambda: level(findings(home, config), refuses), 30, "the alarm")
        assert level(found, "Running and answering: controller, desk, worker") == "fine"
        assert level(found, "The database answers") == "fine"
        assert level(found, "Asterisk 22") == "fine"
        assert level(found, "is not ours") == ""
        assert level(found, "closed to others") == "fine"
        assert level(found, "No backup has been made") == "do"
        assert level(found, "No channel for messages is set up") == "note"
        (home / "last-backup").touch()
        (house.home.secrets / "ami").chmod(0o644)
        os.kill(house.child("worker"), signal.SIGSTOP)
        found = findings(home, config)
        assert level(found, "The last backup is 0 hours old") == "fine"
        assert level(found, "Others on this machine can read") == "do"
        assert level(found, "The worker runs and does not answer") == "do"


def test_a_house_that_is_down_with_a_port_taken(
    open_place: Path, block: Block, config: Path
) -> None:
    home = open_place / "home"
    with running(home, config):
        pass
    with socket.socket() as other:
        other.bind((block.centre, 8080))
        other.listen()
        found = findings(home, config)
        assert level(found, f"{block.centre}:8080 (desk, TCP) is not ours") == "do"
        said = doctor(home, config).stdout
    assert level(found, "Careline is not running") == "do"
    assert level(found, "Asterisk is not running") == "do"
    assert level(found, "The database answers") == "fine"
    assert "TO DO  Asterisk is not running." in said
    assert "why: Nobody can call" in said
    assert "addresses.desk" in said


def test_a_wrong_setting_is_a_finding(open_place: Path, config: Path) -> None:
    home = open_place / "home"
    with running(home, config):
        pass
    config.write_text(config.read_text("utf-8").replace("ring_s = 10", "ring_s = 1", 1), "utf-8")
    assert level(findings(home, config), "queues[0].ring_s = 1") == "do"


def test_where_nothing_is_it_cannot_look(open_place: Path, config: Path) -> None:
    ended = doctor(open_place / "nothing", config)
    assert ended.returncode == 2
    assert "is no home of a Careline" in ended.stderr
    assert not (open_place / "nothing").exists()
