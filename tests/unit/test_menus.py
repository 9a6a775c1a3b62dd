"""Menus as an elder meets them: one question, few keys, and a person by doing nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.dialogue import walk
from ivr.menus import HOTLINE, MENUS, PERSON, BadMenu, Menu, Option


class Caller:
    """A line on which the caller presses this key, or none."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.heard: list[tuple[str, float]] = []

    def ask(self, prompt: str, wait_s: float) -> str:
        self.heard.append((prompt, wait_s))
        return self.key


@pytest.mark.parametrize(("key", "choice"), [("1", "life_service"), ("2", "consultation")])
def test_a_key_chooses(key: str, choice: str) -> None:
    chosen = walk(HOTLINE, Caller(key))
    assert (chosen.key, chosen.option.choice, chosen.option.queue) == (key, choice, "hotline")


@given(st.sampled_from(["", "0", "9", "#", "*", "12"]) | st.text(max_size=3))
def test_whatever_else_the_caller_does_a_person_comes_after_one_question(key: str) -> None:
    caller = Caller(key)
    chosen = walk(HOTLINE, caller)
    assert len(caller.heard) == 1
    if key not in HOTLINE.options:
        assert (chosen.key, chosen.option.choice, chosen.option.queue) == (key, PERSON, "hotline")


@pytest.mark.parametrize("menu", MENUS.values(), ids=MENUS.keys())
def test_our_menus_keep_the_rules(menu: Menu) -> None:
    assert MENUS[menu.name] is menu
    assert menu.prompt
    assert len({option.choice for option in menu.options.values()}) == len(menu.options)


@pytest.mark.parametrize(
    ("keys", "wait_s", "says"),
    [
        ("12345", 5.0, "5 keys; 4 at the most"),
        ("0", 5.0, r"\['0'\] cannot be keys"),
        ("#", 5.0, "cannot be keys"),
        (["12"], 5.0, "cannot be keys"),
        ([""], 5.0, "cannot be keys"),
        ("1", 0.0, r"waits 0\.0 s"),
        ("1", 10.5, r"waits 10\.5 s"),
        ("1", -1.0, "waits"),
        ("1", float("nan"), "waits"),
    ],
)
def test_a_menu_that_an_elder_could_not_follow_is_refused(
    keys: str | list[str], wait_s: float, says: str
) -> None:
    options = {key: Option(choice=f"choice-{n}") for n, key in enumerate(keys)}
    with pytest.raises(BadMenu, match=says):
        Menu(name="test", prompt="menu", options=options, wait_s=wait_s)


def test_a_menu_without_keys_is_an_announcement_before_a_person() -> None:
    menu = Menu(name="test", prompt="menu", options={})
    assert walk(menu, Caller("1")).option.choice == PERSON
