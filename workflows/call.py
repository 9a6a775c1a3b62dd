"""The call: from the first ring to the hang-up, its recording, and the orders tied to it.

Rows ACD-05, ACD-17, REC-01, REC-04. What is known of a call stands in `call_facts`; here it is
decided what each fact means and what it asks for.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import Final, TypeAlias

from workflows import recording
from workflows.call_facts import Call, Direction, Result, State, WrapUp, record
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
from workflows.events import (
    BecameEmergency,
    CallArrived,
    CallClass,
    CallEnded,
    CallerNamed,
    CallImported,
    CallPlaced,
    CallQueued,
    CallTimerFired,
    CallVanished,
    Channel,
    DialEnded,
    DialResult,
    Entry,
    Event,
    KeyPressed,
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
from workflows.machine import Outcome, Process, Rule, Table, nothing, rule_for

RECORDING_DUE: Final = "recording due"
RECORDING_DUE_S: Final = 300
CUT_SHORT_S: Final = 5.0
"""A recording that is so much shorter than the talk was ended before it."""
NO_LINE_FREE: Final = 34
"""The Q.850 cause of a call that came when every line was taken."""
AS_WISHED: Final = (0, 16, 26, 31)
"""Causes of a leg that somebody ended, or of which nobody saw why; all others are a breakdown."""


class Trigger(Enum):
    CAME = "came"
    CHOSE = "chose"
    QUEUED = "queued"
    RANG = "rang"
    STILL_RINGING = "still ringing"
    NOBODY_RINGS = "nobody rings"
    ANSWERED = "answered"
    LEFT_ALONE = "left alone"
    DIAL_OVER = "dial over"
    LEG_GONE = "leg gone"
    OVER = "over"
    RECORDING_KEPT = "recording kept"
    RECORDING_TROUBLE = "recording trouble"
    NOTHING_NEW = "nothing new"
    ORDER_LINKED = "order linked"
    LINKED_LATE = "an order linked that was wished for before the caller was named"
    CALLER_NAMED = "who calls"
    OPEN_ORDER = "open an order"
    CHOOSE_ORDER = "choose an order"
    WRAP_UP = "wrap up"
    OVERTAKEN = "a wrap-up over one that its writer had not seen"


WISHES: Final = (Trigger.WRAP_UP, Trigger.OVERTAKEN)
"""What a person asks for and can be refused; all else has a row in every state."""


CallOutcome: TypeAlias = Outcome[Call]


# ── what a fact means ─────────────────────────────────────────────────────────────────────────


def classify(call: Call, event: Event) -> Trigger:
    """Say what the event means for this call. Every condition lives here."""
    match event:
        case CallArrived() | LegEnded() if call.state is State.TALKING and is_alone(call):
            return Trigger.LEFT_ALONE
        case CallArrived(entry=Entry.EMERGENCY):
            return Trigger.QUEUED
        case BecameEmergency():
            return Trigger.QUEUED
        case CallArrived() | CallPlaced():
            return Trigger.CAME
        case KeyPressed():
            return Trigger.CHOSE
        case CallQueued():
            return Trigger.QUEUED
        case SeatRang(leg=leg) | PartyRang(leg=leg):
            # Of a leg whose end or answer is known already this is old news.
            return Trigger.RANG if leg in call.ringing else Trigger.NOTHING_NEW
        case SeatLost():
            return Trigger.LEFT_ALONE
        case SeatMissed() | LegEnded():
            # A placed call ends its ringing by DialEnded, which knows why.
            if call.state is not State.RINGING or call.direction is Direction.OUTBOUND:
                return Trigger.LEG_GONE
            return Trigger.STILL_RINGING if call.ringing else Trigger.NOBODY_RINGS
        case SeatAnswered() if is_alone(call) and call.state is not State.ENDED:
            # It has left the room already.
            return Trigger.LEFT_ALONE
        case SeatAnswered() | PartyAnswered():
            return Trigger.ANSWERED
        case DialEnded():
            return Trigger.DIAL_OVER
        case CallEnded() | CallVanished():
            return Trigger.OVER
        case RecordingMade():
            return Trigger.RECORDING_KEPT
        case RecordingFailed():
            # Nobody spoke on a call that no seat answered: an empty file there is no loss. But who
            # is alone in an emergency may have said where it hurts.
            may_tell = call.answered_at or call.entry is Entry.EMERGENCY
            is_loss = may_tell and call.recording is not recording.State.KEPT
            return Trigger.RECORDING_TROUBLE if is_loss else Trigger.NOTHING_NEW
        case CallTimerFired(name=name) if name == RECORDING_DUE:
            owed = call.recording in (recording.State.OWED, recording.State.WRITING)
            return Trigger.RECORDING_TROUBLE if owed else Trigger.NOTHING_NEW
        case OrderLinked():
            is_late = call.named_at is not None and event.at <= call.named_at
            return Trigger.LINKED_LATE if is_late else Trigger.ORDER_LINKED
        case NameCaller() | TakeBackCaller():
            return Trigger.CALLER_NAMED
        case OpenOrder():
            return Trigger.OPEN_ORDER
        case ChooseOrder():
            return Trigger.CHOOSE_ORDER
        case WrapUpCall():
            return classify_wrap_up(call, event)
        case _:
            return Trigger.NOTHING_NEW


def classify_wrap_up(call: Call, wish: WrapUpCall) -> Trigger:
    """Two people may wrap up one call; who has not seen the other's words is not to undo them.

    The same form may come again: with the same words it says nothing new, with others it is a
    change by whoever wrote it.
    """
    said = call.wrap_up
    if said and said.id == wish.wrap_up_id:
        is_same = (said.call_class, said.note) == (wish.call_class, wish.note)
        return Trigger.NOTHING_NEW if is_same else Trigger.WRAP_UP
    seen_by_all = call.wrap_up.at if call.wrap_up else None
    return Trigger.WRAP_UP if wish.replaces == seen_by_all else Trigger.OVERTAKEN


def is_alone(call: Call) -> bool:
    """Whether nobody is with an elder in an emergency, who stays in the room all the same."""
    others = [leg for leg in call.legs if leg.id != call.id]
    return call.entry is Entry.EMERGENCY and not any(
        leg.answered_at and not leg.ended_at for leg in others
    )


# ── what to ask for ───────────────────────────────────────────────────────────────────────────


def end(call: Call, event: Event) -> CallOutcome:
    """Say how the call came out, have its recording made, and leave no answered call orderless."""
    owed = recording.TABLE[call.recording][recording.Trigger.CALL_OVER].to
    ended = replace(call, result=result_of(call), recording=owed)
    return ended, (
        MakeRecording(serial=call.id, began_at=call.entered_at),
        StartTimer(name=RECORDING_DUE, after_s=RECORDING_DUE_S),
        *order_owed(ended, event),
        *answer_owed(ended, event),
        *call_back_owed(ended, event),
    )


def reconsider(call: Call, event: Event) -> CallOutcome:
    """Say anew how the call came out: of an answer, or of the dial's end, it is heard only now."""
    return replace(call, result=result_of(call)), order_owed(call, event)


