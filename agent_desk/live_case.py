"""One emergency as its own page shows it, and in few words as the list and the wall do.

Pure, like the live picture that it is part of: states, names and times, and no words; times are
milliseconds since 1970. It needs nothing but the case, so that it is there while the database is
away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from workflows import call_back
from workflows import leg as legs
from workflows import role as roles_
from workflows.card import PARTS, Card, Party, PartyKind, missing
from workflows.closing import follow_up_due
from workflows.emergency_facts import Emergency, State, card_of
from workflows.events import Owner, Person
from workflows.leg import SERVICES, Leg
from workflows.rescue_work import parties_of

Item = dict[str, Any]
Line = tuple[datetime, Item]
SAID: Final = (
    "uid", "name", "sex", "age", *PARTS, "landmark", "entry_route", "diseases", "medication",
    "risk_plan", "living", "terminal_type", "has_agreement",
)  # fmt: skip
"""What the page shows of a card as it is."""


@dataclass(frozen=True, slots=True)
class Names:
    """How seats and numbers are written: `masked` without its middle, `legible` as a whole."""

    seats: Mapping[str, str]
    masked: Callable[[str], str]
    legible: Callable[[str], str] = str

    def seat(self, extension: str) -> str:
        name = self.seats.get(extension, "")
        return f"{name} {extension}" if name and name != extension else extension


def ms(at: datetime | None) -> int | None:
    """Milliseconds since 1970, as browsers count."""
    return int(at.timestamp() * 1000) if at else None


def roles(case: Emergency, names: Names) -> list[Item]:
    """Each role with who has it; an empty seat is somebody who is missing."""
    seats = {person.leg: person.who for person in case.people if person.party == "seat"}
    return [
        {
            "role": one.name,
            "at": seats.get(one.leg, ""),
            "seat": names.seat(seats[one.leg]) if one.leg in seats else "",
        }
        for one in case.roles
    ]


# ── in few words ──────────────────────────────────────────────────────────────────────────────


def summary(case: Emergency, names: Names) -> Item:
    """For the list and the wall: who it is, who is with the elder, and what is wrong."""
    card = card_of(case)
    return {
        "id": case.id,
        "state": case.state.value,
        "since": ms(case.opened_at),
        "roles": roles(case, names),
        "kind": case.kind,
        "who": card.name if card else "",
        "place": f"{card.district}{card.compound}" if card else "",
        "gaps": list(missing(card)) if card else [],
        "with": [_name_of(case, one, names) for one in case.people if one.room == legs.ELDERS],
        "wrong": wrong(case),
        "alone": ms(case.alone_since),
        "away": ms(case.call_back.since),
        "services": _newest_of_services(case),
    }


def wrong(case: Emergency) -> list[str]:
    """What is not as it has to be, the worst first (EMG-01)."""
    seated = {person.leg for person in case.people if person.party == "seat"}
    is_away = case.state is State.AWAY
    # Nobody is asked to come to an elder who is not there.
    vacant = [one.name for one in case.roles if one.leg not in seated and not is_away]
    doubts = (
        *(one.state is roles_.State.UNCERTAIN for one in case.roles),
        *(one.state is legs.State.UNCERTAIN for one in case.legs),
    )
    found = {
        "away": is_away,
        "alone": case.state is State.ALONE,
        "silent": case.silent_since is not None,
        "speechless": case.is_speechless,
        "unled": case.is_left or (case.owner is Owner.DIALPLAN and not is_away),
        **{f"no {name}": True for name in vacant},
        "uncertain": any(doubts),
    }
    return [name for name, is_so in found.items() if is_so]


def _newest_of_services(case: Emergency) -> list[Item]:
    newest = {one.kind: one for one in case.legs if one.kind in SERVICES}
    return [
        {
            "kind": one.kind.value, "name": one.name, "state": one.state.value,
            "way": ms(one.on_the_way_at), "arrived": ms(one.arrived_at),
        }
        for one in newest.values()
    ]  # fmt: skip


# ── the whole of it ───────────────────────────────────────────────────────────────────────────


def whole(
    case: Emergency,
    names: Names,
    alarms: Iterable[Mapping[str, Any]] = (),
    speaking: Collection[str] = (),
) -> Item:
    """For its page. `alarms` are the open ones that are about this case, `speaking` the channels
    on which somebody speaks just now."""
    card = card_of(case)
    return {
        "id": case.id,
        "state": case.state.value,
        "since": ms(case.opened_at),
        "closed": ms(case.closed_at),
        "elder_in": case.elder_is_in,
        "silent": ms(case.silent_since),
        "alone": ms(case.alone_since),
        "away": _away(case, names),
        "safe": _safe(case),
        "wrong": wrong(case),
        "roles": roles(case, names),
        "people": [
            _person(case, one, names) | {"speaking": one.leg in speaking} for one in case.people
        ],
        "speaking": case.id in speaking,
        "legs": [_leg(one, names) for one in case.legs if one.kind is not PartyKind.ELDER],
        "parties": [_party(one, names) for one in parties_of(case)],
        "caller": names.legible(case.caller),
        "card": _card(card, names) if card else None,
        "cards": [_choice(one) for one in case.cards],
        "chosen": case.chosen,
        "kind": case.kind,
        "plan": case.plan,
        "ticks": [{"step": one.step, "at": ms(one.at), "by": one.by} for one in case.ticks],
        "notes": [
            {"id": one.id, "at": ms(one.at), "by": one.by, "text": one.text} for one in case.notes
        ],
        "private": ms(case.private_since),
        "messages": [
            {"id": one.id, "to": one.name, "state": one.state.value} for one in case.messages
        ],
        "closing": _closing(case),
        "alarms": [{"key": one["key"], "kind": one["kind"]} for one in alarms],
        "timeline": timeline(case, names),
    }  # fmt: skip


def _away(case: Emergency, names: Names) -> Item | None:
    """How far the calling back of an elder is whose line is gone."""
    said, of_elder = case.call_back, [one for one in case.legs if one.kind is PartyKind.ELDER]
    if said.since is None:
        return None
    newest, calls = (of_elder[-1] if of_elder else None), call_back.current(case)
    return {
        "since": ms(said.since), "calls": said.calls,
        "state": calls.state.value if calls else "",
        "result": newest.result.value if newest and newest.result else "",
        "number": names.masked(newest.number) if newest else "",
    }  # fmt: skip


def _safe(case: Emergency) -> Item | None:
    """Why nobody calls the elder back any more: what a seat heard, or why a supervisor ended it."""
    said = case.call_back
    if said.safe_at:
        return {"at": ms(said.safe_at), "by": said.safe_by, "reason": ""}
    if said.stopped_at:
        return {"at": ms(said.stopped_at), "by": said.stopped_by, "reason": said.reason}
    return None


def _closing(case: Emergency) -> Item:
    """What was written at its end, and by when the elder is to be asked after."""
    said = {
        "record": case.closing.record, "changes": case.closing.changes,
        "asked_after": case.closing.asked_after,
    }  # fmt: skip
    return {
        "state": case.closing.state.value,
        "outcome": case.closing.outcome.value if case.closing.outcome else "",
        "due": ms(follow_up_due(case.opened_at)),
        "handed_to": case.closing.handed_to,
        **{
            name: {"text": one.text, "by": one.by, "at": ms(one.at)} if one else None
            for name, one in said.items()
        },
    }


def unfinished(case: Emergency) -> Item:
    """For the list: one that the elder has left, and that waits for a person's word."""
    card = card_of(case)
    return {
        "id": case.id, "who": card.name if card else "", "closed": ms(case.closed_at),
        "state": case.closing.state.value, "due": ms(follow_up_due(case.opened_at)),
    }  # fmt: skip


