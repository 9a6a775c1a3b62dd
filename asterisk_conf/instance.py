"""One Asterisk process: starts it, knows when it is up, talks to it, finds it again, stops it.

The process outlives whoever started it: a supervisor that starts anew adopts the one it finds.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import pwd
import shlex
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from home import write_atomically

SHELL: Final = ("/bin/sh",)
SCRIPT: Final = Path(__file__).with_name("start.sh")
START_SCRIPT: Final = "start"
MEMORY: Final = Path("/dev/shm")  # noqa: S108 — start.sh takes no folder there but its own.
SERVICE_USER: Final = "careline"
PF_EXITING: Final = 0x4
"""The kernel's mark on a process that is being ended, in /proc/PID/stat."""
PATH_LIMIT: Final = 107
"""The longest path of a Unix socket on Linux, in bytes."""


class Installation(Protocol):
    """An Asterisk that can be started: what launch.asterisk_tree.find() returns."""

    @property
    def command(self) -> Sequence[str]: ...

    @property
    def modules_dir(self) -> Path: ...

    @property
    def data_dir(self) -> Path: ...


class AsteriskFailed(Exception):
    """Asterisk does not start or does not answer; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Bind:
    """An address that Asterisk will listen on. `setting` is the key that moves it."""

    host: str
    port: int
    kind: socket.SocketKind
    what: str
    setting: str

    def check(self) -> None:
        """Raise AsteriskFailed when the address cannot be had."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            with socket.socket(family, self.kind) as attempt:
                if self.kind is socket.SOCK_STREAM:
                    attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                attempt.bind((self.host, self.port))
        except OSError as cause:
            raise AsteriskFailed(self._reason(cause)) from None

    def _reason(self, cause: OSError) -> str:
        protocol = "UDP" if self.kind is socket.SOCK_DGRAM else "TCP"
        where = f"{self.host}:{self.port} ({self.what}, {protocol})"
        if cause.errno == errno.EADDRINUSE:
            return (
                f"{where} is taken by another program; `ss -lnptu sport = :{self.port}` names it. "
                f"Stop that one, or set {self.setting} to an address that is free"
            )
        if cause.errno == errno.EADDRNOTAVAIL:
            return f"{where}: this machine has no such address; set {self.setting} to one it has"
        if cause.errno == errno.EACCES:
            return (
                f"{where}: a port below 1024 is root's, and Careline runs as an ordinary user; set "
                f"{self.setting} to a higher one"
            )
        return f"{where}: {cause.strerror or cause}; set {self.setting} to another address"


def service_user() -> str:
    """Whom Asterisk runs as: `careline` when we are root, otherwise ourselves ("")."""
    return SERVICE_USER if os.geteuid() == 0 else ""


