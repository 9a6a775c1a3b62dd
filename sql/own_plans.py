"""The plans that Careline brings: one TOML file for each kind in `plans`, and what they share."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from workflows.plan import Guidance, Kind, Plan, Step, Text

FOLDER: Final = Path(__file__).parent / "plans"
SHARED: Final = "shared"
FIRST_VERSION: Final = 1

Book = Mapping[str, Any]


def own_plans() -> tuple[Plan, ...]:
    """A plan for every kind of emergency, in Chinese and English."""
    shared = _book(SHARED)
    return tuple(_plan(kind, _book(kind.value), shared) for kind in Kind)


def _book(name: str) -> Book:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))


def _plan(kind: Kind, book: Book, shared: Book) -> Plan:
    return Plan(
        kind=kind,
        version=FIRST_VERSION,
        first_called=tuple(book["first_called"]),
        steps=tuple(_step(one, shared["steps"]) for one in book["steps"]),
        guidance=tuple(_guidance(name, shared["guidance"][name]) for name in book["guidance"]),
    )


def _step(one: Book, shared: Book) -> Step:
    """A step of the plan's own, or the shared one that it names."""
    step = {"id": one["shared"], **shared[one["shared"]]} if "shared" in one else one
    return Step(
        id=step["id"],
        text=Text(zh=step["zh"], en=step["en"]),
        role=step["role"],
        is_mandatory=step.get("mandatory", False),
    )


def _guidance(name: str, one: Book) -> Guidance:
    return Guidance(
        # Steps and guidance are ticked in one list of a case.
        id=f"say-{name}",
        condition=Text(zh=one["zh"], en=one["en"]),
        lines=tuple(Text(zh=zh, en=en) for zh, en in one["lines"]),
    )
