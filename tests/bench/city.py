"""A city of invented elders and the calls of its last two years, put straight into a database.

One real call, told to the real runner before, is the pattern: what it left in the journal, the
cases and the record is written once more for every invented call. Nothing here comes by chance: it
is the same city each time.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Table,
    create_engine,
    event,
    insert,
    literal,
    select,
    text,
)

from sql.migrate import sync_url
from sql.models import (
    AuditEntry,
    Base,
    CallLeg,
    CallOrder,
    CallRecord,
    Case,
    ContactPhone,
    Elder,
    ElderContact,
    ElderPhone,
    EmergencyCase,
    Journal,
    Recording,
    ServiceRequest,
    Terminal,
    WorkOrder,
)
from sql.queries.elders import uid_of
from sql.writes import table_of

CALLS_EACH: Final = 10
"""Calls for every elder, on the average."""
SPAN: Final = timedelta(days=730)
SEATS: Final = 50
FIRST_SEAT: Final = 1001
AT_ONCE: Final = 5000
FIRST_ELDER: Final = 2
"""The first elder is the one of the pattern."""
WRITE_BACK: Final = "PRAGMA wal_checkpoint(TRUNCATE)"
STRANGERS: Final = 0.12
"""Calls from numbers that belong to nobody."""

FAMILY_NAMES: Final = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
GIVEN_NAMES: Final = "英兰芳秀珍玉梅桂荣淑华建国明德福贵祥安康宁平和顺"
STREETS: Final = ("试验东街", "试验西街", "样板路", "虚构大道", "例子巷")
RELATIONS: Final = ("女儿", "儿子", "邻居", "居委会")
NEEDS: Final = (
    "送餐", "理发", "助浴", "陪诊", "代购药品", "修水管", "换灯泡", "通下水道", "量血压", "打扫",
    "修电视", "搬家具", "办老年卡", "取快递", "陪聊天", "修门锁", "洗衣服", "修轮椅", "接送复查",
    "安装扶手",
)  # fmt: skip
HOW: Final = (
    "周一上午", "周五下午", "先打电话", "敲门要重", "带零钱", "找不到就问门卫", "老人耳背，慢慢说",
    "两个人来", "晚饭前到", "不要按门铃",
)  # fmt: skip
CLASSES: Final = {
    "life_service": 45, "consultation": 35, "other": 10, "no_response": 5, "emergency": 2, "": 3,
}  # fmt: skip
RESULTS: Final = {"answered": 85, "abandoned": 10, "no_answer": 3, "busy": 1, "failed": 1}
OUTCOMES: Final = ("rescued", "rescued", "cancelled", "misoperation", "test")
STAGES: Final = ("open", "recorded", "closed")
OPEN_CASES: Final = 60
"""The newest emergencies, which still wait for somebody's word."""
STATES: Final = {"closed": 80, "cancelled": 10, "generated": 7, "accepted": 3}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pattern:
    """The real call, by its id, and the order that came of it."""

    call_id: str
    order_id: str


def fill(url: str, pattern: Pattern, elders: int, until: datetime) -> None:
    """Put so many elders and ten times as many calls into the database, the last before `until`."""
    engine = create_engine(sync_url(url))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _hurry)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # As on SQLite: nobody asks whether each row's owner is there.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        for model, rows in _register(elders, until):
            _put(connection, model, rows)
        _put(connection, CallRecord, _calls(elders, until))
        for model, rows in _orders(elders, until):
            _put(connection, model, rows)
        _put(connection, EmergencyCase, _emergencies(elders, until))
        _follow(connection, pattern)
    # Either database does so by itself, though not within one transaction of so many rows.
    tidy = "VACUUM ANALYZE" if engine.dialect.name == "postgresql" else WRITE_BACK
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(tidy))
    engine.dispose()


