"""One message to one person, by SMS or another channel: asked for, taken by a provider, delivered.

A small table that a case composes, once for each recipient. Each asking of a provider has an id of
its own, made of the message's and a running number; it is noted before it is sent, so that what was
perhaps sent is known after a crash, and is shown and not repeated: a message that comes twice is
worse than a doubt that a person sees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final, TypeAlias

from workflows.commands import Command, LeaveMessage, SendMessageAgain
from workflows.effects import Effect, EndAlarm, RaiseAlarm, SendMessage, StartTimer, StopTimer
from workflows.errors import NotAllowed
from workflows.events import (
    EmergencyTimerFired,
    Event,
    MessageAccepted,
    MessageAttempted,
    MessageDelivered,
    MessageFailed,
    MessageLost,
)
from workflows.machine import Outcome, Rule, Table, nothing, rule_for

PAUSES_S: Final = (5, 20, 60)
"""Before the second, third and fourth try on one channel; after that it is the next one's turn."""
REPORT_S: Final = 900
"""Networks report a delivery within seconds. Without a word for so long nobody waits for it."""
FAILED: Final = "message failed"
PERHAPS: Final = "perhaps sent"
"""Kinds of alarm."""


class State(Enum):
    QUEUED = "queued"
    WAITING = "waiting"
    SENT = "sent"
    UNREPORTED = "unreported"
    DELIVERED = "delivered"
    UNCERTAIN = "uncertain"
    FAILED = "failed"


