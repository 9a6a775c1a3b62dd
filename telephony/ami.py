"""The one AMI connection: panoramisk with its holes closed.

A connection is never repaired, it is replaced: each has a fresh panoramisk manager, so nothing
that waited on the old one can be sent on the new one (panoramisk sent an Originate twice). Events
come out of one queue in the order in which Asterisk sent them. A peer that stops answering our own
pings is dropped. Everything that waits when the connection goes fails with AmiDown.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from panoramisk import Manager
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol

from workflows.events import Event

logger = logging.getLogger(__name__)
# Panoramisk logs every message with its numbers; only its troubles are ours.
logging.getLogger("panoramisk").setLevel(logging.WARNING)

CONNECT_TIMEOUT_S: Final = 3.0
ACTION_TIMEOUT_S: Final = 5.0
BOOT_TIMEOUT_S: Final = 60.0
PING_EVERY_S: Final = 2.0
PING_TIMEOUT_S: Final = 3.0
RECONNECT_S: Final = 0.5
NEVER_S: Final = 10**8

END: Final = "\r\n\r\n"
REFUSALS: Final = ("Error", "Fail", "Failure")
EMPTY_LIST: Final = re.compile(r"no .* found\.?", re.IGNORECASE)

AmiEvent = Mapping[str, Any]


class AmiDown(Exception):
    """There is no connection to Asterisk, or it went while the answer was awaited."""


class AmiRefused(Exception):
    """Asterisk answered an action with an error; the text is its own."""


class Asked(Action):  # type: ignore[misc]
    """An action that ends at its first answer, at its list's end, or at an error."""

    def add_message(self, message: Mapping[str, Any]) -> bool:
        self.responses.append(message)
        if self.future.done():
            return True
        # Panoramisk waits for ever on the list of an action that was refused.
        refused = message.get("Response") in REFUSALS
        if refused or not self.as_list or is_list_end(message):
            self.future.set_result(self.responses)
            return True
        return False


class Protocol(AMIProtocol):  # type: ignore[misc]
    """Decodes across chunk borders, reads events itself, and fails what waits when it closes.

    With 50 calls up 600 events a second come, most of them lines of lists. Panoramisk's own message
    takes ten times as long to make as a dictionary, and the card of a call would wait for it.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""

    def data_received(self, data: bytes) -> None:
        # The base decodes each chunk on its own and would lose a character cut in two.
        *whole, self._begun = (self._begun + self._decoder.decode(data)).split(END)
        for message in map(str.lstrip, whole):
            if message.startswith("Event: "):
                self._take_event(read_event(message))
            else:
                super().data_received((message + END).encode("utf-8"))

    def _take_event(self, event: AmiEvent) -> None:
        """One of a list goes to the action that asked for it, every other one to all."""
        action = self.responses.get(event.get("ActionID"))
        if action is None:
            self.factory.on_event(event)
        elif action.add_message(event):
            del self.responses[action.id]

    def close(self) -> None:
        waiting = {id(action): action for action in self.responses.values()}
        self.responses.clear()
        for action in waiting.values():
            if not action.future.done():
                action.future.set_exception(AmiDown("the connection to Asterisk was lost"))
                # Whoever waited has it; nobody else needs the warning of an unread error.
                action.future.exception()
        super().close()


class Connection(Manager):  # type: ignore[misc]
    """One connection from its making to its loss. It never reconnects."""

    def __init__(self, on_event: Callable[[AmiEvent], None], **config: Any) -> None:
        super().__init__(
            **config, protocol_factory=Protocol, ping_delay=NEVER_S, ping_interval=NEVER_S
        )
        self.lost: Final = asyncio.Event()
        self.on_event: Final = on_event

    def connection_made(self, f: asyncio.Task[Any]) -> None:
        if not f.cancelled() and f.exception() is None:
            super().connection_made(f)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — the base's name.
        self.lost.set()

    async def send_awaiting_actions(self, *_: object) -> None:
        """Nothing is ever sent again by the library."""


@dataclass(frozen=True, slots=True)
class Login:
    """Where Asterisk's manager interface is, and who we are there."""

    host: str
    port: int
    username: str
    secret: str


