"""An emergency in which no seat reached the elder is an alarm and an order until a person acts.

The elder hangs up alone in the room, does so while no controller lives, or Asterisk dies.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from sql.models import Alarm, WorkOrder
from tests.desk_visitor import DeskVisitor
from tests.faults.test_calls_outlive import asterisk_pid
from tests.faults.test_effects_once import EMERGENCY
from tests.faults.test_unseen_calls import nobody_listens
from tests.house import Town, call_of, own_town, put_away
from tests.observer import wait_until

FIRST, SECOND = "13800000051", "13800000052"


@pytest.fixture
def town(open_place: Path) -> Iterator[Town]:
    with own_town(open_place) as made:
        yield made
        # The house's own Asterisk was killed here.
        made.carrier.hang_up_all()
        made.carrier.observer.assert_idle()


async def open_alarms(session: AsyncSession) -> set[str]:
    query = select(Alarm.key).where(Alarm.kind == "call back", Alarm.ended_at.is_(None))
    return set(await session.scalars(query))


async def orders(session: AsyncSession) -> list[WorkOrder]:
    query = select(WorkOrder).where(WorkOrder.is_urgent).order_by(WorkOrder.order_no)
    return list(await session.scalars(query))


def alone(town: Town, caller: str, end: Callable[[], None] | None = None) -> str:
    """An elder is in the room, every phone rings, and nobody comes; returns the call's id."""
    since = len(town.observer.events)
    elder = town.carrier.call(EMERGENCY, caller=caller).wait_talking()
    call_id = call_of(town, since)
    town.observer.wait_for("Rescue", 10, since, Step="room")
    if end:
        end()
    else:
        elder.hang_up()
        town.observer.wait_for("Hangup", 10, since, Uniqueid=call_id)
    return call_id


def kill_asterisk(town: Town) -> None:
    """It is dead, and every line with it."""
    os.kill(asterisk_pid(town.house), signal.SIGKILL)
    town.carrier.hang_up_all()


def wait_for_alarms(town: Town, calls: set[str]) -> None:
    keys = {f"call back/{call}" for call in calls}
    wait_until(lambda: town.house.read(open_alarms) == keys, 60, "these alarms and no other",
               lambda: (keys, town.house.read(open_alarms), town.house.log()))  # fmt: skip


def test_an_elder_whom_nobody_reached_stays_on_the_desk_until_a_person_acts(town: Town) -> None:
    seen = alone(town, FIRST)
    wait_for_alarms(town, {seen})
    with nobody_listens(town):
        unseen = alone(town, FIRST)
    wait_for_alarms(town, {seen, unseen})
    torn = alone(town, SECOND, lambda: kill_asterisk(town))
    wait_for_alarms(town, {seen, unseen, torn})
    first, second = town.house.read(orders)
    numbers = [(order.call_back_no, order.status) for order in (first, second)]
    assert numbers == [(f"+86{FIRST}", "accepted"), (f"+86{SECOND}", "accepted")]
    desk = DeskVisitor(town.house)
    page = f"/orders/{first.order_no}"
    desk.send(f"{page}/close", {"answer": "已回拨，无事"}, page)
    wait_for_alarms(town, {torn})
    page = f"/orders/{second.order_no}"
    desk.send(f"{page}/judge", {"content": "派人上门", "requirement": ""}, page)
    wait_for_alarms(town, set())
    # Of one that nobody of ours listened to there is a call, and no case.
    put_away(town.house)
