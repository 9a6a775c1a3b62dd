"""The life of one Asterisk: it loads what we wrote, is found again, says why it cannot start."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from asterisk_conf.instance import (
    MEMORY,
    START_SCRIPT,
    AsteriskFailed,
    Bind,
    Installation,
    Instance,
    run_start_script,
)
from asterisk_conf.render import centre_instance, render
from home import Home
from settings import Settings
from tests.asterisk.conftest import REGISTRAR_PASSWORD, Centre
from tests.observer import wait_until
from tests.raw_sip import RawPeer
from tests.telephone import Block, Carrier

APPLICATION = re.compile(r"(?: same|exten) => (?:[^,]+,)?(?:1|n)(?:\([\w-]+\))?,(\w+)\(")
QUIET = re.compile(r"CDR logging disabled|modules will be loaded|indication|Connection refused"
                   r"|Couldn't connect to any host"
                   r"|Adding default_|cdrel_custom/config")  # fmt: skip


@pytest.fixture
def other(
    place: Path, block: Block, installation: Installation, asterisk_user: str, prompts: Path
) -> tuple[Home, Instance]:
    """A second centre beside the first, on an address of its own, not started."""
    home = Home(place / "another home 二")
    home.prepare()
    settings = Settings.model_validate({"addresses": {"host": block.caller(20)}})
    render(settings, home, installation, asterisk_user, prompts)
    return home, centre_instance(settings, home, installation, asterisk_user)


@pytest.mark.row("ACD-12")
def test_the_configuration_loads_without_error(centre_asterisk: Centre) -> None:
    """Nothing in the log complains about a file, a module, an option or a sound."""
    complaints = [
        line
        for line in centre_asterisk.said_at_start.splitlines()
        if re.search(r"\b(WARNING|ERROR|NOTICE)\b", line) and not QUIET.search(line)
    ]
    # A carrier that is not there is reported; that is no fault of the configuration.
    assert not [c for c in complaints if "regist" not in c.lower()], complaints
    modules = centre_asterisk.cli("module show")
    assert "Not Running" not in modules
    endpoints = centre_asterisk.cli("pjsip show endpoints")
    assert all(name in endpoints for name in ("1001", "1002", "trunk-carrier", "trunk-second"))
    assert "rrmemory" in centre_asterisk.cli("queue show hotline")


def test_everything_that_the_dialplan_uses_is_loaded(centre_asterisk: Centre) -> None:
    """A missing application would hang up the caller at that line."""
    text = (centre_asterisk.home.asterisk / "etc" / "extensions.conf").read_text("utf-8")
    applications = {m[1] for line in text.splitlines() if (m := APPLICATION.match(line))}
    functions = set(re.findall(r"\$\{([A-Z]+)\(", text)) | set(re.findall(r"Set\(([A-Z]+)\(", text))
    assert {"Queue", "Dial", "MixMonitor", "Playback", "AGI"} <= applications
    assert {"CHANNEL", "FILTER", "IF", "GLOBAL"} <= functions
    for name in sorted(applications):
        shown = centre_asterisk.cli(f"core show application {name}")
        assert "Your application(s) is (are) not registered" not in shown, name
    for name in sorted(functions):
        shown = centre_asterisk.cli(f"core show function {name}")
        assert "No function by that name registered" not in shown, name


def test_secrets_are_for_asterisk_alone(centre_asterisk: Centre, asterisk_user: str) -> None:
    """No file of the configuration can be read by anybody else."""
    for file in (centre_asterisk.home.asterisk / "etc").iterdir():
        status = file.stat()
        assert stat.S_IMODE(status.st_mode) == 0o600, file
        assert not asterisk_user or status.st_uid != 0, file


def test_it_runs_as_an_ordinary_user_in_a_session_of_its_own(centre_asterisk: Centre) -> None:
    """Not as root, and a Ctrl-C at our terminal does not reach it."""
    pid = centre_asterisk.instance.pid
    assert pid is not None
    assert Path(f"/proc/{pid}").stat().st_uid != 0
    assert os.getsid(pid) == pid != os.getsid(0)


async def test_another_supervisor_adopts_the_living_one(
    other: tuple[Home, Instance], installation: Installation, asterisk_user: str
) -> None:
    """The second start finds the first one's process and starts none."""
    _, first = other
    assert await first.start()
    try:
        second = Instance(first.root, installation, asterisk_user)
        assert not await second.start()
        assert second.pid == first.pid
        assert "Asterisk 2" in await second.cli("core show version")
        await second.reload()
        ending = asyncio.create_task(second.wait())
        await first.stop()
        await asyncio.wait_for(ending, 5)
        assert second.pid is None
    finally:
        await first.stop()


