"""What the seats do in an emergency: whom they call, who is in which room, what they note and tick.

Composed by the case (`workflows/emergency.py`). Two rules stand above every wish: the elder is not
left without a seat because one goes to work aside, and nobody is called twice at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from workflows import call_back, closing, message, messages
from workflows import leg as legs
from workflows.card import RESCUE, Party, PartyKind, read_out
from workflows.commands import (
    CallParties,
    ChooseCard,
    ChoosePlan,
    CloseCase,
    Command,
    ConfirmSafe,
    DropLeg,
    FollowUp,
    LeaveMessage,
    Mark,
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
    Effect,
    EndAlarm,
    MovePeople,
    MutePerson,
    RaiseAlarm,
)
from workflows.emergency_facts import Emergency, Note, State, Tick, card_of, with_elder, with_leg
from workflows.errors import NotAllowed, NotFound
from workflows.events import (
    CardsRead,
    CaseFound,
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
    Person,
    PersonJoined,
    PrivateTalkOver,
    RoomOpened,
)
from workflows.leg import ELDERS, ROOMS, SIDE, Leg
from workflows.machine import Outcome

MAX_LEGS: Final = 200
MAX_NOTES: Final = 300
MAX_TICKS: Final = 300
MAX_MESSAGES: Final = 100
MAX_TEXT: Final = 1000
"""Characters of one note."""

NO_NEWS: Final = "no news"
NO_RECORD: Final = "no record"
NO_FOLLOW_UP: Final = "no follow-up"
"""What somebody is reminded of; `workflows.reminders` says when."""

Done = Outcome[Emergency]


def step(case: Emergency, event: Event) -> Done:
    """The case after the event, as far as the seats' work goes. Raises NotAllowed, NotFound."""
    if not isinstance(event, Command):
        return take_in(case, event)
    case, effects = carry_out(case, event)
    case, ends = told(case, event)
    return case, (*effects, *ends)


def told(case: Emergency, wish: Command) -> Done:
    """Somebody has done something: that is news, or what somebody was reminded of."""
    done = {NO_NEWS: True, NO_RECORD: isinstance(wish, WriteRecord)}
    done[NO_FOLLOW_UP] = isinstance(wish, FollowUp)
    ends = tuple(EndAlarm(key=reminder_of(case, one)) for one in case.reminded if done.get(one))
    rest = tuple(one for one in case.reminded if not done.get(one))
    return replace(case, news_at=wish.at, reminded=rest), ends


def reminder_of(case: Emergency, what: str) -> str:
    return f"{what}/{case.id}"


# ── facts ─────────────────────────────────────────────────────────────────────────────────────


def take_in(case: Emergency, event: Event) -> Done:
    match event:
        case PrivateTalkOver():
            return replace(case, private_since=None), ()
        case ElderGone():
            return replace(case, private_since=None), ()
        case CardsRead(cards=cards):
            return replace(case, cards=cards), ()
        case LegRang() | LegAnswered() | LegOver() | DialAttempted() | DialFailed() | DialLost():
            return move_leg(case, event.effect, event)
        case PersonJoined(person=person):
            return move_leg(case, person.effect, event)
        case LegRecorded(leg=leg):
            return move_leg(case, leg, event)
        case RoomOpened():
            return elder_back(case, event)
        case CaseFound(people=people):
            case, effects = found(case, event, people)
            case, more = elder_back(case, RoomOpened(case_id=case.id, at=event.at))
            return case, (*effects, *more)
        case CaseOverdue(what=what):
            alarm = RaiseAlarm(key=reminder_of(case, what), kind=what, text=case.id)
            return replace(case, reminded=(*case.reminded, what)), (alarm,)
        case _:
            return case, ()


def close_rooms(case: Emergency, event: Event) -> Done:
    """Who was asked for and not called yet cannot be any more: that is said, and not left open."""
    effects: list[Effect] = []
    for leg in case.legs:
        moved, asked = legs.take(leg, ElderGone(case_id=case.id, at=event.at))
        case = with_leg(case, moved)
        effects += asked
    return case, tuple(effects)