class Instance:
    """One Asterisk instance in `root` (HOME/asterisk), rendered before."""

    def __init__(
        self, root: Path, asterisk: Installation, user: str = "", binds: Sequence[Bind] = ()
    ) -> None:
        self.root = root
        self._asterisk = asterisk
        self._user = user
        self.binds: Final = tuple(binds)
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def _command(self) -> tuple[str, ...]:
        return (*self._asterisk.command, "-C", str(self.root / "etc" / "asterisk.conf"))

    @property
    def _pid_file(self) -> Path:
        return self.root / "run" / "started.pid"

    def write_start(self) -> None:
        """Write START_SCRIPT, which starts it as rendered and keeps its database in memory.

        It is one file and needs nothing of ours: so it works also while we are being upgraded.
        One that is right already is left alone: also a full disk lets Asterisk start again.
        """
        words = " ".join(shlex.quote(word) for word in (*self._command, "-f", "-n"))
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        text = (
            "# Written by Careline at each start.\n"
            f"root={shlex.quote(str(self.root))}\n"
            f"memory={MEMORY}/careline-{name}\n"
            f"asterisk() {{ exec {words}; }}\n" + SCRIPT.read_text("utf-8")
        )
        script = self.root / START_SCRIPT
        if script.exists() and script.read_text("utf-8") == text:
            return
        write_atomically(script, text, mode=0o600)
        if self._user:
            owner = self._identity()
            os.chown(script, owner["user"], owner["group"])

    @property
    def pid(self) -> int | None:
        """The pid of the living process, also of one that somebody else started; None if dead."""
        # What we started ourselves we know also when the disk was too full to note it.
        if self._child and self._child.poll() is None:
            return self._child.pid
        pid = self._noted_pid()
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return None
        # The pid may have gone to another program meanwhile; our configuration's path tells.
        ours = os.fsencode(self.root / "etc" / "asterisk.conf")
        return pid if ours in arguments else None

    def _noted_pid(self) -> int | None:
        try:
            return int(self._pid_file.read_text("ascii"))
        except (OSError, ValueError):
            return None

    def _dying_pid(self) -> int | None:
        """A process that is being ended loses its command line before it frees its addresses."""
        pid = self._noted_pid()
        try:
            fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        except OSError:
            return None
        return pid if int(fields[6]) & PF_EXITING else None

    async def start(self, within: float = 30.0) -> bool:
        """Start, or adopt the living one, and return when it is fully booted.

        True when it was started, False when it was adopted. Raises AsteriskFailed.
        """
        adopted = self.pid is not None
        if not adopted:
            await self.wait()
            self._check_path()
            for bind in self.binds:
                bind.check()
            self._spawn()
        try:
            async with asyncio.timeout(within):
                await self._booted()
        except TimeoutError:
            raise AsteriskFailed(
                f"Asterisk was not up after {within:.0f} s; the end of its log:\n{self._log()}"
            ) from None
        return not adopted

    def _check_path(self) -> None:
        control = self.root / "run" / "asterisk.ctl"
        if len(os.fsencode(control)) > PATH_LIMIT:
            raise AsteriskFailed(
                f"{control} is too long for a socket ({PATH_LIMIT} bytes); name a home with a "
                "shorter path"
            )

    def _identity(self) -> dict[str, Any]:
        return identity_of(self._user)

    def _spawn(self) -> None:
        self.write_start()
        console = self.root / "log" / "console"
        with console.open("ab") as output:
            self._child = subprocess.Popen(
                (*SHELL, self.root / START_SCRIPT),
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A session of its own: Ctrl-C at our terminal must not end the calls.
                start_new_session=True,
                umask=0o027,
                env=_environment(),
                **self._identity(),
            )

    async def _booted(self) -> None:
        control = self.root / "run" / "asterisk.ctl"
        while True:
            # Right after the fork the process still has our own command line.
            died = self._child is not None and self._child.poll() is not None
            if died or (self._child is None and self.pid is None):
                raise AsteriskFailed(
                    f"Asterisk ended while it started; the end of its log:\n{self._log()}"
                )
            if control.exists():
                with contextlib.suppress(AsteriskFailed):
                    await self.cli("core waitfullybooted")
                    return
            await asyncio.sleep(0.05)

    def _log(self) -> str:
        lines: list[str] = []
        for name in ("console", "messages"):
            with contextlib.suppress(OSError):
                lines += (self.root / "log" / name).read_text("utf-8", "replace").splitlines()[-8:]
        return "\n".join(f"    {line}" for line in lines) or "    (it is empty)"

    async def cli(self, command: str, within: float = 10.0) -> str:
        """What Asterisk prints for one console command; AsteriskFailed when it does not answer."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            "-rx",
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
            **self._identity(),
        )
        try:
            async with asyncio.timeout(within):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AsteriskFailed(
                f"Asterisk (pid {self.pid}) does not answer `{command}` within {within:.0f} s"
            ) from None
        text = output.decode("utf-8", "replace")
        if process.returncode != 0:
            raise AsteriskFailed(f"Asterisk refused `{command}`: {text.strip()}")
        return text

    async def reload(self) -> None:
        """Read the configuration again; calls go on. Transports keep their addresses."""
        await self.cli("core reload")

    async def wait(self) -> None:
        """Return when the process is dead, also when it is not our child."""
        pid = self.pid or self._dying_pid()
        if pid is None:
            return
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        loop = asyncio.get_running_loop()
        dead = asyncio.Event()
        loop.add_reader(handle, dead.set)
        try:
            await dead.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
        if self._child is not None:
            self._child.poll()

    async def stop(self, within: float = 5.0) -> None:
        """End it now, with whatever calls it has; by force when it does not go by itself."""
        if self.pid is None and self._child is None:
            # One that we do not know of may live, with its database in memory.
            return
        if self.pid is not None:
            with contextlib.suppress(AsteriskFailed):
                await self.cli("core stop now", within=2.0)
            await self._wait_a_while(within)
        for force in (signal.SIGTERM, signal.SIGKILL):
            if (pid := self.pid) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, force)
                await self._wait_a_while(within)
        if self._child is not None:
            self._child.wait()
            self._child = None
        with contextlib.suppress(AsteriskFailed):
            await run_start_script(self.root, "put-away", **self._identity())

    async def _wait_a_while(self, within: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self.wait()


def identity_of(user: str) -> dict[str, Any]:
    """As whom a process of Asterisk's is started; empty for ourselves. Raises AsteriskFailed."""
    if not user:
        return {}
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise AsteriskFailed(
            f"there is no user {user!r} on this machine; `./careline prepare` makes it"
        ) from None
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


async def run_start_script(root: Path, word: str, **identity: Any) -> bool:
    """Keep AstDB on the disk (`keep`, `put-away`); False when it could not be copied now."""
    process = await asyncio.create_subprocess_exec(
        *SHELL, root / START_SCRIPT, word, stderr=subprocess.DEVNULL, **identity
    )
    return await process.wait() == 0


def _environment() -> dict[str, str]:
    """What Asterisk needs to know of our environment: nothing that could hold a secret."""
    kept = {key: os.environ[key] for key in ("PATH", "TZ") if key in os.environ}
    return {"LANG": "C.UTF-8", "TERM": "dumb", **kept}
