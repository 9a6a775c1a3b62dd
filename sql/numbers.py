"""Telephone numbers: whatever a carrier or a person wrote, as E.164 for the look-up.

One function for all who write or look for a number, so that a call finds its elder.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from workflows.numbers import CHINA, within_china

LONGEST: Final = 20
SHORT: Final = 6
LOCAL: Final = (7, 8)
FEWEST: Final = 3
# What follows one of these is an extension; the line itself is what rings at home.
EXTENSION: Final = re.compile(r"(?<=\d)\s*(?:转|轉|分机|分機|ext|[xX#,;*])")


def e164(raw: str, *, country: str, area: str) -> str:
    """The number in E.164, completed with the country ("86") and area code ("0374").

    Short numbers (96100) stay as they are. What is no telephone number becomes its digits alone,
    and an empty text when it has none, so that nothing written by a stranger gets further.
    """
    # NFKC turns the full-width digits of a Chinese keyboard into plain ones.
    text = EXTENSION.split(unicodedata.normalize("NFKC", raw).strip(), maxsplit=1)[0]
    digits = "".join(c for c in text if c in "0123456789")
    international = text.startswith("+")
    if not international and _is_short(digits):
        return digits[:LONGEST]
    if not international and len(digits) in LOCAL:
        digits = area + digits
    region = phonenumbers.region_code_for_country_code(int(country))
    try:
        number = phonenumbers.parse(f"+{digits}" if international else digits, region)
    except NumberParseException:
        return digits[:LONGEST]
    if not phonenumbers.is_possible_number(number):
        return digits[:LONGEST]
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def is_whole(number: str) -> bool:
    """Whether what `e164` made is a number as its country has them, in length and beginning.

    Of a short number nobody can tell.
    """
    if not number.startswith("+"):
        return bool(number) and _is_short(number)
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number))
    except NumberParseException:
        return False


def as_dialled(number: str, *, country: str) -> str:
    """An E.164 number as it is dialled within the country; others stay as they are."""
    prefix = f"+{country}"
    if not number.startswith(prefix):
        return number
    if prefix == CHINA:
        # All contacts of all elders pass here at each connect, and the library takes 0.2 ms each.
        return within_china(number)
    try:
        written = phonenumbers.format_number(phonenumbers.parse(number), PhoneNumberFormat.NATIONAL)
    except NumberParseException:
        return number
    return "".join(c for c in written if c in "0123456789")


def spellings(number: str, *, country: str, area: str) -> tuple[str, ...]:
    """An E.164 number in every way in which a carrier may deliver it as the caller's."""
    prefix = f"+{country}"
    if not number.startswith(prefix):
        return (number,)
    national = as_dialled(number, country=country)
    local = national.removeprefix(area) if national.startswith(area) else national
    return tuple(dict.fromkeys((number, number.removeprefix("+"), national, local)))


def digits_of(text: str) -> str:
    """What of a number to search for in E.164: its digits, without the zeros before them.

    Empty for what is no piece of a number.
    """
    plain = unicodedata.normalize("NFKC", text)
    digits = "".join(c for c in plain if c in "0123456789").lstrip("0")
    is_number = all(c in "0123456789 +-()" for c in plain)
    return digits if is_number and len(digits) >= FEWEST else ""


def _is_short(digits: str) -> bool:
    """Service numbers: up to six digits, and the longer ones that begin with 9 as no line does."""
    return len(digits) <= SHORT or (len(digits) in LOCAL and digits.startswith("9"))
