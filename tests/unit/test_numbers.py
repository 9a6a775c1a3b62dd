"""Numbers as carriers deliver them and as people write them become one and the same."""

from __future__ import annotations

import pytest

from sql.numbers import e164, is_whole, spellings


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("13800000000", "+8613800000000"),
        ("+8613800000000", "+8613800000000"),
        ("+86 138 0000 0000", "+8613800000000"),
        ("8613800000000", "+8613800000000"),
        ("008613800000000", "+8613800000000"),
        ("013800000000", "+8613800000000"),
        ("138-0000-0000", "+8613800000000"),
        ("１３８００００００００", "+8613800000000"),
        ("0374-1234567", "+863741234567"),
        ("(0374) 1234567", "+863741234567"),
        ("0374-1234567转8001", "+863741234567"),
        ("0374-1234567 ext. 12", "+863741234567"),
        ("1234567", "+863741234567"),
        ("021-12345678", "+862112345678"),
        ("400-123-4567", "+864001234567"),
        ("+12025550123", "+12025550123"),
    ],
)
def test_one_number_has_one_spelling(raw: str, expected: str) -> None:
    assert e164(raw, country="86", area="0374") == expected


@pytest.mark.parametrize("short", ["96100", "120", "1001", "10086", "95105105"])
def test_short_numbers_stay_as_they_are(short: str) -> None:
    assert e164(short, country="86", area="0374") == short


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", ""),
        ("anonymous", ""),
        ("<script>alert(1)</script>", "1"),
        ("'; DROP TABLE elder; --", ""),
        ("${EXTEN}\r\nInjected: 12345678901234567890123456789", "12345678901234567890"),
        ("+", ""),
        ("+0", "0"),
        ("9" * 200, "9" * 20),
        ("٠١٢٣", ""),
    ],
)
def test_garbage_becomes_its_digits(raw: str, expected: str) -> None:
    assert e164(raw, country="86", area="0374") == expected


def test_the_area_belongs_to_the_centre() -> None:
    assert e164("12345678", country="86", area="021") == "+862112345678"
    assert e164("6085550", country="86", area="0374") == "+863746085550"


@pytest.mark.parametrize(
    ("number", "spelt"),
    [
        ("+8613800000001", {"+8613800000001", "8613800000001", "13800000001"}),
        ("+863741234567", {"+863741234567", "863741234567", "03741234567", "1234567"}),
        ("+861012345678", {"+861012345678", "861012345678", "01012345678"}),
        ("+864001234567", {"+864001234567", "864001234567", "4001234567"}),
        ("+12025550123", {"+12025550123"}),
        ("96100", {"96100"}),
    ],
)
def test_every_way_in_which_a_carrier_may_deliver_a_number(number: str, spelt: set[str]) -> None:
    assert set(spellings(number, country="86", area="0374")) == spelt


@pytest.mark.parametrize(
    ("number", "is_so"),
    [
        ("+8613900012603", True), ("+863742610000", True), ("+861012345678", True),
        ("+864001234567", True), ("96100", True), ("12345", True), ("+861390001260", False),
        ("+86374261", False), ("+8612345", False), ("374261000012345", False), ("+", False),
        ("", False),
    ],
)  # fmt: skip
def test_a_number_with_a_digit_too_few_or_too_many_is_none(number: str, is_so: bool) -> None:
    assert is_whole(number) is is_so
