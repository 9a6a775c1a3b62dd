"""The plans that Careline brings, and the rules for those that a centre writes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sql import codec
from sql.own_plans import FOLDER, SHARED, own_plans
from workflows.plan import (
    LONGEST_LINE,
    LONGEST_STEP,
    MAX_CONDITIONS,
    MAX_LINES,
    MAX_STEPS,
    SEATS,
    Guidance,
    Kind,
    Plan,
    Step,
    Text,
    broken,
)

OWN = {plan.kind: plan for plan in own_plans()}
CHINESE = re.compile(r"[一-鿿]")


def texts(plan: Plan) -> list[Text]:
    return [
        *(step.text for step in plan.steps),
        *(one.condition for one in plan.guidance),
        *(line for one in plan.guidance for line in one.lines),
    ]


def said(plan: Plan) -> str:
    return "".join(text.zh for text in texts(plan))


# ── what Careline brings ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.value)
def test_there_is_a_good_plan_for_every_kind_in_both_languages(kind: Kind) -> None:
    plan = OWN[kind]
    assert broken(plan) == []
    assert plan.guidance
    for text in texts(plan):
        assert CHINESE.search(text.zh), text
        assert text.en, text
        assert not CHINESE.search(text.en), text
    ids = [step.id for step in plan.steps] + [one.id for one in plan.guidance]
    assert len(ids) == len(set(ids)), ids
    assert all(re.fullmatch(r"[a-z0-9-]{1,40}", one) for one in ids), ids
    for seat in SEATS:
        assert any(step.is_mandatory for step in plan.of(seat)), f"{seat} has to do something"


def test_nothing_that_is_written_in_the_files_is_left_out() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == {kind.value for kind in Kind} | {SHARED}
    shared = tomllib.loads((FOLDER / "shared.toml").read_text("utf-8"))
    plans = OWN.values()
    assert shared["steps"].keys() <= {step.id for plan in plans for step in plan.steps}
    used = {one.id.removeprefix("say-") for plan in plans for one in plan.guidance}
    assert shared["guidance"].keys() == used


def test_what_stands_in_several_plans_is_the_same_in_all() -> None:
    by_id: dict[str, Guidance] = {}
    for plan in OWN.values():
        for one in plan.guidance:
            assert by_id.setdefault(one.id, one) == one


@pytest.mark.parametrize("kind", [Kind.FIRE, Kind.GAS])
def test_with_fire_smoke_and_gas_119_is_the_first_to_be_called(kind: Kind) -> None:
    assert OWN[kind].first_called[0] == "fire"
    assert "119" in OWN[kind].of("A")[0].text.zh


def test_with_no_response_the_contacts_come_first_and_then_the_police() -> None:
    plan = OWN[Kind.NO_RESPONSE]
    assert plan.first_called == ("contact", "committee", "police")
    order = [step.id for step in plan.of("A")]
    assert order.index("call-back") < order.index("contacts-first") < order.index("call-110")


@pytest.mark.parametrize(
    ("kind", "sentences"),
    [
        (Kind.FALL, ["先别动", "别拉、别背"]),
        (Kind.FIRE, ["别坐电梯", "别再回去", "千万别跳", "千万别泼水"]),
        (Kind.GAS, ["什么开关都别碰", "别点火", "到屋外去", "别按门铃"]),
        (Kind.ILLNESS, ["听 120 的", "什么都别吃、别喝", "别抠嗓子催吐", "用力往下压"]),
        (Kind.LOST, ["站在那儿，别走", "有什么店"]),
        (Kind.FLOOD, ["别踩在水里碰开关", "别蹚水"]),
        (Kind.NO_RESPONSE, ["我不挂", "敲一下"]),
    ],
)
def test_what_saves_a_life_is_said(kind: Kind, sentences: list[str]) -> None:
    for sentence in sentences:
        assert sentence in said(OWN[kind]), sentence


def test_a_plan_is_the_same_after_it_was_kept() -> None:
    for plan in OWN.values():
        assert codec.load(Plan, codec.dump(plan)) == plan


def test_without_english_the_chinese_stands_for_it() -> None:
    both, one = Text(zh="先别动", en="Do not move"), Text(zh="先别动")
    assert (both.of("zh"), both.of("en")) == ("先别动", "Do not move")
    assert (one.of("zh"), one.of("en")) == ("先别动", "先别动")


# ── what a centre writes ─────────────────────────────────────────────────────────────────────────


def step(text: str, role: Any = "A") -> Step:
    return Step(id=text, text=Text(zh=text), role=role)


def guidance(condition: str, *lines: str) -> Guidance:
    return Guidance(
        id=condition, condition=Text(zh=condition), lines=tuple(Text(zh=line) for line in lines)
    )


GOOD = Plan(
    kind=Kind.FALL, version=2, first_called=("ambulance",),
    steps=(step("叫 120"), step("陪着", "B")), guidance=(guidance("摔倒", "别动"),),
)  # fmt: skip


def with_steps(*more: Step) -> Callable[[Plan], Plan]:
    return lambda plan: replace(plan, steps=(*plan.steps, *more))


def with_guidance(*more: Guidance) -> Callable[[Plan], Plan]:
    return lambda plan: replace(plan, guidance=(*plan.guidance, *more))


def test_a_plan_may_be_short() -> None:
    for plan in (
        GOOD,
        replace(GOOD, first_called=(), guidance=()),
        with_steps(step("陪着"))(GOOD),
        with_steps(step("长" * LONGEST_STEP))(GOOD),
    ):
        assert broken(plan) == []


@pytest.mark.parametrize(
    ("change", "rule", "part", "at_fault"),
    [
        (lambda it: replace(it, first_called=("mayor",)), "no party", "first_called", "mayor"),
        (lambda it: replace(it, first_called=("fire", "fire")), "twice", "first_called", "fire"),
        (
            lambda it: replace(it, first_called=("fire", "police", "station", "contact")),
            "too many", "first_called", "",
        ),
        (lambda it: replace(it, steps=it.steps[:1]), "nothing to do", "steps", "B"),
        (lambda it: replace(it, steps=()), "nothing to do", "steps", "A"),
        (with_steps(step("叫 120")), "twice", "steps", "叫 120"),
        (with_steps(step("长" * (LONGEST_STEP + 1))), "too long", "steps", "长" * 121),
        (
            with_steps(Step(id="x", text=Text(zh="短", en="x" * 481), role="A")),
            "too long", "steps", "x" * 481,
        ),
        (with_steps(*(step(str(n)) for n in range(MAX_STEPS))), "too many", "steps", ""),
        (with_guidance(guidance("烫伤")), "nothing to say", "guidance", "烫伤"),
        (with_guidance(guidance("摔倒", "再说")), "twice", "guidance", "摔倒"),
        (
            with_guidance(guidance("烫伤", "长" * (LONGEST_LINE + 1))),
            "too long", "guidance", "长" * 41,
        ),
        (
            with_guidance(guidance("烫伤", *map(str, range(MAX_LINES + 1)))),
            "too many lines", "guidance", "烫伤",
        ),
        (
            with_guidance(*(guidance(str(n), "冲水") for n in range(MAX_CONDITIONS))),
            "too many", "guidance", "",
        ),
    ],
)  # fmt: skip
def test_a_plan_that_breaks_a_rule_is_refused_and_the_text_is_named(
    change: Callable[[Plan], Plan], rule: str, part: str, at_fault: str
) -> None:
    (bad,) = broken(change(GOOD))
    assert (bad.rule, bad.part, bad.said) == (rule, part, at_fault)


def test_every_part_that_is_wrong_is_named_at_once() -> None:
    plan = replace(GOOD, first_called=("mayor",), steps=(), guidance=(guidance("烫伤"),))
    assert [bad.part for bad in broken(plan)] == ["first_called", "steps", "guidance"]