def order_owed(call: Call, event: Event) -> tuple[Effect, ...]:
    """An answered call without an order asks for one; asking twice makes one all the same."""
    if not call.answered_at or call.orders or call.is_order_wished:
        return ()
    return (Tell(event=request_of(call, event, order_id=owed_order(call.id))),)


def answer_owed(call: Call, event: Event) -> tuple[Effect, ...]:
    """A question that was wrapped up during the talk: its order is closed with the note."""
    said = call.wrap_up
    if said is None or said.call_class is not CallClass.CONSULTATION or not said.note:
        return ()
    if not order_owed(call, event):
        return ()
    order = owed_order(call.id)
    return (Tell(event=CloseAnswered(case_id=order, at=event.at, by=said.by, answer=said.note)),)


def owed_order(call_id: str) -> str:
    """The id of the order that an answered call gets when nobody opens one."""
    return f"{call_id}/order"


def call_back_owed(call: Call, event: Event) -> tuple[Effect, ...]:
    """Who called and reached nobody is called back, and at once who did so in an emergency.

    Of an emergency without a number there is an order all the same: a person must look at it.
    """
    if call.direction is not Direction.INBOUND:
        return ()
    is_urgent = call.entry is Entry.EMERGENCY
    if is_urgent:
        is_owed = was_not_helped(call)
    else:
        is_missed = call.result in (Result.ABANDONED, Result.FAILED) or was_cut_off(call)
        is_owed = is_missed and bool(call.caller)
    if not is_owed:
        return ()
    need = RequestAccepted(
        case_id=f"{call.id}/call-back", at=event.at, channel=Channel.HOTLINE, call_id=call.id,
        elder_id=the_elder(call), content="", call_back_no=call.caller, is_urgent=is_urgent,
    )  # fmt: skip
    return (Tell(event=need),)


def was_not_helped(call: Call) -> bool:
    """Whether an emergency ended before a seat was there, or broke off: whatever was said until
    then, nobody knows whether help is on its way. An elder who hangs up after the seat did is none
    of these.
    """
    if not call.answered_at or call.ended_uncertain:
        return True
    seats = [leg for leg in call.legs if leg.party == "seat" and leg.answered_at and leg.ended_at]
    last = max(seats, key=lambda leg: leg.ended_at or leg.started_at, default=None)
    return was_cut_off(call) and last is not None and last.cause not in AS_WISHED


