"""The elder's line is gone: the elder is called back, again and again, until somebody knows how
they are (NRS-02, NRS-06, NRS-07).

A small table that the case composes. Whether the elder hung up, the handset fell, or a carrier lost
the line, nobody here can tell: so it is always the same, and only a person's word ends it. Each
call is a leg of the case; who answers is in the room again, and the case goes on as it was.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from enum import Enum
from typing import Final

from workflows import leg
from workflows.card import Party, PartyKind
from workflows.commands import ConfirmSafe, DropLeg, StopCallingBack
from workflows.effects import (
    CallElder,
    Effect,
    EndAlarm,
    HangUpPerson,
    LetGo,
    RaiseAlarm,
    StartTimer,
    StopTimer,
)
from workflows.emergency_facts import CallBack, CallBackState, Emergency, State, card_of, with_leg
from workflows.errors import NotAllowed
from workflows.events import ElderGone, EmergencyTimerFired, Event, LegOver, LegResult
from workflows.leg import Leg
from workflows.machine import Outcome, Rule, Table, nothing, rule_for

DUE: Final = "call back"
AWAY: Final = "elder away"
PAUSE_S: Final = 5
"""From the end of one call to the beginning of the next: a line that is busy is not stormed."""
LONGEST_PAUSE_S: Final = 60
"""After calls that did not even ring: a number that does not exist is not called all day."""
AT_ONCE_S: Final = 1
"""When the line is known to have died, and not to have been hung up."""
SHORTEST: Final = 7
"""Digits of a number that can be somebody's own telephone."""
MOST_KEPT: Final = 50
"""So many calls that nobody took up are kept in the case; the journal has them all."""
MAX_REASON: Final = 400
"""Characters."""


Done = Outcome[Emergency]


class Trigger(Enum):
    LOST = "the elder's line is gone"
    DUE = "due"
    NO_NUMBER = "due, and there is no number any more"
    ENDED = "nobody took it up"
    BACK = "the elder is back"
    GIVEN_UP = "somebody knows how the elder is"
    NOTHING_NEW = "nothing new"


# ── what it depends on ────────────────────────────────────────────────────────────────────────


def numbers_of(case: Emergency) -> tuple[str, ...]:
    """Where the elder may be reached: by the number that called, then by the one on the card."""
    card = card_of(case)
    found = dict.fromkeys((case.caller, card.call_back if card else ""))
    return tuple(one for one in found if sum(c.isdigit() for c in one) >= SHORTEST)


def is_settled(case: Emergency) -> bool:
    """Somebody knows how the elder is: they said so, helpers are with them, a record was written
    since the line was lost, or a person answers for ending it."""
    said = case.call_back
    has_arrived = any(one.arrived_at for one in case.legs)
    record = case.closing.record
    is_written = record and said.since and record.at >= said.since
    is_known = said.safe_at or said.stopped_at or said.other
    return bool(is_known or has_arrived or is_written)


def who(case: Emergency) -> str:
    """By what one tells that two cases are about one elder; empty when nobody can tell.

    Several elders may have one number: an old people's home does.
    """
    card = card_of(case)
    if case.chosen or len(case.cards) == 1:
        return card.uid if card and card.uid else case.caller
    return "" if case.cards else case.caller


def goes_on_in(case: Emergency, other: Emergency) -> bool:
    """Whether the elder whom `case` calls back is on the line in `other`."""
    if case.state is not State.AWAY or case.id == other.id or not who(case) == who(other) != "":
        return False
    if other.state is State.AWAY:
        # Both are called back: it is one elder, and the newer case has the newer line.
        return (case.opened_at, case.id) < (other.opened_at, other.id)
    return other.state in (State.ALONE, State.ACCOMPANIED)


def is_lost(case: Emergency, event: ElderGone) -> bool:
    """Whether the elder is to be called back, now that this line is gone."""
    return event.back_in_s is not None and bool(numbers_of(case)) and not is_settled(case)


def current(case: Emergency) -> Leg | None:
    """The call to the elder that is under way, or the elder's line if a call of ours brought it."""
    of_elder = (one for one in reversed(case.legs) if one.kind is PartyKind.ELDER)
    return next((one for one in of_elder if leg.is_open(one)), None)


