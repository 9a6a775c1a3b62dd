"""What a case asked providers for is in the database with its result, and every fact beside it."""

from __future__ import annotations

import json
from typing import Final

import pytest

from sql import codec
from sql.filling import Step, fill
from tests.cards import PROCESS, Cards, CardWanted, begin_cards, step_cards
from tests.database.centre import Centre, after
from workflows.events import (
    Event,
    MessageAccepted,
    MessageAttempted,
    MessageDelivered,
    MessageFailed,
    MessageLost,
)

CASE: Final = "n1-1.1"
ID: Final = f"{CASE}-M1"


@pytest.fixture(autouse=True)
def _cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(codec.EVENTS, CardWanted.__name__, CardWanted)


def wanted() -> Event:
    channels = ("twilio", "gateway")
    return CardWanted(
        case_id=CASE, at=after(0), to="+8613800000021", name="王小兰", channels=channels
    )


def attempted(asking: int) -> Event:
    return MessageAttempted(case_id=CASE, at=after(1), message=ID, effect=f"{ID}.{asking}")


def lost(asking: int) -> Event:
    return MessageLost(case_id=CASE, at=after(2), message=ID, effect=f"{ID}.{asking}")


def accepted(asking: int) -> Event:
    return MessageAccepted(
        case_id=CASE, at=after(3), message=ID, effect=f"{ID}.{asking}", provider_id="gw-1"
    )


def delivered(asking: int) -> Event:
    return MessageDelivered(case_id=CASE, at=after(4), message=ID, effect=f"{ID}.{asking}")


def refused(asking: int) -> Event:
    return MessageFailed(
        case_id=CASE, at=after(2), message=ID, effect=f"{ID}.{asking}", code="21610",
        reason="opted out",
    )  # fmt: skip


async def keep(centre: Centre, *events: Event) -> Cards:
    case = begin_cards(events[0])
    for seq, event in enumerate(events, 1):
        after_it, effects = step_cards(case, event)
        step = Step(seq=seq, event=event, before="queued", after=after_it, effects=effects)
        for _ in range(2):
            # A crash between the commit and its noting has it filled in a second time.
            await fill(centre.store, PROCESS, step)
        case = after_it
    return case


async def askings(centre: Centre) -> list[tuple[str, str, bool, bool]]:
    rows = await centre.rows("SELECT * FROM outbox ORDER BY seq")
    return [
        (row["id"], row["result"], row["attempted_at"] is not None, row["done_at"] is not None)
        for row in rows
        if row["kind"] == "SendMessage"
    ]


async def test_each_asking_has_its_row_and_result(centre: Centre) -> None:
    await keep(centre, wanted(), attempted(1), refused(1), attempted(2), accepted(2), delivered(2))
    assert await askings(centre) == [
        (f"{ID}.1", "failed", True, True),
        (f"{ID}.2", "sent", True, True),
    ]
    journal = await centre.rows("SELECT event FROM journal ORDER BY id")
    assert [row["event"] for row in journal] == [
        "CardWanted", "MessageAttempted", "MessageFailed", "MessageAttempted", "MessageAccepted",
        "MessageDelivered",
    ]  # fmt: skip


async def test_a_doubt_stays_until_the_provider_says_what_became_of_it(centre: Centre) -> None:
    await keep(centre, wanted(), attempted(1), lost(1))
    assert await askings(centre) == [(f"{ID}.1", "uncertain", True, True)]
    alarms = await centre.rows("SELECT kind, ended_at FROM alarm")
    assert [(row["kind"], row["ended_at"]) for row in alarms] == [("perhaps sent", None)]


async def test_a_doubt_ends_with_a_late_delivery(centre: Centre) -> None:
    await keep(centre, wanted(), attempted(1), lost(1), delivered(1))
    assert await askings(centre) == [(f"{ID}.1", "sent", True, True)]
    alarms = await centre.rows("SELECT kind, ended_at FROM alarm")
    assert [(row["kind"], row["ended_at"] is not None) for row in alarms] == [
        ("perhaps sent", True)
    ]


async def test_the_times_of_a_message_are_read_back_from_the_database(centre: Centre) -> None:
    case = await keep(centre, wanted(), attempted(1), accepted(1), delivered(1))
    (row,) = await centre.rows("SELECT body FROM process_case WHERE process = 'cards'")
    body = row["body"] if isinstance(row["body"], dict) else json.loads(row["body"])
    kept = codec.load(Cards, body)
    assert kept == case
    (message,) = kept.messages
    assert [message.asked_at, message.accepted_at, message.delivered_at] == [
        after(0), after(3), after(4),
    ]  # fmt: skip
