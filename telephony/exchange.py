"""Asterisk's exchange as it is: legs, queues with their members and callers, rooms, devices.

Built from listings at every connect, kept by the ordered events after it. An event that was heard
twice, late, or is nonsense never raises, and what it spoils the next comparison finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from telephony.translate import happened_at, plain, variable, whole

AmiEvent = Mapping[str, Any]
NOT_THERE: Final = "is not there"
AWAY: Final = ("UNAVAILABLE", "INVALID", "UNKNOWN", "")
TELEPHONE: Final = "PJSIP/"


@dataclass(slots=True)
class Leg:
    """One channel. `call` and `party` are Careline's own words for it (`channelvars`)."""

    id: str
    name: str
    state: str
    bridge: str = ""
    call: str = ""
    party: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A telephone in a queue. `last_call` is in seconds since 1970, 0 for never."""

    queue: str
    interface: str
    status: int = 0
    paused: bool = False
    reason: str = ""
    penalty: int = 0
    in_call: bool = False
    last_call: int = 0


def interface_of(leg: Leg) -> str:
    """Whose leg it is, `PJSIP/1001` say: a channel's name is that and a number of its own."""
    return leg.name.rpartition("-")[0]


class Difference(NamedTuple):
    """One thing of which the picture and Asterisk say different things."""

    what: str
    picture: str
    asterisk: str

    def __str__(self) -> str:
        return f"{self.what}: the picture says {self.picture}, Asterisk says {self.asterisk}"


