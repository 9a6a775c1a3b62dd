"""An emergency as its page shows it: who is where, what is wrong, and what happened when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agent_desk import rescue_words
from agent_desk.live_case import Names, summary, timeline, unfinished, whole, wrong
from workflows import emergency
from workflows.card import RESCUE, Card, Party, PartyKind
from workflows.commands import (
    CallParties,
    ChooseCard,
    CloseCase,
    Command,
    DropLeg,
    Mark,
    MarkLeg,
    MovePerson,
    Mute,
    SendCard,
    WriteNote,
    WriteRecord,
)
from workflows.emergency_facts import Emergency
from workflows.errors import CarelineError
from workflows.events import (
    CardsRead,
    CaseOutcome,
    ElderGone,
    ElderSilent,
    Event,
    LegAnswered,
    LegOver,
    LegResult,
    Person,
    PersonJoined,
    RoomOpened,
    TookOver,
)

NOON = datetime(2026, 4, 18, 12, tzinfo=UTC)
NAMES = Names({"1001": "李敏"}, lambda number: f"{number[:3]}*")
SON = Party(
    key="contact/1", kind=PartyKind.CONTACT, name="王小明", relation="儿子",
    numbers=("+8613800000001",),
)  # fmt: skip
CARD = Card(uid="E1", name="王秀兰", district="魏都区", compound="春秋小区", parties=(*RESCUE, SON))


def told(*events: tuple[type[Event], dict[str, Any]]) -> Emergency:
    """A case after these, one a second."""
    opened = RoomOpened(case_id="c", at=NOON, caller="+8613800000009")
    case, _ = emergency.step(emergency.begin(opened), opened)
    for second, (kind, more) in enumerate(events, start=1):
        by = {"by": "李敏"} if issubclass(kind, Command) else {}
        event = kind(case_id="c", at=NOON + timedelta(seconds=second), **by, **more)
        case, _ = emergency.step(case, event)
    return case


def joined(leg: str, party: str, who: str, effect: str = "", room: str = "elder") -> Any:
    return PersonJoined, {
        "person": Person(leg=leg, party=party, who=who, effect=effect, room=room)
    }  # fmt: skip


CALLED = (
    joined("s1", "seat", "1001"), joined("s2", "seat", "1002"),
    (CardsRead, {"cards": (CARD,)}), (CallParties, {"parties": ("ambulance", "contact/1")}),
)  # fmt: skip


def test_who_is_in_a_room_is_known_by_name() -> None:
    case = told(
        *CALLED, joined("l1", "service", "120", "c-L1", "side"),
        joined("x", "contact", "+8613800000001"), joined("y", "contact", "+8613900000002"),
    )  # fmt: skip
    shown = {one["channel"]: one for one in whole(case, NAMES)["people"]}
    assert shown["s1"]["who"] == "李敏 1001"
    assert (shown["s1"]["role"], shown["s2"]["role"]) == ("A", "B")
    assert (shown["l1"]["who"], shown["l1"]["kind"], shown["l1"]["leg"]) == (
        "120", "ambulance", "c-L1",
    )  # fmt: skip
    assert shown["x"]["who"] == "王小明", "whom the dialplan brought is known by the number"
    assert shown["y"]["who"] == "+86*"
    assert all(one["since"] for one in shown.values())


def test_numbers_are_masked_but_for_the_one_that_is_read_out() -> None:
    shown = whole(told(*CALLED), NAMES)
    assert [one["numbers"] for one in shown["parties"] if one["key"] == "contact/1"] == [["+86*"]]
    assert "13800000001" not in str(shown)
    assert shown["caller"] == "+8613800000009"


def test_what_is_wrong_is_named_the_worst_first() -> None:
    assert wrong(told()) == ["alone", "no A", "no B"]
    assert wrong(told(joined("s1", "seat", "1001"))) == ["no B"]
    assert wrong(told(*CALLED[:2])) == []
    assert wrong(told(*CALLED[:2], (ElderSilent, {"since": NOON}))) == ["silent"]
    assert wrong(told(*CALLED[:2], (TookOver, {}))) == ["unled"]


def test_the_wall_knows_what_is_not_on_record() -> None:
    shown = summary(told(*CALLED), NAMES)
    assert (shown["who"], shown["place"]) == ("王秀兰", "魏都区春秋小区")
    assert shown["gaps"][:2] == ["street", "building"]
    assert shown["with"] == ["李敏 1001", "1002"]
    assert [(one["kind"], one["state"]) for one in shown["services"]] == [("ambulance", "asked")]


def test_the_timeline_tells_when_each_was_called_answered_and_arrived() -> None:
    case = told(
        *CALLED, (LegAnswered, {"effect": "c-L1", "channel": "l1"}),
        (MarkLeg, {"leg": "c-L1", "mark": Mark.ARRIVED}),
        (LegOver, {"effect": "c-L2", "result": LegResult.BUSY}),
        (WriteNote, {"note_id": "n", "text": "清醒"}),
    )  # fmt: skip
    lines = [(one["what"], one.get("who", ""), one["at"]) for one in timeline(case, NAMES)]
    at = int(NOON.timestamp() * 1000)
    assert lines == [
        ("note", "", at + 8000), ("over", "王小明 儿子", at + 7000), ("arrived", "120", at + 6000),
        ("answered", "120", at + 5000), ("called", "120、王小明 儿子", at + 4000),
        ("came", "1002", at + 2000), ("came", "李敏 1001", at + 1000), ("opened", "", at),
    ]  # fmt: skip


def test_what_an_elder_has_left_waits_for_a_word() -> None:
    case = told(*CALLED[:3], (ElderGone, {}), (WriteRecord, {"text": "送医"}))
    assert unfinished(case)["state"] == "recorded"
    assert whole(case, NAMES)["closing"]["record"]["text"] == "送医"


def test_every_refusal_of_the_process_is_put_into_words() -> None:
    """A sentence of the process that is reworded is found here, before a seat reads English."""
    case = told(*CALLED[:1], (CardsRead, {"cards": (replace(CARD, parties=(SON,)),)}))
    over = told(*CALLED[:3], (ElderGone, {}))
    wishes: list[tuple[Emergency, type[Command], dict[str, Any]]] = [
        (over, CallParties, {"parties": ("ambulance",)}),
        (case, CallParties, {"parties": ("nobody",)}),
        (case, DropLeg, {"leg": "x"}),
        (case, MovePerson, {"channel": "s1", "room": "side"}),
        (case, MovePerson, {"channel": "s1", "room": "kitchen"}),
        (case, Mute, {"channel": "x", "is_muted": True}),
        (case, WriteNote, {"note_id": "n", "text": " "}),
        (case, WriteNote, {"note_id": "n", "text": "长" * 1001}),
        (case, ChooseCard, {"uid": "E9"}),
        (case, SendCard, {"parties": ("contact/1",)}),
        (over, WriteRecord, {"text": ""}),
        (over, WriteRecord, {"text": "长" * 4001}),
        (case, CloseCase, {"outcome": CaseOutcome.TEST, "changes": "无"}),
    ]
    fallback = rescue_words.refusal("nobody has said this before")
    for state, kind, more in wishes:
        try:
            emergency.step(state, kind(case_id="c", at=NOON, by="李敏", **more))
        except CarelineError as refused:
            said = rescue_words.refusal(str(refused))
        else:
            raise AssertionError(f"{kind.__name__} was not refused")
        assert said != fallback, refused_text(kind, more)
        assert not said.isascii(), said


def refused_text(kind: type[Command], more: dict[str, Any]) -> str:
    return f"{kind.__name__} {more}"
