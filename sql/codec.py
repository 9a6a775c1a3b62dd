"""Cases, events and effects as JSON and back, checked by their types on the way in."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from workflows import call, emergency, order
from workflows.commands import DeclareEmergency, PauseSeat, RenewContacts, ResumeSeat
from workflows.effects import (
    CallElder,
    CallParty,
    CallSeat,
    CancelDial,
    Effect,
    MakeRecording,
    SendMessage,
    Tell,
)
from workflows.events import Event
from workflows.machine import Processes

PROCESSES = Processes((call.PROCESS, order.PROCESS, emergency.PROCESS))
# These wishes are heard like all others, but no case of theirs is kept here.
WITHOUT_CASE: tuple[type[Event], ...] = (
    PauseSeat,
    ResumeSeat,
    RenewContacts,
    DeclareEmergency,
)
EVENTS = PROCESSES.event_types() | {kind.__name__: kind for kind in WITHOUT_CASE}
OUTBOX_EFFECTS: dict[str, type[Effect]] = {
    effect.__name__: effect
    for effect in (Tell, MakeRecording, CallSeat, CallParty, CallElder, CancelDial, SendMessage)
}
"""The effects that wait in the outbox; the others are rows of their own in the same commit."""


_adapters: dict[type[Any], TypeAdapter[Any]] = {}


class NotReadable(ValueError):
    """A stored or received thing is not what its type says; the text says where."""


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def dump(thing: Any) -> dict[str, Any]:
    """A dataclass as a JSON object."""
    result: dict[str, Any] = _adapter(type(thing)).dump_python(thing, mode="json")
    return result


def load(kind: type[Any], body: object) -> Any:
    """The dataclass again; raises NotReadable."""
    try:
        return _adapter(kind).validate_python(body, strict=False)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NotReadable(f"{kind.__name__}.{where}: {first['msg']}") from None


def dump_event(event: Event) -> dict[str, Any]:
    return {"type": type(event).__name__, "body": dump(event)}


def load_event(stored: object) -> Event:
    """An event from `dump_event`; raises NotReadable for anything else."""
    if not isinstance(stored, dict) or str(stored.get("type")) not in EVENTS:
        raise NotReadable("this is no event; right would be {type: an event's name, body: {…}}")
    name = str(stored["type"])
    event = load(EVENTS[name], stored.get("body"))
    assert isinstance(event, Event)
    if event.at.tzinfo is None:
        raise NotReadable(f"{name}.at has no time zone")
    return event


def dump_effect(effect: Effect) -> dict[str, Any]:
    return dump_event(effect.event) if isinstance(effect, Tell) else dump(effect)


def load_effect(kind: str, body: object) -> Effect:
    if kind == Tell.__name__:
        return Tell(event=load_event(body))
    effect = load(OUTBOX_EFFECTS[kind], body)
    assert isinstance(effect, Effect)
    return effect
