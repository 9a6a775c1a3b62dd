"""The seats' phones when an elder needs one: those that refuse, ring for others, or vanish.

Careline's own processes are not there.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from asterisk_conf.instance import Installation
from tests.asterisk.rescue_place import (
    CONTACT_SILENT_S,
    CONTACTS_AFTER_S,
    ELDER,
    ENOUGH_S,
    LONG_S,
    SEAT,
    SECOND_SEAT,
    SLOW_S,
    ZERO_S,
    Place,
    between,
    controlled,
    one_test,
    rings_now,
    running_place,
    step,
    talking,
    vanished,
    wait_for_contacts,
)
from tests.audio import find_prompt, tone_seconds
from tests.house import listen
from tests.observer import wait_until
from tests.telephone import Block, SeatPhone, claim_addresses

LOOK_S = 12.0
FAR = "13900000021"


@pytest.fixture(scope="module")
def own_block() -> Iterator[Block]:
    with claim_addresses(60) as block:
        yield block


@pytest.fixture(scope="module")
def whole_place(
    place: Path, prompts: Path, own_block: Block, installation: Installation, asterisk_user: str
) -> Iterator[Place]:
    with running_place(
        place / "refusing-phones", prompts, own_block, installation, asterisk_user
    ) as made:
        yield made


@pytest.fixture
def town(whole_place: Place) -> Iterator[Place]:
    with one_test(whole_place) as town:
        yield town


@pytest.fixture
def only_two(town: Place) -> Iterator[Place]:
    """Nobody but 1001 and 1002 serves the hotline."""
    town.centre.pause("1003")
    yield town
    town.centre.pause("1003", False)


def rung(town: Place, phone: SeatPhone, since: int) -> list[float]:
    """The moments at which an INVITE came to the phone."""
    source = (town.elsewhere if phone.extension == "1003" else town.carrier).observer
    return [float(m["Timestamp"]) for m in source.find("Rang", since, Number=phone.number)]


@pytest.mark.parametrize(("owner", "how"), [("controller", "is_busy"), ("dialplan", "declines")])
def test_phones_that_refuse_are_rung_less_and_less_often_but_always_again(
    town: Place, owner: str, how: str
) -> None:
    """Both refuse: two rings of each in the first seconds, not one a second; then one answers."""
    wait_for_contacts(town, LONG_S)
    phones = [town.phone(seat) for seat in ("1001", "1002")]
    for phone in phones:
        getattr(phone, how)()
    since = len(town.carrier.observer.events)
    call, elder = town.elder()
    claims = (call,) if owner == "controller" else ()
    with controlled(town, *claims):
        if claims:
            town.place(call, f"effect-{how}")
        wait_until(lambda: all(rung(town, one, since) for one in phones), 6, "both were rung")
        listen(elder, LOOK_S)
        for phone in phones:
            times = rung(town, phone, since)
            assert 2 <= len(times) <= 4, times
            assert all(b - a > 2 for a, b in itertools.pairwise(times)), times
        phones[0].answers(0.1, SEAT)
        town.wait_in_room(call, "seat", timeout=9 + 2 * SLOW_S)
    elder.hang_up()


def test_who_refused_an_emergency_once_is_rung_at_once_for_the_next_after_an_answer(
    town: Place,
) -> None:
    """An answer forgives the refusals; the other phone rings on while one rests."""
    refuses, other = town.phone("1001").declines(), town.phone("1002")
    call, elder = town.elder()
    leg = other.wait_ringing()
    refuses.wait_ringing().wait_ended()
    listen(elder, 1)
    assert not leg.has_ended, "the other phone rings on"
    elder.hang_up()
    leg.wait_ended(3)
    refuses.answers(0.1, SEAT)
    call, elder = town.elder("13800000002")
    town.wait_in_room(call, "seat", timeout=9)
    elder.hang_up()
    since = town.events
    call, elder = town.elder("13800000003")
    ring = town.observer.wait_for("DialBegin", 5, since, DestChannel=_channel_of(town, "1001"))
    assert between(step(town, call, "seats"), ring) < 0.5
    elder.hang_up()


def _channel_of(town: Place, seat: str) -> str:
    """The name of the phone's newest channel, once it has one."""
    found = wait_until(
        lambda: [c for c in town.observer.channels() if c.startswith(f"PJSIP/{seat}-")],
        6, f"a channel of {seat}",
    )  # fmt: skip
    return found[-1]


