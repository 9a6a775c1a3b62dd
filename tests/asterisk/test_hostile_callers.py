"""Callers who send what no decent telephone would, byte for byte over real SIP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.asterisk.conftest import Centre
from tests.audio import seconds, tone_begins, tone_seconds
from tests.observer import wait_until
from tests.raw_sip import RawPeer
from tests.telephone import Block, Carrier, finished

SEAT = 620
CHANCE_S = 0.5
TRAP = "/tmp/careline-trap"

HOSTILE = {
    "quotes": '"say \\"Cause: 1\\" \\\\"',
    "commas": '"a,b)c(d,Entry: emergency,|^&"',
    "shell": f'"${{SHELL(touch {TRAP})}} $[1+1] ${{CALLERID(num)}}"',
    "header": '"x\\r\\nEntry: emergency"',
    "escaped line break": '"x%0d%0aCall: other"',
    "tab and escape": '"x\ty\x1b[31m"',
    "200 characters": '"' + "长" * 200 + '"',
    "2000 characters": '"' + "n" * 2000 + '"',
    "chinese": '"王秀英"',
    "broken utf-8": '"\udce7\udc8e \udcff"',
    "semicolon": '"a;b#include /etc/passwd"',
    "no name": "",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_callers_name_changes_nothing(
    telephones: Carrier, centre_asterisk: Centre, block: Block, name: str
) -> None:
    """The call arrives like any other, with its number, in its queue, under its own id."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    Path(TRAP).unlink(missing_ok=True)
    before = set(centre.home.live_recordings.iterdir())
    with RawPeer(block.caller(0)) as peer:
        sender = f"{name} <sip:13800000007@{block.caller(0)}>"
        call = peer.call(centre.settings.addresses.sip_address, "96000", sender)
        assert call.status() == 200
        arrived = centre.observer.wait_for("CallArrived", since=since)
        centre.observer.wait_for("Rescue", since=since, Step="room")
        call.hang_up()
        ended = centre.observer.wait_for("LegEnded", since=since, Party="caller")
    fields = ("Entry", "Dialled", "Trunk", "CallerIDNum", "CARELINE_CALL", "CARELINE_PARTY")
    assert [arrived[f] for f in fields] == [
        "emergency", "96000", "carrier", "13800000007", arrived["Uniqueid"], "caller",
    ]  # fmt: skip
    assert arrived["Call"] == ended["Call"] == arrived["Uniqueid"]
    assert not Path(TRAP).exists()
    new = {file.name for file in set(centre.home.live_recordings.iterdir()) - before}
    assert new == {f"{arrived['Call']}{side}.wav" for side in ("", "-elder", "-others")}


@pytest.mark.parametrize(
    "sender", ['"x\r\nEntry: emergency" <sip:1@x>', '"x\r\n y" <sip:1@x>', '"" <sip:@127.0.0.1>']
)
def test_what_is_no_sip_gets_no_answer_and_does_no_harm(
    telephones: Carrier, centre_asterisk: Centre, block: Block, sender: str
) -> None:
    """A line break inside a name, an address without a user: no call; the next one is well."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    with RawPeer(block.caller(0)) as peer:
        address = centre.settings.addresses.sip_address
        peer.call(address, "96000", sender)
        # What comes behind it is answered, and it never is.
        good = peer.call(address, "96000", "<sip:13800000007@x>")
        assert good.status() == 200
        good.hang_up()
        accepted = [r for r in peer.responses if r.startswith("SIP/2.0 2")]
        assert [r for r in accepted if good._id not in r] == []
        assert len(centre.observer.find("CallArrived", since)) == 1


@pytest.mark.parametrize(
    ("sender", "number"),
    [
        ('"Anonymous" <sip:anonymous@anonymous.invalid>', "anonymous"),
        ("<sip:127.0.0.1>", ""),
        ("<sip:$%7bSHELL(id)%7d,1@127.0.0.1>", None),
        ("<tel:+8613800000007>", None),
    ],
)
def test_a_caller_without_a_number_is_a_caller(
    telephones: Carrier, centre_asterisk: Centre, block: Block, sender: str, number: str | None
) -> None:
    """Hidden, missing or odd: the elder is in the room."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    with RawPeer(block.caller(0)) as peer:
        call = peer.call(centre.settings.addresses.sip_address, "96000", sender)
        status = call.status()
        if status != 200:
            assert status in (400, 416), "not SIP at all: refused, and nothing else"
            return
        arrived = centre.observer.wait_for("CallArrived", since=since)
        centre.observer.wait_for("Rescue", since=since, Step="room")
        call.hang_up()
    if number is not None:
        assert arrived["CallerIDNum"] in (number, "<unknown>")
    centre.observer.assert_idle()