class Trigger(Enum):
    ATTEMPTED = "attempted"
    ACCEPTED = "taken by the provider"
    DELIVERED = "delivered"
    FAILED_FOR_NOW = "failed, and may go better"
    FAILED_HERE = "failed on this channel"
    FAILED = "failed on every channel"
    LOST = "lost"
    AGAIN = "its pause is over"
    OVERDUE = "no report came"
    NOTHING_NEW = "nothing new"
    SEND_AGAIN = "send it again"
    LEAVE = "leave it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A text for the person `name`, whose number is `to` (E.164). Times are aware UTC.

    `channel` is in use, `channels` are still to be tried, `tried` have failed. `asked` counts all
    askings and `tries` those on this channel; `effect` is the newest asking, and `attempted_at`
    says that it may have happened. `provider_id`, `code` and `reason` are what providers said last.
    `left_by` has seen that it failed, or may have, and leaves it so.
    """

    id: str
    case_id: str
    to: str
    name: str
    text: str
    channels: tuple[str, ...]
    channel: str
    tried: tuple[str, ...] = ()
    state: State = State.QUEUED
    asked: int = 0
    tries: int = 0
    provider_id: str = ""
    code: str = ""
    reason: str = ""
    asked_at: datetime
    attempted_at: datetime | None = None
    accepted_at: datetime | None = None
    delivered_at: datetime | None = None
    failed_at: datetime | None = None
    left_by: str = ""

    @property
    def effect(self) -> str:
        """The id of the newest asking: of letters that an address may have as they are."""
        return f"{self.id}.{self.asked}"

    @property
    def again(self) -> str:
        """The name of the timer after which it is tried again."""
        return f"send again/{self.id.rpartition('-')[2]}"

    @property
    def overdue(self) -> str:
        """The name of the timer after which nobody waits for a report."""
        return f"no report/{self.id.rpartition('-')[2]}"

    @property
    def failure(self) -> str:
        """The key of the alarm that it reached nobody."""
        return f"{FAILED}/{self.id}"

    @property
    def doubt(self) -> str:
        """The key of the alarm that it was perhaps sent."""
        return f"{PERHAPS}/{self.id}"


MessageOutcome: TypeAlias = Outcome[Message]


def step(one: Message, event: Event) -> MessageOutcome:
    rule = rule_for(TABLE, one.state, classify(one, event), event)
    after, effects = rule.action(one, event)
    return replace(after, state=rule.to), effects


def is_over(one: Message) -> bool:
    """Whether nothing more is to come of it, nor has a person to see to it."""
    return bool(one.left_by) or one.state in (State.DELIVERED, State.UNREPORTED)


# ── what a fact means ─────────────────────────────────────────────────────────────────────────


def classify(one: Message, event: Event) -> Trigger:
    """Say what the event means for this message; of an older asking only its success counts."""
    is_newest = getattr(event, "effect", "") == one.effect
    match event:
        case MessageDelivered(message=named) if named == one.id:
            return Trigger.DELIVERED
        case EmergencyTimerFired(name=name) if name == one.again:
            return Trigger.AGAIN
        case EmergencyTimerFired(name=name) if name == one.overdue:
            return Trigger.OVERDUE
        case SendMessageAgain(message=named) if named == one.id:
            return Trigger.SEND_AGAIN
        case LeaveMessage(message=named) if named == one.id:
            return Trigger.LEAVE
        case MessageAttempted() if is_newest:
            return Trigger.ATTEMPTED
        # A second time, or after the end of what was taken, it is old news.
        case MessageAccepted() if is_newest and one.accepted_at is None:
            return Trigger.ACCEPTED
        case MessageFailed() if is_newest:
            return verdict(one, event)
        case MessageLost() if is_newest:
            return Trigger.LOST
        case _:
            return Trigger.NOTHING_NEW


def verdict(one: Message, failed: MessageFailed) -> Trigger:
    """What a failure leaves to be done; nothing, for one that a person has left."""
    if one.left_by:
        return Trigger.FAILED
    if failed.is_temporary and one.tries <= len(PAUSES_S):
        return Trigger.FAILED_FOR_NOW
    return Trigger.FAILED_HERE if one.channels else Trigger.FAILED


# ── what to ask for ───────────────────────────────────────────────────────────────────────────


def request(one: Message) -> SendMessage:
    """The newest asking as an effect."""
    return SendMessage(
        id=one.effect,
        case_id=one.case_id,
        message=one.id,
        channel=one.channel,
        to=one.to,
        text=one.text,
    )


def ask(one: Message) -> MessageOutcome:
    """Ask the channel in use, under a new id."""
    asked = replace(
        one,
        asked=one.asked + 1,
        tries=one.tries + 1,
        provider_id="",
        attempted_at=None,
        accepted_at=None,
    )
    return asked, (request(asked),)


def settle(one: Message) -> tuple[Effect, ...]:
    """End what was waited for and shown."""
    return (
        StopTimer(name=one.again),
        StopTimer(name=one.overdue),
        EndAlarm(key=one.doubt),
        EndAlarm(key=one.failure),
    )


def attempted(one: Message, event: Event) -> MessageOutcome:
    return replace(one, attempted_at=one.attempted_at or event.at), ()


def noted(one: Message, event: Event) -> Message:
    """With what the provider says of it: its own id, and that it has taken it."""
    said = getattr(event, "provider_id", "")
    is_taken = bool(said) or isinstance(event, MessageAccepted)
    if not is_taken or getattr(event, "effect", "") != one.effect:
        return one
    at = one.accepted_at or event.at
    return replace(one, provider_id=said or one.provider_id, accepted_at=at)


def taken(one: Message, event: Event) -> MessageOutcome:
    waits = StartTimer(name=one.overdue, after_s=REPORT_S)
    return noted(one, event), (*settle(one), waits)


def taken_after_all(one: Message, event: Event) -> MessageOutcome:
    """It is known already that it arrived."""
    return noted(one, event), ()


def delivered(one: Message, event: Event) -> MessageOutcome:
    at = one.delivered_at or event.at
    return replace(noted(one, event), delivered_at=at, failed_at=None), settle(one)


def because(one: Message, event: Event) -> Message:
    """With the provider's reason."""
    assert isinstance(event, MessageFailed)
    return replace(noted(one, event), code=event.code, reason=event.reason)


def pause(one: Message, event: Event) -> MessageOutcome:
    after_s = PAUSES_S[one.tries - 1]
    return because(one, event), (*settle(one), StartTimer(name=one.again, after_s=after_s))


def next_channel(one: Message, event: Event) -> MessageOutcome:
    one = because(one, event)
    asked, effects = ask(
        replace(
            one,
            tried=(*one.tried, one.channel),
            channel=one.channels[0],
            channels=one.channels[1:],
            tries=0,
        )
    )
    return asked, (*settle(one), *effects)