@pytest.mark.parametrize("owner", ["controller", "dialplan"])
def test_an_emergency_takes_the_phones_that_ring_for_the_hotline(
    only_two: Place, owner: str
) -> None:
    """One phone talks, the other rings for a caller, who keeps the head of the line."""
    town = only_two
    town.carrier.number(FAR).answers(0.1)
    talker = town.phone("1001").dials(FAR).wait_talking()
    since = town.events
    caller = town.carrier.call("96101", "13700000002", tone=0).wait_talking()
    town.observer.wait_for("QueueCallerJoin", 10, since, CallerIDNum="13700000002")
    ring = town.phone("1002").wait_ringing()
    since, before = town.events, len(town.carrier.observer.events)
    call, elder = town.elder()
    claims = (call,) if owner == "controller" else ()
    with controlled(town, *claims):
        if claims:
            asked = time.time()
            town.place(call, "effect-first")
        else:
            asked = float(step(town, call, "seats")["Timestamp"])
        again = wait_until(lambda: rung(town, town.phone("1002"), before), 9, "rung anew")
        assert again[0] - asked < 1.2 + SLOW_S
        ring.wait_ended(1)
        begin = town.observer.wait_for("AgentCalled", 5, since, MemberName="1002")
        assert begin["Queue"] == "emergency"
        caller_waits = town.observer.list_of("QueueStatus", Queue="hotline")
        line = [m["CallerIDNum"] for m in caller_waits if m["Event"] == "QueueEntry"]
        assert line == ["13700000002"]
        assert not caller.has_ended
    elder.hang_up()
    talker.hang_up()
    caller.hang_up()


def test_a_hotline_call_rings_on_while_another_phone_is_free_for_the_emergency(
    only_two: Place,
) -> None:
    town = only_two
    since = town.events
    caller = town.carrier.call("96101", "13700000003", tone=0).wait_talking()
    called = town.observer.wait_for("AgentCalled", 12, since, Queue="hotline")["MemberName"]
    other = "1001" if called == "1002" else "1002"
    ring = town.phone(called).wait_ringing()
    call, elder = town.elder()
    with controlled(town, call):
        town.place(call, "effect-other")
        town.phone(other).wait_ringing()
        listen(elder, 0.5)
        assert not ring.has_ended
        assert rings_now(town.phone(other)) == 1
    elder.hang_up()
    caller.hang_up()


@pytest.mark.parametrize("returns", [False, True])
def test_phones_that_the_queue_would_not_ring_ring_when_the_controller_asks(
    town: Place, returns: bool
) -> None:
    """With a controller in good health nobody waits longer than without one; a seat who returns
    meanwhile is rung by the queue."""
    wait_for_contacts(town, LONG_S)
    for seat in ("1001", "1002"):
        town.centre.pause(seat)
    try:
        call, elder = town.elder()
        with controlled(town, call):
            step(town, call, "controller")
            asked = town.events
            town.place(call, "effect-paused")
            rung = [town.phone(seat).wait_ringing(3) for seat in ("1001", "1002")]
            town.phone("1001").answers(0.1, SEAT)
            if returns:
                town.centre.pause("1001", False)
            for leg in rung:
                leg.hang_up()
            town.wait_in_room(call, "seat", timeout=12)
            assert bool(town.observer.find("AgentConnect", asked)) == returns
            assert not town.observer.find("Rescue", asked, Step="takeover")
            elder.hang_up()
            assert town.ended_after(call) < ZERO_S
    finally:
        for seat in ("1001", "1002"):
            town.centre.pause(seat, False)


def test_a_claim_is_not_believed_for_longer_than_contacts_are_waited_for(town: Place) -> None:
    """A controller that renews its claim and does nothing for this case, until a seat is there."""
    elder_number = "13800000012"
    town.observer.action("DBPut", Family=f"rescue/contact/{elder_number}", Key="1", Val=FAR)
    town.carrier.number(FAR).rings()
    call, elder = town.elder(elder_number)
    room = step(town, call, "room")
    with controlled(town, call):
        step(town, call, "controller")
        taken = step(town, call, "takeover", CONTACTS_AFTER_S + 3)
        assert CONTACTS_AFTER_S - 0.5 < between(room, taken) < CONTACTS_AFTER_S + SLOW_S
        town.carrier.number(FAR).wait_ringing()
        rung = [town.phone(seat).wait_ringing() for seat in ("1001", "1002")]
        listen(elder, 1)
        since = town.events
        town.phone("1001").answers(0.1, SEAT)
        for leg in rung:
            leg.hang_up()
        town.wait_in_room(call, "seat", timeout=12)
        step(town, call, "controller", since=since)
        wait_until(lambda: not rings_now(town.phone("1002")), 3, "the other phone is silent")
        elder.hang_up()
        assert town.ended_after(call) < ZERO_S


