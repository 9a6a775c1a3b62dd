"""The emergency: an elder in a room, and who is with them.

The case begins when the elder is in the room, and its id is the call's. Composed of small tables:
its life (alone, accompanied, away, closed), the roles A and B (`workflows/role.py`), and the
calling back of an elder whose line is gone (`workflows/call_back.py`). An elder is alone for as
long as no seat is with them: a contact in the room is welcome, and helps, but is nobody of the
centre. While the elder is there each role has a seat, or one is asked, or there is an alarm, or the
dialplan acts alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from typing import Final, TypeAlias

from workflows import call_back, closing, leg, message, messages, rescue_work, role
from workflows.commands import (
    CallAgain,
    CallParties,
    ChooseCard,
    ChoosePlan,
    CloseCase,
    ConfirmSafe,
    DropLeg,
    FollowUp,
    MarkLeg,
    MovePerson,
    Mute,
    SendCard,
    StopCallingBack,
    TalkPrivately,
    TickStep,
    WriteNote,
    WriteRecord,
)
from workflows.effects import (
    CallElder,
    CallParty,
    CallSeat,
    Effect,
    EndAlarm,
    RaiseAlarm,
    StartTimer,
    StopTimer,
)
from workflows.emergency_facts import (
    HAND_BACK_DUE,
    NO_RESPONSE,
    Emergency,
    State,
    record,
    seated,
    with_elder,
)
from workflows.errors import NotAllowed, NotFound
from workflows.events import (
    CallKept,
    CardsRead,
    CaseFound,
    CaseOverdue,
    DialAnswered,
    DialAttempted,
    DialFailed,
    DialLost,
    ElderCalledAgain,
    ElderGone,
    ElderHeard,
    ElderLeft,
    ElderSilent,
    ElderSpoke,
    EmergencyTimerFired,
    Event,
    HandedBack,
    LegAnswered,
    LegOver,
    LegRang,
    LegRecorded,
    Owner,
    PersonJoined,
    PersonLeft,
    PrivateTalkOver,
    RoomOpened,
    TookOver,
)
from workflows.machine import Outcome, Process, Rule, Table, nothing, rule_for
from workflows.order import CALL_BACK
from workflows.role import Role

ROLES: Final = ("A", "B")
NOBODY_CAME: Final = "nobody came"
NOBODY_S: Final = 28
"""After so long without a seat the dialplan is let act too. It needs two seconds to see that, and
then rings every free phone and the elder's contacts (K: contacts after 30 s).
"""
NO_SPEECH: Final = "no speech"
NO_SPEECH_S: Final = 8
"""After so long without a word to the seat who is there, an elder is taken for one who cannot
answer (NRS-01)."""
UNREACHED: Final = "unreached"
HAND_BACK_S: Final = 3
"""The dialplan hands back within a quarter of a second of our sign of life."""


class Trigger(Enum):
    LOOKED = "looked at anew"
    SEAT = "a seat is there"
    NO_SPEECH = "a seat is there, and has heard nothing said"
    NO_SEAT = "no seat is there"
    NOBODY_CAME = "nobody came"
    ELDER_LOST = "elder gone, and to be called back"
    ELDER_GONE = "elder gone"
    GIVEN_UP = "somebody knows how the elder is"
    STILL_AWAY = "the elder is away still"
    CALL_KEPT = "the call's own record has its end"


CaseOutcome: TypeAlias = Outcome[Emergency]


# ── what a fact means ─────────────────────────────────────────────────────────────────────────


def classify(case: Emergency, event: Event) -> Trigger:
    """Say what the event means for the case's life, after the case has taken note of it."""
    if case.state is State.AWAY and not isinstance(event, RoomOpened | CaseFound):
        return Trigger.GIVEN_UP if call_back.is_given_up(case) else Trigger.STILL_AWAY
    if isinstance(event, ElderGone):
        return Trigger.ELDER_LOST if call_back.is_lost(case, event) else Trigger.ELDER_GONE
    if isinstance(event, CallKept):
        return Trigger.CALL_KEPT
    if with_elder(case):
        is_due = isinstance(event, EmergencyTimerFired) and event.name == NO_SPEECH
        return Trigger.NO_SPEECH if is_due else Trigger.SEAT
    match event:
        case RoomOpened() | CaseFound() | HandedBack() | TookOver():
            return Trigger.LOOKED
        case EmergencyTimerFired(name=name) if name == NOBODY_CAME:
            return Trigger.NOBODY_CAME
        case _ if any(one.state is role.State.OPEN for one in case.roles):
            # Also a case that begins with an odd fact, the rest of which was missed.
            return Trigger.LOOKED
        case _:
            return Trigger.NO_SEAT


