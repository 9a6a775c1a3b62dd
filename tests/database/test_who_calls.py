"""Who calls is said by a person, and said anew: the call's row and its own orders follow."""

from __future__ import annotations

from tests.database.centre import Centre, after, answered, arrived, ended, need
from workflows.commands import ChooseOrder, CloseAnswered, NameCaller, TakeBackCaller

WHOSE = "SELECT id, elder_id FROM work_order ORDER BY id"
NEEDS = "SELECT id, elder_id FROM service_request ORDER BY id"


def named(elder_id: int, seconds: float) -> NameCaller:
    return NameCaller(case_id="c1", at=after(seconds), by="张敏", elder_id=elder_id)


async def whose(centre: Centre) -> dict[str, int | None]:
    """The elder of the call and of every order."""
    rows = await centre.rows(WHOSE)
    assert rows == await centre.rows(NEEDS), "an order and its need are one elder's"
    (call,) = await centre.rows("SELECT id, elder_id FROM call_record")
    return {row["id"]: row["elder_id"] for row in [call, *rows]}


async def test_the_call_and_its_own_orders_go_over_to_who_is_named(centre: Centre) -> None:
    wang, li = await centre.elder("王秀英"), await centre.elder("李建国", "+8613900000000")
    chen = await centre.elder("陈国富", "+8613700000000")
    await centre.play(need("tied", elder=chen, content="理发"), arrived(), answered(), ended())
    await centre.play(ChooseOrder(case_id="c1", at=after(5), by="张敏", order_id="tied"))
    assert await whose(centre) == {"c1": wang, "c1/order": wang, "tied": chen}
    await centre.play(named(li, 70))
    assert await whose(centre) == {"c1": li, "c1/order": li, "tied": chen}
    # Also when it is closed: what was said is on that elder's record.
    await centre.play(CloseAnswered(case_id="c1/order", at=after(80), by="张敏", answer="已答"))
    await centre.play(named(chen, 90))
    assert await whose(centre) == {"c1": chen, "c1/order": chen, "tied": chen}
    await centre.play(TakeBackCaller(case_id="c1", at=after(99), by="周悦"))
    assert await whose(centre) == {"c1": wang, "c1/order": wang, "tied": chen}
    closed = await centre.rows("SELECT status, outcome FROM work_order WHERE id = 'c1/order'")
    assert closed == [{"status": "closed", "outcome": "已答"}]
    record = await centre.rows(
        "SELECT action, by FROM audit_entry WHERE action LIKE '%Caller' ORDER BY id"
    )
    assert [(one["action"], one["by"]) for one in record] == [
        ("NameCaller", "张敏"), ("NameCaller", "张敏"), ("TakeBackCaller", "周悦"),
    ]  # fmt: skip


async def test_an_unknown_number_is_unknown_again(centre: Centre) -> None:
    li = await centre.elder("李建国", "+8613900000000")
    await centre.play(arrived(), answered(), named(li, 20), ended())
    assert await whose(centre) == {"c1": li, "c1/order": li}
    await centre.play(TakeBackCaller(case_id="c1", at=after(99), by="张敏"))
    assert await whose(centre) == {"c1": None, "c1/order": None}
