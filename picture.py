"""The live picture that the controller shows: what the desk sees, and how it changes.

Fulfils `workflows.ports.Publisher`. Everything in it can be read again from the database and from
Asterisk; it is never the truth itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from control import Feed
from sql import codec
from sql.store import SqlStore
from telephony.reconcile import OpenCall
from telephony.switchboard import (
    DOWN,
    REFUSED,
    Change,
    PictureNow,
    SeatNow,
    Switchboard,
    TrunkNow,
)
from workflows import call, emergency
from workflows.call_facts import Call, State
from workflows.effects import RaiseAlarm
from workflows.errors import StoreDown
from workflows.events import (
    CallArrived,
    CallEnded,
    CallVanished,
    Entry,
    Event,
    LegEnded,
    SeatAnswered,
    SeatMissed,
    SeatRang,
)
from workflows.ports import Clock, Posted
from workflows.seat import State as SeatState

logger = logging.getLogger(__name__)

AGAIN_S: Final = 0.5
OFFLINE: Final = SeatState.OFFLINE.value
TRUNK_ALARMS: Final = {REFUSED: "trunk refused", DOWN: "trunk down"}
WRONG: Final = "picture"
ORPHAN: Final = "orphan"
FALLBACK: Final = "fallback phone"
DISK_LOW: Final = "disk low"
NOT_RECORDED: Final = "not recorded"
"""Kinds of alarm; the desk has the words for each and says what to do."""
MAX_WORDS: Final = 500


class LivePicture:
    """Live calls, open alarms, seats and trunks of this `node`.

    `ready` is called at each connect to Asterisk. `fallbacks` is each site's phone that rings
    when nobody else can, empty for a site without one.
    """

    def __init__(
        self,
        switchboard: Switchboard,
        store: SqlStore,
        clock: Clock,
        ready: Callable[[], None],
        node: str,
        fallbacks: Mapping[str, str] | None = None,
    ) -> None:
        self._switchboard: Final = switchboard
        self._store: Final = store
        self._clock: Final = clock
        self._ready: Final = ready
        self._node: Final = node
        self._fallbacks: Final = dict(fallbacks or {})
        self._calls: Final[dict[str, dict[str, Any]]] = {}
        # Emergencies that are not closed, whether or not their call is still up.
        self._emergencies: Final[dict[str, dict[str, Any]]] = {}
        # Calls that were heard and are not saved yet.
        self._arrived: Final[dict[str, Call]] = {}
        self._asking: Final[set[asyncio.Task[None]]] = set()
        # The channels of each emergency that speak just now.
        self._speaking: Final[dict[str, frozenset[str]]] = {}
        self._alarms: Final[dict[str, dict[str, Any]]] = {}
        self._ringing: Final[dict[str, dict[str, Any]]] = {}
        self._unkept: Final[asyncio.Queue[Callable[[], Awaitable[object]]]] = asyncio.Queue()
        self._waiting: Final[set[str]] = set()
        self.feed: Final = Feed(self.snapshot)

    async def load(self) -> None:
        """Take up the calls and alarms that were open before the last stop."""
        # Until Asterisk has been heard, nobody knows that it lives.
        self._say_alarm("asterisk")
        for alarm in await self._store.open_alarms():
            if self._is_settled(alarm.key):
                await self._store.end_alarm(alarm.key, self._clock.now())
                continue
            again = RaiseAlarm(key=alarm.key, kind=alarm.kind, text=alarm.text)
            self.alarm_raised(again, alarm.raised_at)
        for case in await self._our_calls():
            # Told too: a desk may have come before the database answered.
            self.case_changed(call.PROCESS.name, case)

    def _is_settled(self, key: str) -> bool:
        """What nothing would ever end: a trunk or site that is no more, a picture that is read
        anew."""
        kind, _, name = key.partition("/")
        if kind == FALLBACK and name not in self._fallbacks:
            return True
        is_of_trunk = kind in TRUNK_ALARMS.values()
        return kind == WRONG or (is_of_trunk and name not in self._switchboard.trunks)

    async def open_calls(self) -> dict[str, OpenCall]:
        """This node's calls that have not ended, by id, from the database."""
        return {
            c.id: OpenCall(
                c.state.value,
                tuple(leg.id for leg in c.legs if leg.ended_at is None),
                c.seat,
                c.entry is Entry.EMERGENCY,
            )
            for c in await self._our_calls()
        }

    async def _our_calls(self) -> list[Call]:
        """Of another node's calls we hear no end: they would stay on the board for ever."""
        cases: list[Call] = await self._store.open_cases(call.PROCESS)
        return [
            c
            for c in cases
            # A call's id begins with its node, as Asterisk makes it.
            if c.state is not State.ENDED and (c.node or c.id.rpartition("-")[0]) == self._node
        ]

    def snapshot(self) -> dict[str, Any]:
        """Everything, as a JSON object."""
        return {
            "calls": list(self._calls.values()),
            "arrived": [codec.dump(arrived) for arrived in self._arrived.values()],
            "emergencies": list(self._emergencies.values()),
            "alarms": list(self._alarms.values()),
            "seats": [asdict(seat) for seat in self._switchboard.seats.values()],
            "trunks": [asdict(trunk) for trunk in self._switchboard.trunks.values()],
            "ringing": list(self._ringing.values()),
            "speaking": [_speaking(id_, legs) for id_, legs in self._speaking.items()],
        }

    def speaks(self, case_id: str, leg: str, is_so: bool) -> None:
        """Show who in an emergency speaks just now."""
        before = self._speaking.get(case_id, frozenset())
        now = before | {leg} if is_so else before - {leg}
        if now == before:
            return
        self._speaking.pop(case_id, None)
        if now:
            self._speaking[case_id] = now
        self.feed.publish("speaking", _speaking(case_id, now))

    def heard(self, event: Event) -> None:
        """Show a call and the phones that ring for it at once; what is saved is told later.

        The card must be on the seat's screen while the phone rings, whatever the database does.
        """
        match event:
            case CallArrived() if event.case_id not in self._calls:
                self._show_arrival(event)
            case SeatRang():
                ringing = {
                    "call": event.case_id, "seat": event.seat, "leg": event.leg,
                    "at": event.at.isoformat(),
                }  # fmt: skip
                self._ringing[event.leg] = ringing
                self.feed.publish("ringing", ringing)
            case SeatMissed() | SeatAnswered() | LegEnded():
                self._rings_no_more(event.leg)
            case CallEnded() | CallVanished():
                self._arrival_over(event.case_id)
                of_call = [r["leg"] for r in self._ringing.values() if r["call"] == event.case_id]
                for leg in of_call:
                    self._rings_no_more(leg)

    def refused(self, event: Event) -> None:
        """What was heard could not be saved: a call that is on no record is not shown."""
        if isinstance(event, CallArrived):
            self._arrival_over(event.case_id)

    def _show_arrival(self, event: CallArrived) -> None:
        """The call as the arrival alone makes it; who calls follows as soon as it is read."""
        arrived, _ = call.step(call.begin(event), event)
        self._arrived[arrived.id] = arrived
        self.feed.publish("arrived", codec.dump(arrived))
        asking = asyncio.create_task(self._identify(arrived))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)

    async def _identify(self, arrived: Call) -> None:
        """Show whose number it is; readers of the database wait for no writer."""
        try:
            who = await self._store.who_calls(arrived.caller)
        except StoreDown as down:
            logger.warning("a caller is not identified yet: %s", down)
            return
        # Saved or over meanwhile, it needs nothing more.
        if who.elders and self._arrived.get(arrived.id) is arrived:
            known = replace(arrived, elders=who.elders, terminal=who.terminal)
            self._arrived[arrived.id] = known
            self.feed.publish("arrived", codec.dump(known))

    def _arrival_over(self, call_id: str) -> None:
        if self._arrived.pop(call_id, None):
            self.feed.publish("arrival_over", {"id": call_id})

    def _rings_no_more(self, leg: str) -> None:
        if ringing := self._ringing.pop(leg, None):
            self.feed.publish("ringing_over", ringing)

    def case_changed(self, process: str, case: Any) -> None:
        view = codec.dump(case)
        if process == "call":
            # Every reader knows that the saved call takes the place of the one that was heard.
            self._arrived.pop(case.id, None)
            if case.state is State.ENDED:
                self._calls.pop(case.id, None)
            else:
                self._calls[case.id] = view
        elif process == emergency.PROCESS.name:
            if emergency.is_over(case):
                self._emergencies.pop(case.id, None)
            else:
                self._emergencies[case.id] = view
        self.feed.publish(process, view)

    def effect_posted(self, posted: Posted) -> None:
        self.feed.publish("outbox", {"kind": type(posted.effect).__name__})

    def alarm_raised(self, alarm: RaiseAlarm, at: datetime) -> None:
        view = {**asdict(alarm), "raised_at": at.isoformat()}
        self._alarms[alarm.key] = view
        self.feed.publish("alarm", view)

    def alarm_ended(self, key: str) -> None:
        if self._alarms.pop(key, None):
            self.feed.publish("alarm_ended", {"key": key})

    def connected(self, is_up: bool) -> None:
        """Asterisk is there and its picture is read, or it is away."""
        if is_up:
            self.alarm_ended("asterisk")
            # A phone that was never there is no change that anybody told.
            self._look_at_fallbacks()
            self._ready()
        else:
            for leg in list(self._ringing):
                self._rings_no_more(leg)
            for case_id, legs in list(self._speaking.items()):
                for leg in legs:
                    self.speaks(case_id, leg, is_so=False)
            self._say_alarm("asterisk")

    def _look_at_fallbacks(self) -> None:
        """An alarm for each site whose last phone could not ring now."""
        for site, phone in self._fallbacks.items():
            seat = self._switchboard.seats.get(phone)
            is_away = seat is None or seat.state == OFFLINE
            self._keep_alarm(f"{FALLBACK}/{site}", FALLBACK, f"{site} {phone}".strip(), is_away)

    def stored(self, whose: str, is_up: bool) -> None:
        """The database takes what is told, or everything waits for it.

        Each of those who write says it for itself, and each has to be well again.
        """
        (self._waiting.discard if is_up else self._waiting.add)(whose)
        if not self._waiting:
            self.alarm_ended("database")
        elif "database" not in self._alarms:
            self._say_alarm("database")

    def _say_alarm(self, kind: str) -> None:
        """An alarm about what the database itself could not keep."""
        self.alarm_raised(RaiseAlarm(key=kind, kind=kind, text=""), self._clock.now())

    async def keep_alarms(self) -> None:
        """Bring our own alarms into the database, in order, for ever.

        They are shown before: while the database is away, here they wait for it.
        """
        while True:
            keep = await self._unkept.get()
            while not await self._is_kept(keep):  # noqa: ASYNC110 — no event tells that it is back.
                await asyncio.sleep(AGAIN_S)

    @staticmethod
    async def _is_kept(keep: Callable[[], Awaitable[object]]) -> bool:
        try:
            await keep()
        except StoreDown as down:
            logger.warning("an alarm waits: %s", down)
            return False
        except Exception:
            # One alarm that cannot be kept is shown all the same, and holds up no other.
            logger.exception("an alarm was not kept")
        return True

    def changed(self, change: Change) -> None:
        """A seat's phone or a trunk is another than before."""
        match change:
            case SeatNow():
                self.feed.publish("seat", asdict(change))
                if change.extension in self._fallbacks.values() and "asterisk" not in self._alarms:
                    self._look_at_fallbacks()
            case TrunkNow():
                self.feed.publish("trunk", asdict(change))
                # A carrier that refuses us or is silent is an alarm until it is well again.
                for state, kind in TRUNK_ALARMS.items():
                    key = f"{kind}/{change.name}"
                    self._keep_alarm(key, kind, change.name, change.state == state)
            case PictureNow():
                # A picture that was wrong is an alarm until it has been found right again.
                text = "; ".join(change.differs)[:MAX_WORDS]
                self._keep_alarm(WRONG, WRONG, text, bool(change.differs))

    def show_orphans(self, names: Collection[str]) -> None:
        """An alarm for each recording that belongs to no call, for as long as it lies there."""
        wanted = {f"{ORPHAN}/{name[:100]}": name for name in names}
        for key in [k for k, view in self._alarms.items() if view["kind"] == ORPHAN]:
            if key not in wanted:
                self._keep_alarm(key, ORPHAN, "", False)
        for key, name in wanted.items():
            self._keep_alarm(key, ORPHAN, name, True)

    def show_room(self, is_low: bool, is_unrecorded: bool) -> None:
        """An alarm while the recordings' disk has little room, or one while calls are not recorded
        for want of it."""
        self._keep_alarm(DISK_LOW, DISK_LOW, "", is_low and not is_unrecorded)
        self._keep_alarm(NOT_RECORDED, NOT_RECORDED, "", is_unrecorded)

    def _keep_alarm(self, key: str, kind: str, text: str, is_open: bool) -> None:
        """Show the alarm or end it, and have it stored. One that is open keeps its beginning."""
        if is_open == (key in self._alarms):
            return
        now = self._clock.now()
        if is_open:
            self.alarm_raised(RaiseAlarm(key=key, kind=kind, text=text), now)
            self._unkept.put_nowait(partial(self._store.raise_alarm, key, kind, text, now))
        else:
            self.alarm_ended(key)
            self._unkept.put_nowait(partial(self._store.end_alarm, key, now))


def _speaking(case_id: str, legs: Collection[str]) -> dict[str, Any]:
    return {"case": case_id, "legs": sorted(legs)}
