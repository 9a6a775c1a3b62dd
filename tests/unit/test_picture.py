"""What the controller shows the moment it is heard, before the database has it."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, cast

import pytest

from control import Message
from picture import LivePicture
from sql.store import SqlStore
from telephony.switchboard import Switchboard
from workflows.events import (
    CallEnded,
    CallVanished,
    Event,
    LegEnded,
    SeatAnswered,
    SeatMissed,
    SeatRang,
)

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
RANG: Final = SeatRang(case_id="c1", at=NOW, seat="1001", leg="leg")
OTHER: Final = SeatRang(case_id="c2", at=NOW, seat="1002", leg="other")


class At:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def picture() -> LivePicture:
    # Nothing here asks the database: that is what is shown.
    return LivePicture(Switchboard([], {}), cast("SqlStore", None), At(), lambda: None, "node1")


async def told(picture: LivePicture, *events: Event) -> list[Message]:
    """What a reader of the feed gets for these events."""
    async with aclosing(picture.feed.read()) as feed:
        await anext(feed)
        for event in events:
            picture.heard(event)
        picture.feed.publish("end", {})
        messages = []
        while (message := await anext(feed))["kind"] != "end":
            messages.append(message)
        return messages


async def test_a_ringing_phone_is_told_with_its_call_and_seat(picture: LivePicture) -> None:
    (message,) = await told(picture, RANG)
    assert message["kind"] == "ringing"
    assert message["data"] == {
        "call": "c1", "seat": "1001", "leg": "leg", "at": NOW.isoformat(),
    }  # fmt: skip
    assert picture.snapshot()["ringing"] == [message["data"]]


@pytest.mark.parametrize(
    "end",
    [
        SeatMissed(case_id="c1", at=NOW, seat="1001", leg="leg"),
        SeatAnswered(case_id="c1", at=NOW, seat="1001", leg="leg"),
        LegEnded(case_id="c1", at=NOW, leg="leg", party="seat", cause=16),
        CallEnded(case_id="c1", at=NOW, cause=16),
        CallVanished(case_id="c1", at=NOW),
    ],
)
async def test_it_rings_no_more_when_answered_missed_or_gone(
    picture: LivePicture, end: Event
) -> None:
    messages = await told(picture, RANG, OTHER, end, end)
    assert [(m["kind"], m["data"]["leg"]) for m in messages] == [
        ("ringing", "leg"), ("ringing", "other"), ("ringing_over", "leg"),
    ]  # fmt: skip
    ringing: list[dict[str, Any]] = picture.snapshot()["ringing"]
    assert [r["leg"] for r in ringing] == ["other"]


async def test_an_asterisk_that_is_away_rings_nothing(picture: LivePicture) -> None:
    picture.heard(RANG)
    picture.connected(False)
    assert picture.snapshot()["ringing"] == []
