"""The switchboard: seats and trunks as they are now, over Asterisk's exchange as it is.

It can be thrown away at any time: every connect reads it anew, and every second it is held
against Asterisk's own lists. Truth about calls lives in their cases; here is what Asterisk says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from telephony.ami import Ami
from telephony.exchange import AWAY, Difference, Exchange, Member, is_taken
from telephony.listings import Listings, take
from telephony.translate import happened_at, plain, seat_of, whole
from workflows import seat as seats
from workflows.commands import Command
from workflows.effects import Effect
from workflows.errors import NotFound
from workflows.events import Event
from workflows.seat import Phone, Seat, SeatEffect

UP, DOWN, REFUSED = "up", "down", "refused"
ANSWERING: Final = ("Reachable", "NonQualified", "Avail")
REGISTRATIONS: Final = {"Registered": UP, "Rejected": REFUSED}
MISSED_PENALTY: Final = 50
"""The penalty of a seat that left a call ringing; the dialplan, when it is alone, raises everybody
to it (`asterisk_conf.render.MISSED_PENALTY`), so that all are rung in turn."""
NOTHING_HEARD: Final = 44
SECOND_LOOK_S: Final = 1.0
"""A difference this long is no event on its way any more."""
AHEAD_S: Final = 2
"""A call that ended so much later than now ended by a clock that was set back since."""
ON_A_CALL: Final = ("Up", "Ring", "Dialing", "Busy")


@dataclass(frozen=True, slots=True)
class SeatNow:
    """A seat as it is. `reason` says why it is paused, or that its phone vanished ("lost")."""

    extension: str
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TrunkNow:
    """A trunk: up, down (no answer), or refused (the carrier knows us but does not let us in)."""

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class PictureNow:
    """Whether the picture is Asterisk's; `differs` says in words where it was not."""

    differs: tuple[str, ...] = ()


Change = SeatNow | TrunkNow | PictureNow
Consequence = Change | SeatEffect
"""What follows: something to show, or something to be done in Asterisk."""


