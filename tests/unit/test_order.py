"""The work order: taken down, judged, answered or withdrawn, and what is refused in words."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from workflows.commands import CancelOrder, CloseAnswered, JudgeRequest
from workflows.effects import Effect, EndAlarm, RaiseAlarm, Tell
from workflows.errors import NotAllowed
from workflows.events import (
    CallBackUrged,
    CallEnded,
    CallerNamed,
    Channel,
    Event,
    KnownElder,
    OrderLinked,
    RequestAccepted,
)
from workflows.machine import is_wish
from workflows.order import TABLE, Order, State, Trigger, begin, is_over, step

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
ID: Final = "order-1"


def need(content: str = "", number: str = "20260301-0001", call: str = "call-1") -> Event:
    return RequestAccepted(
        case_id=ID, at=NOW, channel=Channel.HOTLINE, call_id=call, elder_id=7, content=content,
        accepted_by="1001", order_no=number,
    )  # fmt: skip


def judged(content: str = "送餐", by: str = "张敏", minutes: int = 5) -> Event:
    at = NOW + timedelta(minutes=minutes)
    return JudgeRequest(case_id=ID, at=at, by=by, content=content, requirement="少盐")


def closed(answer: str = "周二体检", by: str = "张敏") -> Event:
    return CloseAnswered(case_id=ID, at=NOW, by=by, answer=answer)


def caller_named(elder_id: int | None = 8, call: str = "call-1") -> Event:
    elder = KnownElder(id=elder_id, name="李建国", uid="E000008") if elder_id else None
    return CallerNamed(case_id=ID, at=NOW, call_id=call, elder=elder, by="张敏")


def cancelled(reason: str = "女儿来了", by: str = "张敏") -> Event:
    return CancelOrder(case_id=ID, at=NOW, by=by, reason=reason)


def play(*events: Event) -> tuple[Order, list[Effect]]:
    order, wanted = begin(events[0]), list[Effect]()
    for event in events:
        order, effects = step(order, event)
        wanted += effects
    return order, wanted


def links(effects: list[Effect]) -> list[tuple[str, str, str]]:
    told = [effect.event for effect in effects if isinstance(effect, Tell)]
    return [(e.case_id, e.order_id, e.order_no) for e in told if isinstance(e, OrderLinked)]


def test_a_need_is_taken_down_with_its_number_and_told_to_its_call() -> None:
    order, wanted = play(need())
    assert (order.state, order.order_no, order.elder_id) == (State.ACCEPTED, "20260301-0001", 7)
    assert (order.call_id, order.accepted_by, order.generated_at) == ("call-1", "1001", None)
    assert links(wanted) == [("call-1", ID, "20260301-0001")]


def test_a_need_at_the_counter_has_no_call_to_tell() -> None:
    assert links(play(need(call=""))[1]) == []


def test_a_need_that_comes_with_its_content_is_judged_already() -> None:
    order, _ = play(need("送餐"))
    assert (order.state, order.content, order.generated_at) == (State.GENERATED, "送餐", NOW)


def test_the_first_judgement_makes_the_order() -> None:
    order, _ = play(need(), judged())
    assert (order.state, order.content, order.requirement) == (State.GENERATED, "送餐", "少盐")
    assert order.generated_at == NOW + timedelta(minutes=5)


def test_a_judgement_can_be_mended_without_changing_when_it_was_made() -> None:
    order, _ = play(need(), judged(), judged("送药", minutes=30))
    assert (order.state, order.content) == (State.GENERATED, "送药")
    assert order.generated_at == NOW + timedelta(minutes=5)


@pytest.mark.parametrize(
    "before", [(need(),), (need(), judged()), (need(), closed()), (need(), cancelled())]
)
def test_an_order_is_of_whoever_called_for_it_also_when_that_is_said_late(
    before: tuple[Event, ...],
) -> None:
    order, _ = play(*before)
    for elder_id in (8, None):
        now, effects = step(order, caller_named(elder_id))
        assert (now.elder_id, now.state, effects) == (elder_id, order.state, ())
    # A call that was only tied to it says nothing of whose need it is.
    assert step(order, caller_named(call="call-2"))[0] == order


def test_who_judges_it_says_last_whose_it_is() -> None:
    whose = JudgeRequest(case_id=ID, at=NOW, by="张敏", content="送餐", requirement="", elder_id=8)
    assert play(need(), whose, judged("送药"))[0].elder_id == 8


@pytest.mark.parametrize("before", [(need(),), (need("咨询"),), (need(), judged())])
def test_a_question_that_was_answered_is_closed_by_a_named_person(
    before: tuple[Event, ...],
) -> None:
    order, _ = play(*before, closed())
    assert (order.state, order.closed_by, order.outcome) == (State.CLOSED, "张敏", "周二体检")
    assert (order.closed_at, is_over(order)) == (NOW, True)


@pytest.mark.parametrize("before", [(need(),), (need(), judged())])
def test_a_need_can_be_withdrawn_with_its_reason(before: tuple[Event, ...]) -> None:
    order, _ = play(*before, cancelled())
    assert (order.state, order.closed_by, order.outcome) == (State.CANCELLED, "张敏", "女儿来了")
    assert is_over(order)


@pytest.mark.parametrize("end", [closed(), cancelled()])
@pytest.mark.parametrize("wish", [judged(), closed("again"), cancelled("again")])
def test_what_is_over_stays_over_and_says_so(end: Event, wish: Event) -> None:
    order, _ = play(need(), end)
    with pytest.raises(NotAllowed, match=r"not possible while .*; possible: nothing more"):
        step(order, wish)


@pytest.mark.parametrize(
    "wish",
    [
        judged(""), judged(" \n"), judged(by=""), closed(""), closed(by=" "), cancelled(""),
        cancelled(by=""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [(need(),), (need(), judged())])
def test_a_wish_without_words_or_name_is_refused_and_says_what_is_possible(
    before: tuple[Event, ...], wish: Event
) -> None:
    order, _ = play(*before)
    with pytest.raises(NotAllowed) as refused:
        step(order, wish)
    assert str(refused.value).endswith("; possible: judge、close as answered、cancel")


@pytest.mark.parametrize(
    "before", [(need(),), (need("送餐"),), (need(), judged()), (need(), closed())]
)
@pytest.mark.parametrize("again", [need(), need("late words"), need(number="20260301-0002")])
def test_a_need_told_twice_changes_nothing(before: tuple[Event, ...], again: Event) -> None:
    order, _ = play(*before)
    repeated, wanted = step(order, again)
    assert repeated == order
    # The call may have missed it the first time; the number is still the first one.
    assert links(list(wanted)) in ([], [("call-1", ID, "20260301-0001")])


@pytest.mark.parametrize("state", State)
def test_every_fact_has_a_row_in_every_state(state: State) -> None:
    facts = Trigger.NEED, Trigger.NEED_JUDGED, Trigger.URGED, Trigger.CALLER_NAMED
    assert {*facts, Trigger.OTHER_NAMED} <= TABLE[state].keys()
    assert not is_wish(TABLE, Trigger.NEED)
    assert is_wish(TABLE, Trigger.CANCEL)


def test_no_order_of_moves_loses_a_number_or_closes_without_a_person() -> None:
    moves = (need(), need("送餐", "20260301-0002"), judged(), closed(), cancelled())
    todo = deque(play(first)[0] for first in (need(), need("送餐")))
    seen: set[Order] = set()
    while todo:
        order = todo.popleft()
        if order in seen:
            continue
        seen.add(order)
        assert order.order_no == "20260301-0001"
        assert is_over(order) == bool(order.closed_by) == bool(order.closed_at)
        assert (order.state is State.GENERATED) <= bool(order.content and order.generated_at)
        for move in moves:
            try:
                todo.append(step(order, move)[0])
            except NotAllowed:
                assert is_over(order)
    assert {order.state for order in seen} == set(State) - {State.JOINED}


def test_an_event_of_another_process_is_a_fault_and_not_a_move() -> None:
    with pytest.raises(LookupError, match="CallEnded"):
        step(play(need())[0], CallEnded(case_id=ID, at=NOW, cause=16))


def test_a_call_back_that_is_open_already_takes_the_call_and_is_not_opened_again() -> None:
    told = RequestAccepted(
        case_id=ID, at=NOW, channel=Channel.HOTLINE, call_id="c2", elder_id=None, content="",
        call_back_no="+8613800000000", order_no="20260301-0004", joins_id="c1/call-back",
    )  # fmt: skip
    joined, tied = step(begin(told), told)
    assert (joined.state, is_over(joined)) == (State.JOINED, True)
    (tell,) = tied
    assert isinstance(tell, Tell)
    assert isinstance(tell.event, OrderLinked)
    assert (tell.event.case_id, tell.event.order_id) == ("c2", "c1/call-back")
    assert step(joined, told) == (joined, tied), "told twice, tied once"
    with pytest.raises(NotAllowed):
        step(joined, judged())


def urgent_need(case_id: str = ID, call: str = "c1", joins: str = "") -> Event:
    return RequestAccepted(
        case_id=case_id, at=NOW, channel=Channel.HOTLINE, call_id=call, elder_id=None, content="",
        call_back_no="+8613800000000", order_no="20260301-0004", joins_id=joins, is_urgent=True,
    )  # fmt: skip


def urged(call: str = "c2") -> Event:
    return CallBackUrged(case_id=ID, at=NOW, call_id=call)


def raised(effects: list[Effect]) -> list[str]:
    return [effect.key for effect in effects if isinstance(effect, RaiseAlarm)]


@pytest.mark.parametrize("deal", [judged(), closed(), cancelled()])
def test_an_emergency_to_be_called_back_is_an_alarm_until_a_person_deals_with_it(
    deal: Event,
) -> None:
    order, wanted = play(urgent_need(), urgent_need(), urged())
    assert raised(wanted) == ["call back/c1", "call back/c2"]
    order, effects = step(order, deal)
    ended = [effect.key for effect in effects if isinstance(effect, EndAlarm)]
    assert ended == ["call back/c1", "call back/c2"]


def test_a_second_emergency_joins_the_call_back_that_waits_and_makes_it_urgent() -> None:
    joined, wanted = play(urgent_need("other", "c2", joins=ID))
    assert joined.state is State.JOINED
    assert not raised(wanted), "the alarm is the order's that a person sees"
    told = [effect.event for effect in wanted if isinstance(effect, Tell)]
    assert [e for e in told if isinstance(e, CallBackUrged)] == [urged()]


@pytest.mark.parametrize("dealt", [(judged(),), (closed(),), (judged(), closed()), (cancelled(),)])
def test_an_order_that_was_dealt_with_meanwhile_waits_for_a_person_again(
    dealt: tuple[Event, ...],
) -> None:
    order, wanted = play(need(), *dealt, urged())
    assert order.state is State.ACCEPTED
    assert not is_over(order)
    assert (order.closed_at, order.closed_by, order.outcome) == (None, "", "")
    assert raised(wanted) == ["call back/c2"]
    assert step(order, closed())[0].state is State.CLOSED
