"""The timeline of a case: its journal in words, in which whoever is meant has a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agent_desk import steps
from agent_desk.language import gettext as _
from agent_desk.steps import Step
from agent_desk.words import Body
from sql.models import Journal
from workflows.emergency_facts import Emergency, Visit
from workflows.rescue_work import parties_of


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline. `event` is the name of what happened, as the journal has it."""

    at: datetime
    event: str
    step: Step


class Names:
    """What is meant by what the journal holds: a leg's id, a party's key, a channel, a message, a
    step of the plan."""

    def __init__(self, case: Emergency, seats: Mapping[str, str], steps: Mapping[str, str]) -> None:
        self._parties = {one.key: one.name for one in parties_of(case)}
        self._parties |= {one.party: one.name for one in case.legs}
        self._legs = {one.id: one.name for one in case.legs}
        self._channels = {one.channel: one.name for one in case.legs if one.channel}
        self._messages = {one.id: one.name for one in case.messages}
        self._seats, self._steps = seats, steps
        for visit in case.visits:
            if named := self._visitor(visit.party, visit.who):
                self._channels.setdefault(visit.leg, named)

    def _visitor(self, party: str, who: str) -> str:
        if party != "seat":
            return ""
        name = self._seats.get(who, who)
        return f"{name} {who}" if name != who else who

    def visitor(self, visit: Visit) -> str:
        """Who was in the room; a number, or nothing, when nobody of ours called them there."""
        return self._channels.get(visit.leg, visit.who)

    def of(self, body: Body) -> str:
        """The name of whom the event is about; empty when it is about nobody in particular."""
        if "parties" in body:
            return _(", ").join(self._parties.get(key, key) for key in body["parties"])
        if isinstance(person := body.get("person"), dict):
            known = self._legs.get(person.get("effect", "")) or self._channels.get(person["leg"])
            return known or self._visitor(person["party"], person["who"])
        if "step" in body:
            return self._steps.get(body["step"], body["step"])
        if "message" in body:
            return self._messages.get(body["message"], "")
        for key in ("effect", "leg"):
            if body.get(key) in self._legs:
                return self._legs[body[key]]
        channel = body.get("channel") or body.get("leg")
        return self._channels.get(channel, "") if isinstance(channel, str) else ""


def moments(journal: Sequence[Journal], names: Names) -> Sequence[Moment]:
    """What happened, in order, in the visitor's language."""
    return [_moment(entry, names) for entry in journal]


def _moment(entry: Journal, names: Names) -> Moment:
    told, name = steps.step(entry.event, entry.body), ""
    if entry.process == "emergency":
        name = names.of(entry.body)
    if name and "parties" not in entry.body and "person" not in entry.body:
        said = f"{name} · {told.detail}" if told.detail else name
    else:
        # Here the detail is the bare key or number of whoever is named better.
        said = name or told.detail
    return Moment(entry.at, entry.event, replace(told, detail=said))
