"""The emergency room, and what the dialplan does in it alone: nobody's death leaves an elder alone.

Careline's own processes are not there; where a test needs the controller it renews the controller's
counter itself. Who heard whom is proven by tones between two real Asterisk instances.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from asterisk_conf.instance import Installation
from home import Home
from tests.asterisk.conftest import running_centre
from tests.asterisk.rescue_place import (
    CONTACT,
    CONTACTS_AFTER_S,
    ELDER,
    ENOUGH_S,
    LEASE_S,
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
    settings_of,
    step,
    talking,
    vanished,
    wait_for_contacts,
)
from tests.asterisk.test_contacts import Register
from tests.audio import find_prompt, tone_seconds
from tests.observer import wait_until
from tests.telephone import Leg, claim_addresses, finished


@pytest.fixture(scope="module")
def whole_place(
    place: Path, prompts: Path, installation: Installation, asterisk_user: str
) -> Iterator[Place]:
    with (
        claim_addresses(60) as block,
        running_place(place / "room", prompts, block, installation, asterisk_user) as made,
    ):
        yield made


@pytest.fixture
def town(whole_place: Place) -> Iterator[Place]:
    with one_test(whole_place) as town:
        yield town


@pytest.mark.row("IVR-01", part="emergency")
def test_the_elder_is_in_the_room_at_once_and_the_phones_ring_without_us(town: Place) -> None:
    """No menu, no notice, calm words; a pausing seat's phone rings too; both hear each other."""
    since = town.events
    town.centre.pause("1001")
    try:
        seat = town.phone("1001").answers(0.2, SEAT)
        call, elder = town.elder()
        arrived = town.observer.wait_for("CallArrived", since=since)
        room = town.observer.wait_for("ConfbridgeJoin", 5, since, Conference=call)
        assert between(arrived, room) < 0.5
        seats = step(town, call, "seats")
        assert LEASE_S - 0.3 < between(room, seats) < LEASE_S + SLOW_S
        town.wait_in_room(call, "seat")
        wait_until(lambda: rings_now(town.phone("1002")) == 0, 3, "the other phone is silent again")
        time.sleep(2.5)
    finally:
        town.centre.pause("1001", False)
    elder.hang_up()
    assert town.ended_after(call) < ZERO_S

    words = find_prompt(elder.heard(), town.centre.prompt("emergency-wait"))
    assert words is not None
    assert words < 1.0
    for prompt in ("notice", "greeting", "menu"):
        assert find_prompt(elder.heard(), town.centre.prompt(prompt)) is None
    assert tone_seconds(elder.heard(), SEAT) > ENOUGH_S
    assert tone_seconds(seat.legs()[-1].heard(), ELDER) > ENOUGH_S
    _is_recorded(town, call)
    ends = {m["Party"] for m in town.observer.find("LegEnded", since, Call=call)}
    assert ends == {"caller", "seat"}


def _is_recorded(town: Place, call: str) -> None:
    files = sorted(file.name for file in town.centre.home.live_recordings.glob(f"{call}*"))
    assert files == sorted(f"{call}{side}.wav" for side in ("", "-elder", "-others"))
    assert tone_seconds(finished(town.centre.recording(call, "elder")), ELDER) > ENOUGH_S
    others = finished(town.centre.recording(call, "others"))
    assert tone_seconds(others, SEAT) > ENOUGH_S
    assert find_prompt(others, town.centre.prompt("emergency-wait")) is not None


def test_a_seat_that_works_aside_is_fetched_to_an_elder_who_has_nobody(town: Place) -> None:
    """The controller is dead, and the seat that was with the elder is gone."""
    seat = town.phone("1001").answers(0.2, SEAT)
    call, elder = town.elder()
    town.wait_in_room(call, "seat")
    (leg,) = (
        one["Uniqueid"]
        for one in town.observer.list_of("ConfbridgeList", Conference=call)
        if one.get("CARELINE_PARTY") == "seat"
    )
    since = town.events
    town.observer.action(
        "Redirect", Channel=leg, Context="rescue-move", Exten="side", Priority="1"
    )  # fmt: skip
    aside = town.observer.wait_for("ConfbridgeJoin", 5, since, Conference=f"{call}-side")
    back = town.observer.wait_for("ConfbridgeJoin", 5, since, Conference=call, Uniqueid=leg)
    assert between(aside, back) < SLOW_S
    town.wait_in_room(call, "seat")
    assert rings_now(town.phone("1002")) == 0, "nobody is rung for one who is there"
    elder.hang_up()
    assert seat.legs()[-1].wait_ended()


