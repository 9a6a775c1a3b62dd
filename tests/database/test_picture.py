"""What the controller takes up from the database at its start and at each connect."""

from __future__ import annotations

import asyncio

from picture import LivePicture
from telephony.reconcile import OpenCall
from telephony.switchboard import PictureNow, Switchboard
from tests.database.centre import NOW, NUMBER, Centre
from workflows.events import CallArrived, Entry, SeatRang


def picture_of(centre: Centre, *trunks: str) -> LivePicture:
    switchboard = Switchboard(["1001"], dict.fromkeys(trunks, False))
    return LivePicture(switchboard, centre.store, centre.clock, lambda: None, "here")


async def open_alarms(centre: Centre) -> set[str]:
    return {alarm.key for alarm in await centre.store.open_alarms()}


async def until_open(centre: Centre, keys: set[str]) -> None:
    async with asyncio.timeout(10):
        while await open_alarms(centre) != keys:  # noqa: ASYNC110 — rows tell nothing.
            await asyncio.sleep(0.02)


async def test_the_alarm_of_a_trunk_that_is_no_more_ends_at_the_start(centre: Centre) -> None:
    for name in ("old", "kept"):
        key = f"trunk down/{name}"
        await centre.store.raise_alarm(key, "trunk down", name, NOW)
    await picture_of(centre, "kept").load()
    assert await open_alarms(centre) == {"trunk down/kept"}


async def test_a_picture_that_was_wrong_is_an_alarm_until_it_is_right(centre: Centre) -> None:
    picture = picture_of(centre)
    keeping = asyncio.ensure_future(picture.keep_alarms())
    picture.changed(PictureNow(("leg c1: …",)))
    assert picture.snapshot()["alarms"][0]["text"] == "leg c1: …"
    await until_open(centre, {"picture"})
    picture.changed(PictureNow())
    assert picture.snapshot()["alarms"] == []
    await until_open(centre, set())
    # A controller that died meanwhile reads everything anew.
    picture.changed(PictureNow(("leg c2: …",)))
    await until_open(centre, {"picture"})
    keeping.cancel()
    await picture_of(centre).load()
    assert await open_alarms(centre) == set()


async def test_another_nodes_calls_are_neither_shown_nor_compared_with_our_asterisk(
    centre: Centre,
) -> None:
    for call, node in (("here-1.1", "here"), ("there-1.1", "there")):
        await centre.play(
            CallArrived(
                case_id=call, at=NOW, entry=Entry.HOTLINE, caller=NUMBER, callee="96100", node=node
            )
        )
    # Of these the arrival was never seen: their ids say whose they are.
    for call in ("here-2.1", "there-2.1", "also-here-2.1"):
        await centre.play(SeatRang(case_id=call, at=NOW, seat="1001", leg=f"{call}9"))
    picture = picture_of(centre)
    await picture.load()
    assert {one["id"] for one in picture.snapshot()["calls"]} == {"here-1.1", "here-2.1"}
    assert await picture.open_calls() == {
        "here-1.1": OpenCall("entered", ("here-1.1",)),
        "here-2.1": OpenCall("ringing", ("here-2.19",)),
    }