def _card(card: Card, names: Names) -> Item:
    checked = card.entry_route_checked_on
    return {
        **{name: getattr(card, name) for name in SAID},
        "checked": checked.isoformat() if checked else "",
        "call_back": names.legible(card.call_back),
        "missing": list(missing(card)),
    }


def _choice(card: Card) -> Item:
    """One of several elders with the same number, as far as one can tell them apart."""
    return {"uid": card.uid, "name": card.name, "sex": card.sex, "age": card.age}


def _party(party: Party, names: Names) -> Item:
    return {
        "key": party.key, "kind": party.kind.value, "name": party.name, "relation": party.relation,
        "numbers": [names.masked(number) for number in party.numbers],
    }  # fmt: skip


def _leg(leg: Leg, names: Names) -> Item:
    times = {
        "asked": leg.asked_at, "rang": leg.rang_at, "answered": leg.answered_at,
        "joined": leg.joined_at, "told": leg.told_at, "way": leg.on_the_way_at,
        "arrived": leg.arrived_at, "elder_told": leg.elder_told_at, "off": leg.called_off_at,
        "ended": leg.ended_at,
    }  # fmt: skip
    return {
        "id": leg.id, "party": leg.party, "kind": leg.kind.value, "name": leg.name,
        "relation": leg.relation, "number": names.masked(leg.number), "state": leg.state.value,
        "result": leg.result.value if leg.result else "", "dropped": leg.is_dropped,
        **{name: ms(at) for name, at in times.items()},
    }  # fmt: skip


