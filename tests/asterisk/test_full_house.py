"""A full house: every line rings at once, everybody hears a menu, and one call more comes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from asterisk_conf.sounds import PROMPTS
from sql.models import CallRecord
from sql.queries import calls
from tests.audio import prompt_ends, seconds
from tests.house import Town, call_of, ended_call, running, town_of, write_config
from tests.observer import wait_until
from tests.telephone import Leg, claim_addresses

LINES: Final = 50
MORE_THAN_LINES: Final = 55
ALL_SOON_S: Final = 60.0
HEARD: Final = ("notice", "greeting", "menu")
CONGESTION: Final = "34"


@contextmanager
def town_with(lines: int, folder: Path) -> Iterator[Town]:
    """A house with so many lines."""
    folder.mkdir()
    folder.chmod(0o711)
    with claim_addresses(100) as block:
        config = write_config(folder / "careline.toml", block)
        text = config.read_text("utf-8").replace("[centre]", f"[centre]\nlines = {lines}")
        config.write_text(text, "utf-8")
        with (
            running(folder / "home", config) as house,
            town_of(house, block, folder / "carrier") as town,
        ):
            for seat in ("1001", "1002"):
                town.carrier.phone(seat).rings()
            yield town
            town.assert_silent()
    shutil.rmtree(folder, ignore_errors=True)


def callers(town: Town, count: int) -> list[Leg]:
    """So many elders who dial the hotline at the same moment."""
    return [town.carrier.call("96100", f"138{number:08}", tone=0) for number in range(1, count + 1)]


def in_menu(town: Town) -> int:
    """How many callers are in the menu now."""
    channels = town.observer.list_of("CoreShowChannels")
    return len([m for m in channels if m["Application"] == "AGI"])


def wait_queued(town: Town, count: int, since: int) -> None:
    """Return when so many callers have asked for a person."""

    def joined() -> set[str]:
        return {m["Uniqueid"] for m in town.observer.find("QueueCallerJoin", since)}

    wait_until(lambda: len(joined()) >= count, ALL_SOON_S, f"{count} in the queue", joined)


def what_is_missing(prompts: list[Path], leg: Leg) -> list[str]:
    """The prompts that this caller did not hear, or not in their turn."""
    wav = leg.heard()
    places = [prompt_ends(wav, prompt) for prompt in prompts]
    missing = [p.stem for p, place in zip(prompts, places, strict=True) if place is None]
    found = [place for place in places if place is not None]
    return missing or ([] if found == sorted(found) else ["their order"])


def rows_of(town: Town, ids: list[str]) -> dict[str, CallRecord]:
    """The rows of these calls, once each has its end."""

    async def ended(session: AsyncSession) -> dict[str, CallRecord] | None:
        latest = await calls.latest(session, limit=2 * len(ids))
        rows = {row.id: row for row, _ in latest if row.id in ids and row.ended_at}
        return rows if len(rows) == len(ids) else None

    rows: dict[str, CallRecord] = town.house.wait_for(ended, "the end of every call", ALL_SOON_S)
    return rows


def arrivals(town: Town, since: int, count: int) -> list[str]:
    """The ids of so many calls that arrived."""
    found = wait_until(
        lambda: (m := town.observer.find("CallArrived", since)) and len(m) >= count and m,
        ALL_SOON_S,
        f"{count} arrivals",
    )
    assert found
    return [m["Call"] for m in found]


def test_fifty_five_callers_are_in_the_menu_at_once_and_hear_it_all(place: Path) -> None:
    """Nobody's menu starves: each hears notice, greeting and question to their end, and waits."""
    prompts = [PROMPTS / "zh" / f"{name}.wav" for name in HEARD]
    with town_with(MORE_THAN_LINES, place / "menus") as town:
        since = len(town.observer.events)
        legs = callers(town, MORE_THAN_LINES)
        ids = arrivals(town, since, MORE_THAN_LINES)
        wait_until(lambda: in_menu(town) == MORE_THAN_LINES, ALL_SOON_S, "all in the menu at once")
        wait_until(lambda: in_menu(town) == 0, ALL_SOON_S, "everybody waits for a person")
        for leg in legs:
            leg.hang_up()
        missing = {leg.number: what_is_missing(prompts, leg) for leg in legs}
        assert not {caller: what for caller, what in missing.items() if what}
        rows = rows_of(town, ids)
        assert {row.result for row in rows.values()} == {"abandoned"}


@pytest.mark.row("CAP-01")
def test_fifty_calls_at_once_are_queued_recorded_and_shown_and_the_next_is_written_down(
    place: Path,
) -> None:
    with town_with(LINES, place / "lines") as town:
        since = len(town.observer.events)
        legs = callers(town, LINES)
        ids = arrivals(town, since, LINES)
        wait_until(lambda: all(leg.is_talking for leg in legs), ALL_SOON_S, "all are answered")
        wait_queued(town, LINES, since)
        _the_next_one_overflows(town)
        _an_emergency_is_taken(town)
        for leg in legs:
            leg.hang_up()
        rows = rows_of(town, ids)
        assert len(rows) == LINES
        heard_s = {leg.number: seconds(leg.heard()) for leg in legs}
        assert min(heard_s.values()) > 10
        _all_are_kept(town, ids)
        shown = town.house.read(lambda s: calls.latest(s, limit=LINES + 2))
        assert {row.id for row, _ in shown} >= set(ids)
        _there_is_room_again(town)


def _the_next_one_overflows(town: Town) -> None:
    """The carrier hears that it should deliver it elsewhere, and there is a row of it."""
    since = len(town.observer.events)
    refused = town.carrier.call("96100", "13900000051")
    assert refused.wait_ended()["Cause"] == CONGESTION
    assert not refused.is_talking
    row = ended_call(town.house, call_of(town, since))
    assert (row.caller_no, row.entry, row.result) == ("+8613900000051", "hotline", "failed")
    assert row.answered_at is None


def _an_emergency_is_taken(town: Town) -> None:
    since = len(town.observer.events)
    elder = town.carrier.call("96000", "13900000052", tone=0).wait_talking()
    call_id = call_of(town, since)
    elder.hang_up()
    assert ended_call(town.house, call_id).entry == "emergency"


def _all_are_kept(town: Town, ids: list[str]) -> None:
    """Each call's recording is a file in the folder that is kept."""

    async def kept(session: AsyncSession) -> bool:
        latest = [
            row for row, _ in await calls.latest(session, limit=2 * len(ids)) if row.id in ids
        ]
        return [row.recording.state for row in latest if row.recording] == ["kept"] * len(ids)

    town.house.wait_for(kept, "every recording", 240)


def _there_is_room_again(town: Town) -> None:
    since = len(town.observer.events)
    elder = town.carrier.call("96100", "13900000053", tone=0).wait_talking()
    call_id = call_of(town, since)
    elder.hang_up()
    assert ended_call(town.house, call_id).result == "abandoned"