class Ami:
    """Keeps a connection up. `events` yields AMI events in order, `None` whenever it was lost.

    After each (re)connect and `FullyBooted` there is an event `{"Event": "Connected"}` of ours:
    from there on the picture must be read anew.
    """

    def __init__(self, login: Login) -> None:
        self._login: Final = login
        self._connection: Connection | None = None
        self.events: Final[asyncio.Queue[AmiEvent | Event | None]] = asyncio.Queue()
        # The same for emergencies, whose reader never waits for what the other may wait for.
        self.urgent: Final[asyncio.Queue[AmiEvent | None]] = asyncio.Queue()
        self.trouble: str = "not connected yet"

    @property
    def is_up(self) -> bool:
        return self._connection is not None

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        while True:
            try:
                await self._one_connection()
            except (OSError, TimeoutError, AmiDown, AmiRefused) as cause:
                self._say(str(cause) or type(cause).__name__)
            if self._connection is not None:
                self._connection = None
                self._hear(None)
            await asyncio.sleep(RECONNECT_S)

    def _hear(self, event: AmiEvent | None) -> None:
        self.events.put_nowait(event)
        self.urgent.put_nowait(event)

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            logger.warning("Asterisk at %s: %s", self._login.host, trouble)
        self.trouble = trouble

    async def _one_connection(self) -> None:
        booted = asyncio.Event()

        def note(event: AmiEvent) -> None:
            if event["Event"] == "FullyBooted":
                booted.set()
            self._hear(event)

        connection = Connection(
            note,
            host=self._login.host,
            port=self._login.port,
            encoding="utf-8",
            loop=asyncio.get_running_loop(),
        )
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connection.connect()
            # The manager takes the connection in a callback of the same task.
            await asyncio.sleep(0)
            await self._log_in(connection)
            await _first_of(booted, connection.lost, within_s=BOOT_TIMEOUT_S)
            if not booted.is_set():
                raise AmiDown("it did not come up")
            self._connection = connection
            self.trouble = ""
            logger.info("connected to Asterisk at %s", self._login.host)
            self._hear({"Event": "Connected"})
            await self._watch(connection)
        finally:
            connection.close()

    async def _log_in(self, connection: Connection) -> None:
        try:
            await _ask(
                connection, ACTION_TIMEOUT_S, False,
                {"Action": "Login", "Username": self._login.username,
                 "Secret": self._login.secret, "Events": "on"},
            )  # fmt: skip
        except AmiRefused as refused:
            raise AmiRefused(
                f"the sign-in as {self._login.username!r} was refused ({refused}); the secret in "
                "the home and manager.conf differ: start again to render it anew"
            ) from None

    async def _watch(self, connection: Connection) -> None:
        """Return when the connection is lost or its peer no longer answers."""
        while not connection.lost.is_set():
            await _ask(connection, PING_TIMEOUT_S, False, {"Action": "Ping"})
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    await connection.lost.wait()
            except TimeoutError:
                continue
        raise AmiDown("the connection was lost")

    async def action(
        self, name: str, timeout_s: float = ACTION_TIMEOUT_S, **fields: str | list[str]
    ) -> AmiEvent:
        """Send one action and return its answer.

        Raises AmiDown without a connection, AmiRefused with Asterisk's words, TimeoutError, and
        ValueError for a line break or NUL in any value.
        """
        answers = await self._send(name, timeout_s, False, fields)
        return answers[0]

    async def listing(
        self, name: str, timeout_s: float = ACTION_TIMEOUT_S, **fields: str | list[str]
    ) -> list[AmiEvent]:
        """Send an action that answers with a list of events; returns those events."""
        try:
            answers = await self._send(name, timeout_s, True, fields)
        except AmiRefused as refused:
            # Some lists say by an error that they are empty ("No Contacts found").
            if EMPTY_LIST.fullmatch(str(refused).strip()):
                return []
            raise
        return [m for m in answers if "Event" in m and not is_list_end(m)]

    async def _send(
        self, name: str, timeout_s: float, as_list: bool, fields: Mapping[str, str | list[str]]
    ) -> list[AmiEvent]:
        if self._connection is None or self._connection.lost.is_set():
            raise AmiDown(f"{name} was not sent: {self.trouble or 'the connection was lost'}")
        return await _ask(self._connection, timeout_s, as_list, {"Action": name, **fields})


async def _first_of(*events: asyncio.Event, within_s: float) -> None:
    """Return when one of them is set, or when the time is over."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


async def _ask(
    connection: Connection,
    timeout_s: float,
    as_list: bool,
    fields: Mapping[str, str | list[str]],
) -> list[AmiEvent]:
    for key, value in fields.items():
        for one in (key, *([value] if isinstance(value, str) else value)):
            if any(c in one for c in "\r\n\0"):
                raise ValueError(f"{fields['Action']}: a line break or NUL in {key} is refused")
    action = Asked(fields, as_list=as_list)
    # Python 3.11's wait_for forgets that it was cancelled when the answer comes at that moment:
    # the connection would then outlive the controller's stop.
    async with asyncio.timeout(timeout_s):
        answers: list[AmiEvent] = await connection.protocol.send(action, as_list=as_list)
    if answers[-1].get("Response") in REFUSALS:
        raise AmiRefused(answers[-1].get("Message", ""))
    return answers


def is_list_end(message: AmiEvent) -> bool:
    """Whether a list is over. Its lines may hold line breaks that a caller has sent, and so any
    field; their names they cannot change."""
    return str(message.get("Event")).endswith("Complete") and "EventList" in message


def read_event(message: str) -> dict[str, Any]:
    """An event's fields as Asterisk spells them; those of a field that comes twice are a list."""
    event: dict[str, Any] = {}
    for line in message.split("\r\n"):
        key, colon, value = line.partition(": ")
        if not colon:
            continue
        if key not in event:
            event[key] = value
        elif isinstance(event[key], list):
            event[key].append(value)
        else:
            event[key] = [event[key], value]
    return event
