"""The call process: the calls that the standards name. Every order of events is walked in
tests/faults/test_call_events.py."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from workflows import recording
from workflows.call import (
    RECORDING_DUE,
    RECORDING_DUE_S,
    TABLE,
    WISHES,
    Trigger,
    begin,
    is_over,
    step,
)
from workflows.call_facts import Call, Direction, Result, State
from workflows.commands import (
    ChooseOrder,
    CloseAnswered,
    NameCaller,
    OpenOrder,
    TakeBackCaller,
    WrapUpCall,
)
from workflows.effects import (
    Effect,
    EndAlarm,
    MakeRecording,
    RaiseAlarm,
    StartTimer,
    StopTimer,
    Tell,
)
from workflows.errors import NotAllowed
from workflows.events import (
    CallArrived,
    CallClass,
    CallEnded,
    CallerNamed,
    CallImported,
    CallPlaced,
    CallQueued,
    CallTimerFired,
    CallVanished,
    DialEnded,
    DialResult,
    Entry,
    Event,
    KeyPressed,
    KnownElder,
    LegEnded,
    OrderLinked,
    PartyAnswered,
    PartyRang,
    RecordingFailed,
    RecordingMade,
    RequestAccepted,
    SeatAnswered,
    SeatLost,
    SeatMissed,
    SeatRang,
)

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
ID: Final = "node1-1772326800.7"
WANG: Final = KnownElder(id=1, name="王秀英", uid="E000001")
LI: Final = KnownElder(id=2, name="李建国", uid="E000002")


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def arrived(
    *elders: KnownElder,
    at: datetime = NOW,
    caller: str = "+8613800000000",
    entry: Entry = Entry.HOTLINE,
) -> Event:
    return CallArrived(
        case_id=ID, at=at, entry=entry, caller=caller, callee="96100",
        caller_raw="13800000000", trunk="carrier", node="node1", elders=elders,
    )  # fmt: skip


def placed(at: datetime = NOW) -> Event:
    return CallPlaced(case_id=ID, at=at, seat="1001", callee="+8613800000000", node="node1")


def queued(position: int = 1, at: datetime = NOW) -> Event:
    return CallQueued(case_id=ID, at=at, queue="hotline", position=position)


def pressed(key: str = "1", choice: str = "life_service") -> Event:
    return KeyPressed(case_id=ID, at=NOW, menu="hotline", key=key, choice=choice)


def rang(seat: str, at: datetime = NOW) -> Event:
    return SeatRang(case_id=ID, at=at, seat=seat, leg=f"leg-{seat}")


def missed(seat: str, at: datetime = NOW) -> Event:
    return SeatMissed(case_id=ID, at=at, seat=seat, leg=f"leg-{seat}")


def answered(seat: str, at: datetime = NOW) -> Event:
    return SeatAnswered(case_id=ID, at=at, seat=seat, leg=f"leg-{seat}")


def lost(seat: str) -> Event:
    return SeatLost(case_id=ID, at=NOW, seat=seat)


def party_rang(leg: str = "far", at: datetime = NOW) -> Event:
    return PartyRang(case_id=ID, at=at, number="13800000000", leg=leg)


def party_answered(leg: str = "far", at: datetime = NOW) -> Event:
    return PartyAnswered(case_id=ID, at=at, number="13800000000", leg=leg)


def dialled(result: DialResult) -> Event:
    return DialEnded(case_id=ID, at=NOW, result=result)


def leg_ended(leg: str, party: str = "seat", at: datetime = NOW, delay: float = 12.5) -> Event:
    return LegEnded(case_id=ID, at=at, leg=leg, party=party, cause=16, delay_ms=delay)


def ended(at: datetime = NOW, cause: int = 16) -> Event:
    return CallEnded(case_id=ID, at=at, cause=cause)


def vanished(at: datetime = NOW) -> Event:
    return CallVanished(case_id=ID, at=at)


def made(seconds: float = 9.5) -> Event:
    file = f"2026/03/01/{ID}.opus"
    return RecordingMade(case_id=ID, at=NOW, file=file, sha256="0" * 64, seconds=seconds, size=4000)


def failed() -> Event:
    return RecordingFailed(case_id=ID, at=NOW, reason="the disk is full")


def due(name: str = RECORDING_DUE) -> Event:
    return CallTimerFired(case_id=ID, at=NOW, name=name)


def linked(order: str = "order-1") -> Event:
    return OrderLinked(case_id=ID, at=NOW, order_id=order, order_no="20260301-0001")


def play(*events: Event) -> tuple[Call, list[Effect]]:
    """The call after these events, and everything that was asked for on the way."""
    call, wanted = begin(events[0]), list[Effect]()
    for event in events:
        call, effects = step(call, event)
        wanted += effects
    return call, wanted


def requests(effects: Iterable[Effect]) -> list[RequestAccepted]:
    told = [effect.event for effect in effects if isinstance(effect, Tell)]
    needs = [event for event in told if isinstance(event, RequestAccepted)]
    return [need for need in needs if not need.call_back_no]


def call_backs(effects: Iterable[Effect]) -> list[str]:
    told = [effect.event for effect in effects if isinstance(effect, Tell)]
    return [e.call_back_no for e in told if isinstance(e, RequestAccepted) and e.call_back_no]


# ── the table ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", State)
def test_the_table_has_a_row_for_everything_that_can_happen(state: State) -> None:
    assert TABLE[state].keys() >= set(Trigger) - set(WISHES)


@pytest.mark.parametrize("state", recording.State)
def test_the_recordings_table_has_a_row_for_everything(state: recording.State) -> None:
    assert recording.TABLE[state].keys() == set(recording.Trigger)


# ── how calls come out ────────────────────────────────────────────────────────────────────────


def test_an_answered_call_has_its_seat_its_times_and_an_order_to_judge() -> None:
    call, wanted = play(
        arrived(WANG), pressed(), queued(at=after(8)), rang("1001", after(9)),
        answered("1001", after(12)), ended(after(95)),
    )  # fmt: skip
    assert (call.state, call.result, call.seat) == (State.ENDED, Result.ANSWERED, "1001")
    assert (call.queued_at, call.answered_at, call.ended_at) == (after(8), after(12), after(95))
    assert (call.key, call.choice, call.queue) == ("1", "life_service", "hotline")
    need = requests(wanted)
    assert [(one.call_id, one.elder_id, one.accepted_by) for one in need] == [(ID, 1, "1001")]
    assert MakeRecording(serial=ID, began_at=NOW) in wanted
    assert StartTimer(name=RECORDING_DUE, after_s=RECORDING_DUE_S) in wanted


def test_a_recording_that_ends_before_the_talk_is_shown() -> None:
    story = (arrived(WANG), queued(), rang("1001"), answered("1001", after(12)), ended(after(95)))
    assert EndAlarm(key=f"recording/{ID}") in play(*story, made(seconds=94.0))[1]
    _, wanted = play(*story, made(seconds=40.0))
    (alarm,) = (one for one in wanted if isinstance(one, RaiseAlarm))
    assert (alarm.kind, alarm.text) == ("recording", f"{ID}: ends before the call does")
    assert EndAlarm(key=f"recording/{ID}") not in wanted


def test_an_order_that_a_seat_has_asked_for_is_the_only_one() -> None:
    """The call ends in the moment before it is linked."""
    wish = OpenOrder(
        case_id=ID, at=NOW, by="张敏", content="送餐", requirement="", order_id="wished"
    )
    _, wanted = play(arrived(WANG), rang("1001"), answered("1001"), wish, ended())
    assert [need.case_id for need in requests(wanted)] == ["wished"]


def test_a_call_for_which_no_line_was_free_failed() -> None:
    """The caller did not give up: the centre sent the call elsewhere, and that is what is kept."""
    call, wanted = play(arrived(WANG), ended(cause=34))
    assert (call.state, call.result) == (State.ENDED, Result.FAILED)
    assert not requests(wanted)
    assert call_backs(wanted) == ["+8613800000000"]


@pytest.mark.parametrize(
    "so_far",
    [
        (arrived(WANG),),
        (arrived(WANG), pressed()),
        (arrived(WANG), queued()),
        (arrived(WANG), queued(), rang("1001")),
        (arrived(WANG), queued(), rang("1001"), missed("1001")),
    ],
    ids=["greeting", "menu", "queue", "ringing", "missed"],
)
def test_a_caller_who_gives_up_is_abandoned_in_every_stage(so_far: tuple[Event, ...]) -> None:
    """It has a row and a recording like any other, and no order: nobody took a need down."""
    call, wanted = play(*so_far, ended())
    assert (call.state, call.result, call.ringing) == (State.ENDED, Result.ABANDONED, ())
    assert sum(isinstance(effect, MakeRecording) for effect in wanted) == 1
    assert not requests(wanted)
    assert call_backs(wanted) == ["+8613800000000"]


def test_only_who_can_be_called_and_was_not_answered_is_called_back() -> None:
    hidden = arrived(caller="")
    for story in ((hidden,), (arrived(WANG), answered("1001")), (placed(),)):
        assert not call_backs(play(*story, ended())[1])


def urgent(wanted: list[Effect]) -> list[RequestAccepted]:
    """The needs to call somebody back at once."""
    told = [effect.event for effect in wanted if isinstance(effect, Tell)]
    return [one for one in told if isinstance(one, RequestAccepted) and one.is_urgent]


HELP: Final = arrived(WANG, entry=Entry.EMERGENCY)
TORN: Final = LegEnded(case_id=ID, at=after(9), leg="leg-1001", party="seat", cause=44)


@pytest.mark.parametrize(
    "story",
    [
        (HELP, ended()),
        (HELP, rang("1001"), missed("1001"), ended()),
        (HELP, CallImported(case_id=ID, at=NOW), ended()),
        (HELP, CallVanished(case_id=ID, at=NOW)),
        (HELP, answered("1001"), CallVanished(case_id=ID, at=NOW)),
        (HELP, answered("1001"), TORN, ended()),
        (HELP, answered("1001"), TORN, rang("1002"), ended()),
    ],
    ids=["alone", "missed", "imported", "vanished", "vanished-in-talk", "torn", "torn-and-rung"],
)
def test_an_emergency_that_came_to_nothing_is_called_back_at_once(story: tuple[Event, ...]) -> None:
    (need,) = urgent(play(*story)[1])
    assert (need.call_back_no, need.elder_id, need.call_id) == ("+8613800000000", WANG.id, ID)


def test_an_emergency_without_a_number_is_looked_at_by_a_person_too() -> None:
    hidden = arrived(caller="", entry=Entry.EMERGENCY)
    (need,) = urgent(play(hidden, ended())[1])
    assert (need.call_back_no, need.call_id) == ("", ID)


@pytest.mark.parametrize(
    "story",
    [
        (HELP, answered("1001"), ended()),
        (HELP, answered("1001"), leg_ended("leg-1001"), ended()),
        (HELP, answered("1001"), TORN, answered("1002"), ended()),
        (arrived(WANG), CallVanished(case_id=ID, at=NOW)),
    ],
    ids=["helped", "seat-first", "second-seat", "hotline"],
)
def test_nobody_else_is_called_back_at_once(story: tuple[Event, ...]) -> None:
    assert not urgent(play(*story)[1])


def test_what_the_first_seat_missed_the_second_answers() -> None:
    call, _ = play(arrived(WANG), queued(), rang("1001"), missed("1001"))
    assert (call.state, call.ringing) == (State.WAITING, ())
    call, wanted = play(
        arrived(WANG), queued(), rang("1001"), missed("1001"), leg_ended("leg-1001"),
        rang("1002"), answered("1002"), ended(),
    )  # fmt: skip
    assert (call.result, call.seat) == (Result.ANSWERED, "1002")
    first, second = call.legs[1:]
    assert (first.who, first.answered_at) == ("1001", None)
    assert second.who == "1002"
    assert second.answered_at
    assert [one.accepted_by for one in requests(wanted)] == ["1002"]


def test_two_phones_ring_until_one_answers() -> None:
    call, _ = play(arrived(), queued(), rang("1001"), rang("1002"), missed("1001"))
    assert (call.state, call.ringing) == (State.RINGING, ("leg-1002",))
    call, _ = play(arrived(), queued(), rang("1001"), rang("1002"), answered("1001"))
    assert (call.state, call.ringing, call.seat) == (State.TALKING, (), "1001")


@pytest.mark.parametrize(
    ("dial", "result"),
    [
        (DialResult.BUSY, Result.BUSY),
        (DialResult.NO_ANSWER, Result.NO_ANSWER),
        (DialResult.FAILED, Result.FAILED),
    ],
)
def test_a_placed_call_says_why_nobody_spoke(dial: DialResult, result: Result) -> None:
    call, wanted = play(placed(), party_rang(), leg_ended("far", "called"), dialled(dial), ended())
    assert (call.direction, call.result, call.seat) == (Direction.OUTBOUND, result, "1001")
    assert not requests(wanted)


def test_a_placed_call_that_is_answered_becomes_an_order() -> None:
    call, wanted = play(
        placed(), party_rang(), party_answered(at=after(5)), dialled(DialResult.ANSWERED), ended()
    )
    assert (call.result, call.answered_at) == (Result.ANSWERED, after(5))
    assert [one.accepted_by for one in requests(wanted)] == ["1001"]


def test_a_seat_that_hangs_up_before_anybody_was_rung_gave_up() -> None:
    assert play(placed(), ended())[0].result is Result.ABANDONED


def test_two_seats_who_talk_bring_no_need() -> None:
    """Of a call between seats only its dial is told: answered, and no order comes of it."""
    call, wanted = play(placed(), dialled(DialResult.ANSWERED), ended())
    assert call.result is Result.ANSWERED
    assert not requests(wanted)


# ── who calls ─────────────────────────────────────────────────────────────────────────────────


def test_of_two_elders_on_one_number_a_person_must_say_which() -> None:
    call, wanted = play(arrived(WANG, LI), queued(), answered("1001"), ended())
    assert [elder.name for elder in call.elders] == ["王秀英", "李建国"]
    assert [one.elder_id for one in requests(wanted)] == [None]


def test_an_unknown_or_hidden_number_is_served_like_any_other() -> None:
    call, wanted = play(arrived(caller=""), queued(), answered("1001"), ended())
    assert (call.result, call.elders) == (Result.ANSWERED, ())
    assert [one.elder_id for one in requests(wanted)] == [None]


def named(elder: KnownElder, at: datetime = NOW) -> Event:
    return NameCaller(case_id=ID, at=at, by="张敏", elder_id=elder.id, elder=elder)


def taken_back(*elders: KnownElder, at: datetime = NOW) -> Event:
    return TakeBackCaller(case_id=ID, at=at, by="张敏", elders=elders)


def told_who_called(effects: Iterable[Effect]) -> list[tuple[str, KnownElder | None, str]]:
    told = [effect.event for effect in effects if isinstance(effect, Tell)]
    return [(e.case_id, e.elder, e.by) for e in told if isinstance(e, CallerNamed)]


@pytest.mark.parametrize("number", [(), (WANG,), (WANG, LI)])
def test_who_calls_is_who_was_named_last_until_that_is_taken_back(
    number: tuple[KnownElder, ...],
) -> None:
    before = arrived(*number), queued(), named(WANG), named(LI), arrived(*number)
    call, wanted = play(*before, answered("1001"), ended())
    assert call.elders == (LI,)
    assert [one.elder_id for one in requests(wanted)] == [LI.id]
    call, wanted = play(*before, taken_back(*number), answered("1001"), ended())
    assert call.elders == number
    is_one = len(number) == 1
    assert [one.elder_id for one in requests(wanted)] == [number[0].id if is_one else None]


def test_the_orders_of_a_call_hear_who_calls() -> None:
    before = arrived(WANG, LI), answered("1001"), linked("o1"), ended(), linked("o2")
    _, wanted = play(*before, named(LI, after(70)))
    assert told_who_called(wanted) == [("o1", LI, "张敏"), ("o2", LI, "张敏")]
    _, wanted = play(*before, named(LI, after(70)), taken_back(WANG, LI, at=after(80)))
    assert told_who_called(wanted)[2:] == [("o1", None, "张敏"), ("o2", None, "张敏")]


def test_an_order_that_is_linked_after_the_caller_was_named_hears_of_it() -> None:
    """It was asked for before, and was made for whoever it was then."""
    call, _ = play(arrived(), answered("1001"), ended(after(60)), named(LI, after(61)))
    late = OrderLinked(case_id=ID, at=after(60), order_id="o1", order_no="1")
    assert told_who_called(step(call, late)[1]) == [("o1", LI, "张敏")]
    later = OrderLinked(case_id=ID, at=after(62), order_id="o2", order_no="2")
    assert not told_who_called(step(call, later)[1])


def test_a_new_order_is_the_callers_whoever_the_form_said() -> None:
    wish = OpenOrder(
        case_id=ID, at=NOW, by="张敏", content="送餐", requirement="", order_id="o1",
        elder_id=WANG.id,
    )  # fmt: skip
    assert [one.elder_id for one in requests(play(arrived(WANG, LI), wish)[1])] == [WANG.id]
    _, wanted = play(arrived(WANG, LI), named(LI), wish)
    assert [one.elder_id for one in requests(wanted)] == [LI.id]


# ── orders ────────────────────────────────────────────────────────────────────────────────────


def test_an_order_that_the_seat_opens_is_the_only_one() -> None:
    wish = OpenOrder(
        case_id=ID, at=after(20), by="张敏", content="送餐", requirement="少盐", order_id="o1"
    )
    call, wanted = play(arrived(WANG), answered("1001"), wish, linked("o1"), ended())
    assert [(r.case_id, r.content, r.requirement, r.accepted_by) for r in requests(wanted)] == [
        ("o1", "送餐", "少盐", "张敏")
    ]
    assert [order.order_id for order in call.orders] == ["o1"]


def test_an_order_can_be_opened_or_chosen_long_after_the_end() -> None:
    wish = OpenOrder(
        case_id=ID, at=after(9000), by="张敏", content="送餐", requirement="", order_id="o1"
    )
    choice = ChooseOrder(case_id=ID, at=NOW, by="张敏", order_id="o2", order_no="20260301-0009")
    call, wanted = play(arrived(WANG), ended(), wish, choice, choice)
    assert [one.case_id for one in requests(wanted)] == ["o1"]
    assert [order.order_no for order in call.orders] == ["20260301-0009"]
    assert (call.state, call.result) == (State.ENDED, Result.ABANDONED)


# ── wrap-up ───────────────────────────────────────────────────────────────────────────────────


def wrapped_up(
    id_: str = "w1", note: str = "", replaces: datetime | None = None, seconds: float = 60
) -> WrapUpCall:
    return WrapUpCall(
        case_id=ID, at=after(seconds), by="张敏", wrap_up_id=id_,
        call_class=CallClass.CONSULTATION, note=note, replaces=replaces,
    )  # fmt: skip


def test_a_talk_is_wrapped_up_once_and_edited_by_who_has_seen_it() -> None:
    first = wrapped_up(note="问补贴")
    call, _ = play(arrived(WANG), answered("1001"), first, ended(after(70)))
    assert call.wrap_up
    assert (call.wrap_up.call_class, call.wrap_up.note) == (CallClass.CONSULTATION, "问补贴")
    assert step(call, wrapped_up(note="问补贴", seconds=90))[0] == call, "sent twice, said once"
    with pytest.raises(NotAllowed):
        step(call, wrapped_up("w2", "别的"))
    edited, _ = step(call, wrapped_up("w2", "问补贴和体检", replaces=first.at, seconds=99))
    assert edited.wrap_up
    assert edited.wrap_up.note == "问补贴和体检"


@pytest.mark.parametrize("replaces", [None, after(60)])
def test_a_form_that_comes_again_with_other_words_is_a_change(replaces: datetime | None) -> None:
    """Its order was refused, so that it stayed open; its own wrap-up was saved."""
    call, _ = play(arrived(WANG), answered("1001"), wrapped_up(note="问补贴"), ended(after(70)))
    edited, _ = step(call, wrapped_up(note="问补贴和体检", replaces=replaces, seconds=90))
    assert edited.wrap_up
    assert edited.wrap_up.note == "问补贴和体检"
    with pytest.raises(NotAllowed):
        step(edited, wrapped_up("w2", "别的"))


def test_a_question_answered_in_the_talk_leaves_no_order_to_be_judged() -> None:
    before = arrived(WANG), answered("1001")
    _, wanted = play(*before, wrapped_up(note="问补贴，已答"), ended(after(70)))
    told = [effect.event for effect in wanted if isinstance(effect, Tell)]
    assert [type(event) for event in told] == [RequestAccepted, CloseAnswered]
    closing = told[1]
    assert isinstance(closing, CloseAnswered)
    assert (closing.case_id, closing.by, closing.answer) == (
        told[0].case_id, "张敏", "问补贴，已答",
    )  # fmt: skip
    # Without a note there is no answer, and an order that somebody opened is his to close.
    _, wanted = play(*before, wrapped_up(), ended(after(70)))
    assert not any(isinstance(e, Tell) and isinstance(e.event, CloseAnswered) for e in wanted)


def test_what_nobody_answered_is_wrapped_up_only_after_its_end() -> None:
    ringing, _ = play(arrived(WANG), queued(), rang("1001"))
    with pytest.raises(NotAllowed):
        step(ringing, wrapped_up())
    assert play(arrived(WANG), ended(), wrapped_up())[0].wrap_up


def test_a_link_told_twice_is_one_link() -> None:
    call, _ = play(arrived(WANG), linked(), linked(), linked("order-2"))
    assert [order.order_id for order in call.orders] == ["order-1", "order-2"]


# ── what comes twice, late, or never ──────────────────────────────────────────────────────────


def test_the_end_is_noted_once() -> None:
    call, wanted = play(arrived(), ended(after(10)), ended(after(60)), vanished(after(90)))
    assert (call.ended_at, call.ended_uncertain) == (after(10), False)
    assert sum(isinstance(effect, MakeRecording) for effect in wanted) == 1


def test_a_call_that_vanished_ended_at_a_time_that_nobody_knows() -> None:
    call, wanted = play(arrived(WANG), queued(), answered("1001"), vanished(after(300)))
    assert (call.state, call.result, call.ended_uncertain) == (State.ENDED, Result.ANSWERED, True)
    assert len(requests(wanted)) == 1


def test_an_end_that_is_seen_after_all_is_certain() -> None:
    """The hang-up waited in line behind the reading of the picture from which it was missing."""
    call, wanted = play(arrived(), vanished(after(30)), ended(after(25), cause=17))
    assert (call.ended_at, call.ended_uncertain, call.cause) == (after(25), False, 17)
    assert sum(isinstance(effect, MakeRecording) for effect in wanted) == 1


def test_no_time_of_a_call_runs_backwards() -> None:
    """The clock was set back by an hour, and nobody saw when the call had begun."""
    call, _ = play(
        arrived(), queued(at=after(2)), rang("1001", after(3)), answered("1001", after(-3590)),
        leg_ended("leg-1001", at=after(-3560)), ended(after(-3560)),
    )  # fmt: skip
    times = [call.entered_at, call.queued_at, call.answered_at, call.ended_at]
    assert times == [NOW, after(2), after(2), after(2)]
    leg = call.legs[-1]
    assert (leg.started_at, leg.answered_at, leg.ended_at) == (after(3), after(3), after(3))


def test_an_answer_that_is_heard_of_after_the_end_counts() -> None:
    call, wanted = play(arrived(WANG), vanished(after(30)), answered("1001", after(5)))
    assert (call.state, call.result, call.seat) == (State.ENDED, Result.ANSWERED, "1001")
    assert [one.case_id for one in requests(wanted)] == [f"{ID}/order"]


def test_a_busy_line_that_is_heard_of_after_the_end_counts() -> None:
    call, _ = play(placed(), vanished(), dialled(DialResult.BUSY))
    assert (call.state, call.result) == (State.ENDED, Result.BUSY)


@pytest.mark.parametrize("late", [rang("1001"), party_rang(), queued(3), missed("1001"), pressed()])
def test_nothing_rings_or_waits_after_the_end(late: Event) -> None:
    call, wanted = play(arrived(WANG), ended(), late)
    assert (call.state, call.ringing, call.position) == (State.ENDED, (), 0)
    assert len(wanted) == 3, "recording, timer and call-back are asked for once"


def test_ringing_told_again_does_not_unanswer_a_leg() -> None:
    call, _ = play(
        arrived(), queued(), rang("1001"), answered("1001", after(3)), rang("1001", after(4))
    )
    assert (call.state, call.ringing) == (State.TALKING, ())
    assert call.legs[-1].answered_at == after(3)


def test_an_arrival_told_again_does_not_bring_back_a_leg_that_is_gone() -> None:
    """After a reconnect a call is found, and then its own arrival comes out of the line."""
    call, _ = play(
        arrived(at=after(5), caller=""), leg_ended(ID, "caller", after(9)), arrived(WANG, at=NOW)
    )
    (leg,) = call.legs
    assert (leg.started_at, leg.ended_at, leg.who) == (NOW, after(9), "+8613800000000")
    assert (call.entered_at, call.elders) == (NOW, (WANG,))


def test_a_leg_of_which_only_the_end_was_seen_is_kept() -> None:
    call, _ = play(arrived(), leg_ended("stranger", "seat", after(4), delay=80.0))
    assert [(leg.id, leg.ended_at, leg.delay_ms) for leg in call.legs[1:]] == [
        ("stranger", after(4), 80.0)
    ]


def test_an_answer_without_its_ringing_is_an_answer() -> None:
    """The controller came back in the middle of the talk."""
    call, _ = play(arrived(), answered("1002", after(40)))
    assert (call.state, call.seat, call.legs[-1].who) == (State.TALKING, "1002", "1002")


# ── the recording ─────────────────────────────────────────────────────────────────────────────


def test_a_kept_recording_ends_the_timer_and_the_case() -> None:
    call, wanted = play(arrived(), answered("1001"), ended(), made())
    assert call.sound
    assert (call.recording, call.sound.seconds) == (recording.State.KEPT, 9.5)
    assert StopTimer(name=RECORDING_DUE) in wanted
    assert is_over(call)


def test_a_talk_without_its_recording_is_an_alarm_until_it_is_there() -> None:
    call, wanted = play(arrived(), answered("1001"), ended(), failed())
    (alarm,) = (effect for effect in wanted if isinstance(effect, RaiseAlarm))
    assert "the disk is full" in alarm.text
    assert is_over(call)
    call, wanted = play(arrived(), answered("1001"), ended(), failed(), made())
    assert call.recording is recording.State.KEPT
    assert wanted[-1] == EndAlarm(key=alarm.key)


def test_nothing_recorded_of_a_caller_who_hung_up_at_once_is_no_alarm() -> None:
    call, wanted = play(arrived(), ended(), failed())
    assert not [effect for effect in wanted if isinstance(effect, RaiseAlarm)]
    assert is_over(call)


def test_nothing_recorded_of_an_emergency_is_an_alarm_whoever_answered() -> None:
    """Alone in the room an elder may have said where it hurts."""
    _, wanted = play(arrived(entry=Entry.EMERGENCY), ended(), failed())
    (alarm,) = (one for one in wanted if isinstance(one, RaiseAlarm) and one.kind == "recording")
    assert "the disk is full" in alarm.text


def test_a_recording_that_is_not_made_in_time_is_an_alarm() -> None:
    call, wanted = play(arrived(), answered("1001"), ended(), due())
    assert isinstance(wanted[-1], RaiseAlarm)
    assert not is_over(call)


@pytest.mark.parametrize("late", [due(), failed(), due("another timer")])
def test_nothing_that_comes_late_doubts_a_kept_recording(late: Event) -> None:
    before = (arrived(), answered("1001"), ended(), made())
    call, wanted = play(*before, late)
    assert call.recording is recording.State.KEPT
    assert wanted == play(*before)[1]


def test_a_caller_whose_seat_vanished_waits_and_is_answered_again() -> None:
    call, _ = play(arrived(), queued(), answered("1001"), lost("1001"))
    assert call.state is State.WAITING
    call, _ = play(
        arrived(), queued(), answered("1001"), lost("1001"), queued(), rang("1002"),
        answered("1002"), ended(),
    )  # fmt: skip
    assert (call.state, call.seat, call.result) == (State.ENDED, "1002", Result.ANSWERED)


@pytest.mark.parametrize("so_far", [(), (queued(),), (queued(), rang("1002"))])
@pytest.mark.parametrize("over", [ended(), vanished()])
def test_who_gives_up_after_the_seat_vanished_is_called_back(
    so_far: tuple[Event, ...], over: Event
) -> None:
    story = (arrived(WANG), queued(), answered("1001"), lost("1001"), *so_far, over)
    call, wanted = play(*story)
    assert (call.state, call.result) == (State.ENDED, Result.ANSWERED)
    assert call_backs(wanted) == ["+8613800000000"]
    assert len(requests(wanted)) == 1, "what was said before is still to be judged"


def test_an_emergency_waits_for_a_person_from_its_first_second() -> None:
    call, _ = play(arrived(WANG, entry=Entry.EMERGENCY))
    assert (call.state, call.queue, call.queued_at) == (State.WAITING, "emergency", NOW)
    call, _ = play(arrived(WANG))
    assert (call.state, call.queue, call.queued_at) == (State.ENTERED, "", None)