def was_cut_off(call: Call) -> bool:
    """Whether the caller was talking, lost the seat's telephone, and gave up waiting for another.

    To be asked before the call's state is that it has ended.
    """
    return call.answered_at is not None and call.state in (State.WAITING, State.RINGING)


def result_of(call: Call) -> Result:
    # Of a call between two seats only the dial tells that it was answered.
    if call.answered_at or call.dial is DialResult.ANSWERED:
        return Result.ANSWERED
    if call.dial in (DialResult.BUSY, DialResult.NO_ANSWER, DialResult.FAILED):
        return Result(call.dial.value)
    if call.cause == NO_LINE_FREE:
        return Result.FAILED
    return Result.ABANDONED


def request_of(call: Call, event: Event, order_id: str) -> RequestAccepted:
    """The need that this call brings; its content is still to be judged unless a seat gave it."""
    wish = event if isinstance(event, OpenOrder) else None
    return RequestAccepted(
        case_id=order_id,
        at=event.at,
        channel=Channel.HOTLINE,
        call_id=call.id,
        elder_id=the_elder(call) or (wish.elder_id if wish else None),
        content=wish.content if wish else "",
        requirement=wish.requirement if wish else "",
        accepted_by=wish.by if wish else call.seat,
    )


def the_elder(call: Call) -> int | None:
    """The elder whose number it is; with two on one number a person must say which one."""
    return call.elders[0].id if len(call.elders) == 1 else None


def open_order(call: Call, event: Event) -> CallOutcome:
    assert isinstance(event, OpenOrder)
    # It is linked a moment later; a call that ends in between needs no second one.
    call = replace(call, is_order_wished=True)
    return call, (Tell(event=request_of(call, event, order_id=event.order_id)),)


def caller_named(call: Call, event: Event) -> CallOutcome:
    """Tell the call's orders: those that it has made are of whoever calls."""
    return call, tuple(who_called(call, one.order_id, event) for one in call.orders)


def linked_late(call: Call, event: Event) -> CallOutcome:
    """The order was asked for before somebody said who calls, and has not heard of it."""
    assert isinstance(event, OrderLinked)
    return call, (who_called(call, event.order_id, event),)


def who_called(call: Call, order_id: str, event: Event) -> Tell:
    who = call.elders[0] if len(call.elders) == 1 else None
    return Tell(
        event=CallerNamed(
            case_id=order_id, at=event.at, call_id=call.id, elder=who, by=call.named_by
        )
    )


def wrap_up(call: Call, event: Event) -> CallOutcome:
    assert isinstance(event, WrapUpCall)
    said = WrapUp(
        id=event.wrap_up_id, call_class=event.call_class, note=event.note,
        by=event.by, at=event.at,
    )  # fmt: skip
    return replace(call, wrap_up=said), ()


def recording_kept(call: Call, event: Event) -> CallOutcome:
    """What can be heard of a call is not always all of it: a full disk ends a recording early."""
    assert isinstance(event, RecordingMade)
    key = f"recording/{call.id}"
    if event.seconds + CUT_SHORT_S < talked_s(call):
        text = f"{call.id}: ends before the call does"
        return call, (
            StopTimer(name=RECORDING_DUE),
            RaiseAlarm(key=key, kind="recording", text=text),
        )
    return call, (StopTimer(name=RECORDING_DUE), EndAlarm(key=key))


def talked_s(call: Call) -> float:
    """How long the talk lasted, in seconds, when both of its ends were seen; else 0."""
    if not call.answered_at or not call.ended_at or call.ended_uncertain:
        return 0.0
    return (call.ended_at - call.answered_at).total_seconds()


def recording_trouble(call: Call, event: Event) -> CallOutcome:
    """A talked call without its recording is never silent (REC-01)."""
    reason = event.reason if isinstance(event, RecordingFailed) else "not made in time"
    key = f"recording/{call.id}"
    return call, (RaiseAlarm(key=key, kind="recording", text=f"{call.id}: {reason}"),)


