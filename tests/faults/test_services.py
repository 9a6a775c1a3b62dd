"""Careline as systemd services, and upgrades under way.

The units' own lines are run here as systemd would run them.

There is no systemd on the machine of these tests; what plays it starts each ExecStart as the unit's
user, with the unit's environment and nothing else, /dev/null as input, and a NOTIFY_SOCKET.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from asterisk_conf.instance import service_user
from home import Home
from tests.audio import tone_seconds
from tests.house import (
    ROOT,
    House,
    Town,
    call_of,
    kept_recording,
    listen,
    start,
    town_of,
    write_config,
)
from tests.telephone import Block, Leg, claim_addresses

ELDER = 480
SEAT = 740
OURS = ("controller", "desk", "worker")


@pytest.fixture
def block() -> Iterator[Block]:
    with claim_addresses(140) as claimed:
        yield claimed


@dataclass
class Systemd:
    """Runs the units that `./careline install` wrote."""

    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    notified: dict[str, socket.socket] = field(default_factory=dict)
    started: int = 0

    def setting(self, name: str, key: str) -> str:
        text = (self.folder / f"careline-{name}.service").read_text("utf-8")
        return next(
            line.removeprefix(f"{key}=").replace("%%", "%")
            for line in text.splitlines()
            if line.startswith(f"{key}=")
        )

    def start(self, name: str) -> None:
        """Start the service; for Type=notify return when it has said that it is ready."""
        user = pwd.getpwnam(self.setting(name, "User"))
        env = dict(word.split("=", 1) for word in self.setting(name, "Environment").split())
        env["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.started += 1
        notify.bind(f"\0careline-test-{os.getpid()}-{id(self)}-{self.started}")
        notify.settimeout(60)
        env["NOTIFY_SOCKET"] = notify.getsockname().decode().replace("\0", "@", 1)
        self.running[name] = subprocess.Popen(
            shlex.split(self.setting(name, "ExecStart")),
            cwd=self.setting(name, "WorkingDirectory"),
            env=env, user=user.pw_uid, group=user.pw_gid, extra_groups=[], umask=0o077,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        with contextlib.suppress(KeyError):
            self.notified.pop(name).close()
        self.notified[name] = notify
        if name in OURS:
            assert notify.recv(100) == b"READY=1"

    def run(self, name: str) -> int:
        """A oneshot to its end."""
        self.start(name)
        return self.running.pop(name).wait(60)

    def kill(self, name: str, how: signal.Signals) -> None:
        process = self.running.pop(name)
        process.send_signal(how)
        process.wait(20)

    def restart_target(self) -> None:
        """`systemctl restart careline.target`: what is PartOf it, in the order of After."""
        for name in OURS:
            self.kill(name, signal.SIGTERM)
        assert self.run("prepare") == 0
        for name in OURS:
            self.start(name)

    def stop_all(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for notify in self.notified.values():
            notify.close()
        user, after = self.setting("asterisk", "User"), self.setting("asterisk", "ExecStopPost")
        subprocess.run(shlex.split(after.removeprefix("-")), user=user, check=False)


def install(checkout: Path, place: Path) -> None:
    subprocess.run(
        [checkout / "careline", "install", "--home", place / "home", "--root", place / "units",
         "--config", place / "careline.toml"],
        check=True,
    )  # fmt: skip


def newer_checkout(place: Path) -> Path:
    """Another checkout, as an upgrade puts it beside the first."""
    checkout = place / "newer"
    shutil.copytree(
        ROOT, checkout,
        ignore=shutil.ignore_patterns(".git", ".venv*", "tests", "__pycache__", ".*_cache"),
    )  # fmt: skip
    checkout.chmod(0o755)
    (checkout / ".venv").symlink_to((ROOT / ".venv").resolve())
    return checkout


@pytest.fixture
def systemd(open_place: Path, block: Block) -> Iterator[Systemd]:
    """Everything runs, as services."""
    write_config(open_place / "careline.toml", block)
    user = pwd.getpwnam(service_user())
    Home(open_place / "home").give_to(user.pw_uid, user.pw_gid)
    install(ROOT, open_place)
    systemd = Systemd(open_place / "units/etc/systemd/system")
    try:
        assert systemd.run("prepare") == 0
        for name in ("asterisk", *OURS):
            systemd.start(name)
        yield systemd
    finally:
        systemd.stop_all()


@contextlib.contextmanager
def talking(place: Path, block: Block) -> Iterator[tuple[Town, str, Leg, Leg]]:
    """A call in which elder and seat talk; afterwards nothing is left."""
    config = place / "careline.toml"
    house = House(Home(place / "home"), config, subprocess.Popen(["true"], text=True))
    house.process.wait()
    with town_of(house, block, place / "carrier") as town:
        town.carrier.phone("1002").rings()
        town.carrier.phone("1001").answers(0.2, SEAT)
        since = len(town.observer.events)
        elder = town.carrier.call("96100", "13800000031", tone=ELDER).wait_talking()
        call_id = call_of(town, since)
        town.observer.wait_for("AgentConnect", 45, since)
        seat = town.carrier.phone("1001").wait_ringing()
        yield town, call_id, elder, seat.wait_talking()
        town.assert_silent()


def test_systemd_accepts_every_unit(open_place: Path, block: Block) -> None:
    write_config(open_place / "careline.toml", block)
    install(ROOT, open_place)
    files = sorted((open_place / "units/etc/systemd/system").iterdir())
    assert {file.stat().st_mode & 0o777 for file in files} == {0o644}
    ended = subprocess.run(
        ["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_asterisk_waits_for_its_first_configuration_instead_of_failing(
    open_place: Path, block: Block
) -> None:
    """The first preparation failed: there is no script to start yet."""
    write_config(open_place / "careline.toml", block)
    install(ROOT, open_place)
    units = Systemd(open_place / "units/etc/systemd/system")
    assert units.setting("asterisk", "TimeoutStartSec") == "infinity"
    before = shlex.split(units.setting("asterisk", "ExecStartPre").replace("$$", "$"))
    script = Path(before[-1])
    assert script == Path(shlex.split(units.setting("asterisk", "ExecStart"))[-1])
    with subprocess.Popen(before) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1)
        script.parent.mkdir(parents=True)
        script.touch()
        assert waiting.wait(5) == 0


def test_a_talk_and_its_recording_outlive_a_kill_and_an_upgrade(
    systemd: Systemd, open_place: Path, block: Block
) -> None:
    asterisk = systemd.running["asterisk"].pid
    with talking(open_place, block) as (town, call_id, elder, seat):
        systemd.kill("controller", signal.SIGKILL)
        listen(elder, 1)
        systemd.start("controller")
        assert systemd.notified["controller"].recv(100) == b"WATCHDOG=1"
        newer = newer_checkout(open_place)
        install(newer, open_place)
        systemd.restart_target()
        for name in OURS:
            assert systemd.running[name].args[1] == str(newer / "app.py")  # type: ignore[index]
        listen(elder, 1)
        listen(seat, 1)
        assert not elder.has_ended
        elder.hang_up()
        row = kept_recording(town.house, call_id)
        assert (row.result, row.state, row.ended_uncertain) == ("answered", "ended", False)
        assert tone_seconds(seat.heard(), ELDER) > 2
        assert systemd.running["asterisk"].poll() is None
        assert systemd.running["asterisk"].pid == asterisk


def test_a_killed_asterisk_starts_again_by_its_own_unit(systemd: Systemd) -> None:
    """Without any of Careline's processes, from what was rendered before."""
    for name in ("asterisk", *OURS):
        systemd.kill(name, signal.SIGKILL)
    systemd.start("asterisk")
    systemd.start("controller")


