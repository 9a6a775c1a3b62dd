"""The record of what people did: complete, in the same commit, and never changed afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from sql import audit
from sql.audit import Actor
from sql.filling import Step, fill
from sql.models import AuditEntry
from tests.database.centre import NOW, Centre, after, answered, arrived, need
from workflows import emergency
from workflows.commands import CallAgain, CancelOrder, JudgeRequest
from workflows.errors import NotAllowed, StoreDown
from workflows.events import RoomOpened

ZHOU = Actor("周悦", "192.0.2.7", "write orders")


async def entries(centre: Centre) -> list[AuditEntry]:
    async with centre.database.reading() as session:
        return list(await session.scalars(select(AuditEntry).order_by(AuditEntry.id)))


async def test_what_is_done_to_an_order_says_who_when_what_before_and_after(centre: Centre) -> None:
    judged = JudgeRequest(
        case_id="o1", at=after(60), by="周悦", address="192.0.2.7", permission="write orders",
        content="送药", requirement="早上",
    )  # fmt: skip
    withdrawn = CancelOrder(case_id="o1", at=after(90), by="张敏", reason="女儿来了")
    await centre.play(arrived(), answered(), need("o1"), judged, withdrawn)
    first, second = await entries(centre)
    assert (first.by, first.at, first.address, first.permission) == (
        "周悦", after(60), "192.0.2.7", "write orders",
    )  # fmt: skip
    assert (first.subject, first.subject_id, first.action) == ("order", "o1", "JudgeRequest")
    assert (first.before["content"], first.after["content"]) == ("", "送药")
    assert (first.before["state"], first.after["state"]) == ("accepted", "generated")
    assert "order_no" not in first.after, "what stays the same is not repeated"
    assert (second.by, second.why, second.after["state"]) == ("张敏", "女儿来了", "cancelled")


async def test_what_was_refused_leaves_no_trace_of_a_change(centre: Centre) -> None:
    await centre.play(need("o1"))
    with pytest.raises(NotAllowed):
        await centre.play(JudgeRequest(case_id="o1", at=NOW, by="周悦", content="", requirement=""))
    assert await entries(centre) == []


async def test_a_change_that_fails_takes_its_entry_with_it(centre: Centre) -> None:
    async def lose_the_power() -> None:
        async with centre.database.writing() as session:
            audit.note(session, ZHOU, NOW, "changed", "elder", "E000001", after={"a": 1})
            await session.flush()
            raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError):
        await lose_the_power()
    assert await entries(centre) == []


async def test_an_emergency_s_command_is_on_record_once(centre: Centre) -> None:
    wish = CallAgain(case_id="n-1.1", at=after(5), by="周悦", address="192.0.2.7")
    opened = RoomOpened(case_id="n-1.1", at=NOW)
    first, effects = emergency.step(emergency.begin(opened), opened)
    steps = (
        Step(1, opened, "", first, tuple(effects)),
        Step(2, wish, first.state.value, replace(first, is_left=True), ()),
    )
    for step in (*steps, steps[1]):
        await fill(centre.store, emergency.PROCESS, step)
    (entry,) = await entries(centre)
    assert (entry.by, entry.action, entry.subject) == ("周悦", "CallAgain", "emergency")
    assert (entry.before, entry.after) == ({"is_left": False}, {"is_left": True})


@pytest.mark.row("AUD-01", part="desk")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET by = '别人'",
        "DELETE FROM audit_entry",
        "INSERT OR REPLACE INTO audit_entry SELECT * FROM audit_entry",
        "TRUNCATE audit_entry",
    ],
)
async def test_the_database_refuses_to_change_the_record(centre: Centre, statement: str) -> None:
    ours = {"INSERT": centre.database.is_sqlite, "TRUNCATE": not centre.database.is_sqlite}
    if not ours.get(statement.split(maxsplit=1)[0], True):
        # The other database's word: this one knows no such thing.
        with pytest.raises((DBAPIError, StoreDown)):
            async with centre.database.writing() as session:
                await session.execute(text(statement))
        return
    async with centre.database.writing() as session:
        audit.note(session, ZHOU, NOW, "changed", "elder", "E000001", before={"a": 1})
    before = await centre.rows("SELECT * FROM audit_entry")
    with pytest.raises((DBAPIError, StoreDown), match="only added to"):
        async with centre.database.writing() as session:
            await session.execute(text(statement))
    assert await centre.rows("SELECT * FROM audit_entry") == before
    assert len(before) == 1
