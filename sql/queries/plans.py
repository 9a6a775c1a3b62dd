"""Emergency handling plans: the newest of each kind, every version before it, and a new one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sql import audit, codec
from sql.audit import Actor
from sql.engine import Database
from sql.models import PlanVersion
from workflows.errors import NotFound, Outdated
from workflows.plan import Kind, Plan

logger = logging.getLogger(__name__)

CARELINE: Final = ""
"""Who has saved what Careline brings. No user can have this name."""


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """One version of a plan, with who saved it and when; `saved_by` is empty for Careline's own."""

    plan: Plan
    saved_by: str
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Saved:
    """One line of a plan's history."""

    version: int
    saved_by: str
    saved_at: datetime


async def newest(session: AsyncSession) -> Sequence[KeptPlan]:
    """The plan in force of each kind, in the order of the kinds."""
    rows = await _newest_rows(session)
    # A kind that only a newer Careline knows is left out.
    return [_kept(rows[kind.value]) for kind in Kind if kind.value in rows]


async def _newest_rows(session: AsyncSession) -> dict[str, PlanVersion]:
    last = (
        select(PlanVersion.kind, func.max(PlanVersion.version).label("version"))
        .group_by(PlanVersion.kind)
        .subquery()
    )
    is_last = (PlanVersion.kind == last.c.kind) & (PlanVersion.version == last.c.version)
    rows = await session.scalars(select(PlanVersion).join(last, is_last))
    return {row.kind: row for row in rows}


async def one(session: AsyncSession, kind: Kind, version: int | None = None) -> KeptPlan:
    """This version of a plan, or the one in force. Raises NotFound."""
    query = select(PlanVersion).where(PlanVersion.kind == kind.value)
    if version is not None:
        query = query.where(PlanVersion.version == version)
    row = await session.scalar(query.order_by(PlanVersion.version.desc()).limit(1))
    if row is None:
        which = "" if version is None else f" version {version}"
        raise NotFound(f"there is no plan {kind.value}{which}")
    return _kept(row)


async def history(session: AsyncSession, kind: Kind) -> Sequence[Saved]:
    """Every version of a plan, the newest first."""
    rows = await session.execute(
        select(PlanVersion.version, PlanVersion.saved_by, PlanVersion.saved_at)
        .where(PlanVersion.kind == kind.value)
        .order_by(PlanVersion.version.desc())
    )
    return [Saved(*row) for row in rows]


async def save(session: AsyncSession, plan: Plan, actor: Actor, at: datetime) -> None:
    """Put a new version in force; one that says the same as before is none.

    `plan.version` is the version after the one that its writer saw. Raises Outdated when somebody
    has saved another since.
    """
    before = await one(session, plan.kind)
    if before.plan.version != plan.version - 1:
        raise Outdated(_meanwhile(before.saved_by, before.plan.version))
    if _body(plan) == _body(before.plan):
        return
    session.add(_row(plan, actor.name, at))
    try:
        await session.flush()
    except IntegrityError:
        raise Outdated(_meanwhile("somebody", plan.version)) from None
    # The versions themselves are all kept; the record has to say only which of them it was.
    audit.note(
        session, actor, at, "changed", "plan", plan.kind.value,
        before={"plan_version": before.plan.version}, after={"plan_version": plan.version},
    )  # fmt: skip


async def bring(database: Database, plans: Iterable[Plan], at: datetime) -> None:
    """Keep what Careline brings: as the first version, and as a further one after an upgrade that
    words it better. A plan that somebody of the centre has saved stays in force."""
    try:
        async with database.writing("the plans that Careline brings") as session:
            kept = await _newest_rows(session)
            for plan in plans:
                last = kept.get(plan.kind.value)
                if last is None:
                    session.add(_row(plan, CARELINE, at))
                elif last.saved_by == CARELINE and last.body != _body(plan):
                    session.add(_row(replace(plan, version=last.version + 1), CARELINE, at))
    except IntegrityError:
        # Two machines with one database start at once: the other one has brought them.
        logger.info("the plans were brought by somebody else at the same moment")


def _row(plan: Plan, by: str, at: datetime) -> PlanVersion:
    return PlanVersion(
        kind=plan.kind.value, version=plan.version, saved_by=by, saved_at=at, body=_body(plan)
    )


def _body(plan: Plan) -> dict[str, Any]:
    """What a version says, without its own number."""
    whole = codec.dump(plan)
    return {name: whole[name] for name in ("first_called", "steps", "guidance")}


def _kept(row: PlanVersion) -> KeptPlan:
    plan = codec.load(Plan, {"kind": row.kind, "version": row.version, **row.body})
    return KeptPlan(plan, row.saved_by, row.saved_at)


def _meanwhile(who: str, version: int) -> str:
    return f"{who or 'Careline'} has saved version {version} in the meantime"