def elder_back(case: Emergency, event: RoomOpened) -> Done:
    """The call to the elder that is under way, if there is one, has brought them into the room."""
    calls = call_back.current(case)
    return move_leg(case, calls.id, event) if calls else (case, ())


def move_leg(case: Emergency, leg_id: str, event: Event) -> Done:
    """Tell the leg with this id; nothing when the event is about another dial."""
    known = leg_of(case, leg_id)
    if known is None:
        return case, ()
    moved, effects = legs.take(known, event)
    return with_leg(case, moved), effects


def found(case: Emergency, event: CaseFound, people: Iterable[Person]) -> Done:
    """Who is in a room has joined it, also when nobody of ours saw that."""
    effects: tuple[Effect, ...] = ()
    for person in people:
        joined = PersonJoined(case_id=case.id, at=event.at, person=person)
        case, more = move_leg(case, person.effect, joined)
        effects += more
    return case, effects


# ── wishes ────────────────────────────────────────────────────────────────────────────────────


def carry_out(case: Emergency, wish: Command) -> Done:
    match wish:
        case CallParties():
            return call_parties(case, wish)
        case ConfirmSafe():
            return replace(case, call_back=call_back.confirm(case, wish)), ()
        case StopCallingBack():
            return replace(case, call_back=call_back.stop(case, wish)), ()
        case DropLeg():
            known = leg_or_error(case, wish.leg)
            if known.kind is PartyKind.ELDER:
                raise NotAllowed("nobody hangs up on the elder; say that the elder is safe")
            moved, effects = legs.take(known, wish)
            return with_leg(case, moved), effects
        case SendCard():
            return send_card(case, wish)
        case MovePerson():
            return move_person(case, wish)
        case Mute():
            return mute(case, wish)
        case TalkPrivately(is_so=is_so):
            since = (case.private_since or wish.at) if is_so else None
            return replace(case, private_since=since), ()
        case MarkLeg():
            known = leg_or_error(case, wish.leg)
            if known.kind is PartyKind.ELDER:
                raise NotFound(f"this case has no call {wish.leg!r} for help")
            return with_leg(case, marked(known, wish)), ()
        case WriteNote():
            return write_note(case, wish), ()
        case ChoosePlan():
            return replace(case, kind=wish.kind, plan=wish.version), ()
        case TickStep():
            return tick(case, wish), ()
        case ChooseCard():
            if wish.uid not in {card.uid for card in case.cards}:
                raise NotFound(f"no elder {wish.uid} has this number")
            return replace(case, chosen=wish.uid), ()
        case WriteRecord() | CloseCase() | FollowUp():
            return close(case, wish)
        case _:
            return case, ()


def call_parties(case: Emergency, wish: CallParties) -> Done:
    """Whom two seats call in the same moment is called once. A goes aside when B is there."""
    if case.state is State.CLOSED:
        raise NotAllowed("the elder has hung up; call from the telephone of your seat")
    if case.state is State.AWAY and not any(one.party == "seat" for one in case.people):
        raise NotAllowed("no seat is in the room; call from the telephone of your seat")
    known = {party.key: party for party in parties_of(case)}
    effects: list[Effect] = []
    for key in dict.fromkeys(wish.parties):
        if key not in known:
            raise NotFound(f"nobody on the card is called {key!r}; choose one who is on it")
        if any(one.party == key and legs.is_under_way(one) for one in case.legs):
            continue
        case, asked = call_one(case, known[key], wish)
        effects.append(asked)
    if effects:
        case, moves = go_aside(case)
        # First the way, so that whoever answers finds A where A is.
        return case, (*moves, *effects)
    return case, ()


def call_one(case: Emergency, party: Party, wish: CallParties) -> tuple[Emergency, Effect]:
    if len(case.legs) >= MAX_LEGS:
        raise NotAllowed(f"this case has {MAX_LEGS} calls; call from the telephone of your seat")
    is_service = party.kind in legs.SERVICES
    if not is_service and not party.numbers:
        raise NotAllowed(f"{party.name} has no number; enter one on the elder's page")
    before = sum(one.party == party.key for one in case.legs)
    # Each further call tries the next of their numbers.
    number = "" if is_service else party.numbers[before % len(party.numbers)]
    leg_id = legs.next_id(case.id, case.legs)
    leg = legs.begin(leg_id, party, number, wish.by, wish.at)
    return replace(case, legs=(*case.legs, leg)), request(case, leg)


