"""Who reached nobody is called back: one order that waits for a number, closed by a person."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.database.centre import Centre, after, answered, arrived, ended, queued
from workflows.commands import CloseAnswered, JudgeRequest
from workflows.errors import NotAllowed
from workflows.events import CallVanished, Entry, Event

OTHER = "+8613800000077"
ORDERS = "SELECT id, origin, call_back_no, status FROM work_order ORDER BY order_no"
TIES = "SELECT call_id, order_id FROM call_order ORDER BY call_id"


async def test_a_second_missed_call_joins_the_open_call_back(centre: Centre) -> None:
    for id_ in ("c1", "c2"):
        await centre.play(arrived(id_), queued(id_), ended(id_))
    await centre.play(arrived("c3", OTHER), ended("c3"))
    rows = await centre.rows(ORDERS)
    assert [(r["id"], r["origin"], r["status"]) for r in rows] == [
        ("c1/call-back", "call_back", "accepted"), ("c3/call-back", "call_back", "accepted"),
    ]  # fmt: skip
    assert [tuple(tie.values()) for tie in await centre.rows(TIES)] == [
        ("c1", "c1/call-back"), ("c2", "c1/call-back"), ("c3", "c3/call-back"),
    ]  # fmt: skip
    channels = await centre.rows("SELECT DISTINCT channel FROM service_request")
    assert channels == [{"channel": "hotline"}]


async def test_closing_needs_an_outcome_and_the_next_missed_call_opens_another(
    centre: Centre,
) -> None:
    await centre.play(arrived("c1"), ended("c1"))
    closing = {"case_id": "c1/call-back", "at": after(60), "by": "张敏"}
    with pytest.raises(NotAllowed):
        await centre.play(CloseAnswered(**closing, answer="  "))  # type: ignore[arg-type]
    await centre.play(CloseAnswered(**closing, answer="已回拨，无事"))  # type: ignore[arg-type]
    await centre.play(arrived("c2"), ended("c2"))
    statuses = [(row["id"], row["status"]) for row in await centre.rows(ORDERS)]
    assert statuses == [("c1/call-back", "closed"), ("c2/call-back", "accepted")]


async def test_a_call_back_that_became_a_need_hides_no_later_missed_call(centre: Centre) -> None:
    """Called back, the elder wanted a plumber; that order stays open for days."""
    await centre.play(arrived("c1"), ended("c1"))
    await centre.play(
        JudgeRequest(
            case_id="c1/call-back", at=after(60), by="张敏", content="漏水", requirement="今天"
        )
    )
    for id_ in ("c2", "c3"):
        await centre.play(arrived(id_), ended(id_))
    statuses = [(row["id"], row["status"]) for row in await centre.rows(ORDERS)]
    assert statuses == [("c1/call-back", "generated"), ("c2/call-back", "accepted")]
    assert [tuple(tie.values()) for tie in await centre.rows(TIES)] == [
        ("c1", "c1/call-back"), ("c2", "c2/call-back"), ("c3", "c2/call-back"),
    ]  # fmt: skip


async def test_missed_calls_at_the_same_moment_open_one(centre: Centre) -> None:
    ids = [f"c{number}" for number in range(6)]
    for id_ in ids:
        await centre.play(arrived(id_))
    await asyncio.gather(*(centre.play(ended(id_)) for id_ in ids))
    assert len(await centre.rows(ORDERS)) == 1
    assert len(await centre.rows(TIES)) == len(ids)


URGENT = "SELECT id, status, is_urgent FROM work_order ORDER BY order_no"
ALARMS = "SELECT key FROM alarm WHERE kind = 'call back' AND ended_at IS NULL ORDER BY key"


def help_wanted(id_: str, caller: str = OTHER) -> Event:
    return replace(arrived(id_, caller), entry=Entry.EMERGENCY)  # type: ignore[call-arg]


async def open_alarms(centre: Centre) -> list[str]:
    return [row["key"] for row in await centre.rows(ALARMS)]


async def test_emergencies_that_came_to_nothing_are_one_urgent_call_back_until_a_person_acts(
    centre: Centre,
) -> None:
    """The number was missed on the hotline before; the emergencies join that order."""
    await centre.play(arrived("c1", OTHER), ended("c1"))
    await centre.play(help_wanted("c2"), ended("c2"))
    await centre.play(help_wanted("c3"), answered("c3"), CallVanished(case_id="c3", at=after(9)))
    orders = await centre.rows(URGENT)
    waiting = [row["id"] for row in orders if row["status"] == "accepted"]
    assert waiting == ["c1/call-back", "c3/order"], "the talk has its own order"
    assert [bool(row["is_urgent"]) for row in orders] == [True, False]
    assert await open_alarms(centre) == ["call back/c2", "call back/c3"]
    await centre.play(
        CloseAnswered(case_id="c1/call-back", at=after(60), by="张敏", answer="已回拨，家属已到")
    )
    assert await open_alarms(centre) == []
    await centre.play(help_wanted("c4"), answered("c4"), ended("c4"))
    assert await open_alarms(centre) == [], "who was helped is not called back"
    await centre.play(help_wanted("c5"), ended("c5"))
    assert await open_alarms(centre) == ["call back/c5"]