@dataclass(slots=True)
class Exchange:
    """`waiting` are callers' legs in their order, by queue; `rooms` are legs by room."""

    legs: dict[str, Leg] = field(default_factory=dict)
    members: dict[tuple[str, str], Member] = field(default_factory=dict)
    waiting: dict[str, list[str]] = field(default_factory=dict)
    rooms: dict[str, set[str]] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)
    # Whose legs they are, and which queues there are: asked for at every event of a telephone.
    _by_interface: dict[str, dict[str, Leg]] = field(default_factory=dict, repr=False)
    _queues: dict[str, None] = field(default_factory=dict, repr=False)

    def apply(self, event: AmiEvent) -> None:
        """Take one AMI event."""
        for prefix in ("", "Dest"):
            self._note_words(event, prefix)
        if is_taken(event):
            TAKES[event["Event"]](self, event)

    def _note_words(self, event: AmiEvent, prefix: str) -> None:
        """Which call a leg belongs to: nothing tells it but whatever event comes next."""
        leg = self.legs.get(plain(event.get(f"{prefix}Uniqueid")))
        if leg is not None and f"{prefix}ChanVariable" in event:
            leg.call = variable(event, "CARELINE_CALL", prefix) or leg.call
            leg.party = variable(event, "CARELINE_PARTY", prefix) or leg.party

    # ── legs ─────────────────────────────────────────────────────────────────────────────────

    def add_leg(self, event: AmiEvent) -> None:
        id_ = plain(event.get("Uniqueid"))
        if not id_:
            return
        known = self._take_leg(id_)
        self._put_leg(
            Leg(
                id=id_,
                name=plain(event.get("Channel")),
                state=plain(event.get("ChannelStateDesc")),
                bridge=plain(event.get("BridgeId")) or (known.bridge if known else ""),
                call=variable(event, "CARELINE_CALL"),
                party=variable(event, "CARELINE_PARTY"),
            )
        )

    def _put_leg(self, leg: Leg) -> None:
        self.legs[leg.id] = leg
        self._by_interface.setdefault(interface_of(leg), {})[leg.id] = leg

    def _take_leg(self, id_: str) -> Leg | None:
        leg = self.legs.pop(id_, None)
        if leg is not None:
            of_interface = self._by_interface[interface_of(leg)]
            del of_interface[id_]
            if not of_interface:
                del self._by_interface[interface_of(leg)]
        return leg

    def _arrive(self, event: AmiEvent) -> None:
        """A carrier's call has no Newchannel here: what the dialplan says of it comes first."""
        if event.get("UserEvent") == "CallArrived" and event.get("Uniqueid") not in self.legs:
            self.add_leg(event)

    def _state(self, event: AmiEvent) -> None:
        if leg := self.legs.get(plain(event.get("Uniqueid"))):
            leg.state = plain(event.get("ChannelStateDesc"))

    def _rename(self, event: AmiEvent) -> None:
        if leg := self._take_leg(plain(event.get("Uniqueid"))):
            leg.name = plain(event.get("Newname"))
            self._put_leg(leg)

    def _enter_bridge(self, event: AmiEvent) -> None:
        if leg := self.legs.get(plain(event.get("Uniqueid"))):
            leg.bridge = plain(event.get("BridgeUniqueid"))

    def _leave_bridge(self, event: AmiEvent) -> None:
        leg = self.legs.get(plain(event.get("Uniqueid")))
        if leg and leg.bridge == plain(event.get("BridgeUniqueid")):
            leg.bridge = ""

    def _end_leg(self, event: AmiEvent) -> None:
        id_ = plain(event.get("Uniqueid"))
        self._take_leg(id_)
        for line in self.waiting.values():
            if id_ in line:
                line.remove(id_)
        for room in self.rooms.values():
            room.discard(id_)

    # ── queues ───────────────────────────────────────────────────────────────────────────────

    def add_member(self, event: AmiEvent) -> None:
        queue = plain(event.get("Queue"))
        interface = plain(event.get("Interface") or event.get("Location"))
        if not queue or not interface:
            return
        self._queues[queue] = None
        self.members[queue, interface] = Member(
            queue=queue,
            interface=interface,
            status=whole(event.get("Status")),
            paused=event.get("Paused") == "1",
            reason=plain(event.get("PausedReason")),
            penalty=whole(event.get("Penalty")),
            in_call=event.get("InCall") == "1",
            last_call=whole(event.get("LastCall")),
        )

    # A queue says nothing of its member when the device stays as busy as it was while it rang.

    def _begin_call(self, event: AmiEvent) -> None:
        self._note_call(event, in_call=True, last_call=None)

    def _end_call(self, event: AmiEvent) -> None:
        ended = int(happened_at(event).timestamp())
        self._note_call(event, in_call=False, last_call=ended)

    def _note_call(self, event: AmiEvent, in_call: bool, last_call: int | None) -> None:
        key = plain(event.get("Queue")), plain(event.get("Interface"))
        if member := self.members.get(key):
            last = member.last_call if last_call is None else last_call
            self.members[key] = replace(member, in_call=in_call, last_call=last)

    def _remove_member(self, event: AmiEvent) -> None:
        self.members.pop((plain(event.get("Queue")), plain(event.get("Interface"))), None)

    def add_caller(self, event: AmiEvent) -> None:
        queue, id_ = plain(event.get("Queue")), plain(event.get("Uniqueid"))
        if not queue or not id_:
            return
        line = self.waiting.setdefault(queue, [])
        if id_ in line:
            line.remove(id_)
        line.insert(max(whole(event.get("Position")) - 1, 0), id_)

    def _remove_caller(self, event: AmiEvent) -> None:
        line = self.waiting.get(plain(event.get("Queue")), [])
        if (id_ := plain(event.get("Uniqueid"))) in line:
            line.remove(id_)

    # ── rooms and devices ────────────────────────────────────────────────────────────────────

    def open_room(self, event: AmiEvent) -> None:
        if name := plain(event.get("Conference")):
            self.rooms.setdefault(name, set())

    def enter_room(self, event: AmiEvent) -> None:
        self.open_room(event)
        id_ = plain(event.get("Uniqueid"))
        if id_ and (name := plain(event.get("Conference"))):
            self.rooms[name].add(id_)

    def _leave_room(self, event: AmiEvent) -> None:
        self.rooms.get(plain(event.get("Conference")), set()).discard(plain(event.get("Uniqueid")))

    def _close_room(self, event: AmiEvent) -> None:
        self.rooms.pop(plain(event.get("Conference")), None)

    def note_device(self, event: AmiEvent) -> None:
        device = plain(event.get("Device"))
        if device.startswith(TELEPHONE):
            self.devices[device] = plain(event.get("State"))

    # ── what it says ─────────────────────────────────────────────────────────────────────────

    def legs_of(self, interface: str) -> list[Leg]:
        """The calls of one telephone, `PJSIP/1001` say."""
        return list(self._by_interface.get(interface, {}).values())

    def calls(self) -> set[str]:
        """The ids of the calls that are up; that of their first leg, which bears the recording."""
        return {leg.id for leg in self.legs.values() if leg.id == leg.call}

    def members_of(self, interface: str) -> list[Member]:
        """The telephone's places in the queues."""
        places = (self.members.get((queue, interface)) for queue in self._queues)
        return [member for member in places if member is not None]

    def differences(self, true: Exchange) -> frozenset[Difference]:
        """Where this picture says something else than the other one, which is Asterisk's."""
        ours, theirs = dict(self._says()), dict(true._says())
        return frozenset(
            Difference(what, ours.get(what, NOT_THERE), theirs.get(what, NOT_THERE))
            for what in ours.keys() | theirs.keys()
            if ours.get(what) != theirs.get(what)
        )

    def learn(self, true: Exchange) -> None:
        """Take over what makes no event: a leg's call and party, the second a call ended in."""
        for id_, leg in true.legs.items():
            if ours := self.legs.get(id_):
                ours.call, ours.party = leg.call, leg.party
        for key, member in true.members.items():
            if mine := self.members.get(key):
                self.members[key] = replace(mine, last_call=member.last_call)

    def _says(self) -> Iterable[tuple[str, str]]:
        for leg in self.legs.values():
            yield f"leg {leg.id}", f"{leg.name} {leg.state} in bridge {leg.bridge or '-'}"
        for member in self.members.values():
            pause = f"paused {member.reason!r}" if member.paused else "not paused"
            call = "in a call" if member.in_call else "in no call"
            said = f"status {member.status}, {pause}, penalty {member.penalty}, {call}"
            yield f"{member.interface} in queue {member.queue}", said
        for queue, line in self.waiting.items():
            if line:
                yield f"callers in queue {queue}", ", ".join(line)
        for room, ids in self.rooms.items():
            yield f"room {room}", ", ".join(sorted(ids))
        for device, state in self.devices.items():
            # Asterisk forgets a device that is away, and lists it no longer.
            if state not in AWAY:
                yield f"device {device}", state


