"""Walks one menu on one call. Whatever the caller does, or fails to do, a person comes next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from workflows.menu import WAIT_S, Choice, Menu, choose


class Line(Protocol):
    """The caller's line as a dialogue needs it; the telephone's words are behind it."""

    def ask(self, prompts: Sequence[str], wait_s: float) -> str:
        """Play prompts that a key cuts short, wait `wait_s` seconds for one key.

        Returns all keys that were pressed one soon after the other, empty when none came.
        """
        ...


def walk(menu: Menu, line: Line) -> Choice:
    """Ask once. A key without a meaning is not asked about again: a person hears it."""
    return choose(menu, line.ask(menu.prompts, WAIT_S) if menu.prompts else "")