def classify_role(case: Emergency, one: Role, leg: str, event: Event) -> role.Trigger:
    """Say what the event means for a role, which the seat on `leg` has, if that is not empty.

    The case has taken note of the event already, and its life too.
    """
    ours = case.owner is Owner.CONTROLLER
    is_newest = getattr(event, "effect", "") == one.dial
    match event:
        case _ if case.state is State.CLOSED:
            return role.Trigger.CASE_OVER
        case _ if leg:
            return role.Trigger.TAKEN
        case _ if case.state is State.AWAY:
            return role.Trigger.ELDER_AWAY
        case PersonJoined(person=person) if one.dial and person.effect == one.dial:
            is_now = ours and case.elder_is_in
            return role.Trigger.PASSED_ON if is_now else role.Trigger.PASSED_ON_NOT_NOW
        case CaseFound(dials=dials) if one.dial not in dials and any(map(one.owns, dials)):
            return role.Trigger.FOUND
        case PersonLeft() if is_awaited(one, event):
            return role.Trigger.AGAIN if ours and case.elder_is_in else role.Trigger.NOT_NOW
        case PersonLeft() | CaseFound() if one.state is role.State.FILLED:
            return role.Trigger.VACATED if ours and case.elder_is_in else role.Trigger.NOT_NOW
        case DialAttempted() if is_newest and not ours and one.sent_at is None:
            return role.Trigger.TOO_LATE
        case DialAttempted() if is_newest:
            return role.Trigger.SENT
        case DialAnswered() if is_newest:
            return role.Trigger.ANSWERED
        case DialFailed() if is_newest:
            return role.Trigger.FAILED
        case DialLost() if is_newest:
            return role.Trigger.LOST if event.seats_there else role.Trigger.LOST_UNSEEN
        case EmergencyTimerFired(name=name) if name == one.again:
            return role.Trigger.AGAIN if ours else role.Trigger.NOT_NOW
        case EmergencyTimerFired(name=name) if name == one.missing:
            return role.Trigger.STILL_MISSING
        case CallAgain() if one.state is role.State.UNCERTAIN:
            return role.Trigger.AGAIN
        case _ if ours and case.elder_is_in and one.state is role.State.OPEN:
            return role.Trigger.NEEDED
        case RoomOpened() | CaseFound() | HandedBack() | EmergencyTimerFired() if ours:
            return role.Trigger.NEEDED
        case _:
            return role.Trigger.NOTHING_NEW


# ── what to ask for ───────────────────────────────────────────────────────────────────────────


def alarm_of(case: Emergency) -> str:
    return f"elder alone/{case.id}"


def unreached_of(case: Emergency) -> str:
    return f"{UNREACHED}/{case.id}"


def silence_of(case: Emergency) -> str:
    return f"no sound/{case.id}"


def tell_of_silence(case: Emergency, event: Event) -> tuple[Effect, ...]:
    """Shown, and nothing more: a line that sends nothing is kept, and its elder is not given up."""
    match event:
        case _ if case.state is State.CLOSED:
            return ()
        case ElderSilent(since=since):
            text = f"{case.id}: no sound from the elder since {since:%H:%M:%S}"
            return (RaiseAlarm(key=silence_of(case), kind="no sound", text=text),)
        case ElderHeard() | ElderGone():
            return (EndAlarm(key=silence_of(case)),)
        case _:
            return ()


