"""Forms: each is a pydantic model, and its faults are said beside the fields, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from aiohttp import web
from multidict import MultiDictProxy
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from agent_desk.language import gettext as _

EARLIEST_BIRTH: Final = date(1900, 1, 1)
MOST_ROWS: Final = 9


def _one_line(value: object) -> object:
    """Printable text on one line; control characters have no place in a name."""
    if not isinstance(value, str):
        return value
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())


def _lines(value: object) -> object:
    """Printable text whose lines are kept."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c == "\n" or c.isprintable()).strip()


def _nothing_is_none(value: object) -> object:
    return None if value == "" else value


Line = Annotated[str, BeforeValidator(_one_line)]
Text = Annotated[str, BeforeValidator(_lines), Field(max_length=2000)]
Needed = Annotated[str, BeforeValidator(_lines), Field(min_length=1, max_length=2000)]
Short = Annotated[Line, Field(max_length=20)]
Medium = Annotated[Line, Field(max_length=40)]


class Form(BaseModel):
    """What a browser sends; fields that are not ours (the form token) are left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class SignIn(Form):
    name: Annotated[Line, Field(min_length=1, max_length=64)]
    password: Annotated[str, Field(min_length=1, max_length=200)]
    next: str = "/"


class NewOrder(Form):
    """`order_id` is made with the form, so that sending it twice makes one order."""

    order_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    elder_id: Annotated[int | None, BeforeValidator(_nothing_is_none)] = None
    content: Needed
    requirement: Text = ""


class ChosenOrder(Form):
    order_id: Annotated[str, Field(min_length=1, max_length=96)]


class Judgement(Form):
    content: Needed
    requirement: Text = ""


class Answer(Form):
    answer: Needed


class Reason(Form):
    reason: Needed


class NewElder(Form):
    """An elder as entered. `numbers` are as they were written; the page makes E.164 of them."""

    full_name: Annotated[Line, Field(min_length=1, max_length=64)]
    sex: Literal["unknown", "male", "female"] = "unknown"
    birth_date: Annotated[date | None, BeforeValidator(_nothing_is_none)] = None
    numbers: tuple[Annotated[Medium, Field()], ...] = ()
    site: Line = ""
    addr_district: Medium = ""
    addr_street: Medium = ""
    addr_compound: Annotated[Line, Field(max_length=60)] = ""
    addr_building: Short = ""
    addr_unit: Short = ""
    addr_floor: Short = ""
    addr_room: Short = ""
    landmark: Text = ""
    entry_route: Text = ""
    call: str = ""

    @field_validator("numbers")
    @classmethod
    def _one_at_least(cls, numbers: tuple[str, ...]) -> tuple[str, ...]:
        given = tuple(dict.fromkeys(number for number in numbers if number))
        if not given:
            raise ValueError("no_number")
        if any(sum(c.isdecimal() for c in number) < 3 for number in given):
            raise ValueError("bad_number")
        return given

    @field_validator("birth_date")
    @classmethod
    def _plausible(cls, born: date | None) -> date | None:
        if born is not None and not EARLIEST_BIRTH <= born <= datetime.now(UTC).date():
            raise ValueError("bad_birth_date")
        return born


class MenuForm(Form):
    """A menu as chosen: key, service and queue of each row stand at one place of the three lists.

    `version` is that of the menu which was on the screen.
    """

    key: tuple[Annotated[Line, Field(max_length=8)], ...] = ()
    service: tuple[Medium, ...] = ()
    queue: tuple[Medium, ...] = ()
    version: int

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """Key, service and queue of every row in which a key was chosen, in order."""
        return [row for row in zip(self.key, self.service, self.queue, strict=True) if row[0]]

    @model_validator(mode="after")
    def _lists_are_of_one_length(self) -> MenuForm:
        if not len(self.key) == len(self.service) == len(self.queue) <= MOST_ROWS:
            raise PydanticCustomError("unreadable", "the rows are not whole")
        return self


FormT = TypeVar("FormT", bound=Form)


@dataclass(frozen=True, slots=True)
class Filled(Generic[FormT]):
    """A form as it came in: `form` when it is right, and always what was typed."""

    form: FormT | None
    typed: Mapping[str, Any]
    faults: Mapping[str, str] = field(default_factory=dict)


async def read(
    request: web.Request, kind: type[FormT], many: tuple[str, ...] = ()
) -> Filled[FormT]:
    """Read the posted form. `many` names the fields that may come more than once."""
    posted: MultiDictProxy[Any] = await request.post()
    # An upload in place of a text is nobody's honest mistake; it counts as left empty.
    typed: dict[str, Any] = {k: v for k, v in posted.items() if isinstance(v, str)}
    for name in many:
        typed[name] = [value for value in posted.getall(name, []) if isinstance(value, str)]
    try:
        return Filled(kind.model_validate(typed), typed)
    except ValidationError as wrong:
        faults = {
            str(e["loc"][0]) if e["loc"] else "": _sentence(e) for e in reversed(wrong.errors())
        }
        return Filled(None, typed, faults)


def _sentence(error: ErrorDetails) -> str:
    """Say what is wrong with a field, and what would be right."""
    about = error.get("ctx", {})
    match error["type"]:
        case "value_error":
            return _own_sentence(str(about["error"]))
        case "missing" | "string_too_short" | "too_short":
            return _("This is needed.")
        case "string_too_long" | "too_long":
            return _("This is too long: at most %d characters.") % int(about["max_length"])
        case "date_from_datetime_parsing" | "date_from_datetime_inexact" | "date_parsing":
            return _("This is no date. Right would be 1944-03-21.")
        case "literal_error":
            return _("Choose one of the list.")
        case _:
            return _("This cannot be read. Open the page again.")


def _own_sentence(code: str) -> str:
    return {
        "no_number": _("At least one number is needed: by it the elder is known when calling."),
        "bad_number": _("This is no telephone number. Right would be 0374-1234567 or 13800000000."),
        "bad_birth_date": _("This date of birth cannot be right."),
    }.get(code, code)
