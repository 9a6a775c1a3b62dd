"""Forms: each is a pydantic model, and its faults are said beside the fields, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from aiohttp import web
from multidict import MultiDictProxy
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from agent_desk.language import gettext as _
from workflows.call_back import MAX_REASON
from workflows.commands import Mark
from workflows.events import CallClass, CaseOutcome

SHORTEST_PASSWORD: Final = 10
ROW: Final = re.compile(r"\w+\.\d{1,3}\.\w+")
CHOSEN: Final = ("id", "priority", "is_emergency", "type", "status")
MOST_ROWS: Final = 9


def one_line(text: str) -> str:
    """Printable text on one line; control characters have no place in a name or a search."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _line(value: object) -> object:
    return one_line(value) if isinstance(value, str) else value


def printable_lines(value: object) -> object:
    """Printable text whose lines are kept."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c == "\n" or c.isprintable()).strip()


def nothing_is_none(value: object) -> object:
    return None if value == "" else value


Line = Annotated[str, BeforeValidator(_line)]
Text = Annotated[str, BeforeValidator(printable_lines), Field(max_length=2000)]
Needed = Annotated[str, BeforeValidator(printable_lines), Field(min_length=1, max_length=2000)]
Long = Annotated[str, BeforeValidator(printable_lines), Field(max_length=4000)]
LongNeeded = Annotated[Long, Field(min_length=1)]
Short = Annotated[Line, Field(max_length=20)]
Medium = Annotated[Line, Field(max_length=40)]


class Form(BaseModel):
    """What a browser sends; fields that are not ours (the form token) are left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class SignIn(Form):
    name: Annotated[Line, Field(min_length=1, max_length=64)]
    password: Annotated[str, Field(min_length=1, max_length=200)]
    next: str = "/"


class Caller(Form):
    """Who calls; empty takes back what was said."""

    elder_id: Annotated[int | None, BeforeValidator(nothing_is_none)]


class Draft(Form):
    """The fields of a wrap-up as far as they are typed."""

    call_class: Annotated[str, Field(max_length=16)] = ""
    note: Text = ""
    elder_id: Annotated[str, Field(max_length=20)] = ""
    content: Text = ""
    requirement: Text = ""


class WrapUp(Form):
    """What a call was about. `wrap_up_id` is made with the form; `replaces` is what was shown.

    With `content` an order is written as well, in the same form.
    """

    wrap_up_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    replaces: Annotated[datetime | None, BeforeValidator(nothing_is_none)] = None
    call_class: CallClass
    note: Text = ""
    order_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    elder_id: Annotated[int | None, BeforeValidator(nothing_is_none)] = None
    content: Text = ""
    requirement: Text = ""


class NewOrder(Form):
    """`order_id` is made with the form, so that sending it twice makes one order."""

    order_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    elder_id: Annotated[int | None, BeforeValidator(nothing_is_none)] = None
    content: Needed
    requirement: Text = ""


class ChosenOrder(Form):
    order_id: Annotated[Line, Field(min_length=1, max_length=96)]


class Judgement(Form):
    content: Needed
    requirement: Text = ""


class Answer(Form):
    answer: Needed


class Reason(Form):
    reason: Needed


def _as_written(password: str) -> str:
    if len(password.strip()) < SHORTEST_PASSWORD:
        raise ValueError("short_password")
    return password


NewPassword = Annotated[str, Field(max_length=200), AfterValidator(_as_written)]
RoleName = Literal["admin", "supervisor", "seat"]


class NewUser(Form):
    name: Annotated[Line, Field(min_length=1, max_length=64)]
    role: RoleName
    password: NewPassword


class ChosenRole(Form):
    role: RoleName


class SetPassword(Form):
    password: NewPassword


class TestCall(Form):
    phone_id: int
    result: Literal["reachable", "unreachable"]


class SetActive(Form):
    active: Literal["yes", "no"]


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


# ── the rescue ────────────────────────────────────────────────────────────────────────────────

Key = Annotated[Line, Field(min_length=1, max_length=80)]
YesNo = Literal["yes", "no"]


class Parties(Form):
    """Whom to call: keys of the card."""

    party: Annotated[tuple[Key, ...], Field(min_length=1, max_length=100)]


class ChosenLeg(Form):
    leg: Key


class Moved(Form):
    channel: Key
    room: Literal["elder", "side"]


class Muted(Form):
    channel: Key
    muted: YesNo


class Marked(Form):
    leg: Key
    mark: Mark
    so: YesNo = "yes"


