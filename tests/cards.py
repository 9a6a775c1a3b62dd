"""A case that has nothing but messages, composed as every case composes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from workflows.errors import NotFound
from workflows.events import EmergencyTimerFired, Event
from workflows.machine import Process
from workflows.message import Message, State
from workflows.messages import HANDLES, told, write

TEXT: Final = "颐铃：蒋玉芬，82 岁。春秋小区7栋2单元402，南门进，直行左转第二栋。回拨 0374-96100"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardWanted(Event):
    """Somebody is to get a card."""

    to: str
    name: str
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """A case that has nothing but messages."""

    id: str
    messages: tuple[Message, ...] = ()
    state: State = State.QUEUED


def step_cards(case: Cards, event: Event) -> tuple[Cards, tuple[Any, ...]]:
    if isinstance(event, CardWanted):
        number = len(case.messages) + 1
        new, asked = write(
            case.id, number, to=event.to, name=event.name, text=TEXT, channels=event.channels,
            at=event.at,
        )  # fmt: skip
        return replace(case, messages=(*case.messages, new)), asked
    after, asked = told(case.messages, event)
    return replace(case, messages=after), asked


def begin_cards(event: Event) -> Cards:
    if not isinstance(event, CardWanted):
        raise NotFound(f"there is no case {event.case_id}")
    return Cards(id=event.case_id)


PROCESS: Final = Process(
    name="cards",
    case_type=Cards,
    handles=(CardWanted, EmergencyTimerFired, *HANDLES),
    begin=begin_cards,
    step=step_cards,
    is_over=lambda _case: False,
    on_timer=EmergencyTimerFired,
)
