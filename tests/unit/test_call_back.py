"""The calling back of an elder whose line is gone, as a table: nobody is forgotten in any order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.dialler import Dialler
from telephony.rescue_events import elders_in_rooms, rescue_events
from workflows import call_back, leg
from workflows.card import Card, PartyKind
from workflows.commands import (
    CallParties,
    CloseCase,
    Command,
    ConfirmSafe,
    DropLeg,
    Mark,
    MarkLeg,
    StopCallingBack,
    WriteRecord,
)
from workflows.effects import (
    Act,
    CallElder,
    CallSeat,
    CancelDial,
    Effect,
    HangUpPerson,
    LetGo,
    RaiseAlarm,
    StartTimer,
)
from workflows.emergency import begin, step
from workflows.emergency_facts import CallBackState, Emergency, State
from workflows.errors import NotAllowed, NotFound
from workflows.events import (
    CardsRead,
    CaseOutcome,
    DialAttempted,
    DialFailed,
    ElderCalledAgain,
    ElderGone,
    EmergencyTimerFired,
    Event,
    LegAnswered,
    LegOver,
    LegRang,
    LegResult,
    Person,
    PersonJoined,
    PersonLeft,
    RoomOpened,
)

CASE: Final = "n-1.1"
NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
NUMBER, OTHER = "13800000111", "+8613800000222"
L1: Final = f"{CASE}-L1"
OPENED: Final = RoomOpened(case_id=CASE, at=NOW, caller=NUMBER)
GONE: Final = ElderGone(case_id=CASE, at=NOW, back_in_s=4)
DUE: Final = EmergencyTimerFired(case_id=CASE, at=NOW, name=call_back.DUE)
SAFE: Final = ConfirmSafe(case_id=CASE, at=NOW, by="甲")
STOP: Final = StopCallingBack(case_id=CASE, at=NOW, by="主管", reason="家属已在老人身边")
SEAT: Final = PersonJoined(
    case_id=CASE, at=NOW, person=Person(leg="s1", party="seat", who="1001", effect=f"{CASE}-A1")
)
CARDS: Final = CardsRead(
    case_id=CASE, at=NOW, cards=(Card(uid="E1", name="测试老人", call_back=OTHER),)
)


def play(*events: Event, case: Emergency | None = None) -> tuple[Emergency, list[Effect]]:
    """The case after these, and what the last of them asked for."""
    asked: tuple[Effect, ...] = ()
    for event in events:
        case, asked = step(case or begin(event), event)
    assert case is not None
    return case, list(asked)


def vain(dial: str) -> Event:
    return LegOver(case_id=CASE, at=NOW, effect=dial, result=LegResult.BUSY)


def timers(asked: list[Effect]) -> dict[str, int]:
    return {one.name: one.after_s for one in asked if isinstance(one, StartTimer)}


def test_the_first_call_is_due_in_a_moment_and_every_screen_says_it() -> None:
    case, asked = play(OPENED, SEAT, GONE)
    assert case.state is State.AWAY
    assert timers(asked) == {call_back.DUE: 4}
    assert [one.kind for one in asked if isinstance(one, RaiseAlarm)] == [call_back.AWAY]
    assert [one.who for one in case.people] == ["1001"], "who is there stays there"
    case, asked = play(DUE, case=case)
    assert [one for one in asked if isinstance(one, Act)] == [
        CallElder(id=L1, case_id=CASE, number=NUMBER, attempt=0)
    ]
    case, asked = play(vain(L1), case=case)
    assert timers(asked) == {call_back.DUE: call_back.PAUSE_S}
    assert case.legs[0].result is LegResult.BUSY


def test_what_became_of_a_call_may_be_heard_after_its_end() -> None:
    failed = DialFailed(case_id=CASE, at=NOW, effect=L1, reason="nobody was reached (0)")
    case, _ = play(OPENED, GONE, DUE, failed, vain(L1))
    assert case.legs[0].result is LegResult.BUSY
    case, _ = play(failed, case=case)
    assert case.legs[0].result is LegResult.BUSY


def test_each_call_tries_the_next_number_and_the_next_carrier() -> None:
    case, _ = play(OPENED, CARDS, GONE)
    asked_for = []
    for number in range(1, 5):
        case, asked = play(DUE, case=case)
        asked_for += [one for one in asked if isinstance(one, CallElder)]
        case, _ = play(vain(f"{CASE}-L{number}"), case=case)
    assert [(one.number, one.attempt) for one in asked_for] == [
        (NUMBER, 0), (OTHER, 0), (NUMBER, 1), (OTHER, 1)
    ]  # fmt: skip


def test_whom_a_line_was_lost_of_by_its_own_death_is_called_at_once() -> None:
    _, asked = play(OPENED, replace(GONE, uncertain=True))
    assert timers(asked) == {call_back.DUE: call_back.AT_ONCE_S}


def test_nobody_is_asked_to_come_while_the_elder_is_away_and_somebody_when_back() -> None:
    case, asked = play(OPENED, GONE)
    withdrawn = {one.dial for one in asked if isinstance(one, CancelDial)}
    assert withdrawn == {f"{CASE}-A1", f"{CASE}-B1"}
    case, asked = play(DUE, case=case)
    assert not [one for one in asked if isinstance(one, CallSeat)]
    rang = LegRang(case_id=CASE, at=NOW, effect=L1, channel=CASE)
    case, _ = play(rang, replace(OPENED, caller=""), case=case)
    assert case.state is State.ALONE
    assert case.legs[0].state is leg.State.THERE
    assert {role.dial for role in case.roles} == {f"{CASE}-A2", f"{CASE}-B2"}


@pytest.mark.parametrize(
    ("event", "back_in_s"),
    [(OPENED, None), (replace(OPENED, caller=""), 4), (replace(OPENED, caller="120"), 4)],
    ids=["switched off", "no number", "no telephone of an elder"],
)
def test_whom_nobody_can_call_back_is_not_called(event: RoomOpened, back_in_s: int | None) -> None:
    case, asked = play(event, replace(GONE, back_in_s=back_in_s))
    assert case.state is State.CLOSED
    assert case.is_unreached, "and that is said"
    assert call_back.DUE not in timers(asked)


@pytest.mark.parametrize("wish", [SAFE, STOP], ids=["safe", "stopped"])
def test_a_word_of_a_person_ends_it_and_what_rings_stops(wish: Command) -> None:
    case, _ = play(OPENED, SEAT, GONE, DUE, DialAttempted(case_id=CASE, at=NOW, effect=L1))
    case, asked = play(wish, case=case)
    assert case.state is State.CLOSED
    assert not case.is_unreached
    assert HangUpPerson(id=f"{L1}/hang-up", channel=CASE) in asked
    assert [one for one in asked if isinstance(one, LetGo)]
    case, asked = play(DUE, ElderGone(case_id=CASE, at=NOW, back_in_s=4), case=case)
    assert not [one for one in asked if isinstance(one, Act)], "and nobody is called again"
    assert case.state is State.CLOSED


def test_an_elder_who_answers_just_then_is_not_hung_up_on() -> None:
    answered = LegAnswered(case_id=CASE, at=NOW, effect=L1, channel=CASE)
    case, _ = play(OPENED, GONE, DUE, answered)
    case, asked = play(SAFE, case=case)
    assert case.state is State.AWAY
    assert not [one for one in asked if isinstance(one, HangUpPerson)]
    case, _ = play(OPENED, case=case)
    assert case.state is State.ALONE
    # And the end of that talk is the end.
    case, _ = play(GONE, case=case)
    assert case.state is State.CLOSED


def test_what_was_said_too_soon_is_taken_back_while_the_elder_is_there() -> None:
    case, _ = play(OPENED, SAFE, replace(SAFE, is_so=False), GONE)
    assert case.state is State.AWAY


def test_a_stop_wants_a_reason_and_nobody_drops_or_ticks_the_call_to_the_elder() -> None:
    case, _ = play(OPENED, GONE, DUE)
    for reason in ("", "  ", "长" * 401):
        with pytest.raises(NotAllowed, match="reason"):
            step(case, replace(STOP, reason=reason))
    with pytest.raises(NotAllowed, match="hangs up on"):
        step(case, DropLeg(case_id=CASE, at=NOW, by="甲", leg=L1))
    with pytest.raises(NotFound):
        step(case, MarkLeg(case_id=CASE, at=NOW, by="甲", leg=L1, mark=Mark.ARRIVED))


def test_help_is_called_while_the_elder_is_away_by_seats_who_are_in_the_room_alone() -> None:
    """Nobody would be there to take it; and a call for help has a number of its own for ever."""
    wish = CallParties(case_id=CASE, at=NOW, by="甲", parties=("ambulance",))
    case, _ = play(OPENED, GONE)
    with pytest.raises(NotAllowed, match="no seat is in the room"):
        step(case, wish)
    case, _ = play(OPENED, SEAT, GONE)
    for number in range(1, 61):
        case, _ = play(DUE, vain(f"{CASE}-L{number}"), case=case)
    case, _ = play(wish, case=case)
    assert case.legs[-1].id == f"{CASE}-L61"
    assert len({one.id for one in case.legs}) == len(case.legs)


def test_a_record_that_was_written_before_the_line_was_lost_ends_nothing() -> None:
    record = WriteRecord(case_id=CASE, at=NOW, by="甲", text="120 在路上")
    case, _ = play(OPENED, SEAT, record, replace(GONE, at=NOW + timedelta(minutes=1)))
    assert case.state is State.AWAY


def test_when_the_number_is_taken_back_nothing_is_called_and_it_goes_on() -> None:
    case, _ = play(
        replace(OPENED, caller=""), CARDS, GONE, CardsRead(case_id=CASE, at=NOW, cards=())
    )
    case, asked = play(DUE, case=case)
    assert call_back.DUE in timers(asked)
    case, _ = play(CARDS, DUE, case=case)
    assert case.call_back.calls == 1


def test_whoever_was_stopped_and_answers_all_the_same_is_called_back_when_lost_again() -> None:
    answered = LegAnswered(case_id=CASE, at=NOW, effect=L1, channel=CASE)
    case, _ = play(OPENED, GONE, DUE, answered, STOP, OPENED, GONE)
    assert case.state is State.AWAY


def test_of_two_cases_that_call_one_elder_the_older_gives_over() -> None:
    older, _ = play(OPENED, GONE)
    newer, _ = play(
        *(replace(one, case_id="n-2.1", at=NOW + timedelta(seconds=9)) for one in (OPENED, GONE))
    )
    assert call_back.goes_on_in(older, newer)
    assert not call_back.goes_on_in(newer, older)


def test_a_record_ends_it_and_a_case_is_closed_only_after_that() -> None:
    case, _ = play(OPENED, GONE)
    close = CloseCase(case_id=CASE, at=NOW, by="甲", outcome=CaseOutcome.RESCUED, changes="无")
    with pytest.raises(NotAllowed, match="called back"):
        step(case, close)
    record = WriteRecord(case_id=CASE, at=NOW, by="甲", text="邻居已到老人家，老人平安")
    case, _ = play(record, close, case=case)
    assert case.state is State.CLOSED


def test_a_number_that_does_not_exist_is_called_ever_less_often() -> None:
    """One that is busy, or rings in vain, is called without a pause (NRS-06)."""
    for result, pauses in ((LegResult.FAILED, [5, 10, 15]), (LegResult.NO_ANSWER, [5, 5, 5])):
        case, _ = play(OPENED, GONE)
        found = []
        for number in range(1, 30):
            over = LegOver(case_id=CASE, at=NOW, effect=f"{CASE}-L{number}", result=result)
            case, asked = play(DUE, over, case=case)
            found.append(timers(asked)[call_back.DUE])
        assert found[:3] == pauses
        assert max(found) <= call_back.LONGEST_PAUSE_S


def test_an_elder_who_calls_again_is_called_back_no_more_and_the_seats_are_free_for_it() -> None:
    """But not a seat who talks to a helper: that goes on."""
    helper = Person(leg="h1", party="service", room="side")
    aside = Person(leg="s2", party="seat", who="1002", room="side")
    joined = [PersonJoined(case_id=CASE, at=NOW, person=one) for one in (aside, helper)]
    case, _ = play(OPENED, SEAT, *joined, GONE, DUE)
    case, asked = play(ElderCalledAgain(case_id=CASE, at=NOW, other="n-2.1"), case=case)
    assert case.state is State.CLOSED
    hung_up = {one.channel for one in asked if isinstance(one, HangUpPerson)}
    assert hung_up == {"s1", CASE}, "B, and the telephone that rings"
    assert not case.is_unreached


@pytest.mark.parametrize(
    ("mine", "theirs", "is_one"),
    [
        ((), (), True),
        (("E1",), ("E1",), True),
        (("E1",), ("E2",), False),
        (("E1", "E2"), ("E1", "E2"), False),
        (("E1",), (), False),
    ],
    ids=["one number", "one elder", "two elders", "a home with one number", "not read yet"],
)
def test_who_calls_again(mine: tuple[str, ...], theirs: tuple[str, ...], is_one: bool) -> None:
    away, _ = play(OPENED, cards(*mine), GONE)
    again = replace(OPENED, case_id="n-2.1")
    back, _ = play(again, replace(cards(*theirs), case_id="n-2.1"))
    assert call_back.goes_on_in(away, back) == is_one
    assert not call_back.goes_on_in(back, away)
    assert not call_back.goes_on_in(away, away)


def cards(*uids: str) -> CardsRead:
    found = tuple(Card(uid=uid, name="测试老人", call_back=OTHER) for uid in uids)
    return CardsRead(case_id=CASE, at=NOW, cards=found)


def test_of_a_night_of_calls_the_case_keeps_the_newest() -> None:
    case, _ = play(OPENED, GONE)
    for number in range(1, 300):
        case, _ = play(DUE, vain(f"{CASE}-L{number}"), case=case)
    assert len(case.legs) == call_back.MOST_KEPT
    assert case.call_back.calls == 299
    assert case.legs[-1].id == f"{CASE}-L299"


def happenings() -> st.SearchStrategy[list[Event]]:
    """What can come in any order; each is about the newest call to the elder."""
    newest = f"{CASE}-L?"
    one = st.sampled_from(
        (
            GONE, DUE, OPENED, SEAT, CARDS,
            PersonLeft(case_id=CASE, at=NOW, leg="s1", is_gone=True),
            DialAttempted(case_id=CASE, at=NOW, effect=newest),
            LegRang(case_id=CASE, at=NOW, effect=newest, channel=CASE),
            LegAnswered(case_id=CASE, at=NOW, effect=newest, channel=CASE),
            LegOver(case_id=CASE, at=NOW, effect=newest, result=LegResult.NO_ANSWER),
            DialFailed(case_id=CASE, at=NOW, effect=newest, reason="x"),
        )
    )  # fmt: skip
    return st.lists(one, max_size=40)


@given(happenings(), st.none() | st.sampled_from((SAFE, STOP)))
def test_in_every_order_the_elder_is_there_or_called_or_about_to_be_called(
    events: list[Event], ends_by: Event | None
) -> None:
    case, _ = play(OPENED)
    is_due = False
    for number, happens in enumerate(events):
        event = happens
        mine = [one for one in case.legs if one.kind is PartyKind.ELDER]
        if getattr(event, "effect", "").endswith("?"):
            event = replace(event, effect=mine[-1].id if mine else "none")  # type: ignore[call-arg]
        if event is DUE and not is_due:
            continue
        is_due = is_due and event is not DUE
        case, asked = step(case, replace(event, at=NOW + timedelta(seconds=number)))
        is_due = is_due or call_back.DUE in timers(list(asked))
        calls = [one for one in case.legs if one.kind is PartyKind.ELDER and leg.is_open(one)]
        assert len(calls) <= 1, "the elder is never called twice at once"
        assert case.state is not State.CLOSED, "nobody has said anything"
        if case.state is State.AWAY:
            assert (case.call_back.state is CallBackState.CALLING) == bool(calls)
            assert calls or is_due
    if ends_by is not None and case.state is State.AWAY:
        answered = (one := call_back.current(case)) is not None and one.answered_at is not None
        case, _ = step(case, ends_by)
        assert (case.state is State.CLOSED) != answered


# ── in Asterisk's words ───────────────────────────────────────────────────────────────────────


def ami(event: str, **fields: str) -> dict[str, object]:
    variables = [f"CARELINE_CALL={CASE}", "CARELINE_PARTY=elder", f"CARELINE_EFFECT={L1}"]
    return {
        "Event": event, "Uniqueid": CASE, "ChanVariable": variables, "Timestamp": "1700000000",
        "DestUniqueid": CASE, "DestChanVariable": variables, **fields,
    }  # fmt: skip


def test_how_a_call_to_the_elder_came_out() -> None:
    (over,) = rescue_events(ami("DialEnd", DialStatus="BUSY"))
    assert isinstance(over, LegOver)
    assert over.result is LegResult.BUSY
    (gone,) = rescue_events(ami("Hangup", ChannelStateDesc="Ringing"))
    assert isinstance(gone, ElderGone)
    over, gone = rescue_events(ami("Hangup", ChannelStateDesc="Up"))
    assert isinstance(over, LegOver)
    assert over.result is LegResult.SPOKEN
    assert isinstance(gone, ElderGone)


def test_who_is_called_back_is_there_when_the_call_is_taken_up() -> None:
    line = ami("CoreShowChannel", Context="emergency")
    assert not elders_in_rooms([line | {"ChannelStateDesc": "Ringing"}], [CASE])
    assert elders_in_rooms([line | {"ChannelStateDesc": "Up"}], [CASE]) == (CASE,)


class Asterisk:
    """Notes what is asked of it."""

    is_up = True

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, object]]] = []

    async def action(self, name: str, **fields: object) -> dict[str, str]:
        self.asked.append((name, fields))
        return {}


async def dialled(number: str, attempt: int = 0) -> tuple[list[dict[str, object]], list[Event]]:
    """What goes to Asterisk for a call to this number, and what is said of it."""
    case, _ = play(OPENED, GONE, DUE)
    told: list[Event] = []

    async def handle(event: Event) -> Emergency:
        told.append(event)
        return case

    asterisk = Asterisk()
    dialler = Dialler(
        asterisk,  # type: ignore[arg-type]
        handle,
        lambda: NOW,
        as_dialled=lambda number: number.replace("+86374", "0374").removeprefix("+86"),
        sites=["main"],
        trunks=[("one", "96100"), ("two", "96111")],
        own=["+8637496000"],
    )
    await dialler._dial(CallElder(id=L1, case_id=CASE, number=number, attempt=attempt))
    return [fields for name, fields in asterisk.asked if name == "Originate"], told


async def test_the_elder_is_called_under_the_id_of_the_case_by_each_carrier_in_turn() -> None:
    for attempt, trunk, shown in ((0, "one", "96100"), (1, "two", "96111"), (2, "one", "96100")):
        (sent,), _ = await dialled("+8613800000222", attempt)
        assert sent["Channel"] == f"PJSIP/13800000222@trunk-{trunk}"
        assert sent["ChannelId"] == CASE
        assert sent["CallerID"] == shown


@pytest.mark.parametrize(
    "number",
    [
        "+12025550123",
        "0012025550123",
        "120",
        "0373120",
        "+86120",
        "010110",
        "+860373119",
        "0086 10 120",
        "12345",
        "",
        "110,1&x",
        "037496000",
        "+8637496000",
    ],
)
async def test_neither_dispatchers_nor_we_are_called_because_somebody_shows_that_number(
    number: str,
) -> None:
    sent, told = await dialled(number)
    assert sent == []
    assert isinstance(told[-1], DialFailed)


async def test_nothing_but_digits_reaches_asterisk() -> None:
    (sent,), _ = await dialled("138\r\nAction: x@y/0000-0222")
    assert sent["Channel"] == "PJSIP/13800000222@trunk-one"