def is_lost_call(case: Emergency, living: Collection[str]) -> str:
    """The call to the elder that should be under way and does not live; empty when all is well."""
    calls = current(case)
    is_sent = calls is not None and calls.sent_at is not None
    return calls.id if calls and is_sent and calls.id not in living else ""


def letting_go(case_id: str) -> LetGo:
    return LetGo(id=f"{case_id}/let-go", case_id=case_id)


def is_given_up(case: Emergency) -> bool:
    """It is settled; but an elder who answers in this very moment is talked to."""
    calls = current(case)
    return is_settled(case) and (calls is None or calls.answered_at is None)


# ── what to note, and what to ask for ─────────────────────────────────────────────────────────


def confirm(case: Emergency, wish: ConfirmSafe) -> CallBack:
    if not wish.is_so:
        return replace(case.call_back, safe_at=None, safe_by="")
    return replace(case.call_back, safe_at=wish.at, safe_by=wish.by)


def stop(case: Emergency, wish: StopCallingBack) -> CallBack:
    reason = wish.reason.strip()
    if not reason:
        raise NotAllowed("nobody stops calling an elder without a reason; write it down")
    if len(reason) > MAX_REASON:
        raise NotAllowed(f"the reason has {len(reason)} characters; {MAX_REASON} is the most")
    said = case.call_back
    return replace(said, stopped_at=wish.at, stopped_by=wish.by, reason=reason)


def alarm_of(case: Emergency) -> str:
    return f"{AWAY}/{case.id}"


def lose(case: Emergency, event: Event) -> Done:
    """Every screen says it, and the first call is due in a moment."""
    assert isinstance(event, ElderGone)
    after_s = AT_ONCE_S if event.uncertain else event.back_in_s or AT_ONCE_S
    alarm = RaiseAlarm(key=alarm_of(case), kind=AWAY, text=case.id)
    effects: list[Effect] = [alarm, StartTimer(name=DUE, after_s=after_s)]
    if (brought := current(case)) is not None:
        # The line that is gone was one of our own calls, of whose end nobody has told.
        over = LegOver(case_id=case.id, at=event.at, effect=brought.id, result=LegResult.UNSEEN)
        ended, asked = leg.take(brought, over)
        case = with_leg(case, ended)
        effects += asked
    said = replace(case.call_back, since=event.at)
    return replace(case, call_back=said), tuple(effects)


def call(case: Emergency, event: Event) -> Done:
    """Each call tries the next of the elder's numbers; after the last, the next carrier."""
    numbers = numbers_of(case)
    calls = case.call_back.calls
    number = numbers[calls % len(numbers)]
    name = card.name if (card := card_of(case)) else ""
    party = Party(key="elder", kind=PartyKind.ELDER, name=name, numbers=numbers)
    leg_id = leg.next_id(case.id, case.legs)
    begun = leg.begin(leg_id, party, number, "", event.at)
    kept = kept_legs(case.legs)
    said = replace(case.call_back, calls=calls + 1)
    case = replace(case, legs=(*kept, begun), call_back=said)
    return case, (request(case, begun),)


def kept_legs(legs: tuple[Leg, ...]) -> tuple[Leg, ...]:
    """Of the calls that no elder took up, the newest alone: a night has a thousand."""
    vain = [
        one.id
        for one in legs
        if one.kind is PartyKind.ELDER and not leg.is_open(one) and one.answered_at is None
    ]
    old = set(vain[: max(0, len(vain) - MOST_KEPT + 1)])
    return tuple(one for one in legs if one.id not in old)


def request(case: Emergency, one: Leg) -> CallElder:
    # Each number is tried by each carrier.
    attempt = (case.call_back.calls - 1) // max(1, len(numbers_of(case)))
    return CallElder(id=one.id, case_id=case.id, number=one.number, attempt=attempt)


def call_again(case: Emergency, event: Event) -> Done:
    failed = 0
    for one in reversed([one for one in case.legs if one.kind is PartyKind.ELDER]):
        if one.result is not LegResult.FAILED:
            break
        failed += 1
    after_s = min(max(1, failed) * PAUSE_S, LONGEST_PAUSE_S)
    return case, (StartTimer(name=DUE, after_s=after_s),)