def send_card(case: Emergency, wish: SendCard) -> Done:
    """The card with the newest note, to each of them who has a number and not just this text."""
    known = {party.key: party for party in parties_of(case)}
    if unknown := [key for key in wish.parties if key not in known]:
        raise NotFound(f"nobody on the card is called {unknown[0]!r}; choose one who is on it")
    wanted = [known[key] for key in dict.fromkeys(wish.parties) if known[key].numbers]
    if not wanted:
        raise NotAllowed("none of them has a number; tell it on the telephone")
    card = card_of(case)
    text = read_out(card, case.notes[-1].text if case.notes else "") if card else ""
    written, effects = list(case.messages), list[Effect]()
    for party in wanted:
        if any((sent.to, sent.text) == (party.numbers[0], text) for sent in written):
            continue
        if len(written) >= MAX_MESSAGES:
            raise NotAllowed(f"this case has {MAX_MESSAGES} messages; tell it on the telephone")
        one, asked = messages.write(
            case.id, len(written) + 1,
            to=party.numbers[0], name=party.name, text=text, channels=wish.channels, at=wish.at,
        )  # fmt: skip
        written.append(one)
        effects += asked
    return replace(case, messages=tuple(written)), tuple(effects)


def move_person(case: Emergency, wish: MovePerson) -> Done:
    person = person_or_error(case, wish.channel)
    if wish.room not in ROOMS:
        raise NotFound(f"there is no room {wish.room!r}; right would be one of {', '.join(ROOMS)}")
    if (person.moves_to or person.room) == wish.room:
        return case, ()
    others = [one for one in with_elder(case) if one.leg != person.leg]
    if wish.room == SIDE and person.party == "seat" and not others:
        raise NotAllowed("no seat would be with the elder; wait until the other one is there")
    return moved(case, (person,), wish.room)


def mute(case: Emergency, wish: Mute) -> Done:
    person = person_or_error(case, wish.channel)
    people = tuple(
        replace(one, is_muted=wish.is_muted) if one.leg == person.leg else one
        for one in case.people
    )
    effect = MutePerson(
        id=f"{person.leg}/mute", channel=person.leg, is_muted=wish.is_muted
    )  # fmt: skip
    return replace(case, people=people), (effect,)


def marked(leg: Leg, wish: MarkLeg) -> Leg:
    """What is new of the helpers' way, the elder has to be told (EMG-10)."""
    at = wish.at if wish.is_so else None
    match wish.mark:
        case Mark.TOLD:
            return replace(leg, told_at=at)
        case Mark.ON_THE_WAY:
            return replace(leg, on_the_way_at=at, elder_told_at=None)
        case Mark.ARRIVED:
            return replace(leg, arrived_at=at, elder_told_at=None)
        case Mark.ELDER_TOLD:
            return replace(leg, elder_told_at=at)
        case Mark.CALLED_OFF:
            return replace(leg, called_off_at=at)


def write_note(case: Emergency, wish: WriteNote) -> Emergency:
    if any(note.id == wish.note_id for note in case.notes):
        return case
    text = wish.text.strip()
    if not text:
        raise NotAllowed("there is nothing in this note; write what the elder says")
    if len(text) > MAX_TEXT:
        raise NotAllowed(f"a note has {MAX_TEXT} characters at the most; write a second one")
    if len(case.notes) >= MAX_NOTES:
        raise NotAllowed(f"this case has {MAX_NOTES} notes; write into the wrap-up")
    note = Note(id=wish.note_id, at=wish.at, by=wish.by, text=text)
    return replace(case, notes=(*case.notes, note))