def look(case: Emergency, event: Event) -> CaseOutcome:
    """The elder is alone: it is not to last, nor is the dialplan's having the case.

    However often the case goes to and fro, the time runs on from when the elder was left alone.
    """
    is_new = case.alone_since is None
    since = min(case.alone_since or event.at, event.at)
    case = replace(case, alone_since=since)
    if case.is_left:
        return case, ()
    starts: list[Effect] = []
    # What a controller finds may have outlived the clock of the one before.
    if is_new or isinstance(event, CaseFound):
        rest_s = max(0, NOBODY_S - round((event.at - since).total_seconds()))
        starts.append(StartTimer(name=NOBODY_CAME, after_s=rest_s))
    if case.owner is Owner.DIALPLAN:
        starts.append(StartTimer(name=HAND_BACK_DUE, after_s=HAND_BACK_S))
    return case, tuple(starts)


def leave(case: Emergency, event: Event) -> CaseOutcome:
    """Let the dialplan call the contacts too; what we asked for goes on waiting beside it."""
    text = f"{case.id}: no seat came within {NOBODY_S} s"
    alarm = RaiseAlarm(key=alarm_of(case), kind="elder alone", text=text)
    return replace(case, is_left=True), (alarm,)


def arrive(case: Emergency, event: Event) -> CaseOutcome:
    effects: tuple[Effect, ...] = (StopTimer(name=NOBODY_CAME), EndAlarm(key=alarm_of(case)))
    if case.spoke_at is None:
        effects += (StartTimer(name=NO_SPEECH, after_s=NO_SPEECH_S),)
    return replace(case, is_left=False, alone_since=None, was_reached=True), effects


def miss_speech(case: Emergency, event: Event) -> CaseOutcome:
    """The elder is on the line and says nothing to the seat who is there: that is an emergency by
    itself, and its plan is the one for no response, unless a seat has chosen another (NRS-01)."""
    if case.spoke_at is not None:
        return case, ()
    return replace(case, is_speechless=True, kind=case.kind or NO_RESPONSE), ()


def lose(case: Emergency, event: Event) -> CaseOutcome:
    """The elder is to be called back; who of the seats is there stays."""
    effects = (
        StopTimer(name=NOBODY_CAME), StopTimer(name=HAND_BACK_DUE), StopTimer(name=NO_SPEECH),
        EndAlarm(key=alarm_of(case)),
    )  # fmt: skip
    return replace(case, is_left=False, alone_since=None), effects


def close(case: Emergency, event: Event) -> CaseOutcome:
    """An elder whom no seat has reached, or whose end nobody saw, is not forgotten with the room.

    The order to call back comes of the call (`workflows/call.py`), and that waits for the database;
    until then it is this case that shows it.
    """
    assert isinstance(event, ElderGone)
    timers = (NOBODY_CAME, HAND_BACK_DUE, NO_SPEECH)
    stops = tuple(StopTimer(name=name) for name in timers)
    effects: tuple[Effect, ...] = (*stops, EndAlarm(key=alarm_of(case)))
    is_unreached = event.uncertain or not case.was_reached
    if is_unreached:
        effects += (RaiseAlarm(key=unreached_of(case), kind=CALL_BACK, text=case.id),)
    closed_at = max(event.at, case.opened_at)
    return replace(case, people=(), closed_at=closed_at, is_unreached=is_unreached), effects


def give_up(case: Emergency, event: Event) -> CaseOutcome:
    """A person's word has ended it, so that nobody is to be reminded of an elder not reached. Who
    is in the rooms may talk on."""
    # A clock can be set back during an emergency.
    return replace(case, closed_at=max(event.at, case.opened_at)), ()


def give_over(case: Emergency, event: Event) -> CaseOutcome:
    """From here on the call and its order say what is to be done."""
    ends = (EndAlarm(key=unreached_of(case)),) if case.is_unreached else ()
    return replace(case, is_unreached=False), ends


