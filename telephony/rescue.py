"""Listens for emergencies, and takes them up again after we were away.

It has an ear of its own (`Ami.urgent`) and tells a journal of its own: nothing here ever waits for
the database. After each connect, and after a standstill, it reads who owns each case, who is in its
room and which of our dials live, adopts that, settles what was perhaps dialled, and only then
claims the case and dials. Every few seconds the rooms are held against the cases. A case that
failed, hangs or differs is in doubt: shown, not claimed, and read anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

from telephony.ami import Ami, AmiDown, AmiEvent, AmiRefused
from telephony.cel import Fate, FateKind
from telephony.dialler import Dialler
from telephony.doubts import Cases, Doubts
from telephony.listings import live_channels, people_in, rooms_of
from telephony.rescue_events import (
    caller_of,
    elders_in_rooms,
    is_speaking,
    living_dials,
    people_on,
    rescue_events,
    side_room,
)
from telephony.rescue_steps import STALE_S
from telephony.translate import plain, variable
from workflows import call_back, emergency, leg, role
from workflows.card import PartyKind
from workflows.effects import CancelDial
from workflows.emergency_facts import Emergency
from workflows.events import (
    CaseFound,
    DialAnswered,
    DialFailed,
    DialLost,
    ElderGone,
    ElderSpoke,
    Event,
    LegOver,
    LegResult,
    Owner,
    PersonJoined,
    PersonLeft,
    RoomOpened,
)
from workflows.leg import ELDERS, SIDE, Leg

logger = logging.getLogger(__name__)

TRY_AGAIN_S: Final = 0.5
LOOK_EVERY_S: Final = 2.0
ANEW: Final = "Anew"
"""Our own event: these cases are read once more."""

AWAY: Final = ("UNAVAILABLE", "INVALID", "UNKNOWN")

Channels = Sequence[Mapping[str, Any]]


class Rescue:
    """Drains `ami.urgent` for ever. `handle` takes a fact and returns the case after it.

    `fate_of` says what Asterisk wrote down about a dial, by its id and when it was asked for;
    `doubted` is told when a case is in doubt, and when it is no more; `speaks` which channel of a
    case begins to speak, or has stopped: that is shown and kept nowhere.
    """

    def __init__(
        self,
        ami: Ami,
        dialler: Dialler,
        cases: Cases,
        *,
        fate_of: Callable[[str, datetime], Awaitable[Fate]],
        handle: Callable[[Event], Awaitable[Any]],
        doubted: Callable[[str, bool], None],
        speaks: Callable[[str, str, bool], None],
        seats: Sequence[str],
        now: Callable[[], datetime],
        zone: tzinfo,
    ) -> None:
        self._ami: Final = ami
        self._dialler: Final = dialler
        self._cases: Final = cases
        self._fate_of: Final = fate_of
        self._handle: Final = handle
        self._seats: Final = seats
        self._now: Final = now
        self._zone: Final = zone
        self._speaks: Final = speaks
        self._doubts: Final = Doubts(cases, doubted)
        self._adopted: Final[set[str]] = set()
        self._differing: frozenset[tuple[str, frozenset[str]]] = frozenset()
        self._busy_since: float | None = None

    async def run(self) -> None:
        while True:
            event = await self._ami.urgent.get()
            self._busy_since = asyncio.get_running_loop().time()
            try:
                await self._take(event)
            except (AmiDown, AmiRefused, TimeoutError) as cause:
                logger.warning("the emergencies could not be read: %s", cause)
                if self._ami.is_up:
                    loop = asyncio.get_running_loop()
                    loop.call_later(TRY_AGAIN_S, self.look_again)
            except Exception:
                # One event that we cannot understand must not deafen us to all that follow.
                logger.exception(
                    "an emergency's event was not taken: %s", (event or {}).get("Event")
                )
                asyncio.get_running_loop().call_later(TRY_AGAIN_S, self.look_again)
            finally:
                self._busy_since = None

    def look_again(self) -> None:
        """We may have missed something: no case is claimed before everything is read anew."""
        self._adopted.clear()
        self._ami.urgent.put_nowait({"Event": "Connected"})

    def doubt(self, case_id: str) -> None:
        """What we know of this case may be wrong: it is shown, not claimed, and read anew.

        What fails at once again is read anew with the next look, and not as fast as it can.
        """
        self._adopted.discard(case_id)
        if self._doubts.begin(case_id):
            self._read_anew({case_id})

    def _read_anew(self, cases: Collection[str]) -> None:
        self._ami.urgent.put_nowait({"Event": ANEW, "Cases": cases})

    async def watch(self) -> None:
        """Hold Asterisk's rooms against the cases, again and again."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                differing = await self._differences() if self._ami.is_up else frozenset()
            except (AmiDown, AmiRefused, TimeoutError) as cause:
                logger.debug("the rooms were not looked at: %s", cause)
                continue
            except Exception:
                logger.exception("the rooms could not be compared")
                continue
            # An event may be on its way: what only one look sees is no difference.
            stays = {case_id for case_id, _ in differing & self._differing}
            self._differing = differing
            for case_id in stays:
                logger.warning("the emergency %s is read anew: it differed from its room", case_id)
                self.doubt(case_id)
            if stays:
                self._read_anew(stays)

    async def _differences(self) -> frozenset[tuple[str, frozenset[str]]]:
        """The cases that are not as Asterisk has them: not taken up, without a room, or a room
        without its case, or other people in it; each with the legs that only one of us knows."""
        ours = {case.id: case for case in self._cases.open_cases() if emergency.has_elder(case)}
        rooms = [plain(one.get("Conference")) for one in await rooms_of(self._ami)]
        away = [case for case in self._cases.open_cases() if emergency.is_away(case)]
        channels = await live_channels(self._ami) if rooms or ours or away else []
        there = elders_in_rooms(channels, rooms)
        self._doubts.see(there)
        unlike = ours.keys() ^ set(there) | (ours.keys() - self._adopted)
        differing = {(case_id, frozenset[str]()) for case_id in unlike}
        for case in away:
            lost = call_back.is_lost_call(case, living_dials(case.id, channels))
            if case.id in self._doubts or lost:
                differing.add((case.id, frozenset({lost})))
        for case_id in set(there) & ours.keys():
            persons = people_on(channels, await self._members(case_id, rooms))
            is_so = {(person.leg, person.room) for person in persons}
            known = {(one.leg, one.moves_to or one.room) for one in ours[case_id].people}
            if differs := is_so ^ known:
                differing.add((case_id, frozenset(leg for leg, _ in differs)))
        return frozenset(differing)

    async def look_when_in_doubt(self) -> None:
        """Look for dials of which nobody knows whether they were sent."""
        while True:
            await self._dialler.in_doubt.wait()
            self._dialler.in_doubt.clear()
            if self._ami.is_up:
                self.look_again()

    def claimable(self) -> list[str]:
        """The cases that we really handle now: read, moving, with nothing left lying."""
        self._doubts.settle()
        busy = self._busy_since
        if busy is not None and asyncio.get_running_loop().time() - busy > STALE_S:
            return []
        return [
            case.id
            for case in self._cases.open_cases()
            if case.id in self._adopted
            and case.id not in self._doubts
            and emergency.is_ours(case)
            and not self._dialler.waits_longer_than(STALE_S, case.id)
        ]

    async def _take(self, event: AmiEvent | None) -> None:
        if event is None:
            self._adopted.clear()
        elif event["Event"] == "Connected":
            await self._adopt_all()
        elif event["Event"] == ANEW:
            await self._adopt_all(event["Cases"])
        else:
            if event["Event"] in ("ConfbridgeTalking", "ConfbridgeLeave"):
                case_id, leg = variable(event, "CARELINE_CALL"), plain(event.get("Uniqueid"), 120)
                self._speaks(case_id, leg, is_speaking(event))
            for ours in rescue_events(event):
                await self._tell(ours)

    async def _tell(self, event: Event) -> None:
        if isinstance(event, RoomOpened):
            self._adopted.add(event.case_id)
        elif not self._is_news(event):
            return
        try:
            await self._handle(event)
        except Exception:
            logger.exception("%s of an emergency was not taken", type(event).__name__)
            self.doubt(event.case_id)

    def _is_news(self, event: Event) -> bool:
        case = self._cases.case(event.case_id)
        if case is None:
            # The late echo of a case that is closed and put away, or an ordinary call.
            return False
        if isinstance(event, ElderSpoke):
            # Told once: what is said after that is nobody's record.
            return case.spoke_at is None
        if isinstance(event, PersonLeft) and event.is_gone:
            # Leaving the room was told already, mostly: this is the end of the channel.
            return emergency.awaits(case, event) or any(one.leg == event.leg for one in case.people)
        return True

    # ── taking up ─────────────────────────────────────────────────────────────────────────────

    async def _adopt_all(self, only: Collection[str] | None = None) -> None:
        """Bring these cases, or all, to what Asterisk has."""
        # A dial that is on its way now may be missing in the lists, and is not judged by them.
        sent = {
            dial
            for case in self._cases.open_cases()
            for dial in emergency.sent_dials(case)
            if not self._dialler.may_be_unseen(dial)
        }
        channels = await live_channels(self._ami)
        rooms = [plain(one.get("Conference")) for one in await rooms_of(self._ami)]
        there = elders_in_rooms(channels, rooms)
        self._doubts.see(there)

        def wanted(case_id: str) -> bool:
            return only is None or case_id in only

        for case in self._cases.open_cases():
            if case.id not in there and wanted(case.id):
                work = self._take_leave(case, channels, sent, rooms)
                await self._try_to_take_up(case.id, work)
        for case_id in filter(wanted, there):
            if self._doubts.is_closed(case_id):
                self.doubt(case_id)
            else:
                work = self._adopt(case_id, channels, sent, rooms)
                await self._try_to_take_up(case_id, work)

    async def _try_to_take_up(self, case_id: str, work: Coroutine[Any, Any, None]) -> None:
        """One case that cannot be taken up keeps no other from it."""
        try:
            await work
        except (AmiDown, AmiRefused, TimeoutError):
            raise
        except Exception:
            logger.exception("the emergency %s was not taken up", case_id)
            self.doubt(case_id)

    async def _take_leave(
        self, case: Emergency, channels: Channels, sent: Collection[str], rooms: Collection[str]
    ) -> None:
        """Bring a case whose elder is not connected to what Asterisk has."""
        if emergency.has_elder(case):
            await self._handle(ElderGone(case_id=case.id, at=self._now(), uncertain=True))
        # Of an elder who has hung up, the helpers may still be talking to A.
        await self._settle_legs(case.id, channels, sent)
        await self._take_up_away(case.id, channels, rooms)
        if self._doubts.is_closed(case.id):
            self._dialler.post(call_back.letting_go(case.id))

    async def _take_up_away(self, case_id: str, channels: Channels, rooms: Collection[str]) -> None:
        """Who of the others is in the rooms of an elder who is called back; and that goes on."""
        case = self._cases.case(case_id)
        if case is None or not emergency.is_away(case):
            return
        there = people_on(channels, await self._members(case_id, rooms))
        at, legs = self._now(), {one.leg for one in there}
        known = {(one.leg, one.moves_to or one.room) for one in case.people}
        for one in case.people:
            if one.leg not in legs:
                await self._handle(PersonLeft(case_id=case_id, at=at, leg=one.leg, is_gone=True))
        for one in there:
            if (one.leg, one.room) not in known:
                await self._handle(PersonJoined(case_id=case_id, at=at, person=one))
        for dial in emergency.unsent(self._cases.case(case_id) or case):
            self._dialler.post(dial)
        self._doubts.goes_well(case_id)

    async def _adopt(
        self, case_id: str, channels: Channels, sent: Collection[str], rooms: Collection[str]
    ) -> None:
        """Bring the case to what Asterisk has; then settle what is in doubt; then it is ours."""
        known = self._cases.case(case_id)
        members = await self._members(case_id, rooms)
        persons = people_on(channels, members)
        outside = [channel for channel in channels if channel.get("Uniqueid") not in members]
        dials = living_dials(case_id, outside)
        found = CaseFound(
            case_id=case_id,
            at=self._now(),
            owner=await self._owner(case_id),
            people=persons,
            dials=dials,
            caller=caller_of(case_id, channels),
        )
        # First of all what was never sent before: what is asked for from here on is new.
        unsent = emergency.unsent(known) if known else ()
        case = await self._handle(found)
        case = await self._settle(case, dials, sent)
        case = await self._settle_legs(case_id, channels, sent) or case
        self._adopted.add(case_id)
        self._doubts.goes_well(case_id)
        newest = self._cases.case(case_id) or case
        for dial in emergency.unsent(newest):
            if dial in unsent:
                self._dialler.post(dial)
        awaited = emergency.awaited_dials(newest)
        for left_over in dials:
            if left_over not in awaited:
                self._dialler.post(CancelDial(id=f"{left_over}/cancel", dial=left_over))

    async def _settle(
        self, case: Emergency, dials: Sequence[str], sent: Collection[str]
    ) -> Emergency:
        """Ask Asterisk's own records about dials that were perhaps sent and have no channel.

        One that was not `sent` when Asterisk was asked for its channels is looked for once more.
        """
        for asked in case.roles:
            if asked.state is not role.State.ASKED or asked.sent_at is None or asked.dial in dials:
                continue
            if asked.dial not in sent:
                asyncio.get_running_loop().call_later(TRY_AGAIN_S, self.look_again)
                continue
            settled = await self._handle(await self._fact_of(case.id, asked.dial, asked.sent_at))
            case = settled if isinstance(settled, Emergency) else case
        return case

    async def _settle_legs(
        self, case_id: str, channels: Channels, sent: Collection[str]
    ) -> Emergency | None:
        """Tell the end of every leg that was called before and of which nothing lives."""
        case = self._cases.case(case_id)
        living = living_dials(case_id, channels)
        for one in case.legs if case else ():
            if not leg.is_open(one) or one.sent_at is None or one.id in living:
                continue
            if one.id not in sent:
                asyncio.get_running_loop().call_later(TRY_AGAIN_S, self.look_again)
                continue
            case = await self._handle(await self._end_of(case_id, one)) or case
        return case

    async def _end_of(self, case_id: str, one: Leg) -> Event:
        """What became of a leg: one that had rung is over, one that was only sent may never have
        rung at all."""
        # The elder's own channel has the id of the case, and is not told from the first one.
        is_elders = one.kind is PartyKind.ELDER
        if one.state is leg.State.ASKED and one.sent_at and not is_elders:
            fact = await self._fact_of(case_id, one.id, one.sent_at)
            if isinstance(fact, DialFailed | DialLost):
                return fact
        return LegOver(
            case_id=case_id, at=self._now(), effect=one.id, result=LegResult.UNSEEN
        )  # fmt: skip

    async def _fact_of(self, case_id: str, dial: str, sent_at: datetime) -> Event:
        """What became of a dial that was sent then, as far as anybody wrote it down."""
        fate = await self._fate_of(dial, sent_at)
        at = self._now()
        match fate.kind:
            case FateKind.ANSWERED:
                return DialAnswered(case_id=case_id, at=at, effect=dial)
            case FateKind.FAILED:
                return DialFailed(case_id=case_id, at=at, effect=dial, reason="while we were away")
            case FateKind.NEVER_STARTED:
                return DialFailed(case_id=case_id, at=at, effect=dial, reason="it was never sent")
            case _:
                return DialLost(
                    case_id=case_id,
                    at=at,
                    effect=dial,
                    attempted_at=sent_at.astimezone(self._zone),
                    seats_there=await self._seats_there(),
                )

    async def _members(self, case_id: str, rooms: Collection[str]) -> dict[str, str]:
        """In which of the case's rooms, if these stand, each channel is."""
        members: dict[str, str] = {}
        for name, room in ((case_id, ELDERS), (side_room(case_id), SIDE)):
            for member in await people_in(self._ami, name) if name in rooms else ():
                members[plain(member.get("Uniqueid"), 120)] = room
        return members

    async def _seats_there(self) -> int:
        """How many seats have a phone that is signed in: who sits there sees the desk."""
        phones = {f"PJSIP/{seat}" for seat in self._seats}
        states = await self._ami.listing("DeviceStateList")
        return sum(
            device.get("Device") in phones and device.get("State") not in AWAY for device in states
        )

    async def _owner(self, case_id: str) -> Owner:
        try:
            answer = await self._ami.action("Getvar", Channel=case_id, Variable="SHARED(OWNER)")
        except AmiRefused:
            # The elder has hung up meanwhile.
            return Owner.CONTROLLER
        # Nobody has said anything yet while the case is a moment old.
        is_theirs = answer.get("Value") == Owner.DIALPLAN.value
        return Owner.DIALPLAN if is_theirs else Owner.CONTROLLER
