"""The live picture: what the controller says, as the small items that a board shows.

Pure. Items hold no words, only states, names and times, so that each browser shows them in its
own language; numbers are masked before they leave the desk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from sql import codec
from workflows.call_facts import Call, Direction, State

JUST_ENDED: Final = 8
IN_QUEUE: Final = (State.WAITING, State.RINGING)
BEFORE_THE_TALK: Final = (State.ENTERED, *IN_QUEUE)

Item = dict[str, Any]
Key = tuple[str, str]


class Picture:
    """Takes the controller's messages one by one; `items` is what to show now.

    `queues` are always shown, `seats` are names by extension, `masked` hides a number's middle.
    """

    def __init__(
        self, queues: Iterable[str], seats: Mapping[str, str], masked: Callable[[str], str]
    ) -> None:
        self._queues: Final = tuple(queues)
        self._names: Final = dict(seats)
        self._masked: Final = masked
        self._calls: dict[str, Call] = {}
        self._alarms: dict[str, Item] = {}
        self._trunks: dict[str, Item] = {}
        self._seats: dict[str, Item] = {}
        self._ringing: dict[str, Item] = {}
        self._drawn: dict[str, tuple[Call, int, Item]] = {}
        self.is_away = True

    def take(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take one message of the controller's feed. Raises codec.NotReadable for a bad one."""
        match kind:
            case "snapshot":
                self._take_snapshot(data)
            case "down":
                self.is_away = True
            case "call":
                self._take_call(codec.load(Call, data))
            case "alarm":
                self._take_alarm(data)
            case "alarm_ended":
                self._alarms.pop(data["key"], None)
            case "trunk":
                self._trunks[data["name"]] = dict(data)
            case "seat":
                self._take_seat(data)
            case "ringing":
                self._ringing[data["leg"]] = dict(data)
            case "ringing_over":
                self._ringing.pop(data["leg"], None)

    def _take_snapshot(self, data: Mapping[str, Any]) -> None:
        calls = [codec.load(Call, call) for call in data["calls"]]
        # What was live here and is not live there ended while nobody told us; the list of calls
        # has it. What had ended already stays in sight.
        self._calls = {id_: c for id_, c in self._calls.items() if c.state is State.ENDED}
        for call in calls:
            self._take_call(call)
        self._alarms = {}
        for alarm in data["alarms"]:
            self._take_alarm(alarm)
        self._trunks = {trunk["name"]: dict(trunk) for trunk in data["trunks"]}
        self._seats = {}
        for seat in data["seats"]:
            self._take_seat(seat)
        self._ringing = {ringing["leg"]: dict(ringing) for ringing in data.get("ringing", ())}
        self.is_away = False

    def _take_call(self, call: Call) -> None:
        self._calls[call.id] = call
        ended = [c for c in self._calls.values() if c.state is State.ENDED]
        ended.sort(key=lambda c: c.ended_at or c.entered_at, reverse=True)
        for old in ended[JUST_ENDED:]:
            del self._calls[old.id]

    def _take_alarm(self, alarm: Mapping[str, Any]) -> None:
        # The alarm of a recording is named by its call, where the reason can be read.
        subject, _, call = alarm["key"].partition("/")
        about = call if subject == "recording" else ""
        self._alarms[alarm["key"]] = {**alarm, "call": about}

    def _take_seat(self, seat: Mapping[str, Any]) -> None:
        name = seat.get("name") or self._names.get(seat["extension"], "")
        self._seats[seat["extension"]] = {**seat, "name": name}

    def items(self) -> dict[Key, Item]:
        """Everything to show, by kind and key."""
        places = self._places()
        shown: dict[Key, Item] = {}
        for call in self._calls.values():
            shown["call", call.id] = self._drawn_call(call, places.get(call.id, 0))
        self._drawn = {key: drawn for key, drawn in self._drawn.items() if key in self._calls}
        self._show_ringing(shown)
        for queue in self._known_queues():
            shown["queue", queue] = self._queue(queue)
        for kind, things in (
            ("alarm", self._alarms),
            ("trunk", self._trunks),
            ("seat", self._seats),
        ):
            for key, thing in things.items():
                shown[kind, key] = thing
        return shown

    def _show_ringing(self, shown: dict[Key, Item]) -> None:
        """What the controller heard and the database does not have yet: which phones ring now."""
        for ringing in self._ringing.values():
            call = self._calls.get(ringing["call"])
            if call is None or call.state not in BEFORE_THE_TALK:
                continue
            # A new item: the drawn one is kept for when the ringing is over.
            item = dict(shown["call", call.id])
            seat = self._seat_name(ringing["seat"])
            is_known = item["state"] == State.RINGING.value
            seats, at = (item["seats"], item["at"]) if is_known else ([], [])
            item |= {
                "state": State.RINGING.value,
                "seats": seats if seat in seats else [*seats, seat],
                "at": at if ringing["seat"] in at else [*at, ringing["seat"]],
            }
            shown["call", call.id] = item

    def _known_queues(self) -> tuple[str, ...]:
        heard = {call.queue for call in self._calls.values() if call.state in IN_QUEUE}
        return (*self._queues, *sorted(heard - {"", *self._queues}))

    def _line(self, queue: str) -> list[Call]:
        """Who waits in this queue, in the order in which they are served (ACD-05)."""
        line = [c for c in self._calls.values() if c.state in IN_QUEUE and c.queue == queue]
        return sorted(line, key=_queued_at)

    def _places(self) -> dict[str, int]:
        return {
            call.id: place
            for queue in self._known_queues()
            for place, call in enumerate(self._line(queue), start=1)
        }

    def _queue(self, queue: str) -> Item:
        line = self._line(queue)
        return {
            "name": queue,
            "waiting": len(line),
            "since": _ms(_queued_at(line[0])) if line else None,
        }

    def _drawn_call(self, call: Call, place: int) -> Item:
        """The call's item; drawn anew only when something of it has changed.

        Every event asks for all of them, and to write a number as people read it takes long.
        """
        drawn = self._drawn.get(call.id)
        if drawn is None or drawn[0] is not call or drawn[1] != place:
            drawn = self._drawn[call.id] = (call, place, self._call(call, place))
        return drawn[2]

    def _call(self, call: Call, place: int) -> Item:
        is_inbound = call.direction is Direction.INBOUND
        return {
            "id": call.id,
            "state": call.state.value,
            "direction": call.direction.value,
            "entry": call.entry.value if call.entry else "",
            "who": "、".join(elder.name for elder in call.elders) or call.caller_name,
            "number": self._masked(call.caller if is_inbound else call.callee),
            "queue": call.queue,
            "place": place,
            "seats": [self._seat_name(seat) for seat in _seats_of(call)],
            "at": _seats_of(call),
            "since": _ms(_since(call)),
            "entered": _ms(call.entered_at),
            "ended": _ms(call.ended_at),
            "result": call.result.value if call.result else "",
            "recording": call.recording.value,
            "orders": [order.order_no for order in call.orders],
            "wrapped_up": call.wrap_up.id if call.wrap_up else "",
            # Not shown on the board; the call's own page is read again when they change.
            "legs_over": sum(leg.ended_at is not None for leg in call.legs),
        }

    def _seat_name(self, extension: str) -> str:
        name = self._names.get(extension, "")
        return f"{name} {extension}" if name and name != extension else extension


def _seats_of(call: Call) -> list[str]:
    """The extensions of the seats that ring, or of the one that talks."""
    if call.state is State.RINGING and call.direction is Direction.INBOUND:
        return [leg.who for leg in call.legs if leg.id in call.ringing]
    return [call.seat] if call.seat else []


def _queued_at(call: Call) -> datetime:
    return call.queued_at or call.entered_at


def _since(call: Call) -> datetime:
    """When the present phase began: the wait does not begin anew because a phone rings."""
    match call.state:
        case State.WAITING | State.RINGING:
            return _queued_at(call)
        case State.TALKING | State.ENDED:
            return call.answered_at or call.entered_at
        case _:
            return call.entered_at


def _ms(at: datetime | None) -> int | None:
    """Milliseconds since 1970, as browsers count."""
    return int(at.timestamp() * 1000) if at else None
