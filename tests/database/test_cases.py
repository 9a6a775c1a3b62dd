"""Emergencies as lists read them: written with each step, chosen by what they wait for, quick."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from alembic import command
from sqlalchemy import create_engine, insert, text

from sql import codec
from sql.filling import Step, fill
from sql.migrate import alembic_config, sync_url, upgrade
from sql.models import Case
from sql.queries import cases
from sql.queries.cases import Wanted
from sql.writes import table_of
from tests.database.centre import NOW, Centre, after, arrived
from workflows import emergency
from workflows.card import Card
from workflows.commands import CloseCase, FollowUp, WriteRecord
from workflows.emergency_facts import Emergency
from workflows.events import CardsRead, CaseOutcome, ElderGone, Event, RoomOpened

BY: Final = {"by": "测试坐席"}


class Telling:
    """One emergency, filled into the database step by step as the controller does."""

    def __init__(self, centre: Centre, case_id: str, *, elder: int | None = None) -> None:
        self.centre, self.id, self.seq = centre, case_id, 0
        self.case: Emergency | None = None
        self.card = Card(elder_id=elder, uid="E1", name="测试老人甲") if elder else None

    async def tell(self, kind: type[Event], seconds: float, **more: Any) -> Emergency:
        event = kind(case_id=self.id, at=after(seconds), **more)
        case: Any = self.case or emergency.begin(event)
        done, effects = emergency.step(case, event)
        self.seq += 1
        step = Step(
            seq=self.seq, event=event, before=case.state.value, after=done, effects=tuple(effects)
        )
        await fill(self.centre.store, emergency.PROCESS, step)
        self.case = done
        return done

    async def begin(self) -> None:
        await self.tell(RoomOpened, 0, caller="+8613800000000")
        if self.card:
            await self.tell(CardsRead, 1, cards=(self.card,))

    async def end(self) -> None:
        await self.tell(ElderGone, 60)

    async def record(self) -> None:
        await self.tell(WriteRecord, 100, text="120 已送医", **BY)

    async def close(self) -> None:
        await self.tell(CloseCase, 200, outcome=CaseOutcome.RESCUED, changes="无变更", **BY)

    async def follow_up(self) -> None:
        await self.tell(FollowUp, 300, text="在家休养", **BY)


async def shown(
    centre: Centre, choice: str = "", now: datetime = NOW, *, words: str = "", outcome: str = ""
) -> list[str]:
    async with centre.database.reading() as session:
        wanted = Wanted(choice=choice, text=words, outcome=outcome)
        return [line.case.id for line in await cases.latest(session, wanted, now)]


async def test_each_step_brings_a_case_to_the_list_in_which_it_waits(centre: Centre) -> None:
    one = Telling(centre, "n-1.1")
    soon, later = after(400), after(48 * 3600)
    await one.begin()
    assert await shown(centre, "open", soon) == ["n-1.1"]
    assert await shown(centre, "record", soon) == []
    await one.end()
    assert await shown(centre, "record", soon) == ["n-1.1"]
    # Half an hour after the end of the call its record is overdue, and not before.
    assert await shown(centre, "overdue", after(60 + 1799)) == []
    assert await shown(centre, "overdue", after(60 + 1800)) == ["n-1.1"]
    await one.record()
    assert await shown(centre, "record", soon) == []
    assert await shown(centre, "close", soon) == ["n-1.1"]
    await one.close()
    assert await shown(centre, "open", soon) == []
    assert await shown(centre, "follow-up", soon) == ["n-1.1"]
    assert await shown(centre, "overdue", later - timedelta(seconds=1)) == []
    assert await shown(centre, "overdue", later) == ["n-1.1"]
    assert await shown(centre, outcome="rescued") == ["n-1.1"]
    assert await shown(centre, outcome="test") == []
    await one.follow_up()
    for choice in cases.CHOICES:
        assert await shown(centre, choice, later) == [], choice
    assert await shown(centre) == ["n-1.1"]
    async with centre.database.reading() as session:
        assert await cases.counts(session, later) == dict.fromkeys(cases.CHOICES, 0)


async def test_a_case_that_nobody_has_closed_is_late_for_its_follow_up_too(centre: Centre) -> None:
    one = Telling(centre, "n-1.1")
    await one.begin()
    await one.end()
    assert await shown(centre, "follow-up", after(3600)) == []
    assert await shown(centre, "follow-up", after(48 * 3600)) == ["n-1.1"]
    async with centre.database.reading() as session:
        counted = await cases.counts(session, after(48 * 3600))
    assert counted == {"open": 1, "record": 1, "close": 0, "follow-up": 1, "overdue": 1}


async def test_a_step_that_is_filled_in_twice_changes_nothing(centre: Centre) -> None:
    one = Telling(centre, "n-1.1")
    await one.begin()
    await one.record()
    before = await centre.everything()
    one.seq -= 1
    step = Step(
        seq=one.seq + 1, event=WriteRecord(case_id="n-1.1", at=after(100), text="120 已送医", **BY),
        before="alone", after=one.case, effects=(),
    )  # fmt: skip
    await fill(centre.store, emergency.PROCESS, step)
    assert await centre.everything() == before


async def test_an_elder_has_every_case_with_what_was_changed_also_one_named_later(
    centre: Centre,
) -> None:
    elder = await centre.elder("测试老人甲", "+8613800000001")
    known = Telling(centre, "n-1.1", elder=elder)
    await known.begin()
    await known.end()
    await known.record()
    await known.close()
    # The second one called from a number that was entered with the elder only afterwards.
    await centre.play(arrived("n-2.1", caller="+8613800000001", at=after(500)))
    unknown = Telling(centre, "n-2.1")
    await unknown.begin()
    async with centre.database.reading() as session:
        found = await cases.of_elder(session, elder)
    assert {line.case.id: line.case.changes for line in found} == {"n-1.1": "无变更", "n-2.1": ""}
    assert {line.who for line in found} == {"测试老人甲"}
    for words in ("测试老人", "13800000000"):
        assert set(await shown(centre, words=words)) == {"n-1.1", "n-2.1"}
    assert await shown(centre, words="n-2.1") == ["n-2.1"]
    assert await shown(centre, words="n_2.1") == []
    assert await shown(centre, words="没有这个人") == []


async def test_the_journal_of_a_case_is_that_of_its_call_too_in_order(centre: Centre) -> None:
    await centre.play(arrived("n-1.1"))
    one = Telling(centre, "n-1.1")
    await one.begin()
    await one.end()
    async with centre.database.reading() as session:
        told = await cases.journal(session, "n-1.1")
        case = await cases.one(session, "n-1.1")
        assert await cases.one(session, "n-9.9") is None
    assert [entry.event for entry in told] == ["CallArrived", "RoomOpened", "ElderGone"]
    assert case == one.case


async def test_what_is_typed_is_kept_for_each_person_alone(centre: Centre) -> None:
    async with centre.database.writing() as session:
        await cases.keep_draft(session, "n-1.1", "甲", {"record": "甲写的"}, NOW)
        await cases.keep_draft(session, "n-1.1", "甲", {"record": "甲改的"}, NOW)
    async with centre.database.reading() as session:
        assert await cases.draft(session, "n-1.1", "甲") == {"record": "甲改的"}
        assert await cases.draft(session, "n-1.1", "乙") == {}
        assert await cases.draft(session, "n-1.2", "甲") == {}
    async with centre.database.writing() as session:
        await cases.drop_draft(session, "n-1.1", "甲")
    async with centre.database.reading() as session:
        assert await cases.draft(session, "n-1.1", "甲") == {}


async def test_a_hostile_name_or_number_does_not_keep_a_case_out_of_the_list(
    centre: Centre,
) -> None:
    one = Telling(centre, "n-1.1")
    one.card = Card(uid="E1", name="长" * 500 + "'; DROP TABLE emergency; --")
    await one.tell(RoomOpened, 0, caller="9" * 300)
    await one.tell(CardsRead, 1, cards=(one.card,))
    assert await shown(centre) == ["n-1.1"]
    for words in ("'", "%", "_", "\\", "长" * 64):
        await shown(centre, words=words)


def test_emergencies_before_this_version_are_in_the_list(empty_url: str) -> None:
    """One that was over before there was a closing asks for none now."""
    config = alembic_config(empty_url)
    command.upgrade(config, "0011")
    both = (
        Card(uid="E1", name="测试老人甲", elder_id=7),
        Card(uid="E2", name="测试老人乙", elder_id=8),
    )
    body = codec.dump(Emergency(id="n-1.1", opened_at=NOW, caller="+8613800000000", cards=both))
    engine = create_engine(sync_url(empty_url))
    with engine.begin() as connection:
        for case_id, is_over in (("n-1.1", False), ("n-2.1", True)):
            row = {
                "process": "emergency", "id": case_id, "state": "alone", "is_over": is_over,
                "version": 1, "body": body, "changed_at": NOW,
            }  # fmt: skip
            connection.execute(insert(table_of(Case)), row)
    upgrade(empty_url)
    with engine.connect() as connection:
        rows = {
            row["id"]: row for row in connection.execute(text("SELECT * FROM emergency")).mappings()
        }
    engine.dispose()
    assert {key: row["stage"] for key, row in rows.items()} == {
        "n-1.1": "open", "n-2.1": "followed up",
    }  # fmt: skip
    assert rows["n-1.1"]["elder_name"] == "测试老人甲、测试老人乙"
    assert rows["n-1.1"]["elder_id"] is None, "nobody has said which of the two it is"
