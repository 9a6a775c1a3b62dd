"""A menu that was changed is what the next caller hears; whatever is pressed, a person comes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asterisk_conf.sounds import PROMPTS
from sql.audit import Actor
from sql.engine import Database
from sql.models import CallRecord
from sql.queries import menus
from tests.audio import prompt_ends
from tests.house import Town, call_of, ended_call, running, town_of, write_config
from tests.observer import wait_until
from tests.telephone import Leg, claim_addresses
from workflows.menu import Menu, Option

OURS = Menu(
    name="hotline",
    options={"3": Option(choice="repair"), "7": Option(choice="complaint")},
)


@pytest.fixture(scope="module")
def whole_town(place: Path) -> Iterator[Town]:
    with claim_addresses(100) as block:
        config = write_config(place / "menus.toml", block)
        with (
            running(place / "menus-house", config) as house,
            town_of(house, block, place / "menus-carrier") as town,
        ):
            for seat in ("1001", "1002"):
                town.carrier.phone(seat).rings()
            yield town


@pytest.fixture
def town(whole_town: Town) -> Iterator[Town]:
    yield whole_town
    whole_town.assert_silent()


async def changed(url: str, menu: Menu) -> None:
    database = Database(url)
    try:
        async with database.writing() as session:
            await menus.change(session, menu, menus.NEW, Actor("admin"), datetime.now(UTC))
    finally:
        await database.close()


def is_in_menu(town: Town, call_id: str) -> bool:
    channels = town.observer.list_of("CoreShowChannels")
    return any(m["Uniqueid"] == call_id and m["Application"] == "AGI" for m in channels)


def call_and_press(town: Town, keys: str) -> tuple[Leg, CallRecord]:
    """An elder calls, presses these keys in the menu, and hangs up in the queue."""
    since = len(town.observer.events)
    elder = town.carrier.call("96100", caller="037412345678", tone=0).wait_talking()
    call_id = call_of(town, since)
    wait_until(lambda: is_in_menu(town, call_id), 20, f"{call_id} in the menu")
    if keys:
        elder.press(keys)
    town.observer.wait_for("QueueCallerJoin", 45, since, Uniqueid=call_id)
    elder.hang_up()
    return elder, ended_call(town.house, call_id)


def heard(leg: Leg) -> set[str]:
    """Which prompts of any menu this caller heard to their end."""
    prompts = [*sorted((PROMPTS / "zh").glob("menu*.wav")), PROMPTS / "zh" / "digits" / "7.wav"]
    return {p.stem for p in prompts if prompt_ends(leg.heard(), p) is not None}


@pytest.mark.row("IVR-01", part="service")
def test_the_next_caller_hears_the_changed_menu_and_its_keys_count(town: Town) -> None:
    leg, row = call_and_press(town, "")
    assert heard(leg) == {"menu"}
    assert (row.key_pressed, row.choice) == ("", "person")

    asyncio.run(changed(town.house.settings.database_url(town.house.home.root), OURS))
    leg, row = call_and_press(town, "")
    assert {"menu-repair", "menu-complaint", "7", "menu-person"} <= heard(leg)
    assert row.choice == "person"
    for keys, key, choice in (
        ("7", "7", "complaint"),
        ("1", "1", "person"),
        ("37", "37", "person"),
    ):
        _, row = call_and_press(town, keys)
        assert (row.key_pressed, row.choice, row.queue) == (key, choice, "hotline")
