"""What seats do on the page of an emergency: each press is one wish, answered as JSON.

Every wish may be sent twice. What an emergency's command does is put on record from its journal,
also when the database comes back only later.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from aiohttp import web

from agent_desk import forms, rescue_words
from agent_desk.access import Handler, actor_of
from agent_desk.desk import DESK, visitor_of
from control import ControllerDown
from sql import audit
from workflows.commands import (
    CallAgain,
    CallParties,
    ChooseCard,
    ChoosePlan,
    CloseCase,
    Command,
    ConfirmSafe,
    DropLeg,
    FollowUp,
    LeaveMessage,
    MarkLeg,
    MovePerson,
    Mute,
    SendCard,
    SendMessageAgain,
    StopCallingBack,
    TalkPrivately,
    TickStep,
    WriteNote,
    WriteRecord,
)
from workflows.emergency_facts import card_of
from workflows.errors import CarelineError, NotAllowed, NotFound, Outdated, StoreDown
from workflows.leg import SERVICES

logger = logging.getLogger(__name__)

FormT = TypeVar("FormT", bound=forms.Form)
YES: Final = "yes"
WITHOUT_AGREEMENT: Final = "called without agreement"


async def call(request: web.Request) -> web.StreamResponse:
    """Call these, all at the same time; answers with the calls that this press began, which can be
    taken back."""
    filled = await forms.read(request, forms.Parties, many=("party",))
    if filled.form is None:
        return _unreadable(filled.faults)
    parties = filled.form.party
    command = CallParties(**_of(request), parties=parties)
    case, refused = await _tell(request, command)
    if refused is not None:
        return refused
    begun = [
        one["id"]
        for one in case.get("legs", ())
        if one["party"] in parties and datetime.fromisoformat(one["asked_at"]) == command.at
    ]
    if begun:
        await _note_no_agreement(request, parties, command.at)
    return web.json_response({"legs": begun})


async def _note_no_agreement(request: web.Request, parties: tuple[str, ...], at: datetime) -> None:
    """Help is called also for an elder without a signed agreement; that is noted (EMG-15)."""
    case_id = request.match_info["case_id"]
    case = request.app[DESK].feed.emergency(case_id)
    card = card_of(case) if case else None
    services = {kind.value for kind in SERVICES}
    if card is None or card.has_agreement is not False or not services & set(parties):
        return
    called = {"parties": [one for one in parties if one in services]}
    try:
        async with request.app[DESK].database.writing("a call without agreement") as session:
            actor = actor_of(request)
            audit.note(session, actor, at, WITHOUT_AGREEMENT, "emergency", case_id, after=called)
    except StoreDown as down:
        logger.warning("that %s has no agreement is on no record: %s", case_id, down)


async def send_card(request: web.Request) -> web.StreamResponse:
    """Send these the card as a text message (EMG-19)."""
    filled = await forms.read(request, forms.Parties, many=("party",))
    if filled.form is None:
        return _unreadable(filled.faults)
    _case, refused = await _tell(request, SendCard(**_of(request), parties=filled.form.party))
    return refused or web.json_response({})


def _act(kind: type[FormT], command: Callable[[FormT, dict[str, Any]], Command]) -> Handler:
    """The handler that makes one command out of one form."""

    async def act(request: web.Request) -> web.StreamResponse:
        filled = await forms.read(request, kind)
        if filled.form is None:
            return _unreadable(filled.faults)
        _case, refused = await _tell(request, command(filled.form, _of(request)))
        return refused or web.json_response({})

    return act


drop: Final = _act(forms.ChosenLeg, lambda form, of: DropLeg(**of, leg=form.leg))
move: Final = _act(
    forms.Moved, lambda form, of: MovePerson(**of, channel=form.channel, room=form.room)
)
mute: Final = _act(
    forms.Muted, lambda form, of: Mute(**of, channel=form.channel, is_muted=form.muted == YES)
)
mark: Final = _act(
    forms.Marked,
    lambda form, of: MarkLeg(**of, leg=form.leg, mark=form.mark, is_so=form.so == YES),
)
note: Final = _act(
    forms.CaseNote, lambda form, of: WriteNote(**of, note_id=form.note_id, text=form.text)
)
plan: Final = _act(
    forms.ChosenPlan, lambda form, of: ChoosePlan(**of, kind=form.kind, version=form.version)
)
tick: Final = _act(
    forms.Ticked, lambda form, of: TickStep(**of, step=form.step, is_done=form.done == YES)
)
choose: Final = _act(forms.ChosenCard, lambda form, of: ChooseCard(**of, uid=form.uid))
private: Final = _act(forms.Private, lambda form, of: TalkPrivately(**of, is_so=form.so == YES))
message_again: Final = _act(
    forms.ChosenMessage, lambda form, of: SendMessageAgain(**of, message=form.message)
)
message_left: Final = _act(
    forms.ChosenMessage, lambda form, of: LeaveMessage(**of, message=form.message)
)
record: Final = _act(
    forms.Record, lambda form, of: WriteRecord(**of, text=form.text, handed_to=form.handed_to)
)
close: Final = _act(
    forms.Closed, lambda form, of: CloseCase(**of, outcome=form.outcome, changes=form.changes)
)
follow_up: Final = _act(forms.AskedAfter, lambda form, of: FollowUp(**of, text=form.text))
safe: Final = _act(forms.Safe, lambda form, of: ConfirmSafe(**of, is_so=form.so == YES))
stop_calling: Final = _act(
    forms.Stopped, lambda form, of: StopCallingBack(**of, reason=form.reason)
)
"""A supervisor's alone (NRS-06)."""
again: Final = _act(forms.Form, lambda _form, of: CallAgain(**of))


def _of(request: web.Request) -> dict[str, Any]:
    """What every command has: the case, now, and who."""
    return {
        "case_id": request.match_info["case_id"],
        "at": datetime.now(UTC),
        "by": visitor_of(request).name,
    }


async def _tell(
    request: web.Request, command: Command
) -> tuple[dict[str, Any], web.Response | None]:
    """The case after the command, as a JSON object; or why nothing came of it, in words."""
    actor = actor_of(request)
    command = replace(command, address=actor.address, permission=actor.permission)
    try:
        return await request.app[DESK].controller.tell(command), None
    except ControllerDown as down:
        status, sentence = 503, rescue_words.controller_away(is_call=_is_call(command))
        logger.warning("%s was not taken: %s", type(command).__name__, down)
    except (NotAllowed, Outdated) as said:
        status, sentence = 409, rescue_words.refusal(str(said))
    except NotFound as said:
        status, sentence = 404, rescue_words.refusal(str(said))
    except CarelineError as down:
        status, sentence = 503, rescue_words.telephony_away(is_call=_is_call(command))
        logger.warning("%s was not done: %s", type(command).__name__, down)
    return {}, web.json_response({"error": sentence}, status=status)


def _is_call(command: Command) -> bool:
    return isinstance(command, CallParties)


def _unreadable(faults: Any) -> web.Response:
    sentence = next(iter(faults.values()), "")
    return web.json_response({"error": sentence, "faults": dict(faults)}, status=422)


WISHES: Final[dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = {
    "call": call, "drop": drop, "move": move, "mute": mute, "mark": mark, "note": note,
    "plan": plan, "tick": tick, "card": choose, "again": again, "private": private,
    "message": send_card, "message-again": message_again, "message-left": message_left,
    "safe": safe, "record": record, "close": close, "follow-up": follow_up,
}  # fmt: skip
"""Each wish by the last word of its address."""
