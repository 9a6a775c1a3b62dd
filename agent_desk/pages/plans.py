"""Emergency handling plans: read by everybody who may have to follow one, changed as text."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from agent_desk import forms, language, plan_form, words
from agent_desk.access import actor_of
from agent_desk.desk import DESK, visitor_of
from agent_desk.language import gettext as _
from agent_desk.plan_form import PlanForm
from agent_desk.render import page
from agent_desk.rights import Right, may
from agent_desk.wishes import Refused, store_down
from sql.queries import plans
from sql.queries.plans import KeptPlan
from workflows.errors import NotFound, Outdated, StoreDown
from workflows.plan import MAX_FIRST, PARTIES, SEATS, Kind, Plan

logger = logging.getLogger(__name__)

PLACES: Final = tuple(range(MAX_FIRST))
LONGEST_NUMBER: Final = 6


@dataclass(frozen=True, slots=True)
class Draft:
    """The form as it stands: what was typed, what is wrong with it, and why it was not saved."""

    typed: Mapping[str, Any]
    faults: Mapping[str, str] = field(default_factory=dict)
    refused: Refused | None = None


async def index(request: web.Request) -> web.StreamResponse:
    """The plan in force for every kind of emergency."""
    async with request.app[DESK].database.reading() as session:
        kept = await plans.newest(session)
    return page(request, "plans/list.html", kept=kept, seats=SEATS)


async def show(request: web.Request) -> web.StreamResponse:
    """The plan in force, or `?version=` of it; with `?change=` the form to write a new one."""
    shown = await _asked(request)
    if "change" not in request.query or not may(visitor_of(request), Right.CHANGE_PLANS):
        return await _page(request, shown)
    async with request.app[DESK].database.reading() as session:
        now = await plans.one(session, shown.plan.kind)
    return await _page(
        request, shown, draft=Draft(plan_form.as_typed(shown.plan, now.plan.version))
    )


async def as_json(request: web.Request) -> web.StreamResponse:
    """The plan in force, or `?version=` of it, for the page of a case, in the visitor's language.

    A case names kind, version and step ids; within a version these never change.
    """
    plan = (await _asked(request)).plan
    return web.json_response(told(plan, language.current()))


def told(plan: Plan, spoken: str) -> dict[str, Any]:
    """The plan as JSON, every text in one language."""
    return {
        "kind": plan.kind.value,
        "version": plan.version,
        "first_called": list(plan.first_called),
        "steps": [
            {"id": step.id, "text": step.text.of(spoken), "role": step.role,
             "mandatory": step.is_mandatory}
            for step in plan.steps
        ],
        "guidance": [
            {"id": one.id, "condition": one.condition.of(spoken),
             "lines": [line.of(spoken) for line in one.lines]}
            for one in plan.guidance
        ],
    }  # fmt: skip


async def change(request: web.Request) -> web.StreamResponse:
    """Put a new version in force; the former ones stay."""
    kind, desk = _kind(request), request.app[DESK]
    async with desk.database.reading() as session:
        now = await plans.one(session, kind)
    filled = await forms.read(request, PlanForm, many=plan_form.MANY)
    plan, faults = plan_form.read(filled, now.plan)
    if plan is None:
        return await _page(request, now, 422, Draft(filled.typed, faults))
    try:
        async with desk.database.writing("a version of a plan") as session:
            await plans.save(session, plan, actor_of(request), datetime.now(UTC))
    except Outdated as newer:
        return await _outdated(request, filled.typed, str(newer))
    except StoreDown as down:
        logger.warning("a plan was not saved: %s", down)
        return await _page(request, now, 503, Draft(filled.typed, refused=store_down()))
    raise web.HTTPSeeOther(f"/plans/{kind.value}")


async def _outdated(request: web.Request, typed: Mapping[str, Any], detail: str) -> web.Response:
    """What is in force now above what was typed here; sent again it counts."""
    async with request.app[DESK].database.reading() as session:
        now = await plans.one(session, _kind(request))
    refused = Refused(
        409,
        _("Somebody else has saved this plan meanwhile; theirs is shown below. What you typed "
          "is still here: look at both, then save yours over theirs."),
        detail,
    )  # fmt: skip
    draft = Draft({**typed, "version": now.plan.version}, refused=refused)
    return await _page(request, now, 409, draft)


async def _asked(request: web.Request) -> KeptPlan:
    """The version that the address names. Raises HTTPNotFound."""
    written = request.query.get("version", "")
    is_number = written.isascii() and written.isdecimal() and len(written) <= LONGEST_NUMBER
    if written and not is_number:
        raise web.HTTPNotFound(text=_("There is no such version of this plan."))
    try:
        async with request.app[DESK].database.reading() as session:
            return await plans.one(session, _kind(request), int(written) if written else None)
    except NotFound:
        raise web.HTTPNotFound(text=_("There is no such version of this plan.")) from None


def _kind(request: web.Request) -> Kind:
    try:
        return Kind(request.match_info["kind"])
    except ValueError:
        raise web.HTTPNotFound(text=_("There is no plan for this.")) from None


async def _page(
    request: web.Request, shown: KeptPlan, status: int = 200, draft: Draft | None = None
) -> web.Response:
    async with request.app[DESK].database.reading() as session:
        history = await plans.history(session, shown.plan.kind)
    return page(
        request,
        "plans/one.html",
        status,
        plan=shown.plan,
        shown=shown,
        history=history,
        in_force=history[0].version,
        draft=draft,
        places_first=PLACES,
        parties={party: words.rescue_party(party) for party in PARTIES},
        seats=SEATS,
    )
