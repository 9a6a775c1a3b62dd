"""The shape of a process: how a row is found, and what is said when there is none."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Final

import pytest

from sql.codec import PROCESSES, WITHOUT_CASE
from workflows import call, commands, events, order
from workflows.commands import CancelOrder, Command
from workflows.errors import NotAllowed
from workflows.events import CallEnded, Event, MessageFact
from workflows.machine import Rule, Table, is_wish, nothing, rule_for

NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)
FACT: Final = CallEnded(case_id="1", at=NOW, cause=16)
WISH: Final = CancelOrder(case_id="1", at=NOW, by="张敏", reason="x")


class Lamp(Enum):
    OFF = "off"
    ON = "on"


class Push(Enum):
    POWER_WENT = "power went"
    SWITCH_ON = "switch on"
    DIM = "dim"


TABLE: Final[Table[Lamp, Push, str]] = {
    Lamp.OFF: {Push.POWER_WENT: Rule(Lamp.OFF), Push.SWITCH_ON: Rule(Lamp.ON)},
    Lamp.ON: {Push.POWER_WENT: Rule(Lamp.OFF), Push.DIM: Rule(Lamp.ON)},
}


def test_a_row_says_where_to_go() -> None:
    assert rule_for(TABLE, Lamp.OFF, Push.SWITCH_ON, WISH).to is Lamp.ON


def test_a_refused_wish_names_the_wishes_that_are_possible_and_no_facts() -> None:
    with pytest.raises(NotAllowed) as refused:
        rule_for(TABLE, Lamp.OFF, Push.DIM, WISH)
    assert str(refused.value) == "dim: not possible while off; possible: switch on"


def test_a_fact_without_a_row_is_a_fault_of_the_table() -> None:
    with pytest.raises(LookupError, match="a fault in it"):
        rule_for(TABLE, Lamp.OFF, Push.DIM, FACT)


def test_a_rule_without_an_action_asks_for_nothing() -> None:
    assert nothing("lamp", FACT) == ("lamp", ())


def test_what_has_a_row_everywhere_is_a_fact() -> None:
    assert [push for push in Push if is_wish(TABLE, push)] == [Push.SWITCH_ON, Push.DIM]


def test_every_event_belongs_to_one_process() -> None:
    """An event that no process handles would be lost without a word."""
    handled = [event for one in PROCESSES.by_name.values() for event in one.handles]
    assert len(handled) == len(set(handled))
    named = [thing for module in (events, commands) for thing in vars(module).values()]
    known = {one for one in named if isinstance(one, type) and issubclass(one, Event)}
    assert set(handled) == known - {Event, Command, MessageFact, *WITHOUT_CASE}


def test_a_process_is_found_by_its_event_and_by_its_name() -> None:
    assert PROCESSES.for_event(FACT) is call.PROCESS
    assert PROCESSES.for_event(WISH) is order.PROCESS
    assert PROCESSES.event_types()["CallEnded"] is CallEnded