async def test_a_killed_one_is_noticed_and_started_again(other: tuple[Home, Instance]) -> None:
    """kill -9: `wait` returns, the pid is gone, and a new start works on the old folder."""
    _, instance = other
    await instance.start()
    try:
        pid = instance.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait_for(instance.wait(), 5)
        assert instance.pid is None
        assert await instance.start()
        assert instance.pid not in (None, pid)
    finally:
        await instance.stop()


def database(instance: Instance) -> Path:
    """The folder in which Asterisk really keeps AstDB."""
    return (instance.root / "run" / "db").resolve()


async def noted(instance: Instance, value: str) -> None:
    """Note it in AstDB, and return when the file has it; Asterisk writes once a second."""
    await instance.cli(f"database put test kept {value}")
    file = database(instance) / "astdb.sqlite3"
    async with asyncio.timeout(10):
        while value.encode() not in file.read_bytes():  # noqa: ASYNC110 — it tells nobody.
            await asyncio.sleep(0.05)


async def test_its_own_database_is_in_memory_and_outlives_everything(
    other: tuple[Home, Instance],
) -> None:
    """A kill leaves it in memory, an orderly end brings it to the disk and clears the memory."""
    _, instance = other
    on_disk = instance.root / "lib" / "astdb.sqlite3"
    await instance.start()
    try:
        memory = database(instance)
        assert memory.parent == MEMORY
        assert stat.S_IMODE(memory.stat().st_mode) == 0o700
        await noted(instance, "before-the-kill")
        assert not on_disk.exists() or b"before-the-kill" not in on_disk.read_bytes()
        os.kill(instance.pid or 0, signal.SIGKILL)
        await instance.wait()
        await instance.start()
        assert "before-the-kill" in await instance.cli("database get test kept")
        await noted(instance, "before-the-end")
    finally:
        await instance.stop()
    assert not memory.exists()
    assert b"before-the-end" in on_disk.read_bytes()
    await instance.start()
    try:
        assert "before-the-end" in await instance.cli("database get test kept")
    finally:
        await instance.stop()


async def test_after_a_power_cut_its_database_is_the_last_copy(
    other: tuple[Home, Instance], asterisk_user: str
) -> None:
    """The worker copies it once a minute; what is in memory is gone with the power."""
    _, instance = other
    identity = {"user": asterisk_user} if asterisk_user else {}
    await instance.start()
    try:
        await noted(instance, "copied")
        async with asyncio.timeout(10):
            # A copy during a write is refused, and made the next time.
            while not await run_start_script(instance.root, "keep", **identity):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        os.kill(instance.pid or 0, signal.SIGKILL)
        await instance.wait()
        shutil.rmtree(database(instance))
        await instance.start()
        assert "copied" in await instance.cli("database get test kept")
    finally:
        await instance.stop()


@pytest.mark.parametrize("in_the_way", ["another user's folder", "a link", "a file"])
async def test_its_own_database_is_on_the_disk_when_somebody_has_its_place(
    other: tuple[Home, Instance], in_the_way: str
) -> None:
    """/dev/shm is open to every user of the machine; nobody is led astray or kept from starting."""
    _, instance = other
    instance.write_start()
    script = (instance.root / START_SCRIPT).read_text("utf-8")
    place = Path(re.findall("^memory=(.*)$", script, re.MULTILINE)[0])
    stranger = place.with_name("careline-stranger")
    match in_the_way:
        case "another user's folder":
            place.mkdir(mode=0o777)
        case "a link":
            stranger.mkdir(mode=0o777)
            stranger.chmod(0o777)
            place.symlink_to(stranger)
        case _:
            place.touch()
    try:
        await instance.start()
        try:
            assert database(instance) == instance.root / "lib"
            await noted(instance, "on-the-disk")
        finally:
            await instance.stop()
        assert b"on-the-disk" in (instance.root / "lib" / "astdb.sqlite3").read_bytes()
    finally:
        if place.is_dir() and not place.is_symlink():
            place.rmdir()
        else:
            place.unlink()
        if stranger.exists():
            stranger.rmdir()