# fmt: off
TABLE: Final[Table[State, Trigger, Emergency]] = {
    State.ALONE: {
        Trigger.LOOKED:      Rule(State.ALONE, look),
        Trigger.SEAT:        Rule(State.ACCOMPANIED, arrive),
        Trigger.NO_SPEECH:   Rule(State.ACCOMPANIED, arrive),
        Trigger.NO_SEAT:     Rule(State.ALONE),
        Trigger.NOBODY_CAME: Rule(State.ALONE, leave),
        Trigger.ELDER_LOST:  Rule(State.AWAY, lose),
        Trigger.ELDER_GONE:  Rule(State.CLOSED, close),
        Trigger.GIVEN_UP:    Rule(State.ALONE),
        Trigger.STILL_AWAY:  Rule(State.ALONE),
        Trigger.CALL_KEPT:   Rule(State.ALONE),
    },
    State.ACCOMPANIED: {
        Trigger.LOOKED:      Rule(State.ALONE, look),
        Trigger.SEAT:        Rule(State.ACCOMPANIED),
        Trigger.NO_SPEECH:   Rule(State.ACCOMPANIED, miss_speech),
        Trigger.NO_SEAT:     Rule(State.ALONE, look),
        # A timer that was due in the moment in which a seat came and left again.
        Trigger.NOBODY_CAME: Rule(State.ALONE, look),
        Trigger.ELDER_LOST:  Rule(State.AWAY, lose),
        Trigger.ELDER_GONE:  Rule(State.CLOSED, close),
        Trigger.GIVEN_UP:    Rule(State.ACCOMPANIED),
        Trigger.STILL_AWAY:  Rule(State.ACCOMPANIED),
        Trigger.CALL_KEPT:   Rule(State.ACCOMPANIED),
    },
    # Called back again and again; only the elder, or a person's word, ends that.
    State.AWAY: dict.fromkeys(Trigger, Rule(State.AWAY, nothing)) | {
        Trigger.LOOKED:      Rule(State.ALONE, look),
        Trigger.SEAT:        Rule(State.ACCOMPANIED, arrive),
        Trigger.GIVEN_UP:    Rule(State.CLOSED, give_up),
    },
    # The others hang up after the elder; nothing is asked for any more.
    State.CLOSED: dict.fromkeys(Trigger, Rule(State.CLOSED, nothing)) | {
        Trigger.CALL_KEPT: Rule(State.CLOSED, give_over),
    },
}
# fmt: on


def begin(event: Event) -> Emergency:
    """A new case, by the facts that say that there is an elder; raises NotFound for any other.

    What comes late for a case that is closed and put away is no new emergency.
    """
    if not isinstance(event, RoomOpened | CaseFound):
        raise NotFound(f"there is no emergency {event.case_id} ({type(event).__name__})")
    return Emergency(id=event.case_id, opened_at=event.at, roles=open_roles(event.case_id))


def open_roles(case_id: str) -> tuple[Role, ...]:
    return tuple(Role(name=name, case_id=case_id) for name in ROLES)


def step(case: Emergency, event: Event) -> CaseOutcome:
    """The case after the event, and the effects that its tables ask for."""
    if isinstance(event, CallAgain) and not any(map(role.is_uncertain, case.roles)):
        raise NotAllowed("a seat is asked again by hand only while it is uncertain who was called")
    if not case.roles:
        # It was opened by a Careline that knew one role only.
        case = replace(case, roles=open_roles(case.id))
    noted, work = rescue_work.step(record(case, event), event)
    silence = tell_of_silence(noted, event)
    life = rule_for(TABLE, noted.state, classify(noted, event), event)
    after, effects = life.action(noted, event)
    after = replace(after, state=life.to)
    has, roles = seated(noted), []
    for one in noted.roles:
        leg = has.get(one.name, "")
        part = rule_for(role.TABLE, one.state, classify_role(after, one, leg, event), event)
        moved, asked = part.action(replace(one, leg=leg), event)
        roles.append(replace(moved, state=part.to))
        effects += asked
    texts, asked_for = messages.told(noted.messages, event)
    after = replace(after, roles=tuple(roles), messages=texts)
    after, calls = call_back.step(
        after, event, is_away=life.to is State.AWAY, is_closed=life.to is State.CLOSED
    )
    if life.to is State.CLOSED:
        after, moves = rescue_work.close_rooms(after, event)
    else:
        after, moves = rescue_work.keep_company(after)
    return after, (*effects, *asked_for, *silence, *work, *calls, *moves)