@pytest.mark.row("BAK-09")
def test_a_controller_that_moves_is_left_alone_and_one_that_stops_is_replaced(
    town: Place,
) -> None:
    """Renewals stop: taken over. They go on: handed back, and what rings rings on, since the
    controller may have nobody to ring instead. They stop again: taken over, nobody rung twice."""
    wait_for_contacts(town, LONG_S)
    since = town.events
    call, elder = town.elder()
    with controlled(town, call):
        step(town, call, "controller")
        time.sleep(LEASE_S + 1)
        assert not town.observer.find("Rescue", since, Step="takeover")
        assert not town.phone("1001").legs()
        stopped = time.time()
    taken = step(town, call, "takeover")
    assert LEASE_S - 0.8 < float(taken["Timestamp"]) - stopped < LEASE_S + SLOW_S
    legs = [town.phone(seat).wait_ringing() for seat in ("1001", "1002")]
    assert town.noted("ring")
    assert town.shared(call, "OWNER") == "dialplan"
    back = town.events
    with controlled(town, call):
        step(town, call, "controller", since=back)
        assert town.shared(call, "OWNER") == "controller"
        looks = int(town.shared(call, "LOOKS"))
        wait_until(lambda: int(town.shared(call, "LOOKS")) >= looks + 4, 5, "four more looks")
    step(town, call, "takeover", since=back)
    assert not any(leg.has_ended for leg in legs)
    assert [rings_now(town.phone(seat)) for seat in ("1001", "1002")] == [1, 1]
    elder.hang_up()
    assert town.ended_after(call) < ZERO_S
    assert not town.noted("ring")


def test_what_the_controller_began_is_kept_without_it_and_when_it_returns(town: Place) -> None:
    """The next free seat joins by a placeholder; the seat stays through death and return."""
    since = town.events
    call, elder = town.elder()
    with controlled(town, call):
        step(town, call, "controller")
        town.phone("1002").answers(0.2, SECOND_SEAT)
        town.place(call, "effect-kept")
        asked = town.observer.wait_for("QueueCallerJoin", 3, since, CARELINE_PARTY="placeholder")
        answered = town.observer.wait_for("AgentConnect", 5, since, CARELINE_CALL=call)
        joined = town.observer.wait_for("ConfbridgeJoin", 3, since, CARELINE_PARTY="seat")
        assert (asked["CARELINE_ROLE"], asked["CARELINE_EFFECT"]) == ("A", "effect-kept")
        assert (joined["CARELINE_ROLE"], joined["CARELINE_EFFECT"]) == ("A", "effect-kept")
        assert between(answered, joined) < 0.3
    step(town, call, "takeover")
    time.sleep(1)
    with controlled(town, call):
        back = town.events
        step(town, call, "controller", since=back)
        assert town.in_room(call) == ["caller", "seat"]
    assert not town.observer.find("Rescue", since, Step="seats")
    assert len(town.phone("1001").legs()) == 1, "rung once, with the other"
    assert not [c for c in town.observer.channels() if "rescue-place" in c], "no Local in the sound"
    elder.hang_up()
    assert town.ended_after(call) < ZERO_S
    assert tone_seconds(elder.heard(), SECOND_SEAT) > ENOUGH_S
    # By these words the controller knows that somebody who answered for it is gone.
    ends = town.observer.find("Hangup", since, CARELINE_PARTY="seat", ChannelStateDesc="Up")
    assert [end["CARELINE_EFFECT"] for end in ends] == ["effect-kept"]


def test_a_seat_that_leaves_is_rung_for_again(town: Place) -> None:
    """The elder stays, hears the calm words again, and the phones ring."""
    seat = town.phone("1001").answers(0.2, SEAT)
    call, elder = town.elder()
    town.wait_in_room(call, "seat")
    since = town.events
    talking(seat)[0].hang_up()
    left = town.observer.wait_for("ConfbridgeLeave", 3, since, Conference=call)
    again = step(town, call, "seats", since=since)
    assert between(left, again) < 0.3 + SLOW_S
    town.wait_in_room(call, "seat")
    assert not elder.has_ended