class CaseNote(Form):
    """`note_id` is made with the form, so that sending it twice says it once."""

    note_id: Annotated[str, Field(pattern=r"^[0-9a-f-]{32,36}$")]
    text: Annotated[str, BeforeValidator(printable_lines), Field(min_length=1, max_length=1000)]


class ChosenPlan(Form):
    kind: Annotated[str, Field(pattern=r"^[a-z_]{1,20}$")]
    version: Annotated[int, Field(ge=0, le=100_000)] = 0


class Ticked(Form):
    step: Key
    done: YesNo = "yes"


class ChosenCard(Form):
    uid: Key


class Private(Form):
    so: YesNo = "yes"


class ChosenMessage(Form):
    message: Key


Report = Annotated[str, BeforeValidator(printable_lines), Field(min_length=1, max_length=4000)]


class Record(Form):
    """How a rescue went, and who takes care of the elder now."""

    text: Report
    handed_to: Annotated[Line, Field(max_length=200)] = ""


class Safe(Form):
    so: YesNo = "yes"


class Stopped(Form):
    """Why an elder is not called any more."""

    reason: Annotated[Line, Field(min_length=1, max_length=MAX_REASON)]


class AskedAfter(Form):
    """How the elder is afterwards."""

    text: Report


class Closed(Form):
    outcome: CaseOutcome
    changes: Report


FormT = TypeVar("FormT", bound=Form)


@dataclass(frozen=True, slots=True)
class Filled(Generic[FormT]):
    """A form as it came in: `form` when it is right, and always what was typed."""

    form: FormT | None
    typed: Mapping[str, Any]
    faults: Mapping[str, str] = field(default_factory=dict)


async def read(
    request: web.Request,
    kind: type[FormT],
    many: tuple[str, ...] = (),
    rows: tuple[str, ...] = (),
) -> Filled[FormT]:
    """Read the posted form.

    `many` names the fields that may come more than once, also within a row. `rows` names what comes
    as numbered rows: `contacts.0.name`, `contacts.1.name` become a list of two in `contacts`; a row
    in which nothing was written is left out.
    """
    posted: MultiDictProxy[Any] = await request.post()
    # An upload in place of a text is nobody's honest mistake; it counts as left empty.
    typed: dict[str, Any] = {k: v for k, v in posted.items() if isinstance(v, str)}
    # In one pass: a hostile form may have one name ten thousand times.
    for name, value in posted.items():
        if name.rpartition(".")[2] in many and isinstance(value, str):
            if not isinstance(typed[name], list):
                typed[name] = []
            typed[name].append(value)
    for name in many:
        typed.setdefault(name, [])
    for name in rows:
        typed[name] = _rows(typed, name)
    try:
        return Filled(kind.model_validate(typed), typed)
    except ValidationError as wrong:
        return Filled(None, typed, _faults(wrong))


def _rows(typed: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Take the fields `name.number.field` out of `typed`, as rows in the order of their numbers."""
    found: dict[int, dict[str, Any]] = {}
    for key in [key for key in typed if ROW.fullmatch(key) and key.startswith(f"{name}.")]:
        _, number, field_name = key.split(".")
        found.setdefault(int(number), {})[field_name] = typed.pop(key)
    return [row for _, row in sorted(found.items()) if _is_written(row)]


def _is_written(row: Mapping[str, Any]) -> bool:
    """Whether anything stands in it that is to stay; what is chosen stands there anyway."""
    return not row.get("remove") and any(
        any(text.strip() for text in (value if isinstance(value, list) else [value]))
        for name, value in row.items()
        if name not in CHOSEN
    )


def _faults(wrong: ValidationError) -> dict[str, str]:
    """The first fault of each field, and of each row by the row's own name too."""
    faults: dict[str, str] = {}
    for error in wrong.errors():
        sentence, path = _sentence(error), [str(part) for part in error["loc"]]
        # What is wrong with the whole form stands under no field.
        if not path:
            faults.setdefault("", sentence)
        for end in range(1, len(path) + 1):
            faults.setdefault(".".join(path[:end]), sentence)
    return faults


def _sentence(error: ErrorDetails) -> str:
    """Say what is wrong with a field, and what would be right."""
    about = error.get("ctx", {})
    match error["type"]:
        case "value_error":
            return _own_sentence(str(about["error"]))
        case "missing" | "string_too_short" | "too_short":
            return _("This is needed.")
        case "too_long":
            return _("These are too many: at most %d.") % int(about["max_length"])
        case "string_too_long":
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
        "bad_check_date": _("This day is still to come."),
        "rescue_number": _("Rescue is never called as a contact; it has its own way."),
        "short_password": _("At least %d characters, please: three words are easy to keep in mind.")
        % SHORTEST_PASSWORD,
    }.get(code, code)