def is_over(case: Emergency) -> bool:
    """Nothing of it is expected any more: no end of a leg, no recording, no word of a person."""
    if case.state is not State.CLOSED or case.is_unreached:
        return False
    is_alive = any(leg.is_open(one) or one.is_recording_due for one in case.legs)
    is_said = all(map(message.is_over, case.messages))
    return closing.is_over(case.closing) and is_said and not is_alive


# ── for those who carry it out ────────────────────────────────────────────────────────────────


def unsent(case: Emergency) -> tuple[CallSeat | CallParty | CallElder, ...]:
    """What was asked for and was never sent: it is safe to send it."""
    seats_asked = (
        role.request(one)
        for one in case.roles
        if one.state is role.State.ASKED and one.sent_at is None
    )
    legs_asked = (
        rescue_work.request(case, one)
        for one in case.legs
        if one.state is leg.State.ASKED and one.sent_at is None and not one.is_dropped
    )
    return (*seats_asked, *legs_asked)


def is_wanted(case: Emergency, effect: Effect) -> bool:
    """Whether this dial is still one that the case waits for."""
    is_for_role = any(
        one.state is role.State.ASKED and effect == role.request(one) for one in case.roles
    )
    return is_for_role or any(
        one.state is leg.State.ASKED and not one.is_dropped and one.id == effect.id
        for one in case.legs
        if isinstance(effect, CallParty | CallElder)
    )


def sent_dials(case: Emergency) -> Iterator[str]:
    """The dials of ours that may have happened."""
    yield from (one.dial for one in case.roles if one.sent_at)
    yield from (one.id for one in case.legs if one.sent_at)


def awaited_dials(case: Emergency) -> set[str]:
    """The dials of ours that may live now."""
    of_roles = {one.dial for one in case.roles if one.state is not role.State.FILLED}
    return of_roles | {one.id for one in case.legs if leg.is_open(one)}


def is_closed(case: Emergency) -> bool:
    """Whether the elder is gone for good, and nobody calls them back."""
    return case.state is State.CLOSED


def is_away(case: Emergency) -> bool:
    """Whether the elder's line is gone, and they are called back."""
    return case.state is State.AWAY


def has_elder(case: Emergency) -> bool:
    """Whether the elder's line is still open, as far as the case knows."""
    return case.state in (State.ALONE, State.ACCOMPANIED)


def awaits(case: Emergency, event: PersonLeft) -> bool:
    """Whether the one who left had answered for us and was on the way into the room."""
    return any(is_awaited(one, event) for one in case.roles)


def is_awaited(one: Role, event: PersonLeft) -> bool:
    return one.state is role.State.COMING and event.effect == one.dial


def is_ours(case: Emergency) -> bool:
    """Whether we may say by our sign of life that we handle the case."""
    return has_elder(case) and not case.is_left


PROCESS: Final = Process(
    name="emergency",
    case_type=Emergency,
    handles=(
        RoomOpened,
        CaseFound,
        PersonJoined,
        PersonLeft,
        TookOver,
        HandedBack,
        ElderLeft,
        ElderSilent,
        ElderHeard,
        ElderSpoke,
        ElderGone,
        ElderCalledAgain,
        CallKept,
        DialAttempted,
        DialAnswered,
        DialFailed,
        DialLost,
        EmergencyTimerFired,
        CallAgain,
        CardsRead,
        LegRang,
        LegAnswered,
        LegOver,
        LegRecorded,
        CallParties,
        DropLeg,
        MovePerson,
        Mute,
        MarkLeg,
        WriteNote,
        ChoosePlan,
        TickStep,
        ChooseCard,
        ConfirmSafe,
        StopCallingBack,
        WriteRecord,
        CloseCase,
        FollowUp,
        CaseOverdue,
        SendCard,
        TalkPrivately,
        PrivateTalkOver,
        *messages.HANDLES,
    ),
    begin=begin,
    step=step,
    is_over=is_over,
    on_timer=EmergencyTimerFired,
)
