"""The emergency: every order of events, and the moments in which an elder could be forgotten."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple

import pytest

from workflows import role
from workflows.commands import CallAgain, CloseCase, FollowUp, WriteRecord
from workflows.effects import CallSeat, CancelDial, Effect, EndAlarm, RaiseAlarm, StartTimer
from workflows.emergency import (
    NOBODY_CAME,
    NOBODY_S,
    TABLE,
    Trigger,
    begin,
    give_over,
    has_elder,
    is_ours,
    is_over,
    is_wanted,
    step,
    unreached_of,
    unsent,
)
from workflows.emergency_facts import HAND_BACK_DUE, Emergency, State, seats
from workflows.errors import NotAllowed, NotFound
from workflows.events import (
    CallKept,
    CaseFound,
    CaseOutcome,
    DialAnswered,
    DialAttempted,
    DialFailed,
    DialLost,
    ElderGone,
    ElderHeard,
    ElderLeft,
    ElderSilent,
    EmergencyTimerFired,
    Event,
    HandedBack,
    Owner,
    Person,
    PersonJoined,
    PersonLeft,
    RoomOpened,
    TookOver,
)
from workflows.machine import Rule, nothing

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
CASE: Final = "n-1.1"
FIRST, SECOND = f"{CASE}-A1", f"{CASE}-A2"
FOR_B, AGAIN_B = f"{CASE}-B1", f"{CASE}-B2"


def person(leg: str, effect: str = "", party: str = "seat") -> Person:
    return Person(leg=leg, party=party, who="1001", effect=effect)


def opened() -> Event:
    return RoomOpened(case_id=CASE, at=NOW)


def joined(leg: str, effect: str = "", party: str = "seat") -> Event:
    return PersonJoined(case_id=CASE, at=NOW, person=person(leg, effect, party))


def left(leg: str) -> Event:
    return PersonLeft(case_id=CASE, at=NOW, leg=leg)


def took_over() -> Event:
    return TookOver(case_id=CASE, at=NOW)


def handed_back() -> Event:
    return HandedBack(case_id=CASE, at=NOW)


def elder_left() -> Event:
    return ElderLeft(case_id=CASE, at=NOW)


def gone() -> Event:
    return ElderGone(case_id=CASE, at=NOW)


def attempted(effect: str = FIRST) -> Event:
    return DialAttempted(case_id=CASE, at=NOW, effect=effect)


def answered(effect: str = FIRST) -> Event:
    return DialAnswered(case_id=CASE, at=NOW, effect=effect)


def failed(effect: str = FIRST) -> Event:
    return DialFailed(case_id=CASE, at=NOW, effect=effect, reason="no route")


def lost(effect: str = FIRST, seats: int = 0) -> Event:
    return DialLost(case_id=CASE, at=NOW, effect=effect, attempted_at=NOW, seats_there=seats)


def fired(name: str) -> Event:
    return EmergencyTimerFired(case_id=CASE, at=NOW, name=name)


def found(owner: Owner, *people: Person, dials: tuple[str, ...] = ()) -> Event:
    return CaseFound(case_id=CASE, at=NOW, owner=owner, people=people, dials=dials)


def play(*events: Event) -> tuple[Emergency, list[Effect]]:
    """The case after all of it, and everything that was asked for."""
    case = begin(events[0])
    asked: list[Effect] = []
    for event in events:
        case, effects = step(case, event)
        asked += effects
    return case, asked


def dials(effects: Iterable[Effect], name: str = "A") -> list[str]:
    """The askings for one role."""
    calls = [effect for effect in effects if isinstance(effect, CallSeat)]
    return [call.id for call in calls if call.role == name]


def withdrawn(effects: Iterable[Effect]) -> list[str]:
    return [effect.dial for effect in effects if isinstance(effect, CancelDial)]


def role_a(case: Emergency) -> role.Role:
    return case.roles[0]


def role_b(case: Emergency) -> role.Role:
    return case.roles[1]


class Node(NamedTuple):
    case: Emergency
    alarms: frozenset[str]
    timers: frozenset[str]


# The same case is met with many sets of alarms and clocks, of which its step knows nothing.
step_once = cache(step)


def after(node: Node, event: Event) -> Node:
    case, effects = step_once(node.case, event)
    # Who came and went is kept for the record alone, and would make each state a new one.
    case = replace(case, visits=()) if case.visits else case
    alarms, timers = set(node.alarms), set(node.timers)
    if isinstance(event, EmergencyTimerFired):
        timers.discard(event.name)
    for effect in effects:
        match effect:
            case RaiseAlarm():
                alarms.add(effect.key)
            case EndAlarm():
                alarms.discard(effect.key)
            case StartTimer():
                timers.add(effect.name)
            case _ if hasattr(effect, "name"):
                timers.discard(effect.name)
    return Node(case, frozenset(alarms), frozenset(timers))


Walk = tuple[tuple[str, ...], tuple[tuple[str, str], ...], tuple[int, int]]
"""Of which dials the facts speak, who comes and goes and by which, and how often each role asks."""
OF_A: Final[Walk] = ((FIRST, SECOND), (("s1", FIRST), ("s2", "")), (2, 1))
OF_BOTH: Final[Walk] = ((FIRST, FOR_B), (("s1", FIRST), ("s2", FOR_B)), (1, 1))


def possible(node: Node, walk: Walk = OF_A) -> list[Event]:
    """Every fact that may come next; late and odd ones too."""
    spoken_of, people, _ = walk
    last, _ = people[-1]
    events = [
        *(opened(), took_over(), handed_back(), elder_left(), gone()),
        *(joined(leg, effect) for leg, effect in people),
        *(left(leg) for leg, _ in people),
        *(found(owner) for owner in Owner),
        *(found(owner, person(last)) for owner in Owner),
        found(Owner.DIALPLAN, dials=(FIRST,)),
        *(fired(name) for name in node.timers),
    ]
    for effect in spoken_of:
        events += [attempted(effect), answered(effect), failed(effect)]
        if walk is OF_A:
            events += [lost(effect), lost(effect, 1)]
    return events


def walked(walk: Walk) -> set[Node]:
    """Every state in which the case can be, up to one asking more of a role than the walk says.

    With two askings of one role one of them is the old dial and the other the new one; after the
    third both are old, and nothing new can be learned. What comes after the end is for
    test_a_closed_case_stays_closed_and_asks_for_nothing.
    """
    seen: set[Node] = set()
    waiting = deque(after(Node(begin(e), frozenset(), frozenset()), e) for e in (
        opened(), found(Owner.DIALPLAN), found(Owner.CONTROLLER),
        found(Owner.CONTROLLER, person("s1")), found(Owner.DIALPLAN, person("c1", party="contact")),
    ))  # fmt: skip
    while waiting:
        node = waiting.popleft()
        if node in seen:
            continue
        seen.add(node)
        asked = zip(node.case.roles, walk[2], strict=True)
        if node.case.state is not State.CLOSED and all(one.asked <= most for one, most in asked):
            waiting.extend(after(node, event) for event in possible(node, walk))
    return seen


@pytest.fixture(scope="module", params=[OF_A, OF_BOTH], ids=["of A", "of both"])
def everywhere(request: pytest.FixtureRequest) -> set[Node]:
    return walked(request.param)


def is_cared_for(node: Node) -> bool:
    """Each role has somebody, or one is asked, or it is shown, or the dialplan acts."""
    case = node.case
    elsewhere = case.owner is Owner.DIALPLAN or not case.elder_is_in
    moving = (role.State.FILLED, role.State.ASKED, role.State.COMING)
    return all(
        elsewhere or one.state in moving or {one.trouble, one.uncertain} & node.alarms
        for one in case.roles
    )


def test_in_no_order_of_events_is_an_elder_forgotten(everywhere: set[Node]) -> None:
    assert len(everywhere) > 300
    is_open = [node for node in everywhere if node.case.state is not State.CLOSED]
    assert [node for node in is_open if not is_cared_for(node)] == []


def test_no_waiting_lasts_for_ever(everywhere: set[Node]) -> None:
    """Whatever is neither done nor asked for has a clock, and so has an elder who is alone."""
    for case, alarms, timers in everywhere:
        for one in case.roles if case.state is not State.CLOSED else ():
            if one.state in (role.State.COMING, role.State.FAILED, role.State.UNCERTAIN):
                assert one.again in timers, case
            if one.state not in (role.State.FILLED, role.State.OPEN):
                assert one.missing in timers or one.vacancy in alarms, case
        is_idle = case.state is State.ALONE and not case.is_left
        assert not is_idle or NOBODY_CAME in timers, case
        waits = case.owner is Owner.DIALPLAN and is_idle
        assert not waits or HAND_BACK_DUE in timers, case


def test_a_closed_case_stays_closed_and_asks_for_nothing(everywhere: set[Node]) -> None:
    """Whatever it has noted, no row of its two tables leads out of the end or asks for anything."""
    rules = dict(TABLE[State.CLOSED])
    assert rules.pop(Trigger.CALL_KEPT) == Rule(State.CLOSED, give_over)
    assert set(rules.values()) == {Rule(State.CLOSED, nothing)}
    assert set(role.TABLE[role.State.OVER].values()) == {Rule(role.State.OVER, nothing)}
    closed = [node for node in everywhere if node.case.state is State.CLOSED]
    assert closed
    for node in closed:
        assert {one.state for one in node.case.roles} == {role.State.OVER}
        assert node.alarms == ({unreached_of(node.case)} if node.case.is_unreached else frozenset())
        assert not node.timers
    for node in closed[::50]:
        for event in possible(node):
            case, effects = step(node.case, event)
            assert case.state is State.CLOSED
            assert effects == ()


def test_the_state_says_whether_a_seat_is_with_the_elder(everywhere: set[Node]) -> None:
    for case, _, _ in everywhere:
        if case.state is State.CLOSED:
            continue
        assert (case.state is State.ACCOMPANIED) == bool(seats(case)), case
        legs = {person.leg for person in seats(case)}
        for one in case.roles:
            assert (one.state is role.State.FILLED) == (one.leg in legs), case
        assert role_a(case).leg != role_b(case).leg or not role_a(case).leg, "one seat, one role"


def test_every_fact_has_a_row_everywhere() -> None:
    assert all(set(rows) == set(Trigger) for rows in TABLE.values())
    assert all(set(rows) == set(role.Trigger) for rows in role.TABLE.values())


def test_an_elder_in_the_room_asks_for_one_seat_of_each_role() -> None:
    case, asked = play(opened(), opened(), attempted(), attempted(FOR_B))
    assert (dials(asked), dials(asked, "B")) == ([FIRST], [FOR_B])
    assert unsent(case) == ()
    assert is_wanted(case, CallSeat(id=FIRST, case_id=CASE, role="A"))


def test_the_seat_answers_comes_and_goes_and_the_next_is_asked() -> None:
    case, asked = play(opened(), attempted(), answered(), joined("s1", FIRST))
    assert (case.state, role_a(case).state) == (State.ACCOMPANIED, role.State.FILLED)
    assert not [effect for effect in asked if isinstance(effect, CancelDial)]
    case, effects = step(case, left("s1"))
    assert case.state is State.ALONE
    assert dials(effects) == [SECOND]


def test_a_seat_that_answered_and_never_came_is_replaced() -> None:
    case, _ = play(opened(), attempted(), answered())
    case, effects = step(case, fired(f"{role.TRY_AGAIN}/A"))
    assert dials(effects) == [SECOND]
    assert withdrawn(effects) == [FIRST]


def test_a_seat_that_the_dialplan_brought_stops_our_own_ringing() -> None:
    _, asked = play(opened(), attempted(), took_over(), joined("s9"))
    assert withdrawn(asked) == [FIRST]


def test_while_the_dialplan_acts_nobody_else_is_rung_and_after_it_nobody_twice() -> None:
    case, asked = play(found(Owner.DIALPLAN))
    assert dials(asked) == []
    assert is_ours(case), "our sign of life is what makes the dialplan hand back"
    case, effects = step(case, handed_back())
    assert dials(effects) == [FIRST]
    case, asked = play(found(Owner.DIALPLAN, person("s1")), handed_back())
    assert dials(asked) == []


def test_an_unsent_dial_is_not_sent_beside_the_ringing_of_the_dialplan() -> None:
    """Two seats might come; it is asked for anew when the case is ours again."""
    case, _ = play(opened(), took_over())
    first, _ = unsent(case)
    case, effects = step(case, attempted())
    assert not is_wanted(case, first)
    assert CancelDial(id=f"{FIRST}/cancel", dial=FIRST) in effects
    case, effects = step(case, handed_back())
    assert dials(effects) == [SECOND]
    case, _ = play(opened(), attempted(), took_over(), attempted())
    assert is_wanted(case, first), "what was sent before is kept"


def test_a_dialplan_that_never_hands_back_does_not_hold_us_up() -> None:
    _, asked = play(found(Owner.DIALPLAN), fired(HAND_BACK_DUE))
    assert dials(asked) == [FIRST]


def test_a_living_dial_is_adopted_and_not_repeated() -> None:
    case, asked = play(opened(), attempted(), found(Owner.CONTROLLER, dials=(FIRST,)))
    assert dials(asked) == [FIRST]
    case, asked = play(found(Owner.CONTROLLER, dials=(SECOND,)))
    assert dials(asked) == []
    assert (role_a(case).dial, role_a(case).state) == (SECOND, role.State.ASKED)


def test_an_uncertain_dial_is_shown_and_waits_for_those_who_see_it() -> None:
    case, asked = play(opened(), attempted(), lost(seats=2))
    assert dials(asked) == [FIRST]
    alarm = next(effect for effect in asked if isinstance(effect, RaiseAlarm))
    assert alarm.text == "n-1.1: perhaps called at 01:00:00"
    by_hand, effects = step(case, CallAgain(case_id=CASE, at=NOW, by="张敏"))
    assert dials(effects) == [SECOND]
    with pytest.raises(NotAllowed):
        step(by_hand, CallAgain(case_id=CASE, at=NOW, by="张敏"))
    _, effects = step(case, fired(f"{role.TRY_AGAIN}/A"))
    assert dials(effects) == [SECOND]
    case, effects = step(case, joined("s1", FIRST))
    assert role_a(case).state is role.State.FILLED
    assert EndAlarm(key=alarm.key) in effects


def test_an_uncertain_dial_that_nobody_sees_is_shown_and_repeated_at_once() -> None:
    _, asked = play(opened(), attempted(), lost(seats=0))
    assert dials(asked) == [FIRST, SECOND]
    assert any(isinstance(effect, RaiseAlarm) for effect in asked)


def test_a_failed_dial_is_shown_and_tried_again() -> None:
    case, asked = play(opened(), attempted(), failed())
    assert any(isinstance(effect, RaiseAlarm) for effect in asked)
    _, effects = step(case, fired(f"{role.TRY_AGAIN}/A"))
    assert dials(effects) == [SECOND]
    withdrawn, *_ = [e for e in effects if isinstance(e, CancelDial | CallSeat)]
    assert isinstance(withdrawn, CancelDial), "what was judged to have failed may live"
    assert withdrawn.dial == FIRST


def test_only_an_elder_who_is_there_begins_a_case() -> None:
    for event in (opened(), found(Owner.CONTROLLER)):
        assert begin(event).id == CASE
    for late in (
        failed(),
        attempted(),
        fired(f"{role.TRY_AGAIN}/A"),
        joined("s1"),
        left("s1"),
        gone(),
    ):
        with pytest.raises(NotFound):
            begin(late)


def test_when_nobody_comes_the_dialplan_is_let_act_too() -> None:
    case, asked = play(opened(), attempted(), fired(NOBODY_CAME))
    assert any(isinstance(effect, RaiseAlarm) for effect in asked)
    assert not is_ours(case)
    alarm = next(effect for effect in asked if isinstance(effect, RaiseAlarm))
    case, effects = step(case, joined("c1", party="contact"))
    assert not is_ours(case), "the dialplan would hand back, and its ringing of the seats end"
    assert EndAlarm(key=alarm.key) not in effects
    assert role_a(case).state is role.State.ASKED, "a contact is no seat"
    case, effects = step(case, handed_back())
    assert not is_ours(case)
    case, effects = step(case, joined("s1"))
    assert is_ours(case)
    assert EndAlarm(key=alarm.key) in effects


def watches(effects: Iterable[Effect]) -> list[int]:
    """The seconds of every clock that was started for an elder who is alone."""
    return [e.after_s for e in effects if isinstance(e, StartTimer) and e.name == NOBODY_CAME]


def test_a_controller_that_comes_and_goes_keeps_no_elder_alone() -> None:
    """The clock runs on through takeovers and returns; a new controller takes the rest of it."""
    case, asked = play(opened(), attempted(), took_over(), handed_back(), took_over(), opened())
    assert watches(asked) == [NOBODY_S]
    for second, rest in ((10, NOBODY_S - 10), (20, NOBODY_S - 20), (3600, 0)):
        at = NOW + timedelta(seconds=second)
        case, effects = step(case, replace(found(Owner.DIALPLAN), at=at))
        assert watches(effects) == [rest]
    earlier = replace(found(Owner.DIALPLAN), at=NOW - timedelta(hours=1))
    case, effects = step(case, earlier)
    assert watches(effects) == [NOBODY_S], "a clock that was put back lengthens nothing"
    case, effects = step(case, joined("c1", party="contact"))
    assert case.alone_since == earlier.at, "a contact is no seat"
    case, effects = step(case, joined("s1"))
    assert case.alone_since is None
    case, effects = step(case, left("s1"))
    assert watches(effects) == [NOBODY_S]


def test_both_roles_are_asked_for_at_once_and_the_first_to_come_is_a() -> None:
    case, asked = play(opened(), attempted(FIRST), attempted(FOR_B))
    assert (dials(asked), dials(asked, "B")) == ([FIRST], [FOR_B])
    case, effects = step(case, joined("s1", FIRST))
    assert role_a(case).leg == "s1"
    assert withdrawn(effects) == [], "B is asked for still"
    case, effects = step(case, joined("s2", FOR_B))
    assert role_b(case).leg == "s2"
    assert withdrawn(effects) == []


def test_the_first_to_come_is_a_whomever_it_was_asked_for() -> None:
    """A lone seat must not be B while nobody leads outwards; B is asked for anew (K28)."""
    case, _ = play(opened(), attempted(FIRST), attempted(FOR_B), answered(FOR_B))
    case, effects = step(case, joined("s1", FOR_B))
    assert (role_a(case).leg, role_b(case).leg) == ("s1", "")
    assert withdrawn(effects) == [FIRST]
    assert dials(effects, "B") == [AGAIN_B]


def test_a_case_of_a_careline_that_knew_one_role_gets_both() -> None:
    case, effects = step(replace(begin(opened()), roles=()), found(Owner.CONTROLLER, person("s1")))
    assert role_a(case).leg == "s1"
    assert dials(effects, "B") == [FOR_B]


def test_whom_the_dialplan_brought_has_the_first_role_that_nobody_has() -> None:
    case, asked = play(opened(), attempted(FIRST), attempted(FOR_B), took_over(), joined("s9"))
    assert (role_a(case).leg, role_b(case).leg) == ("s9", "")
    assert withdrawn(asked) == [FIRST]
    case, effects = step(case, joined("s8"))
    assert role_b(case).leg == "s8"
    assert withdrawn(effects) == [FOR_B]


@pytest.mark.parametrize("gone_leg", ["s1", "s2"])
def test_when_one_seat_leaves_the_other_carries_on_and_the_role_is_filled_again(
    gone_leg: str,
) -> None:
    case, _ = play(opened(), joined("s1", FIRST), joined("s2", FOR_B))
    case, effects = step(case, left(gone_leg))
    assert case.state is State.ACCOMPANIED
    kept, lost_one = (role_b, role_a) if gone_leg == "s1" else (role_a, role_b)
    assert kept(case).state is role.State.FILLED
    assert lost_one(case).state is role.State.ASKED
    assert [d for name in "AB" for d in dials(effects, name)] == [lost_one(case).dial]


def test_a_third_seat_in_the_room_takes_over_a_role_that_is_left() -> None:
    case, _ = play(opened(), joined("s1", FIRST), joined("s2", FOR_B), joined("s3"))
    case, effects = step(case, left("s1"))
    assert role_a(case).leg == "s3"
    assert dials(effects) == dials(effects, "B") == []


def test_that_a_role_has_nobody_is_shown_until_somebody_has_it() -> None:
    case, asked = play(opened(), joined("s1", FIRST))
    (watch,) = [e for e in asked if isinstance(e, StartTimer) and e.name == role_b(case).missing]
    assert watch.after_s == role.MISSING_S
    case, effects = step(case, fired(watch.name))
    alarm = next(effect for effect in effects if isinstance(effect, RaiseAlarm))
    assert (alarm.kind, alarm.text) == (role.MISSING, f"{CASE}: B")
    case, effects = step(case, failed(FOR_B))
    case, effects = step(case, fired(role_b(case).again))
    assert not [e for e in effects if isinstance(e, StartTimer)], "the time is not begun again"
    case, effects = step(case, joined("s2", AGAIN_B))
    assert EndAlarm(key=alarm.key) in effects


def test_a_dial_of_each_role_that_lives_is_adopted() -> None:
    case, asked = play(found(Owner.CONTROLLER, dials=(FOR_B, SECOND)))
    assert (role_a(case).dial, role_b(case).dial) == (SECOND, FOR_B)
    assert dials(asked) == dials(asked, "B") == []


def test_the_elders_end_ends_the_ringing() -> None:
    case, asked = play(opened(), attempted(), gone())
    assert withdrawn(asked) == [FIRST, FOR_B]
    assert replace(case, state=State.CLOSED) == case
    assert not is_ours(case)
    assert not has_elder(case)


def test_nobody_is_rung_for_an_elder_who_has_hung_up() -> None:
    """The room empties before the elder's channel is seen to end."""
    together = (opened(), attempted(), joined("s1", FIRST))
    _, asked = play(*together, elder_left(), left("s1"), gone())
    assert dials(asked) == [FIRST]
    _, asked = play(*together, elder_left(), left("s1"), opened())
    assert dials(asked) == [FIRST, SECOND], "put out by mistake, the elder is back"


