"""Emergency handling plans (应急处理预案) as data: what seats A and B do, and what B says.

There is one plan for each kind of emergency. A version of it never changes once it is kept, so that
a case which names plan, version and steps always tells what its seats had before them. The rules
for a good plan are asked when one is saved, and not when one is read: in an emergency an odd plan
is better than none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias

ENGLISH: Final = "en"
PARTIES: Final = (
    "ambulance", "fire", "police", "contact", "neighbour", "station", "committee", "doctor",
    "hospital", "property",
)  # fmt: skip
"""Whom a plan can put first in A's list."""
MAX_FIRST: Final = 3
MAX_STEPS: Final = 24
MAX_CONDITIONS: Final = 16
MAX_LINES: Final = 12
"""How many sentences there are for one condition at the most."""
LONGEST_STEP: Final = 120
LONGEST_LINE: Final = 40
"""Characters of a sentence: said slowly, an elder hears it for some twelve seconds."""
ENGLISH_IS_LONGER: Final = 4
"""English needs so many times the characters."""

Seat: TypeAlias = Literal["A", "B"]
SEATS: Final[tuple[Seat, ...]] = ("A", "B")
FIRST: Final = "first_called"
STEPS: Final = "steps"
GUIDANCE: Final = "guidance"


class Kind(Enum):
    """What kind of emergency it is."""

    FALL = "fall"
    ILLNESS = "illness"
    FIRE = "fire"
    GAS = "gas"
    FLOOD = "flood"
    LOST = "lost"
    NO_RESPONSE = "no_response"
    OTHER = "other"


class BadPlan(ValueError):
    """A plan breaks a rule. `rule` names which one, `part` where, `said` the text at fault."""

    def __init__(self, rule: str, part: str, said: str = "") -> None:
        super().__init__(f"{part}: {rule}{f': {said}' if said else ''}")
        self.rule = rule
        self.part = part
        self.said = said


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text in Chinese, with English beside it; without any the Chinese stands for it."""

    zh: str
    en: str = ""

    def of(self, language: str) -> str:
        return self.en or self.zh if language == ENGLISH else self.zh


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that a seat does and ticks. `id` is its own among the plan's steps and guidance."""

    id: str
    text: Text
    role: Seat
    is_mandatory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """What B says in one condition, a sentence at a time, to the elder or to whoever is there."""

    id: str
    condition: Text
    lines: tuple[Text, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One version of a plan. `first_called` are the parties that stand first in A's list."""

    kind: Kind
    version: int
    first_called: tuple[str, ...] = ()
    steps: tuple[Step, ...]
    guidance: tuple[Guidance, ...] = ()

    def of(self, role: Seat) -> tuple[Step, ...]:
        """The steps of one seat, in order."""
        return tuple(step for step in self.steps if step.role == role)


# ── the rules for a good plan ─────────────────────────────────────────────────────────────────


def broken(plan: Plan) -> list[BadPlan]:
    """The first rule that each part of the plan breaks; none for a good plan."""
    found: list[BadPlan] = []
    for check in (_check_first, _check_steps, _check_guidance):
        try:
            check(plan)
        except BadPlan as bad:
            found.append(bad)
    return found


def _check_first(plan: Plan) -> None:
    if len(plan.first_called) > MAX_FIRST:
        raise BadPlan("too many", FIRST)
    for party in plan.first_called:
        if party not in PARTIES:
            raise BadPlan("no party", FIRST, party)
    _each_once(FIRST, plan.first_called)


def _check_steps(plan: Plan) -> None:
    if len(plan.steps) > MAX_STEPS:
        raise BadPlan("too many", STEPS)
    for step in plan.steps:
        _check_length(STEPS, step.text, LONGEST_STEP)
    for role in SEATS:
        _each_once(STEPS, tuple(step.text.zh for step in plan.of(role)))
        if not plan.of(role):
            raise BadPlan("nothing to do", STEPS, role)


def _check_guidance(plan: Plan) -> None:
    if len(plan.guidance) > MAX_CONDITIONS:
        raise BadPlan("too many", GUIDANCE)
    for one in plan.guidance:
        if not one.lines:
            raise BadPlan("nothing to say", GUIDANCE, one.condition.zh)
        if len(one.lines) > MAX_LINES:
            raise BadPlan("too many lines", GUIDANCE, one.condition.zh)
        for text in _texts(one):
            _check_length(GUIDANCE, text, LONGEST_LINE)
    _each_once(GUIDANCE, tuple(one.condition.zh for one in plan.guidance))


def _texts(one: Guidance) -> Iterator[Text]:
    yield one.condition
    yield from one.lines


def _check_length(part: str, text: Text, longest: int) -> None:
    if len(text.zh) > longest:
        raise BadPlan("too long", part, text.zh)
    if len(text.en) > longest * ENGLISH_IS_LONGER:
        raise BadPlan("too long", part, text.en)


def _each_once(part: str, texts: tuple[str, ...]) -> None:
    for place, text in enumerate(texts):
        if text in texts[:place]:
            raise BadPlan("twice", part, text)
