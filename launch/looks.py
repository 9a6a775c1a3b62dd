"""What the doctor looks at, and how: each look ends by itself and never changes anything."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import ssl
import stat
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from asterisk_conf.instance import AsteriskFailed, Instance
from control import Controller
from home import PRACTICE, Home
from launch import asterisk_tree, processes
from launch.findings import AsteriskSeen, Lines
from launch.settle import old_transports
from settings import BadConfig, Settings, split
from sql.migrate import alembic_config, sync_url
from sql.models import Outbox
from workflows.effects import MakeRecording

PATIENCE_S: Final = 3.0
DAYS_LOOKED_AT: Final = 7
BACKUP_MARK: Final = "last-backup"
NOT_SYNCHRONISED: Final = 5
"""What adjtimex(2) returns while no time server steers the clock (TIME_ERROR)."""
TIMEX_BYTES: Final = 208
CONTACT: Final = re.compile(
    r"^\s*Contact:\s+([^/\s]+)/\S*\s.*?\b(Avail|NonQual|Unavail)", re.MULTILINE
)
REGISTRATION: Final = re.compile(
    r"^\s*(trunk-[^/\s]+)/\S+\s.*?\b(\w+)\s*(?:\(exp\.[^)]*\))?$", re.MULTILINE
)


def recorded_a_day(recordings: Path) -> float:
    """Bytes a day over the last days that have recordings."""
    days = sorted(recordings.glob("[0-9]*/[0-9]*/[0-9]*"))[-DAYS_LOOKED_AT:]
    sizes = [sum(f.stat().st_size for f in day.iterdir() if f.is_file()) for day in days]
    return sum(sizes) / len(sizes) if sizes else 0.0


def newest(home: Home) -> datetime | None:
    """When something of the home was written last."""
    files = [*home.logs.glob("*.log"), *home.root.glob("careline.db*"), *home.run.glob("*")]
    times = [file.lstat().st_mtime for file in files]
    return datetime.fromtimestamp(max(times), UTC) if times else None


def is_synchronised() -> bool | None:
    """Whether the kernel knows of a time server; None where it does not say."""
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (AttributeError, OSError):
        return None
    return None if state < 0 else state != NOT_SYNCHRONISED


async def look_at_asterisk(
    asterisk: asterisk_tree.Asterisk, instance: Instance, settings: Settings, now: datetime
) -> tuple[AsteriskSeen, Lines]:
    """The process, its tree, and what it says of phones and carriers."""
    tree = next((p for p in asterisk.data_dir.parents if (p / asterisk_tree.STAMP).exists()), None)
    age = None
    if tree is not None:
        unpacked = (tree / asterisk_tree.STAMP).stat().st_mtime
        age = now - datetime.fromtimestamp(unpacked, UTC)
    answers, elsewhere, lines = False, "", Lines({}, {})
    pid = instance.pid
    if pid is not None:
        try:
            elsewhere = await old_transports(instance, settings)
            contacts = await instance.cli("pjsip show contacts", within=PATIENCE_S)
            registrations = await instance.cli("pjsip show registrations", within=PATIENCE_S)
            lines, answers = read_lines(contacts, registrations), True
        except AsteriskFailed:
            answers = False
    seen = AsteriskSeen(asterisk.version, age, str(tree or ""), pid, answers, elsewhere)
    return seen, lines


def read_lines(contacts: str, registrations: str) -> Lines:
    """Asterisk's two lists. One phone that answers is enough for its name."""
    answering: dict[str, bool] = {}
    for name, state in CONTACT.findall(contacts):
        answering[name] = answering.get(name, False) or state != "Unavail"
    return Lines(answering, dict(REGISTRATION.findall(registrations)))


async def look_at_processes(home: Home, settings: Settings) -> dict[str, str]:
    """Each process: answers, silent or down."""
    found = {}
    practice = ("practice",) if home.mode == PRACTICE else ()
    for name in (*processes.NAMES, *practice):
        pids = processes.find(home, name)
        if not pids:
            found[name] = "down"
        elif any(processes.stands_still(pid) for pid in pids):
            found[name] = "silent"
        else:
            found[name] = "answers" if await _answers(name, home, settings) else "silent"
    return found


async def _answers(name: str, home: Home, settings: Settings) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_S):
            if name == "controller":
                return await _snapshot(home) is not None
            if name == "desk":
                return await _desk_answers(settings)
    except (OSError, TimeoutError, aiohttp.ClientError):
        return False
    # The worker speaks to nobody; whoever started it listens for its sign of life.
    return True