def test_a_pid_file_of_another_program_is_not_believed(
    other: tuple[Home, Instance],
) -> None:
    """After a reboot the old pid may be anybody's; it is neither adopted nor ended."""
    _, instance = other
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (instance.root / "run" / "started.pid").write_text(f"{stranger.pid}\n")
        assert instance.pid is None
        asyncio.run(instance.stop())
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize(
    ("kind", "port", "protocol"),
    [
        (socket.SOCK_DGRAM, 5060, "UDP"),
        (socket.SOCK_STREAM, 5060, "TCP"),
        (socket.SOCK_STREAM, 5038, "TCP"),
    ],
)
async def test_a_taken_port_is_named(
    other: tuple[Home, Instance],
    block: Block,
    kind: socket.SocketKind,
    port: int,
    protocol: str,
) -> None:
    """The address, what it is for, and what to do; nothing is started."""
    _, instance = other
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((block.caller(20), port))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        with pytest.raises(AsteriskFailed) as error:
            await instance.start()
    text = str(error.value)
    assert f"{block.caller(20)}:{port}" in text
    assert protocol in text
    assert "addresses.host" in text
    assert "is taken" in text
    assert instance.pid is None


def test_an_address_of_another_machine_is_named() -> None:
    """It could never be bound."""
    bind = Bind("192.0.2.77", 5060, socket.SOCK_DGRAM, "SIP", "addresses.sip")
    with pytest.raises(AsteriskFailed, match=r"no such address; set addresses\.sip"):
        bind.check()


async def test_a_start_that_fails_shows_the_end_of_the_log(other: tuple[Home, Instance]) -> None:
    """A broken file is told, instead of a time-out."""
    _, instance = other
    (instance.root / "etc" / "asterisk.conf").write_text("[directories\n")
    with pytest.raises(AsteriskFailed, match=r"ended while it started|was not up"):
        await instance.start(within=10)
    await instance.stop()


async def test_a_path_too_long_for_a_socket_is_told(
    place: Path, installation: Installation
) -> None:
    """Linux allows 107 bytes."""
    instance = Instance(place / ("long" * 30), installation)
    with pytest.raises(AsteriskFailed, match="shorter path"):
        await instance.start()


@pytest.mark.parametrize("status", [403, 503, None])
def test_a_refused_registration_is_tried_again(
    telephones: Carrier, centre_asterisk: Centre, block: Block, status: int | None
) -> None:
    """The carrier refuses or says nothing, later accepts: the centre is registered."""
    with RawPeer(block.caller(6), REGISTER=status) as registrar:
        _send_register(centre_asterisk)
        wait_until(lambda: registrar.requests_of("REGISTER"), 5, "a REGISTER")
        if status is not None:
            wait_until(lambda: _registration(centre_asterisk) == "Rejected", 5, "it is rejected")
        assert _registration(centre_asterisk) != "Stopped"
        registrar.answers["REGISTER"] = 200
        _send_register(centre_asterisk)
        wait_until(lambda: _registration(centre_asterisk) == "Registered", 15, "it is accepted")
        assert "sip:centre@" in registrar.requests_of("REGISTER")[-1]


def test_a_carrier_that_asks_for_the_password_is_registered_with_and_called_through(
    telephones: Carrier, centre_asterisk: Centre, block: Block
) -> None:
    """REGISTER and INVITE are challenged; a call that it brings reaches the hotline."""
    centre = centre_asterisk
    telephones.number("13900000077").is_unavailable()
    with RawPeer(block.caller(6), REGISTRAR_PASSWORD, REGISTER=200, INVITE=486) as registrar:
        _send_register(centre)
        wait_until(lambda: registrar.proven, 15, "a proven REGISTER", lambda: registrar.requests)
        assert {r.split(" ", 1)[0] for r in registrar.proven} == {"REGISTER"}
        assert all('username="centre"' in request for request in registrar.proven)
        wait_until(lambda: _registration(centre) == "Registered", 15, "it is accepted")
        centre.wait_reachable("registrar")
        seat = telephones.phone("1001").dials("13900000077")
        seat.wait_ended(40)
        invite = registrar.proven[-1]
        assert invite.startswith("INVITE sip:13900000077@"), invite
        since = len(centre.observer.events)
        elder = registrar.call(
            centre.settings.addresses.sip_address, "96100", f"<sip:13800000051@{registrar.host}>"
        )
        assert elder.status() == 200
        arrived = centre.observer.wait_for("CallArrived", since=since)
        assert (arrived["Trunk"], arrived["Entry"]) == ("registrar", "hotline")
        elder.hang_up()
        centre.observer.wait_for("Hangup", since=since, Uniqueid=arrived["Call"])


def _send_register(centre: Centre) -> None:
    centre.cli("pjsip send register trunk-registrar")


def _registration(centre: Centre) -> str:
    shown = centre.cli("pjsip show registrations")
    found = re.search(r"trunk-registrar/\S+\s+\S+\s+(\w+)", shown)
    assert found, shown
    return found[1]
