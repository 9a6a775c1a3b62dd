"""What the seats do in an emergency: whom they call, who is where, what they note and tick."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import pytest

from workflows import leg as legs
from workflows import rescue_work
from workflows.card import Card, Party, PartyKind
from workflows.closing import FOLLOW_UP_WITHIN
from workflows.commands import (
    CallParties,
    ChooseCard,
    ChoosePlan,
    CloseCase,
    DropLeg,
    FollowUp,
    Mark,
    MarkLeg,
    MovePerson,
    Mute,
    SendCard,
    TickStep,
    WriteNote,
    WriteRecord,
)
from workflows.effects import (
    Act,
    CallParty,
    CancelDial,
    Effect,
    EndAlarm,
    HangUpPerson,
    MakeRecording,
    MovePeople,
    MutePerson,
    RaiseAlarm,
    SendMessage,
)
from workflows.emergency import begin, is_over, is_wanted, step, unsent
from workflows.emergency_facts import Emergency, card_of, with_elder
from workflows.errors import NotAllowed, NotFound
from workflows.events import (
    CardsRead,
    CaseFound,
    CaseOutcome,
    CaseOverdue,
    DialAttempted,
    DialFailed,
    DialLost,
    ElderGone,
    Event,
    LegAnswered,
    LegOver,
    LegRang,
    LegRecorded,
    LegResult,
    MessageFailed,
    Owner,
    Person,
    PersonJoined,
    PersonLeft,
    RoomOpened,
)
from workflows.reminders import NEWS_WITHIN, RECORD_WITHIN, overdue
from workflows.rescue_work import NO_FOLLOW_UP, NO_NEWS, NO_RECORD

CASE: Final = "n-1.1"
NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
L1, L2 = f"{CASE}-L1", f"{CASE}-L2"
DAUGHTER: Final = Party(
    key="contact/1",
    kind=PartyKind.CONTACT,
    name="测试女儿",
    numbers=("+8613800000111", "+8613800000222"),
)
SON: Final = Party(
    key="contact/2", kind=PartyKind.CONTACT, name="测试儿子", numbers=("+8613800000333",)
)
NOBODY: Final = Party(key="contact/3", kind=PartyKind.CONTACT, name="没有号码")
CARD: Final = Card(uid="E1", name="测试老人", site="main", parties=(DAUGHTER, SON, NOBODY))

PAPERS: Final = (
    WriteRecord(case_id=CASE, at=NOW, by="甲", text="120 已送医"),
    CloseCase(case_id=CASE, at=NOW, by="甲", outcome=CaseOutcome.RESCUED, changes="无变更"),
    FollowUp(case_id=CASE, at=NOW, by="乙", text="老人已回家"),
)

Kind = TypeVar("Kind", bound=Effect)


def play(case: Emergency, *events: Event) -> tuple[Emergency, list[Effect]]:
    asked: list[Effect] = []
    for event in events:
        case, effects = step(case, event)
        asked += effects
    return case, asked


def acts(asked: list[Effect]) -> list[Effect]:
    """What is to be done in Asterisk."""
    return [one for one in asked if isinstance(one, Act)]


def of(kind: type[Kind], asked: list[Effect]) -> list[Kind]:
    return [one for one in asked if isinstance(one, kind)]


def seat(leg: str, room: str = "elder") -> Event:
    person = Person(leg=leg, party="seat", who=leg, room=room)
    return PersonJoined(case_id=CASE, at=NOW, person=person)


def helper(leg: str, effect: str, room: str = "side") -> Event:
    person = Person(leg=leg, party="contact", who="111", effect=effect, room=room)
    return PersonJoined(case_id=CASE, at=NOW, person=person)


def call(*parties: str) -> CallParties:
    return CallParties(case_id=CASE, at=NOW, by="甲", parties=parties)


def left(leg: str, *, is_gone: bool = False) -> Event:
    return PersonLeft(case_id=CASE, at=NOW, leg=leg, is_gone=is_gone)


def rang(dial: str = L1) -> Event:
    return LegRang(case_id=CASE, at=NOW, effect=dial, channel="p1")


def answered(dial: str = L1) -> Event:
    return LegAnswered(case_id=CASE, at=NOW, effect=dial, channel="p1")


def over(result: LegResult = LegResult.BUSY, dial: str = L1) -> Event:
    return LegOver(case_id=CASE, at=NOW, effect=dial, result=result)


@pytest.fixture
def case() -> Emergency:
    """An elder with whom both seats are; 1 came first."""
    opened = RoomOpened(case_id=CASE, at=NOW, caller="111")
    both, _ = play(
        begin(opened), opened, CardsRead(case_id=CASE, at=NOW, cards=(CARD,)), seat("1"), seat("2")
    )
    assert [one.leg for one in both.roles] == ["1", "2"]
    return both


def test_one_click_calls_and_a_works_aside_while_b_stays(case: Emergency) -> None:
    case, asked = play(case, call("ambulance"))
    (ambulance,) = of(CallParty, asked)
    assert (ambulance.id, ambulance.service, ambulance.number) == (L1, "ambulance", "")
    assert ambulance.site == "main"
    (move,) = of(MovePeople, asked)
    assert (move.channels, move.room) == (("1",), "side")
    assert asked.index(move) < asked.index(ambulance), "whoever answers finds A there"
    # Out of the elder's room and not yet in the other: nobody is missing.
    case, asked = play(case, left("1"))
    assert acts(asked) == []
    case, asked = play(case, seat("1", "side"))
    assert [one.leg for one in case.roles] == ["1", "2"]
    assert acts(asked) == []
    assert {one.leg: one.room for one in case.people} == {"1": "side", "2": "elder"}


def test_alone_with_the_elder_a_seat_calls_from_there(case: Emergency) -> None:
    case, _ = play(case, left("2", is_gone=True))
    case, asked = play(case, call("fire"))
    assert of(CallParty, asked)
    assert not of(MovePeople, asked), "the elder is not left for it"
    with pytest.raises(NotAllowed, match="no seat would be with the elder"):
        play(case, MovePerson(case_id=CASE, at=NOW, by="甲", channel="1", room="side"))


def test_when_b_is_lost_a_comes_back_with_everybody(case: Emergency) -> None:
    case, _ = play(case, call("contact/1"), left("1"), seat("1", "side"), helper("p1", L1))
    case, asked = play(case, left("2"), left("2", is_gone=True))
    (move,) = of(MovePeople, asked)
    assert (set(move.channels), move.room) == ({"1", "p1"}, "elder")
    # Found there by a controller that comes back: A is aside still, and is brought in again.
    people = (Person(leg="1", party="seat", who="1", room="side"),)
    found = CaseFound(case_id=CASE, at=NOW, owner=Owner.CONTROLLER, people=people)
    _, asked = play(case, found)
    assert [one.channels for one in of(MovePeople, asked)] == [("1",)]


def test_two_seats_who_press_in_the_same_moment_call_once(case: Emergency) -> None:
    case, first = play(case, call("contact/1", "contact/2"))
    case, second = play(case, call("contact/1"), call("contact/2", "contact/1"))
    assert [one.number for one in of(CallParty, first)] == ["+8613800000111", "+8613800000333"]
    assert acts(second) == []
    # Over: the next call tries the next number.
    case, _ = play(case, over(LegResult.NO_ANSWER))
    case, again = play(case, call("contact/1"))
    (third,) = of(CallParty, again)
    assert (third.id, third.number) == (f"{CASE}-L3", "+8613800000222")


def test_each_leg_has_its_times_and_its_result(case: Emergency) -> None:
    case, asked = play(
        case,
        call("contact/1"),
        DialAttempted(case_id=CASE, at=NOW, effect=L1),
        rang(),
        answered(),
        # The half that called ends as soon as it is answered: no failure of the call.
        DialFailed(case_id=CASE, at=NOW, effect=L1, reason="nobody was reached"),
        helper("p1", L1),
        over(LegResult.SPOKEN),
    )
    (leg,) = case.legs
    times = (leg.sent_at, leg.rang_at, leg.answered_at, leg.joined_at, leg.ended_at)
    assert times == (NOW,) * 5
    assert leg.result is LegResult.SPOKEN
    assert of(MakeRecording, asked) == [MakeRecording(serial=L1, began_at=NOW)]
    assert leg.is_recording_due


@pytest.mark.parametrize(
    ("facts", "result"),
    [
        ((over(LegResult.BUSY),), LegResult.BUSY),
        ((rang(), over(LegResult.REJECTED)), LegResult.REJECTED),
        ((answered(), over(LegResult.SPOKEN)), LegResult.NOT_ACCEPTED),
        ((DialFailed(case_id=CASE, at=NOW, effect=L1, reason="…"),), LegResult.FAILED),
    ],
)
def test_how_a_call_came_out(case: Emergency, facts: tuple[Event, ...], result: LegResult) -> None:
    case, asked = play(case, call("contact/1"), *facts)
    assert case.legs[0].result is result
    assert not of(MakeRecording, asked), "nobody was there"


def test_a_leg_that_answers_as_it_is_dropped_is_hung_up(case: Emergency) -> None:
    drop = DropLeg(case_id=CASE, at=NOW, by="甲", leg=L1)
    case, asked = play(case, call("contact/1"), rang(), drop)
    assert [one.dial for one in of(CancelDial, asked)] == [L1]
    case, asked = play(case, answered())
    assert [one.channel for one in of(HangUpPerson, asked)] == ["p1"]
    case, _ = play(case, over(LegResult.SPOKEN))
    assert case.legs[0].result is LegResult.CANCELLED
    unsent_case, _ = play(case, call("contact/2"))
    assert [one.id for one in unsent(unsent_case) if isinstance(one, CallParty)] == [L2]
    dropped, _ = play(unsent_case, replace(drop, leg=L2))
    assert not any(isinstance(one, CallParty) for one in unsent(dropped))


def test_a_call_of_unknown_fate_is_shown_and_not_repeated(case: Emergency) -> None:
    case, (*_, dial) = play(case, call("ambulance"))
    lost = DialLost(case_id=CASE, at=NOW, effect=L1, attempted_at=NOW, seats_there=1)
    attempted = DialAttempted(case_id=CASE, at=NOW, effect=L1)
    case, asked = play(case, attempted, lost)
    assert case.legs[0].state is legs.State.UNCERTAIN
    assert acts(asked) == []
    assert not is_wanted(case, dial)
    # It lived all the same.
    case, _ = play(case, helper("p1", L1))
    assert case.legs[0].state is legs.State.THERE


@pytest.mark.parametrize(
    ("parties", "error", "said"),
    [
        (("nobody",), NotFound, "on the card"),
        (("contact/3",), NotAllowed, "has no number"),
    ],
)
def test_who_cannot_be_called_is_said(
    case: Emergency, parties: tuple[str, ...], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        play(case, call(*parties))


def test_the_rescue_services_are_there_for_somebody_whom_nobody_knows() -> None:
    opened = RoomOpened(case_id=CASE, at=NOW)
    case, _ = play(begin(opened), opened, seat("1"))
    _, asked = play(case, call("police", "ambulance", "fire"))
    assert [one.service for one in of(CallParty, asked)] == ["police", "ambulance", "fire"]


def test_after_the_elder_nobody_is_called_and_the_case_waits_for_its_recordings(
    case: Emergency,
) -> None:
    gone = ElderGone(case_id=CASE, at=NOW)
    case, _ = play(case, call("contact/1"), helper("p1", L1, "elder"), gone)
    with pytest.raises(NotAllowed, match="hung up"):
        play(case, call("ambulance"))
    assert not is_over(case), "the daughter talks to A still"
    case, _ = play(case, over(LegResult.SPOKEN))
    assert not is_over(case)
    kept = LegRecorded(case_id=CASE, at=NOW, leg=L1, file="f", sha256="s", seconds=3.0, size=9)
    case, _ = play(case, kept)
    assert (case.legs[0].file, case.legs[0].seconds) == ("f", 3.0)
    case, _ = play(case, *PAPERS)
    assert is_over(case)


def test_people_are_moved_and_muted_by_one_click(case: Emergency) -> None:
    case, _ = play(case, call("contact/1"), left("1"), seat("1", "side"), helper("p1", L1))
    bring = MovePerson(case_id=CASE, at=NOW, by="甲", channel="p1", room="elder")
    case, asked = play(case, bring, bring)
    assert [(one.channels, one.room) for one in of(MovePeople, asked)] == [(("p1",), "elder")]
    mute = Mute(case_id=CASE, at=NOW, by="甲", channel="p1", is_muted=True)
    case, asked = play(case, left("p1"), helper("p1", L1, "elder"), mute)
    assert [one.is_muted for one in of(MutePerson, asked)] == [True]
    # Muted from room to room.
    case, _ = play(case, helper("p1", L1, "side"))
    assert next(one for one in case.people if one.leg == "p1").is_muted
    for wrong in (replace(bring, room="cellar"), replace(bring, channel="gone")):
        with pytest.raises(NotFound):
            play(case, wrong)


def test_what_is_told_and_what_the_elder_must_be_told(case: Emergency) -> None:
    def tick(mark: Mark, *, is_so: bool = True) -> MarkLeg:
        return MarkLeg(case_id=CASE, at=NOW, by="甲", leg=L1, mark=mark, is_so=is_so)

    case, _ = play(case, call("ambulance"), tick(Mark.TOLD), tick(Mark.ON_THE_WAY))
    assert (case.legs[0].told_at, case.legs[0].elder_told_at) == (NOW, None)
    case, _ = play(case, tick(Mark.ELDER_TOLD))
    assert case.legs[0].elder_told_at == NOW
    case, _ = play(case, tick(Mark.ARRIVED))
    assert case.legs[0].elder_told_at is None, "that is news for the elder"
    case, _ = play(case, tick(Mark.TOLD, is_so=False))
    assert case.legs[0].told_at is None


def test_notes_and_ticks_are_kept_once(case: Emergency) -> None:
    note = WriteNote(case_id=CASE, at=NOW, by="乙", note_id="1", text=" 右髋痛 ")
    case, _ = play(case, note, note, replace(note, note_id="2", text="清醒"))
    assert [one.text for one in case.notes] == ["右髋痛", "清醒"]
    done = TickStep(case_id=CASE, at=NOW, by="乙", step="address")
    plan = ChoosePlan(case_id=CASE, at=NOW, by="乙", kind="fall", version=2)
    case, _ = play(case, plan, done, replace(done, by="甲"))
    assert [(one.step, one.by) for one in case.ticks] == [("address", "乙")]
    assert (case.kind, case.plan) == ("fall", 2)
    case, _ = play(case, replace(done, is_done=False))
    assert case.ticks == ()
    for wrong in ("  ", "长" * (rescue_work.MAX_TEXT + 1)):
        with pytest.raises(NotAllowed):
            play(case, replace(note, note_id="3", text=wrong))


def test_which_of_two_elders_on_one_number_it_is(case: Emergency) -> None:
    other = replace(CARD, uid="E2", parties=(SON,))
    both = CardsRead(case_id=CASE, at=NOW, cards=(CARD, other))
    case, _ = play(case, both, ChooseCard(case_id=CASE, at=NOW, by="甲", uid="E2"))
    card = card_of(case)
    assert card is other
    with pytest.raises(NotFound):
        play(case, ChooseCard(case_id=CASE, at=NOW, by="甲", uid="E9"))


def test_a_case_is_closed_by_a_person_with_a_record_and_an_outcome(case: Emergency) -> None:
    record, close, follow_up = PAPERS
    with pytest.raises(NotAllowed, match="on the line, or called back"):
        play(case, record, close)
    case, _ = play(case, ElderGone(case_id=CASE, at=NOW))
    for too_early in (close, follow_up):
        with pytest.raises(NotAllowed, match="possible: write the rescue record"):
            play(case, too_early)
    with pytest.raises(NotAllowed, match="the rescue record is missing"):
        play(case, replace(record, text=" "))
    case, _ = play(case, record)
    with pytest.raises(NotAllowed, match="the elder's file is missing"):
        play(case, replace(close, changes=""))
    case, _ = play(case, close)
    assert not is_over(case), "the elder is asked after still"
    with pytest.raises(NotAllowed):
        play(case, record)
    case, _ = play(case, follow_up)
    assert is_over(case)
    closing = case.closing
    assert closing.outcome is CaseOutcome.RESCUED
    assert closing.record
    assert (closing.record.by, closing.record.at) == ("甲", NOW)


def test_a_case_is_not_closed_while_a_leg_rings(case: Emergency) -> None:
    case, _ = play(case, call("contact/1"), rang(), ElderGone(case_id=CASE, at=NOW), PAPERS[0])
    with pytest.raises(NotAllowed, match="测试女儿 rings or talks still"):
        play(case, PAPERS[1])
    case, _ = play(case, over(LegResult.NO_ANSWER))
    play(case, PAPERS[1])


def test_somebody_is_reminded_once_of_what_is_overdue_until_something_is_done(
    case: Emergency,
) -> None:
    later = NOW + NEWS_WITHIN
    assert list(overdue(case, later - timedelta(seconds=1))) == []
    assert list(overdue(case, later)) == [NO_NEWS]
    case, asked = play(case, CaseOverdue(case_id=CASE, at=later, what=NO_NEWS))
    assert [one.key for one in of(RaiseAlarm, asked)] == [f"{NO_NEWS}/{CASE}"]
    assert list(overdue(case, later)) == []
    note = WriteNote(case_id=CASE, at=later, by="乙", note_id="1", text="清醒")
    case, asked = play(case, note)
    assert [one.key for one in of(EndAlarm, asked) if NO_NEWS in one.key] == [f"{NO_NEWS}/{CASE}"]
    assert list(overdue(case, later + NEWS_WITHIN)) == [NO_NEWS]
    # Arrived: the record is due; and whatever happens, the follow-up.
    mark = MarkLeg(case_id=CASE, at=later, by="甲", leg=L1, mark=Mark.ARRIVED)
    case, _ = play(case, call("ambulance"), mark, over(LegResult.SPOKEN))
    assert NO_RECORD in overdue(case, later + RECORD_WITHIN)
    assert NO_FOLLOW_UP in overdue(case, NOW + FOLLOW_UP_WITHIN)
    case, _ = play(case, ElderGone(case_id=CASE, at=later), *PAPERS)
    assert list(overdue(case, NOW + timedelta(days=9))) == []


def test_the_card_goes_to_those_who_have_a_number(case: Emergency) -> None:
    wish = SendCard(
        case_id=CASE, at=NOW, by="甲", parties=("contact/1", "contact/2"), channels=("town",)
    )  # fmt: skip
    note = WriteNote(case_id=CASE, at=NOW, by="乙", note_id="1", text="右髋痛")
    case, asked = play(case, note, wish)
    sent = of(SendMessage, asked)
    assert [one.to for one in sent] == ["+8613800000111", "+8613800000333"]
    assert all("测试老人" in one.text and "右髋痛" in one.text for one in sent)
    _, again = play(case, wish)
    assert of(SendMessage, again) == [], "a second press says nothing twice"
    news = replace(note, note_id="2", text="不清醒")
    for wrong, said in (
        (replace(wish, channels=()), "no channel is set up"),
        (replace(wish, parties=("contact/3",)), "none of them has a number"),
    ):
        with pytest.raises(NotAllowed, match=said):
            play(case, news, wrong)


def test_a_message_that_never_came_does_not_keep_a_case_open(case: Emergency) -> None:
    wish = SendCard(case_id=CASE, at=NOW, by="甲", parties=("contact/1",), channels=("town",))
    case, _ = play(case, wish)
    sent = case.messages[0]
    failed = MessageFailed(
        case_id=CASE, at=NOW, message=sent.id, effect=sent.effect, code="21610", reason="…",
        is_temporary=False,
    )  # fmt: skip
    case, asked = play(case, failed)
    (alarm,) = of(RaiseAlarm, asked)
    case, asked = play(case, ElderGone(case_id=CASE, at=NOW), *PAPERS)
    assert alarm.key in {one.key for one in of(EndAlarm, asked)}
    assert is_over(case)


def test_who_was_asked_for_and_not_called_yet_is_not_left_open(case: Emergency) -> None:
    """The telephone system is away: the press is taken back, or the elder's line ends first."""
    drop = DropLeg(case_id=CASE, at=NOW, by="甲", leg=L1)
    undone, _ = play(case, call("ambulance"), drop)
    assert undone.legs[0].result is LegResult.CANCELLED
    _, asked = play(undone, call("ambulance"))
    assert of(CallParty, asked), "120 can be called still"
    ended, _ = play(case, call("ambulance"), ElderGone(case_id=CASE, at=NOW), PAPERS[0])
    assert ended.legs[0].result is LegResult.FAILED
    play(ended, PAPERS[1])


