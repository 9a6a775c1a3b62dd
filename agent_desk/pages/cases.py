"""Emergencies after the frightened minute: the list, and one case with all that was done in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from agent_desk import case_steps, case_words, forms, language, playing, rescue_words
from agent_desk.case_steps import Moment, Names
from agent_desk.desk import DESK, visitor_of
from agent_desk.language import gettext as _
from agent_desk.render import A_PAGE, newest_page, older_page, page
from agent_desk.wishes import Refused
from sql.models import CallRecord, Elder
from sql.queries import calls, cases, elders, people, plans
from workflows import closing, leg, response
from workflows.card import Card, PartyKind, where
from workflows.commands import CloseCase, FollowUp, WriteRecord
from workflows.emergency_facts import Emergency, card_of
from workflows.emergency_facts import State as Life
from workflows.errors import NotFound
from workflows.events import CaseOutcome
from workflows.leg import Leg
from workflows.plan import Kind
from workflows.response import Response

FORMS: Final = {
    closing.State.OPEN: "record",
    closing.State.RECORDED: "close",
    closing.State.CLOSED: "follow-up",
}
"""The form that comes next, by how far the closing is."""


async def index(request: web.Request) -> web.StreamResponse:
    """The newest emergencies, fifty a page; `?show=` keeps those that ask for the same thing."""
    query, now = request.query, datetime.now(UTC)
    choice, outcome = query.get("show", ""), query.get("outcome", "")
    wanted = cases.Wanted(
        text=forms.one_line(query.get("text", ""))[:64],
        choice=choice if choice in cases.CHOICES else "",
        outcome=outcome if outcome in {one.value for one in CaseOutcome} else "",
    )
    before = forms.one_line(query.get("before", ""))[:96]
    async with request.app[DESK].database.reading() as session:
        found = await cases.latest(session, wanted, now, limit=A_PAGE + 1, before=before)
        counts = await cases.counts(session, now)
    shown = found[:A_PAGE]
    return page(
        request, "cases/list.html",
        lines=shown, wanted=wanted, counts=counts, case_words=case_words,
        with_choice=lambda name: str(request.rel_url.without_query_params("before").update_query(
            show=name) if name else request.rel_url.without_query_params("before", "show")),
        newest=newest_page(request),
        older=older_page(request, shown[-1].case.id) if len(found) > A_PAGE else "",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CaseView:
    """Everything that a case's page shows. `call` is the elder's own, None when it was lost.

    `steps` are the plan's, in words, by their ids.
    """

    case: Emergency
    elder: Elder | None
    call: CallRecord | None
    moments: Sequence[Moment]
    names: Names
    steps: Mapping[str, str]
    draft: Mapping[str, str]

    @property
    def card(self) -> Card | None:
        """Who it is, as the register had it when the case began."""
        return card_of(self.case)

    @property
    def address(self) -> str:
        """Where the elder lives, as it is read out."""
        return where(self.card) if self.card else ""

    @property
    def who(self) -> str:
        if self.elder:
            return self.elder.full_name
        return self.card.name if self.card else ""

    @property
    def is_on_line(self) -> bool:
        return self.case.state is not Life.CLOSED

    @property
    def responses(self) -> Sequence[Response]:
        return response.ranked(self.case)

    @property
    def calls_back(self) -> Sequence[Leg]:
        """The calls to the elder, whose line was gone."""
        return [one for one in self.case.legs if one.kind is PartyKind.ELDER]

    @property
    def form(self) -> str:
        """The form that comes next; empty when all is done."""
        return FORMS.get(self.case.closing.state, "")

    @property
    def hindrances(self) -> Mapping[str, str]:
        """Why a form can do nothing yet, by its name."""
        wishes = {"record": WriteRecord, "close": CloseCase, "follow-up": FollowUp}
        return {name: case_words.hindrance(self.case, wish) for name, wish in wishes.items()}

    @property
    def follow_up_due(self) -> datetime:
        return closing.follow_up_due(self.case.opened_at)

    def is_late(self, now: datetime) -> bool:
        """Whether the follow-up is overdue (FUP-01, FUP-03)."""
        return not closing.is_over(self.case.closing) and now >= self.follow_up_due


async def view_of(request: web.Request) -> CaseView:
    """What is known of the case in the address. Raises HTTPNotFound."""
    async with request.app[DESK].database.reading() as session:
        return await look_up(session, request.match_info["case_id"], visitor_of(request).name)


async def look_up(session: AsyncSession, case_id: str, by: str) -> CaseView:
    """Read the case, with what `by` has typed and not sent. Raises HTTPNotFound."""
    case = await cases.one(session, case_id)
    if case is None:
        raise web.HTTPNotFound(text=_("There is no emergency %s.") % case_id)
    call = await calls.one(session, case_id)
    steps = await _steps(session, case)
    names = Names(case, await people.seats(session), steps)
    elder_id = _whose(case) or (call.elder_id if call else None)
    known = await elders.by_ids(session, [elder_id]) if elder_id else ()
    return CaseView(
        case=case,
        elder=next(iter(known), None),
        call=call,
        moments=case_steps.moments(await cases.journal(session, case_id), names),
        names=names,
        steps=steps,
        draft=await cases.draft(session, case_id, by),
    )


async def _steps(session: AsyncSession, case: Emergency) -> dict[str, str]:
    """What could be ticked, in the version of the plan that the case followed."""
    steps = {one["id"]: one["text"] for one in rescue_words.own_steps()["steps"]}
    if not case.kind or not case.plan:
        return steps
    try:
        plan = (await plans.one(session, Kind(case.kind), case.plan)).plan
    except (NotFound, ValueError):
        # Of a newer Careline, or followed while the plans could not be read.
        return steps
    spoken = language.current()
    steps |= {one.id: one.text.of(spoken) for one in plan.steps}
    return steps | {one.id: one.condition.of(spoken) for one in plan.guidance}


def _whose(case: Emergency) -> int | None:
    """The elder's id: of several on one number none, until a seat has said which."""
    card = card_of(case)
    is_sure = card is not None and (card.uid == case.chosen or len(case.cards) == 1)
    return card.elder_id if card and is_sure else None


