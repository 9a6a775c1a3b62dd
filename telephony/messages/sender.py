"""Sends the messages that cases ask for, each asking at most once.

That it may have been sent is noted durably before it is, so that after a crash nobody takes for
unsent what is on its way; what was noted and has no answer is told as lost, and never sent again
here. Each channel has a line of its own: a provider that is slow holds up no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, Protocol

from telephony.messages import Accepted, Channel, NotTaken, PerhapsTaken
from workflows.effects import SendMessage
from workflows.events import (
    Event,
    MessageAccepted,
    MessageAttempted,
    MessageDelivered,
    MessageFailed,
    MessageLost,
)
from workflows.message import Message, State, request
from workflows.messages import is_wanted

logger = logging.getLogger(__name__)

AT_ONCE: Final = 4
"""Messages that one provider is asked to take at the same time."""
AGAIN_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0


class HasMessages(Protocol):
    """A case that has messages."""

    @property
    def messages(self) -> tuple[Message, ...]: ...


class Sender:
    """`channels` by the names that the cases know. `handle` takes a fact and returns the case after
    it; None when it is put away."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        handle: Callable[[Event], Awaitable[HasMessages | None]],
        now: Callable[[], datetime],
    ) -> None:
        self._channels: Final = channels
        self._handle: Final = handle
        self._now: Final = now
        self._line: Final[asyncio.Queue[SendMessage]] = asyncio.Queue()
        self._under_way: Final[set[str]] = set()
        self._places: Final = {name: asyncio.Semaphore(AT_ONCE) for name in channels}

    def post(self, effect: SendMessage) -> None:
        """Send it soon. The same asking may be posted again: it is sent once."""
        if effect.id not in self._under_way:
            self._under_way.add(effect.id)
            self._line.put_nowait(effect)

    async def take_up(self, messages: Iterable[Message]) -> None:
        """After a start: send what was never attempted, and say of what was that it is in doubt."""
        for one in messages:
            if one.state is not State.QUEUED or one.effect in self._under_way:
                continue
            asked = request(one)
            if one.attempted_at is None:
                self.post(asked)
            else:
                await self._tell(
                    MessageLost(
                        case_id=asked.case_id, at=self._now(), message=asked.message,
                        effect=asked.id,
                    )
                )  # fmt: skip

    async def run(self) -> None:
        """Send for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                effect = await self._line.get()
                tasks.create_task(self._send(effect), name=f"message {effect.id}")

    async def _send(self, effect: SendMessage) -> None:
        try:
            if effect.channel in self._channels:
                facts = await self._ask(effect)
            else:
                facts = [self._no_such_channel(effect)]
            for fact in facts:
                await self._tell(fact)
        except Exception:
            # One message that cannot be sent must not end the others.
            logger.exception("the message %s was not sent", effect.id)
        finally:
            self._under_way.discard(effect.id)

    async def _ask(self, effect: SendMessage) -> list[Event]:
        """Note it, and ask the channel; what became of that. Nothing is sent before it is noted."""
        noted = MessageAttempted(
            case_id=effect.case_id, at=self._now(), message=effect.message, effect=effect.id
        )
        pause_s = AGAIN_S
        while True:
            # Whoever cannot note it yet keeps nobody else from this channel meanwhile.
            async with self._places[effect.channel]:
                is_noted, case = await self._try(noted)
                if is_noted:
                    if case is None or not is_wanted(case.messages, effect):
                        logger.info("the message %s is not wanted any more", effect.id)
                        return []
                    return await self._facts_of(self._channels[effect.channel], effect)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _facts_of(self, channel: Channel, effect: SendMessage) -> list[Event]:
        """Ask the channel, once; what became of that."""
        try:
            accepted = await channel.send(effect.id, effect.to, effect.text)
        except NotTaken as refusal:
            logger.warning("%s did not take %s: %s", effect.channel, effect.id, refusal.code)
            return [
                MessageFailed(
                    case_id=effect.case_id, at=self._now(), message=effect.message,
                    effect=effect.id, code=refusal.code, reason=refusal.reason,
                    is_temporary=refusal.is_temporary,
                )
            ]  # fmt: skip
        except PerhapsTaken as doubt:
            logger.warning("%s perhaps took %s: %s", effect.channel, effect.id, doubt)
        except Exception:
            logger.exception("%s failed with %s", effect.channel, effect.id)
        else:
            return self._taken(effect, accepted)
        at = self._now()
        return [
            MessageLost(case_id=effect.case_id, at=at, message=effect.message, effect=effect.id)
        ]

    def _taken(self, effect: SendMessage, accepted: Accepted) -> list[Event]:
        taken = MessageAccepted(
            case_id=effect.case_id, at=self._now(), message=effect.message, effect=effect.id,
            provider_id=accepted.provider_id,
        )  # fmt: skip
        if not accepted.is_delivered:
            return [taken]
        arrived = MessageDelivered(
            case_id=effect.case_id, at=self._now(), message=effect.message, effect=effect.id,
            provider_id=accepted.provider_id,
        )  # fmt: skip
        return [taken, arrived]

    def _no_such_channel(self, effect: SendMessage) -> MessageFailed:
        return MessageFailed(
            case_id=effect.case_id, at=self._now(), message=effect.message, effect=effect.id,
            code="no channel", reason=f"{effect.channel} is not set up any more",
        )  # fmt: skip

    async def _tell(self, fact: Event) -> None:
        """Tell it until it is taken: what a provider answered is said only once."""
        pause_s = AGAIN_S
        while not (await self._try(fact))[0]:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _try(self, fact: Event) -> tuple[bool, HasMessages | None]:
        """Whether the fact was taken, and the case after it."""
        try:
            return True, await self._handle(fact)
        except Exception:
            logger.exception("%s of %s is told again", type(fact).__name__, fact.case_id)
            return False, None
