"""Effects: what a process asks of the world. Data only; the result comes back as an event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from workflows.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A request to the imperative shell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell(Effect):
    """Hand this event to the case that it names."""

    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTimer(Effect):
    """Wake the case after `after_s` seconds; the same name again replaces it."""

    name: str
    after_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTimer(Effect):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeRecording(Effect):
    """The worker makes the verified stereo file of the recording with this serial.

    `began_at` (aware UTC) says in which day's folder it belongs.
    """

    serial: str
    began_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseAlarm(Effect):
    """Show a trouble on the desk; one alarm at a time is open for a `key`."""

    key: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndAlarm(Effect):
    """The trouble with this key is over."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Act(Effect):
    """Something to be done in Asterisk, at once. Doing it twice changes nothing more."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial(Act):
    """Bring somebody into the room of the case. `id` is the channel's id in Asterisk too."""

    case_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSeat(Dial):
    """Ask for the next free seat for this role of an emergency."""

    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallParty(Dial):
    """Call somebody outside for an emergency: `number`, or the site's own `service`.

    `service` is ambulance, fire or police, which have no number here: each site has its own.
    """

    number: str = ""
    service: str = ""
    site: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallElder(Dial):
    """Call the elder back at `number`. `id` is that of the leg: the channel has the case's own id,
    as the elder's first one had, so that the room is the elder's again. `attempt` counts from 0
    how often this number was called: each time goes by another carrier."""

    number: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LetGo(Act):
    """Nobody waits for the elder any more: who is alone in the rooms is not kept there."""

    case_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelDial(Act):
    """Stop the dial with this id if it still rings; harmless when it is repeated."""

    dial: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePeople(Act):
    """Bring these channels into a room of the case (`workflows.leg.ROOMS`), all at once."""

    case_id: str
    channels: tuple[str, ...]
    room: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MutePerson(Act):
    """Nobody hears what comes in on this channel, or everybody does again."""

    channel: str
    is_muted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUpPerson(Act):
    """End this channel."""

    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMessage(Effect):
    """Send this text by this channel. `id` is this asking's own, `message` that of the message;
    `to` is in E.164."""

    id: str
    case_id: str
    message: str
    channel: str
    to: str
    text: str