# fmt: off
BEFORE_THE_END: Final = {
    Trigger.CAME:              Rule(State.ENTERED),
    Trigger.CHOSE:             Rule(State.ENTERED),
    Trigger.QUEUED:            Rule(State.WAITING),
    Trigger.RANG:              Rule(State.RINGING),
    # A late end of a leg whose beginning was never seen.
    Trigger.STILL_RINGING:     Rule(State.RINGING),
    Trigger.NOBODY_RINGS:      Rule(State.WAITING),
    Trigger.ANSWERED:          Rule(State.TALKING),
    # Only a talk can be lost; a leg that ends before it is one that rang.
    Trigger.LEFT_ALONE:        Rule(State.WAITING),
    Trigger.DIAL_OVER:         Rule(State.ENTERED),
    Trigger.LEG_GONE:          Rule(State.ENTERED),
    Trigger.OVER:              Rule(State.ENDED, end),
    # The file can be ready before the end is seen here: a controller that was away.
    Trigger.RECORDING_KEPT:    Rule(State.ENTERED, recording_kept),
    Trigger.RECORDING_TROUBLE: Rule(State.ENTERED, recording_trouble),
    Trigger.NOTHING_NEW:       Rule(State.ENTERED),
    Trigger.ORDER_LINKED:      Rule(State.ENTERED),
    Trigger.LINKED_LATE:       Rule(State.ENTERED, linked_late),
    Trigger.CALLER_NAMED:      Rule(State.ENTERED, caller_named),
    Trigger.OPEN_ORDER:        Rule(State.ENTERED, open_order),
    Trigger.CHOOSE_ORDER:      Rule(State.ENTERED),
}


def staying(state: State, *triggers: Trigger) -> dict[Trigger, Rule[State, Call]]:
    """The common rows, with these triggers leaving the call in this state."""
    return {
        trigger: replace(rule, to=state) if trigger in triggers else rule
        for trigger, rule in BEFORE_THE_END.items()
    }


KEEPING: Final = (
    Trigger.CAME, Trigger.CHOSE, Trigger.LEG_GONE, Trigger.NOTHING_NEW, Trigger.ORDER_LINKED,
    Trigger.LINKED_LATE, Trigger.CALLER_NAMED, Trigger.OPEN_ORDER, Trigger.CHOOSE_ORDER,
    Trigger.RECORDING_KEPT, Trigger.RECORDING_TROUBLE,
)

TABLE: Final[Table[State, Trigger, Call]] = {
    State.ENTERED: BEFORE_THE_END,
    State.WAITING: staying(State.WAITING, *KEEPING, Trigger.DIAL_OVER),
    State.RINGING: staying(State.RINGING, *KEEPING, Trigger.QUEUED),
    # In a talk, news about other ringing phones changes nothing.
    State.TALKING: staying(
        State.TALKING, *KEEPING, Trigger.QUEUED, Trigger.RANG, Trigger.STILL_RINGING,
        Trigger.NOBODY_RINGS, Trigger.DIAL_OVER,
    ) | {Trigger.WRAP_UP: Rule(State.TALKING, wrap_up)},
    # Asterisk reports legs, dials and timers after the call's end; the end is said only once.
    State.ENDED: {
        **{t: Rule(State.ENDED, nothing) for t in Trigger if t not in WISHES},
        Trigger.ANSWERED:          Rule(State.ENDED, reconsider),
        Trigger.DIAL_OVER:         Rule(State.ENDED, reconsider),
        Trigger.RECORDING_KEPT:    Rule(State.ENDED, recording_kept),
        Trigger.RECORDING_TROUBLE: Rule(State.ENDED, recording_trouble),
        Trigger.LINKED_LATE:       Rule(State.ENDED, linked_late),
        Trigger.CALLER_NAMED:      Rule(State.ENDED, caller_named),
        Trigger.OPEN_ORDER:        Rule(State.ENDED, open_order),
        Trigger.WRAP_UP:           Rule(State.ENDED, wrap_up),
    },
}
# fmt: on


def begin(event: Event) -> Call:
    """The call in which a first event finds itself, whatever that event is."""
    return Call(id=event.case_id, entered_at=event.at)


def step(call: Call, event: Event) -> CallOutcome:
    """The call after the event, and the effects it asks for."""
    noted = record(call, event)
    rule = rule_for(TABLE, noted.state, classify(noted, event), event)
    after, effects = rule.action(noted, event)
    return replace(after, state=rule.to), effects


def is_over(call: Call) -> bool:
    """Nothing more is expected: ended, and its recording kept or known to be missing."""
    return call.state is State.ENDED and call.recording in (
        recording.State.KEPT,
        recording.State.MISSING,
    )


PROCESS: Final = Process(
    name="call",
    case_type=Call,
    handles=(
        CallArrived,
        CallPlaced,
        BecameEmergency,
        KeyPressed,
        CallQueued,
        SeatRang,
        SeatMissed,
        SeatAnswered,
        SeatLost,
        PartyRang,
        PartyAnswered,
        DialEnded,
        LegEnded,
        CallEnded,
        CallVanished,
        CallImported,
        RecordingMade,
        RecordingFailed,
        CallTimerFired,
        OrderLinked,
        OpenOrder,
        ChooseOrder,
        WrapUpCall,
        NameCaller,
        TakeBackCaller,
    ),
    begin=begin,
    step=step,
    is_over=is_over,
    on_timer=CallTimerFired,
)
