"""A controller without Asterisk: the real runner, store and control socket, told by tests."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from agent_desk.passwords import hash_password
from control import control_app, serving
from controller import SystemClock
from home import Home
from picture import LivePicture
from settings import Settings
from sql import codec
from sql.audit import Actor
from sql.engine import Database
from sql.local_journal import LocalJournal
from sql.migrate import first_admin, seed, upgrade
from sql.models import MenuRow
from sql.own_plans import own_plans
from sql.queries import cases, elders, plans
from sql.registers import elders as register
from sql.registers import users
from sql.store import SqlStore
from telephony.switchboard import SeatNow, Switchboard, TrunkNow
from workflows import emergency, messages
from workflows.commands import RenewContacts, SendCard
from workflows.effects import RaiseAlarm
from workflows.events import (
    CallArrived,
    CallEnded,
    CallQueued,
    Entry,
    Event,
    KeyPressed,
    LegEnded,
    RecordingFailed,
    RecordingMade,
    SeatAnswered,
    SeatRang,
)
from workflows.message import Message
from workflows.runner import Runner

T = TypeVar("T")

PASSWORD = "correct horse battery staple"
ADDRESS = {
    "addr_district": "魏都区", "addr_street": "文峰街道", "addr_compound": "春秋小区",
    "addr_building": "7", "addr_unit": "2", "addr_floor": "4", "addr_room": "402",
    "landmark": "春秋广场公交站东 50 米", "entry_route": "南门进，直行左转第二栋",
}  # fmt: skip


class Centre:
    """Runs in a thread with a loop of its own, so that a test can look at a browser meanwhile."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self.home = home
        self.settings = settings
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="centre", daemon=True)
        self._closing: asyncio.Event | None = None
        self._serving: Any = None
        self.phones: dict[str, str] = {}
        # The messages of cases that have any, by case; what was told of them.
        self.messages: dict[str, tuple[Message, ...]] = {}
        self.told_of_messages: list[Event] = []

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    def open(self) -> None:
        self._thread.start()
        self.run(self._set_up())
        self.come_back()

    async def _set_up(self) -> None:
        url = self.settings.database_url(self.home.root)
        await asyncio.to_thread(upgrade, url)
        self.database = Database(url)
        await seed(
            self.database,
            {site.code: site.name for site in self.settings.sites},
            {seat.extension: (seat.name, seat.site) for seat in self.settings.seats},
        )
        await plans.bring(self.database, own_plans(), datetime.now(UTC))
        hashed = await asyncio.to_thread(hash_password, PASSWORD)
        await first_admin(self.database, hashed, announce=lambda: None)
        clock = SystemClock()
        store = SqlStore(self.database, self.settings.centre.zone, self.settings.sites[0].code)
        extensions = [seat.extension for seat in self.settings.seats]
        self.switchboard = Switchboard(extensions, {t.name: False for t in self.settings.trunks})
        self.picture = LivePicture(self.switchboard, store, clock, ready=lambda: None, node="test")
        self.runner = Runner(codec.PROCESSES, store, clock, self.picture)
        # As in the controller: an emergency is on the disk first, then in the database.
        journal = LocalJournal(self.home.root / "journal", emergency.PROCESS, lambda is_kept: None)
        journal.load()
        self.emergencies = Runner(codec.PROCESSES, journal, clock, self.picture)
        self._filling = asyncio.create_task(journal.keep_filling(store, self.emergencies.refused))

    def close(self) -> None:
        self.go_away()
        self.run(self._stop_filling())
        self.run(self.database.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _stop_filling(self) -> None:
        self._filling.cancel()
        await asyncio.gather(self._filling, return_exceptions=True)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _take(self, event: Event, because: str | None) -> Any:
        if isinstance(event, RenewContacts):
            # There is no telephone system that would have to know them.
            return event
        if isinstance(event, messages.HANDLES) and event.case_id in self.messages:
            return self._take_of_message(event)
        if isinstance(event, SendCard):
            event = replace(event, channels=("sms",))
        return await self._runner_of(event).handle(event, because)

    def _runner_of(self, event: Event) -> Runner:
        is_emergency = codec.PROCESSES.for_event(event) is emergency.PROCESS
        return self.emergencies if is_emergency else self.runner

    def _take_of_message(self, event: Event) -> Message:
        """As a case does that has messages. Raises NotFound."""
        after, _ = messages.told(self.messages.get(event.case_id, ()), event)
        self.messages[event.case_id] = after
        self.told_of_messages.append(event)
        return after[0]

    def go_away(self) -> None:
        """The controller dies; calls would go on by the dialplan."""
        if self._serving is not None:
            self.run(self._serving.__aexit__(None, None, None))
            self._serving = None

    def come_back(self) -> None:
        app = control_app(
            self.home.secret("control"), self.picture.feed, self._take, self.keep_phones
        )
        self._serving = serving(app, self.home.control_socket)
        self.run(self._serving.__aenter__())

    async def keep_phones(self, phones: Mapping[str, str]) -> None:
        self.phones = dict(phones)

    # ── what it is told ──────────────────────────────────────────────────────────────────────

    def tell(self, event: Event) -> Any:
        return self.run(self._runner_of(event).handle(event))

    def until_written(self, case_id: str, event: str, at: datetime | None = None) -> None:
        """What an emergency was told is on the disk; the database is filled from there, and nothing
        tells when. Without a time, any event of this name."""
        until = time.monotonic() + 10
        while not self.read(lambda session: cases.is_written(session, case_id, event, at)):
            assert time.monotonic() < until, f"{event} of {case_id} did not come into the database"
            time.sleep(0.01)

    def read(self, query: Callable[[AsyncSession], Awaitable[T]]) -> T:
        async def ask() -> T:
            async with self.database.reading() as session:
                return await query(session)

        return self.run(ask())

    def seat(self, extension: str, state: str, reason: str = "") -> None:
        async def change() -> None:
            now = SeatNow(extension, state, reason)
            self.switchboard.seats[extension] = now
            self.picture.changed(now)

        self.run(change())

    def trunk(self, name: str, state: str) -> None:
        async def change() -> None:
            now = TrunkNow(name, state)
            self.switchboard.trunks[name] = now
            self.picture.changed(now)

        self.run(change())

    def connected(self, is_up: bool) -> None:
        """Asterisk comes or goes."""

        async def change() -> None:
            self.picture.connected(is_up)

        self.run(change())

    def alarm(self, key: str, kind: str, text: str) -> None:
        async def change() -> None:
            alarm = RaiseAlarm(key=key, kind=kind, text=text)
            self.picture.alarm_raised(alarm, datetime.now(UTC))

        self.run(change())

    def enter_elder(self, name: str, *numbers: str, **address: str) -> str:
        """Put an elder into the register; returns the unique code."""

        async def enter() -> str:
            async with self.database.writing() as session:
                elder = await elders.add(
                    session,
                    full_name=name,
                    sex="female",
                    birth_date=datetime(1944, 3, 21, tzinfo=UTC).date(),
                    site="main",
                    numbers=[(number, number) for number in numbers],
                    address=address or ADDRESS,
                    at=datetime.now(UTC),
                )
                return elder.elder_uid

        return self.run(enter())

    def enter_whole_elder(self, name: str, number: str, **more: object) -> str:
        """An elder of whom everything is known; returns the unique code."""
        fields = {
            "full_name": name, "sex": "female", "birth_date": date(1944, 3, 21), "site": "main",
            "living_arrangement": "alone", "risk_plan": "夜间起身易跌倒；助行器放在床尾。",
            "main_diseases": "高血压、骨质疏松", "medication_state": "每晨服降压药一片",
            "remark": "听力弱，请说慢一些。", **ADDRESS, **more,
        }  # fmt: skip
        contacts = [
            register.Contact(None, "王小兰", "女儿", 1, True, [("+8613800000021", "13800000021")]),
            register.Contact(None, "王建国", "儿子", 2, True, [("+8613800000022", "13800000022")]),
        ]
        terminals = [register.Device(None, f"T-{number[-6:]}", "one_key", None, "active")]
        entry = register.Entry(fields, [(number, number)], contacts, terminals)

        async def enter() -> str:
            async with self.database.writing() as session:
                elder = await register.enter(session, Actor("test"), entry, datetime.now(UTC))
                return elder.elder_uid

        return self.run(enter())

    def add_user(self, name: str, role: str) -> None:
        async def add() -> None:
            async with self.database.writing() as session:
                await users.add(
                    session, Actor("test"), name=name, password=hash_password(PASSWORD), role=role,
                    at=datetime.now(UTC),
                )  # fmt: skip

        self.run(add())

    def forget_menus(self) -> None:
        """The menu is as Careline brings it."""

        async def forget() -> None:
            async with self.database.writing() as session:
                await session.execute(delete(MenuRow))

        self.run(forget())

    def call(self, caller: str, *, ago_s: float = 0, **more: Any) -> Call:
        """A call comes in."""
        call = Call(self, datetime.now(UTC) - timedelta(seconds=ago_s))
        more = {"entry": Entry.HOTLINE, "callee": "96100", "trunk": "carrier", **more}
        self.tell(CallArrived(case_id=call.id, at=call.began, caller=caller, node="test", **more))
        return call


@dataclass
class Call:
    """One call, told step by step. `after` is seconds since it came in, else now."""

    centre: Centre
    began: datetime
    id: str = field(
        default_factory=lambda: f"test-{uuid.uuid4().int % 10**10}.{uuid.uuid4().int % 99}"
    )

    def _at(self, after: float | None) -> datetime:
        return datetime.now(UTC) if after is None else self.began + timedelta(seconds=after)

    def leg(self, seat: str) -> str:
        return f"{self.id}-{seat}"

    def press(self, key: str, choice: str = "life_service", after: float | None = None) -> None:
        self.centre.tell(
            KeyPressed(case_id=self.id, at=self._at(after), menu="hotline", key=key, choice=choice)
        )

    def queue(self, queue: str = "hotline", position: int = 1, after: float | None = None) -> None:
        self.centre.tell(
            CallQueued(case_id=self.id, at=self._at(after), queue=queue, position=position)
        )

    def ring(self, seat: str = "1001", after: float | None = None) -> None:
        self.centre.tell(
            SeatRang(case_id=self.id, at=self._at(after), seat=seat, leg=self.leg(seat))
        )

    def answer(self, seat: str = "1001", after: float | None = None) -> None:
        self.centre.tell(
            SeatAnswered(case_id=self.id, at=self._at(after), seat=seat, leg=self.leg(seat))
        )

    def end(self, seat: str = "", after: float | None = None, delay_ms: float = 12.0) -> None:
        quality = {"delay_ms": delay_ms, "jitter_ms": 3.0, "loss": 0.001}
        at = self._at(after)
        if seat:
            self.centre.tell(
                LegEnded(
                    case_id=self.id, at=at, leg=self.leg(seat), party="seat", cause=16, **quality
                )
            )
        self.centre.tell(
            LegEnded(case_id=self.id, at=at, leg=self.id, party="caller", cause=16, **quality)
        )
        self.centre.tell(CallEnded(case_id=self.id, at=at, cause=16))

    def record(self, seconds: float = 2.0, file: str = "") -> Path:
        """The worker has made the recording: a real stereo Opus file with a tone on each side."""
        name = file or f"2026/11/22/{self.id}.opus"
        kept = self.centre.home.recordings / name
        if not file:
            make_sound(kept, seconds)
        sound = kept.read_bytes() if kept.exists() else b""
        self.centre.tell(
            RecordingMade(
                case_id=self.id,
                at=datetime.now(UTC),
                file=name,
                sha256=hashlib.sha256(sound).hexdigest(),
                seconds=seconds,
                size=len(sound),
            )
        )
        return kept

    def record_fails(self, reason: str) -> None:
        self.centre.tell(RecordingFailed(case_id=self.id, at=datetime.now(UTC), reason=reason))

    def whole(self, seat: str = "1001", talk_s: float = 60) -> Call:
        """From the queue to the end, in the past."""
        self.press("1", after=6)
        self.queue(after=8)
        self.ring(seat, after=9)
        self.answer(seat, after=14)
        self.end(seat, after=14 + talk_s)
        return self


def make_sound(file: Path, seconds: float) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    tones = f"sine=frequency=440:duration={seconds}", f"sine=frequency=880:duration={seconds}"
    subprocess.run(
        [
            "ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", tones[0], "-f", "lavfi", "-i",
            tones[1], "-filter_complex", "amerge", "-ac", "2", "-c:a", "libopus", "-b:a", "32k",
            "-f", "ogg", file,
        ],
        check=True,
    )  # fmt: skip
