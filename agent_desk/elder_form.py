"""The form of an elder: everything of one elder on one page, with contacts and terminals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from agent_desk.forms import Form, Line, Medium, Short, Text, nothing_is_none
from settings import Centre
from sql.models import Elder
from sql.numbers import FEWEST, e164
from sql.registers.elders import FIELDS, Contact, Device, Entry, Number

EARLIEST_BIRTH: Final = date(1900, 1, 1)
RESCUE: Final = ("110", "119", "120", "122")
MANY: Final = ("numbers", "phones")
ROWS: Final = ("contacts", "terminals")
MOST: Final = 30

Day = Annotated[date | None, BeforeValidator(nothing_is_none)]
Id = Annotated[int | None, BeforeValidator(nothing_is_none)]
TerminalType = Literal[
    "one_key", "wireless_alarm", "fall_alarm", "smoke_alarm", "water_alarm", "health_monitor",
    "home_monitor", "nursing_bed",
]  # fmt: skip


def _dialled(number: str) -> str:
    """The digits that a telephone would dial, without the area: an extension is left out."""
    return e164(number, country="86", area="").removeprefix("+")


def _numbers(numbers: tuple[str, ...]) -> tuple[str, ...]:
    """Those that were written, each once; a number has three digits at least."""
    given = tuple(dict.fromkeys(number for number in numbers if number))
    if any(len(_dialled(number)) < FEWEST for number in given):
        raise ValueError("bad_number")
    return given


def _one_at_least(numbers: tuple[str, ...]) -> tuple[str, ...]:
    if not numbers:
        raise ValueError("no_number")
    return numbers


def _no_rescue(numbers: tuple[str, ...]) -> tuple[str, ...]:
    if any(_dialled(number).lstrip("0") in RESCUE for number in numbers):
        raise ValueError("rescue_number")
    return numbers


def _not_to_come(day: date | None) -> date | None:
    if day is not None and day > datetime.now(UTC).date():
        raise ValueError("bad_check_date")
    return day


Numbers = Annotated[
    tuple[Medium, ...], Field(max_length=MOST), AfterValidator(_numbers),
    AfterValidator(_one_at_least),
]  # fmt: skip


class ContactRow(Form):
    id: Id = None
    name: Annotated[Line, Field(min_length=1, max_length=64)]
    relation: Annotated[Line, Field(max_length=32)] = ""
    priority: Annotated[int, Field(ge=1, le=99)] = 99
    is_emergency: bool = False
    phones: Annotated[Numbers, AfterValidator(_no_rescue)]


class TerminalRow(Form):
    id: Id = None
    serial_no: Annotated[Line, Field(min_length=1, max_length=40)]
    type: TerminalType = "one_key"
    phone: Medium = ""
    status: Literal["active", "retired"] = "active"

    @field_validator("phone")
    @classmethod
    def _is_a_number(cls, phone: str) -> str:
        return "".join(_numbers((phone,)))


class ElderForm(Form):
    """An elder as entered. Numbers are as they were written; `entry` makes E.164 of them.

    `version` is the one that was shown; `call` the call from whose page this began.
    """

    full_name: Annotated[Line, Field(min_length=1, max_length=64)]
    sex: Literal["unknown", "male", "female"] = "unknown"
    birth_date: Day = None
    numbers: Numbers = Field(default=(), validate_default=True)
    site: Line = ""
    user_status: Literal[
        "applied", "active", "suspended", "declined", "deceased", "left"
    ] = "active"  # fmt: skip
    living_arrangement: Literal[
        "", "with_children", "with_relatives_friends", "with_spouse", "alone"
    ] = ""
    addr_district: Medium = ""
    addr_street: Medium = ""
    addr_compound: Annotated[Line, Field(max_length=60)] = ""
    addr_building: Short = ""
    addr_unit: Short = ""
    addr_floor: Short = ""
    addr_room: Short = ""
    landmark: Text = ""
    entry_route: Text = ""
    entry_route_checked_on: Annotated[Day, AfterValidator(_not_to_come)] = None
    risk_plan: Text = ""
    main_diseases: Text = ""
    medication_state: Text = ""
    remark: Text = ""
    contacts: Annotated[tuple[ContactRow, ...], Field(max_length=MOST)] = ()
    terminals: Annotated[tuple[TerminalRow, ...], Field(max_length=MOST)] = ()
    version: int = 0
    call: Line = ""

    @field_validator("birth_date")
    @classmethod
    def _plausible(cls, born: date | None) -> date | None:
        if born is not None and not EARLIEST_BIRTH <= born <= datetime.now(UTC).date():
            raise ValueError("bad_birth_date")
        return born

    def entry(self, centre: Centre, first_site: str) -> Entry:
        """What the register takes; `first_site` when none was chosen."""

        def number(raw: str) -> Number:
            return e164(raw, country=centre.country_code, area=centre.area_code), raw

        fields = {name: getattr(self, name) for name in FIELDS}
        return Entry(
            fields={**fields, "site": self.site or first_site},
            numbers=_each_once([number(raw) for raw in self.numbers]),
            contacts=[
                Contact(
                    one.id, one.name, one.relation, one.priority, one.is_emergency,
                    _each_once([number(raw) for raw in one.phones]),
                )
                for one in self.contacts
            ],
            terminals=[
                Device(
                    one.id, one.serial_no, one.type, number(one.phone) if one.phone else None,
                    one.status,
                )
                for one in self.terminals
            ],
        )  # fmt: skip


def _each_once(numbers: Sequence[Number]) -> list[Number]:
    """One number written in two ways is one number."""
    return list({number: (number, raw) for number, raw in reversed(numbers)}.values())[::-1]


def as_typed(elder: Elder) -> dict[str, Any]:
    """The elder as the form shows it before anybody types."""
    fields = {name: getattr(elder, name) for name in FIELDS}
    return {
        **{name: "" if value is None else str(value) for name, value in fields.items()},
        "version": elder.version,
        "numbers": [phone.raw for phone in elder.phones],
        "contacts": [
            {"id": one.id, "name": one.name, "relation": one.relation, "priority": one.priority,
             "is_emergency": "yes" if one.is_emergency else "",
             "phones": [phone.raw for phone in one.phones]}
            for one in elder.contacts
        ],
        "terminals": [
            {"id": one.id, "serial_no": one.serial_no, "type": one.type, "phone": one.phone_raw,
             "status": one.status}
            for one in elder.terminals
        ],
    }  # fmt: skip


def with_room(typed: Mapping[str, Any], more: str = "") -> dict[str, Any]:
    """The form with empty places to write into; `more` names the rows that want one place more."""
    given = dict(typed)
    given["numbers"] = _padded(given.get("numbers", ()), 3)
    contacts = [
        {**row, "phones": _padded(row.get("phones", ()), 2)} for row in given.get("contacts", ())
    ]
    empty = {"phones": ["", ""], "is_emergency": "yes"}
    contacts += [dict(empty) for _ in range(2 if more == "contacts" else 1)]
    terminals = [*given.get("terminals", ())]
    terminals += [{} for _ in range(2 if more == "terminals" else 1)]
    return {**given, "contacts": contacts, "terminals": terminals}


def _padded(numbers: Sequence[str], fewest: int) -> list[str]:
    """The numbers, and room for one more at least."""
    written = [number for number in numbers if number]
    return [*written, *[""] * max(fewest - len(written), 1)]