def test_a_call_of_unknown_fate_keeps_nobody_from_calling_again(case: Emergency) -> None:
    lost = DialLost(case_id=CASE, at=NOW, effect=L1, attempted_at=NOW, seats_there=1)
    attempted = DialAttempted(case_id=CASE, at=NOW, effect=L1)
    case, asked = play(case, call("ambulance"), attempted, lost)
    (alarm,) = of(RaiseAlarm, asked)
    assert alarm.kind == "perhaps called"
    _, again = play(case, call("ambulance"))
    assert [one.id for one in of(CallParty, again)] == [L2]
    dropped, asked = play(case, DropLeg(case_id=CASE, at=NOW, by="甲", leg=L1))
    assert dropped.legs[0].state is legs.State.OVER
    assert alarm.key in {one.key for one in of(EndAlarm, asked)}


def test_when_a_is_lost_aside_whom_a_talked_to_comes_to_b(case: Emergency) -> None:
    case, _ = play(case, call("ambulance"), left("1"), seat("1", "side"), helper("p1", L1))
    case, asked = play(case, left("1", is_gone=True))
    assert [(one.channels, one.room) for one in of(MovePeople, asked)] == [(("p1",), "elder")]
    # Goes to the elder by choice: then the helper waits aside.
    case, _ = play(case, helper("p1", L1))
    assert with_elder(case)


