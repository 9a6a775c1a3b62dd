"""What must be true of a call when it is over and the fault is healed, whatever happened."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from sql.models import CallRecord
from sql.queries import calls
from tests.faults.pictures import real_seats
from tests.faults.site import Site
from tests.faults.stages import Scene
from tests.observer import Message, wait_until

RECORDED_S: Final = 90
"""A recording that was cut is given 15 s for each of its files."""
LONGEST: Final = timedelta(minutes=10)
ENDS: Final = ("Hangup", "PhoneLost")
FREE: Final = {"available", "not answering"}
"""A phone that rang its whole time is free, and rung after the others."""


def rows_of(scene: Scene) -> Sequence[CallRecord]:
    """Every call from the scene's caller; each scene has a caller of its own."""

    async def ask(session: AsyncSession) -> Sequence[CallRecord]:
        found = await session.scalars(
            select(CallRecord)
            .where(CallRecord.caller_no.endswith(scene.caller))
            .options(selectinload(CallRecord.legs), selectinload(CallRecord.recording))
        )
        return found.all()

    rows: Sequence[CallRecord] = scene.site.house.read(ask)
    return rows


def assert_row(scene: Scene, results: set[str]) -> None:
    """One row, complete, in the order of things; an answered call has its one order."""
    house = scene.site.house
    wait_until(lambda: is_whole(scene), 40, f"the end of {scene.call_id}", house.log)
    (row,) = rows_of(scene)
    assert row.id == scene.call_id
    assert row.entry
    assert row.state == "ended"
    assert row.result in results, row.result
    times = [row.entered_at, row.queued_at, row.answered_at, row.ended_at]
    known = [time for time in times if time is not None]
    assert known == sorted(known)
    # Also of a call in which the clock was set by an hour.
    assert known[-1] - known[0] < LONGEST
    assert len([leg for leg in row.legs if leg.party == "caller"]) == 1
    if row.result == "answered":
        assert row.answered_at
        assert row.seat
        # An emergency that broke off has a second one, to call back at once.
        wanted = 1 + (row.entry == "emergency" and row.ended_uncertain)
        orders = house.wait_for(lambda s: at_least(s, row.id, wanted), "its orders", 40)
        assert len(orders) == wanted


async def at_least(session: AsyncSession, call_id: str, count: int) -> Sequence[object]:
    """The call's orders, once there are so many."""
    found = await calls.orders_of(session, call_id)
    return found if len(found) >= count else ()


def is_whole(scene: Scene) -> bool:
    """Whether the call and all its legs have ended."""
    rows = rows_of(scene)
    ends = [row.ended_at for row in rows] + [leg.ended_at for row in rows for leg in row.legs]
    return bool(rows) and all(ends)


def assert_recording(scene: Scene, *, may_be_missing: bool) -> None:
    """Linked to its call and whole; or missing, and an alarm says so."""
    site = scene.site
    wait_until(
        lambda: settled(scene), RECORDED_S, "the recording", lambda: site.house.log("worker")
    )
    (row,) = rows_of(scene)
    made = row.recording
    assert made is not None
    if made.state == "missing":
        assert may_be_missing, site.picture().get("alarms")
        wait_until(lambda: "recording" in site.alarms(), 5, "the alarm", site.alarms)
        return
    assert made.file
    sound = (site.house.home.recordings / made.file).read_bytes()
    assert hashlib.sha256(sound).hexdigest() == made.sha256
    assert not list(site.house.home.live_recordings.glob(f"{scene.call_id}*"))


def settled(scene: Scene) -> bool:
    """Whether the recording is kept or known to be missing."""
    rows = rows_of(scene)
    return all(row.recording and row.recording.state in ("kept", "missing") for row in rows)


def assert_seats(site: Site) -> None:
    """Asterisk has every phone as free, and the controller shows them as Asterisk has them."""
    wait_until(lambda: set(real_seats(site).values()) <= FREE, 30, "free phones",
               lambda: real_seats(site))  # fmt: skip
    wait_until(lambda: shown_seats(site) == real_seats(site), 15, "the seats as they are",
               lambda: (shown_seats(site), real_seats(site)))  # fmt: skip


def shown_seats(site: Site) -> dict[str, str]:
    return {seat["extension"]: seat["state"] for seat in site.picture().get("seats", ())}


def assert_nobody_dialled_twice(scene: Scene, *, answers_once: bool) -> None:
    """No phone rang while it rang or talked; who had answered was not rung again."""
    for seat, phone in scene.site.phones.items():
        events = phone.observer.events[scene.since[seat] :]
        assert_one_at_a_time(seat, events)
        answered = [m for m in events if m.get("UserEvent") == "Talking"]
        assert not answers_once or len(answered) <= 1, (seat, answered)
    assert_contacts_once(scene)


def assert_contacts_once(scene: Scene) -> None:
    """Over the carrier only the elder's contacts were called, and each by one call at a time."""
    events = scene.site.carrier.observer.events[scene.since_carrier :]
    numbers = {m["Number"] for m in events if m.get("UserEvent") == "Rang" and "Number" in m}
    assert numbers <= set(scene.contacts), (numbers, scene.contacts)
    for number in numbers:
        own = [m for m in events if m.get("Number") == number or m["Event"] in ENDS]
        assert_one_at_a_time(number, own)


def assert_one_at_a_time(seat: str, events: Sequence[Message]) -> None:
    live: set[str] = set()
    for event in events:
        if event.get("UserEvent") == "Rang":
            assert not live, f"{seat} was dialled while {live} was there"
            live.add(event["Uniqueid"])
        elif event["Event"] == "Hangup":
            live.discard(event["Uniqueid"])
        elif event["Event"] == "PhoneLost":
            live.clear()
