"""FastAGI: Asterisk asks us what to do with a caller in a menu; one worker thread a call.

pyst2 gives the AGI commands; the way in which it reads and writes is replaced, since it was made
for one process a call: an end of file and a HANGUP line are the caller's hanging up, arguments
are quoted, lines are bounded. More calls than threads are closed at once, and a call that is in a
menu for too long is closed too, so that the dialplan goes on and the caller waits for a person.
"""

from __future__ import annotations

import base64
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any, Final

from asterisk.agi import (
    AGI,
    AGIAppError,
    AGIError,
    AGIHangup,
    AGIInvalidCommand,
    AGIResultHangup,
    AGIUnknownError,
    AGIUsageError,
)

logger = logging.getLogger(__name__)

MAX_LINE: Final = 8192
MAX_ENVIRONMENT: Final = 200
SILENT_LINE_S: Final = 60.0
"""The longest that Asterisk may take to answer one command: our longest prompt and its wait."""
MAX_CALL_S: Final = 120.0
"""The longest that a caller may be in a menu, whatever the menu does."""
LOOK_EVERY_S: Final = 1.0
ANY_KEY: Final = "0123456789*#"
MAX_KEYS: Final = 4
NEXT_KEY_MS: Final = 500
"""How soon the next key follows when somebody presses at random, or has an unsteady hand."""
TRY_AGAIN_S: Final = 0.1
RESULT: Final = re.compile(r"(\d{3})[ -]?(.*)", re.DOTALL)
VALUE: Final = re.compile(r"(\w+)=(\S*)(?:\s+\((.*)\))?", re.DOTALL)


class LineClosed(Exception):
    """The caller hung up, or Asterisk is gone."""


class CallerLine(AGI):  # type: ignore[misc]
    """pyst2's AGI on a socket. `env` holds what Asterisk said about the call."""

    def __init__(self, connection: socket.socket) -> None:
        # The base's own start installs a signal handler and writes to stderr: not in a thread.
        connection.settimeout(SILENT_LINE_S)
        self._connection: Final = connection
        self._reading: Final = connection.makefile("rb")
        self._got_sighup = False
        self.env: dict[str, str] = {}
        try:
            self._get_agi_env()
        except AGIHangup:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the socket: the dialplan goes on when its owner has closed it too."""
        self._reading.close()

    def _read_line(self) -> str:
        try:
            line = self._reading.readline(MAX_LINE)
        except (OSError, ValueError) as cause:
            raise AGIHangup(f"the connection went: {cause}") from None
        if not line.endswith(b"\n"):
            raise AGIHangup("the connection ended in the middle of a line")
        return line.decode("utf-8", "replace").rstrip("\r\n")

    def _get_agi_env(self) -> None:
        for _ in range(MAX_ENVIRONMENT):
            line = self._read_line()
            if not line:
                return
            key, _, value = line.partition(":")
            self.env[key.strip()] = value.strip()
        raise AGIHangup("Asterisk said more about the call than it ever does")

    def _quote(self, string: object) -> str:
        text = str(string)
        if any(c in text for c in "\r\n\0"):
            raise ValueError("a line break or NUL in an AGI argument is refused")
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    def send_command(self, command: str, *args: object) -> None:
        line = " ".join([command.strip(), *map(str, args)])
        if any(c in line for c in "\r\n\0"):
            raise ValueError("a line break or NUL in an AGI command is refused")
        try:
            self._connection.sendall(line.encode("utf-8") + b"\n")
        except OSError as cause:
            raise AGIHangup(f"the connection went: {cause}") from None

    def get_result(self, _stdin: object = None) -> dict[str, Any]:
        line = self._read_line()
        if line == "HANGUP":
            # It comes between replies; the reply itself would follow, but nobody is there.
            raise AGIResultHangup("the caller hung up")
        found = RESULT.match(line)
        if not found:
            raise AGIUnknownError(f"not an AGI reply: {line[:80]!r}")
        code, rest = int(found[1]), found[2]
        if code == 200:
            return self._values(rest)
        if code == 511:
            raise AGIResultHangup("the channel is dead")
        if code == 510:
            raise AGIInvalidCommand(rest)
        if code == 520:
            raise AGIUsageError(self._usage(line))
        raise AGIUnknownError(f"unknown AGI reply {code}: {rest[:80]!r}")

    @staticmethod
    def _values(rest: str) -> dict[str, Any]:
        if "(" in rest and ")" not in rest:
            # What follows on the next lines would be taken for the replies to later commands.
            raise AGIUnknownError("an AGI reply of more than one line")
        values: dict[str, Any] = {"result": ("", "")}
        for key, value, data in VALUE.findall(rest):
            values[key] = (value, data)
            if data == "hangup":
                raise AGIResultHangup("the caller hung up")
        if values["result"][0] == "-1":
            raise AGIAppError("hung up, or the file is missing")
        return values

    def _usage(self, line: str) -> str:
        lines = [line]
        while not lines[-1].startswith("520 ") and len(lines) < MAX_ENVIRONMENT:
            lines.append(self._read_line())
        return "\n".join(lines)

    # ── what a dialogue needs (ivr.dialogue.Line) ────────────────────────────────────────────

    def ask(self, prompts: Sequence[str], wait_s: float) -> str:
        """Play, wait for a key, and return it with those that follow at once; empty when none came.

        `prompts` are played one after the other, and any key cuts them short. Raises LineClosed.
        """
        try:
            keys = key = self._first_key(prompts, wait_s)
            while key and len(keys) < MAX_KEYS:
                key = self.wait_for_digit(NEXT_KEY_MS)
                keys += key
            # Some trunks have keys that no telephone has, and so has whoever wakes a wait.
            return "".join(key for key in keys if key in ANY_KEY)
        except AGIHangup:
            raise LineClosed from None
        except AGIAppError:
            self._still_there()
            raise

    def _first_key(self, prompts: Sequence[str], wait_s: float) -> str:
        for prompt in prompts[:-1]:
            if key := self.stream_file(prompt, ANY_KEY):
                return str(key)
        return str(self.get_data(prompts[-1], int(wait_s * 1000), 1))

    def note(self, name: str, value: str) -> None:
        """Set a variable of the caller's channel for the dialplan to read."""
        try:
            self.set_variable(name, value)
        except AGIHangup:
            raise LineClosed from None

    def get_variable(self, name: str) -> str:
        """What a variable of the channel holds, empty when it is not set. Raises LineClosed.

        A line break in it would end the reply early, so it travels as BASE64. The base's own also
        gives the word "hangup" for a caller who has hung up.
        """
        coded = self._quote("${BASE64_ENCODE(${" + name + "})}")
        try:
            _, value = self.execute("GET FULL VARIABLE", coded)["result"]
        except AGIHangup:
            raise LineClosed from None
        return base64.b64decode(value).decode("utf-8", "replace")

    def _still_there(self) -> None:
        """A result of -1 means hung up or no such file; the channel's status tells which."""
        try:
            self.channel_status()
        except AGIError:
            raise LineClosed from None