def give_up(one: Message, event: Event) -> MessageOutcome:
    one = replace(because(one, event), failed_at=event.at)
    text = f"{one.id} {one.name}: {one.code} {one.reason}".strip()
    alarm = RaiseAlarm(key=one.failure, kind=FAILED, text=text)
    return one, (*settle(one), *(() if one.left_by else (alarm,)))


def doubt(one: Message, event: Event) -> MessageOutcome:
    alarm = RaiseAlarm(key=one.doubt, kind=PERHAPS, text=f"{one.id} {one.name}")
    return one, (alarm,)


def ask_after_pause(one: Message, event: Event) -> MessageOutcome:
    return ask(one)


def ask_anew(one: Message, event: Event) -> MessageOutcome:
    """As a person wishes: on the channel that is in doubt, or from the first on when all failed."""
    who(event)
    whole = (*one.tried, one.channel, *one.channels) if one.state is State.FAILED else ()
    if whole:
        one = replace(one, channel=whole[0], channels=whole[1:], tried=())
    asked, effects = ask(replace(one, tries=0, left_by="", failed_at=None))
    return asked, (*settle(one), *effects)


def leave(one: Message, event: Event) -> MessageOutcome:
    return replace(one, left_by=who(event)), (EndAlarm(key=one.doubt), EndAlarm(key=one.failure))


def who(event: Event) -> str:
    """Who wishes it. Raises NotAllowed without a name."""
    by = event.by.strip() if isinstance(event, Command) else ""
    if not by:
        raise NotAllowed("only a person with a name decides about a message")
    return by


def facts(state: State, **named: Rule[State, Message]) -> dict[Trigger, Rule[State, Message]]:
    """Every fact that is not named leaves the message as it is: late or doubled news."""
    stays: dict[Trigger, Rule[State, Message]] = {
        trigger: Rule(state, nothing)
        for trigger in Trigger
        if trigger not in (Trigger.SEND_AGAIN, Trigger.LEAVE)
    }
    return stays | {Trigger[name]: rule for name, rule in named.items()}


TAKEN: Final = Rule(State.SENT, taken)
ARRIVED: Final = Rule(State.DELIVERED, delivered)
AGAIN: Final = Rule(State.QUEUED, ask_anew)
FAILING: Final = {
    "FAILED_FOR_NOW": Rule(State.WAITING, pause),
    "FAILED_HERE": Rule(State.QUEUED, next_channel),
    "FAILED": Rule(State.FAILED, give_up),
}

# fmt: off
TABLE: Final[Table[State, Trigger, Message]] = {
    State.QUEUED: facts(
        State.QUEUED,
        ATTEMPTED   = Rule(State.QUEUED, attempted),
        ACCEPTED    = TAKEN,
        DELIVERED   = ARRIVED,
        LOST        = Rule(State.UNCERTAIN, doubt),
        **FAILING,
    ),
    # What was judged to have failed may have been taken all the same; then it is not sent twice.
    State.WAITING: facts(
        State.WAITING,
        AGAIN       = Rule(State.QUEUED, ask_after_pause),
        ACCEPTED    = TAKEN,
        DELIVERED   = ARRIVED,
        **FAILING | {"FAILED_FOR_NOW": Rule(State.WAITING)},
    ),
    State.SENT: facts(
        State.SENT,
        DELIVERED   = ARRIVED,
        OVERDUE     = Rule(State.UNREPORTED),
        **FAILING,
    ),
    State.UNREPORTED: facts(
        State.UNREPORTED,
        DELIVERED   = ARRIVED,
        SEND_AGAIN  = AGAIN,
        **FAILING,
    ),
    State.DELIVERED: facts(
        State.DELIVERED,
        ACCEPTED    = Rule(State.DELIVERED, taken_after_all),
    ),
    # It ends by the provider's word or by a person's, and never by our own clock.
    State.UNCERTAIN: facts(
        State.UNCERTAIN,
        ACCEPTED    = TAKEN,
        DELIVERED   = ARRIVED,
        SEND_AGAIN  = AGAIN,
        LEAVE       = Rule(State.UNCERTAIN, leave),
        **FAILING,
    ),
    State.FAILED: facts(
        State.FAILED,
        DELIVERED   = ARRIVED,
        SEND_AGAIN  = AGAIN,
        LEAVE       = Rule(State.FAILED, leave),
    ),
}
# fmt: on
