"""The call: whatever happens to it, in whichever order, doubled, late or lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_call import (
    ID,
    NOW,
    WANG,
    answered,
    arrived,
    dialled,
    due,
    ended,
    failed,
    leg_ended,
    linked,
    lost,
    made,
    missed,
    party_answered,
    party_rang,
    placed,
    queued,
    rang,
    requests,
    vanished,
)
from workflows import recording
from workflows.call import begin, step
from workflows.call_facts import Call, Direction, Result, State
from workflows.commands import ChooseOrder, NameCaller, OpenOrder, TakeBackCaller
from workflows.effects import Effect, MakeRecording, RaiseAlarm
from workflows.events import DialResult, Entry, Event


class Walked(NamedTuple):
    """A call somewhere on its way; `asked` is how often its recording, and whether an order."""

    call: Call
    recordings: int = 0
    order: bool = False


def violations(before: Walked, now: Walked, wanted: tuple[Effect, ...]) -> list[str]:
    """What must never be true of a call, whatever happened to it and in which order."""
    call, was = now.call, before.call
    over, kept = call.state is State.ENDED, call.recording is recording.State.KEPT
    inbound = call.direction is Direction.INBOUND
    never = {
        "it leaves its end": was.state is State.ENDED and not over,
        "a result before the end, or none after it": over != (call.result is not None),
        "a time of the end before it, or none after it": over != (call.ended_at is not None),
        "its recording is not asked for exactly once": now.recordings != int(over),
        "it is not known that its recording is owed": over
        and call.recording is recording.State.WRITING,
        "answered, without an order or the wish for one": over
        and call.answered_at is not None
        and not (call.orders or now.order),
        "answered, and the result says otherwise": over
        and call.answered_at is not None
        and call.result is not Result.ANSWERED,
        "a phone or a place in the line after the end": over
        and bool(call.ringing or call.position),
        "it rings nowhere": inbound and call.state is State.RINGING and not call.ringing,
        "it talks and nobody answered": call.state is State.TALKING and not call.answered_at,
        "an elder in an emergency talks to nobody": call.state is State.TALKING
        and call.entry is Entry.EMERGENCY
        and not any(leg.answered_at and not leg.ended_at for leg in call.legs if leg.id != ID),
        "its seat is forgotten": bool(was.seat and not call.seat),
        "its sound is forgotten": bool(was.sound and not call.sound),
        "a leg's answer or end is forgotten": forgets_a_leg(was, call),
        "an alarm for a recording that is kept": kept
        and any(isinstance(effect, RaiseAlarm) for effect in wanted),
    }
    return [what for what, is_so in never.items() if is_so]


def forgets_a_leg(was: Call, call: Call) -> bool:
    now = {leg.id: leg for leg in call.legs}
    return any(
        leg.id not in now
        or (leg.ended_at is not None and now[leg.id].ended_at is None)
        or (leg.answered_at is not None and now[leg.id].answered_at is None)
        for leg in was.legs
    )


def walk(universe: tuple[Event, ...], starts: Iterable[Event]) -> int:
    """Follow every order of these events; returns how many different calls were met."""
    todo = deque(Walked(begin(event)) for event in starts)
    seen: set[Walked] = set(todo)
    while todo:
        before = todo.popleft()
        for event in universe:
            call, wanted = step(before.call, event)
            now = Walked(
                call,
                before.recordings + sum(isinstance(e, MakeRecording) for e in wanted),
                before.order or bool(requests(wanted)),
            )
            wrong = violations(before, now, wanted)
            assert not wrong, (wrong, before.call, event)
            if now not in seen:
                seen.add(now)
                todo.append(now)
    return len(seen)


INBOUND: Final = (
    arrived(WANG), queued(), rang("1001"), rang("1002"), missed("1001"), answered("1001"),
    answered("1002"), leg_ended("leg-1002"), ended(), linked(),
)  # fmt: skip
AFTERMATH: Final = (
    arrived(WANG), rang("1001"), answered("1001"), leg_ended(ID, "caller"), ended(), vanished(),
    made(), failed(), due(), linked(),
)  # fmt: skip
ROOM: Final = (
    arrived(WANG, entry=Entry.EMERGENCY), rang("1001"), answered("1001"),
    answered("1002"), leg_ended("leg-1001"), leg_ended("leg-1002"), lost("1002"), ended(),
)  # fmt: skip
OUTBOUND: Final = (
    placed(), party_rang(), party_rang("second"), party_answered("second"),
    leg_ended("second", "called"), dialled(DialResult.BUSY), dialled(DialResult.ANSWERED), ended(),
    linked(),
)  # fmt: skip


@pytest.mark.parametrize(
    "universe",
    [INBOUND, ROOM, AFTERMATH, OUTBOUND],
    ids=["inbound", "room", "aftermath", "outbound"],
)
def test_no_order_of_events_leaves_a_call_in_disorder(universe: tuple[Event, ...]) -> None:
    """Also when the first that is heard of a call is its middle, or its end."""
    assert walk(universe, universe) > 100


EVERYTHING: Final = (
    *INBOUND, *AFTERMATH, *OUTBOUND, missed("1002"), leg_ended("leg-1001"), due("another timer"),
    OpenOrder(case_id=ID, at=NOW, by="张敏", content="送餐", requirement="", order_id="wished"),
    ChooseOrder(case_id=ID, at=NOW, by="张敏", order_id="chosen", order_no="20260301-0002"),
    NameCaller(case_id=ID, at=NOW, by="张敏", elder_id=WANG.id, elder=WANG),
    TakeBackCaller(case_id=ID, at=NOW, by="张敏"),
)  # fmt: skip


@given(st.lists(st.sampled_from(EVERYTHING), min_size=1, max_size=25))
@settings(max_examples=80, deadline=None)
def test_nor_does_any_longer_story(story: list[Event]) -> None:
    now = Walked(begin(story[0]))
    for event in story:
        before, (call, wanted) = now, step(now.call, event)
        asked = sum(isinstance(effect, MakeRecording) for effect in wanted)
        now = Walked(call, before.recordings + asked, before.order or bool(requests(wanted)))
        assert not violations(before, now, wanted), event