def test_no_second_careline_runs_beside_the_services(systemd: Systemd, open_place: Path) -> None:
    house = start(open_place / "home", open_place / "careline.toml")
    assert house.ready == {}
    assert house.wait_ended() == 2
    house.close()
    assert any("systemctl stop careline.target" in line for line in house.said)
    assert systemd.running["controller"].poll() is None


def test_a_newer_checkout_takes_over_the_calls_and_says_what_must_wait(
    open_place: Path, block: Block
) -> None:
    """`./careline run` as it was killed, then run anew from another place with a new SIP port."""
    config = write_config(open_place / "careline.toml", block)
    first = start(open_place / "home", config)
    assert first.ready, first.said
    with contextlib.ExitStack() as afterwards:
        _, _, elder, _ = afterwards.enter_context(talking(open_place, block))
        asterisk = (first.home.asterisk / "run/started.pid").read_text()
        first.process.kill()
        first.close()
        text = config.read_text("utf-8").replace(
            "[[trunks]]", f'sip = "{block.centre}:5070"\n[[trunks]]', 1
        )
        config.write_text(text, "utf-8")
        second = start(open_place / "home", config, checkout=newer_checkout(open_place))
        # The call's own end is looked at before this one's.
        calls = afterwards.pop_all()
        afterwards.callback(stop, second)
        with calls:
            assert second.ready, second.said
            assert (first.home.asterisk / "run/started.pid").read_text() == asterisk
            said = f"Asterisk still listens at {block.centre}:5060"
            assert any(said in line for line in second.said)
            listen(elder, 1)
            assert not elder.has_ended
            elder.hang_up()


def stop(house: House) -> None:
    """Ctrl-C, twice: whatever still talks is ended."""
    for _ in range(2):
        house.interrupt()
    house.wait_ended()
    house.close()
