"""Orders as the desk shows them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from sql.models import Elder, Journal, ServiceRequest, WorkOrder
from sql.queries import elders
from sql.queries.matching import has

OPEN = ("accepted", "generated")


async def latest(
    session: AsyncSession,
    *,
    status: str = "",
    text: str = "",
    limit: int = 50,
    before: str = "",
) -> Sequence[tuple[WorkOrder, Elder | None]]:
    """The newest orders with their elder, newest first.

    With a status or a text those of that status, or with it in number, need or the elder's name.
    `before` is the number of the last order of the page before.
    """
    query = (
        select(WorkOrder, Elder)
        .outerjoin(Elder, Elder.id == WorkOrder.elder_id)
        .order_by(WorkOrder.order_no.desc())
        .limit(limit)
    )
    if before:
        query = query.where(WorkOrder.order_no < before)
    if status:
        query = query.where(WorkOrder.status == status)
    if text:
        searched = (WorkOrder.order_no, WorkOrder.content, WorkOrder.requirement)
        of_elder = WorkOrder.elder_id.in_(elders.ids_named(text))
        query = query.where(or_(of_elder, *(has(column, text) for column in searched)))
    return [(order, elder) for order, elder in await session.execute(query)]


async def one(
    session: AsyncSession, order_no: str
) -> tuple[WorkOrder, ServiceRequest, Elder | None] | None:
    """The order of this number, with the request it came from and its elder."""
    row = (
        await session.execute(
            select(WorkOrder, ServiceRequest, Elder)
            .join(ServiceRequest, ServiceRequest.id == WorkOrder.request_id)
            .outerjoin(Elder, Elder.id == WorkOrder.elder_id)
            .where(WorkOrder.order_no == order_no)
        )
    ).first()
    return (row[0], row[1], row[2]) if row else None


async def numbers_of(session: AsyncSession, ids: Sequence[str]) -> dict[str, str]:
    """The order numbers of these orders, by their ids."""
    rows = await session.execute(
        select(WorkOrder.id, WorkOrder.order_no).where(WorkOrder.id.in_(ids))
    )
    return dict(rows.all())


async def open_of_elders(session: AsyncSession, elder_ids: Sequence[int]) -> Sequence[WorkOrder]:
    """Open orders of these elders, oldest first (ACD-17: listed in the pop)."""
    rows = await session.scalars(
        select(WorkOrder)
        .where(WorkOrder.elder_id.in_(elder_ids), WorkOrder.status.in_(OPEN))
        .order_by(WorkOrder.order_no)
    )
    return rows.all()


async def open_call_backs(session: AsyncSession, number: str) -> Sequence[WorkOrder]:
    """Open orders to call this number back: one that waits, and those that became a need."""
    rows = await session.scalars(
        select(WorkOrder).where(
            WorkOrder.call_back_no == number, WorkOrder.call_back_no != "",
            WorkOrder.status.in_(OPEN),
        )
    )  # fmt: skip
    return rows.all()


async def of_elder(session: AsyncSession, elder_id: int, limit: int = 20) -> Sequence[WorkOrder]:
    """The elder's newest orders, newest first."""
    rows = await session.scalars(
        select(WorkOrder)
        .where(WorkOrder.elder_id == elder_id)
        .order_by(WorkOrder.order_no.desc())
        .limit(limit)
    )
    return rows.all()


async def journal(session: AsyncSession, order_id: str) -> Sequence[Journal]:
    """What happened to the order, in order."""
    rows = await session.scalars(
        select(Journal)
        .where(Journal.process == "order", Journal.case_id == order_id)
        .order_by(Journal.id)
    )
    return rows.all()
