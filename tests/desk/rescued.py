"""An emergency told step by step to the real runner, from the call to the follow-up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sql.queries import cases
from sql.rescue_cards import card_for
from tests.desk.centre import Call, Centre, make_sound
from tests.desk.test_calls import fresh_number
from workflows.card import Party, PartyKind
from workflows.commands import (
    CallParties,
    CloseCase,
    FollowUp,
    Mark,
    MarkLeg,
    SendCard,
    TickStep,
    WriteNote,
    WriteRecord,
)
from workflows.emergency_facts import Emergency
from workflows.events import (
    CardsRead,
    CaseOutcome,
    ElderGone,
    Entry,
    Event,
    LegAnswered,
    LegOver,
    LegRang,
    LegRecorded,
    LegResult,
    MessageAccepted,
    MessageDelivered,
    MessageFailed,
    Person,
    PersonJoined,
    PersonLeft,
    RoomOpened,
)

STATION: Final = Party(
    key="responder/S1", kind=PartyKind.STATION, name="样例街道养老驿站", numbers=("+863742000001",)
)


class Rescue:
    """One emergency. `after` is seconds since the elder called; `by` is the seat who does it."""

    def __init__(self, centre: Centre, name: str = "韩玉兰", ago_s: float = 3600) -> None:
        self.centre, self.number = centre, fresh_number()
        self.uid = centre.enter_whole_elder(name, self.number) if name else ""
        self.call: Call = centre.call(
            self.number, ago_s=ago_s, entry=Entry.EMERGENCY, callee="96000"
        )
        self.id, self.began = self.call.id, datetime.now(UTC) - timedelta(seconds=ago_s)
        self._tell(RoomOpened, 0, caller=self.number)
        cards = centre.run(
            card_for(
                centre.database, {"main": (STATION,)}, centre.settings.centre.zone,
                at=self.began, number=self.number,
            )
        )  # fmt: skip
        self._tell(CardsRead, 1, cards=cards)
        self._seat("1001", 4)

    def _tell(self, kind: type[Event], after: float, **more: Any) -> None:
        event = kind(case_id=self.id, at=self.began + timedelta(seconds=after), **more)
        self.now: Emergency = self.centre.tell(event)
        self.centre.until_written(self.id, kind.__name__, event.at)

    def do(self, kind: type[Event], after: float, **more: Any) -> None:
        self._tell(kind, after, by="李敏", **more)

    def _seat(self, seat: str, after: float) -> None:
        person = Person(leg=f"{self.id}-{seat}", party="seat", who=seat)
        self._tell(PersonJoined, after, person=person)

    def kept(self) -> Emergency:
        """The case as the database has it."""
        found = self.centre.read(lambda session: cases.one(session, self.id))
        assert found
        return found

    def leg(self, party: str) -> str:
        return next(one.id for one in reversed(self.now.legs) if one.party == party)

    def contact(self, place: int = 0) -> str:
        """The key of one of the elder's contacts."""
        (card,) = self.now.cards
        return [one.key for one in card.parties if one.key.startswith("contact/")][place]

    # ── who is called ────────────────────────────────────────────────────────────────────────

    def ring(self, *parties: str, after: float) -> None:
        self.do(CallParties, after, parties=parties)
        for party in parties:
            leg = self.leg(party)
            self._tell(LegRang, after + 2, effect=leg, channel=f"{leg}-c")

    def pick_up(self, party: str, after: float) -> None:
        leg = self.leg(party)
        person = Person(leg=f"{leg}-c", party="contact", effect=leg)
        self._tell(LegAnswered, after, effect=leg, channel=f"{leg}-c")
        self._tell(PersonJoined, after + 3, person=person)

    def hang_up(self, party: str, after: float, *, is_recorded: bool = True) -> None:
        leg = self.leg(party)
        self._tell(PersonLeft, after, leg=f"{leg}-c", effect=leg, is_gone=True)
        self._tell(LegOver, after, effect=leg, result=LegResult.SPOKEN)
        if is_recorded:
            name = f"2026/11/22/{leg}.opus"
            make_sound(self.centre.home.recordings / name, 2)
            said = {"leg": leg, "file": name, "sha256": "0" * 64, "seconds": 2.0, "size": 1}
            self._tell(LegRecorded, after + 5, **said)

    def not_reached(self, party: str, after: float, result: LegResult = LegResult.BUSY) -> None:
        self._tell(LegOver, after, effect=self.leg(party), result=result)

    def mark(self, party: str, mark: Mark, after: float) -> None:
        self.do(MarkLeg, after, leg=self.leg(party), mark=mark)

    # ── messages ─────────────────────────────────────────────────────────────────────────────

    def send_card(self, *parties: str, after: float) -> None:
        self.do(SendCard, after, parties=parties, channels=("gateway",))

    def delivered(self, number: int, after: float) -> None:
        asked = {"message": f"{self.id}-M{number}", "effect": f"{self.id}-M{number}.1"}
        self._tell(MessageAccepted, after, provider_id=f"p{number}", **asked)
        self._tell(MessageDelivered, after + 2, provider_id=f"p{number}", **asked)

    def refused(self, number: int, after: float) -> None:
        asked = {"message": f"{self.id}-M{number}", "effect": f"{self.id}-M{number}.1"}
        self._tell(MessageFailed, after, code="30003", reason="unreachable handset", **asked)

    # ── the end ──────────────────────────────────────────────────────────────────────────────

    def end(self, after: float = 900) -> None:
        self._tell(ElderGone, after)
        self.call.answer("1001", after=4)
        self.call.end("1001", after=after)

    def whole(self) -> Rescue:
        """The ambulance and a daughter are called; both come. The station does not answer."""
        daughter = self.contact()
        self.do(WriteNote, 20, note_id="n1", text="老人跌倒，右腿疼，意识清楚。")
        self.do(TickStep, 25, step="stay")
        self.ring("ambulance", daughter, STATION.key, after=30)
        self.pick_up("ambulance", 36)
        self.mark("ambulance", Mark.TOLD, 60)
        self.pick_up(daughter, 50)
        self.not_reached(STATION.key, 70, LegResult.NO_ANSWER)
        self.send_card(daughter, STATION.key, after=75)
        self.delivered(1, 78)
        self.refused(2, 79)
        self.mark("ambulance", Mark.ON_THE_WAY, 120)
        self.mark(daughter, Mark.ON_THE_WAY, 130)
        self.mark(daughter, Mark.ARRIVED, 400)
        self.hang_up(daughter, 410)
        self.mark("ambulance", Mark.ARRIVED, 650)
        self.hang_up("ambulance", 700)
        self.end(800)
        return self

    def recorded(self, after: float = 1000) -> Rescue:
        text = "120 十一分钟到达，老人右腿骨折，送市医院。"
        self.do(WriteRecord, after, text=text, handed_to="120 急救人员")
        return self

    def closed(self, after: float = 1100, outcome: CaseOutcome = CaseOutcome.RESCUED) -> Rescue:
        self.do(CloseCase, after, outcome=outcome, changes="增加了女儿的新号码")
        return self

    def followed_up(self, after: float = 3500) -> Rescue:
        self.do(FollowUp, after, text="老人住院，女儿陪护。")
        return self
