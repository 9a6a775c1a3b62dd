"""How times, lengths, numbers and addresses are written for people. Nothing here reads a clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from agent_desk.language import gettext as _
from sql.models import Elder
from sql.numbers import as_dialled
from sql.queries.elders import ADDRESS
from workflows.card import years

MOBILE: Final = 11
SHORT: Final = 6
DELAY_LIMIT_MS: Final = 30.0


class Formats:
    """`zone` is the centre's; `country` the country code whose numbers are written without it."""

    def __init__(self, zone: ZoneInfo, country: str) -> None:
        self._zone: Final = zone
        self._country: Final = country

    def clock(self, at: datetime | None) -> str:
        """09:14:52"""
        return at.astimezone(self._zone).strftime("%H:%M:%S") if at else "–"

    def day_clock(self, at: datetime | None) -> str:
        """2026-04-18 09:14:52"""
        return at.astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S") if at else "–"

    def short_day_clock(self, at: datetime | None) -> str:
        """04-18 09:14, for lists where the year is plain"""
        return at.astimezone(self._zone).strftime("%m-%d %H:%M") if at else "–"

    def age(self, born: date | None, at: datetime) -> int | None:
        """Whole years at that time, in the centre's zone."""
        return years(born, at.astimezone(self._zone).date())

    def number(self, number: str) -> str:
        """A whole number as people read it out: 138 0000 0000, 0374-1234567, +1 202…"""
        return _read_out(number, self._country)

    def dialled(self, number: str) -> str:
        """A number as a telephone here dials it: carriers know their country's without its code."""
        return as_dialled(number, country=self._country)

    def masked(self, number: str) -> str:
        """A number in a list: 138****0000, 0374-****567. Extensions and short numbers stay."""
        whole = self.number(number)
        digits = [c for c in whole if c.isdigit()]
        if len(digits) <= SHORT:
            return whole
        area, dash, line = whole.partition("-")
        if dash:
            return f"{area}-****{line[-3:]}"
        plain = whole.replace(" ", "")
        keep = 4 if len(digits) >= MOBILE else 2
        return f"{plain[:3]}****{plain[-keep:]}"


@lru_cache(maxsize=20_000)
def _read_out(number: str, country: str) -> str:
    # Lists show the same numbers again and again, and the library takes longer than all the rest.
    if not number.startswith("+"):
        return number
    try:
        parsed = phonenumbers.parse(number)
    except NumberParseException:
        return number
    if str(parsed.country_code) != country:
        return phonenumbers.format_number(parsed, PhoneNumberFormat.INTERNATIONAL)
    national = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
    area, space, line = national.partition(" ")
    return f"{area}-{line.replace(' ', '')}" if space and area.startswith("0") else national


def duration(seconds: float | None) -> str:
    """4:02, or 1:04:02"""
    if seconds is None:
        return "–"
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from start to end, when both are known."""
    return (end - start).total_seconds() if start and end else None


def size(count: int | None) -> str:
    """A file's size: 34 KB, 1.2 MB"""
    if count is None:
        return "–"
    return f"{count / 1024:.0f} KB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MB"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f}%"


def milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"


def address(elder: Elder) -> list[str]:
    """The parts of the address that are known, from district to room."""
    words = {
        "addr_building": _("Building %s"),
        "addr_unit": _("Unit %s"),
        "addr_floor": _("Floor %s"),
        "addr_room": _("Room %s"),
    }
    parts = []
    for field in ADDRESS:
        said = str(getattr(elder, field)).strip()
        # A bare figure means little when it is read out; "7" becomes "building 7".
        if said and field in words and said.isdecimal():
            parts.append(words[field] % said)
        elif said:
            parts.append(said)
    return parts


def missing(elder: Elder) -> list[str]:
    """In words, what whoever is sent to this elder would have to ask for (PER-15 to PER-17)."""
    wanted: Sequence[tuple[str, str]] = (
        (elder.addr_district, _("district")),
        (elder.addr_street, _("street")),
        (elder.addr_compound, _("compound")),
        (elder.addr_building, _("building")),
        (elder.addr_unit, _("unit")),
        (elder.addr_floor, _("floor")),
        (elder.addr_room, _("room")),
        (elder.landmark, _("landmark")),
        (elder.entry_route, _("way in")),
    )
    return [name for value, name in wanted if not value.strip()]