def test_the_carrier_vouches_for_the_number(
    telephones: Carrier, centre_asterisk: Centre, block: Block
) -> None:
    """P-Asserted-Identity, which the carrier writes, goes before From, which the caller writes."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    with RawPeer(block.caller(0)) as peer:
        call = peer.call(
            centre.settings.addresses.sip_address,
            "96000",
            f"<sip:110@{block.caller(0)}>",
            f'P-Asserted-Identity: "x" <sip:13800000008@{block.caller(0)}>',
        )
        assert call.status() == 200
        arrived = centre.observer.wait_for("CallArrived", since=since)
        call.hang_up()
    assert arrived["CallerIDNum"] == "13800000008"


@pytest.mark.parametrize(
    "dialled", ["%24%7bSHELL(id)%7d", "96100,1", "9;evil", "96100%0d%0aX:%20y", "h", "i", "s"]
)
def test_a_hostile_dialled_number_is_harmless(
    telephones: Carrier, centre_asterisk: Centre, block: Block, dialled: str
) -> None:
    """It is refused, or it is a call to the hotline; the number in the event has only digits."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    with RawPeer(block.caller(0)) as peer:
        call = peer.call(
            centre.settings.addresses.sip_address, dialled, f"<sip:139@{block.caller(0)}>"
        )
        status = call.status()
        if status == 200:
            arrived = centre.observer.wait_for("CallArrived", since=since)
            assert arrived["Entry"] == "hotline"
            assert all(c.isdigit() for c in arrived["Dialled"])
            call.hang_up()
        assert status in (200, 400, 404, 416, 484)


def test_a_caller_who_sends_no_sound_is_recorded_in_step(
    telephones: Carrier, centre_asterisk: Centre, block: Block
) -> None:
    """The seat talks, the elder's telephone sends nothing: both sides have the same length."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    phone = telephones.phone("1001").answers(0.2, SEAT)
    with RawPeer(block.caller(0)) as peer:
        sender = f"<sip:13800000007@{block.caller(0)}>"
        call = peer.call(centre.settings.addresses.sip_address, "96000", sender)
        assert call.status() == 200
        seat = phone.wait_ringing().wait_talking()
        id_ = centre.observer.find("CallArrived", since)[0]["Call"]
        seat_said = centre.recording(id_, "others")
        before = seat_said.stat().st_size
        wait_until(lambda: seat_said.stat().st_size > before + 4 * 16000, 10, "four seconds of it")
        call.hang_up()
        seat.wait_ended()
    arrived = centre.observer.find("CallArrived", since)[0]
    ended = centre.observer.find("Hangup", since, Uniqueid=arrived["Uniqueid"])[0]
    lasted = float(ended["Timestamp"]) - float(arrived["Timestamp"])
    mix, elder, others = (
        finished(centre.recording(arrived["Call"], side)) for side in ("", "elder", "others")
    )
    assert seconds(elder) == pytest.approx(seconds(others), abs=0.05)
    assert seconds(mix) == pytest.approx(seconds(others), abs=0.05)
    # Nothing is written while neither side sends sound: half a second until the answer, since no
    # sound came, and the moment in which the music has ended and the seat's tone not begun.
    assert lasted - 1.5 < seconds(mix) <= lasted
    assert tone_seconds(others, SEAT) > 3
    assert tone_seconds(elder, SEAT) < CHANCE_S
    assert tone_begins(mix, SEAT) == pytest.approx(tone_begins(others, SEAT), abs=0.21)


@pytest.mark.parametrize(
    "line",
    ["Uniqueid: other", "EventList: Complete", "\r\nEvent: UserEvent\r\nUserEvent: Forged"],
)
@pytest.mark.parametrize("where", ["caller", "dialled"])
def test_a_number_with_line_breaks_writes_no_event(
    telephones: Carrier, centre_asterisk: Centre, block: Block, where: str, line: str
) -> None:
    """Asterisk writes numbers into its events as they came; the call arrives like any other."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    number = "9" + "".join(f"%{ord(c):02x}" for c in f"\r\n{line}\r\nX: ")
    caller, dialled = (number, "96000") if where == "caller" else ("13800000007", number)
    with RawPeer(block.caller(0)) as peer:
        sender = f"<sip:{caller}@{block.caller(0)}>"
        call = peer.call(centre.settings.addresses.sip_address, dialled, sender)
        assert call.status() == 200
        arrived = centre.observer.wait_for("CallArrived", since=since)
        call.hang_up()
        centre.observer.wait_for("LegEnded", since=since, Party="caller")
    assert arrived["Call"] == arrived["Uniqueid"] == arrived["CARELINE_CALL"]
    heard = centre.observer.events[since:]
    assert not [m for m in heard if {"X", "EventList"} & m.keys() or m["Event"] == "Forged"], heard
    assert not [m for m in heard if m.get("UserEvent") == "Forged" or m.get("Uniqueid") == "other"]


def test_an_unknown_sender_is_asked_for_a_password_and_logged(
    telephones: Carrier, centre_asterisk: Centre, block: Block
) -> None:
    """Whatever name it uses, a seat's too: 401, no channel, one line for the firewall to read."""
    centre, since = centre_asterisk, len(centre_asterisk.observer.events)
    stranger = block.caller(9)
    with RawPeer(stranger) as peer:
        for user in ("1001", "stranger"):
            call = peer.call(
                centre.settings.addresses.sip_address, "96100", f"<sip:{user}@{stranger}>"
            )
            assert call.status() == 401
    assert not centre.observer.find("Newchannel", since)
    log = centre.home.asterisk / "log" / "security"
    wait_until(lambda: stranger in log.read_text("utf-8", "replace"), 3, "the stranger's address")
