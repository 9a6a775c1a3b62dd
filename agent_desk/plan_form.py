"""A plan as plain text: one step on a line, conditions with what is said in them, English below.

A! 立即叫 119，不等核实。
= Call 119 at once.
B 问清老人在哪间屋。
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from agent_desk.forms import Filled, Form, Medium, printable_lines
from agent_desk.language import gettext as _
from workflows.plan import (
    GUIDANCE,
    LONGEST_LINE,
    LONGEST_STEP,
    MAX_CONDITIONS,
    MAX_FIRST,
    MAX_LINES,
    MAX_STEPS,
    STEPS,
    BadPlan,
    Guidance,
    Plan,
    Seat,
    Step,
    Text,
    broken,
)

MANY: Final = ("first_called",)
# A Chinese keyboard writes the marks wide.
MARK: Final = re.compile(r"([ABabＡＢ])(?:\s*([!！])|[ :：.])\s*(\S.*)")
ROLE: Final[Mapping[str, Seat]] = {
    "A": "A", "a": "A", "Ａ": "A", "B": "B", "b": "B", "Ｂ": "B",
}  # fmt: skip
ENGLISH: Final = ("=", "＝")
SHOWN: Final = 30
"""So many characters of a text at fault are repeated in what is said of it."""


def _plain_spaces(value: object) -> object:
    """Spaces of a Chinese keyboard and of a table, which would be taken for unprintable."""
    return value.replace("\u3000", " ").replace("\t", " ") if isinstance(value, str) else value


PlanText = Annotated[
    str, BeforeValidator(printable_lines), BeforeValidator(_plain_spaces), Field(max_length=16_000)
]


class PlanForm(Form):
    """A plan as typed. `version` is the one in force when the form was made."""

    version: Annotated[int, Field(ge=0, le=1_000_000)]
    first_called: Annotated[tuple[Medium, ...], Field(max_length=MAX_FIRST)] = ()
    steps: PlanText = ""
    guidance: PlanText = ""


class Unclear(ValueError):
    """A line that cannot be read; the text says which, and what would be right."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of Chinese, with the English that stands below it; empty between two conditions."""

    number: int
    zh: str
    en: str = ""


# ── from a plan to text ───────────────────────────────────────────────────────────────────────


def as_typed(plan: Plan, version: int) -> dict[str, Any]:
    """The plan as the form shows it before anybody types; `version` is the one in force."""
    return {
        "version": version,
        "first_called": list(plan.first_called),
        "steps": "\n".join(
            _written(step.text, f"{step.role}{'!' if step.is_mandatory else ''} ")
            for step in plan.steps
        ),
        "guidance": "\n\n".join(
            "\n".join(_written(text) for text in (one.condition, *one.lines))
            for one in plan.guidance
        ),
    }


def _written(text: Text, mark: str = "") -> str:
    return f"{mark}{text.zh}" + (f"\n{ENGLISH[0]} {text.en}" if text.en else "")


# ── from text to a plan ───────────────────────────────────────────────────────────────────────


def read(filled: Filled[PlanForm], before: Plan) -> tuple[Plan | None, Mapping[str, str]]:
    """The plan that was typed, or what is wrong with each field.

    What says the same as in `before` keeps its id, so that a case can be told which steps are the
    same; all else gets an id that no earlier version has.
    """
    form, faults = filled.form, dict(filled.faults)
    if form is None:
        return None, faults
    version = form.version + 1
    steps: tuple[Step, ...] = ()
    guidance: tuple[Guidance, ...] = ()
    try:
        steps = _steps(form.steps, before, version)
    except Unclear as unclear:
        faults[STEPS] = str(unclear)
    try:
        guidance = _guidance(form.guidance, before, version)
    except Unclear as unclear:
        faults[GUIDANCE] = str(unclear)
    plan = Plan(
        kind=before.kind,
        version=version,
        first_called=tuple(party for party in form.first_called if party),
        steps=steps,
        guidance=guidance,
    )
    for bad in broken(plan):
        faults.setdefault(bad.part, _sentence(bad))
    return (None, faults) if faults else (plan, {})


def _steps(text: str, before: Plan, version: int) -> tuple[Step, ...]:
    known = {(step.role, step.text.zh): step.id for step in before.steps}
    steps: list[Step] = []
    for line in _lines(text):
        if not line.zh:
            continue
        mark = MARK.fullmatch(line.zh)
        if mark is None:
            raise _unclear(
                line,
                _("A step begins with A or B, the seat that does it, then a space: “A Call 120”. "
                  "With a ! after the letter it is mandatory."),
            )  # fmt: skip
        role, said = ROLE[mark[1]], mark[3]
        steps.append(
            Step(
                id=known.get((role, said), f"v{version}-{len(steps) + 1}"),
                text=Text(zh=said, en=line.en),
                role=role,
                is_mandatory=bool(mark[2]),
            )
        )
    return tuple(steps)


def _guidance(text: str, before: Plan, version: int) -> tuple[Guidance, ...]:
    known = {one.condition.zh: one.id for one in before.guidance}
    found: list[Guidance] = []
    for head, *lines in _blocks(text):
        found.append(
            Guidance(
                id=known.get(head.zh, f"say-v{version}-{len(found) + 1}"),
                condition=Text(zh=head.zh, en=head.en),
                lines=tuple(Text(zh=line.zh, en=line.en) for line in lines),
            )
        )
    return tuple(found)


def _blocks(text: str) -> Iterator[list[_Line]]:
    """Lines that stand together, with an empty one between them and the next."""
    block: list[_Line] = []
    for line in _lines(text):
        if line.zh:
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _lines(text: str) -> list[_Line]:
    """Every line of Chinese, also the empty ones. Raises Unclear."""
    found: list[_Line] = []
    for number, raw in enumerate(text.split("\n"), 1):
        said = raw.strip()
        if not said.startswith(ENGLISH):
            found.append(_Line(number, said))
            continue
        english = _Line(number, said, said[1:].strip())
        if not found or not found[-1].zh:
            raise _unclear(english, _("English stands right below its line of Chinese."))
        if found[-1].en:
            raise _unclear(english, _("The line above has its English already."))
        found[-1] = _Line(found[-1].number, found[-1].zh, english.en)
    return found


def _unclear(line: _Line, sentence: str) -> Unclear:
    said = {"number": line.number, "said": _short(line.zh), "why": sentence}
    return Unclear(_("Line %(number)s, “%(said)s”: %(why)s") % said)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _sentence(bad: BadPlan) -> str:
    """Which rule a plan breaks, in the visitor's words."""
    is_steps = bad.part == STEPS
    sentence = {
        "no party": _("Choose one of the list."),
        "twice": _("This stands here already. Once is enough."),
        "too many": _("These are too many: at most %d.")
        % {STEPS: MAX_STEPS, GUIDANCE: MAX_CONDITIONS}.get(bad.part, MAX_FIRST),
        "too many lines": _("These are too many sentences for one condition: at most %d.")
        % MAX_LINES,
        "too long": _("This is too long: at most %d Chinese characters, and four times as many in "
                      "English.") % (LONGEST_STEP if is_steps else LONGEST_LINE),
        "nothing to do": _("Each seat needs a step. There is none that begins with this letter."),
        "nothing to say": _("Below a condition stands what is said in it, without an empty line "
                            "between them."),
    }[bad.rule]  # fmt: skip
    # What was chosen from a list is no text of the writer's own.
    is_typed = bad.said and bad.part in (STEPS, GUIDANCE)
    if not is_typed:
        return sentence
    return _("“%(said)s”: %(why)s") % {"said": _short(bad.said), "why": sentence}
