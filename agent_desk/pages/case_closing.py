"""What is written at the end of an emergency: its record, its closing, the follow-up, and what is
decided of messages that perhaps reached nobody (EMG-11, EMG-12, FUP-01)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from agent_desk import case_forms, case_words, forms
from agent_desk.desk import DESK, visitor_of
from agent_desk.language import gettext as _
from agent_desk.pages.cases import answer, view_of
from agent_desk.wishes import Refused, wish
from sql.queries import cases
from workflows.commands import (
    CloseCase,
    Command,
    FollowUp,
    LeaveMessage,
    SendMessageAgain,
    WriteRecord,
)

LOOK_EVERY_S: Final = 0.05
LOOK_FOR_S: Final = 2.0


async def write_record(request: web.Request) -> web.StreamResponse:
    """How the rescue went (EMG-11, NRS-08)."""
    filled = await forms.read(request, case_forms.RescueRecord)
    if filled.form is None:
        return await answer(request, 422, filled.typed, filled.faults)
    form, case_id, at, by = filled.form, *_now(request)
    return await _told(
        request,
        WriteRecord(case_id=case_id, at=at, by=by, text=form.record, handed_to=form.handed_to),
        filled.typed,
    )


async def close(request: web.Request) -> web.StreamResponse:
    """It is over, and this is how it came out (EMG-12, EMG-27, NRS-09)."""
    filled = await forms.read(request, case_forms.Closing)
    if filled.form is None:
        faults = dict(filled.faults)
        if "outcome" in faults:
            faults["outcome"] = _("Say how it came out: choose one.")
        return await answer(request, 422, filled.typed, faults)
    form, case_id, at, by = filled.form, *_now(request)
    return await _told(
        request,
        CloseCase(case_id=case_id, at=at, by=by, outcome=form.outcome, changes=form.changes),
        filled.typed,
    )


async def follow_up(request: web.Request) -> web.StreamResponse:
    """How the elder is, asked within two days (FUP-01, FUP-03)."""
    filled = await forms.read(request, case_forms.AskedAfter)
    if filled.form is None:
        return await answer(request, 422, filled.typed, filled.faults)
    case_id, at, by = _now(request)
    asked = FollowUp(case_id=case_id, at=at, by=by, text=filled.form.follow_up)
    return await _told(request, asked, filled.typed)


async def decide_message(request: web.Request) -> web.StreamResponse:
    """Send a message again that perhaps reached nobody, or leave it."""
    filled = await forms.read(request, case_forms.Decision)
    if filled.form is None:
        raise web.HTTPBadRequest(text=_("No message was chosen."))
    case_id, at, by = _now(request)
    kind = SendMessageAgain if filled.form.do == "again" else LeaveMessage
    command = kind(case_id=case_id, at=at, by=by, message=filled.form.message)
    return await _told(request, command, None, "messages")


async def keep_draft(request: web.Request) -> web.StreamResponse:
    """Keep what is typed, for this person and this case. The page sends it a second later."""
    filled = await forms.read(request, case_forms.Draft)
    if filled.form is None:
        return web.json_response({"faults": dict(filled.faults)}, status=422)
    case_id, at, by = _now(request)
    async with request.app[DESK].database.writing("a draft") as session:
        if not await cases.is_there(session, case_id):
            raise web.HTTPNotFound(text=_("There is no emergency %s.") % case_id)
        await cases.keep_draft(session, case_id, by, filled.form.model_dump(), at)
    return web.Response(status=204)


def _now(request: web.Request) -> tuple[str, datetime, str]:
    return request.match_info["case_id"], datetime.now(UTC), visitor_of(request).name


async def _told(
    request: web.Request, command: Command, typed: Mapping[str, Any] | None, place: str = ""
) -> web.StreamResponse:
    """Carry the wish out, and go back to the case when it is on record there."""
    if refused := await wish(request, command):
        if refused.status in (404, 409):
            refused = await _in_words(request, command, refused)
        return await answer(request, refused.status, typed, refused=refused)
    if typed is not None:
        async with request.app[DESK].database.writing("a draft") as session:
            await cases.drop_draft(session, command.case_id, command.by)
    late = "" if await _is_written(request, command) else "?late=1"
    raise web.HTTPSeeOther(f"/cases/{command.case_id}{late}#{place}".removesuffix("#"))


async def _in_words(request: web.Request, command: Command, refused: Refused) -> Refused:
    """The refusal as the case explains it, and what is possible instead."""
    case = (await view_of(request)).case
    sentence = case_words.hindrance(case, type(command)) or refused.sentence
    return Refused(refused.status, sentence, "" if sentence != refused.sentence else refused.detail)


async def _is_written(request: web.Request, command: Command) -> bool:
    """Whether the database has it: the controller has written it down elsewhere before, and fills
    the database from there in the next moment."""
    kind = type(command).__name__
    for _again in range(int(LOOK_FOR_S / LOOK_EVERY_S)):
        async with request.app[DESK].database.reading() as session:
            if await cases.is_written(session, command.case_id, kind, command.at):
                return True
        await asyncio.sleep(LOOK_EVERY_S)
    return False
