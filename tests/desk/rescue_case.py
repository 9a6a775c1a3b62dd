"""A made-up emergency, told to the centre step by step as Asterisk and the register would."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from tests.desk.centre import Centre
from workflows import call_back
from workflows.card import RESCUE, Card, Party, PartyKind
from workflows.commands import (
    CallParties,
    ChoosePlan,
    CloseCase,
    Mark,
    MarkLeg,
    SendCard,
    TickStep,
    WriteNote,
    WriteRecord,
)
from workflows.emergency_facts import Emergency
from workflows.errors import NotFound
from workflows.events import (
    CardsRead,
    CaseOutcome,
    DialAttempted,
    DialLost,
    ElderGone,
    EmergencyTimerFired,
    LegAnswered,
    LegOver,
    LegRang,
    LegResult,
    MessageAttempted,
    MessageLost,
    Person,
    PersonJoined,
    PersonLeft,
    RoomOpened,
)
from workflows.leg import ELDERS, SIDE, Leg

PEOPLE: Final = (
    Party(key="contact/1", kind=PartyKind.CONTACT, name="测试女儿", relation="女儿",
          numbers=("+8613800000021",)),
    Party(key="contact/2", kind=PartyKind.NEIGHBOUR, name="测试邻居", relation="邻居",
          numbers=("+8613800000022", "+8613800000023")),
    Party(key="responder/station", kind=PartyKind.STATION, name="测试驿站",
          numbers=("+8613900000085",)),
    Party(key="responder/committee", kind=PartyKind.COMMITTEE, name="测试居委会",
          numbers=("+8613900000086",)),
    Party(key="contact/3", kind=PartyKind.DOCTOR, name="测试医生", relation="社区医生"),
)  # fmt: skip
CARD: Final = Card(
    elder_id=1, uid="E00000001", name="测试老人甲", sex="female", age=82,
    district="魏都区", street="文峰街道", compound="春秋小区", building="7", unit="2", floor="4",
    room="402", landmark="春秋广场公交站东 50 米",
    entry_route="南门进，直行左转第二栋，电梯可放担架",
    entry_route_checked_on=date(2026, 3, 2), diseases="高血压、冠心病",
    medication="阿司匹林、氨氯地平", risk_plan="夜间起身易跌倒", living="alone",
    call_back="+863740000041", site="main", parties=(*RESCUE, *PEOPLE),
)  # fmt: skip


@dataclass
class Case:
    """One emergency; each step is told at its own time, `ago_s` before now."""

    centre: Centre
    ago_s: float = 0.0
    id: str = field(default_factory=lambda: f"test-{uuid.uuid4().int % 10**10}.1")
    caller: str = "+863740000041"
    wishes: int = 0

    def at(self) -> datetime:
        """Each step a little later than the one before, and never later than now."""
        self.ago_s = max(0.0, self.ago_s - 3)
        return datetime.now(UTC) - timedelta(seconds=self.ago_s)

    def tell(self, told: type[Any], /, **more: Any) -> Emergency:
        case: Emergency = self.centre.tell(told(case_id=self.id, at=self.at(), **more))
        return case

    @property
    def now(self) -> Emergency:
        """As it stands: what is told last comes back."""
        return self.tell(LegRang, effect="nobody", channel="")

    def open(self) -> Case:
        self.tell(RoomOpened, caller=self.caller)
        return self

    def known(self, *cards: Card) -> Case:
        self.tell(CardsRead, cards=cards or (CARD,))
        return self

    def seat(self, extension: str, room: str = ELDERS) -> Case:
        self.join(Person(leg=self.of_seat(extension), party="seat", who=extension, room=room))
        return self

    def of_seat(self, extension: str) -> str:
        return f"{self.id}-{extension}"

    def join(self, person: Person) -> None:
        self.tell(PersonJoined, person=person)

    def doubt(self, role: str) -> None:
        """Whether a seat was called for this role is not known."""
        asked = next(one for one in self.now.roles if one.name == role)
        self.tell(DialAttempted, effect=asked.dial)
        now = datetime.now(UTC)
        self.tell(DialLost, effect=asked.dial, seats_there=1, attempted_at=now)

    def leave(self, extension: str) -> None:
        self.tell(PersonLeft, leg=self.of_seat(extension), is_gone=True)

    # ── what a seat does ─────────────────────────────────────────────────────────────────────

    def wish(self, wish: type[Any], /, by: str = "测试坐席", **more: Any) -> Emergency:
        self.wishes += 1
        return self.tell(wish, by=by, **more)

    def call(self, *parties: str) -> Case:
        self.wish(CallParties, parties=parties)
        return self

    def note(self, text: str, by: str = "测试坐席乙") -> Case:
        self.wish(WriteNote, by=by, note_id=uuid.uuid4().hex, text=text)
        return self

    def plan(self, kind: str) -> Case:
        self.wish(ChoosePlan, kind=kind, version=0)
        return self

    def tick(self, *steps: str) -> Case:
        for step in steps:
            self.wish(TickStep, step=step)
        return self

    def mark(self, party: str, mark: Mark) -> Case:
        self.wish(MarkLeg, leg=self.leg(party).id, mark=mark)
        return self

    def card_is_lost(self, party: str) -> str:
        """Whether this one was sent the card is not known; returns the message's id."""
        self.wish(SendCard, parties=(party,), channels=("sms",))
        message = self.now.messages[-1]
        for fact in (MessageAttempted, MessageLost):
            self.tell(fact, message=message.id, effect=message.effect)
        return message.id

    # ── what becomes of a call ───────────────────────────────────────────────────────────────

    def leg(self, party: str) -> Leg:
        return next(one for one in reversed(self.now.legs) if one.party == party)

    def rings(self, party: str) -> Case:
        leg = self.leg(party)
        self.tell(LegRang, effect=leg.id, channel=f"{leg.id}-c")
        return self

    def answers(self, party: str) -> Case:
        leg = self.leg(party)
        self.tell(LegAnswered, effect=leg.id, channel=f"{leg.id}-c")
        return self

    def comes(self, party: str, room: str = SIDE) -> Case:
        """Answered, and in a room."""
        self.answers(party)
        leg = self.leg(party)
        kind = "service" if leg.kind.value in ("ambulance", "fire", "police") else "contact"
        self.join(Person(leg=f"{leg.id}-c", party=kind, who=leg.number, effect=leg.id, room=room))
        return self

    def fails(self, party: str, result: LegResult) -> Case:
        self.tell(LegOver, effect=self.leg(party).id, result=result)
        return self

    def moved(self, extension: str, room: str) -> Case:
        self.seat(extension, room)
        return self

    def close(self) -> None:
        self.wish(WriteRecord, text="120 到场，送医，女儿陪同")
        self.wish(CloseCase, outcome=CaseOutcome.RESCUED, changes="无变更")

    def lose(self) -> Case:
        """The elder's line is gone, and the elder is to be called back."""
        self.tell(ElderGone, back_in_s=4)
        return self

    def call_back(self) -> Case:
        self.tell(EmergencyTimerFired, name=call_back.DUE)
        return self

    def back(self) -> Case:
        self.tell(RoomOpened)
        return self

    def end(self) -> None:
        """The elder hangs up, and everybody outside too; nothing for a case that is over."""
        self.ago_s = 0
        with suppress(NotFound):
            for leg in self.now.legs:
                if leg.ended_at is None:
                    self.tell(LegOver, effect=leg.id, result=LegResult.UNSEEN)
            self.tell(ElderGone, uncertain=False)
