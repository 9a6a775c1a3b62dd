"""A call's wrap-up: what it was about, the note that is kept while it is typed, and its order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from agent_desk import forms, words
from agent_desk.desk import DESK, visitor_of
from agent_desk.language import gettext as _
from agent_desk.pages import calls as call_page
from agent_desk.pages.calls import CallView
from agent_desk.wishes import Refused, wish
from sql.queries import calls
from workflows.call import owed_order
from workflows.commands import CloseAnswered, Command, JudgeRequest, OpenOrder, WrapUpCall
from workflows.events import CallClass

FOLLOWED_UP: Final = (CallClass.EMERGENCY, CallClass.NO_RESPONSE)
OPEN: Final = ("accepted", "generated")


async def keep_draft(request: web.Request) -> web.StreamResponse:
    """Keep what is typed, for this person and this call. The page sends it a second later."""
    filled = await forms.read(request, forms.Draft)
    if filled.form is None:
        return web.json_response({"faults": dict(filled.faults)}, status=422)
    await keep(request, filled.form)
    return web.Response(status=204)


async def keep(request: web.Request, draft: forms.Draft) -> None:
    """Raises StoreDown, and HTTPNotFound for a call that is not there."""
    call_id, by = request.match_info["call_id"], visitor_of(request).name
    async with request.app[DESK].database.writing("a draft") as session:
        if await calls.one(session, call_id) is None:
            raise web.HTTPNotFound(text=_("There is no call %s.") % call_id)
        await calls.keep_draft(session, call_id, by, draft.model_dump(), datetime.now(UTC))


async def save(request: web.Request) -> web.StreamResponse:
    """Wrap the call up and open what its class asks for (ACD-19); write its order (ACD-17)."""
    filled = await forms.read(request, forms.WrapUp)
    form = filled.form
    if form is None:
        faults = dict(filled.faults)
        if "call_class" in faults:
            faults["call_class"] = _("Say what the call was about: choose one.")
        return await call_page.answer(request, 422, filled.typed, faults)
    view = await call_page.view_of(request)
    if form.content and view.elders and view.whose(form.elder_id) is None:
        asked = {"elder_id": _("Ask who is calling, and choose.")}
        return await call_page.answer(request, 422, filled.typed, asked)
    if refused := await wish(request, _wrap_up(request, form)):
        if refused.status == 409:
            refused = await _overtaken(request, form) or refused
        return await call_page.answer(request, refused.status, filled.typed, refused=refused)
    order = _order(request, form, view)
    if order and (refused := await wish(request, order)):
        refused = _without_its_order(refused)
        return await call_page.answer(request, refused.status, filled.typed, refused=refused)
    async with request.app[DESK].database.writing("a draft") as session:
        await calls.drop_draft(session, view.call.id, visitor_of(request).name)
    raise web.HTTPSeeOther(call_page.back_to(request, filled.typed, "wrap-up"))


def _wrap_up(request: web.Request, form: forms.WrapUp) -> Command:
    return WrapUpCall(
        case_id=request.match_info["call_id"],
        at=datetime.now(UTC),
        by=visitor_of(request).name,
        wrap_up_id=form.wrap_up_id,
        call_class=form.call_class,
        note=form.note,
        replaces=form.replaces,
    )


def _order(request: web.Request, form: forms.WrapUp, view: CallView) -> Command | None:
    """What becomes of the call's order: as it was described, else as the call's class asks for.

    A question that was answered is closed with the note as its answer. Help in an emergency, and
    an elder who said nothing, are never over with the call: their order stays open for a person.
    """
    at, by, elder_id = datetime.now(UTC), visitor_of(request).name, view.whose(form.elder_id)
    linked = {one.id: one for one in view.linked}
    # The form's own order is there when it was made and the answer to that was lost.
    owed = linked.get(form.order_id) or linked.get(owed_order(view.call.id))
    waits = owed is not None and owed.status == "accepted"
    content, requirement = form.content, form.requirement
    if not content and form.call_class in FOLLOWED_UP:
        if not waits and any(one.status in OPEN for one in view.linked):
            return None
        content, requirement = words.call_class(form.call_class.value), form.note
    if not content:
        if owed and waits and form.note and form.call_class is CallClass.CONSULTATION:
            return CloseAnswered(case_id=owed.id, at=at, by=by, answer=form.note)
        return None
    # The same words a second time are the same form sent again.
    if owed and (waits or owed.id == form.order_id or owed.content == content):
        return JudgeRequest(
            case_id=owed.id, at=at, by=by,
            content=content, requirement=requirement, elder_id=elder_id,
        )  # fmt: skip
    return OpenOrder(
        case_id=view.call.id, at=at, by=by, order_id=form.order_id,
        content=content, requirement=requirement, elder_id=elder_id,
    )  # fmt: skip


async def _overtaken(request: web.Request, form: forms.WrapUp) -> Refused | None:
    """In words, when the call has a wrap-up that this form did not show."""
    call = (await call_page.view_of(request)).call
    if call.wrapped_up_at is None or call.wrapped_up_at == form.replaces:
        return None
    sentence = _(
        "%(who)s has wrapped this call up in the meantime; it is shown here. What you typed is "
        "still in the form: change it and save it, or leave it."
    )
    return Refused(409, sentence % {"who": call.wrapped_up_by})


def _without_its_order(refused: Refused) -> Refused:
    """The refusal of the order alone: the wrap-up before it was saved."""
    sentence = _(
        "The wrap-up is saved; its order is not. What you typed is still in the form: save it "
        "again."
    )
    return Refused(refused.status, sentence, refused.detail)