def _person(case: Emergency, person: Person, names: Names) -> Item:
    """Somebody in a room; a page can mark who speaks once the case knows that."""
    leg = _leg_of(case, person)
    role = next((one.name for one in case.roles if one.leg == person.leg), "")
    visit = next((one for one in case.visits if one.leg == person.leg and not one.ended_at), None)
    return {
        "channel": person.leg, "party": person.party, "who": _name_of(case, person, names),
        "at": person.who if person.party == "seat" else "", "role": role,
        "leg": leg.id if leg else "", "kind": leg.kind.value if leg else "",
        "relation": leg.relation if leg else "", "room": person.room, "to": person.moves_to,
        "muted": person.is_muted, "since": ms(visit.began_at) if visit else None,
    }  # fmt: skip


def _leg_of(case: Emergency, person: Person) -> Leg | None:
    """The call that brought this person, if one did."""
    return next(
        (one for one in case.legs if person.leg == one.channel or person.effect == one.id), None
    )


def _name_of(case: Emergency, person: Person, names: Names) -> str:
    if person.party == "seat":
        return names.seat(person.who)
    leg = _leg_of(case, person)
    if leg:
        return leg.name
    # Whom the dialplan has brought is known by the number alone.
    known = (one.name for one in parties_of(case) if person.who and person.who in one.numbers)
    return next(known, names.masked(person.who))


# ── what happened, newest first (EMG-20) ──────────────────────────────────────────────────────


def timeline(case: Emergency, names: Names) -> list[Item]:
    """What happened, the newest first: each entry says what, when, and of whom."""
    lines: list[Line] = [(case.opened_at, {"what": "opened", "tone": "alarm"})]
    lines += _of_visits(case, names)
    lines += _of_asking(case.legs)
    for leg in case.legs:
        lines += _of_leg(leg)
    for note in case.notes:
        lines.append((note.at, {"what": "note", "by": note.by, "text": note.text}))
    for tick in case.ticks:
        done = {"what": "tick", "by": tick.by, "step": tick.step, "tone": "act"}
        lines.append((tick.at, done))
    if case.silent_since:
        lines.append((case.silent_since, {"what": "silent", "tone": "wait"}))
    if case.closed_at:
        lines.append((case.closed_at, {"what": "closed"}))
    said = case.call_back
    if said.safe_at:
        lines.append((said.safe_at, {"what": "safe", "by": said.safe_by, "tone": "act"}))
    if said.stopped_at:
        stopped = {"what": "stopped", "by": said.stopped_by, "text": said.reason, "tone": "wait"}
        lines.append((said.stopped_at, stopped))
    lines += [
        (said.at, {"what": what, "by": said.by, "text": said.text, "tone": "act"})
        for what, said in (
            ("record", case.closing.record), ("ended", case.closing.changes),
            ("asked_after", case.closing.asked_after),
        )
        if said
    ]  # fmt: skip
    lines.sort(key=lambda line: line[0], reverse=True)
    return [{"at": ms(at), **entry} for at, entry in lines]


def _of_visits(case: Emergency, names: Names) -> list[Line]:
    """Seats, and those whom the dialplan brought; for all others their call tells more."""
    of_legs = {one.channel for one in case.legs}
    lines: list[Line] = []
    for visit in case.visits:
        if visit.leg in of_legs:
            continue
        person = Person(leg=visit.leg, party=visit.party, who=visit.who)
        who = _name_of(case, person, names)
        lines.append((visit.began_at, {"what": "came", "who": who, "tone": "talk"}))
        if visit.ended_at:
            lines.append((visit.ended_at, {"what": "left", "who": who}))
    return lines


def _of_asking(called: Sequence[Leg]) -> list[Line]:
    """Whom one press has called at the same time stands on one line."""
    pressed: dict[tuple[datetime, str], list[str]] = {}
    for leg in called:
        if leg.kind is PartyKind.ELDER:
            continue
        pressed.setdefault((leg.asked_at, leg.asked_by), []).append(_titled(leg))
    return [
        (at, {"what": "called", "by": by, "who": "、".join(who), "tone": "act"})
        for (at, by), who in pressed.items()
    ]


def _of_leg(leg: Leg) -> list[Line]:
    told = (
        ("answered", leg.answered_at, "talk"),
        ("told", leg.told_at, "act"),
        ("way", leg.on_the_way_at, "talk"),
        ("arrived", leg.arrived_at, "talk"),
        ("elder_told", leg.elder_told_at, "act"),
        ("called_off", leg.called_off_at, "act"),
    )
    who = _titled(leg)
    lines: list[Line] = [
        (at, {"what": what, "who": who, "tone": tone}) for what, at, tone in told if at
    ]
    if leg.kind is PartyKind.ELDER:
        lines = [(leg.asked_at, {"what": "called back", "tone": "wait"})]
        lines += [(leg.joined_at, {"what": "back", "tone": "talk"})] if leg.joined_at else []
    if leg.ended_at and leg.result:
        lines.append((leg.ended_at, {"what": "over", "who": who, "result": leg.result.value}))
    return lines


def _titled(leg: Leg) -> str:
    return f"{leg.name} {leg.relation}".strip()
