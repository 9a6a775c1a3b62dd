"""What a bench found: figures with units in their names, and whether targets are met."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on one figure."""

    at_most: float | None = None
    at_least: float | None = None

    def is_met(self, figure: float | None) -> bool:
        """A figure that could not be measured meets no target."""
        if figure is None:
            return False
        above = self.at_least is None or figure >= self.at_least
        return above and (self.at_most is None or figure <= self.at_most)

    def __str__(self) -> str:
        return f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:g}"


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one run. None is a figure for which there was nothing to measure."""

    bench: str
    figures: dict[str, float | None]
    targets: dict[str, Target]

    @property
    def is_met(self) -> bool:
        return all(target.is_met(self.figures[name]) for name, target in self.targets.items())

    def as_json(self) -> str:
        bounds: dict[str, Any] = {
            name: {"at_most": target.at_most}
            if target.at_most is not None
            else {"at_least": target.at_least}
            for name, target in self.targets.items()
        }
        return json.dumps(
            {"bench": self.bench, "figures": self.figures, "targets": bounds, "met": self.is_met}
        )

    def as_table(self) -> str:
        wide = max(len(name) for name in self.figures)
        lines = [f"bench {self.bench}"]
        for name, figure in self.figures.items():
            shown = "-" if figure is None else f"{figure:g}"
            target = self.targets.get(name)
            said = (
                f"{target!s:<10} {'met' if target.is_met(figure) else 'NOT met'}" if target else ""
            )
            lines.append(f"  {name:<{wide}} {shown:>10}  {said}".rstrip())
        return "\n".join(lines)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value that this share of all does not exceed; None of nothing."""
    if not values:
        return None
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))], 2)
