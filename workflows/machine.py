"""The shape of a table-driven process. Pure: no clock, no I/O, no asyncio.

A process is a table `state → trigger → Rule`. `classify` turns an event into a trigger and holds
every condition; actions only build effects. Facts are total: every (state, fact) has a row.
Wishes are partial: a missing row is NotAllowed, with a sentence that says what is possible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from workflows.commands import Command
from workflows.effects import Effect
from workflows.errors import NotAllowed, NotFound
from workflows.events import Event

StateT = TypeVar("StateT", bound=Enum)
TriggerT = TypeVar("TriggerT", bound=Enum)
CaseT = TypeVar("CaseT")

Outcome = tuple[CaseT, tuple[Effect, ...]]
Action = Callable[[CaseT, Event], Outcome[CaseT]]


def nothing(case: CaseT, event: Event) -> Outcome[CaseT]:
    """Ask for nothing."""
    return case, ()


@dataclass(frozen=True)
class Rule(Generic[StateT, CaseT]):
    """Where to go, and what to do on the way."""

    to: StateT
    action: Action[CaseT] = nothing


Table = Mapping[StateT, Mapping[TriggerT, Rule[StateT, CaseT]]]


def rule_for(
    table: Table[StateT, TriggerT, CaseT], state: StateT, trigger: TriggerT, event: Event
) -> Rule[StateT, CaseT]:
    """The row for this trigger; a wish without a row is refused in words."""
    rule = table[state].get(trigger)
    if rule is not None:
        return rule
    if isinstance(event, Command):
        possible = "、".join(t.value for t in table[state] if is_wish(table, t)) or "nothing more"
        raise NotAllowed(f"{trigger.value}: not possible while {state.value}; possible: {possible}")
    raise LookupError(f"the table has no row for {state} and the fact {trigger}: a fault in it")


def is_wish(table: Table[StateT, TriggerT, CaseT], trigger: TriggerT) -> bool:
    """Facts have a row everywhere; what has none somewhere is for a person to ask for."""
    return any(trigger not in rows for rows in table.values())


@dataclass(frozen=True)
class Process(Generic[CaseT]):
    """One process as the runner sees it.

    `begin` makes the case in which a first event finds itself; `step` advances it; `on_timer` is
    the event that a due timer becomes, with the field `name`.
    """

    name: str
    case_type: type[CaseT]
    handles: tuple[type[Event], ...]
    begin: Callable[[Event], CaseT]
    step: Callable[[CaseT, Event], Outcome[CaseT]]
    is_over: Callable[[CaseT], bool]
    on_timer: Callable[..., Event] | None = None


class Processes:
    """All processes of the house; finds the one that an event belongs to."""

    def __init__(self, processes: Iterable[Process[Any]]) -> None:
        self.by_name: Final = {p.name: p for p in processes}
        self._by_event: Final = {
            event: process for process in self.by_name.values() for event in process.handles
        }

    def for_event(self, event: Event) -> Process[Any]:
        """Raises NotFound for an event that no process takes."""
        if type(event) not in self._by_event:
            raise NotFound(f"nothing here takes {type(event).__name__}")
        return self._by_event[type(event)]

    def event_types(self) -> dict[str, type[Event]]:
        """Event class by its name, for reading back what was stored."""
        return {event.__name__: event for event in self._by_event}
