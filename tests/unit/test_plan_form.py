"""A plan as plain text: what may be typed, what it becomes, and how a slip is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent_desk import language
from agent_desk.forms import Filled
from agent_desk.plan_form import PlanForm, as_typed, read
from sql.own_plans import own_plans
from workflows.plan import Guidance, Kind, Plan, Step, Text, broken

BEFORE = Plan(
    kind=Kind.FIRE,
    version=4,
    first_called=("fire",),
    steps=(
        Step(id="call-119", text=Text(zh="叫 119", en="Call 119"), role="A", is_mandatory=True),
        Step(id="out", text=Text(zh="请老人离开"), role="B"),
    ),
    guidance=(Guidance(id="say-out", condition=Text(zh="着火了"), lines=(Text(zh="现在就走。"),)),),
)


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    language.speak(language.ENGLISH)
    yield
    language.speak(language.CHINESE)


def typed(**fields: Any) -> Filled[PlanForm]:
    given = {**as_typed(BEFORE, BEFORE.version), **fields}
    return Filled(PlanForm.model_validate(given), given)


def written(**fields: Any) -> Plan:
    plan, faults = read(typed(**fields), BEFORE)
    assert not faults
    assert plan
    return plan


def faults_of(**fields: Any) -> dict[str, str]:
    plan, faults = read(typed(**fields), BEFORE)
    assert plan is None
    return dict(faults)


def test_a_plan_is_the_same_after_it_was_shown_and_sent_back() -> None:
    for plan in own_plans():
        given = as_typed(plan, plan.version)
        again, faults = read(Filled(PlanForm.model_validate(given), given), plan)
        assert not faults
        assert again
        assert (again.first_called, again.steps, again.guidance) == (
            plan.first_called, plan.steps, plan.guidance,
        )  # fmt: skip
        assert again.version == plan.version + 1


def test_steps_are_written_one_a_line_with_the_seat_before_them() -> None:
    plan = written(steps="A! 叫 119\n= Call 119\n\nb: 请老人离开\n  Ｂ！清点人数  \nA 通知物业")
    assert [(step.role, step.is_mandatory, step.text.zh, step.text.en) for step in plan.steps] == [
        ("A", True, "叫 119", "Call 119"),
        ("B", False, "请老人离开", ""),
        ("B", True, "清点人数", ""),
        ("A", False, "通知物业", ""),
    ]


def test_a_wide_space_and_a_tab_are_spaces() -> None:
    plan = written(steps="A\u3000叫 119\r\nB\t请老人离开")
    assert [step.text.zh for step in plan.steps] == ["叫 119", "请老人离开"]


def test_what_stays_keeps_its_id_and_what_is_new_gets_one_of_its_own() -> None:
    plan = written(
        steps="B 请老人离开\nA 叫 119\nB 叫 119\nA 通知物业",
        guidance="着火了\n弯着腰走。\n\n身上着火\n别跑。",
    )
    assert [step.id for step in plan.steps] == ["out", "call-119", "v5-3", "v5-4"]
    assert [one.id for one in plan.guidance] == ["say-out", "say-v5-2"]
    assert [one.lines[0].zh for one in plan.guidance] == ["弯着腰走。", "别跑。"]


def test_conditions_stand_apart_by_empty_lines() -> None:
    plan = written(
        guidance="\n\n着火了\n= Fire\n现在就走。\n=Go now.\n别拿东西。\n\n\n\n烟大\n趴低。\n\n"
    )
    assert plan.guidance == (
        Guidance(
            id="say-out", condition=Text(zh="着火了", en="Fire"),
            lines=(Text(zh="现在就走。", en="Go now."), Text(zh="别拿东西。")),
        ),
        Guidance(id="say-v5-2", condition=Text(zh="烟大"), lines=(Text(zh="趴低。"),)),
    )  # fmt: skip
    assert written(guidance="").guidance == ()


def test_places_that_are_left_empty_do_not_count() -> None:
    assert written(first_called=["", "fire", "police"]).first_called == ("fire", "police")
    assert written(first_called=["", "", ""]).first_called == ()


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ("A 叫 119\n请老人离开", "Line 2, “请老人离开”: A step begins with A or B"),
        ("A座着火\nB 走", "Line 1, “A座着火”: A step begins with A or B"),
        ("C 叫 119\nB 走", "Line 1, “C 叫 119”"),
        ("A!\nB 走", "Line 1, “A!”"),
        ("= Call 119\nA 叫 119\nB 走", "Line 1, “= Call 119”: English stands right below"),
        ("A 叫 119\n\n= Call\nB 走", "Line 3, “= Call”: English stands right below"),
        ("A 叫 119\n= Call\n= Ring\nB 走", "Line 3, “= Ring”: The line above has its English"),
        ("A 叫 119", "“B”: Each seat needs a step"),
        ("", "“A”: Each seat needs a step"),
        ("A 叫 119\nA! 叫 119\nB 走", "“叫 119”: This stands here already"),
        (f"A {'长' * 121}\nB 走", f"“{'长' * 30}…”: This is too long: at most 120"),
        ("B 走\n" + "\n".join(f"A 第 {n} 步" for n in range(24)), "too many: at most 24"),
    ],
)
def test_a_slip_in_the_steps_is_said_with_its_line(steps: str, says: str) -> None:
    faults = faults_of(steps=steps)
    assert faults.keys() == {"steps"}
    assert says in faults["steps"]


@pytest.mark.parametrize(
    ("guidance", "says"),
    [
        ("着火了\n\n现在就走。", "“着火了”: Below a condition stands what is said in it"),
        ("着火了\n走。\n\n着火了\n跑。", "“着火了”: This stands here already"),
        (f"着火了\n{'长' * 41}", "This is too long: at most 40"),
        ("着火了\n" + "\n".join(map(str, range(13))), "“着火了”: These are too many sentences"),
        ("\n\n".join(f"情况 {n}\n走。" for n in range(17)), "too many: at most 16"),
        ("= Fire", "Line 1, “= Fire”"),
    ],
)
def test_a_slip_in_the_guidance_is_said_with_its_text(guidance: str, says: str) -> None:
    faults = faults_of(guidance=guidance)
    assert faults.keys() == {"guidance"}
    assert says in faults["guidance"]


def test_every_field_at_fault_is_named_at_once() -> None:
    faults = faults_of(first_called=["fire", "fire"], steps="叫 119", guidance="着火了")
    assert faults.keys() == {"first_called", "steps", "guidance"}
    assert faults_of(first_called=["mayor"])["first_called"] == "Choose one of the list."


def test_what_no_form_of_ours_sends_is_refused() -> None:
    for wrong in (
        {"version": "x"}, {"version": -1}, {"version": 10**9}, {"first_called": ["fire"] * 9},
        {"first_called": ["x" * 41]}, {"steps": "长" * 16_001},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            typed(**wrong)


def test_what_cannot_be_seen_is_no_text() -> None:
    plan = written(steps="A 叫\u202e 119\x00\nB\u200b 请老人离开")
    assert [step.text.zh for step in plan.steps] == ["叫 119", "请老人离开"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"steps": "叫 119"}, "第 1 行“叫 119”：每个步骤以 A 或 B 开头"),
        ({"steps": ""}, "两个坐席都要有步骤"),
        ({"guidance": "着火了"}, "情况下面紧接着写要说的话"),
    ],
)
def test_a_slip_is_said_in_the_writers_language(fields: dict[str, str], says: str) -> None:
    language.speak(language.CHINESE)
    (said,) = faults_of(**fields).values()
    assert says in said


@given(st.text(max_size=200), st.text(max_size=200))
def test_whatever_is_typed_becomes_a_plan_or_is_said_to_be_wrong(steps: str, said: str) -> None:
    plan, faults = read(typed(steps=f"A 叫\nB 陪\n{steps}", guidance=said), BEFORE)
    assert (plan is None) == bool(faults)
    if plan:
        assert broken(plan) == []
        ids = [step.id for step in plan.steps] + [one.id for one in plan.guidance]
        assert len(ids) == len(set(ids))
