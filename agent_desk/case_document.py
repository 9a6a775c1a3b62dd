"""A case as one JSON document: everything that its page shows, for whoever keeps it elsewhere.

Times are ISO 8601 in the centre's zone, to the second; numbers are whole or masked, as `number`
writes them. What a field means is said in agent_desk/help/cases.en.md; whoever changes the form of
one gives SCHEMA a new number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from agent_desk.case_words import progress
from agent_desk.pages.cases import CaseView
from workflows.card import PARTS, Card
from workflows.closing import Said
from workflows.emergency_facts import card_of
from workflows.leg import Leg
from workflows.message import Message
from workflows.response import Response

SCHEMA: Final = "careline.case/1"
NUMBERS: Final = re.compile(r"(?<![\w-])\+?(?:\d{7,}|0\d{2,3}-\d{7,8})(?![\w-])")
ABOUT: Final = (
    "landmark", "entry_route", "diseases", "medication", "risk_plan", "living", "terminal_type",
    "site",
)  # fmt: skip

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Writer:
    """How times and telephone numbers are written in this document."""

    zone: ZoneInfo
    number: Callable[[str], str]
    is_whole: bool

    def time(self, at: datetime | None) -> str | None:
        return at.astimezone(self.zone).isoformat(timespec="seconds") if at else None

    def text(self, text: str) -> str:
        """A text that somebody wrote; the numbers in it are masked with all others."""
        if self.is_whole:
            return text
        return NUMBERS.sub(lambda found: self.number(found[0]), text)

    def said(self, said: Said | None) -> Json | None:
        if said is None:
            return None
        return {"text": self.text(said.text), "by": said.by, "at": self.time(said.at)}


def document(view: CaseView, writer: Writer, *, at: datetime, by: str) -> Json:
    """The case as it stands `at`, asked for by `by`."""
    case, said, time = view.case, view.case.closing, writer.time
    card = card_of(case)
    return {
        "schema": SCHEMA,
        "number": case.id,
        "exported_at": time(at),
        "exported_by": by,
        "numbers": "whole" if writer.is_whole else "masked",
        "opened_at": time(case.opened_at),
        "ended_at": time(case.closed_at),
        "caller": writer.number(case.caller),
        "kind": case.kind,
        "plan_version": case.plan,
        "elder": _card(card, writer) if card else None,
        "stage": said.state.value,
        "progress": [{"step": one.step, "at": time(one.at)} for one in progress(case)],
        "record": writer.said(said.record),
        "handed_over_to": writer.text(said.handed_to),
        "outcome": said.outcome.value if said.outcome else None,
        "changes": writer.said(said.changes),
        "follow_up": writer.said(said.asked_after),
        "follow_up_due_at": time(view.follow_up_due),
        "follow_up_overdue": view.is_late(at),
        "parties": [
            {"rank": rank, **_response(one, writer)}
            for rank, one in enumerate(view.responses, 1)
        ],
        "called_back": {
            "times": case.call_back.calls,
            "safe_at": time(case.call_back.safe_at), "safe_by": case.call_back.safe_by,
            "stopped_at": time(case.call_back.stopped_at),
            "stopped_by": case.call_back.stopped_by, "reason": writer.text(case.call_back.reason),
            "calls": [_call(one, writer) for one in view.calls_back],
        },
        "present": [
            {
                "party": one.party, "who": writer.text(view.names.visitor(one)),
                "from": time(one.began_at), "to": time(one.ended_at),
            }
            for one in case.visits
        ],
        "messages": [_message(one, writer) for one in case.messages],
        "notes": [
            {"at": time(one.at), "by": one.by, "text": writer.text(one.text)} for one in case.notes
        ],
        "ticks": [{
                "at": time(one.at), "by": one.by, "step": one.step,
                "text": view.steps.get(one.step, one.step),
            }
            for one in case.ticks
        ],
        "recording": _recording(view),
        "timeline": [
            {
                "at": time(one.at), "event": one.event, "sentence": one.step.sentence,
                "detail": writer.text(one.step.detail),
            }
            for one in view.moments
        ],
    }  # fmt: skip


def _card(card: Card, writer: Writer) -> Json:
    """Who was in need, as the register had it when the case began."""
    return {
        "code": card.uid,
        "name": card.name,
        "sex": card.sex,
        "age": card.age,
        "address": {part: getattr(card, part) for part in PARTS},
        **{name: writer.text(getattr(card, name)) for name in ABOUT},
        "call_back": writer.number(card.call_back),
    }


def _response(one: Response, writer: Writer) -> Json:
    return {
        "party": one.party,
        "kind": one.kind.value,
        "name": one.name,
        "relation": one.relation,
        "answered_after_s": _seconds(one.answered_after),
        "arrived_after_s": _seconds(one.arrived_after),
        "calls": [_call(leg, writer) for leg in one.calls],
    }


def _call(leg: Leg, writer: Writer) -> Json:
    times = (
        "asked",
        "rang",
        "answered",
        "told",
        "on_the_way",
        "arrived",
        "elder_told",
        "called_off",
        "ended",
    )
    return {
        "number": writer.number(leg.number),
        "asked_by": leg.asked_by,
        **{f"{name}_at": writer.time(getattr(leg, f"{name}_at")) for name in times},
        "result": leg.result.value if leg.result else None,
        "recording": {"serial": leg.id, "seconds": leg.seconds} if leg.file else None,
    }


def _message(one: Message, writer: Writer) -> Json:
    return {
        "to": writer.number(one.to),
        "name": one.name,
        "state": one.state.value,
        "channel": one.channel,
        "asked_at": writer.time(one.asked_at),
        "accepted_at": writer.time(one.accepted_at),
        "delivered_at": writer.time(one.delivered_at),
        "failed_at": writer.time(one.failed_at),
        "code": one.code,
        "reason": writer.text(one.reason),
        "left_by": one.left_by,
        "text": writer.text(one.text),
    }


def _recording(view: CaseView) -> Json | None:
    """The recording of the elder's own call."""
    kept = view.call.recording if view.call else None
    if kept is None:
        return None
    return {
        "serial": kept.serial, "state": kept.state, "seconds": kept.seconds, "sha256": kept.sha256
    }  # fmt: skip


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())
