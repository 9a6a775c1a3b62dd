"""The messages of one case: how it writes them, and what they make of what it is told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from workflows.commands import LeaveMessage, SendMessageAgain
from workflows.effects import Effect, SendMessage
from workflows.errors import NotAllowed, NotFound
from workflows.events import (
    Event,
    MessageAccepted,
    MessageAttempted,
    MessageDelivered,
    MessageFailed,
    MessageLost,
)
from workflows.message import Message, MessageOutcome, State, ask, request, step

HANDLES: Final[tuple[type[Event], ...]] = (
    MessageAttempted,
    MessageAccepted,
    MessageDelivered,
    MessageFailed,
    MessageLost,
    SendMessageAgain,
    LeaveMessage,
)
"""What a case that has messages is told of them, beside its own timers."""
NUMBER: Final = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
NO_CHANNEL: Final = (
    "no message can be sent from here, since no channel is set up: tell it on the telephone. "
    "Channels are set under [messages] in careline.toml"
)


def write(
    case_id: str,
    number: int,
    *,
    to: str,
    name: str,
    text: str,
    channels: Sequence[str],
    at: datetime,
) -> MessageOutcome:
    """The `number`th message of the case, asked for. Raises NotAllowed when it cannot be sent.

    `channels` are those that are set up, in the order in which they are tried.
    """
    if not channels:
        raise NotAllowed(NO_CHANNEL)
    if not NUMBER.fullmatch(to):
        raise NotAllowed(f"{name}: there is no number that a message could be sent to")
    if not text.strip():
        raise NotAllowed("the message has no text; possible: to write one")
    return ask(
        Message(
            id=f"{case_id}-M{number}",
            case_id=case_id,
            to=to,
            name=name,
            text=text,
            channel=channels[0],
            channels=tuple(channels[1:]),
            asked_at=at,
        )
    )


def told(
    messages: Sequence[Message], event: Event
) -> tuple[tuple[Message, ...], tuple[Effect, ...]]:
    """Every message of a case after the event, and what they ask for.

    Raises NotFound when the event names a message that is not among them.
    """
    named = getattr(event, "message", None)
    if named is not None and all(one.id != named for one in messages):
        raise NotFound(f"there is no message {named}")
    steps = [step(one, event) for one in messages]
    return tuple(now for now, _ in steps), tuple(asked for _, all_ in steps for asked in all_)


def is_wanted(messages: Iterable[Message], effect: SendMessage) -> bool:
    """Whether this asking is still one that is waited for."""
    return any(one.state is State.QUEUED and request(one) == effect for one in messages)


def message_of(effect: str) -> str:
    """Whose asking has this id; empty when it is no id of an asking."""
    message, _, number = effect.rpartition(".")
    return message if number.isdecimal() and case_of(message) else ""


def case_of(message: str) -> str:
    """The case of the message with this id; empty when it is no id of a message."""
    case_id, _, number = message.rpartition("-M")
    return case_id if number.isdecimal() else ""
