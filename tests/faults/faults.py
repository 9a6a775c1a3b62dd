"""The faults: each begins in its `with`, lasts as long as the block, and is healed after it.

Leaving the block returns when Careline itself has recovered, as far as one can see from outside.
Everything is done from outside: by signals, the controller's own socket, the database's lock and
the disk.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from asterisk_conf.ports import AMI_PORT
from tests.faults.site import Site, set_clock
from tests.faults.stages import Scene
from tests.observer import wait_until

STOPPED_S: Final = 3.0
PIDFD_GETFD: Final = 438
SO_ATTACH_FILTER: Final = 26
ESTABLISHED: Final = "01"

Fault = Callable[[Scene], AbstractContextManager[None]]


@contextmanager
def controller_killed(scene: Scene) -> Iterator[None]:
    """kill -9."""
    with killed(scene.site, "controller"), connects_again(scene.site):
        yield


@contextmanager
def worker_killed(scene: Scene) -> Iterator[None]:
    """kill -9."""
    with killed(scene.site, "worker"):
        yield


@contextmanager
def desk_killed(scene: Scene) -> Iterator[None]:
    """kill -9; the desk is back when its page is."""
    with killed(scene.site, "desk"):
        yield
    address = scene.site.house.ready["desk"]
    wait_until(lambda: answers(f"{address}/sign-in"), 30, "the desk's page")


def answers(address: str) -> bool:
    with suppress(URLError, OSError), urlopen(address, timeout=5) as page:
        return bool(page.status == 200)
    return False


@contextmanager
def killed(site: Site, name: str) -> Iterator[None]:
    first = site.house.child(name)
    os.kill(first, signal.SIGKILL)
    yield
    wait_until(lambda: another(site, name, first), 30, f"a new {name}", lambda: site.house.said)


def another(site: Site, name: str, first: int) -> bool:
    try:
        return site.house.child(name) != first
    except AssertionError:
        return False


@contextmanager
def connects_again(site: Site) -> Iterator[None]:
    """After the block, return when a controller has connected to Asterisk once more."""
    before = connects(site)
    yield
    wait_until(lambda: connects(site) > before, 40, "a connection", site.house.log)
    wait_until(lambda: site.picture() and "asterisk" not in site.alarms(), 20, "its picture")


def connects(site: Site) -> int:
    """How often a controller has connected to Asterisk in this home."""
    log = site.house.home.logs / "controller.log"
    return log.read_text("utf-8").count("connected to Asterisk")


@contextmanager
def controller_stopped(scene: Scene) -> Iterator[None]:
    """It stands still for three seconds, as on a machine without memory, and then goes on."""
    pid = scene.site.house.child("controller")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
        # How long it stands still is the fault itself; nothing is waited for here.
        time.sleep(STOPPED_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(scene.site.picture, 20, "the controller answers")


@contextmanager
def asterisk_killed(scene: Scene) -> Iterator[None]:
    """kill -9, with every call that it has; it is started again by itself."""
    site, scene.elder, scene.is_over = scene.site, None, True
    started = site.house.home.asterisk / "run" / "started.pid"
    first = started.read_text("ascii")
    with connects_again(site):
        os.kill(int(first), signal.SIGKILL)
        site.hang_up_all()
        yield
        wait_until(lambda: started.read_text("ascii") != first, 30, "a new Asterisk")
    site.watch_again()


@contextmanager
def ami_cut(scene: Scene) -> Iterator[None]:
    """The connection is closed under the controller."""
    with connects_again(scene.site), ami_socket(scene.site) as connection:
        connection.shutdown(socket.SHUT_RDWR)
        yield


@contextmanager
def ami_half_open(scene: Scene) -> Iterator[None]:
    """Nothing arrives any more on the controller's connection, and nobody says that it is closed.

    The filter is one instruction of classic BPF, "keep 0 bytes"; it goes with the connection.
    """
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    with connects_again(scene.site):
        with ami_socket(scene.site) as connection:
            connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        yield


@contextmanager
def ami_socket(site: Site) -> Iterator[socket.socket]:
    """The controller's own connection to Asterisk, borrowed from its process (pidfd_getfd)."""
    pid, peer = site.house.child("controller"), site.house.settings.addresses.internal
    connected = connected_inodes(peer, AMI_PORT)
    number = next(
        int(entry.name)
        for entry in Path(f"/proc/{pid}/fd").iterdir()
        if entry.readlink().name in connected
    )
    process = os.pidfd_open(pid)
    try:
        ours = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, process, number, 0)
    finally:
        os.close(process)
    assert ours >= 0, os.strerror(ctypes.get_errno())
    with socket.socket(fileno=ours) as connection:
        yield connection


