"""The read-out cards of a number: whose it is, what is known of them, and who can be called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, event, insert, text

from cards import responders_of
from settings import Settings
from sql import codec
from sql.audit import Actor
from sql.engine import Database
from sql.models import ContactPhone, Elder, ElderContact, ElderPhone, Terminal
from sql.registers import elders as register
from sql.registers.elders import Contact, Device, Entry
from sql.rescue_cards import card_for, kind_of
from tests.database.centre import NOW, NUMBER, Centre
from workflows.card import RESCUE, Card, PartyKind
from workflows.errors import StoreDown

ZONE: Final = ZoneInfo("Asia/Shanghai")
LINE: Final = "+863742601001"
KEY: Final = "+8613700000009"
MANY: Final = 10_000
FIRST: Final = 1000
SETTINGS: Final = Settings.model_validate(
    {
        "sites": [{"code": "main"}, {"code": "south"}],
        "responders": [
            {"code": "st", "kind": "station", "name": "枣园养护站", "number": "0374-2610000"},
            {"code": "ward", "kind": "hospital", "name": "区医院", "number": "2610002"},
            {"code": "far", "kind": "other", "name": "南站", "number": "96111", "site": "south"},
        ],
    }
)
FIELDS: Final = {
    "full_name": "王桂兰", "sex": "female", "birth_date": date(1948, 6, 16), "site": "main",
    "user_status": "active", "living_arrangement": "alone", "addr_district": "青禾区",
    "addr_street": "槐荫街道", "addr_compound": "枣园小区", "addr_building": "12号楼",
    "addr_unit": "1单元", "addr_floor": "5层", "addr_room": "503", "landmark": "社区卫生站隔壁",
    "entry_route": "单元门在北面，上楼右手边。", "entry_route_checked_on": date(2026, 2, 3),
    "risk_plan": "听不清敲门声。", "main_diseases": "高血压", "medication_state": "降压药",
    "remark": "说话要大声。",
}  # fmt: skip


def contact(name: str, relation: str, *numbers: str, place: int, first: bool = True) -> Contact:
    return Contact(None, name, relation, place, first, [(one, one) for one in numbers])


async def entered(
    centre: Centre, numbers: Sequence[str] = (NUMBER,), contacts: Sequence[Contact] = (),
    terminals: Sequence[Device] = (), **fields: Any,
) -> Elder:  # fmt: skip
    """An elder whom somebody entered."""
    entry = Entry(
        fields=FIELDS | fields, numbers=[(one, one) for one in numbers], contacts=contacts,
        terminals=terminals,
    )  # fmt: skip
    async with centre.database.writing() as session:
        return await register.enter(session, Actor("张敏"), entry, NOW)


async def cards(centre: Centre, **asked: Any) -> tuple[Card, ...]:
    responders, zone = responders_of(SETTINGS), SETTINGS.centre.zone
    return await card_for(centre.database, responders, zone, **({"at": NOW} | asked))


async def named(centre: Centre, **asked: Any) -> list[str]:
    return [card.name for card in await cards(centre, **asked)]


def around(card: Card) -> list[tuple[str, str, tuple[str, ...]]]:
    """Who can be called beside the rescue services: kind, name and numbers."""
    assert card.parties[: len(RESCUE)] == RESCUE
    return [(one.kind.value, one.name, one.numbers) for one in card.parties[len(RESCUE) :]]


async def test_the_card_has_all_that_the_register_knows(centre: Centre) -> None:
    elder = await entered(centre, [LINE])
    (card,) = await cards(centre, number=LINE)
    assert card == Card(
        elder_id=elder.id, uid=elder.elder_uid, name="王桂兰", sex="female", age=77,
        district="青禾区", street="槐荫街道", compound="枣园小区", building="12号楼", unit="1单元",
        floor="5层", room="503", landmark="社区卫生站隔壁",
        entry_route="单元门在北面，上楼右手边。", entry_route_checked_on=date(2026, 2, 3),
        diseases="高血压", medication="降压药",
        risk_plan="听不清敲门声。", living="alone", call_back=LINE, terminal_type="", site="main",
        has_agreement=None, parties=card.parties,
    )  # fmt: skip
    assert codec.load(Card, codec.dump(card)) == card
    assert around(card) == [
        ("station", "枣园养护站", ("+863742610000",)), ("hospital", "区医院", ("+863742610002",)),
    ]  # fmt: skip
    assert [one.key for one in card.parties[len(RESCUE) :]] == ["responder/st", "responder/ward"]


async def test_two_elders_of_one_number_have_a_card_each(centre: Centre) -> None:
    await entered(centre, full_name="王桂兰", user_status="deceased")
    await entered(centre, full_name="李建国")
    await entered(centre, ["+8613900000000"], full_name="陈国富")
    # Whoever still lives there comes first; the other's address is theirs too.
    assert await named(centre, number=NUMBER) == ["李建国", "王桂兰"]


async def test_nobody_is_known_by_a_strangers_number(centre: Centre) -> None:
    await entered(centre)
    for number in ("+8613900000000", "", "x", "' OR 1=1 --", None):
        assert await cards(centre, number=number) == ()
    assert await cards(centre, elder_id=99) == ()


async def test_a_terminal_calls_for_its_elder(centre: Centre) -> None:
    devices = [
        Device(None, "T1", "smoke_alarm", None, "active"),
        Device(None, "T2", "nursing_bed", ("+8613700000001", "1"), "active"),
        Device(None, "T3", "fall_alarm", (KEY, KEY), "active"),
        Device(None, "T4", "one_key", ("+8613700000002", "2"), "retired"),
    ]
    elder = await entered(centre, [LINE], terminals=devices)
    for asked, said in (
        ({"number": KEY}, (KEY, "fall_alarm")),
        # A telephone calls: the terminal is the first that could.
        ({"number": LINE}, (LINE, "nursing_bed")),
        ({"elder_id": elder.id}, (LINE, "nursing_bed")),
        ({"elder_id": elder.id, "number": "+8613611112222"}, ("+8613611112222", "nursing_bed")),
    ):
        (card,) = await cards(centre, **asked)
        assert (card.call_back, card.terminal_type) == said, asked
    assert await cards(centre, number="+8613700000002") == ()


async def test_contacts_come_in_the_order_in_which_they_are_called(centre: Centre) -> None:
    elder = await entered(
        centre,
        contacts=[
            contact("甲", "邻居", "+8613900000001", place=1, first=False),
            contact("乙", "女儿", "+8613900000002", "+863742600002", place=2),
            contact("丙", "居委会", "+8613900000003", place=3),
            contact("丁", "社区医生", "120", "+8613900000004", "0119", place=4, first=False),
        ],
    )
    await entered(centre, ["+8613811111111"], [contact("别家", "儿子", "+8613900000009", place=1)])
    (card,) = await cards(centre, number=NUMBER)
    assert around(card)[:4] == [
        ("contact", "乙", ("+8613900000002", "+863742600002")),
        ("committee", "丙", ("+8613900000003",)),
        ("neighbour", "甲", ("+8613900000001",)),
        # A number for help is dialled by the site alone.
        ("doctor", "丁", ("+8613900000004",)),
    ]
    ids = {one.name: f"contact/{one.id}" for one in elder.contacts}
    assert {one.name: one.key for one in card.parties if one.name in ids} == ids
    assert [one.relation for one in card.parties[3:5]] == ["女儿", "居委会"]
    # What a test call did not reach is tried last.
    async with centre.database.writing() as session:
        again = await register.for_change(session, elder.elder_uid)
        assert again is not None
        daughter = next(one for one in again.contacts if one.name == "乙")
        await register.note_test(session, Actor("张敏"), again, daughter.phones[0].id, False, NOW)
    (card,) = await cards(centre, number=NUMBER)
    assert around(card)[0] == ("contact", "乙", ("+863742600002", "+8613900000002"))


async def test_a_contact_without_a_number_is_shown_all_the_same(centre: Centre) -> None:
    await entered(centre, contacts=[contact("乙", "女儿", place=1)])
    (card,) = await cards(centre, number=NUMBER)
    assert around(card)[0] == ("contact", "乙", ())


async def test_responders_are_those_of_the_elders_own_site(centre: Centre) -> None:
    async with centre.database.writing() as session:
        await session.execute(text("INSERT INTO site (code, name) VALUES ('south', '南')"))
    await entered(centre, site="south")
    (card,) = await cards(centre, number=NUMBER)
    assert around(card) == [("other", "南站", ("96111",))]


async def test_the_age_is_counted_on_the_centres_day(centre: Centre) -> None:
    await entered(centre)
    for at, age in (
        (datetime(2026, 6, 15, 15, 59, tzinfo=UTC), 77),
        (datetime(2026, 6, 15, 16, 0, tzinfo=UTC), 78),
    ):
        (card,) = await cards(centre, number=NUMBER, at=at)
        assert card.age == age
    await entered(centre, ["+8613811111111"], birth_date=None)
    (card,) = await cards(centre, number="+8613811111111")
    assert card.age is None


@pytest.mark.parametrize(
    ("relation", "kind"),
    [
        ("邻居", "neighbour"), ("对门邻居（退休医生）", "neighbour"), ("居委会主任", "committee"),
        ("枣园驿站", "station"), ("家庭医生", "doctor"), ("社区卫生服务站", "hospital"),
        ("小区物业", "property"), ("女儿", "contact"), ("儿子（医生）", "contact"),
        ("孙医生", "doctor"), ("结对社工", "contact"), ("", "contact"), (" Neighbour", "neighbour"),
    ],
)  # fmt: skip
def test_a_relation_says_what_somebody_is(relation: str, kind: str) -> None:
    assert kind_of(relation) is PartyKind(kind)


async def test_without_a_database_it_says_so(centre: Centre) -> None:
    async with centre.database.writing() as session:
        await session.execute(text("ALTER TABLE elder_contact RENAME TO somewhere"))
    with pytest.raises(StoreDown):
        await cards(centre, number=NUMBER)


# ── ten thousand elders ──────────────────────────────────────────────────────────────────────────


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    said: list[str] = []

    def note(*words: Any) -> None:
        if words[2].lstrip().startswith("SELECT"):
            said.append(words[2])

    event.listen(Engine, "before_cursor_execute", note)
    yield said
    event.remove(Engine, "before_cursor_execute", note)


async def fill(database: Database) -> None:
    """Ten thousand elders with a number, a terminal and two contacts each."""
    everybody = range(FIRST, FIRST + MANY)
    twice = [(2 * one + place, one, place) for one in everybody for place in (0, 1)]
    home = {name: value for name, value in FIELDS.items() if name != "full_name"}
    rows: list[tuple[type, list[dict[str, Any]]]] = [
        (Elder, [{"id": one, "elder_uid": f"E{one:06d}", "full_name": f"试{one}", "version": 1,
                  "created_at": NOW, **home} for one in everybody]),
        (ElderPhone, [{"elder_id": one, "number": f"+86138{one:08d}", "raw": ""}
                      for one in everybody]),
        (Terminal, [{"elder_id": one, "serial_no": f"T{one}", "type": "one_key",
                     "phone_no": f"+86137{one:08d}", "phone_raw": "", "status": "active"}
                    for one in everybody]),
        (ElderContact, [{"id": id_, "elder_id": one, "name": f"亲{id_}", "relation": "女儿",
                         "priority": place + 1, "is_emergency": True}
                        for id_, one, place in twice]),
        (ContactPhone, [{"contact_id": id_, "number": f"+86139{id_:08d}", "raw": ""}
                        for id_, _, _ in twice]),
    ]  # fmt: skip
    for model, some in rows:
        async with database.writing("ten thousand") as session:
            await session.execute(insert(model), some)
    if not database.is_sqlite:
        # As the server does by itself a minute later.
        async with database.writing("ten thousand") as session:
            await session.execute(text("ANALYZE"))


async def test_a_card_takes_two_statements(centre: Centre) -> None:
    await fill(centre.database)
    ways: tuple[dict[str, Any], ...] = (
        {"number": f"+86138{FIRST + 1:08d}"},
        {"number": f"+86137{FIRST + 1:08d}"},
        {"elder_id": FIRST + 1},
    )
    for way in ways:
        with statements() as said:
            (card,) = await card_for(centre.database, {}, ZONE, at=NOW, **way)
        assert (card.name, len(around(card)), len(said)) == (f"试{FIRST + 1}", 2, 2)
