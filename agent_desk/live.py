"""The live picture: what the controller says, as the small items that a board shows.

Pure. Items hold no words, only states, names and times, so that each browser shows them in its
own language; numbers are masked before they leave the desk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from agent_desk import live_case
from agent_desk.live_case import Names, ms
from sql import codec
from workflows.call_facts import Call, Direction, State
from workflows.emergency import is_closed, is_over
from workflows.emergency_facts import Emergency

JUST_ENDED: Final = 8
CLOSED_KEPT: Final = 20
"""Emergencies that are over: their pages go on showing them."""
NAMED_BY_CALL: Final = (
    "recording", "call back", "unreached", "elder alone", "elder away", "role missing", "no news",
    "no record",    "no follow-up", "perhaps called", "dial failed", "no sound", "not handled",
)  # fmt: skip
OF_TELEPHONES: Final = {"trunk": "trunks", "seat": "seats"}
"""Where a snapshot has what is told one by one."""
IN_QUEUE: Final = (State.WAITING, State.RINGING)
BEFORE_THE_TALK: Final = (State.ENTERED, *IN_QUEUE)

Item = dict[str, Any]
Key = tuple[str, str]


class Picture:
    """Takes the controller's messages one by one; `items` is what to show now.

    Only what a message touches is drawn anew: with many calls up, most messages are about one.
    `queues` are always shown, `seats` are names by extension, `masked` hides a number's middle and
    `legible` writes the whole of it.
    """

    def __init__(
        self,
        queues: Iterable[str],
        seats: Mapping[str, str],
        masked: Callable[[str], str],
        legible: Callable[[str], str] = str,
    ) -> None:
        self._queues: Final = tuple(queues)
        self._names: Final = Names(dict(seats), masked, legible)
        self._masked: Final = masked
        self._calls: dict[str, Call] = {}
        # Calls that the controller heard and has not saved yet; what is saved replaces them.
        self._arrived: dict[str, Call] = {}
        self._emergencies: dict[str, Emergency] = {}
        self._closed: Final[dict[str, Emergency]] = {}
        self._speaking: dict[str, frozenset[str]] = {}
        self._cases_touched: set[str] = set()
        self._alarms: dict[str, Item] = {}
        self._trunks: dict[str, Item] = {}
        self._seats: dict[str, Item] = {}
        self._ringing: dict[str, Item] = {}
        self._places: Final[dict[str, int]] = {}
        # In the order in which they were touched; a dictionary, for want of an ordered set.
        self._touched: Final[dict[Key, None]] = {("queue", queue): None for queue in self._queues}
        self._shown: Final[dict[Key, Item]] = {}
        self._changed: dict[Key, Item | None] = {}
        self.is_away = True

    # ── what the controller says ─────────────────────────────────────────────────────────────

    def take(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take one message of the controller's feed. Raises codec.NotReadable for a bad one."""
        match kind:
            case "snapshot":
                self._take_snapshot(data)
            case "down":
                self.is_away = True
            case "call":
                self._take_call(codec.load(Call, data))
            case "arrived":
                self._take_arrival(codec.load(Call, data))
            case "emergency":
                self._take_emergency(codec.load(Emergency, data))
            case "alarm":
                self._take_alarm(data)
            case "trunk" | "seat" | "ringing" | "speaking":
                self._take_telephone(kind, data)
            case "arrival_over" | "alarm_ended" | "ringing_over":
                self._take_end(kind, data)

    def _take_end(self, kind: str, data: Mapping[str, Any]) -> None:
        match kind:
            case "arrival_over":
                self._arrived.pop(data["id"], None)
                self._touch("call", data["id"])
            case "alarm_ended":
                ended = self._alarms.pop(data["key"], None)
                self._cases_touched.add(ended["call"] if ended else "")
                self._touch("alarm", data["key"])
            case "ringing_over":
                self._ringing.pop(data["leg"], None)
                self._touch("call", data["call"])

    def _take_snapshot(self, data: Mapping[str, Any]) -> None:
        calls = [codec.load(Call, call) for call in data["calls"]]
        arrived = [codec.load(Call, call) for call in data.get("arrived", ())]
        # What was live here and is not live there ended while nobody told us; the list of calls
        # has it. What had ended already stays in sight.
        self._calls = {id_: c for id_, c in self._calls.items() if c.state is State.ENDED}
        self._cases_touched |= self._emergencies.keys()
        self._arrived, self._emergencies = {}, {}
        # What is not over and is not told of has come to its end while nobody told us.
        for id_ in [c.id for c in self._closed.values() if not is_over(c)]:
            del self._closed[id_]
            self._touch("unfinished", id_)
            self._cases_touched.add(id_)
        self._alarms, self._trunks, self._seats = {}, {}, {}
        self._places.clear()
        for key in [*self._shown, *(("queue", queue) for queue in self._queues)]:
            self._touch(*key)
        for call in calls:
            self._take_call(call)
        for call in arrived:
            self._take_arrival(call)
        for case in data.get("emergencies", ()):
            self._take_emergency(codec.load(Emergency, case))
        for alarm in data["alarms"]:
            self._take_alarm(alarm)
        self._ringing, self._speaking = {}, {}
        for kind in ("trunk", "seat", "ringing", "speaking"):
            # An older controller does not tell of all of them.
            for one in data.get(OF_TELEPHONES.get(kind, kind), ()):
                self._take_telephone(kind, one)
        self.is_away = False

    def _take_call(self, call: Call) -> None:
        before = self._calls.get(call.id)
        self._arrived.pop(call.id, None)
        self._calls[call.id] = call
        self._touch("call", call.id)
        stood, stands = _stand(before), _stand(call)
        if stood != stands:
            self._places.pop(call.id, None)
            for queue, _ in filter(None, (stood, stands)):
                self._touch("queue", queue)
        if call.state is State.ENDED:
            self._forget_old_ends()

    def _forget_old_ends(self) -> None:
        ended = [c for c in self._calls.values() if c.state is State.ENDED]
        ended.sort(key=lambda c: c.ended_at or c.entered_at, reverse=True)
        for old in ended[JUST_ENDED:]:
            del self._calls[old.id]
            self._touch("call", old.id)

    def _take_arrival(self, call: Call) -> None:
        if call.id not in self._calls:
            self._arrived[call.id] = call
            self._touch("call", call.id)

    def _take_emergency(self, case: Emergency) -> None:
        self._emergencies.pop(case.id, None)
        self._closed.pop(case.id, None)
        # One that is closed and reached nobody is told by its alarm.
        if not is_closed(case):
            self._emergencies[case.id] = case
        else:
            self._closed[case.id] = case
            over = [one.id for one in self._closed.values() if is_over(one)]
            for old in over[:-CLOSED_KEPT]:
                del self._closed[old]
        self._cases_touched.add(case.id)
        self._touch("emergency", case.id)
        self._touch("unfinished", case.id)
        # Who has which role is shown with the call.
        self._touch("call", case.id)

    def _take_alarm(self, alarm: Mapping[str, Any]) -> None:
        # These are named by their call, where one can read more and call back.
        subject, _, about = alarm["key"].partition("/")
        call = about.partition("/")[0] if subject in NAMED_BY_CALL else ""
        self._alarms[alarm["key"]] = {**alarm, "call": call}
        self._cases_touched.add(call)
        self._touch("alarm", alarm["key"])

    def _take_telephone(self, kind: str, data: Mapping[str, Any]) -> None:
        match kind:
            case "trunk":
                self._trunks[data["name"]] = dict(data)
                self._touch("trunk", data["name"])
            case "ringing":
                self._ringing[data["leg"]] = dict(data)
                self._touch("call", data["call"])
            case "speaking":
                self._speaking[data["case"]] = frozenset(data["legs"])
                self._cases_touched.add(data["case"])
            case "seat":
                name = data.get("name") or self._names.seats.get(data["extension"], "")
                self._seats[data["extension"]] = {**data, "name": name}
                self._touch("seat", data["extension"])

    def _touch(self, kind: str, key: str) -> None:
        self._touched[kind, key] = None

    # ── what to show ─────────────────────────────────────────────────────────────────────────

    def items(self) -> dict[Key, Item]:
        """Everything to show, by kind and key."""
        self._draw()
        return dict(self._shown)

    def changes(self) -> dict[Key, Item | None]:
        """What to show otherwise than when this was asked last, None for what is gone.

        Calls come first, and those that ring before all others: a person waits for these.
        """
        self._draw()
        changed, self._changed = self._changed, {}
        return dict(sorted(changed.items(), key=_urgency))

    def emergency(self, case_id: str) -> Emergency | None:
        """The case whole, as the controller told it last; also one that is closed since."""
        return self._emergencies.get(case_id) or self._closed.get(case_id)

    def case_of(self, seat: str) -> str:
        """The open emergency in which this seat is, the newest of several; empty for none."""
        mine = [
            case
            for case in self._emergencies.values()
            if any(one.party == "seat" and one.who == seat for one in case.people)
        ]
        return max(mine, key=lambda case: case.opened_at).id if mine else ""

    def case(self, case_id: str) -> Item | None:
        """The case as its own page shows it."""
        known = self.emergency(case_id)
        if known is None:
            return None
        alarms = [alarm for alarm in self._alarms.values() if alarm["call"] == case_id]
        speaking = self._speaking.get(case_id, frozenset())
        return live_case.whole(known, self._names, alarms, speaking)

    def cases_touched(self) -> set[str]:
        """The emergencies of which something was told since this was asked last."""
        touched, self._cases_touched = self._cases_touched, set()
        return touched

    def _draw(self) -> None:
        for kind, queue in list(self._touched):
            if kind == "queue":
                self._line_up(queue)
        for key in self._touched:
            item = self._item(*key)
            if item == self._shown.get(key):
                continue
            self._changed[key] = item
            if item is None:
                del self._shown[key]
            else:
                self._shown[key] = item
        self._touched.clear()

    def _line_up(self, queue: str) -> None:
        """Give everybody in this queue a place."""
        for place, call in enumerate(self._line(queue), start=1):
            if self._places.get(call.id) != place:
                self._places[call.id] = place
                self._touch("call", call.id)

    def _line(self, queue: str) -> list[Call]:
        """Who waits in this queue, in the order in which they are served (ACD-05)."""
        line = [c for c in self._calls.values() if c.state in IN_QUEUE and c.queue == queue]
        return sorted(line, key=_queued_at)

    def _item(self, kind: str, key: str) -> Item | None:
        match kind:
            case "call":
                call = self._calls.get(key) or self._arrived.get(key)
                return self._with_ringing(call) if call else None
            case "queue":
                return self._queue(key)
            case "emergency":
                return self._emergency(key)
            case "unfinished":
                left = self._closed.get(key)
                return live_case.unfinished(left) if left and not is_over(left) else None
            case "alarm":
                return self._alarms.get(key)
            case "trunk":
                return self._trunks.get(key)
            case _:
                return self._seats.get(key)

    def _with_ringing(self, call: Call) -> Item:
        """The call, with what the controller heard and did not save yet: which phones ring now."""
        item = self._call(call, self._places.get(call.id, 0))
        rings = [one["seat"] for one in self._ringing.values() if one["call"] == call.id]
        item["rings"] = rings
        if item["roles"]:
            # Two seats are with an elder in an emergency, or one is while another is still rung.
            with_elder = [one for one in item["roles"] if one["at"]]
            item["at"] = list(dict.fromkeys([*(one["at"] for one in with_elder), *rings]))
            if with_elder:
                item["seats"] = [f"{one['role']} {one['seat']}" for one in with_elder]
                return item
        if call.state not in BEFORE_THE_TALK:
            return item
        for ringing in self._ringing.values():
            if ringing["call"] != call.id:
                continue
            seat = self._names.seat(ringing["seat"])
            is_known = item["state"] == State.RINGING.value
            seats, at = (item["seats"], item["at"]) if is_known else ([], [])
            item |= {
                "state": State.RINGING.value,
                "seats": seats if seat in seats else [*seats, seat],
                "at": at if ringing["seat"] in at else [*at, ringing["seat"]],
            }
        return item

    def _queue(self, queue: str) -> Item | None:
        """An empty queue is shown when the settings name it."""
        line = self._line(queue)
        if not line and queue not in self._queues:
            return None
        return {
            "name": queue,
            "waiting": len(line),
            "since": ms(_queued_at(line[0])) if line else None,
        }

    def _emergency(self, case_id: str) -> Item | None:
        """An open emergency; its id is its call's, and it may outlast that."""
        case = self._emergencies.get(case_id)
        return live_case.summary(case, self._names) if case else None

    def _roles(self, call_id: str) -> list[Item]:
        case = self._emergencies.get(call_id)
        return live_case.roles(case, self._names) if case else []

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
            "seats": [self._names.seat(seat) for seat in _seats_of(call)],
            "at": _seats_of(call),
            "roles": self._roles(call.id),
            "since": ms(_since(call)),
            "entered": ms(call.entered_at),
            "ended": ms(call.ended_at),
            "result": call.result.value if call.result else "",
            "recording": call.recording.value,
            "orders": [order.order_no for order in call.orders],
            "wrapped_up": call.wrap_up.id if call.wrap_up else "",
            # Not shown on the board; the call's own page is read again when they change.
            "legs_over": sum(leg.ended_at is not None for leg in call.legs),
        }


def _stand(call: Call | None) -> tuple[str, datetime] | None:
    """Where in which queue the call stands; None when it is in none."""
    if call is None or call.state not in IN_QUEUE or not call.queue:
        return None
    return call.queue, _queued_at(call)


def _urgency(change: tuple[Key, Item | None]) -> tuple[bool, bool]:
    (kind, _), item = change
    is_ringing = item is not None and item.get("state") == State.RINGING.value
    return kind != "call", not is_ringing


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
