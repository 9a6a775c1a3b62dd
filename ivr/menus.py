"""Menus as data: at most one question, at most four keys, a person by doing nothing.

Emergency numbers have no menu. The same key always means the same; 0 is a person everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PERSON: Final = "person"
MAX_KEYS: Final = 4


class BadMenu(ValueError):
    """A menu breaks the rules for the elder's ear; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What a key stands for: the choice that is noted, and the queue in which the caller waits."""

    choice: str
    queue: str = "hotline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """One question. `wait_s` is how long a caller may do nothing before a person comes."""

    name: str
    prompt: str
    options: dict[str, Option]
    wait_s: float = 5.0

    def __post_init__(self) -> None:
        if len(self.options) > MAX_KEYS:
            raise BadMenu(f"menu {self.name}: {len(self.options)} keys; {MAX_KEYS} at the most")
        if bad := [key for key in self.options if key not in set("123456789")]:
            raise BadMenu(f"menu {self.name}: {bad} cannot be keys; 1 to 9 can, 0 is a person")
        if not 0 < self.wait_s <= 10:
            raise BadMenu(f"menu {self.name}: waits {self.wait_s} s; right is up to 10 s")


HOTLINE: Final = Menu(
    name="hotline",
    prompt="menu",
    options={
        "1": Option(choice="life_service"),
        "2": Option(choice="consultation"),
    },
)

MENUS: Final = {menu.name: menu for menu in (HOTLINE,)}
