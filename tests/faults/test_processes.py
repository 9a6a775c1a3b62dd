"""Careline's processes: whose they are, what happens to one that hangs, and Asterisk's logs."""

from __future__ import annotations

import os
import pwd
import re
import resource
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import precedence
from asterisk_conf.instance import Instance, service_user
from home import Home
from launch import asterisk_tree
from launch.asterisk_logs import turn_over
from tests.house import ROOT, House, running, write_config
from tests.observer import wait_until
from tests.telephone import Block, claim_addresses

NAMES = ("controller", "desk", "worker")


@pytest.fixture
def block() -> Iterator[Block]:
    with claim_addresses(120) as claimed:
        yield claimed


def owners(home: Home) -> set[int]:
    """Whose the home and everything in it is."""
    return {path.lstat().st_uid for path in (home.root, *home.root.rglob("*"))}


def user_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def a_home_of_root(place: Path) -> Home:
    """As an earlier Careline left it: all of it root's, a recording among it."""
    home = Home(place)
    home.prepare()
    home.secret("ami")
    day = home.recordings / "2026" / "01" / "01"
    day.mkdir(parents=True)
    (day / "node1-1.1.wav").write_bytes(b"RIFF")
    (home.logs / "outside").symlink_to("/etc/hostname")
    return home


def test_started_by_root_nothing_of_it_runs_as_root(open_place: Path, block: Block) -> None:
    """And a home that was root's is given to the service user, but nothing outside of it."""
    if os.geteuid() != 0:
        pytest.fail("this test starts Careline as root; run it as root")
    home = a_home_of_root(open_place / "home")
    user = pwd.getpwnam(service_user())
    with running(home.root, write_config(open_place / "careline.toml", block)) as house:
        pids = [house.child(name) for name in NAMES]
        asterisk = int((home.asterisk / "run" / "started.pid").read_text())
        assert {user_of(pid) for pid in (*pids, asterisk)} == {user.pw_uid}
        assert owners(home) == {user.pw_uid}
    assert Path("/etc/hostname").stat().st_uid == 0


async def test_calls_go_before_recordings_when_the_machine_is_full(
    open_place: Path, block: Block
) -> None:
    """Linux shares the processor among sessions, so each of ours has its place among them."""
    with running(open_place / "home", write_config(open_place / "careline.toml", block)) as house:
        worker, controller = house.child("worker"), house.child("controller")
        wait_until(lambda: precedence_of(worker) == precedence.LAST, 10, "the worker comes last")
        # Whoever may put others first can do it to a session that is not his own.
        await precedence.give(precedence.FIRST, controller)
        assert precedence_of(controller) == precedence.FIRST


def test_asterisk_may_open_more_files_than_a_shell(open_place: Path, block: Block) -> None:
    """A login's usual thousand would be used up by some ninety calls."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    shell = ("sh", "-c", 'ulimit -Sn 1024; exec "$@"', "sh", str(ROOT / "careline"), "run")
    config = write_config(open_place / "careline.toml", block)
    with running(open_place / "home", config, starter=shell) as house:
        asterisk = int((house.home.asterisk / "run" / "started.pid").read_text())
        limits = Path(f"/proc/{asterisk}/limits").read_text("ascii")
        (soft,) = re.findall(r"^Max open files +(\d+)", limits, re.MULTILINE)
        assert int(soft) == min(most, 65_536) > 1024


def precedence_of(pid: int) -> int:
    """A session's niceness, out of `/autogroup-17 nice -10`."""
    return int(Path(f"/proc/{pid}/autogroup").read_text("ascii").split()[-1])


def test_a_process_that_hangs_is_started_again_and_one_that_pauses_is_not(
    open_place: Path, block: Block
) -> None:
    with running(open_place / "home", write_config(open_place / "careline.toml", block)) as house:
        before = {name: house.child(name) for name in NAMES}
        for pid in before.values():
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3)
        for pid in before.values():
            os.kill(pid, signal.SIGCONT)
        time.sleep(3)
        assert {name: house.child(name) for name in NAMES} == before
        for pid in before.values():
            os.kill(pid, signal.SIGSTOP)
        for name, pid in before.items():
            wait_until(partial(is_new, house, name, pid), 30, f"a new {name}")
        assert any("controller has not stirred for" in line for line in house.said)
        assert not [line for line in house.said if "Asterisk ended" in line]


def is_new(house: House, name: str, before: int) -> bool:
    try:
        return house.child(name) != before
    except AssertionError:
        return False


async def test_long_logs_are_turned_over_and_five_are_kept(open_place: Path, block: Block) -> None:
    with running(open_place / "home", write_config(open_place / "careline.toml", block)) as house:
        log = house.home.asterisk / "log"
        asterisk = Instance(house.home.asterisk, asterisk_tree.find(), service_user())
        for number in range(7):
            with (log / "messages").open("a") as messages, (log / "console").open("a") as console:
                messages.write(f"round {number} " + "." * 2000 + "\n")
                console.write("." * 2000 + "\n")
            await turn_over(asterisk, longest=2000)
        assert sorted(path.name for path in log.glob("messages.*")) == [
            f"messages.{number}" for number in range(5)
        ]
        assert "round 6" in (log / "messages.0").read_text()
        assert (log / "messages").stat().st_size < 2000
        assert (log / "console").stat().st_size < 2000
        assert not list(log.glob("security.[5-9]"))
