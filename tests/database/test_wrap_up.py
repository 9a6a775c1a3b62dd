"""A call's wrap-up in its row, in the journal and on record; what was typed before is no fact."""

from __future__ import annotations

import pytest

from sql.queries import calls
from tests.database.centre import Centre, after, answered, arrived, ended
from workflows.commands import JudgeRequest, WrapUpCall
from workflows.errors import NotAllowed
from workflows.events import CallClass

KEPT = "SELECT call_class, wrap_up_note, wrapped_up_by FROM call_record"
HOSTILE = "'%_\"; DROP TABLE call_record; -- <script> 药 👵🏻"


def wish(id_: str, by: str, note: str, seconds: float = 60, **more: object) -> WrapUpCall:
    return WrapUpCall(
        case_id="c1", at=after(seconds), by=by, wrap_up_id=id_,
        call_class=CallClass.LIFE_SERVICE, note=note, **more,  # type: ignore[arg-type]
    )  # fmt: skip


async def test_what_the_call_was_about_stands_in_its_row_and_on_record(centre: Centre) -> None:
    first = wish("w1", "张敏", HOSTILE)
    await centre.play(arrived(), answered(), ended(at=after(50)), first, first)
    assert await centre.rows(KEPT) == [
        {"call_class": "life_service", "wrap_up_note": HOSTILE, "wrapped_up_by": "张敏"}
    ]
    with pytest.raises(NotAllowed):
        await centre.play(wish("w2", "周悦", "没看见张敏的", 90))
    await centre.play(wish("w3", "周悦", "补充", 99, replaces=first.at))
    (row,) = await centre.rows(KEPT)
    assert (row["wrap_up_note"], row["wrapped_up_by"]) == ("补充", "周悦")
    who = await centre.rows("SELECT by FROM audit_entry WHERE action = 'WrapUpCall' ORDER BY id")
    assert [one["by"] for one in who] == ["张敏", "张敏", "周悦"]


async def test_the_owed_order_learns_whose_it_is_when_it_is_judged(centre: Centre) -> None:
    await centre.play(arrived(), answered(), ended())
    elder = await centre.elder("王秀英")
    judged = JudgeRequest(
        case_id="c1/order", at=after(70), by="张敏", content="送餐", requirement="", elder_id=elder
    )
    await centre.play(judged, judged)
    assert await centre.rows("SELECT elder_id, content, status FROM work_order") == [
        {"elder_id": elder, "content": "送餐", "status": "generated"}
    ]


async def test_a_draft_is_each_persons_own_and_no_line_of_the_journal(centre: Centre) -> None:
    await centre.play(arrived())
    before = await centre.rows("SELECT id FROM journal")
    async with centre.database.writing() as session:
        for note in ("药", "药费", HOSTILE):
            await calls.keep_draft(session, "c1", "张敏", {"note": note}, after(3))
    async with centre.database.writing() as session:
        assert await calls.draft(session, "c1", "张敏") == {"note": HOSTILE}
        assert await calls.draft(session, "c1", "周悦") == {}
        await calls.drop_draft(session, "c1", "张敏")
        assert await calls.draft(session, "c1", "张敏") == {}
    assert await centre.rows("SELECT id FROM journal") == before