TAKES: Final[Mapping[str, Callable[[Exchange, AmiEvent], None]]] = {
    "Newchannel": Exchange.add_leg,
    "UserEvent": Exchange._arrive,
    "Newstate": Exchange._state,
    "Rename": Exchange._rename,
    "BridgeEnter": Exchange._enter_bridge,
    "BridgeLeave": Exchange._leave_bridge,
    "Hangup": Exchange._end_leg,
    "QueueMemberAdded": Exchange.add_member,
    "QueueMemberStatus": Exchange.add_member,
    "QueueMemberPause": Exchange.add_member,
    "QueueMemberPenalty": Exchange.add_member,
    "AgentConnect": Exchange._begin_call,
    "AgentComplete": Exchange._end_call,
    "QueueMemberRemoved": Exchange._remove_member,
    "QueueCallerJoin": Exchange.add_caller,
    "QueueCallerLeave": Exchange._remove_caller,
    "QueueCallerAbandon": Exchange._remove_caller,
    "ConfbridgeStart": Exchange.open_room,
    "ConfbridgeJoin": Exchange.enter_room,
    "ConfbridgeLeave": Exchange._leave_room,
    "ConfbridgeEnd": Exchange._close_room,
    "DeviceStateChange": Exchange.note_device,
}
"""What each event changes."""


def is_taken(event: AmiEvent) -> bool:
    """Whether the event changes more than which call a leg belongs to."""
    name = event.get("Event")
    return isinstance(name, str) and name in TAKES