async def show(request: web.Request) -> web.StreamResponse:
    return await answer(request)


async def answer(
    request: web.Request,
    status: int = 200,
    typed: Mapping[str, Any] | None = None,
    faults: Mapping[str, str] | None = None,
    refused: Refused | None = None,
) -> web.Response:
    """The case's page; a form that was refused is in it as it was `typed`."""
    view = await view_of(request)
    return page(
        request, "cases/one.html", status,
        view=view, typed=_typed(view, typed), faults=faults or {}, refused=refused,
        is_unkept=typed is not None, is_late="late" in request.query,
        case_words=case_words, party_kinds=rescue_words.parties(), leg_number=leg.number_of,
    )  # fmt: skip


def _typed(view: CaseView, sent: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of the forms: what was just sent, else one's draft, else what is kept."""
    said = view.case.closing
    fresh = {
        "record": said.record.text if said.record else "", "handed_to": said.handed_to,
        "outcome": "", "changes": "", "follow_up": "",
    }  # fmt: skip
    return fresh | {k: v for k, v in (view.draft if sent is None else sent).items() if k in fresh}


async def recording(request: web.Request) -> web.StreamResponse:
    """What was said on one of the case's calls, in ranges so that a player can seek."""
    case_id, number = request.match_info["case_id"], request.match_info["number"]
    leg_id = leg.effect_id(case_id, int(number))
    async with request.app[DESK].database.reading() as session:
        case = await cases.one(session, case_id)
    spoken = next((one for one in case.legs if one.id == leg_id), None) if case else None
    if spoken is None or not spoken.file:
        raise web.HTTPNotFound(text=_("This call has no recording, or not yet."))
    return await playing.play(request, spoken.file, leg_id, "emergency", case_id, spoken.name)