def test_a_contact_whose_line_died_keeps_no_other_from_being_called(town: Place) -> None:
    """Nothing comes on it any more, and no goodbye: it is given up, and the contacts are called
    anew, while nobody minds how silent the elder is.
    """
    elder_number = "13800000013"
    town.observer.action("DBPut", Family=f"rescue/contact/{elder_number}", Key="1", Val=FAR)
    near = town.carrier.number(FAR).is_unavailable()
    relative = town.elsewhere.number(FAR).answers(0.2)
    call, elder = town.elder(elder_number)
    step(town, call, "contacts", CONTACTS_AFTER_S + 3)
    relative.wait_ringing().wait_talking().press("1")
    town.wait_in_room(call, "contact")
    near.rings()
    with vanished(town):
        since = town.events
        town.wait_in_room(call, timeout=CONTACT_SILENT_S + 8)
        step(town, call, "contacts", CONTACTS_AFTER_S + 6, since=since)
        near.wait_ringing()
        assert not elder.has_ended
        elder.hang_up()


def test_a_watchdog_that_is_replaced_keeps_the_time_alone(town: Place) -> None:
    """Hung up when half of the wait is over: the contacts are called when they were promised."""
    elder_number = "13800000011"
    town.observer.action("DBPut", Family=f"rescue/contact/{elder_number}", Key="1", Val=FAR)
    town.carrier.number(FAR).rings()
    call, elder = town.elder(elder_number)
    room = step(town, call, "room")
    listen(elder, CONTACTS_AFTER_S / 2)
    town.observer.action("Hangup", Channel=town.shared(call, "WATCH"))
    rang = step(town, call, "contacts", CONTACTS_AFTER_S + 4)
    assert CONTACTS_AFTER_S - 0.5 < between(room, rang) < CONTACTS_AFTER_S + SLOW_S + 0.5
    elder.hang_up()


def test_an_elder_whom_a_seat_called_is_not_left_when_its_phone_vanishes(town: Place) -> None:
    """Calm words, and the next seat: a call of its own, at the head of the line."""
    town.centre.pause("1002")
    far = town.carrier.number(FAR).answers(0.1, ELDER)
    town.phone("1001").answers(0.1, SECOND_SEAT)
    try:
        since = town.events
        town.phone("1003").dials(FAR, SEAT).wait_talking()
        elder = far.wait_ringing().wait_talking()
        placed = town.observer.wait_for("CallPlaced", 3, since)["Call"]
        listen(elder, 1)
        with vanished(town) as gone:
            arrived = town.observer.wait_for("CallArrived", 9, since)
            assert float(arrived["Timestamp"]) - gone < 7.5
            assert arrived["Call"] not in ("", placed)
            assert arrived["CallerIDNum"] == FAR
            # The queue may ring the phone that died once more before it rings the next one.
            town.observer.wait_for("AgentConnect", 25, since, MemberName="1001")
            wait_until(lambda: talking(town.phone("1001")), 3, "they talk")
            assert not elder.has_ended
            ended = town.observer.wait_for("LegEnded", 3, since, Call=placed, Party="called")
            assert ended["Uniqueid"] == arrived["Call"]
            listen(elder, 2)
            elder.hang_up()
            town.observer.wait_for("LegEnded", 3, since, Call=arrived["Call"], Party="caller")
        heard = elder.heard()
        assert tone_seconds(heard, SECOND_SEAT) > ENOUGH_S
        assert find_prompt(heard, town.centre.prompt("please-wait")) is not None
    finally:
        town.centre.pause("1002", False)


def test_a_seat_that_says_goodbye_ends_the_call_that_it_placed(town: Place) -> None:
    far = town.carrier.number(FAR).answers(0.1, ELDER)
    since = town.events
    seat = town.phone("1003").dials(FAR, SEAT).wait_talking()
    elder = far.wait_ringing().wait_talking()
    listen(elder, 0.5)
    begin = time.time()
    seat.hang_up()
    assert float(elder.wait_ended(3)["Timestamp"]) - begin < 0.5 + SLOW_S
    town.observer.assert_idle()
    assert not town.observer.find("CallArrived", since)
