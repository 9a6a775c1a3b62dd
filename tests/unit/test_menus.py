"""Menus as an elder meets them: one question, few keys, and a person by doing nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.dialogue import walk
from ivr.prompts import catalogue
from workflows.menu import (
    HOTLINE,
    PERSON,
    SERVICES,
    BadMenu,
    Menu,
    Option,
    check_queues,
)

SERVED = frozenset({"hotline", "emergency", "evening"})


class Caller:
    """A line on which the caller presses these keys, or none."""

    def __init__(self, keys: str) -> None:
        self.keys = keys
        self.heard: list[tuple[Sequence[str], float]] = []

    def ask(self, prompts: Sequence[str], wait_s: float) -> str:
        self.heard.append((prompts, wait_s))
        return self.keys


def menu(**keys: str) -> Menu:
    """A menu of `k1="repair"`, each in the queue of the hotline."""
    return Menu(
        name="hotline", options={key[1:]: Option(choice=choice) for key, choice in keys.items()}
    )


menus = st.dictionaries(st.sampled_from("123456789"), st.sampled_from(SERVICES), max_size=4)


@pytest.mark.parametrize(("keys", "choice"), [("1", "life_service"), ("2", "consultation")])
def test_a_key_chooses(keys: str, choice: str) -> None:
    chosen = walk(HOTLINE, Caller(keys))
    assert (chosen.key, chosen.option.choice, chosen.option.queue) == (keys, choice, "hotline")


def test_an_unsteady_hand_that_presses_twice_has_chosen() -> None:
    chosen = walk(HOTLINE, Caller("22"))
    assert (chosen.key, chosen.option.choice) == ("2", "consultation")


@given(st.sampled_from(["", "0", "9", "#", "*", "12", "21"]) | st.text(max_size=2))
def test_whatever_else_the_caller_does_a_person_comes_after_one_question(keys: str) -> None:
    caller = Caller(keys)
    chosen = walk(HOTLINE, caller)
    assert caller.heard == [(("menu",), 5.0)]
    assert len(chosen.key) <= 4
    if not (keys and set(keys) <= {"1"}) and not (keys and set(keys) <= {"2"}):
        assert (chosen.option.choice, chosen.option.queue) == (PERSON, "hotline")


@given(st.sampled_from(["1739", "112", "0*#", "1212"]) | st.text(min_size=3, max_size=9))
def test_keys_at_random_are_a_call_for_help(keys: str) -> None:
    chosen = walk(HOTLINE, Caller(keys))
    assert len(chosen.key) <= 4
    assert (chosen.option.queue == "emergency") == (len(set(keys)) > 1)


@given(menus)
def test_a_question_names_each_key_once_and_ends_with_the_person(keys: dict[str, str]) -> None:
    try:
        made = menu(**{f"k{key}": choice for key, choice in keys.items()})
    except BadMenu:
        assert len(set(keys.values())) < len(keys), "only a service that is said twice is wrong"
        return
    spoken = catalogue.manifest()
    assert all(prompt in spoken for prompt in made.prompts), "only what was rendered is spoken"
    if made == HOTLINE:
        assert made.prompts == ("menu",)
    elif keys:
        said = [part for k in sorted(keys) for part in (f"menu-{keys[k]}", f"digits/{k}")]
        assert made.prompts == (*said, "menu-person")


def test_a_menu_without_keys_asks_nothing_and_a_person_comes() -> None:
    caller = Caller("1")
    assert walk(menu(), caller).option.choice == PERSON
    assert caller.heard == []


@pytest.mark.parametrize(
    ("keys", "rule", "says"),
    [
        ("12345", "too many", "5 keys; right would be 4 at the most"),
        ("0", "no key", "'0' is no key"),
        ("#", "no key", "is no key"),
        (["12"], "no key", "is no key"),
        ([""], "no key", "is no key"),
        ("１", "no key", "is no key"),
    ],
)
def test_a_menu_that_an_elder_could_not_follow_is_refused(
    keys: str | list[str], rule: str, says: str
) -> None:
    options = {key: Option(choice=choice) for key, choice in zip(keys, SERVICES, strict=False)}
    with pytest.raises(BadMenu, match=says) as fault:
        Menu(name="test", options=options)
    assert fault.value.rule == rule


def test_what_nobody_has_spoken_is_refused_and_what_is_said_twice() -> None:
    with pytest.raises(BadMenu, match="no spoken sentence for 'karaoke'"):
        menu(k1="karaoke")
    with pytest.raises(BadMenu, match="repair has a key already") as fault:
        menu(k1="repair", k3="repair")
    assert fault.value.key == "3"


@pytest.mark.parametrize(
    ("queue", "rule"),
    [
        ("emergency", "emergency"), ("night", "dead end"), ("menu:hotline", "dead end"),
        ("evening", ""),
    ],
)  # fmt: skip
def test_a_key_leads_to_people(queue: str, rule: str) -> None:
    made = Menu(name="hotline", options={"1": Option(choice="repair", queue=queue)})
    if not rule:
        check_queues(made, SERVED)
        return
    with pytest.raises(BadMenu) as fault:
        check_queues(made, SERVED)
    assert (fault.value.rule, fault.value.key) == (rule, "1")
