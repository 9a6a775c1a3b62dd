"""Builds the controller: AMI, AGI, the processes, and what the other two are told of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from asterisk_conf.ports import AGI_PORT, AMI_PORT, AMI_USER
from cards import cards_of
from channels import channels_of
from control import control_app, serving
from emergencies import Emergencies
from home import PRACTICE, Home
from ivr.dialogue import walk
from picture import LivePicture
from recordings.orphans import old_recordings, possible_calls
from settings import Settings
from sql import codec, rescue_contacts
from sql.engine import Database
from sql.flight_log import SqlFlightLog
from sql.numbers import as_dialled, e164
from sql.queries import menus
from sql.store import SqlStore
from telephony.ami import Ami, Login
from telephony.contacts import RescueContacts
from telephony.desk_phones import DeskPhones, SeatLine
from telephony.fastagi import CallerLine, FastAgiServer
from telephony.flight_recorder import FlightRecorder
from telephony.into_room import into_room
from telephony.lease import keep_lease
from telephony.listener import Listener
from telephony.recording_room import RecordingRoom
from telephony.rescue_events import case_of
from telephony.set_clock import mend_set_clock
from telephony.switchboard import Switchboard
from telephony.translate import Translator
from workflows.commands import (
    DeclareEmergency,
    NameCaller,
    PauseSeat,
    RenewContacts,
    ResumeSeat,
    TakeBackCaller,
    TalkPrivately,
)
from workflows.errors import StoreDown
from workflows.events import Event, KeyPressed, RecordingFailed, RecordingMade
from workflows.menu import HOTLINE, Menu
from workflows.runner import Runner

logger = logging.getLogger("careline")

MENUS_BEYOND_LINES: Final = 10
MENU_READ_S: Final = 0.5
PROMISES_EVERY_S: Final = 30
ORPHANS_EVERY_S: Final = 60
STORE_AGAIN: Final = timedelta(seconds=1)
LOOK_AGAIN_S: Final = 60


class SystemClock:
    """Fulfils `workflows.ports.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)


async def run_controller(settings: Settings, home: Home, ready: Callable[[], None]) -> None:
    """AMI, AGI and the processes. Ready when Asterisk's picture is read."""
    clock, database = SystemClock(), Database(settings.database_url(home.root))
    centre, internal = settings.centre, settings.addresses.internal
    store = SqlStore(database, centre.zone, settings.sites[0].code)
    seats = [seat.extension for seat in settings.seats]
    trunks = [f"trunk-{trunk.name}" for trunk in settings.trunks]
    switchboard = Switchboard(
        seats,
        {trunk.name: trunk.registers for trunk in settings.trunks},
        {queue.name: queue.wrap_up_s for queue in settings.queues},
        clock.now,
    )
    # In practice nobody sits at the seats until a person takes one.
    sites = () if home.mode == PRACTICE else settings.sites
    picture = LivePicture(
        switchboard, store, clock, ready, centre.node,
        {site.code: settings.fallback_phones.get(site.code, "") for site in sites},
    )  # fmt: skip
    runner = Runner(codec.PROCESSES, store, clock, picture)
    ami = Ami(Login(internal, AMI_PORT, AMI_USER, home.secret("ami")))
    normalise = partial(e164, country=centre.country_code, area=centre.area_code)
    flight_log = SqlFlightLog(database)
    recorder = FlightRecorder(
        home.asterisk, centre.node, normalise, flight_log, runner.handle, clock.now
    )
    media_host = settings.addresses.media_host
    phones = DeskPhones(
        ami, {s.extension: SeatLine(s.extension, s.name, media_host) for s in settings.seats}
    )
    contacts = RescueContacts(
        ami, partial(rescue_contacts.wanted, database, centre.country_code, centre.area_code)
    )

    def connected(is_up: bool) -> None:
        picture.connected(is_up)
        if is_up:
            phones.connected()
            contacts.connected()
            emergencies.connected()

    def refused(event: Event) -> None:
        picture.refused(event)
        runner.refused(event.case_id, type(event).__name__)

    listener = Listener(
        ami, Translator(centre.node, normalise), switchboard,
        handle_many=runner.handle_many, heard=picture.heard, refused=refused,
        open_calls=picture.open_calls, changed=picture.changed, connected=connected,
        stored=partial(picture.stored, "calls"), now=clock.now, catch_up=recorder.catch_up,
    )  # fmt: skip
    emergencies = Emergencies(
        home.rescue, ami, store, picture, clock,
        seats=seats, zone=centre.zone, node=centre.node, fate_of=recorder.fate_of,
        cards_of=cards_of(settings, database),
        as_dialled=lambda number: as_dialled(normalise(number), country=centre.country_code),
        sites=[site.code for site in settings.sites],
        trunks=[(trunk.name, settings.shown_by(trunk)) for trunk in settings.trunks],
        call_back_s=settings.rescue.call_back_s,
        own_numbers=settings.numbers.model_dump().values(), is_practice=home.mode == PRACTICE,
        channels=channels_of(settings.messages),
    )  # fmt: skip

    room = RecordingRoom(
        ami, switchboard, home.live_recordings, settings.recordings.keep_free_mb * 1_000_000,
        picture.show_room,
    )  # fmt: skip

    tell = taken_by(runner, listener, emergencies, contacts, ami)
    await emergencies.load()
    in_our_menu = partial(in_menu, asyncio.get_running_loop(), listener, HotlineMenu(database).now)
    agi = FastAgiServer(internal, AGI_PORT, in_our_menu, centre.lines + MENUS_BEYOND_LINES)
    control = control_app(home.secret("control"), picture.feed, tell, phones.keep)
    agi.start()
    try:
        async with serving(control, home.control_socket), asyncio.TaskGroup() as tasks:
            tasks.create_task(ami.run())
            # An emergency waits for no database, also not for one that is away at the start; nor do
            # the menu's lease, the room for recordings, and what a set clock does to telephones.
            emergencies.start(tasks)
            tasks.create_task(keep_lease(ami, agi.is_accepting))
            for duty in (
                partial(database.watch, partial(picture.stored, "watch")),
                picture.keep_alarms, room.watch,
                partial(mend_set_clock, ami, [*seats, *trunks]),
            ):  # fmt: skip
                tasks.create_task(carry_on(duty))
            await take_up(picture, runner)
            tasks.create_task(listener.run())
            for duty in (
                listener.watch, listener.tick, recorder.watch, contacts.run, phones.run,
                partial(wake_for_timers, runner, store),
                partial(keep_promises, runner),
                partial(watch_orphans, home.live_recordings, flight_log, picture, recorder),
            ):  # fmt: skip
                tasks.create_task(carry_on(duty))
    finally:
        agi.close()
        await database.close()


def taken_by(
    runner: Runner,
    listener: Listener,
    emergencies: Emergencies,
    contacts: RescueContacts,
    ami: Ami,
) -> Callable[[Event, str | None], Coroutine[Any, Any, Any]]:
    """Who takes what the desk and the worker tell."""

    async def tell(event: Event, because: str | None) -> Any:
        match event:
            case PauseSeat() | ResumeSeat():
                return await listener.wish(event)
            case DeclareEmergency():
                await into_room(ami, event.case_id)
                return event
            case TalkPrivately():
                return await emergencies.talk_privately(event)
            case RenewContacts():
                await contacts.renew(event.numbers)
                return event
            case RecordingMade() | RecordingFailed() if case_of(event.case_id):
                return await emergencies.leg_recorded(event)
        case = await (emergencies if emergencies.takes(event) else runner).handle(event, because)
        if isinstance(event, NameCaller | TakeBackCaller):
            emergencies.read_cards(event.case_id)
        return case

    return tell


async def carry_on(duty: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Begin it anew whenever it fails: what one duty cannot do must not end the calls' picture,
    and a controller that ended for it would do so again after every start."""
    while True:
        try:
            await duty()
        except Exception:
            logger.exception("a duty failed and begins anew")
        await asyncio.sleep(STORE_AGAIN.total_seconds())


async def take_up(picture: LivePicture, runner: Runner) -> None:
    """Take up the calls as the database has them, as soon as it has."""
    while True:
        try:
            await picture.load()
            await runner.recover()
        except StoreDown as down:
            logger.warning("the calls wait: %s", down)
            await asyncio.sleep(STORE_AGAIN.total_seconds())
        else:
            return


class HotlineMenu:
    """The next caller's menu: as the database has it, or as it was read last when that is away."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database
        self._last = HOTLINE

    async def now(self) -> Menu:
        try:
            async with asyncio.timeout(MENU_READ_S), self._database.reading() as session:
                self._last = (await menus.hotline(session)).menu
        except (StoreDown, TimeoutError) as cause:
            logger.warning("the menu is asked as it was known last: %r", cause)
        return self._last


def in_menu(
    loop: asyncio.AbstractEventLoop,
    listener: Listener,
    menu_now: Callable[[], Coroutine[Any, Any, Menu]],
    line: CallerLine,
) -> None:
    """One call in the hotline's menu, in its own thread: ask, tell the dialplan, tell the call."""
    call_id = line.env.get("agi_uniqueid", "")
    if not call_id:
        raise ValueError("Asterisk named no call for the menu")
    menu = asyncio.run_coroutine_threadsafe(menu_now(), loop).result(2 * MENU_READ_S)
    choice = walk(menu, line)
    line.note("CARELINE_QUEUE", choice.option.queue)
    pressed = KeyPressed(
        case_id=call_id,
        at=datetime.now(UTC),
        menu=menu.name,
        key=choice.key,
        choice=choice.option.choice,
    )
    loop.call_soon_threadsafe(listener.tell, pressed)


async def wake_for_timers(runner: Runner, store: SqlStore) -> None:
    """Timers are rows; the scheduler only wakes us for the next one.

    They are looked at once a minute in any case: the scheduler's clock may be set back.
    """

    async def wake() -> None:
        runner.timers_changed.set()

    scheduler = AsyncIOScheduler(timezone=UTC)
    scheduler.start()
    try:
        while True:
            runner.timers_changed.clear()
            try:
                next_one = await store.next_timer()
                if next_one is not None and next_one <= datetime.now(UTC):
                    await runner.fire_due_timers()
                    next_one = await store.next_timer()
                if next_one is not None:
                    # One that could not be fired is due still; it is tried again, not at once.
                    next_one = max(next_one, datetime.now(UTC) + STORE_AGAIN)
            except StoreDown as down:
                logger.warning("timers wait: %s", down)
                next_one = datetime.now(UTC) + STORE_AGAIN
            if next_one is not None:
                scheduler.add_job(
                    wake, DateTrigger(next_one), id="next timer",
                    replace_existing=True, misfire_grace_time=None,
                )  # fmt: skip
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await runner.timers_changed.wait()
    finally:
        scheduler.shutdown(wait=False)


async def keep_promises(runner: Runner) -> None:
    """Tell again what could not be told: an answered call does not stay without its order."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(PROMISES_EVERY_S):
                await runner.owes.wait()
        runner.owes.clear()
        try:
            await runner.recover()
        except StoreDown as down:
            logger.warning("what was promised waits: %s", down)
            runner.owes.set()
            await asyncio.sleep(STORE_AGAIN.total_seconds())


async def watch_orphans(
    live: Path, log: SqlFlightLog, picture: LivePicture, recorder: FlightRecorder
) -> None:
    """Show every recording without a call, once Asterisk's own record has been read."""
    await recorder.caught_up.wait()
    while True:
        try:
            names = await asyncio.to_thread(old_recordings, live, time.time())
            calls = await log.known({call for name in names for call in possible_calls(name)})
            picture.show_orphans({name for name in names if calls.isdisjoint(possible_calls(name))})
        except (StoreDown, OSError) as cause:
            logger.warning("recordings without a call are not looked for: %s", cause)
        await asyncio.sleep(ORPHANS_EVERY_S)
