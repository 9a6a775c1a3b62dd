"""The read-out card: what it misses, what an SMS of it says, and that it can be kept in a case."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from sql import codec
from workflows.card import (
    LONGEST,
    RESCUE,
    Card,
    Party,
    PartyKind,
    missing,
    read_out,
    unknown,
    years,
)
from workflows.numbers import is_for_help

WANG = Card(
    elder_id=7, uid="E000007", name="王桂兰", sex="female", age=77,
    district="青禾区", street="槐荫街道", compound="枣园小区", building="12号楼", unit="1单元",
    floor="5层", room="503", landmark="社区卫生站隔壁", entry_route="单元门在北面，上楼右手边。",
    entry_route_checked_on=date(2026, 2, 3), diseases="高血压", medication="降压药",
    risk_plan="听不清敲门声。", living="alone", call_back="+863742601001", terminal_type="one_key",
    site="main",
    parties=(
        *RESCUE,
        Party(key="contact/3", kind=PartyKind.CONTACT, name="袁静华", relation="孙女",
              numbers=("+8613900012603", "+863742601009")),
        Party(key="responder/town-4", kind=PartyKind.STATION, name="枣园养护站",
              numbers=("+863742610000",)),
    ),
)  # fmt: skip
LONG = "这是一段很长的话" * 300


def but(card: Card = WANG, /, **fields: Any) -> Card:
    """The card with other fields."""
    return replace(card, **fields)


def sms_length(text: str) -> int:
    """As a carrier counts: in units of two bytes."""
    return len(text.encode("utf-16-be")) // 2


# ── kept in a case ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "card",
    [WANG, but(has_agreement=False), unknown("+8613800000000", "main"), Card()],
    ids=["known", "agreement", "unknown", "empty"],
)
def test_a_card_is_the_same_after_it_was_kept(card: Card) -> None:
    kept = json.dumps(codec.dump(card))
    assert codec.load(Card, json.loads(kept)) == card


@pytest.mark.parametrize(
    ("spoilt", "where"),
    [
        ({"parties": [{"key": "x", "kind": "pirate", "name": ""}]}, "parties.0.kind"),
        ({"age": "old"}, "age"),
        ({"entry_route_checked_on": "soon"}, "entry_route_checked_on"),
    ],
)
def test_a_spoilt_card_is_named(spoilt: dict[str, object], where: str) -> None:
    with pytest.raises(codec.NotReadable, match=f"Card.{where}"):
        codec.load(Card, codec.dump(WANG) | spoilt)


def test_the_rescue_services_are_never_dialled_by_digits() -> None:
    stranger = unknown("+8613800000000", "south")
    assert [party.key for party in stranger.parties] == ["ambulance", "fire", "police"]
    assert not any(party.numbers for party in stranger.parties)
    assert (stranger.call_back, stranger.site) == ("+8613800000000", "south")


@pytest.mark.parametrize(
    ("number", "is_so"),
    [
        ("120", True), ("110", True), ("119", True), ("122", True), ("0120", True),
        ("+86120", True), ("0086110", True), ("+8613800000120", False), ("12020", False),
        ("03742120120", False), ("", False),
    ],
)  # fmt: skip
def test_a_number_for_help_is_known_however_it_is_written(number: str, is_so: bool) -> None:
    assert is_for_help(number) is is_so


# ── what is missing ──────────────────────────────────────────────────────────────────────────────


def test_nothing_is_missed_of_a_whole_card() -> None:
    assert missing(WANG) == ()


@pytest.mark.parametrize(
    "part",
    ["name", "district", "street", "compound", "building", "unit", "floor", "room", "landmark",
     "entry_route", "call_back"],
)  # fmt: skip
def test_each_part_that_a_dispatcher_asks_for_is_missed(part: str) -> None:
    assert missing(but(**{part: " \n"})) == (part,)


@pytest.mark.parametrize("building", ["7号院", "槐荫巷12号", "东头平房"])
def test_a_house_has_no_unit_and_no_floor(building: str) -> None:
    house = but(building=building, unit="", floor=" ", room="正房")
    assert missing(house) == ()
    assert missing(but(house, entry_route="", room="")) == ("room", "entry_route")
    # With a unit it is a block, whatever it is called, and its floor is asked for.
    assert missing(but(house, unit="1单元")) == ("floor",)


@pytest.mark.parametrize("building", ["12号楼", "12", "3栋", ""])
def test_what_may_be_a_block_is_taken_for_one(building: str) -> None:
    bare = missing(but(building=building, unit="", floor=""))
    assert set(bare) - {"building"} == {"unit", "floor"}


def test_of_a_stranger_everything_is_missed_but_the_number() -> None:
    gaps = missing(unknown("+8613800000000", "main"))
    assert {"name", "district", "room", "entry_route"} < set(gaps)
    assert "call_back" not in gaps
    assert "call_back" in missing(unknown("", "main"))


# ── the SMS ──────────────────────────────────────────────────────────────────────────────────────


def test_the_sms_says_what_is_needed_most_first() -> None:
    assert read_out(WANG, "摔倒，右腿疼，清醒。") == (
        "求助：王桂兰，女，77岁。青禾区槐荫街道枣园小区12号楼1单元5层503室。"
        "进场：单元门在北面，上楼右手边。情况：摔倒，右腿疼，清醒。回电：03742601001。"
        "附近：社区卫生站隔壁。居住：独居。疾病：高血压。用药：降压药。风险：听不清敲门声。"
    )


def test_bare_figures_of_an_address_are_said_in_words() -> None:
    said = read_out(but(building="12", unit="1", floor="5", room="503"), "")
    assert "枣园小区12号楼1单元5层503室。" in said
    assert "情况" not in said, "nothing is said of what nobody knows"


def test_the_sms_of_a_stranger_says_that_nothing_is_known() -> None:
    said = read_out(unknown("+12025550123", "main"), "无人说话")
    assert said == "求助：姓名不详。地址不详。情况：无人说话。回电：+12025550123。"
    assert read_out(Card(), "") == "求助：姓名不详。地址不详。"


@pytest.mark.parametrize(
    "field", ["entry_route", "landmark", "diseases", "medication", "risk_plan"]
)
def test_what_is_too_long_is_cut_and_never_the_address(field: str) -> None:
    said = read_out(but(**{field: LONG}), "摔倒，右腿疼。")
    assert sms_length(said) <= LONGEST
    assert "求助：王桂兰，女，77岁。青禾区槐荫街道枣园小区12号楼1单元5层503室。" in said
    assert "情况：摔倒，右腿疼。" in said
    assert "回电：03742601001。" in said
    assert "这是一段" in said
    assert "…" in said


def test_the_least_needed_goes_first() -> None:
    told = "摔倒，右腿疼。" * 10
    said = read_out(but(landmark="社区卫生站隔壁" * 4), told)
    assert sms_length(said) <= LONGEST
    assert "进场：单元门在北面，上楼右手边。" in said
    assert told.rstrip("。") in said
    assert "附近：社区卫生站" in said
    assert "风险" not in said
    assert "用药" not in said


def test_a_long_way_in_and_a_long_condition_share_the_room() -> None:
    said = read_out(but(entry_route="进" * 500), "疼" * 500)
    assert sms_length(said) <= LONGEST
    assert min(said.count("进"), said.count("疼")) > 50


def test_an_address_stays_whole_whatever_its_length() -> None:
    parts = {"street": "街" * 40, "compound": "园" * 60, "building": "楼" * 20, "room": "房" * 20}
    said = read_out(but(name="欧" * 64, **parts), LONG)
    assert all(text in said for text in ("欧" * 64, *parts.values(), "回电：03742601001"))
    assert "情况" not in said


@pytest.mark.parametrize(
    "hostile",
    ["\ud800坏", "上\r\n楼\x00右\u202e转", "👵🏻" * 300, "\u3000" * 50 + "𠮷" * 300, "\n" * 9],
)
def test_no_text_breaks_the_sms(hostile: str) -> None:
    card = but(landmark=hostile, entry_route=hostile, diseases=hostile)
    said = read_out(card, hostile)
    assert said.isprintable()
    assert sms_length(said) <= LONGEST
    assert said.startswith("求助：王桂兰")


def test_a_very_long_condition_is_cut_at_once() -> None:
    assert sms_length(read_out(WANG, "疼" * 1_000_000)) <= LONGEST


@pytest.mark.parametrize(
    ("on", "age"), [(date(2026, 6, 15), 77), (date(2026, 6, 16), 78), (date(2026, 12, 31), 78)]
)
def test_the_age_is_that_of_the_day(on: date, age: int) -> None:
    assert years(date(1948, 6, 16), on) == age
    assert years(None, on) is None
