"""Menus as data: at most one question, at most four keys, a person by doing nothing.

The emergency number has no menu. 0 is a person everywhere, and so is whatever else a caller does: a
key without a meaning, two keys at once, nothing at all. Who presses keys at random calls for help:
that is an emergency. A key leads to people and never to another
question, so that no menu can go round in a circle or end nowhere. The rules stand here and not in
`ivr`, because the desk edits menus by them and the dialogue walks menus by them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

PERSON: Final = "person"
EMERGENCY: Final = "emergency"
HOTLINE_QUEUE: Final = "hotline"
EMERGENCY_QUEUE: Final = "emergency"
KEYS: Final = "123456789"
MAX_KEYS: Final = 4
WAIT_S: Final = 5.0
"""Seconds that a caller may do nothing before a person comes."""
MAX_NOTED: Final = 4
"""How many keys of a caller who presses at random are kept."""

SERVICES: Final = (
    "life_service", "consultation", "appointment", "repair", "complaint", "information",
)  # fmt: skip
"""What a key can stand for. Only these: each has a rendered prompt, `menu-<service>`."""


class BadMenu(ValueError):
    """A menu breaks the rules for the elder's ear. `rule` names which one, `key` at which key."""

    def __init__(self, rule: str, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.rule = rule
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What a key stands for: the service that is noted, and the queue in which the caller waits."""

    choice: str
    queue: str = HOTLINE_QUEUE


ANYONE: Final = Option(choice=PERSON)
HELP: Final = Option(choice=EMERGENCY, queue=EMERGENCY_QUEUE)
AT_RANDOM: Final = 3
"""So many keys one soon after the other, and not all the same, are a call for help. Two may be one
finger between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """One question. Raises BadMenu when an elder could not follow it."""

    name: str
    options: dict[str, Option]

    def __post_init__(self) -> None:
        if len(self.options) > MAX_KEYS:
            raise BadMenu(
                "too many", "", f"{len(self.options)} keys; right would be {MAX_KEYS} at the most"
            )
        said: set[str] = set()
        for key, option in self.options.items():
            if len(key) != 1 or key not in KEYS:
                raise BadMenu("no key", key, f"{key!r} is no key; 1 to 9 are, and 0 is a person")
            if option.choice not in SERVICES:
                raise BadMenu(
                    "not spoken", key,
                    f"key {key}: there is no spoken sentence for {option.choice!r}; right would be "
                    f"one of {', '.join(SERVICES)}",
                )  # fmt: skip
            if option.choice in said:
                raise BadMenu("said twice", key, f"key {key}: {option.choice} has a key already")
            said.add(option.choice)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts that make up the question, in order; none for a menu without keys."""
        if not self.options:
            return ()
        if self.options == HOTLINE.options:
            return ("menu",)
        pieces = (
            prompt
            for key, option in sorted(self.options.items())
            for prompt in (f"menu-{option.choice}", f"digits/{key}")
        )
        return (*pieces, "menu-person")


HOTLINE: Final = Menu(
    name="hotline",
    options={"1": Option(choice="life_service"), "2": Option(choice="consultation")},
)
"""The menu that a caller hears as long as nobody has made another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What came of a menu: the keys (empty for none) and what they stand for."""

    key: str
    option: Option


def choose(menu: Menu, keys: str) -> Choice:
    """What a caller gets who pressed these keys one soon after the other; empty is no key.

    The same key twice is an unsteady hand and means the key; two different ones mean nothing that
    we could know, and a person hears it; more are pressed at random, by somebody in need (EMG-01).
    """
    if len(keys) >= AT_RANDOM and len(set(keys)) > 1:
        return Choice(key=keys[:MAX_NOTED], option=HELP)
    option = ANYONE if len(set(keys)) != 1 else menu.options.get(keys[0], ANYONE)
    return Choice(key=keys[:1] if len(set(keys)) == 1 else keys[:MAX_NOTED], option=option)


def check_queues(menu: Menu, served: Collection[str]) -> None:
    """Raise BadMenu for a key that ends nowhere. `served` are the queues in which seats answer."""
    for key, option in menu.options.items():
        if option.queue == EMERGENCY_QUEUE:
            raise BadMenu(
                "emergency", key,
                f"key {key}: no menu stands before an emergency; its own number leads there",
            )  # fmt: skip
        if option.queue not in served:
            raise BadMenu(
                "dead end", key,
                f"key {key}: no seat answers in {option.queue!r}. A key leads to people and never "
                "to a question again; right would be one of "
                f"{', '.join(sorted(set(served) - {EMERGENCY_QUEUE}))}",
            )  # fmt: skip
