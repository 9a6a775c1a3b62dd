"""The emergencies of one controller: their journal, their runner, the dialler, the sender of
messages and the lease.

Beside the calls and orders, and never waiting for what these may wait for. Part of the composition.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from home import PRACTICE
from picture import LivePicture
from sql import codec
from sql.flight_log import SqlFlightLog
from sql.local_journal import LocalJournal
from sql.store import SqlStore
from telephony import private_talk
from telephony.ami import Ami, AmiDown, AmiRefused
from telephony.cel import Fate
from telephony.dialler import Dialler
from telephony.elder_lines import ElderLines
from telephony.lease import keep_claims
from telephony.messages import Channel
from telephony.messages.sender import Sender
from telephony.rescue import Rescue
from telephony.rescue_events import case_of
from telephony.rescue_steps import StepHangs, Steps
from workflows import call_back, closing, emergency, reminders
from workflows.call_facts import State
from workflows.card import Card
from workflows.commands import (
    ChooseCard,
    CloseCase,
    ConfirmSafe,
    FollowUp,
    SendCard,
    TalkPrivately,
    WriteRecord,
)
from workflows.effects import RaiseAlarm, SendMessage
from workflows.emergency_facts import Emergency
from workflows.errors import NotFound, StoreDown, TelephonyDown
from workflows.events import (
    CallKept,
    CardsRead,
    CaseFound,
    CaseOutcome,
    CaseOverdue,
    ElderCalledAgain,
    ElderGone,
    EmergencyTimerFired,
    Event,
    LegRecorded,
    PrivateTalkOver,
    RecordingFailed,
    RecordingMade,
    RoomOpened,
)
from workflows.ports import Clock, DueTimer, Posted
from workflows.runner import Runner

logger = logging.getLogger(__name__)

CATCH_UP_S: Final = 2.0
LEAST_PAUSE_S: Final = 0.1
GIVE_OVER_EVERY_S: Final = 1.0
CARDS_AGAIN_S: Final = 1.0
REMIND_EVERY_S: Final = 20.0
PRACTICE_KEPT: Final = timedelta(minutes=1)
JOURNAL: Final = "journal"
NOT_HANDLED: Final = "not handled"
UNREADABLE: Final = "journal unreadable"


def is_a_persons(case: Emergency) -> bool:
    """Whether a person has done something in it: in practice nobody may have."""
    if case.closing.record:
        return case.closing.record.by != PRACTICE
    is_ours = case.call_back.safe_by == PRACTICE and case.news_at == case.call_back.safe_at
    return case.news_at is not None and not is_ours


class Performer:
    """Shows an emergency in the picture, and has what it asks for performed."""

    def __init__(self, picture: LivePicture, dialler: Dialler, sender: Sender) -> None:
        self._picture: Final = picture
        self._dialler: Final = dialler
        self._sender: Final = sender

    def case_changed(self, process: str, case: Any) -> None:
        self._picture.case_changed(process, case)

    def effect_posted(self, posted: Posted) -> None:
        if isinstance(posted.effect, SendMessage):
            self._sender.post(posted.effect)
        else:
            self._dialler.post(posted.effect)

    def alarm_raised(self, alarm: RaiseAlarm, at: datetime) -> None:
        self._picture.alarm_raised(alarm, at)

    def alarm_ended(self, key: str) -> None:
        self._picture.alarm_ended(key)


class Emergencies:
    """All of it; `load` first, then `start`."""

    def __init__(
        self,
        folder: Path,
        ami: Ami,
        store: SqlStore,
        picture: LivePicture,
        clock: Clock,
        *,
        seats: Sequence[str],
        zone: ZoneInfo,
        node: str,
        fate_of: Callable[[str, datetime], Awaitable[Fate]],
        cards_of: Callable[[str, int | None], Awaitable[tuple[Card, ...]]],
        as_dialled: Callable[[str], str],
        sites: Sequence[str],
        trunks: Sequence[tuple[str, str]],
        call_back_s: int,
        own_numbers: Collection[str],
        is_practice: bool = False,
        channels: Mapping[str, Channel],
    ) -> None:
        self._ami: Final = ami
        self._cards_of: Final = cards_of
        self._is_practice: Final = is_practice
        self._call_back_s: Final = call_back_s
        self._reading: Final[set[asyncio.Task[None]]] = set()
        self._cards_read: Final[dict[str, asyncio.Task[None]]] = {}
        self._store: Final = store
        self._picture: Final = picture
        self._clock: Final = clock
        self._node: Final = node
        self._journal: Final = LocalJournal(folder, emergency.PROCESS, self._kept)
        self._dialler: Final = Dialler(
            ami, self.handle, clock.now,
            as_dialled=as_dialled, sites=sites, trunks=trunks, own=own_numbers,
        )  # fmt: skip
        self._channels: Final = tuple(channels)
        self._sender: Final = Sender(channels, self.handle, clock.now)
        performer = Performer(picture, self._dialler, self._sender)
        self._runner: Final = Runner(codec.PROCESSES, self._journal, clock, performer)
        self._rescue: Final = Rescue(
            ami, self._dialler, self._journal,
            fate_of=fate_of, handle=self.handle, doubted=self._doubted,
            speaks=self._speaks, seats=seats, now=clock.now, zone=zone,
        )  # fmt: skip
        self._lines: Final = ElderLines(
            ami, self._journal, handle=self.handle, now=clock.now, zone=zone
        )
        self._steps: Final = Steps(self._runner.handle, self._rescue.doubt)
        self._is_kept = True

    def takes(self, event: Event) -> bool:
        """Whether this event belongs to an emergency."""
        return codec.PROCESSES.for_event(event) is emergency.PROCESS

    async def handle(self, event: Event, because: str | None = None) -> Any:
        """Advance the emergency; see `Runner.handle` and `Steps.take`. Never raises StoreDown."""
        if isinstance(event, SendCard):
            event = replace(event, channels=self._channels)
        if isinstance(event, ElderGone) and self._call_back_s:
            event = replace(event, back_in_s=self._call_back_s)
        case = await self._steps.take(event, because)
        if isinstance(event, RoomOpened | CaseFound) and case is not None and not case.cards:
            self.read_cards(event.case_id)
        if isinstance(event, RoomOpened | CaseFound | CardsRead | ChooseCard) and case is not None:
            await self._join_cases(case)
        return case

    async def _join_cases(self, case: Emergency) -> None:
        """An elder who calls again is called back no more, and the seats who wait are free."""
        for other in self._journal.open_cases():
            for one, newer in ((other, case), (case, other)):
                if not call_back.goes_on_in(one, newer):
                    continue
                again = ElderCalledAgain(case_id=one.id, at=self._clock.now(), other=newer.id)
                try:
                    await self.handle(again)
                except Exception:
                    # What is wrong with the case before is no fault of the one that is new.
                    logger.exception("%s does not know that it goes on in %s", one.id, newer.id)

    def read_cards(self, case_id: str) -> None:
        """Read who the elder is, by the number that called or as a seat has said; soon, and again
        and again while the database is away: nothing of the rescue waits for it."""
        if self._journal.case(case_id) is None:
            return
        # What was begun before is older than what is read now.
        if before := self._cards_read.pop(case_id, None):
            before.cancel()
        self._cards_read[case_id] = self._in_background(self._read_cards(case_id))

    async def _read_cards(self, case_id: str) -> None:
        while (case := self._journal.case(case_id)) is not None:
            try:
                cards = await self._cards_of(case.caller, await self._named(case_id))
                await self.handle(CardsRead(case_id=case_id, at=self._clock.now(), cards=cards))
            except (StoreDown, StepHangs) as later:
                logger.warning("whose emergency %s is, is read later: %s", case_id, later)
                await asyncio.sleep(CARDS_AGAIN_S)
                continue
            except Exception:
                logger.exception("the card of the emergency %s cannot be read", case_id)
            self._cards_read.pop(case_id, None)
            return

    async def _named(self, case_id: str) -> int | None:
        """The elder whom a seat has named as the one who calls, before or in the emergency."""
        call = await SqlFlightLog(self._store.database).call(case_id)
        is_named = call is not None and call.named_by and len(call.elders) == 1
        return call.elders[0].id if call and is_named else None

    async def talk_privately(self, wish: TalkPrivately) -> Any:
        """Join A and B to each other alone, or end that, and note it.

        Raises NotFound, NotAllowed and TelephonyDown, and then nothing of it stands.
        """
        case = self._journal.case(wish.case_id)
        if case is None:
            raise NotFound(f"there is no emergency {wish.case_id}")
        if wish.is_so:
            legs = [one.leg for one in case.roles]
            await private_talk.begin(self._ami, case.id, legs[0], legs[-1])
        else:
            await private_talk.end(self._ami, case.id)
        after = await self.handle(wish)
        # It may have ended by itself before it was noted that it stands.
        self._in_background(self._sweep())
        return after

    def connected(self) -> None:
        """Asterisk is there again, perhaps another one: look which private talks stand there."""
        self._in_background(self._sweep())

    async def _sweep(self) -> None:
        try:
            standing = await private_talk.sweep(self._ami)
        except (AmiDown, AmiRefused, TimeoutError) as cause:
            logger.warning("private talks were not looked at: %s", cause)
            return
        for case in self._journal.open_cases():
            if case.private_since and case.id not in standing:
                await self.handle(PrivateTalkOver(case_id=case.id, at=self._clock.now()))
        for case_id in standing:
            known = self._journal.case(case_id)
            if known is None or known.private_since is None:
                # Nobody is shown that the elder hears nothing: then the elder hears again.
                with suppress(TelephonyDown):
                    await private_talk.end(self._ami, case_id)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)
        return task

    async def leg_recorded(self, event: RecordingMade | RecordingFailed) -> Any:
        """What became of the recording of a leg; its serial is the leg's id."""
        made = event if isinstance(event, RecordingMade) else None
        return await self.handle(
            LegRecorded(
                case_id=case_of(event.case_id), at=event.at, leg=event.case_id,
                file=made.file if made else "", sha256=made.sha256 if made else "",
                seconds=made.seconds if made else 0.0, size=made.size if made else 0,
            )
        )  # fmt: skip

    async def load(self) -> None:
        """Take up the emergencies that were open before the last stop."""
        self._journal.load()
        try:
            async with asyncio.timeout(CATCH_UP_S):
                await self._journal.catch_up(self._store, self._node)
        except (StoreDown, TimeoutError) as away:
            logger.warning("the emergencies are taken from the disk alone: %s", away)
        for case in self._journal.open_cases():
            self._picture.case_changed(emergency.PROCESS.name, case)
        for alarm, at in self._journal.open_alarms():
            self._picture.alarm_raised(alarm, at)
        for case_id in self._journal.unreadable:
            key = f"{UNREADABLE}/{case_id}"
            unread = RaiseAlarm(key=key, kind=UNREADABLE, text=f"{case_id}: {UNREADABLE}")
            self._picture.alarm_raised(unread, self._clock.now())

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Listen, dial, claim, wake and fill, until the group ends."""
        claims = keep_claims(self._ami, self._rescue.claimable, self._rescue.look_again)
        for work in (
            self._rescue.run(),
            self._rescue.watch(),
            self._rescue.look_when_in_doubt(),
            self._dialler.run(),
            self._sender.run(),
            self._lines.watch(),
            claims,
            self._wake(),
            self._journal.keep_filling(self._store, self._runner.refused),
            self._give_over(),
            self._remind(),
            self._take_up_messages(),
        ):
            tasks.create_task(work)

    async def _wake(self) -> None:
        """Fire timers by a clock that never jumps."""
        while True:
            self._runner.timers_changed.clear()
            for timer in await self._journal.due_timers(self._clock.now()):
                await self._fire(timer)
            due = self._journal.next_due_s()
            try:
                async with asyncio.timeout(None if due is None else max(due, LEAST_PAUSE_S)):
                    await self._runner.timers_changed.wait()
            except TimeoutError:
                continue

    async def _fire(self, timer: DueTimer) -> None:
        fired = EmergencyTimerFired(
            case_id=timer.case_id, at=self._clock.now(), name=timer.name
        )  # fmt: skip
        try:
            await self.handle(fired)
        except StepHangs as late:
            # Shown as a case that is not handled; the timer stays due, and is fired after that.
            logger.debug("a timer waits for the step before it: %s", late)
        except Exception:
            # One timer that cannot be fired must not hold up all that are due after it.
            if self._runner.refused(timer.case_id, timer.name):
                logger.exception("a timer of the emergency %s failed", timer.case_id)

    async def _give_over(self) -> None:
        """Keep saying that an elder was not reached until the call's own record says it."""
        calls = SqlFlightLog(self._store.database)
        while True:
            # Who ended it was the database, which tells nobody when it has something.
            await asyncio.sleep(GIVE_OVER_EVERY_S)
            for case in self._journal.open_cases():
                if not case.is_unreached:
                    continue
                try:
                    call = await calls.call(case.id)
                    if call is not None and call.state is State.ENDED:
                        await self.handle(CallKept(case_id=case.id, at=self._clock.now()))
                except StoreDown as down:
                    logger.info("%s is not given over yet: %s", case.id, down)
                except Exception:
                    # A call that cannot be read keeps its alarm, and holds up no other.
                    logger.exception("%s is not given over", case.id)

    async def _take_up_messages(self) -> None:
        """What was not sent before the last stop is; what perhaps was, is shown."""
        for case in self._journal.open_cases():
            await self._sender.take_up(case.messages)

    async def _remind(self) -> None:
        """Say what is overdue, by the clock of the wall: days count, also those without us."""
        while True:
            await asyncio.sleep(REMIND_EVERY_S)
            now = self._clock.now()
            for case in self._journal.open_cases():
                try:
                    for what in reminders.overdue(case, now):
                        await self.handle(CaseOverdue(case_id=case.id, at=now, what=what))
                    if self._is_practice:
                        await self._put_away(case, now)
                except Exception:
                    # One case of which nothing can be said must not hide what is due in the others.
                    logger.exception("of the emergency %s nobody is reminded", case.id)

    async def _put_away(self, case: Emergency, now: datetime) -> None:
        """In practice robots sit at the seats: they say of no elder that no help is needed, so that
        each is called back once, and they write no record."""
        if is_a_persons(case):
            return
        said: dict[str, Any] = {"case_id": case.id, "at": now, "by": PRACTICE}
        if case.call_back.calls and not case.call_back.safe_at:
            await self.handle(ConfirmSafe(**said))
        if case.closed_at is None or now - case.closed_at < PRACTICE_KEPT:
            return
        wishes = (
            WriteRecord(**said, text=PRACTICE),
            CloseCase(**said, outcome=CaseOutcome.TEST, changes=PRACTICE),
            FollowUp(**said, text=PRACTICE),
        )
        # What a stop in between has left is gone on with.
        done = list(closing.State).index(case.closing.state)
        for wish in wishes[done:]:
            await self.handle(wish)

    def _doubted(self, case_id: str, is_so: bool) -> None:
        """Show that a case is not in our hands, or is again."""
        key = f"{NOT_HANDLED}/{case_id}"
        if is_so:
            alarm = RaiseAlarm(key=key, kind=NOT_HANDLED, text=case_id)
            self._picture.alarm_raised(alarm, self._clock.now())
        else:
            self._picture.alarm_ended(key)

    def _speaks(self, case_id: str, leg: str, is_so: bool) -> None:
        self._picture.speaks(case_id, leg, is_so)

    def _kept(self, is_kept: bool) -> None:
        """The local disk takes the journal, or a crash would lose what is only in memory."""
        if is_kept == self._is_kept:
            return
        self._is_kept = is_kept
        if is_kept:
            self._picture.alarm_ended(JOURNAL)
        else:
            alarm = RaiseAlarm(key=JOURNAL, kind=JOURNAL, text="")
            self._picture.alarm_raised(alarm, self._clock.now())