def end(case: Emergency, event: Event) -> Done:
    said = replace(case.call_back, since=None)
    if case.state is not State.CLOSED:
        # The elder was quicker than whoever ended the calling.
        said = replace(said, stopped_at=None, stopped_by="", reason="", other="")
    return replace(case, call_back=said), (StopTimer(name=DUE), EndAlarm(key=alarm_of(case)))


def give_up(case: Emergency, event: Event) -> Done:
    """Whoever is alone in the rooms still is not kept there; a telephone that rings stops."""
    rings = current(case)
    effects: list[Effect] = []
    if rings is not None:
        drop = DropLeg(case_id=case.id, at=event.at, by="", leg=rings.id)
        moved, hangs_up = leg.take(replace(rings, channel=case.id), drop)
        case = with_leg(case, moved)
        effects += hangs_up
    if case.call_back.other:
        effects += [HangUpPerson(id=f"{leg}/hang-up", channel=leg) for leg in waiting_seats(case)]
    case, ends = end(case, event)
    return case, (*effects, *ends, letting_go(case.id))


def waiting_seats(case: Emergency) -> tuple[str, ...]:
    """The channels of the seats who talk to nobody from outside: the elder needs them elsewhere."""
    helped = {one.room for one in case.people if one.party != "seat"}
    return tuple(
        one.leg for one in case.people if one.party == "seat" and one.room not in helped
    )  # fmt: skip


def let_go(case: Emergency, event: Event) -> Done:
    """It was settled before the elder hung up."""
    holds = isinstance(event, ElderGone) and event.back_in_s is not None
    return case, (letting_go(case.id),) if holds else ()


# fmt: off
TABLE: Final[Table[CallBackState, Trigger, Emergency]] = {
    CallBackState.NONE: dict.fromkeys(Trigger, Rule(CallBackState.NONE, nothing)) | {
        Trigger.LOST:     Rule(CallBackState.DUE, lose),
        Trigger.GIVEN_UP: Rule(CallBackState.OVER, let_go),
    },
    CallBackState.DUE: dict.fromkeys(Trigger, Rule(CallBackState.DUE, nothing)) | {
        Trigger.DUE:      Rule(CallBackState.CALLING, call),
        Trigger.NO_NUMBER: Rule(CallBackState.DUE, call_again),
        Trigger.BACK:     Rule(CallBackState.NONE, end),
        Trigger.GIVEN_UP: Rule(CallBackState.OVER, give_up),
    },
    CallBackState.CALLING: dict.fromkeys(Trigger, Rule(CallBackState.CALLING, nothing)) | {
        Trigger.ENDED:    Rule(CallBackState.DUE, call_again),
        Trigger.BACK:     Rule(CallBackState.NONE, end),
        Trigger.GIVEN_UP: Rule(CallBackState.OVER, give_up),
    },
    CallBackState.OVER: dict.fromkeys(Trigger, Rule(CallBackState.OVER, nothing)),
}
# fmt: on


def classify(case: Emergency, event: Event, is_away: bool, is_closed: bool) -> Trigger:
    """Say what the event means for the calling back, after the case has taken note of it."""
    state = case.call_back.state
    if is_closed:
        return Trigger.GIVEN_UP
    if is_away and state is CallBackState.NONE:
        return Trigger.LOST
    if not is_away:
        return Trigger.BACK
    if isinstance(event, EmergencyTimerFired) and event.name == DUE:
        return Trigger.DUE if numbers_of(case) else Trigger.NO_NUMBER
    if state is CallBackState.CALLING and current(case) is None:
        return Trigger.ENDED
    return Trigger.NOTHING_NEW


def step(case: Emergency, event: Event, *, is_away: bool, is_closed: bool) -> Done:
    """The case after the event, and the effects that the calling back asks for."""
    trigger = classify(case, event, is_away, is_closed)
    rule = rule_for(TABLE, case.call_back.state, trigger, event)
    after, effects = rule.action(case, event)
    return replace(after, call_back=replace(after.call_back, state=rule.to)), effects
