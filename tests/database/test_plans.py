"""Plans as they are kept: every version for good, one writer at a time, on record."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

import pytest

from sql.audit import Actor
from sql.models import PlanVersion
from sql.own_plans import own_plans
from sql.queries import plans
from tests.database.centre import NOW, Centre, after
from workflows.errors import NotFound, Outdated
from workflows.plan import Kind, Plan, Step, Text

OWN: Final = {plan.kind: plan for plan in own_plans()}
ZHOU: Final = Actor("周悦", "192.0.2.7", "change plans")
LI: Final = Actor("李敏", "192.0.2.8", "change plans")


def written(kind: Kind, version: int, text: str) -> Plan:
    return replace(
        OWN[kind],
        version=version,
        steps=(
            Step(id="call", text=Text(zh=text), role="A", is_mandatory=True),
            Step(id="stay", text=Text(zh="陪着老人"), role="B"),
        ),
    )


@pytest.fixture
async def brought(centre: Centre) -> Centre:
    await plans.bring(centre.database, OWN.values(), NOW)
    return centre


async def save(centre: Centre, plan: Plan, actor: Actor = ZHOU, seconds: float = 60) -> None:
    async with centre.database.writing() as session:
        await plans.save(session, plan, actor, after(seconds))


async def one(centre: Centre, kind: Kind, version: int | None = None) -> plans.KeptPlan:
    async with centre.database.reading() as session:
        return await plans.one(session, kind, version)


async def history(centre: Centre, kind: Kind) -> list[tuple[int, str]]:
    async with centre.database.reading() as session:
        return [(one.version, one.saved_by) for one in await plans.history(session, kind)]


async def test_a_new_home_has_a_plan_for_every_kind_as_version_1(brought: Centre) -> None:
    async with brought.database.reading() as session:
        kept = await plans.newest(session)
    assert [one.plan for one in kept] == list(OWN.values())
    assert {(one.plan.version, one.saved_by, one.saved_at) for one in kept} == {(1, "", NOW)}


async def test_another_start_brings_nothing_that_is_there(brought: Centre) -> None:
    before = await brought.everything()
    await plans.bring(brought.database, OWN.values(), after(3600))
    assert await brought.everything() == before


async def test_every_version_stays_as_it_was(brought: Centre) -> None:
    second, third = (written(Kind.FALL, n, f"叫 120，第 {n} 版") for n in (2, 3))
    await save(brought, second)
    await save(brought, third, LI, 90)
    now = await one(brought, Kind.FALL)
    assert (now.plan, now.saved_by, now.saved_at) == (third, "李敏", after(90))
    assert (await one(brought, Kind.FALL, 2)).plan == second
    assert (await one(brought, Kind.FALL, 1)).plan == OWN[Kind.FALL]
    assert await history(brought, Kind.FALL) == [(3, "李敏"), (2, "周悦"), (1, "")]
    assert await history(brought, Kind.FIRE) == [(1, "")], "the other plans are as they were"
    with pytest.raises(NotFound):
        await one(brought, Kind.FALL, 4)


async def test_who_saved_which_version_is_on_record_in_the_same_commit(brought: Centre) -> None:
    await save(brought, written(Kind.GAS, 2, "叫 119"))
    (entry,) = await brought.rows("SELECT * FROM audit_entry")
    assert (entry["by"], entry["address"], entry["permission"]) == (
        "周悦", "192.0.2.7", "change plans",
    )  # fmt: skip
    assert (entry["action"], entry["subject"], entry["subject_id"]) == ("changed", "plan", "gas")
    assert "1" in str(entry["before"])
    assert "2" in str(entry["after"])

    async def lose_the_power() -> None:
        async with brought.database.writing() as session:
            await plans.save(session, written(Kind.GAS, 3, "叫 110"), ZHOU, after(90))
            raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError):
        await lose_the_power()
    assert (await one(brought, Kind.GAS)).plan.version == 2
    assert len(await brought.rows("SELECT id FROM audit_entry")) == 1


async def test_whoever_saw_an_older_version_is_told_and_changes_nothing(brought: Centre) -> None:
    await save(brought, written(Kind.FIRE, 2, "叫 119"))
    for late in (written(Kind.FIRE, 2, "叫 110"), written(Kind.FIRE, 4, "叫 110")):
        with pytest.raises(Outdated, match="周悦 has saved version 2"):
            await save(brought, late, LI)
    assert await history(brought, Kind.FIRE) == [(2, "周悦"), (1, "")]


async def test_two_who_save_in_the_same_moment_make_one_version(brought: Centre) -> None:
    wishes = (
        save(brought, written(Kind.LOST, 2, "叫 110"), ZHOU),
        save(brought, written(Kind.LOST, 2, "叫家属"), LI),
    )
    results = await asyncio.gather(*wishes, return_exceptions=True)
    assert sorted(type(one).__name__ for one in results) == ["NoneType", "Outdated"]
    assert len(await history(brought, Kind.LOST)) == 2
    assert len(await brought.rows("SELECT id FROM audit_entry")) == 1


async def test_what_says_the_same_is_no_new_version(brought: Centre) -> None:
    await save(brought, replace(OWN[Kind.OTHER], version=2))
    assert await history(brought, Kind.OTHER) == [(1, "")]
    assert await brought.rows("SELECT id FROM audit_entry") == []


async def test_an_upgrade_words_it_better_where_nobody_has_written_a_plan(brought: Centre) -> None:
    await save(brought, written(Kind.FALL, 2, "叫 120"))
    better = [written(plan.kind, 1, "叫 120，说清地址") for plan in OWN.values()]
    await plans.bring(brought.database, better, after(3600))
    assert await history(brought, Kind.FALL) == [(2, "周悦"), (1, "")], "the centre's own stays"
    assert await history(brought, Kind.FIRE) == [(2, ""), (1, "")]
    assert (await one(brought, Kind.FIRE, 1)).plan == OWN[Kind.FIRE]
    assert (await one(brought, Kind.FIRE)).plan.steps == better[0].steps


async def test_two_machines_that_start_at_once_bring_each_plan_once(centre: Centre) -> None:
    starts = (plans.bring(centre.database, OWN.values(), NOW) for _ in range(3))
    await asyncio.gather(*starts)
    rows = await centre.rows("SELECT kind, version FROM plan_version")
    assert sorted((row["kind"], row["version"]) for row in rows) == sorted(
        (kind.value, 1) for kind in Kind
    )


async def test_a_kind_of_a_newer_careline_is_left_out(brought: Centre) -> None:
    async with brought.database.writing() as session:
        kept = await plans.one(session, Kind.FALL)
        session.add(PlanVersion(
            kind="earthquake", version=1, saved_by="", saved_at=kept.saved_at, body={},
        ))  # fmt: skip
    async with brought.database.reading() as session:
        assert [one.plan.kind for one in await plans.newest(session)] == list(Kind)
