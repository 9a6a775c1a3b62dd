"""Times, numbers and addresses are written as people read them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from agent_desk import formats
from agent_desk.formats import Formats
from sql.models import Elder
from sql.queries.elders import ADDRESS

CHINA = Formats(ZoneInfo("Asia/Shanghai"), "86")


def test_times_are_the_centres() -> None:
    late = datetime(2026, 4, 18, 16, 30, 5, tzinfo=UTC)
    assert CHINA.clock(late) == "00:30:05"
    assert CHINA.day_clock(late) == "2026-04-19 00:30:05"
    assert CHINA.clock(None) == "–"


@pytest.mark.parametrize(
    ("number", "whole", "masked"),
    [
        ("+8613800005521", "138 0000 5521", "138****5521"),
        ("+863741234567", "0374-1234567", "0374-****567"),
        ("+862112345678", "021-12345678", "021-****678"),
        ("+12025550123", "+1 202-555-0123", "+1 202-****123"),
        ("96100", "96100", "96100"),
        ("1001", "1001", "1001"),
        ("12345678", "12345678", "123****78"),
        ("", "", ""),
        ("+", "+", "+"),
    ],
)
def test_numbers(number: str, whole: str, masked: str) -> None:
    assert CHINA.number(number) == whole
    assert CHINA.masked(number) == masked


def test_age_in_whole_years_in_the_centres_zone() -> None:
    eve = datetime(2026, 3, 20, 15, 59, tzinfo=UTC)
    birthday = datetime(2026, 3, 20, 16, 0, tzinfo=UTC)
    assert CHINA.age(date(1944, 3, 21), eve) == 81
    assert CHINA.age(date(1944, 3, 21), birthday) == 82
    assert CHINA.age(None, birthday) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.9, "0:59"), (242, "4:02"), (3842, "1:04:02"), (-3, "0:00")],
)
def test_durations(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


def elder(**known: str) -> Elder:
    blank = dict.fromkeys((*ADDRESS, "landmark", "entry_route"), "")
    return Elder(full_name="王秀兰", **(blank | known))


def test_bare_figures_of_an_address_get_their_words() -> None:
    parts = elder(addr_street="文峰街道", addr_building="7", addr_room="402", addr_unit="东单元")
    assert formats.address(parts) == ["文峰街道", "7 号楼", "东单元", "402 室"]


def test_what_is_missing_is_said() -> None:
    assert "楼号" in formats.missing(elder(addr_street="文峰街道"))
    assert "街道" not in formats.missing(elder(addr_street="文峰街道"))


@pytest.mark.parametrize("part", ADDRESS)
def test_each_of_the_seven_parts_is_missed(part: str) -> None:
    whole = dict.fromkeys(ADDRESS, "东")
    known = len(formats.missing(elder(**whole)))
    assert len(formats.missing(elder(**{**whole, part: ""}))) == known + 1


@pytest.mark.parametrize(
    ("number", "dialled"),
    [
        ("+8613800000000", "13800000000"),
        ("+863741234567", "03741234567"),
        ("+12025550123", "+12025550123"),
        ("1002", "1002"),
        ("", ""),
    ],
)
def test_a_number_is_dialled_as_carriers_of_the_country_know_it(number: str, dialled: str) -> None:
    assert CHINA.dialled(number) == dialled
