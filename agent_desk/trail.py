"""The record in words: what was done, and of each field the former and the new value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent_desk import words
from agent_desk.language import gettext as _
from sql.models import AuditEntry
from workflows.menu import KEYS

# The count of the changes is for the machine alone; by whom and when, the entry itself says.
UNTOLD: Final = frozenset(
    {
        "version",
        "generated_at",
        "closed_at",
        "closed_by",
        "named_at",
        "named_by",
        "news_at",
        "reminded",
    }
)


@dataclass(frozen=True, slots=True)
class Line:
    """One field of an entry; a value that was not there is empty."""

    label: str
    before: str
    after: str


def action(name: str) -> str:
    """What was done; a process' command is named by its own word."""
    known = {
        "added": _("entered"),
        "changed": _("changed"),
        "test call": _("noted a test call"),
        "signed in": _("signed in"),
        "signed out": _("signed out"),
        "password set": _("set a new password"),
        "played": _("played the recording"),
        "exported": _("exported the case"),
        "printed": _("printed the case"),
        "WriteRecord": _("wrote the rescue record"),
        "CloseCase": _("closed the case"),
        "FollowUp": _("asked after the elder"),
        "practice call": _("had an elder call"),
        "rhythm": _("set whether the town calls by itself"),
        "sat down": _("took the seat"),
        "got up": _("got up from the seat"),
        "OpenOrder": _("opened an order"),
        "ChooseOrder": _("tied it to an order"),
        "JudgeRequest": _("judged the need"),
        "CloseAnswered": _("closed it as answered"),
        "CancelOrder": _("cancelled it"),
        "CallAgain": _("had it called again"),
        "SendMessageAgain": _("had a message sent again"),
        "LeaveMessage": _("left a message as it is"),
        "DeclareEmergency": _("declared an emergency"),
        "CallParties": _("called for help"),
        "TalkPrivately": _("spoke unheard by the elder, or no more so"),
        "SendCard": _("sent the card as a text message"),
        "DropLeg": _("ended a call outside"),
        "MovePerson": _("brought somebody into the other room"),
        "Mute": _("muted somebody, or let them be heard"),
        "MarkLeg": _("ticked how the helpers come along"),
        "WriteNote": _("noted the elder's condition"),
        "ChoosePlan": _("chose the plan"),
        "TickStep": _("ticked a step of the plan"),
        "ChooseCard": _("said which of the elders it is"),
        "ConfirmSafe": _("said that the elder needs no help"),
        "StopCallingBack": _("stopped calling the elder back"),
        "called without agreement": _("called help for an elder without a signed agreement"),
        "NameCaller": _("said who calls"),
        "TakeBackCaller": _("took back who calls"),
        "WrapUpCall": _("wrapped the call up"),
    }
    return known.get(name, name)


def label(field: str) -> str:
    """The word for a field of a form; empty for one that nobody types."""
    labels = {**_elder_labels(), **_other_labels(), **_typed_labels()}
    return "" if field == "elder_id" else labels.get(field.rpartition(".")[2], "")


def subject(kind: str) -> str:
    return {
        "elder": _("Elder"), "user": _("User"), "order": _("Order"), "call": _("Call"),
        "emergency": _("Emergency"), "menu": _("Menu"), "seat": _("Seat"),
        "practice": _("Practice town"), "plan": _("Plan"),
    }.get(kind, kind)  # fmt: skip


def known_as(entry: AuditEntry, order_nos: Mapping[str, str]) -> str:
    """What the subject is called on its page: an order by its number, a plan by its kind, all
    others by their id."""
    if entry.subject == "plan":
        return words.plan_kind(entry.subject_id)
    is_order = entry.subject == "order"
    return order_nos.get(entry.subject_id, entry.subject_id) if is_order else entry.subject_id


def address(entry: AuditEntry, order_nos: Mapping[str, str]) -> str:
    """Where the subject can be looked at; empty when it has no page."""
    places = {
        "elder": "/elders/", "user": "/users/", "call": "/calls/", "emergency": "/cases/",
        "order": "/orders/", "plan": "/plans/",
    }  # fmt: skip
    place = places.get(entry.subject)
    name = entry.subject_id if entry.subject == "plan" else known_as(entry, order_nos)
    return f"{place}{name}" if place else ""


