"""A seat dials 120, 119 or 110: its own site's dispatchers answer, if that is switched on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from asterisk_conf.instance import Installation
from home import Home
from settings import Settings
from tests.asterisk.conftest import Centre, running_carrier, running_centre
from tests.audio import find_prompt
from tests.telephone import Block, Carrier, claim_addresses

TERMINAL = 1050
SITES = [
    {"code": "main", "ambulance": "0374120", "fire": "0374119", "police": "0374110"},
    {"code": "south", "ambulance": "0375120"},
]


@pytest.fixture(scope="module")
def live_block() -> Iterator[Block]:
    with claim_addresses() as claimed:
        yield claimed


@pytest.fixture(scope="module")
def live_centre(
    place: Path, prompts: Path, live_block: Block, installation: Installation, asterisk_user: str
) -> Iterator[Centre]:
    """A centre that has switched the rescue numbers on, with a seat at each of two sites."""
    settings = Settings.model_validate(
        {
            "addresses": {"host": live_block.centre},
            "numbers": {"emergency": "+8637496000"},
            "rescue": {"live": True, "call_back_s": 0},
            "sites": SITES,
            "trunks": [{"name": "carrier", "host": f"{live_block.carrier}:5060"}],
            "seats": [{"extension": "1001"}, {"extension": "1002", "site": "south"}],
        }
    )
    home = Home(place / "live")
    with running_centre(home, settings, installation, asterisk_user, prompts) as centre:
        yield centre


@pytest.fixture(scope="module")
def live_carrier(
    place: Path,
    live_block: Block,
    live_centre: Centre,
    installation: Installation,
    asterisk_user: str,
) -> Iterator[Carrier]:
    folder = place / "live-carrier"
    with running_carrier(folder, live_block, live_centre, installation, asterisk_user) as made:
        yield made


@pytest.mark.parametrize(
    ("seat", "short", "number"),
    [
        ("1001", "120", "0374120"),
        ("1001", "119", "0374119"),
        ("1001", "110", "0374110"),
        ("1002", "120", "0375120"),
        ("1001", "0374120", "0374120"),
        ("1002", "0086120", "0375120"),
        ("1001", "+86119", "0374119"),
    ],
)
def test_each_site_reaches_its_own_dispatchers(
    live_carrier: Carrier, live_centre: Centre, seat: str, short: str, number: str
) -> None:
    """What the carrier is asked for is the site's number; the event has what the seat dialled."""
    since = len(live_centre.observer.events)
    dispatchers = live_carrier.number(number).answers(0.2, TERMINAL)
    leg = live_carrier.phone(seat).dials(short).wait_talking()
    assert len(dispatchers.legs()) == 1
    placed = live_centre.observer.wait_for("CallPlaced", since=since)
    assert (placed["Seat"], placed["Dialled"]) == (seat, short)
    leg.hang_up()
    live_carrier.observer.assert_idle()
    live_centre.observer.assert_idle()


@pytest.mark.parametrize("written", ["120#", "120*", "1-2-0", "120%23", "*120", "0120#"])
def test_signs_in_a_number_lead_to_the_sites_own_dispatchers_too(
    live_carrier: Carrier, live_centre: Centre, written: str
) -> None:
    """What is asked for is never the bare 120, which may be another city's."""
    since, asked = len(live_centre.observer.events), len(live_carrier.observer.events)
    live_carrier.number("0375120").answers(0.2, TERMINAL)
    leg = live_carrier.phone("1002").dials(written).wait_talking()
    rang = live_carrier.observer.find("Rang", asked)
    assert [m["Number"] for m in rang] == ["0375120"]
    placed = live_centre.observer.wait_for("CallPlaced", since=since)
    assert placed["Dialled"] == "".join(c for c in written.partition("%")[0] if c.isdigit())
    leg.hang_up()
    live_carrier.observer.assert_idle()
    live_centre.observer.assert_idle()


@pytest.mark.parametrize("number", ["+8637496000", "8637496000"])
def test_a_carrier_that_delivers_international_numbers_reaches_the_emergency(
    live_carrier: Carrier, live_centre: Centre, number: str
) -> None:
    """With its + and without: the emergency entry, and not the hotline."""
    since = len(live_centre.observer.events)
    elder = live_carrier.call(number, "13800000001").wait_talking()
    arrived = live_centre.observer.wait_for("CallArrived", since=since)
    assert (arrived["Entry"], arrived["Dialled"]) == ("emergency", number)
    live_centre.observer.wait_for("Rescue", since=since, Call=arrived["Call"], Step="room")
    elder.hang_up()
    live_carrier.observer.assert_idle()
    live_centre.observer.assert_idle()


@pytest.mark.parametrize(
    "written",
    ["120#", "120*", "1-2-0", "0086120", "%23120", "120%23", "*119#", "+86-110", "00860374120",
     "00863741-2-0#"],
)  # fmt: skip
def test_switched_off_no_sign_in_a_number_gets_it_past_the_guard(
    telephones: Carrier, centre_asterisk: Centre, written: str
) -> None:
    """No INVITE at all reaches a carrier, for this number or any other."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    asked = len(telephones.observer.events)
    for number in ("120", "119", "110", written):
        telephones.number(number).answers(0, TERMINAL)
    seat = telephones.phone("1001").dials(written)
    told = centre.observer.wait_for("DialEnded", since=since)
    assert told["Status"] == "NOTALLOWED"
    seat.wait_ended(20)
    assert not seat.is_talking
    assert not telephones.observer.find("Rang", asked)
    assert not centre.observer.find("DialBegin", since)


@pytest.mark.parametrize("written", ["#", "*%23*", "+"])
def test_what_has_no_digit_is_no_number(
    telephones: Carrier, centre_asterisk: Centre, written: str
) -> None:
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    seat = telephones.phone("1001").dials(written)
    seat.wait_ended()
    assert not seat.is_talking
    assert not centre.observer.find("CallPlaced", since)


@pytest.mark.parametrize(
    "number", ["120", "119", "110", "0374120", "010110", "+86374119", "0120", "86110"]
)
def test_switched_off_no_rescue_number_leaves(
    telephones: Carrier, centre_asterisk: Centre, number: str
) -> None:
    """Nor any other spelling of one; the seat is told why."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    terminal = telephones.number(number).answers(0, TERMINAL)
    seat = telephones.phone("1001").dials(number).keep_early_sound()
    told = centre.observer.wait_for("DialEnded", since=since)
    assert told["Status"] == "NOTALLOWED"
    seat.wait_ended(20)
    assert not terminal.legs()
    assert not centre.observer.find("DialBegin", since)
    assert find_prompt(seat.heard_early(), centre.prompt("not-allowed")) is not None
