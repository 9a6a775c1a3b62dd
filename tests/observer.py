"""Watches one Asterisk through its manager interface, independently of Careline's own connection.

A thread reads everything that arrives and keeps it in order; tests ask, or wait for an event.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

Message = dict[str, str]
T = TypeVar("T")


def wait_until(
    predicate: Callable[[], T], timeout: float = 10.0, what: str = "", seen: object = None
) -> T:
    """Ask again until the answer is true and return it; AssertionError says what was seen.

    `seen` is shown when time is up; a callable is called then.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            shown = seen() if callable(seen) else (seen if seen is not None else answer)
            raise AssertionError(f"{what or predicate} did not come true in {timeout} s: {shown}")
        time.sleep(0.02)


class Observer:
    """A signed-in manager session. `events` holds every event since then, in order.

    A session with a restarted Asterisk may go on with the `events` of the one before.
    """

    def __init__(
        self,
        host: str,
        user: str,
        secret: str,
        port: int = 5038,
        events: list[Message] | None = None,
    ) -> None:
        self.events: list[Message] = [] if events is None else events
        self._answers: dict[str, list[Message]] = {}
        self._ids = itertools.count(1)
        self._socket = socket.create_connection((host, port), timeout=5)
        self._socket.settimeout(None)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        answer = self.action("Login", Username=user, Secret=secret)
        assert answer["Response"] == "Success", answer

    def close(self) -> None:
        """End the session."""
        self._socket.close()

    def action(self, name: str, *more: tuple[str, str], **headers: str) -> Message:
        """Send an action and return its response. Repeated headers go into `more`."""
        return self._ask(name, more, headers, bool)[0]

    def list_of(self, name: str, **headers: str) -> list[Message]:
        """The entries that a listing action (CoreShowChannels, QueueStatus) gives."""
        got = self._ask(name, (), headers, _listed)
        return [m for m in got if "Event" in m and m.get("EventList") != "Complete"]

    def _ask(
        self,
        name: str,
        more: tuple[tuple[str, str], ...],
        headers: dict[str, str],
        complete: Callable[[list[Message]], bool],
    ) -> list[Message]:
        number = f"test-{next(self._ids)}"
        got = self._answers.setdefault(number, [])
        lines = [("Action", name), ("ActionID", number), *headers.items(), *more]
        text = "".join(f"{key}: {value}\r\n" for key, value in lines) + "\r\n"
        self._socket.sendall(text.encode())
        wait_until(lambda: complete(got), 10, f"an answer to {name}", lambda: got)
        return got

    def _read(self) -> None:
        message: Message = {}
        try:
            stream = self._socket.makefile("r", encoding="utf-8", errors="replace", newline="\r\n")
            for line in stream:
                key, separator, value = line.rstrip("\r\n").partition(": ")
                if not line.strip():
                    self._take(message)
                    message = {}
                elif key == "ChanVariable":
                    variable, _, text = value.partition("=")
                    message[variable] = text
                elif separator or key.endswith(":"):
                    message[key.rstrip(":")] = value
        except (OSError, ValueError):
            return

    def _take(self, message: Message) -> None:
        if message.get("ActionID") in self._answers:
            self._answers[message["ActionID"]].append(message)
        if "Event" in message:
            self.events.append(message)

    def find(self, event: str, since: int = 0, **fields: str) -> list[Message]:
        """The events of this name whose fields are these. For a UserEvent give its own name."""
        return [
            m
            for m in self.events[since:]
            if event in (m["Event"], m.get("UserEvent"))
            and all(m.get(key) == value for key, value in fields.items())
        ]

    def wait_for(self, event: str, timeout: float = 10, since: int = 0, **fields: str) -> Message:
        """The first such event; waits for it."""
        return wait_until(
            lambda: self.find(event, since, **fields),
            timeout,
            f"{event} {fields}",
            lambda: [m.get("UserEvent", m["Event"]) for m in self.events[since:]][-40:],
        )[0]

    def channels(self) -> list[str]:
        """The names of the channels that live now."""
        return [m["Channel"] for m in self.list_of("CoreShowChannels")]

    def rooms(self) -> list[str]:
        """The names of the conference rooms that stand now."""
        return [m["Conference"] for m in self.list_of("ConfbridgeListRooms")]

    def set_global(self, variable: str, value: str) -> None:
        """Set a global variable of the dialplan."""
        answer = self.action("Setvar", Variable=variable, Value=value)
        assert answer["Response"] == "Success", answer

    def assert_idle(self, timeout: float = 8.0) -> None:
        """Zero channels and zero rooms; what is left is hung up, then the assertion fails."""
        try:
            wait_until(lambda: not self.channels(), timeout, "zero channels", self.channels)
            assert not self.rooms(), self.rooms()
        except AssertionError:
            for channel in self.channels():
                self.action("Hangup", Channel=channel)
            raise


def _listed(got: list[Message]) -> bool:
    return bool(got) and (
        got[0].get("Response") == "Error" or got[-1].get("EventList") == "Complete"
    )