class FastAgiServer:
    """Accepts on `host:port`; each call is handled by `handle` in a thread of its own.

    A call over `max_calls` is closed at once, and one that lasts longer than MAX_CALL_S is closed
    then. Its thread ends when it next speaks or listens; until then it keeps its place.
    """

    def __init__(
        self, host: str, port: int, handle: Callable[[CallerLine], None], max_calls: int
    ) -> None:
        self._handle: Final = handle
        self._places: Final = threading.BoundedSemaphore(max_calls)
        self._closing: Final = threading.Event()
        self._begun: Final[dict[socket.socket, float]] = {}
        self._listening: Final = socket.create_server((host, port), backlog=128)
        self._accepting: Final = threading.Thread(
            target=self._accept, name="agi-accept", daemon=True
        )

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._listening.getsockname()[:2]
        return host, port

    def is_accepting(self) -> bool:
        """Whether callers are taken; if not, they must not be led here."""
        return self._accepting.is_alive()

    def start(self) -> None:
        # Between two callers it looks for those who have been in their menu for too long.
        self._listening.settimeout(LOOK_EVERY_S)
        self._accepting.start()

    def close(self) -> None:
        """Accept no more; calls in progress end with the process or their caller."""
        self._closing.set()
        # A thread that sits in accept() is only woken by shutdown, not by close.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join()

    def _accept(self) -> None:
        while True:
            self._end_overdue()
            try:
                connection, _ = self._listening.accept()
            except TimeoutError:
                continue
            except OSError as cause:
                if self._closing.is_set():
                    return
                # A caller gone before we took it, or no file left to open: the next one may do.
                logger.warning("a call for a menu could not be taken: %s", cause)
                self._closing.wait(TRY_AGAIN_S)
                continue
            if not self._places.acquire(blocking=False):
                logger.warning("more calls in menus than threads; this one goes to a person")
                connection.close()
                continue
            self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        """Serve it in a thread of its own; without one its caller goes to a person."""
        self._begun[connection] = time.monotonic()
        serving = threading.Thread(
            target=self._serve, args=(connection,), name="agi-call", daemon=True
        )
        try:
            serving.start()
        except (RuntimeError, MemoryError) as cause:
            # The system gives no more threads, or no memory for one; later it may.
            logger.warning("a call for a menu got no thread (%s); it goes to a person", cause)
            self._begun.pop(connection, None)
            connection.close()
            self._places.release()

    def _end_overdue(self) -> None:
        """Close what lasts too long; a thread that hangs in our own code could not do it itself."""
        now = time.monotonic()
        for connection, begun in list(self._begun.items()):
            if now - begun > MAX_CALL_S:
                logger.warning("a menu lasted longer than %.0f s; its caller goes on", MAX_CALL_S)
                self._begun.pop(connection, None)
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, closing(CallerLine(connection)) as line:
                self._handle(line)
        except (AGIHangup, LineClosed):
            logger.debug("a caller hung up in a menu")
        except (AGIError, OSError, ValueError, LookupError):
            # The connection closes, the dialplan goes on, the caller reaches a person.
            logger.exception("a menu failed; its caller goes to a person")
        finally:
            self._begun.pop(connection, None)
            self._places.release()