def test_nobody_is_there_and_the_contacts_are_called_round_after_round(town: Place) -> None:
    """They join by key 1 alone: not by answering, not by another key. 120 is no contact."""
    elder_number = "13800000009"
    numbers = ("13900000001", "13900000002", "120")
    for place, number in enumerate(numbers, 1):
        town.observer.action(
            "DBPut", Family=f"rescue/contact/{elder_number}", Key=str(place), Val=number
        )
    deaf, kind, ambulance = (town.carrier.number(number) for number in numbers)
    deaf.answers(0.2, SEAT)
    kind.answers(0.2, CONTACT)
    call, elder = town.elder(elder_number)
    rung = step(town, call, "contacts", CONTACTS_AFTER_S + 3)
    waited = between(step(town, call, "room"), rung)
    assert CONTACTS_AFTER_S - 0.5 < waited < CONTACTS_AFTER_S + SLOW_S + 1
    one, other = deaf.wait_ringing().wait_talking(), kind.wait_ringing().wait_talking()
    time.sleep(4)
    assert town.in_room(call) == ["caller"], "to answer is not to accept"
    for _ in range(3):
        one.press("2")
        time.sleep(0.7)
    one.wait_ended(3)
    time.sleep(1)
    other.press("1")
    step(town, call, "accepted")
    town.wait_in_room(call, "contact")
    assert (
        town.observer.find("Rescue", Call=call, Step="accepted")[0]["CARELINE_PARTY"] == "contact"
    )
    wait_until(lambda: rings_now(town.phone("1001")), 3, "a contact is no seat: they ring on")
    time.sleep(1.5)
    other.hang_up()
    since = town.events
    step(town, call, "contacts", CONTACTS_AFTER_S + 4, since)
    wait_until(lambda: len(kind.legs()) == 2, 3, "the second round")
    assert not ambulance.legs()
    assert tone_seconds(other.heard(), ELDER) > ENOUGH_S
    assert find_prompt(other.heard(), town.centre.prompt("contact-ask")) is not None
    elder.hang_up()
    assert town.ended_after(call) < ZERO_S
    assert tone_seconds(elder.heard(), CONTACT) > ENOUGH_S


@pytest.mark.row("PER-19")
def test_the_next_emergency_calls_the_contact_that_was_changed(town: Place, tmp_path: Path) -> None:
    """From the register to the telephone: the former number is silent from the next call on."""
    elder_number, register = "13800000011", Register(town.centre, tmp_path)
    former, new = (town.carrier.number(number) for number in ("13900000011", "13900000012"))
    register.enter(elder_number, "13900000011")
    for contact, other in ((former, new), (new, former)):
        contact.answers(0.2, CONTACT)
        silent = len(other.legs())
        call, elder = town.elder(elder_number)
        contact.wait_ringing(CONTACTS_AFTER_S + 4).wait_talking()
        assert len(other.legs()) == silent
        elder.hang_up()
        step(town, call, "gone")
        register.change(elder_number, "13900000012")


def test_a_controller_that_comes_and_goes_keeps_no_contact_from_being_called(town: Place) -> None:
    """The time alone runs on through its returns, which also end no ringing of contacts."""
    elder_number, numbers = "13800000010", ("13900000005", "13900000006")
    for place, number in enumerate(numbers, 1):
        town.observer.action(
            "DBPut", Family=f"rescue/contact/{elder_number}", Key=str(place), Val=number
        )
    relative, friend = (town.carrier.number(number) for number in numbers)
    relative.answers(0.2, CONTACT)
    friend.rings()
    call, elder = town.elder(elder_number)
    step(town, call, "takeover")
    since = town.events
    with controlled(town, call):
        step(town, call, "controller", since=since)
    again = step(town, call, "takeover", since=since)
    rung = step(town, call, "contacts", CONTACTS_AFTER_S, since)
    assert between(again, rung) < CONTACTS_AFTER_S - LEASE_S
    leg, other = relative.wait_ringing().wait_talking(), friend.wait_ringing()
    seat = town.phone("1001").legs()[-1]
    since = town.events
    with controlled(town, call):
        time.sleep(1)
        assert not town.observer.find("Rescue", since, Step="controller"), "it came too late"
        leg.press("1")
        town.wait_in_room(call, "contact")
        step(town, call, "controller", since=since)
        assert not other.has_ended
        assert not seat.has_ended, "a contact is no seat"
    elder.hang_up()
    assert town.ended_after(call) < ZERO_S


