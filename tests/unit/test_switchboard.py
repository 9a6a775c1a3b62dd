"""The picture of seats and trunks follows Asterisk and is read anew at every connect."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from telephony.ami import Ami
from telephony.listings import live_channels
from telephony.switchboard import DOWN, REFUSED, UP, SeatNow, Switchboard, TrunkNow


class Asterisk:
    """Answers the lists that the picture is read from."""

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        self.lists = lists

    async def listing(self, name: str, **fields: str) -> list[dict[str, Any]]:
        return self.lists.get(name, [])

    async def action(self, name: str) -> dict[str, Any]:
        assert name == "CoreStatus"
        return {"CoreStartupDate": "2026-03-01", "CoreStartupTime": "09:00:00"}

    def as_ami(self) -> Ami:
        return cast("Ami", self)


def device(name: str, state: str) -> dict[str, Any]:
    return {"Event": "DeviceStateChange", "Device": f"PJSIP/{name}", "State": state}


def channel(seat: str, state: str, id_: str = "s1") -> dict[str, Any]:
    name = f"PJSIP/{seat}-0000000a"
    return {"Event": "CoreShowChannel", "Uniqueid": id_, "Channel": name, "ChannelStateDesc": state}


def contact(trunk: str, status: str) -> dict[str, Any]:
    return {"Event": "ContactStatusDetail", "AOR": f"trunk-{trunk}", "Status": status}


def registration(trunk: str, status: str) -> dict[str, Any]:
    name = f"trunk-{trunk}"
    return {"Event": "OutboundRegistrationDetail", "ObjectName": name, "Status": status}


@pytest.fixture
def board() -> Switchboard:
    return Switchboard(["1001", "1002"], {"by-address": False, "registering": True})


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("NOT_INUSE", "available"), ("BUSY", "available"), ("UNAVAILABLE", "offline"),
        ("INVALID", "offline"), ("UNKNOWN", "offline"), ("", "offline"),
    ],
)  # fmt: skip
def test_a_seat_without_a_call_is_there_or_not(board: Switchboard, state: str, shown: str) -> None:
    """What fills a phone are its calls: Asterisk says BUSY also while it only rings."""
    board.apply(device("1001", "UNAVAILABLE" if shown != "offline" else "NOT_INUSE"))
    assert board.apply(device("1001", state)) == (SeatNow("1001", shown),)
    assert board.apply(device("1001", state)) == (), "no news twice"
    assert board.seats["1001"].state == shown


@pytest.mark.parametrize(
    "odd",
    [
        {}, {"Event": "Newchannel"}, {"Event": "DeviceStateChange"}, device("9999", "INUSE"),
        {"Event": "DeviceStateChange", "Device": ["PJSIP/1001"], "State": "INUSE"},
        {"Event": "ContactStatus"}, {"Event": "ContactStatus", "AOR": "1001"}, {"Event": ["a"]},
    ],
)  # fmt: skip
def test_odd_news_changes_nothing(board: Switchboard, odd: dict[str, Any]) -> None:
    assert board.apply(odd) == ()


def test_a_trunk_known_by_its_address_is_up_while_it_answers(board: Switchboard) -> None:
    def status(trunk: str, status: str) -> tuple[object, ...]:
        event = {"Event": "ContactStatus", "AOR": f"trunk-{trunk}", "ContactStatus": status}
        return board.apply(event)

    assert status("by-address", "Reachable") == (TrunkNow("by-address", UP),)
    assert status("by-address", "Unreachable") == (TrunkNow("by-address", DOWN),)
    assert status("registering", "Reachable") == (), "its registration speaks for it"


async def test_a_trunk_that_is_down_from_the_start_is_told(board: Switchboard) -> None:
    """Otherwise a carrier that never answered would never be an alarm."""
    changes = await board.read(Asterisk().as_ami())
    assert set(changes) == {TrunkNow("by-address", DOWN), TrunkNow("registering", DOWN)}
    assert await board.read(Asterisk().as_ami()) == ()


@pytest.mark.parametrize(
    ("status", "state"),
    [("Registered", UP), ("Rejected", REFUSED), ("Unregistered", DOWN), ("Stopped", DOWN)],
)
async def test_a_registering_trunk_is_as_its_registration(
    board: Switchboard, status: str, state: str
) -> None:
    asterisk = Asterisk(
        PJSIPShowEndpoint=[contact("registering", "Reachable")],
        # Asterisk lists the credentials after their registration, under the same name.
        PJSIPShowRegistrationsOutbound=[
            registration("registering", status),
            {"Event": "AuthDetail", "ObjectName": "trunk-registering"},
        ],
    )
    await board.read(asterisk.as_ami())
    assert board.trunks["registering"].state == state


async def test_a_trunk_with_two_addresses_is_up_while_one_answers(board: Switchboard) -> None:
    contacts = [contact("by-address", "Reachable"), contact("by-address", "Unreachable")]
    for order in (contacts, contacts[::-1]):
        await board.read(Asterisk(PJSIPShowEndpoint=order).as_ami())
        assert board.trunks["by-address"].state == UP


async def test_everything_is_read_anew(board: Switchboard) -> None:
    before = Asterisk(
        DeviceStateList=[device("1001", "NOT_INUSE"), device("1002", "BUSY")],
        CoreShowChannels=[channel("1002", "Up")],
        PJSIPShowEndpoint=[contact("by-address", "NonQualified")],
        PJSIPShowRegistrationsOutbound=[registration("registering", "Registered")],
    )
    await board.read(before.as_ami())
    # Asterisk was started again: it knows nothing yet of one phone and of the trunks.
    after = Asterisk(
        DeviceStateList=[device("1002", "BUSY")], CoreShowChannels=[channel("1002", "Up")]
    )
    assert set(await board.read(after.as_ami())) == {
        SeatNow("1001", "offline"), TrunkNow("by-address", DOWN), TrunkNow("registering", DOWN),
    }  # fmt: skip
    assert board.seats["1002"].state == "talking"


@pytest.mark.parametrize(("ahead_s", "shown"), [(-5, "wrapping up"), (3600, "available")])
async def test_a_wrap_up_of_a_clock_that_was_set_back_is_none(ahead_s: int, shown: str) -> None:
    now = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
    board = Switchboard(["1001"], {}, {"hotline": 60}, lambda: now)
    last_call = int(now.timestamp()) + ahead_s
    member = {"Event": "QueueMember", "Queue": "hotline", "Name": "1001", "Location": "PJSIP/1001"}
    asterisk = Asterisk(
        DeviceStateList=[device("1001", "NOT_INUSE")],
        QueueStatus=[{**member, "LastCall": str(last_call)}],
    )
    await board.read(asterisk.as_ami())
    assert board.seats["1001"].state == shown
    assert board.queues_ahead == (("hotline",) if ahead_s > 0 else ())


async def test_the_channels_that_asterisk_has() -> None:
    asterisk = Asterisk(CoreShowChannels=[{"Event": "CoreShowChannel", "Uniqueid": "c1"}])
    assert [c["Uniqueid"] for c in await live_channels(asterisk.as_ami())] == ["c1"]