async def look_at_alarms(home: Home) -> list[dict[str, Any]]:
    """The alarms that the controller has open; none are known while it does not answer."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            shown = await _snapshot(home)
    except (OSError, TimeoutError, aiohttp.ClientError):
        return []
    return list(shown["alarms"]) if shown else []


async def _snapshot(home: Home) -> dict[str, Any] | None:
    link = Controller(home.control_socket, home.secret("control"))
    try:
        async for message in link.feed():
            shown: dict[str, Any] = message["data"]
            return shown if message["kind"] == "snapshot" else None
    finally:
        await link.close()
    return None


async def _desk_answers(settings: Settings) -> bool:
    host, port = split(settings.addresses.desk_address)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where to ask
    host = f"[{host}]" if ":" in host else host
    scheme = "https" if settings.addresses.desk_certificate else "http"
    # It is asked whether it lives, on this machine; whose certificate it has is another question.
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{scheme}://{host}:{port}/healthz", ssl=False) as answer,
    ):
        return answer.status == 200


async def look_at_channels(settings: Settings) -> dict[str, str]:
    """Why the server of a channel for messages cannot be reached, by channel. Nothing is sent."""
    servers = {"twilio": "https://api.twilio.com", "gateway": settings.messages.gateway_url}
    found = {}
    for channel in settings.messages.channels:
        if channel in servers and (problem := await _unreachable(servers[channel])):
            found[channel] = problem
    return found


async def _unreachable(server: str) -> str:
    parts = urlsplit(server)
    is_safe = parts.scheme == "https"
    try:
        async with asyncio.timeout(PATIENCE_S):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or (443 if is_safe else 80), ssl=is_safe or None
            )
            writer.close()
    except TimeoutError:
        return f"{parts.netloc} does not answer"
    except (OSError, ValueError) as cause:
        return f"{parts.netloc}: {cause}"
    return ""


def look_at_certificate(settings: Settings) -> tuple[datetime | None, str]:
    """When it ends, and why it cannot be used."""
    file = settings.addresses.desk_certificate
    if not file:
        return None, ""
    try:
        settings.addresses.tls()
    except BadConfig as wrong:
        return None, str(wrong)
    told = subprocess.run(
        ["openssl", "x509", "-enddate", "-noout", "-in", file],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    _, _, ends = told.strip().partition("=")
    return (datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if ends else None), ""


def backup_age(home: Home, now: datetime) -> timedelta | None:
    """How old the last backup is, by the mark that it left."""
    try:
        made = (home.root / BACKUP_MARK).stat().st_mtime
    except FileNotFoundError:
        return None
    return now - datetime.fromtimestamp(made, UTC)


def look_at_database(url: str, now: datetime) -> tuple[str, bool, int, timedelta]:
    """Why it cannot be read, whether it is up to date, recordings owed, and how old the oldest."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        if not Path(address.database or "").exists():
            return "it was never made; the first start makes it", False, 0, timedelta()
        engine = create_engine(sync_url(url))
    else:
        engine = create_engine(sync_url(url), connect_args={"connect_timeout": int(PATIENCE_S)})
    try:
        with engine.connect() as connection:
            here = set(MigrationContext.configure(connection).get_current_heads())
            if here != set(ScriptDirectory.from_config(alembic_config(url)).get_heads()):
                return "", False, 0, timedelta()
            owed = (Outbox.done_at.is_(None), Outbox.kind == MakeRecording.__name__)
            waiting = connection.scalar(select(func.count()).where(*owed)) or 0
            oldest = connection.scalar(select(func.min(Outbox.posted_at)).where(*owed))
    except SQLAlchemyError as cause:
        said = str(getattr(cause, "orig", None) or cause).strip().partition("\n")[0]
        return said, False, 0, timedelta()
    finally:
        engine.dispose()
    return "", True, waiting, now - oldest if oldest else timedelta()


def open_places(home: Home) -> list[str]:
    """What others could read in the home."""
    closed = [
        *(home.secrets, home.asterisk, home.logs, home.run, home.rescue, home.config),
        *sorted(home.root.glob("careline.db*")),
        *(*_inside(home.recordings), *_inside(home.secrets)),
    ]
    found = [place for place in closed if _mode(place) & 0o077]
    # Asterisk's user passes through these two (`Home.prepare`); nobody else sees what is there.
    found += [place for place in (home.root, home.recordings) if _mode(place) & 0o066]
    return [str(place) for place in found]


def foreign(home: Home) -> list[str]:
    """What is not the home's owner's, at the top and among the secrets and logs."""
    owner = home.root.stat().st_uid
    places = [*_inside(home.root), *_inside(home.secrets), *_inside(home.logs)]
    return [str(place) for place in places if place.lstat().st_uid != owner]


def _inside(folder: Path) -> Iterable[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _mode(place: Path) -> int:
    try:
        return stat.S_IMODE(place.stat().st_mode)
    except FileNotFoundError:
        return 0


def free_bytes(home: Home) -> int:
    """Room for us on the home's disk."""
    told = os.statvfs(home.root)
    return told.f_bavail * told.f_frsize