def test_a_phone_rings_for_one_call_at_a_time_whoever_asks(town: Place) -> None:
    """The hotline, an emergency and a wish by name at the same moment, twenty times."""
    wait_for_contacts(town, LONG_S)
    call, elder = town.elder()
    phones = [town.phone(seat) for seat in ("1001", "1002")]
    with controlled(town, call):
        step(town, call, "controller")
        for turn in range(20):
            since, here = len(town.carrier.observer.events), town.events
            _all_at_once(town, call, turn)
            wait_until(partial(_rang, town, since), 3, "somebody rings")
            time.sleep(0.25)
            rang = _rang(town, since)
            # One that rang for the hotline rings anew for an emergency that has no other.
            anew = len(town.observer.find("Rescue", here, Step="first"))
            assert len(rang) <= len(set(rang)) + anew, (turn, rang)
            assert all(rings_now(phone) <= 1 for phone in phones), turn
            _clear(town, turn)
            wait_until(lambda: not any(map(rings_now, phones)), 3, "silent phones")
    elder.hang_up()


def _all_at_once(town: Place, call: str, turn: int) -> None:
    """Three wishes in one breath; none waits for the answer to another."""

    def ask(what: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=what)
        thread.start()
        return thread

    def hotline() -> None:
        town.observer.action(
            "Originate", ("Variable", f"__CARELINE_CALL=hotline-{turn}"),
            Channel="Local/s@waiting/n", ChannelId=f"hotline-{turn}", Application="Wait",
            Data="30", Async="true",
        )  # fmt: skip

    wishes = [
        hotline,
        lambda: town.place(call, f"place-{turn}"),
        lambda: town.originate(call, "Local/1001@rescue-phone/n", f"phone-{turn}", "B"),
    ]
    first = turn % len(wishes)
    for thread in [ask(wish) for wish in wishes[first:] + wishes[:first]]:
        thread.join()


def _rang(town: Place, since: int) -> list[str]:
    events = town.carrier.observer.find("Rang", since)
    return [m["Number"] for m in events if m["Number"].startswith("phone-")]


def _clear(town: Place, turn: int) -> None:
    for entry in town.observer.list_of("CoreShowChannels"):
        if entry["Uniqueid"] in {f"hotline-{turn}", f"place-{turn}", f"phone-{turn}"}:
            town.observer.action("Hangup", Channel=entry["Channel"])


def test_a_seat_that_dials_a_ringing_phone_hears_that_it_is_busy(town: Place) -> None:
    """Nothing more rings there."""
    wait_for_contacts(town, LONG_S)
    call, elder = town.elder()
    with controlled(town, call):
        step(town, call, "controller")
        town.originate(call, "Local/1001@rescue-phone/n", "effect-named")
        town.phone("1001").wait_ringing()
        assert town.phone("1002").dials("1001").wait_ended(12)["Cause"] == "17"
        assert len(town.phone("1001").legs()) == 1
        assert rings_now(town.phone("1001")) == 1
    elder.hang_up()
    assert town.ended_after(call) < ZERO_S


def test_a_freed_seat_is_rung_before_the_hotline_and_without_rest(town: Place) -> None:
    """Both phones talk; one caller waits longer than the elder; the hotline has a wrap-up time."""
    for seat in ("1001", "1002"):
        town.phone(seat).answers(0.2, SEAT)
    town.centre.pause("1003")
    try:
        callers = []
        for number in range(3):
            since = town.events
            leg = town.carrier.call("96101", f"1370000000{number}", tone=0).wait_talking()
            callers.append(leg)
            town.observer.wait_for("QueueCallerJoin", 10, since, Queue="hotline")
        wait_until(lambda: all(talking(town.phone(s)) for s in ("1001", "1002")), 6, "both talk")
        call, elder = town.elder()
        since = town.events
        town.observer.wait_for("QueueCallerJoin", 5, since, Queue="emergency")
        time.sleep(0.5)
        since = town.events
        callers[0].hang_up()
        free = town.observer.wait_for("AgentComplete", 3, since)
        rung = town.observer.wait_for("AgentCalled", 4, since)
        assert rung["Queue"] == "emergency"
        assert between(free, rung) < 1.2 + SLOW_S, "no wrap-up time before an emergency"
        town.wait_in_room(call, "seat")
        elder.hang_up()
    finally:
        town.centre.pause("1003", False)


