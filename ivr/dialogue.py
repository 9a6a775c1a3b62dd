"""Walks one menu on one call. Whatever the caller does, or fails to do, a person comes next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from ivr.menus import PERSON, Menu, Option

ANYONE: Final = Option(choice=PERSON)


class Line(Protocol):
    """The caller's line as a dialogue needs it; the telephone's words are behind it."""

    def ask(self, prompt: str, wait_s: float) -> str:
        """Play a prompt that a key cuts short, wait for one key; empty when none came."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What came of a menu: the key (empty for none) and what it stands for."""

    key: str
    option: Option


def walk(menu: Menu, line: Line) -> Choice:
    """Ask once. A key without a meaning is not asked about again: a person hears it."""
    key = line.ask(menu.prompt, menu.wait_s)
    return Choice(key=key, option=menu.options.get(key, ANYONE))
