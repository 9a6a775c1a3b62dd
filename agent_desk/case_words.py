"""Words for a case: how far it is, what it waits for, and why a wish cannot be carried out yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agent_desk.language import gettext as _
from agent_desk.words import Pill
from workflows import leg, rescue_work, response
from workflows.card import PartyKind
from workflows.closing import State
from workflows.commands import CloseCase, Command, FollowUp, WriteRecord
from workflows.emergency_facts import Emergency
from workflows.emergency_facts import State as Life


def stage(name: str, *, is_on_line: bool) -> Pill:
    """How far a case is, by the state of its closing (EMG-24)."""
    if name == State.OPEN.value and is_on_line:
        return Pill(_("Going on"), "alarm")
    return {
        State.OPEN.value: Pill(_("To be recorded"), "wait"),
        State.RECORDED.value: Pill(_("To be closed"), "wait"),
        State.CLOSED.value: Pill(_("Follow-up due"), "act"),
        State.FOLLOWED_UP.value: Pill(_("Done")),
    }.get(name, Pill(name))


def choices() -> dict[str, str]:
    """What the list can be asked for, in the order in which a case goes through it."""
    return {
        "": _("All"),
        "open": _("Open"),
        "record": _("To be recorded"),
        "close": _("To be closed"),
        "follow-up": _("Follow-up due"),
        "overdue": _("Overdue"),
    }


def due(what: str) -> str:
    """What a case waits for (`workflows.rescue_work`)."""
    return {
        rescue_work.NO_NEWS: _("News"),
        rescue_work.NO_RECORD: _("Rescue record"),
        rescue_work.NO_FOLLOW_UP: _("Follow-up"),
    }.get(what, what)


@dataclass(frozen=True, slots=True)
class Reached:
    """One step on the way of a case, by its name and in words; without a time it is not reached."""

    step: str
    word: str
    at: datetime | None


def progress(case: Emergency) -> Sequence[Reached]:
    """From the call to its end (EMG-24)."""
    said = case.closing
    on_the_way = response.first(case.legs, lambda one: one.on_the_way_at)
    arrived = response.first(case.legs, lambda one: one.arrived_at)
    record_at = said.record.at if said.record else None
    help_legs = [one for one in case.legs if one.kind is not PartyKind.ELDER]
    return (
        Reached("called", _("Called"), case.opened_at),
        Reached("dispatched", _("Help sent"), response.first(help_legs, lambda one: one.asked_at)),
        Reached("on the way", _("On the way"), on_the_way),
        Reached("arrived", _("Arrived"), arrived),
        Reached("recorded", _("Recorded"), record_at),
        Reached("handed over", _("Handed over"), record_at if said.handed_to else None),
        Reached("closed", _("Case closed"), said.changes.at if said.changes else None),
        Reached("followed up", _("Followed up"), said.asked_after.at if said.asked_after else None),
    )


def hindrance(case: Emergency, wish: type[Command]) -> str:
    """Why this cannot be done now, and what to do instead; empty when it can."""
    said = case.closing
    if wish is WriteRecord and said.state in (State.CLOSED, State.FOLLOWED_UP):
        return _(
            "The case is closed, so its record stays as it is. Write what is still to be said into "
            "the follow-up."
        )
    if wish is CloseCase:
        return _closing_hindrance(case)
    if wish is FollowUp and said.state in (State.OPEN, State.RECORDED):
        return _("The follow-up comes after the closing: write the rescue record, close the case.")
    if wish is FollowUp and said.asked_after:
        return _("%(who)s has followed this case up already.") % {"who": said.asked_after.by}
    return ""


def _closing_hindrance(case: Emergency) -> str:
    said = case.closing
    living = [one.name for one in case.legs if leg.is_open(one)]
    if said.changes:
        return _("%(who)s has closed this case already.") % {"who": said.changes.by}
    if case.state is not Life.CLOSED:
        return _("The elder is still on the line. Close the case once that call is over.")
    if living:
        return _("%(name)s still rings or talks. End that call, then close the case.") % {
            "name": living[0]
        }
    if said.record is None:
        return _("There is no rescue record yet. Write it first, then close the case.")
    return ""