@pytest.mark.row("BAK-09")
@pytest.mark.parametrize("half", ["1", "2"])
def test_a_watchdog_that_is_hung_up_leaves_another(town: Place, half: str) -> None:
    """Before the takeover, and while the phones ring: they are not rung twice."""
    call, elder = town.elder()
    first = _watchdog(town, call)
    town.observer.action("Hangup", Channel=first[:-1] + half)
    wait_until(lambda: _watchdog(town, call) not in ("", first), 1, "another watchdog")
    second = _watchdog(town, call)
    step(town, call, "seats", LEASE_S + 2)
    leg = town.phone("1001").wait_ringing()
    since = town.events
    town.observer.action("Hangup", Channel=second[:-1] + half)
    wait_until(lambda: _watchdog(town, call) not in ("", second), 1, "a third watchdog")
    town.phone("1001").answers(0.1, SEAT)
    time.sleep(1)
    assert not leg.has_ended
    assert not town.observer.find("Rescue", since, Step="seats")
    assert len([c for c in town.observer.channels() if "watch@rescue-watch" in c]) == 2, "halves"
    elder.hang_up()
    assert town.ended_after(call) < ZERO_S


def _watchdog(town: Place, call: str) -> str:
    return town.shared(call, "WATCH")


def test_an_elder_who_is_put_out_of_the_room_is_back_at_once(town: Place) -> None:
    """Kicked, and redirected nowhere good: within a quarter of a second."""
    town.phone("1001").answers(0.2, SEAT)
    call, elder = town.elder()
    town.wait_in_room(call, "seat")
    since = town.events
    channel = town.observer.find("CallArrived", Call=call)[0]["Channel"]
    answer = town.observer.action("ConfbridgeKick", Conference=call, Channel=channel)
    assert answer["Response"] == "Success", answer
    left = town.observer.wait_for("ConfbridgeLeave", 3, since, Channel=channel)
    back = town.observer.wait_for("ConfbridgeJoin", 3, since, Channel=channel)
    assert between(left, back) < 0.25
    assert town.in_room(call) == ["caller", "seat"]
    assert not elder.has_ended


def _alone(town: Place, call: str) -> None:
    assert town.in_room(call) == ["caller"]


def _phones_ring(town: Place, call: str) -> None:
    town.phone("1001").wait_ringing()


def _as_a_seat_answers(town: Place, call: str) -> None:
    town.phone("1001").answers(0.0, SEAT)
    town.phone("1001").wait_ringing()


def _placeholder_waits(town: Place, call: str) -> None:
    town.place(call, f"effect-{call}")
    town.observer.wait_for("AgentCalled", 5, CARELINE_CALL=call)


def _contact_is_asked(town: Place, call: str) -> None:
    town.carrier.number("13900000003").answers(0.1, CONTACT)
    town.originate(call, "Local/13900000003@rescue-contact/n", f"effect-{call}")
    town.carrier.number("13900000003").wait_ringing().wait_talking()
    time.sleep(0.5)


def _contact_rings(town: Place, call: str) -> None:
    town.carrier.number("13900000004").rings()
    town.originate(call, "Local/13900000004@rescue-contact/n", f"effect-{call}")
    town.carrier.number("13900000004").wait_ringing()


@pytest.mark.parametrize(
    "stage",
    [
        _alone,
        _phones_ring,
        _as_a_seat_answers,
        _placeholder_waits,
        _contact_rings,
        _contact_is_asked,
    ],
)
def test_the_elder_may_hang_up_at_every_stage(
    town: Place, stage: Callable[[Place, str], None]
) -> None:
    """Half a second later there is no channel left, and no note about the case."""
    call, elder = town.elder()
    stage(town, call)
    elder.hang_up()
    assert town.ended_after(call) < ZERO_S + 0.2
    step(town, call, "gone")


def test_two_who_talk_may_finish_when_the_elder_has_gone_and_nobody_is_left_alone(
    town: Place,
) -> None:
    """The seat and the relative have each other; the last one is not left in an empty room."""
    seat = town.phone("1001").answers(0.1, SEAT)
    contact = town.carrier.number("13900000003").answers(0.1, CONTACT)
    call, elder = town.elder()
    town.wait_in_room(call, "seat")
    town.originate(call, "Local/13900000003@rescue-contact/n", f"effect-{call}")
    relative = contact.wait_ringing().wait_talking()
    time.sleep(0.7)
    relative.press("1")
    town.wait_in_room(call, "contact", "seat")
    elder.hang_up()
    time.sleep(1)
    assert not relative.has_ended
    talking(seat)[0].hang_up()
    relative.wait_ended(2)
    town.observer.assert_idle()