def test_a_silent_line_is_shown_until_it_is_heard_or_has_ended_and_changes_nothing_else() -> None:
    case, _ = play(opened(), attempted(), joined("s1", FIRST))
    silent = ElderSilent(case_id=CASE, at=NOW, since=NOW - timedelta(seconds=12))
    shown, effects = step(case, silent)
    alarm = RaiseAlarm(
        key=f"no sound/{CASE}", kind="no sound",
        text=f"{CASE}: no sound from the elder since 00:59:48",
    )  # fmt: skip
    assert alarm in effects
    assert replace(shown, silent_since=None) == case
    heard, effects = step(shown, ElderHeard(case_id=CASE, at=NOW))
    assert EndAlarm(key=alarm.key) in effects
    assert heard == case
    _, effects = step(shown, left("s1"))
    assert dials(effects) == [SECOND], "the line may come back, and somebody must hear it"
    closed, effects = step(shown, gone())
    assert EndAlarm(key=alarm.key) in effects
    assert step(closed, silent)[1] == ()


CAME: Final = (opened(), attempted(), joined("s1", FIRST))
UNSEEN: Final = ElderGone(case_id=CASE, at=NOW, uncertain=True)


@pytest.mark.parametrize(
    "story",
    [
        (opened(), gone()),
        (opened(), attempted(), joined("c1", party="contact"), gone()),
        (opened(), attempted(), fired(NOBODY_CAME), gone()),
        (*CAME, UNSEEN),
    ],
    ids=["alone", "contact", "long-alone", "broken-off"],
)
def test_an_elder_who_was_not_reached_is_shown_until_the_calls_record_says_so(
    story: tuple[Event, ...],
) -> None:
    case, asked = play(*story)
    alarm = RaiseAlarm(key=f"unreached/{CASE}", kind="call back", text=CASE)
    assert alarm in asked
    assert EndAlarm(key=alarm.key) not in asked
    assert not is_over(case)
    assert step(case, gone()) == (case, ())
    over, effects = step(case, CallKept(case_id=CASE, at=NOW))
    assert effects == (EndAlarm(key=alarm.key),)
    assert is_over(put_away(over))


def put_away(case: Emergency) -> Emergency:
    """The case after a person has written its record, closed it and asked after the elder."""
    assert not is_over(case)
    by: dict[str, Any] = {"case_id": CASE, "at": NOW, "by": "测试"}
    for wish in (
        WriteRecord(**by, text="…"),
        CloseCase(**by, outcome=CaseOutcome.TEST, changes="…"),
        FollowUp(**by, text="…"),
    ):
        case, _ = step(case, wish)
    return case


@pytest.mark.parametrize("story", [(*CAME, gone()), (*CAME, left("s1"), gone())])
def test_an_elder_who_was_helped_needs_no_further_word(story: tuple[Event, ...]) -> None:
    case, asked = play(*story)
    assert is_over(put_away(case))
    assert not [e for e in asked if isinstance(e, RaiseAlarm)]


def test_a_call_whose_end_is_kept_early_changes_nothing_while_the_elder_is_there() -> None:
    for story in ((opened(), attempted()), CAME):
        case, _ = play(*story)
        same, effects = step(case, CallKept(case_id=CASE, at=NOW))
        assert same == case
        assert not dials(effects)