def lines(entry: AuditEntry) -> list[Line]:
    """What changed, field by field, in the order in which a person would tell it."""
    labels = {**_elder_labels(), **_other_labels()}
    keys = {**entry.before, **entry.after}
    shown = [key for key in (*labels, *keys) if key in keys and key not in UNTOLD]

    def of(side: Mapping[str, Any], key: str) -> str:
        if key == "state" and entry.subject == "order" and key in side:
            return words.order_state(side[key]).word
        return said(key, side.get(key))

    return [
        Line(labels.get(key, key), of(entry.before, key), of(entry.after, key))
        for key in dict.fromkeys(shown)
    ]


def said(key: str, value: Any) -> str:
    """A value of the record as text."""
    choices = words.elder_choices().get(key, {})
    match value:
        case None | "" | []:
            return ""
        case bool():
            return _("yes") if value else _("no")
        case str() if value in choices:
            return choices[value]
        case str() if key == "role":
            return words.role(value)
        case [{"uid": _uid, "name": _name}, *_rest]:
            return "、".join(f"{one['name']} {one['uid']}" for one in value)
        case dict():
            return _whole(value)
        case [dict(), *_rest]:
            return "；".join(_row(key, row) for row in value)
        case list():
            return "、".join(str(one) for one in value)
        case _:
            return str(value)


def _whole(value: Mapping[str, Any]) -> str:
    """Something that has parts, on one line."""
    match value:
        case {"record": _record, "changes": _changes, "asked_after": _asked}:
            return _closing(value)
        case {"call_class": what, "note": note}:
            return f"{words.call_class(what)} {note}".strip()
        case {"choice": choice, "queue": queue}:
            return f"{words.choice(choice)} → {words.queue(queue)}"
        case _:
            return str(value)


def _closing(value: Mapping[str, Any]) -> str:
    """What was written at the end of an emergency, in the order in which it is written."""
    told = [value[name]["text"] if value[name] else "" for name in ("record", "changes")]
    told.append(words.case_outcome(value.get("outcome") or ""))
    told.append(value["asked_after"]["text"] if value["asked_after"] else "")
    return " · ".join(one for one in told if one)


def _row(key: str, row: Mapping[str, Any]) -> str:
    """A contact or a terminal on one line."""
    if key == "contacts":
        who = f"{row['name']}（{row['relation']}）" if row["relation"] else row["name"]
        numbers = "、".join(row["numbers"])
        return f"{who} {numbers}" + (_(", in emergencies") if row["is_emergency"] else "")
    if key == "terminals":
        retired = "" if row["status"] == "active" else _(", retired")
        return f"{words.terminal(row['type'])} {row['serial_no']} {row['number']}".strip() + retired
    return " ".join(str(value) for value in row.values())


def _elder_labels() -> Mapping[str, str]:
    return {
        "full_name": _("Name"), "sex": _("Sex"), "birth_date": _("Date of birth"),
        "user_status": _("Status"), "living_arrangement": _("Lives"), "site": _("Site"),
        "numbers": _("Numbers"), "addr_district": _("District"), "addr_street": _("Street"),
        "addr_compound": _("Compound or village"), "addr_building": _("Building"),
        "addr_unit": _("Unit"), "addr_floor": _("Floor"), "addr_room": _("Room"),
        "landmark": _("Landmark"), "entry_route": _("Way in"),
        "entry_route_checked_on": _("Way in checked on"), "risk_plan": _("Risks"),
        "main_diseases": _("Diseases"), "medication_state": _("Medication"),
        "remark": _("Remark"), "contacts": _("Contacts"), "terminals": _("Terminals"),
    }  # fmt: skip


def _typed_labels() -> Mapping[str, str]:
    """What forms have besides."""
    return {
        "note": _("Note"), "answer": _("What was answered"), "reason": _("Reason"),
        "phones": _("Telephone"), "relation": _("Relation"), "serial_no": _("Serial number"),
        "steps": _("Steps"), "guidance": _("What B says"),
    }  # fmt: skip


def _other_labels() -> Mapping[str, str]:
    return {
        "number": _("Number"), "is_reachable": _("Reachable"), "name": _("Name"),
        "role": _("Role"), "is_active": _("May sign in"), "state": _("State"),
        "order_no": _("Order"), "content": _("What is needed"),
        "requirement": _("How, when, what to mind"), "outcome": _("Answer"),
        "elders": _("Elders"), "wrap_up": _("Wrap-up"),
        "scene": _("Reason for the call"), "is_silent": _("says nothing"), "is_paused": _("Paused"),
        "closing": _("Closing"), "leg": _("Call to"),
        "who": _("User"), "order_id": _("Order"), "elder_id": _("Elder"),
        "plan_version": _("Version"), **{key: _("Key %s") % key for key in KEYS},
    }  # fmt: skip