def test_two_elders_two_seats_and_a_third_who_gets_the_first_freed(town: Place) -> None:
    """Each has one seat; nobody is rung twice at the same time."""
    town.phone("1001").answers(0.4, SEAT)
    town.phone("1002").answers(0.4, SECOND_SEAT)
    cases = [town.elder(f"1380000001{number}") for number in range(3)]

    def served() -> list[tuple[str, Leg]]:
        return [case for case in cases if town.in_room(case[0]) == ["caller", "seat"]]

    wait_until(lambda: len(served()) == 2, 9, "two elders have a seat each")
    first, second = served()
    (third,) = [case for case in cases if case not in (first, second)]
    time.sleep(1)
    since = town.events
    first[1].hang_up()
    free = town.observer.wait_for("Hangup", 3, since, CARELINE_PARTY="seat")
    rung = town.observer.wait_for("DialBegin", 5, since, CARELINE_CALL=third[0])
    assert between(free, rung) < 1.2 + SLOW_S
    town.wait_in_room(third[0], "seat")
    assert town.in_room(second[0]) == ["caller", "seat"]
    for _, elder in cases:
        if not elder.has_ended:
            elder.hang_up()


def test_an_elder_who_has_nobody_goes_before_role_b_of_another_case(town: Place) -> None:
    """The one phone that is left rings for B of the older case, and then for A of the newer one."""
    town.phone("1001").answers(0.2, SEAT)
    town.phone("1002").answers(6, SECOND_SEAT)
    older, first = town.elder("13800000091")
    with controlled(town, older):
        town.originate(older, "Local/1001@rescue-phone/n", f"{older}-A1")
        town.wait_in_room(older, "seat")
        town.place(older, f"{older}-B1", "B")
        town.phone("1002").wait_ringing()
        newer, second = town.elder("13800000092")
        with controlled(town, newer):
            since = town.events
            town.place(newer, f"{newer}-A1")
            town.observer.wait_for("DialBegin", 4, since, CARELINE_CALL=newer)
            town.wait_in_room(newer, "seat", timeout=15)
            assert town.in_room(older) == ["caller", "seat"]
            second.hang_up()
            # And then it rings for B again.
            town.wait_in_room(older, "seat", "seat", timeout=20)
        first.hang_up()


def test_what_rings_for_role_b_of_the_same_elder_is_not_stopped_for_role_a(town: Place) -> None:
    """The controller stops while each of its two phones rings: they ring on, and nobody twice."""
    town.phone("1001").answers(6, SEAT)
    town.phone("1002").rings()
    call, elder = town.elder()
    with controlled(town, call):
        town.originate(call, "Local/1002@rescue-phone/n", f"{call}-A1")
        town.phone("1002").wait_ringing()
        town.place(call, f"{call}-B1", "B")
        town.phone("1001").wait_ringing()
    step(town, call, "takeover")
    town.wait_in_room(call, "seat")
    assert len(town.phone("1001").legs()) == 1
    elder.hang_up()


def test_many_elders_at_once_leave_nothing_behind(town: Place) -> None:
    """Twelve wait for two phones, and all hang up in the same moment."""
    for number in range(12):
        town.elder(f"138000001{number:02}")
    wait_until(lambda: len(town.noted("ring")) == 12, 12, "each has somebody asked")
    town.carrier.hang_up_all()
    town.observer.assert_idle()
    assert not [kind for kind in ("ring", "call", "leg", "in") if town.noted(kind)]


def test_a_placeholder_of_a_case_that_has_ended_rings_nobody(town: Place) -> None:
    """Asked for a moment too late."""
    call, elder = town.elder()
    elder.hang_up()
    town.observer.assert_idle()
    since = town.events
    town.place(call, "effect-late")
    town.originate(call, "Local/1001@rescue-phone/n", "effect-later", "B")
    for effect in ("effect-late", "effect-later"):
        town.observer.wait_for("Hangup", 3, since, Uniqueid=effect)
    assert not town.phone("1001").legs()
    assert not town.observer.find("AgentCalled", since)