def _hurry(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


def _put(connection: Connection, model: type[Base], rows: Iterable[Row]) -> None:
    table, waiting = table_of(model), iter(rows)
    while some := list(islice(waiting, AT_ONCE)):
        if connection.dialect.name == "sqlite":
            connection.execute(insert(table), some)
            continue
        # The driver takes its time for each single value, so the server gets them in one text.
        names = ", ".join(some[0])
        statement = text(
            f"INSERT INTO {table.name} ({names}) SELECT {names} "
            f"FROM json_populate_recordset(NULL::{table.name}, CAST(:rows AS json))"
        )
        connection.execute(statement, {"rows": json.dumps(some, default=str)})


# ── who lives here ───────────────────────────────────────────────────────────────────────────────


def name_of(elder: int) -> str:
    """The invented name of an elder: 试 stands in each."""
    family = FAMILY_NAMES[elder % len(FAMILY_NAMES)]
    rest = elder // len(FAMILY_NAMES)
    one, two = divmod(rest % len(GIVEN_NAMES) ** 2, len(GIVEN_NAMES))
    return f"{family}试{GIVEN_NAMES[one]}{GIVEN_NAMES[two]}"


def number_of(elder: int) -> str:
    """What the elder calls from: a mobile telephone, or a line of the town."""
    return f"+86138{elder:08d}" if elder % 2 else f"+863742{elder:06d}"


def _register(elders: int, until: datetime) -> Iterator[tuple[type[Base], Iterator[Row]]]:
    everybody = range(FIRST_ELDER, FIRST_ELDER + elders)
    yield Elder, (_elder(one, until) for one in everybody)
    yield (
        ElderPhone,
        ({"elder_id": one, "number": number_of(one), "raw": number_of(one)} for one in everybody),
    )
    contacts = [(2 * one + place, one, place) for one in everybody for place in (1, 2)]
    yield ElderContact, (
        {
            "id": id_, "elder_id": elder, "name": f"亲属{elder}", "priority": place,
            "relation": RELATIONS[id_ % len(RELATIONS)], "is_emergency": True,
        }
        for id_, elder, place in contacts
    )  # fmt: skip
    yield ContactPhone, (
        {"contact_id": id_, "number": f"+86139{id_:08d}", "raw": f"139{id_:08d}",
         "is_reachable": None, "checked_at": None}
        for id_, _, _ in contacts
    )  # fmt: skip
    yield Terminal, (
        {"elder_id": one, "serial_no": f"TEST-{one:06d}", "type": "one_key",
         "phone_no": f"+86137{one:08d}", "phone_raw": f"137{one:08d}", "status": "active"}
        for one in everybody if one % 2
    )  # fmt: skip


def _elder(number: int, until: datetime) -> Row:
    return {
        "id": number, "elder_uid": uid_of(number), "full_name": name_of(number),
        "sex": "female" if number % 2 else "male",
        "birth_date": date(1930 + number % 30, 1 + number % 12, 1 + number % 28),
        "site": "main", "user_status": "active", "living_arrangement": "alone",
        "addr_district": "测试区", "addr_street": STREETS[number % len(STREETS)],
        "addr_compound": "样例小区", "addr_building": str(number % 40 + 1),
        "addr_unit": str(number % 4 + 1), "addr_floor": str(number % 6 + 1),
        "addr_room": f"{number % 6 + 1}0{number % 3 + 1}", "landmark": "测试公交站东 50 米",
        "entry_route": "南门进，直行左转第二栋", "entry_route_checked_on": None,
        "risk_plan": "独居，曾经跌倒" if number % 5 == 0 else "", "main_diseases": "高血压",
        "medication_state": "", "remark": "", "version": 1, "created_at": until - SPAN,
    }  # fmt: skip


# ── what they called about ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Invented:
    """One invented call: who (None for a stranger), when, at which seat, how it came out."""

    number: int
    elder: int | None
    at: datetime
    seat: str
    result: str
    call_class: str
    talk_s: int

    @property
    def id(self) -> str:
        return f"test-{self.number}.1"

    @property
    def is_answered(self) -> bool:
        return self.result == "answered"

    @property
    def caller(self) -> str:
        if self.elder is None:
            return f"+861360000{self.number % 3000:04d}"
        return number_of(self.elder)

    @property
    def order_id(self) -> str:
        return f"order-{self.number}"

    @property
    def order_no(self) -> str:
        return f"{self.at:%Y%m%d}-{self.number % 10_000:04d}"


def invented(elders: int, until: datetime) -> Iterator[Invented]:
    """The calls, oldest first."""
    chance = random.Random(96100)
    calls = elders * CALLS_EACH
    results = chance.choices(list(RESULTS), list(RESULTS.values()), k=calls)
    classes = chance.choices(list(CLASSES), list(CLASSES.values()), k=calls)
    for number in range(calls):
        is_stranger = chance.random() < STRANGERS
        # Some call every week and most hardly ever.
        elder = FIRST_ELDER + int(elders * chance.random() ** 2)
        yield Invented(
            number,
            None if is_stranger else elder,
            until - SPAN * ((calls - number) / calls),
            str(FIRST_SEAT + chance.randrange(SEATS)),
            results[number],
            classes[number],
            chance.randrange(20, 900),
        )


def _calls(elders: int, until: datetime) -> Iterator[Row]:
    for call in invented(elders, until):
        answered = call.at + timedelta(seconds=15) if call.is_answered else None
        ended = (answered or call.at) + timedelta(seconds=call.talk_s)
        is_said = call.is_answered and call.call_class != ""
        yield {
            "id": call.id, "node": "test", "site": "main", "direction": "inbound",
            "entry": "hotline", "state": "ended", "result": call.result,
            "caller_no": call.caller, "caller_name": "", "callee_no": "96100",
            "trunk": "carrier", "key_pressed": "1", "choice": "life_service", "queue": "hotline",
            "seat": call.seat if call.is_answered else None, "elder_id": call.elder,
            "recording_serial": call.id, "entered_at": call.at,
            "queued_at": call.at + timedelta(seconds=8), "answered_at": answered,
            "ended_at": ended, "ended_uncertain": False, "cause": 16, "delay_ms": 12.0,
            "jitter_ms": 3.0, "loss": 0.001, "call_class": call.call_class if is_said else "",
            "wrap_up_note": f"{NEEDS[call.number % len(NEEDS)]}，已说明" if is_said else "",
            "wrapped_up_by": "admin" if is_said else "",
            "wrapped_up_at": ended if is_said else None,
        }  # fmt: skip


def _orders(elders: int, until: datetime) -> Iterator[tuple[type[Base], Iterator[Row]]]:
    """Every answered call has brought an order, and what was missed of strangers a call-back."""
    wanted = [one for one in invented(elders, until) if one.is_answered or one.elder is None]
    chance = random.Random(96101)
    states = chance.choices(list(STATES), list(STATES.values()), k=len(wanted))
    yield ServiceRequest, (
        {
            "id": one.order_id, "request_no": f"R{one.order_no}", "channel": "hotline",
            "call_id": one.id, "elder_id": one.elder, "content": _need(one),
            "accepted_by": "admin", "accepted_at": one.at,
        }
        for one in wanted
    )  # fmt: skip
    yield WorkOrder, (
        {
            "id": one.order_id, "order_no": one.order_no, "request_id": one.order_id,
            "elder_id": one.elder, "origin": "need" if one.is_answered else "call_back",
            "call_back_no": "" if one.is_answered else one.caller, "content": _need(one),
            "requirement": HOW[one.number // 7 % len(HOW)] if state != "accepted" else "",
            "status": state, "generated_at": one.at if state != "accepted" else None,
            "closed_at": one.at + timedelta(days=1) if state == "closed" else None,
            "closed_by": "admin" if state == "closed" else "", "outcome": "",
        }
        for one, state in zip(wanted, states, strict=True)
    )  # fmt: skip
    yield CallOrder, ({"call_id": one.id, "order_id": one.order_id} for one in wanted)


def _emergencies(elders: int, until: datetime) -> Iterator[Row]:
    """What the calls for help have become."""
    found = [one for one in invented(elders, until) if one.call_class == "emergency"]
    for left, one in zip(range(len(found) - 1, -1, -1), found, strict=True):
        stage = STAGES[left % len(STAGES)] if left < OPEN_CASES else "followed up"
        ended = one.at + timedelta(seconds=one.talk_s)
        yield {
            "id": one.id, "opened_at": one.at, "ended_at": ended, "stage": stage,
            "elder_id": one.elder, "elder_name": name_of(one.elder) if one.elder else "",
            "caller_no": one.caller, "arrived_at": None,
            "outcome": "" if stage in STAGES[:2] else OUTCOMES[left % len(OUTCOMES)],
            "changes": "" if stage in STAGES[:2] else "无变更",
            "closed_at": None if stage in STAGES[:2] else ended, "closed_by": "",
            "due_what": "" if stage == "followed up" else "no follow-up",
            "due_at": None if stage == "followed up" else one.at + timedelta(days=2),
        }  # fmt: skip


def _need(call: Invented) -> str:
    return f"{NEEDS[call.number % len(NEEDS)]}（测试 {call.number}）"


# ── what every call leaves behind ────────────────────────────────────────────────────────────────


def _follow(connection: Connection, pattern: Pattern) -> None:
    """Legs, recordings, cases, journal and record of all calls and orders, after the pattern."""
    call, order = table_of(CallRecord), table_of(WorkOrder)
    leg, recording = table_of(CallLeg), table_of(Recording)
    case, journal, entry = table_of(Case), table_of(Journal), table_of(AuditEntry)
    every = call.c.id != pattern.call_id
    answered = every & call.c.answered_at.is_not(None)
    began, ended = call.c.entered_at, call.c.ended_at
    times = {"started_at": began, "ended_at": ended, "at": began, "changed_at": ended}
    leg_id = call.c.id + literal("-") + leg.c.party
    for table, ours, other, chosen in (
        (leg, leg.c.call_id, {"id": leg_id, "call_id": call.c.id}, answered),
        (recording, recording.c.call_id, {"serial": call.c.id, "call_id": call.c.id}, answered),
        (case, case.c.id, {"id": call.c.id}, every),
        (journal, journal.c.case_id, {"case_id": call.c.id}, every),
        (entry, entry.c.subject_id, {"subject_id": call.c.id}, answered),
    ):
        source = call.join(table, ours == pattern.call_id)
        _again(connection, table, source, times | other, chosen, (began,))
    for table, ours, other in (
        (case, case.c.id, {"id": order.c.id}),
        (journal, journal.c.case_id, {"case_id": order.c.id}),
    ):
        source = order.join(table, ours == pattern.order_id)
        others = order.c.id != pattern.order_id
        _again(connection, table, source, other, others, (order.c.order_no,))


def _again(
    connection: Connection,
    table: Table,
    source: FromClause,
    other: dict[str, Any],
    chosen: ColumnElement[bool],
    order: tuple[Any, ...],
) -> None:
    """Write the pattern's rows of this table for each that is chosen, with `other` in columns.

    The rows of one call lie together, as they do when calls come one after the other.
    """
    running = table.autoincrement_column
    columns = [column for column in table.columns if column is not running]
    if running is not None:
        order = (*order, running)
    rows = select(*(other.get(column.name, column) for column in columns)).select_from(source)
    names = [column.name for column in columns]
    connection.execute(insert(table).from_select(names, rows.where(chosen).order_by(*order)))