def test_a_who_was_called_back_on_the_way_aside_is_moved_once_more_and_no_further(
    case: Emergency,
) -> None:
    case, _ = play(case, call("ambulance"), left("1"))
    case, asked = play(case, left("2"), left("2", is_gone=True))
    assert [one.room for one in of(MovePeople, asked)] == ["elder"]
    case, asked = play(case, seat("1", "side"))
    assert not of(MovePeople, asked), "the way back is asked for already"
    case, asked = play(case, left("1"), seat("1"))
    assert not of(MovePeople, asked)
    assert case.roles[0].leg == "1"
    assert {(one.room, one.moves_to) for one in case.people} == {("elder", "")}


def test_every_order_of_facts_leaves_a_leg_that_ends(case: Emergency) -> None:
    """Whatever comes in whatever order: an end ends it, nothing wakes it again, and whoever was
    there is recorded."""
    attempted = DialAttempted(case_id=CASE, at=NOW, effect=L1)
    lost = DialLost(case_id=CASE, at=NOW, effect=L1, attempted_at=NOW, seats_there=1)
    failed = DialFailed(case_id=CASE, at=NOW, effect=L1, reason="…")
    drop = DropLeg(case_id=CASE, at=NOW, by="甲", leg=L1)
    facts = (attempted, rang(), answered(), helper("p1", L1), lost, failed, drop, over())
    begun, _ = play(case, call("contact/1"))
    seen: set[legs.Leg] = set()
    todo = deque([begun.legs[0]])
    while todo:
        leg = todo.popleft()
        if leg in seen:
            continue
        seen.add(leg)
        for fact in facts:
            after, effects = legs.take(leg, fact)
            if leg.state is legs.State.OVER:
                # How a failed call came out may be heard after its end.
                is_told = leg.result is LegResult.FAILED and after.result is LegResult.BUSY
                assert after == leg or (is_told and replace(after, result=leg.result) == leg)
                assert effects == () or isinstance(fact, DropLeg)
            if after.state is legs.State.OVER and leg.state is not legs.State.OVER:
                assert after.result is not None
                is_recorded = any(isinstance(one, MakeRecording) for one in effects)
                assert is_recorded == (after.joined_at is not None)
            todo.append(after)
    assert {leg.state for leg in seen} == set(legs.State)