def test_a_caller_whose_seats_phone_vanishes_waits_at_the_head_of_the_line(town: Place) -> None:
    """Noticed within 7 s; the caller is told from one whose seat hung up, and goes first."""
    for seat in ("1001", "1002"):
        town.centre.pause(seat)
    lost = town.phone("1003").answers(0.2, SEAT)
    try:
        since = town.events
        caller = town.carrier.call("96101", "13700000001", tone=ELDER).wait_talking()
        town.observer.wait_for("AgentConnect", 12, since)
        wait_until(lambda: talking(lost), 3, "they talk")
        waiting = town.carrier.call("96101", "13700000002", tone=0).wait_talking()
        town.observer.wait_for("QueueCallerJoin", 12, since, CallerIDNum="13700000002")
        since = town.events
        with vanished(town) as gone:
            seat_lost = town.observer.wait_for("SeatLost", 9, since)
            assert float(seat_lost["Timestamp"]) - gone < 7
            assert seat_lost["Seat"] == "1003"
            again = town.observer.wait_for("QueueCallerJoin", 3, since, CallerIDNum="13700000001")
            assert again["Position"] == "1"
            town.phone("1001").answers(0.2, SECOND_SEAT)
            town.centre.pause("1001", False)
            first = town.observer.wait_for("AgentConnect", 14, since)
            assert first["CallerIDNum"] == "13700000001"
            assert not caller.has_ended
            time.sleep(2)
        caller.hang_up()
        waiting.hang_up()
        assert tone_seconds(caller.heard(), SECOND_SEAT) > ENOUGH_S
    finally:
        for seat in ("1001", "1002"):
            town.centre.pause(seat, False)


def test_a_caller_whose_seats_leg_tells_nothing_waits_again(town: Place) -> None:
    """Nobody knows whether the seat said goodbye, and so the caller is not sent away."""
    for seat in ("1001", "1003"):
        town.centre.pause(seat)
    phone = town.phone("1002").answers(0.2, SECOND_SEAT)
    try:
        since = town.events
        caller = town.carrier.call("96101", "13700000003", tone=ELDER).wait_talking()
        leg = town.observer.wait_for("AgentConnect", 12, since)["DestChannel"]
        wait_until(lambda: talking(phone), 3, "they talk")
        told = town.observer.action("Setvar", Channel=leg, Variable="CARELINE_PARTY", Value="none")
        assert told["Response"] == "Success", told
        since = town.events
        talking(phone)[0].hang_up()
        end = town.observer.wait_for("Hangup", 3, since, Channel=leg)
        lost = town.observer.wait_for("SeatLost", 4, since)
        assert 1.5 < between(end, lost) < 2 + SLOW_S
        again = town.observer.wait_for("QueueCallerJoin", 3, since, CallerIDNum="13700000003")
        assert again["Position"] == "1"
        assert not caller.has_ended
        caller.hang_up()
    finally:
        for seat in ("1001", "1003"):
            town.centre.pause(seat, False)


def test_an_elder_whose_seats_phone_vanishes_stays_and_the_phones_ring(town: Place) -> None:
    """Within 7 s and the watchdog's look."""
    lost = town.phone("1003").answers(0.2, SEAT)
    call, elder = town.elder()
    town.originate(call, "Local/1003@rescue-phone/n", "effect-vanishing")
    town.wait_in_room(call, "seat")
    wait_until(lambda: talking(lost), 3, "they talk")
    since = town.events
    with vanished(town) as gone:
        again = step(town, call, "seats", 9, since)
        assert float(again["Timestamp"]) - gone < 7.5
        assert not elder.has_ended
        elder.hang_up()
        town.observer.assert_idle()


def test_the_browsers_telephones_go_when_asterisk_starts(
    place: Path, prompts: Path, installation: Installation, asterisk_user: str
) -> None:
    """The contacts stay: they are needed before the controller is there."""
    kept = {"rescue/contact/13800000001": ("1", "13900000001")}
    notes = {f"desk/{kind}": ("1001", "x") for kind in ("auth", "endpoint")}
    with claim_addresses(60) as block, claim_addresses(60) as away:
        home, settings = Home(place / "swept"), settings_of(block, away)
        with running_centre(home, settings, installation, asterisk_user, prompts) as centre:
            for below, (key, value) in (notes | kept).items():
                centre.observer.action("DBPut", Family=below, Key=key, Val=value)
            assert centre.cli("database show desk").count("/desk/") == len(notes)
        with running_centre(home, settings, installation, asterisk_user, prompts) as centre:
            assert "/desk/" not in centre.cli("database show desk")
            assert "13900000001" in centre.cli("database show rescue/contact/13800000001")
