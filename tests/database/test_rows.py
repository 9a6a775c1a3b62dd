"""What people read after a whole call, the same on both databases, and how it is found."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import pytest

from sql.numbers import e164
from sql.queries import calls, elders, orders, people
from telephony.translate import Translator
from tests.database.centre import (
    NOW,
    NUMBER,
    Centre,
    after,
    answered,
    arrived,
    ended,
    need,
    whole_call,
)
from workflows.commands import JudgeRequest, OpenOrder, WrapUpCall
from workflows.events import CallClass, CallPlaced, DialEnded, DialResult, RecordingMade

CALL: Final = "node1-1772326800.7"


async def one_row(centre: Centre, table: str) -> dict[str, Any]:
    (row,) = await centre.rows(f"SELECT * FROM {table}")
    return dict(row)


async def test_a_whole_call_has_every_row_that_belongs_to_it(centre: Centre) -> None:
    wang = await centre.elder("王秀英")
    await centre.play(*whole_call())
    async with centre.database.reading() as session:
        call = await calls.one(session, "c1")
        assert call
        assert call.recording
        legs = [(leg.id, leg.party, leg.who, leg.answered_at, leg.ended_at) for leg in call.legs]
        (order,) = await calls.orders_of(session, "c1")
        found = await orders.one(session, "20260301-0001")
        journal = await calls.journal(session, "c1")
    assert (call.direction, call.entry, call.state, call.result) == (
        "inbound", "hotline", "ended", "answered",
    )  # fmt: skip
    assert (call.caller_no, call.callee_no, call.trunk) == (NUMBER, "96100", "carrier")
    assert call.caller_name == '王 "秀英" \'; DROP TABLE elder; -- 👵🏻'
    assert (call.node, call.site, call.seat, call.elder_id) == ("node1", "main", "1002", wang)
    assert (call.key_pressed, call.choice, call.queue) == ("1", "life_service", "hotline")
    assert (call.entered_at, call.queued_at, call.answered_at, call.ended_at) == (
        NOW, after(7), after(34), after(95),
    )  # fmt: skip
    # The leg that was heard worst speaks for the call.
    assert (call.delay_ms, call.jitter_ms, call.loss) == (40.0, 1.5, 0.01)
    assert legs == [
        ("c1", "caller", NUMBER, NOW, after(95)),
        ("c1-1001", "seat", "1001", None, after(30)),
        ("c1-1002", "seat", "1002", after(34), after(94)),
    ]
    assert (call.recording.serial, call.recording.state, call.recording.file) == (
        "c1",
        "owed",
        None,
    )
    assert (order.status, order.elder_id, order.origin) == ("accepted", wang, "need")
    assert found
    request, elder = found[1:]
    assert (request.request_no, request.call_id, request.channel) == (
        "R20260301-0001", "c1", "hotline",
    )  # fmt: skip
    assert elder
    assert elder.full_name == "王秀英"
    assert [(line.event, line.state_after) for line in journal] == [
        ("CallArrived", "entered"), ("KeyPressed", "entered"), ("CallQueued", "waiting"),
        ("CallQueued", "waiting"), ("SeatRang", "ringing"), ("SeatMissed", "waiting"),
        ("LegEnded", "waiting"), ("SeatRang", "ringing"), ("SeatAnswered", "talking"),
        ("LegEnded", "talking"), ("LegEnded", "talking"), ("CallEnded", "ended"),
        ("OrderLinked", "ended"),
    ]  # fmt: skip


async def test_a_recording_is_kept_with_its_serial_and_its_sum(centre: Centre) -> None:
    made = RecordingMade(
        case_id="c1", at=after(99), file="2026/03/01/c1.opus", sha256="a" * 64, seconds=95.25,
        size=2**33,
    )  # fmt: skip
    await centre.play(*whole_call(), made)
    row = await one_row(centre, "recording")
    assert (row["serial"], row["call_id"], row["state"]) == ("c1", "c1", "kept")
    assert (row["file"], row["sha256"]) == ("2026/03/01/c1.opus", "a" * 64)
    assert (row["seconds"], row["size"]) == (95.25, 2**33)


async def test_a_caller_who_gave_up_has_a_row_too(centre: Centre) -> None:
    await centre.play(arrived(), ended(at=after(3)))
    row = await one_row(centre, "call_record")
    assert (row["state"], row["result"], row["answered_at"]) == ("ended", "abandoned", None)
    assert (row["seat"], row["recording_serial"]) == (None, "c1")
    orders = await centre.rows("SELECT origin, call_back_no, content FROM work_order")
    assert orders == [{"origin": "call_back", "call_back_no": NUMBER, "content": ""}]


async def test_an_order_that_a_seat_opens_and_judges(centre: Centre) -> None:
    wish = OpenOrder(
        case_id="c1", at=after(20), by="张敏", content="送餐", requirement="少盐", order_id="o1"
    )
    judged = JudgeRequest(case_id="o1", at=after(60), by="张敏", content="送药", requirement="早上")
    await centre.play(arrived(), answered(), wish, ended(), judged)
    order, request = await one_row(centre, "work_order"), await one_row(centre, "service_request")
    assert (order["order_no"], order["status"]) == ("20260301-0001", "generated")
    assert (order["content"], order["requirement"]) == ("送药", "早上")
    assert (request["accepted_by"], request["call_id"]) == ("张敏", "c1")
    assert await one_row(centre, "call_order") == {"call_id": "c1", "order_id": "o1"}


# ── from Asterisk's own words to the rows ─────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("a\0b", "ab"),
        ("长" * 200, "长" * 80),
        ('"\\"; DROP TABLE elder; --', '""; DROP TABLE elder; --'),
        ("👵🏻\ud83d", "👵🏻"),
        ("", ""),
    ],
)
async def test_a_hostile_name_does_not_lose_the_call(centre: Centre, sent: str, shown: str) -> None:
    translator = Translator("node1", partial(e164, country="86", area="0374"))
    ours = {"ChanVariable": [f"CARELINE_CALL={CALL}", "CARELINE_PARTY=caller"]}
    user = {"Event": "UserEvent", "Call": CALL, "Uniqueid": CALL, **ours}
    told: list[dict[str, Any]] = [
        {
            **user, "UserEvent": "CallArrived", "Entry": "x" * 300, "CallerIDNum": "1" * 300,
            "CallerIDName": sent, "Dialled": "9" * 300, "Trunk": "t" * 300,
        },
        {**ours, "Event": "QueueCallerJoin", "Queue": "q" * 300, "Position": "9" * 30},
        {
            **ours, "Event": "AgentConnect", "Interface": "PJSIP/" + "1" * 90,
            "DestUniqueid": "l" * 300,
        },
        {
            **user, "UserEvent": "LegEnded", "Party": "p" * 300, "HangupCause": "9" * 30,
            "Rtt": "nan", "RxJitter": "inf", "RxLost": "-5", "RxCount": "3",
        },
        {**ours, "Event": "Hangup", "Uniqueid": CALL, "Cause": "9" * 30},
    ]  # fmt: skip
    for message in told:
        await centre.play(*translator.to_events(message))
    row = await one_row(centre, "call_record")
    assert (row["state"], row["result"], row["caller_name"]) == ("ended", "answered", shown)
    assert row["entry"] == "hotline"


# ── queries ───────────────────────────────────────────────────────────────────────────────────


async def test_calls_are_found_newest_first_and_by_number_either_way(centre: Centre) -> None:
    await centre.play(
        arrived("c1", at=after(1)), arrived("c2", "+8613700000000", at=after(2)),
        arrived("c3", at=after(3)),
    )  # fmt: skip
    async with centre.database.reading() as session:
        assert [call.id for call, _ in await calls.latest(session)] == ["c3", "c2", "c1"]
        assert [call.id for call, _ in await calls.latest(session, limit=1)] == ["c3"]
        assert [call.id for call, _ in await calls.latest(session, calls.Wanted(text=NUMBER))] == [
            "c3", "c1",
        ]  # fmt: skip
        assert len(await calls.latest(session, calls.Wanted(text="96100"))) == 3
        assert await calls.one(session, "nothing") is None


async def test_calls_are_found_by_elder_date_seat_result_class_and_serial(centre: Centre) -> None:
    elder = await centre.elder("陈国富", NUMBER)
    await centre.play(
        arrived("c1", at=after(1)), answered("c1"), ended("c1", at=after(50)),
        arrived("c2", "+8613700000000", at=after(2)), ended("c2", at=after(60)),
        arrived("c3", "+8613700000000", at=after(90_000)),
        WrapUpCall(
            case_id="c1", at=after(70), by="张敏", wrap_up_id="w1",
            call_class=CallClass.CONSULTATION, note="",
        ),
    )  # fmt: skip
    async with centre.database.reading() as session:
        (row,) = [call for call, _ in await calls.latest(session) if call.id == "c1"]
        assert (row.elder_id, row.seat) == (elder, "1001")

        async def found(**chosen: Any) -> list[str]:
            wanted = calls.Wanted(**chosen)
            return [call.id for call, _ in await calls.latest(session, wanted)]

        assert await found(text="国") == ["c1"]
        assert await found(text="c2") == ["c2"]
        assert await found(text="137 0000 0000") == ["c3", "c2"]
        for hostile in ("'%_\"", "%", "_", "👴🏻", "'; DROP TABLE call_record; --"):
            assert await found(text=hostile) == []
        assert await found(seat="1001") == ["c1"]
        assert await found(result="abandoned") == ["c2"]
        assert await found(call_class="consultation") == ["c1"]
        assert await found(since=after(90_000)) == ["c3"]
        assert await found(until=after(2)) == ["c1"]
        assert [c.id for c, _ in await calls.latest(session, limit=1, before="c3")] == ["c2"]
        assert await calls.class_counts(session, calls.ALL) == {"consultation": 1}


async def test_calls_are_counted_by_class_whether_a_page_shows_all_of_them_or_not(
    centre: Centre,
) -> None:
    for number in range(4):
        id_ = f"c{number}"
        await centre.play(arrived(id_, at=after(number)), answered(id_), ended(id_, at=after(50)))
    for number, said in enumerate((CallClass.OTHER, CallClass.OTHER, CallClass.CONSULTATION)):
        await centre.play(
            WrapUpCall(
                case_id=f"c{number}", at=after(70), by="张敏", wrap_up_id=f"w{number}",
                call_class=said, note="",
            )
        )  # fmt: skip
    await centre.play(arrived("missed", "+8613700000000", at=after(5)), ended("missed"))
    every = {"other": 2, "consultation": 1, calls.UNCLASSED: 1}
    async with centre.database.reading() as session:

        async def counted(limit: int, before: str = "", **chosen: Any) -> dict[str, int]:
            wanted = calls.Wanted(**chosen)
            _, counts = await calls.search(session, wanted, limit=limit, before=before)
            return counts

        for limit in (2, 10):
            assert await counted(limit) == every
            assert await counted(limit, call_class="other") == every
            assert await counted(limit, seat="1001", result="answered") == every
            assert await counted(limit, text=NUMBER) == every
            assert await counted(limit, before="c3") == every
            assert await counted(limit, result="busy") == {}
            assert await counted(limit, text="👵🏻") == {}


async def test_the_last_calls_of_a_number_either_way(centre: Centre) -> None:
    out = CallPlaced(case_id="c2", at=after(2), seat="1001", callee=NUMBER)
    await centre.play(
        arrived("c1", at=after(1)), out, arrived("c3", "+8613700000000", at=after(3)),
        arrived("c4", at=after(4)),
    )  # fmt: skip
    async with centre.database.reading() as session:

        async def last(number: str, limit: int = 5) -> list[str]:
            return [call.id for call in await calls.of_number(session, number, limit)]

        assert await last(NUMBER) == ["c4", "c2", "c1"]
        assert await last(NUMBER, 2) == ["c4", "c2"]
        assert await last(NUMBER[:-1]) == []


async def test_an_elders_page(centre: Centre) -> None:
    wang = await centre.elder("王秀英", NUMBER, "+863741234567")
    await centre.play(*whole_call("c1"), *whole_call("c2"))
    async with centre.database.reading() as session:
        assert [e.full_name for e in await elders.by_number(session, NUMBER)] == ["王秀英"]
        assert await elders.by_number(session, "") == ()
        found = await elders.one(session, f"E{wang:06d}")
        assert found
        assert [phone.number for phone in found.phones] == [NUMBER, "+863741234567"]
        assert [one.id for one in await elders.by_ids(session, [wang, 999])] == [wang]
        assert [one.id for one in await elders.latest(session)] == [wang]
        assert len(await elders.calls_of(session, wang)) == 2
        assert [o.order_no for o in await orders.open_of_elders(session, [wang])] == [
            "20260301-0001", "20260301-0002",
        ]  # fmt: skip
        assert await orders.open_of_elders(session, []) == []
        newest = (await orders.of_elder(session, wang))[0]
        assert newest.order_no == "20260301-0002"
        assert [call.id for call in await calls.of_order(session, newest.id)] == ["c2"]
        assert [line.event for line in await orders.journal(session, newest.id)] == [
            "RequestAccepted"
        ]
        assert await orders.one(session, "20990101-0001") is None
        assert [order.order_no for order, _ in await orders.latest(session, limit=1)] == [
            "20260301-0002"
        ]


async def test_lists_go_on_after_the_last_one_of_a_page(centre: Centre) -> None:
    ids = [await centre.elder(f"王试{number}", f"+86138000000{number:02}") for number in range(5)]
    await centre.elder("李试", "+8613800000099")
    await centre.play(*(need(f"o{number}", content=f"送餐 {number}") for number in range(5)))
    uids = [elders.uid_of(id_) for id_ in reversed(ids)]
    numbers = [f"20260301-{number:04}" for number in range(5, 0, -1)]
    async with centre.database.reading() as session:

        async def elders_from(before: str, text: str = "王") -> list[str]:
            found = await elders.latest(session, text, limit=2, before=before)
            return [one.elder_uid for one in found]

        async def orders_from(before: str, **chosen: str) -> list[str]:
            found = await orders.latest(session, limit=2, before=before, **chosen)
            return [order.order_no for order, _ in found]

        assert await elders_from("") == uids[:2]
        assert await elders_from(uids[1]) == uids[2:4]
        assert await elders_from(uids[3]) == uids[4:]
        assert await elders_from(uids[4]) == []
        assert await elders_from(uids[4], "") == []
        assert await orders_from("") == numbers[:2]
        assert await orders_from(numbers[1]) == numbers[2:4]
        assert await orders_from(numbers[3]) == numbers[4:]
        assert await orders_from(numbers[1], status="generated", text="送餐 0") == numbers[4:]
        # What somebody wrote into the address leads somewhere, and never to a fault.
        for hostile in ("'%_\"", "👵", "E1", "0"):
            assert await elders_from(hostile) == uids[:2]
            assert isinstance(await orders_from(hostile), list)


async def test_the_names_of_the_seats(centre: Centre) -> None:
    async with centre.database.reading() as session:
        assert await people.seats(session) == {"1001": "张敏", "1002": "1002"}


@pytest.mark.parametrize("result", DialResult)
async def test_every_result_fits_its_column(centre: Centre, result: DialResult) -> None:
    await centre.play(arrived(), DialEnded(case_id="c1", at=NOW, result=result), ended())
    expected = "answered" if result is DialResult.ANSWERED else result.value
    assert (await one_row(centre, "call_record"))["result"] == expected
