"""The alarms about a carrier and a fallback phone are as true as these: they come and go."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from picture import FALLBACK
from sql.models import Alarm
from tests.house import House, running, town_of, write_config
from tests.observer import wait_until
from tests.telephone import claim_addresses

WITHIN_S = 40
"""A carrier is asked every 30 s and has 3 s to answer; the rest is this machine's."""
LOOKS_S = 12
"""Long enough for the picture to be held against Asterisk's lists again and again."""


async def open_ones(session: AsyncSession) -> Sequence[str]:
    query = select(Alarm.kind).where(Alarm.ended_at.is_(None), Alarm.text == "carrier")
    return (await session.scalars(query)).all()


async def fallbacks(session: AsyncSession) -> Sequence[str]:
    query = select(Alarm.text).where(Alarm.ended_at.is_(None), Alarm.kind == FALLBACK)
    return (await session.scalars(query)).all()


def is_away(house: House) -> bool:
    """Whether the desk shows that the site's fallback phone, its first seat's, is not there."""
    said = list(house.read(fallbacks))
    assert said in ([], ["main 1001"])
    return bool(said)


def is_down(house: House) -> bool:
    return "trunk down" in house.read(open_ones)


def test_a_carrier_or_phone_that_comes_later_is_up_and_one_that_goes_is_down(
    open_place: Path,
) -> None:
    """Nobody asks Asterisk to look; carrier and phones start after the house, and vanish."""
    with claim_addresses(200) as block:
        config = write_config(open_place / "careline.toml", block)
        with running(open_place / "home", config) as house:
            wait_until(lambda: is_down(house), 10, "the alarm", house.log)
            wait_until(lambda: is_away(house), 10, "the phone's alarm", house.log)
            with town_of(house, block, open_place / "carrier") as town:
                wait_until(lambda: not is_down(house), WITHIN_S, "its end", house.log)
                wait_until(lambda: not is_away(house), WITHIN_S, "the phone is there", house.log)
                until = time.monotonic() + LOOKS_S
                wait_until(
                    lambda: is_down(house) or time.monotonic() > until, LOOKS_S + 5, "many looks"
                )
                assert not is_down(house), "the lists say the same as the event"
                town.carrier.kill()
                wait_until(lambda: is_down(house), WITHIN_S, "the alarm again", house.log)
                wait_until(lambda: is_away(house), WITHIN_S, "the phone is gone", house.log)
                town.carrier.start()
                wait_until(lambda: not is_away(house), WITHIN_S, "the phone is back", house.log)
