"""A whole Careline as a user starts it: `./careline run` in a home of its own, and its database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy.ext.asyncio import AsyncSession

from asterisk_conf.instance import service_user
from control import Controller
from home import Home
from launch import asterisk_tree
from settings import Settings, load
from sql.engine import Database
from sql.models import CallRecord
from sql.queries import calls, elders
from tests.audio import tone_so_far
from tests.observer import Observer, wait_until
from tests.telephone import Block, Carrier, Leg, claim_addresses
from workflows.commands import CloseCase, Command, FollowUp, WriteRecord
from workflows.events import CaseOutcome

ROOT = Path(__file__).parent.parent
END_S = 20

TOML = """
[recordings]
keep_free_mb = 1
[centre]
node = "house"
[addresses]
host = "{host}"
[[trunks]]
name = "carrier"
host = "{carrier}:5060"
match = {match}
[[queues]]
name = "hotline"
ring_s = 10
wrap_up_s = 0
[[queues]]
name = "emergency"
ring_s = 10
wrap_up_s = 0
weight = 10
[[seats]]
extension = "1001"
name = "一号坐席"
[[seats]]
extension = "1002"
name = "二号坐席"
"""


@dataclass
class House:
    """A running Careline. `said` is what it wrote on stderr; `ready` its JSON line."""

    home: Home
    config: Path
    process: subprocess.Popen[str]
    ready: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    listening: threading.Thread = field(default_factory=threading.Thread)

    @property
    def settings(self) -> Settings:
        return load(self.config, {})

    @property
    def admin_password(self) -> str:
        """The password that was printed once."""
        line = next(line for line in self.said if "first sign-in" in line)
        return line.split("password ")[1].split()[0]

    def read(self, query: Callable[[AsyncSession], Any]) -> Any:
        """Run one of the desk's queries on the house's database."""

        async def ask() -> Any:
            database = Database(self.settings.database_url(self.home.root))
            try:
                async with database.reading() as session:
                    return await query(session)
            finally:
                await database.close()

        return asyncio.run(ask())

    def wait_for(self, query: Callable[[AsyncSession], Any], what: str, timeout: float = 10) -> Any:
        """The query's answer, once it is something."""
        return wait_until(lambda: self.read(query), timeout, what, self.log)

    def enter_elder(self, name: str, *numbers: str) -> str:
        """Put an elder into the register; returns the unique code."""

        async def enter() -> str:
            database = Database(self.settings.database_url(self.home.root))
            try:
                async with database.writing() as session:
                    elder = await elders.add(
                        session,
                        full_name=name,
                        sex="female",
                        birth_date=None,
                        site="main",
                        numbers=[(number, number) for number in numbers],
                        address={"addr_street": "测试街道", "addr_room": "402"},
                        at=datetime.now(UTC),
                    )
                    return elder.elder_uid
            finally:
                await database.close()

        return asyncio.run(enter())

    def log(self, name: str = "controller") -> str:
        return "\n".join((self.home.logs / f"{name}.log").read_text("utf-8").splitlines()[-25:])

    def child(self, name: str) -> int:
        """The pid of one of Careline's processes."""
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = entry.read_bytes().split(b"\0")
                if name.encode() in words and str(self.home.root).encode() in words:
                    return int(entry.parent.name)
        raise AssertionError(f"no {name} is running in {self.home.root}")

    def living(self) -> list[str]:
        """The command lines of all that runs in the home: ours, and Asterisk."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = entry.read_bytes().decode("utf-8", "replace").split("\0")
                if any(word.startswith(str(self.home.root)) for word in words):
                    found.append(" ".join(words))
        return found

    def interrupt(self) -> None:
        """Ctrl-C at the terminal."""
        self.process.send_signal(signal.SIGINT)

    def wait_ended(self, timeout: float = 30) -> int:
        return self.process.wait(timeout)

    def end_asterisk(self) -> None:
        """End an Asterisk that outlived the rest, as it does when that is killed."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.home.asterisk / "run" / "started.pid").read_text("ascii"))
            if str(self.home.root).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of the pipes of an ended process."""
        self.process.wait(10)
        self.listening.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


def write_config(file: Path, block: Block, more: str = "") -> Path:
    peers = [block.carrier, *(block.caller(number) for number in range(10))]
    written = TOML.format(host=block.centre, carrier=block.carrier, match=json.dumps(peers))
    # Where a test does not ask for it, an elder who hangs up is not called back.
    rests = "" if "[rescue]" in more else "[rescue]\ncall_back_s = 0\n"
    file.write_text(rests + written + more, "utf-8")
    return file


def start(
    home: Path,
    config: Path,
    *,
    checkout: Path = ROOT,
    starter: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> House:
    """`./careline run`, or another starter; returns once it said that it is ready, or has ended."""
    process = subprocess.Popen(
        [*(starter or (checkout / "careline", "run")), "--home", home, "--config", config],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("CARELINE_")}
        | dict(variables or {}),
    )
    house = House(Home(home), config, process)
    assert process.stderr is not None
    house.listening = threading.Thread(
        target=_listen, args=(process.stderr, house.said), daemon=True
    )
    house.listening.start()
    assert process.stdout is not None
    line = process.stdout.readline()
    if line:
        house.ready = json.loads(line)
    return house


def _listen(stream: Any, said: list[str]) -> None:
    said.extend(line.rstrip() for line in stream)


@contextlib.contextmanager
def running(
    home: Path,
    config: Path,
    starter: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> Iterator[House]:
    """A house that is ready, and is stopped with everything in it afterwards."""
    house = start(home, config, starter=starter, variables=variables)
    try:
        assert house.ready.get("ready") is True, "\n".join(house.said)
        yield house
    finally:
        # The second one is for calls that a test has left, for which the first one waits.
        for _ in range(2):
            if house.process.poll() is None:
                house.interrupt()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    house.wait_ended(END_S)
        if is_stuck := house.process.poll() is None:
            house.process.kill()
            house.end_asterisk()
        house.close()
        assert not is_stuck, f"Ctrl-C did not end it: {house.said[-20:]}"


@dataclass(frozen=True)
class Town:
    """A house with a carrier whose telephones can call it, and an observer of its Asterisk."""

    house: House
    carrier: Carrier
    observer: Observer

    def assert_silent(self) -> None:
        """Nothing may be left on either side."""
        self.carrier.hang_up_all()
        self.carrier.observer.assert_idle()
        self.observer.assert_idle()


@contextlib.contextmanager
def town_of(house: House, block: Block, folder: Path) -> Iterator[Town]:
    """The house with a carrier whose phones are signed in as its seats."""
    settings = house.settings
    seats = house.home.seat_passwords(tuple(s.extension for s in settings.seats))
    carrier = Carrier(
        folder, asterisk_tree.find(), service_user(), block, settings.addresses.sip_address, seats
    )
    carrier.start()
    observer = Observer(settings.addresses.internal, "careline", house.home.secret("ami"))
    try:
        carrier.wait_registered()
        if any(trunk.name == "carrier" for trunk in settings.trunks):
            wait_reachable(observer)
        yield Town(house, carrier, observer)
    finally:
        observer.close()
        carrier.stop()


def wait_reachable(observer: Observer) -> None:
    """Have the centre look now whether its carrier is there (it does so twice a minute), and return
    when it knows."""

    def is_reachable() -> bool:
        observer.action("PJSIPQualify", Endpoint="trunk-carrier")
        found = observer.list_of("PJSIPShowEndpoint", Endpoint="trunk-carrier")
        states = [m["Status"] for m in found if m["Event"] == "ContactStatusDetail"]
        return states == ["Reachable"]

    wait_until(is_reachable, 15, "the carrier is reachable")


@contextlib.contextmanager
def own_town(folder: Path, more: str = "") -> Iterator[Town]:
    """A house and its carrier in this folder; the seats' phones ring until a test says more.

    `more` is added to its settings.
    """
    with (
        claim_addresses(100) as block,
        running(folder / "home", write_config(folder / "careline.toml", block, more)) as house,
        town_of(house, block, folder / "carrier") as town,
    ):
        for seat in house.settings.seats:
            town.carrier.phone(seat.extension).rings()
        yield town


def listen(leg: Leg, seconds: float, tone: float = 0) -> None:
    """Return when the telephone has heard (and kept) so many more seconds; of this tone, if any."""
    already = leg.bytes_heard()

    def so_far() -> float:
        if tone and leg.bytes_heard():
            return tone_so_far(leg.ears(), tone, already)
        return (leg.bytes_heard() - already) / 16000

    # On a loaded machine the sound comes late, and in pieces.
    what = f"{seconds} s more of {tone or 'anything'} in {leg.ears()}"
    wait_until(lambda: so_far() >= seconds, seconds + 10, what, so_far)


def call_of(town: Town, since: int) -> str:
    """The id of the call that arrived after so many events."""
    return town.observer.wait_for("CallArrived", since=since)["Call"]


def wish(house: House, *commands: Command) -> None:
    """As the desk tells them to the controller. Raises what the process refuses."""

    async def tell() -> None:
        controller = Controller(house.home.control_socket, house.home.secret("control"))
        try:
            for command in commands:
                await controller.tell(command)
        finally:
            await controller.close()

    asyncio.run(tell())


def open_cases(house: House) -> list[str]:
    """The emergencies that have a file in the journal on the disk."""
    return [unquote(file.stem) for file in house.home.rescue.glob("*.jsonl")]


def put_away(house: House, *cases: str) -> None:
    """A person writes the record of these emergencies, or of all that are open, closes them and
    asks after the elders; then nothing of them is left in the journal on the disk."""
    by: dict[str, Any] = {"at": datetime.now(UTC), "by": "测试"}
    for case in cases or open_cases(house):
        wish(
            house,
            WriteRecord(case_id=case, **by, text="测试"),
            CloseCase(case_id=case, **by, outcome=CaseOutcome.TEST, changes="无变更"),
            FollowUp(case_id=case, **by, text="测试"),
        )
    # The recordings of the legs are waited for, too, and are made last of all.
    wait_until(lambda: not list(house.home.rescue.iterdir()), 60, "nothing left in the journal")


def ended_call(house: House, call_id: str, timeout: float = 10) -> CallRecord:
    """The call's row once its end is saved."""

    async def ended(session: AsyncSession) -> CallRecord | None:
        row = await calls.one(session, call_id)
        return row if row and row.ended_at else None

    row = house.wait_for(ended, f"the end of {call_id} in the database", timeout)
    assert isinstance(row, CallRecord)
    return row


def kept_recording(house: House, call_id: str) -> CallRecord:
    """The call's row once its recording is kept."""

    async def kept(session: AsyncSession) -> CallRecord | None:
        row = await calls.one(session, call_id)
        return row if row and row.recording and row.recording.state == "kept" else None

    row = house.wait_for(kept, f"the finished recording of {call_id}", 40)
    assert isinstance(row, CallRecord)
    return row