class Switchboard:
    """`seats` and `trunks` as they are, `exchange` all that Asterisk has.

    `trunks` tells of each trunk whether we register with it: then its registration speaks for it,
    otherwise the answers to our OPTIONS do. `wrap_up_s` is each queue's wrap-up time in seconds.
    """

    def __init__(
        self,
        seats: Sequence[str],
        trunks: Mapping[str, bool],
        wrap_up_s: Mapping[str, int] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.exchange = Exchange()
        self.seats: dict[str, SeatNow] = {s: SeatNow(s, "offline") for s in seats}
        self.trunks: dict[str, TrunkNow] = {t: TrunkNow(t, DOWN) for t in trunks}
        self._cases: Final[dict[str, Seat]] = {s: Seat(id=s) for s in seats}
        self._wrap_up_s: Final = dict(wrap_up_s or {})
        self._registers: Final = dict(trunks)
        # Before the first look a trunk is down; that it really is must be told all the same.
        self._seen: Final[set[str]] = set()
        self._doubts: tuple[float, frozenset[Difference]] = (0.0, frozenset())
        # Legs that stopped ringing because an emergency goes before: nobody missed them.
        self._gave_way: Final[set[str]] = set()
        self._started = ""
        self._now: Final = now

    # ── events ───────────────────────────────────────────────────────────────────────────────

    def apply(self, event: Mapping[str, Any]) -> tuple[Consequence, ...]:
        """What follows from this AMI event."""
        if event.get("UserEvent") == "Rescue" and event.get("Step") == "first":
            self._gave_way.add(plain(event.get("Leg")))
        concerned = self._seats_in(event)
        facts = [fact for seat in concerned for fact in self._happened(seat, event)]
        # Most events change nothing of the exchange, and to look at every leg and place takes long.
        before = [self._facts(seat) for seat in concerned if is_taken(event)]
        self.exchange.apply(event)
        for known in before:
            facts += self._changed(known)
        told = tuple(one for fact in facts for one in self._step(fact))
        if event.get("Event") == "ContactStatus":
            told += self._answers(event.get("AOR"), event.get("ContactStatus"))
        return told

    def _seats_in(self, event: Mapping[str, Any]) -> list[str]:
        named = (event.get(key) for key in ("Channel", "DestChannel", "Interface", "Device"))
        return [seat for seat in {seat_of(name) for name in named} if seat in self._cases]

    def _happened(self, seat: str, event: Mapping[str, Any]) -> list[Event]:
        """What the event tells beyond how things are after it."""
        at, is_of_seat = happened_at(event), seat_of(event.get("Interface")) == seat
        match event.get("Event"):
            case "AgentRingNoAnswer" if plain(event.get("DestChannel")) in self._gave_way:
                return []
            case "AgentRingNoAnswer" if is_of_seat:
                rang = plain(event.get("DestUniqueid"))
                legs = self.exchange.legs_of(f"PJSIP/{seat}")
                # The dialplan lets a seat ring for one call at a time, and ends the second leg.
                if not any(leg.id != rang for leg in legs):
                    return [seats.RingMissed(case_id=seat, at=at)]
            case "Hangup" if whole(event.get("Cause")) == NOTHING_HEARD:
                leg = self.exchange.legs.get(plain(event.get("Uniqueid")))
                # A call that was never answered can end so for the carrier's reasons.
                if leg and leg.state == "Up" and seat_of(leg.name) == seat:
                    return [seats.PhoneVanished(case_id=seat, at=self._now())]
        return []

    def _changed(self, known: Seat) -> list[Event]:
        """The facts by which the exchange is another for this seat than it was."""
        extension, now = known.id, self._now()
        true = self._facts(extension)
        facts: list[Event] = []
        if true.pause != known.pause:
            facts.append(seats.PauseChanged(case_id=extension, at=now, reason=true.pause))
        if true.missed != known.missed:
            facts.append(seats.MissChanged(case_id=extension, at=now, is_noted=true.missed))
        until = true.wrap_up_until
        if until and until > now and until != known.wrap_up_until:
            facts.append(seats.CallFinished(case_id=extension, at=now, wrap_up_until=until))
        if true.phone is not known.phone:
            facts.append(seats.PhoneChanged(case_id=extension, at=now, phone=true.phone))
        return facts

    def _facts(self, extension: str) -> Seat:
        """The seat as the exchange has it."""
        members = self.exchange.members_of(f"PJSIP/{extension}")
        return Seat(
            id=extension,
            phone=self._phone(f"PJSIP/{extension}"),
            pause=next((m.reason for m in members if m.paused), None),
            missed=any(m.penalty == MISSED_PENALTY for m in members),
            wrap_up_until=self._wrap_up_until(members),
        )

    def _phone(self, interface: str) -> Phone:
        # Asterisk calls a ringing seat busy, since one call fills it; its legs say which it is.
        states = {leg.state for leg in self.exchange.legs_of(interface)}
        if states.intersection(ON_A_CALL):
            return Phone.BUSY
        if "Ringing" in states:
            return Phone.RINGING
        return Phone.GONE if self.exchange.devices.get(interface, "") in AWAY else Phone.FREE

    def _wrap_up_until(self, members: Sequence[Member]) -> datetime | None:
        """When the last wrap-up ends; each queue counts its own."""
        ends = [
            member.last_call + seconds
            for member in members
            if member.last_call and (seconds := self._wrap_up_s.get(member.queue, 0))
            if not self._is_ahead(member)
        ]
        return datetime.fromtimestamp(max(ends), UTC) if ends else None

    def _is_ahead(self, member: Member) -> bool:
        return member.last_call > self._now().timestamp() + AHEAD_S

    @property
    def queues_ahead(self) -> tuple[str, ...]:
        """The queues in which a member's last call ended later than now.

        Somebody set the clock back: there Asterisk would leave a seat in its wrap-up until the
        clock has caught up, for an hour say.
        """
        members = self.exchange.members.values()
        return tuple(sorted({one.queue for one in members if self._is_ahead(one)}))

    def _step(self, fact: Event) -> tuple[Consequence, ...]:
        after, effects = seats.step(self._cases[fact.case_id], fact)
        return (*self._show(after), *_for_seats(effects))

    def _show(self, seat: Seat) -> tuple[SeatNow, ...]:
        self._cases[seat.id] = seat
        reason = (seat.pause or "") if seat.state is seats.State.PAUSED else ""
        now = SeatNow(seat.id, seat.state.value, "lost" if seat.silent_until else reason)
        if now == self.seats[seat.id]:
            return ()
        self.seats[seat.id] = now
        return (now,)

    def tick(self) -> tuple[Consequence, ...]:
        """What follows from nothing but the time: wrap-ups end, a silent phone was heard or not."""
        now = self._now()
        return tuple(
            one
            for extension, seat in self._cases.items()
            if seat.wrap_up_until or seat.silent_until
            for one in self._step(seats.TimePassed(case_id=extension, at=now))
        )

    def wish(self, command: Command) -> tuple[Seat, tuple[Consequence, ...]]:
        """The seat after a person's wish. Raises NotAllowed, and NotFound for an unknown seat."""
        if command.case_id not in self._cases:
            raise NotFound(f"there is no seat {command.case_id}")
        told = self._step(command)
        return self._cases[command.case_id], told

    # ── reading and comparing ────────────────────────────────────────────────────────────────

    async def read(self, ami: Ami) -> tuple[Consequence, ...]:
        """Read everything anew; returns what differs from the picture so far."""
        return self.put(await take(ami, self.trunks))

    def put(self, listings: Listings) -> tuple[Consequence, ...]:
        """Take these lists for the truth. But a pause that Asterisk forgot when it was restarted
        is asked for again: the phone would ring where nobody sits."""
        forgotten = self._forgotten_pauses(listings)
        self.exchange = listings.exchange()
        self._doubts = (0.0, frozenset())
        self._gave_way.clear()
        shown: list[Consequence] = []
        for extension, known in self._cases.items():
            true = replace(self._facts(extension), silent_until=known.silent_until)
            shown += self._show(seats.found(true, self._now()))
        return (*shown, *forgotten, *self.see_trunks(listings))

    def _forgotten_pauses(self, listings: Listings) -> list[SeatEffect]:
        before, self._started = self._started, listings.started or self._started
        if not before or before == self._started:
            return []
        still = {m.interface for m in listings.exchange().members.values() if m.paused}
        return [
            seats.Pause(seat=seat.id, reason=seat.pause)
            for seat in self._cases.values()
            if seat.pause is not None and f"PJSIP/{seat.id}" not in still
        ]

    @property
    def is_in_doubt(self) -> bool:
        """The last look saw a difference; the next one says whether it stays."""
        return bool(self._doubts[1])

    def compare(self, listings: Listings) -> tuple[Difference, ...]:
        """Where the picture differed at the last look, and differs in the same way now.

        An event may be on its way, so what one look alone sees is only a doubt.
        """
        true = listings.exchange()
        self.exchange.learn(true)
        seen = self.exchange.differences(true)
        since, doubts = self._doubts
        if listings.taken_at - since < SECOND_LOOK_S and doubts:
            return ()
        self._doubts = (listings.taken_at, seen)
        return tuple(sorted(seen & doubts))

    # ── trunks ───────────────────────────────────────────────────────────────────────────────

    def _answers(self, aor: object, status: object) -> tuple[TrunkNow, ...]:
        name = plain(aor).removeprefix("trunk-")
        if self._registers.get(name, True):
            return ()
        return self._trunk(name, UP if status in ANSWERING else DOWN)

    def _trunk(self, name: str, state: str) -> tuple[TrunkNow, ...]:
        if name not in self.trunks:
            return ()
        if name in self._seen and self.trunks[name].state == state:
            return ()
        self._seen.add(name)
        self.trunks[name] = TrunkNow(name, state)
        return (self.trunks[name],)

    def see_trunks(self, listings: Listings) -> tuple[TrunkNow, ...]:
        """The trunks as these lists have them; Asterisk tells of a refusal no other way."""
        answering = {
            plain(one.get("AOR"))
            for one in listings.trunk_contacts
            if one.get("Status") in ANSWERING
        }
        registered = {
            plain(one.get("ObjectName")): REGISTRATIONS.get(plain(one.get("Status")), DOWN)
            for one in listings.registrations
            # The list holds the credentials too, under the same name and without a status.
            if one.get("Event") == "OutboundRegistrationDetail"
        }
        changes: list[TrunkNow] = []
        for name, registers in self._registers.items():
            key = f"trunk-{name}"
            answers = UP if key in answering else DOWN
            changes += self._trunk(name, registered.get(key, DOWN) if registers else answers)
        return tuple(changes)


def _for_seats(effects: Sequence[Effect]) -> list[SeatEffect]:
    return [effect for effect in effects if isinstance(effect, SeatEffect)]
