"""What can be wrong when Careline starts: each is said in words, and nothing is lost or left."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from asterisk_conf.instance import Installation, service_user
from home import Home
from launch import asterisk_tree
from tests.house import (
    ROOT,
    House,
    call_of,
    kept_recording,
    listen,
    running,
    start,
    town_of,
    write_config,
)
from tests.observer import Observer, wait_until
from tests.raw_sip import RawPeer
from tests.telephone import Block, claim_addresses

CANNOT_START = 2
SEAT = 740


@pytest.fixture(scope="module")
def installation() -> Installation:
    return asterisk_tree.find()


@pytest.fixture
def block() -> Iterator[Block]:
    with claim_addresses(160) as claimed:
        yield claimed


@pytest.fixture
def config(open_place: Path, block: Block) -> Path:
    return write_config(open_place / "careline.toml", block)


def refused(home: Path, config: Path) -> str:
    """Start, see it refuse, and return what it said."""
    house = start(home, config)
    assert house.ready == {}
    assert house.wait_ended() == CANNOT_START
    house.close()
    return "\n".join(house.said)


@pytest.mark.parametrize(
    ("kind", "port", "what"),
    [
        (socket.SOCK_DGRAM, 5060, "addresses.sip"),
        (socket.SOCK_STREAM, 8080, "addresses.desk"),
        (socket.SOCK_STREAM, 5038, "addresses.host"),
        (socket.SOCK_STREAM, 4573, "addresses.host"),
    ],
)
def test_a_port_that_is_taken_is_named(
    open_place: Path, config: Path, block: Block, kind: socket.SocketKind, port: int, what: str
) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind((block.centre, port))
        if kind is socket.SOCK_STREAM:
            other.listen()
        said = refused(open_place / "home", config)
    assert f"{block.centre}:{port}" in said
    assert "taken by another program" in said
    assert what in said


def test_a_wrong_setting_names_file_key_value_and_the_way_out(
    open_place: Path, config: Path
) -> None:
    config.write_text(
        config.read_text("utf-8").replace("ring_s = 10", "ring_s = 'soon'", 1), "utf-8"
    )
    said = refused(open_place / "home", config)
    assert f"{config}: queues[0].ring_s = 'soon': right would be a whole number" in said
    assert not list((open_place / "home").glob("*.db"))


def test_a_bare_desk_beyond_loopback_is_refused(open_place: Path, config: Path) -> None:
    text = config.read_text("utf-8").replace("[[trunks]]", 'desk = "0.0.0.0:8080"\n[[trunks]]', 1)
    config.write_text(text, "utf-8")
    said = refused(open_place / "home", config)
    assert "addresses" in said
    assert "without encryption" in said
    assert "desk_certificate" in said


def test_a_home_of_a_newer_careline_is_left_alone(open_place: Path, config: Path) -> None:
    home = open_place / "home"
    home.mkdir()
    (home / "version").write_text("99\n")
    said = refused(home, config)
    assert "used by a newer Careline" in said
    assert "another --home" in said
    assert [path.name for path in home.iterdir()] == ["version"]


def test_a_newer_database_is_left_alone(open_place: Path, config: Path) -> None:
    home = open_place / "home"
    with running(home, config):
        pass
    with sqlite3.connect(home / "careline.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    said = refused(home, config)
    assert "revision 9999" in said
    assert "newer Careline" in said


def test_a_full_disk_is_said_before_anything_starts(config: Path, small_disk: Path) -> None:
    said = refused(small_disk / "home", config)
    assert "less than 50 MB free" in said
    assert "--home" in said


def test_a_start_that_was_killed_is_finished_by_the_next(open_place: Path, config: Path) -> None:
    home = open_place / "home"
    for sign in ("careline.db", "secrets/ami", "asterisk/run/started.pid"):
        house = start_without_waiting(home, config)
        wait_until((home / sign).exists, 30, f"{sign} in the new home")
        house.process.kill()
        house.wait_ended()
        house.close()
    with running(home, config) as house:
        assert house.ready["home"] == str(home)


def start_without_waiting(home: Path, config: Path) -> House:
    """`./careline run`, not awaited."""
    process = subprocess.Popen(
        [Path(__file__).parents[2] / "careline", "run", "--home", home, "--config", config],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return House(Home(home), config, process, listening=_nobody())


def _nobody() -> Thread:
    thread = Thread(target=lambda: None)
    thread.start()
    return thread


def test_the_first_password_is_said_once(open_place: Path, config: Path) -> None:
    home = open_place / "home"
    with running(home, config) as house:
        assert len(house.admin_password) >= 12
    with running(home, config) as house:
        assert not [line for line in house.said if "password" in line]


def test_a_home_has_one_careline(open_place: Path, config: Path) -> None:
    home = open_place / "home"
    with running(home, config) as house:
        said = refused(home, config)
        assert f"in use by the Careline with pid {house.process.pid}" in said


def test_two_instances_run_side_by_side(open_place: Path, config: Path) -> None:
    with (
        claim_addresses(180) as other_block,
        running(open_place / "one", config) as one,
        running(open_place / "two", write_config(open_place / "two.toml", other_block)) as two,
    ):
        assert one.ready["desk"] != two.ready["desk"]
        for house in (one, two):
            secret = house.home.secret("ami")
            Observer(house.settings.addresses.internal, "careline", secret).close()


@pytest.mark.parametrize("name", ["controller", "desk", "worker"])
def test_a_process_that_dies_is_started_again(open_place: Path, config: Path, name: str) -> None:
    with running(open_place / "home", config) as house:
        first = house.child(name)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: _other(house, name, first), 15, f"a new {name}", lambda: house.said)


def _other(house: House, name: str, first: int) -> bool:
    try:
        return house.child(name) != first
    except AssertionError:
        return False


@pytest.mark.parametrize(("answer", "words"), [(403, "trunk refused"),
                                               (503, "trunk refused"),
                                               (None, "trunk down")])  # fmt: skip
def test_a_carrier_that_does_not_let_us_register_is_an_alarm(
    open_place: Path, block: Block, config: Path, answer: int | None, words: str
) -> None:
    text = config.read_text("utf-8").replace(
        "[[trunks]]",
        f'[[trunks]]\nname = "city"\nhost = "{block.caller(1)}:5060"\nregisters = true\n'
        'username = "8800"\npassword = "wrong"\n[[trunks]]',
        1,
    )
    config.write_text(text, "utf-8")
    with RawPeer(block.caller(1), REGISTER=answer), running(open_place / "home", config) as house:

        def alarm() -> str:
            with sqlite3.connect(house.home.root / "careline.db") as database:
                rows = database.execute(
                    "SELECT kind || ' ' || text FROM alarm WHERE ended_at IS NULL"
                ).fetchall()
            database.close()
            return "\n".join(row[0] for row in rows)

        wait_until(lambda: f"{words} city" in alarm(), 60, words, alarm)


def test_an_ordinary_user_runs_it_and_a_call_reaches_a_seat(
    open_place: Path, block: Block, config: Path
) -> None:
    """Nothing of it needs root once the machine is ready."""
    user = pwd.getpwnam(service_user() or pwd.getpwuid(os.getuid()).pw_name)
    own = open_place / "own"
    own.mkdir()
    os.chown(own, user.pw_uid, user.pw_gid)
    as_user = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
               "env", f"HOME={own}")  # fmt: skip
    starter = (*as_user, str(ROOT / "careline"), "run")
    with (
        running(own / "home", config, starter) as house,
        town_of(house, block, open_place / "carrier") as town,
    ):
        for name in ("controller", "desk", "worker"):
            assert Path(f"/proc/{house.child(name)}").stat().st_uid == user.pw_uid
        phone = town.carrier.phone("1001").answers(0.2, SEAT)
        since = len(town.observer.events)
        elder = town.carrier.call("96100", "13800000061", tone=0).wait_talking()
        call_id = call_of(town, since)
        phone.wait_ringing(45).wait_talking()
        listen(elder, 1, SEAT)
        elder.hang_up()
        assert kept_recording(house, call_id).seat == "1001"
        town.assert_silent()
