"""The stages of a call in which something can go wrong: each brings a fresh call there.

A `Scene` then knows how that call would go on, and what must be true of it in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.audio import tone_seconds
from tests.desk_visitor import DeskVisitor
from tests.faults.site import AWAY_S, Site
from tests.house import listen
from tests.observer import wait_until
from tests.telephone import Leg

# Neither tone is in the hold music.
ELDER: Final = 480
SEAT: Final = 740
HOTLINE, COMPLAINTS, EMERGENCY = "96100", "96102", "96000"
HELD: Final = ("room", "talk", "queue", "menu", "way")


@dataclass
class Scene:
    """One call. `seat` is who talks with the elder, if anybody; `is_over` after the hang-up.

    `elder` is the receiver in the elder's hand; None when the carrier took it away. `since` and
    `since_carrier` count the events before it; `contacts` are those whom the dialplan may call.
    """

    site: Site
    caller: str
    call_id: str
    elder: Leg | None
    since: dict[str, int]
    seat: str = ""
    is_over: bool = False
    away_s: float = AWAY_S
    since_carrier: int = 0
    contacts: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return self.site.where(self.call_id)

    def assert_held(self) -> None:
        """The elder is still with somebody, or on the way to somebody."""
        if not self.is_over:
            assert self.where in HELD, self.where
            assert self.elder is None or not self.elder.has_ended

    def wait_seat(self, timeout: float = 45) -> None:
        """Return when elder and seat talk."""
        wait_until(self.talking_seat, timeout, "a seat with the elder", self.site.channels)
        self.seat = self.talking_seat()

    def talking_seat(self) -> str:
        """The extension of the seat that is with the elder; empty when nobody is."""
        channels = self.site.channels()
        own = next((c for c in channels if c["Uniqueid"] == self.call_id), None)
        if own is None or not own.get("BridgeId"):
            return ""
        for channel in channels:
            seat = channel["Channel"].removeprefix("PJSIP/").rpartition("-")[0]
            if channel.get("BridgeId") == own["BridgeId"] and seat in self.site.phones:
                return str(seat)
        return ""

    def goes_on(self) -> None:
        """Whatever happened meanwhile: a seat answers, they talk, and hang up."""
        if self.is_over:
            return
        self.site.seats_answer(SEAT)
        self.site.pause_seats(False)
        self.wait_seat()
        if self.elder is not None:
            listen(self.elder, 1, SEAT)
            self.elder.hang_up()
            assert tone_seconds(self.elder.heard(), SEAT) > 0.5
        else:
            self.site.close_line(self.call_id)
        self.is_over = True


def dial(site: Site, number: str) -> Scene:
    """An elder who nobody knows calls; returns when the centre has answered."""
    return dial_as(site, number, str(next(site.callers)))


def dial_as(site: Site, number: str, caller: str, contacts: tuple[str, ...] = ()) -> Scene:
    since_carrier = len(site.carrier.observer.events)
    since = {seat: len(phone.observer.events) for seat, phone in site.phones.items()}
    seen = len(site.observer.events)
    elder = site.carrier.call(number, caller, tone=ELDER).wait_talking(20)
    call_id = site.observer.wait_for("CallArrived", 10, seen)["Call"]
    return Scene(
        site, caller, call_id, elder, since, since_carrier=since_carrier, contacts=contacts
    )


def nobody(site: Site) -> Scene:
    """No call at all: a fault in a quiet hour."""
    return Scene(site, "", "", None, {}, is_over=True)


def menu(site: Site) -> Scene:
    """The elder hears the menu and has not chosen yet."""
    site.seats_ring()
    scene = dial(site, HOTLINE)
    wait_until(lambda: scene.where == "menu", 30, "the menu")
    return scene


def waiting(site: Site) -> Scene:
    """The elder is in the queue and nobody is free."""
    site.seats_ring()
    site.pause_seats(True)
    scene = dial(site, COMPLAINTS)
    wait_until(lambda: scene.where == "queue", 30, "the queue")
    return scene


def ringing(site: Site) -> Scene:
    """A seat's phone rings for the elder."""
    site.seats_ring()
    scene = dial(site, COMPLAINTS)
    scene.seat = wait_until(lambda: rung(scene), 30, "a ringing phone")
    return scene


def rung(scene: Scene) -> str:
    """The first seat whose phone rang since the call came; empty when none did."""
    for seat, phone in scene.site.phones.items():
        if phone.observer.find("Rang", scene.since[seat]):
            return seat
    return ""


def talking(site: Site) -> Scene:
    """Elder and seat talk."""
    site.seats_answer(SEAT)
    scene = dial(site, COMPLAINTS)
    scene.wait_seat()
    return scene


def recording(site: Site) -> Scene:
    """They have just hung up; the recording is about to be made."""
    scene = talking(site)
    assert scene.elder is not None
    listen(scene.elder, 2)
    scene.elder.hang_up()
    scene.is_over = True
    return scene


def wrapping_up(site: Site) -> Scene:
    """The seat hung up and still writes down what was said."""
    scene = talking(site)
    assert scene.elder is not None
    listen(scene.elder, 1)
    site.phones[scene.seat].hang_up_all()
    scene.elder.wait_ended()
    scene.is_over = True
    return scene


def emergency_room(site: Site) -> Scene:
    """The elder called for help, and a seat is with the elder."""
    site.seats_answer(SEAT)
    scene = dial(site, EMERGENCY)
    scene.wait_seat()
    return scene


def emergency_alone(site: Site) -> Scene:
    """The elder called for help, phones ring, and nobody has come yet; a relative is on record."""
    site.seats_ring()
    caller, relative = str(next(site.callers)), str(next(site.callers))
    site.carrier.number(relative).rings()
    DeskVisitor(site.house).enter("测试老人", caller, (relative,))
    scene = dial_as(site, EMERGENCY, caller, (relative,))
    wait_until(lambda: scene.where == "room", 30, "the room")
    return scene


STAGES: Final[dict[str, Callable[[Site], Scene]]] = {
    "menu": menu,
    "waiting": waiting,
    "ringing": ringing,
    "talking": talking,
    "recording": recording,
    "wrapping-up": wrapping_up,
    "emergency-alone": emergency_alone,
    "emergency-room": emergency_room,
}