def connected_inodes(host: str, port: int) -> set[str]:
    """The sockets of this machine that are connected to that place, as /proc/PID/fd names them."""
    there = f"{socket.inet_aton(host)[::-1].hex().upper()}:{port:04X}"
    lines = Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
    entries = (line.split() for line in lines)
    return {f"socket:[{e[9]}]" for e in entries if e[2] == there and e[3] == ESTABLISHED}


@contextmanager
def database_away(scene: Scene) -> Iterator[None]:
    """Somebody else holds the database's lock, and nothing can be written."""
    site, began = scene.site, time.monotonic()
    with closing(sqlite3.connect(site.house.home.root / "careline.db", timeout=10)) as database:
        database.isolation_level = None
        database.execute("BEGIN EXCLUSIVE")
        yield
        # What the fault lasts is the fault itself.
        time.sleep(max(0.0, began + scene.away_s - time.monotonic()))
        database.execute("ROLLBACK")
    wait_until(lambda: "database" not in site.alarms(), 20, "the database's alarm has ended")


@contextmanager
def disk_full(scene: Scene) -> Iterator[None]:
    """Not a byte is left where Careline keeps everything."""
    ballast = scene.site.house.home.root / "ballast"
    try:
        # Others write meanwhile, so that nobody knows before how much is left.
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(2**16)):
                continue
        yield
    finally:
        ballast.unlink()


@contextmanager
def carrier_gone(scene: Scene) -> Iterator[None]:
    """The carrier's machine loses its power, with the elder's line on it."""
    scene.elder = None
    scene.site.carrier.kill()
    yield
    scene.site.carrier.start()


@contextmanager
def phone_gone(scene: Scene) -> Iterator[None]:
    """The phone of the seat in question, or of the first, loses its power."""
    site, seat = scene.site, scene.seat or next(iter(scene.site.phones))
    site.phones[seat].kill()
    yield
    if not scene.is_over:
        wait_until(lambda: scene.talking_seat() != seat, 15, f"{seat} is not with the elder")
    site.start_phone(seat)


def clock_set(by_s: int) -> Fault:
    """Somebody sets the clock of the machine by so much, and it stays so."""

    @contextmanager
    def begun(scene: Scene) -> Iterator[None]:
        assert scene.site.clock
        set_clock(scene.site.clock, by_s + int(scene.site.clock.read_text("ascii")))
        yield

    return begun


FAULTS: Final[dict[str, Fault]] = {
    "controller-killed": controller_killed,
    "controller-stopped": controller_stopped,
    "desk-killed": desk_killed,
    "worker-killed": worker_killed,
    "asterisk-killed": asterisk_killed,
    "ami-cut": ami_cut,
    "ami-half-open": ami_half_open,
    "database-away": database_away,
    "disk-full": disk_full,
    "carrier-gone": carrier_gone,
    "phone-gone": phone_gone,
    "clock-ahead": clock_set(3600),
    "clock-back": clock_set(-3600),
}
CLOCKS: Final = {"clock-ahead", "clock-back"}
LASTS: Final = {"database-away", "disk-full"} | CLOCKS
"""The call goes on while it lasts; after the others it goes on when they are healed."""
