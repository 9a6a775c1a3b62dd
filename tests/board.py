"""A switchboard that listens to a real Asterisk, as in the controller, without a database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from asterisk_conf.ports import AMI_PORT, AMI_USER
from home import Home
from settings import Settings
from telephony.ami import Ami, Login
from telephony.exchange import AWAY, Exchange
from telephony.listener import Listener
from telephony.reconcile import OpenCall
from telephony.switchboard import Change, PictureNow, Switchboard
from telephony.translate import Translator
from tests.observer import Observer, wait_until
from workflows.commands import Command
from workflows.events import Event

T = TypeVar("T")
Picture = dict[str, object]


class Board:
    """`changes` is everything that was shown, in order. It runs in a thread of its own."""

    def __init__(self, settings: Settings, home: Home) -> None:
        self.switchboard = Switchboard(
            [seat.extension for seat in settings.seats],
            {trunk.name: trunk.registers for trunk in settings.trunks},
            {queue.name: queue.wrap_up_s for queue in settings.queues},
        )
        self.changes: list[Change] = []
        self.connects: list[bool] = []
        self._login = Login(settings.addresses.internal, AMI_PORT, AMI_USER, home.secret("ami"))
        self._node = settings.centre.node
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._run(self._start())

    async def _start(self) -> None:
        self._ami = Ami(self._login)
        self.listener = Listener(
            self._ami, Translator(self._node, str), self.switchboard,
            handle_many=self._ignore, heard=lambda _: None, refused=lambda _: None,
            open_calls=self._no_calls, changed=self._note,
            connected=self.connects.append, stored=lambda _: None,
            now=lambda: datetime.now(UTC),
        )  # fmt: skip
        works = (self._ami.run, self.listener.run, self.listener.watch, self.listener.tick)
        self._tasks = [asyncio.ensure_future(work()) for work in works]

    async def _ignore(self, events: Sequence[Event]) -> int:
        return len(events)

    async def _no_calls(self) -> dict[str, OpenCall]:
        return {}

    def _note(self, change: Change) -> None:
        self.changes.append(change)

    def stop(self) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    # ── what a test does with it ─────────────────────────────────────────────────────────────

    def wish(self, command: Command) -> None:
        self._run(self.listener.wish(command))

    def cut(self) -> None:
        """The connection to Asterisk breaks, and is made again."""
        count = len(self.connects)

        async def abort() -> None:
            connection = self._ami._connection
            assert connection is not None
            connection.protocol.transport.abort()

        self._run(abort())
        wait_until(lambda: self.connects[count:] == [False, True], 10, "a new connection")

    def forge(self, change: Any) -> None:
        """Let something be done to the switchboard in its own thread."""

        async def forge() -> None:
            change(self.switchboard)

        self._run(forge())

    def seat(self, extension: str) -> str:
        return self.switchboard.seats[extension].state

    def wait_seat(self, extension: str, state: str, timeout: float = 8) -> None:
        wait_until(
            lambda: self.seat(extension) == state,
            timeout,
            f"seat {extension} is {state}",
            lambda: self.switchboard.seats[extension],
        )

    def wrong(self) -> list[PictureNow]:
        """The times at which the picture was found to differ from Asterisk."""
        return [c for c in list(self.changes) if isinstance(c, PictureNow) and c.differs]


@contextmanager
def listening(settings: Settings, home: Home) -> Iterator[Board]:
    """A board whose picture is read, until the block is left."""
    board = Board(settings, home)
    board.start()
    try:
        wait_until(lambda: board.connects[-1:] == [True], 10, "the board is connected")
        yield board
    finally:
        board.stop()


def shown(exchange: Exchange) -> Picture:
    """What the switchboard shows, thing by thing."""
    picture: Picture = {}
    for leg in list(exchange.legs.values()):
        picture[f"leg {leg.id}"] = (leg.name, leg.state, leg.bridge, leg.call, leg.party)
    for m in list(exchange.members.values()):
        said = (m.status, m.paused, m.reason, m.penalty, m.in_call, m.last_call)
        picture[f"member {m.interface} of {m.queue}"] = said
    for queue, line in list(exchange.waiting.items()):
        if line:
            picture[f"line of {queue}"] = list(line)
    for room, people in list(exchange.rooms.items()):
        picture[f"room {room}"] = sorted(people)
    for device, state in list(exchange.devices.items()):
        if state not in AWAY:
            picture[f"device {device}"] = state
    return picture


def true(observer: Observer) -> Picture:
    """The same as Asterisk lists it, read by the observer alone."""
    picture: Picture = {}
    for c in observer.list_of("CoreShowChannels"):
        said = (c["Channel"], c["ChannelStateDesc"], c["BridgeId"])
        words = (c.get("CARELINE_CALL", ""), c.get("CARELINE_PARTY", ""))
        picture[f"leg {c['Uniqueid']}"] = (*said, *words)
    lines: dict[str, list[str]] = {}
    for m in observer.list_of("QueueStatus"):
        if m["Event"] == "QueueMember":
            picture[f"member {m['Location']} of {m['Queue']}"] = (
                int(m["Status"]), m["Paused"] == "1", m["PausedReason"], int(m["Penalty"]),
                m["InCall"] == "1", int(m["LastCall"]),
            )  # fmt: skip
        elif m["Event"] == "QueueEntry":
            lines.setdefault(f"line of {m['Queue']}", []).append(m["Uniqueid"])
    for room in observer.rooms():
        people = observer.list_of("ConfbridgeList", Conference=room)
        picture[f"room {room}"] = sorted(p["Uniqueid"] for p in people)
    for d in observer.list_of("DeviceStateList"):
        if d["Device"].startswith("PJSIP/") and d["State"] not in AWAY:
            picture[f"device {d['Device']}"] = d["State"]
    return picture | lines


def differences(board: Board, observer: Observer) -> list[str]:
    """Each thing that the board shows otherwise than Asterisk lists it."""
    ours, theirs = shown(board.switchboard.exchange), true(observer)
    return [
        f"{what}: shown {ours.get(what)}, true {theirs.get(what)}"
        for what in sorted(ours.keys() | theirs.keys())
        if ours.get(what) != theirs.get(what)
    ]
