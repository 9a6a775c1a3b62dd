"""A full disk: recordings stop before it is, and the telephones go on when it is."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.site import Site, open_site
from tests.house import ended_call, kept_recording, listen
from tests.observer import wait_until
from tests.telephone import Leg

ELDER = 480
SEAT = 740
KEEP_FREE_MB = 25
MB = 1_000_000


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site(keep_free_mb=KEEP_FREE_MB) as opened:
        opened.seats_answer(SEAT)
        yield opened
        opened.assert_silent()


def talking(site: Site) -> tuple[str, Leg]:
    """A caller of the complaints' line, which has no menu, and a seat who has answered."""
    since = len(site.observer.events)
    elder = site.carrier.call("96102", caller=str(next(site.callers)), tone=ELDER).wait_talking()
    site.observer.wait_for("AgentConnect", 20, since)
    return site.observer.wait_for("CallArrived", since=since)["Call"], elder


def free(site: Site) -> int:
    return shutil.disk_usage(site.house.home.root).free


def fill(file: Path, until_free: int) -> None:
    """Somebody's file grows until so many bytes are left on its disk."""
    with file.open("ab") as stream:
        while (more := shutil.disk_usage(file).free - until_free) > 0:
            stream.write(bytes(min(more, MB)))
            stream.flush()


def registered_until(site: Site, seat: str) -> int:
    """When the seat's phone has to be heard again, in seconds since 1970; 0 while it is gone."""
    contacts = site.observer.list_of("PJSIPShowContacts")
    return max((int(c["ExpirationTime"]) for c in contacts if c["Endpoint"] == seat), default=0)


def sign_in_again(site: Site, seat: str) -> None:
    """The seat's phone signs off and in, and Asterisk has noted it."""
    before = registered_until(site, seat)
    phone = site.phones[seat].observer
    for line in phone.list_of("PJSIPShowRegistrationsOutbound"):
        phone.action("PJSIPRegister", Registration=line["ObjectName"])
    wait_until(lambda: registered_until(site, seat) > before, 10, f"{seat} is signed in anew")


def sound_of(site: Site, call_id: str) -> int:
    """How many bytes its recording has so far."""
    files = site.house.home.live_recordings.glob(f"{call_id}*.wav")
    return sum(file.stat().st_size for file in files)


def test_what_recordings_leave_keeps_the_telephones_signed_in(site: Site) -> None:
    call_id, elder = talking(site)
    wait_until(lambda: sound_of(site, call_id) > 40_000, 10, "the call is recorded")
    ballast = site.house.home.root / "ballast"
    fill(ballast, 2 * KEEP_FREE_MB * MB)
    wait_until(lambda: "disk low" in site.alarms(), 10, "the administrator is warned in time")
    assert "not recorded" not in site.alarms()
    # The recording itself takes the last of it.
    fill(ballast, KEEP_FREE_MB * MB + 100_000)
    wait_until(lambda: "not recorded" in site.alarms(), 20, "it is said that nothing is recorded")
    wait_until(lambda: recording_ended(site), 5, "the recording has stopped")
    kept = sound_of(site, call_id)
    listen(elder, 6)
    assert not elder.has_ended, "the call goes on"
    assert sound_of(site, call_id) == kept
    assert free(site) > (KEEP_FREE_MB - 1) * MB

    for seat in site.phones:
        sign_in_again(site, seat)
    unheard, second = talking(site)
    listen(second, 1)
    assert sound_of(site, unheard) == 0
    elder.hang_up()
    second.hang_up()
    assert ended_call(site.house, unheard).result == "answered"
    assert kept_recording(site.house, call_id).result == "answered", "what there was is kept"
    wait_until(lambda: "recording" in site.alarms(), 10, "it is said that it is not all of it")

    third_id, third = talking(site)
    ballast.unlink()
    wait_until(lambda: "disk low" not in site.alarms(), 10, "there is room again")
    listen(third, 3)
    assert "not recorded" in site.alarms(), "one call is without a recording still"
    assert sound_of(site, third_id) == 0
    third.hang_up()
    wait_until(lambda: "not recorded" not in site.alarms(), 10, "and now none is")
    again, fourth = talking(site)
    wait_until(lambda: sound_of(site, again) > 40_000, 10, "calls are recorded again")
    fourth.hang_up()
    assert kept_recording(site.house, again).result == "answered"


def test_a_disk_that_others_fill_to_the_last_byte_keeps_no_telephone_out(site: Site) -> None:
    """What a sign-in needs is in memory; the hotline rings as ever."""
    ballast = site.house.home.root / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(2**16)):
            continue
    for seat in site.phones:
        sign_in_again(site, seat)
    call_id, elder = talking(site)
    listen(elder, 1)
    elder.hang_up()
    # Nor does it keep a dead Asterisk from being started again.
    started = site.house.home.asterisk / "run" / "started.pid"
    first = int(started.read_text("ascii"))
    os.kill(first, signal.SIGKILL)
    site.hang_up_all()
    wait_until(lambda: int(started.read_text("ascii")) != first, 30, "a new Asterisk")
    wait_until(lambda: is_up(site), 30, "Asterisk answers", site.house.log)
    wait_until(lambda: not any(registered_until(site, s) == 0 for s in site.phones), 90, "phones")
    again, elder = talking(site)
    listen(elder, 1)
    ballast.unlink()
    elder.hang_up()
    for one in (call_id, again):
        assert ended_call(site.house, one).result == "answered"


def is_up(site: Site) -> bool:
    """Whether Asterisk lets the observer in again."""
    try:
        site.watch_again()
    except OSError:
        return False
    return True


def recording_ended(site: Site) -> bool:
    return bool(site.observer.find("MixMonitorStop"))