def tick(case: Emergency, wish: TickStep) -> Emergency:
    """Who ticked first stays; taking it back is on the record of the case."""
    others = tuple(one for one in case.ticks if one.step != wish.step)
    if not wish.is_done:
        return replace(case, ticks=others)
    if len(others) < len(case.ticks) or len(case.ticks) >= MAX_TICKS:
        return case
    return replace(case, ticks=(*others, Tick(step=wish.step, at=wish.at, by=wish.by)))


def close(case: Emergency, wish: WriteRecord | CloseCase | FollowUp) -> Done:
    """Nothing that still lives is closed: an elder in the room, a leg that rings or talks. Whoever
    has asked after the elder leaves a message that never came as it is."""
    if isinstance(wish, CloseCase):
        if case.state is not State.CLOSED:
            raise NotAllowed("the elder is on the line, or called back; it is closed after that")
        if living := [one.name for one in case.legs if legs.is_open(one)]:
            raise NotAllowed(f"{living[0]} rings or talks still; end that call first")
    case = replace(case, closing=closing.step(case.closing, wish))
    effects: list[Effect] = []
    for one in case.messages if isinstance(wish, FollowUp) else ():
        if one.state in (message.State.FAILED, message.State.UNCERTAIN) and not one.left_by:
            leave = LeaveMessage(case_id=case.id, at=wish.at, by=wish.by, message=one.id)
            texts, asked = messages.told(case.messages, leave)
            case = replace(case, messages=texts)
            effects += asked
    return case, tuple(effects)


# ── who is in which room ──────────────────────────────────────────────────────────────────────


def go_aside(case: Emergency) -> Done:
    """A works aside, as soon as another seat stays with the elder (EMG-07)."""
    leader = case.roles[0].leg if case.roles else ""
    here = with_elder(case)
    a = next((one for one in here if one.leg == leader), None)
    if a is None or len(here) < 2:
        return case, ()
    return moved(case, (a,), SIDE)


def keep_company(case: Emergency) -> Done:
    """When the last seat leaves the elder, those aside come in, with everybody they talk to; and
    when A is gone, so does whoever A talked to: they are not left to the music."""
    aside = tuple(one for one in case.people if (one.moves_to or one.room) == SIDE)
    if case.state in (State.AWAY, State.CLOSED) or not aside:
        return case, ()
    has_seat = any(one.party == "seat" for one in aside)
    has_leader = bool(case.roles and case.roles[0].leg)
    if (with_elder(case) or not has_seat) and (has_seat or has_leader):
        return case, ()
    return moved(case, aside, ELDERS)


def moved(case: Emergency, who: Sequence[Person], room: str) -> Done:
    channels = tuple(one.leg for one in who)
    people = tuple(
        replace(one, moves_to=room) if one.leg in channels else one for one in case.people
    )
    effect = MovePeople(
        id=f"{channels[0]}/{room}", case_id=case.id, channels=channels, room=room
    )  # fmt: skip
    return replace(case, people=people), (effect,)


# ── reading a case ────────────────────────────────────────────────────────────────────────────


def parties_of(case: Emergency) -> tuple[Party, ...]:
    """Whom one can call, in the order in which they stand on the card."""
    card = card_of(case)
    on_card = card.parties if card else ()
    kinds = {party.kind for party in on_card}
    return (*(one for one in RESCUE if one.kind not in kinds), *on_card)


def request(case: Emergency, leg: Leg) -> CallParty | CallElder:
    if leg.kind is PartyKind.ELDER:
        return call_back.request(case, leg)
    card = card_of(case)
    return legs.call(case.id, card.site if card else "", leg)


def leg_of(case: Emergency, leg_id: str) -> Leg | None:
    return next((one for one in case.legs if one.id == leg_id), None)


def leg_or_error(case: Emergency, leg_id: str) -> Leg:
    leg = leg_of(case, leg_id)
    if leg is None:
        raise NotFound(f"this case has no call {leg_id!r}")
    return leg


def person_or_error(case: Emergency, channel: str) -> Person:
    person = next((one for one in case.people if one.leg == channel), None)
    if person is None:
        raise NotFound("whom this names is in no room of the case any more")
    return person
