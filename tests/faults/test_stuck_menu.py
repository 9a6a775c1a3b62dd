"""A controller that lives and does not answer holds nobody in the menu: callers reach a person."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.house import (
    Town,
    call_of,
    ended_call,
    kept_recording,
    listen,
    own_town,
)
from tests.observer import Message, wait_until
from tests.telephone import Leg

# Neither tone is in the hold music.
ELDER = 480
SEAT = 740
WATCHDOG = "Local/s@watch-menu-"
IN_TIME_S = 6.0


@pytest.fixture(scope="module")
def whole_town() -> Iterator[Town]:
    # Asterisk's user may enter it; pytest's own folder is closed.
    with tempfile.TemporaryDirectory(prefix="careline-") as name:
        Path(name).chmod(0o711)
        with own_town(Path(name)) as made:
            yield made


@pytest.fixture
def town(whole_town: Town) -> Iterator[Town]:
    for seat in ("1001", "1002"):
        whole_town.carrier.phone(seat).rings()
    yield whole_town
    whole_town.assert_silent()


@contextmanager
def stopped(town: Town) -> Iterator[None]:
    """The controller stands still, as in a debugger or on a machine without memory."""
    pid = town.house.child("controller")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        # One that stood still for ten seconds has been replaced by then.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def in_menu(town: Town, caller: str) -> tuple[str, Leg]:
    """A call whose caller is in the menu."""
    since = len(town.observer.events)
    elder = town.carrier.call("96100", caller, tone=ELDER).wait_talking()
    call_id = call_of(town, since)
    wait_until(lambda: doing(town, call_id) == "AGI", 20, f"{call_id} in the menu")
    return call_id, elder


def doing(town: Town, call_id: str) -> str:
    """The application that the caller's channel is in."""
    channels = town.observer.list_of("CoreShowChannels")
    return next((m["Application"] for m in channels if m["Uniqueid"] == call_id), "")


def joined(town: Town, call_id: str) -> list[Message]:
    return town.observer.find("QueueCallerJoin", CARELINE_CALL=call_id)


def watchdogs(town: Town) -> list[Message]:
    """The watchdogs' channels that live now."""
    return [
        m for m in town.observer.list_of("CoreShowChannels") if m["Channel"].startswith(WATCHDOG)
    ]


def test_a_caller_in_the_menu_of_a_stopped_controller_reaches_a_person(town: Town) -> None:
    """Within two seconds and a bit; the controller goes on later, and the call's row is whole."""
    call_id, elder = in_menu(town, "13800000021")
    with stopped(town):
        began = time.monotonic()
        wait_until(lambda: joined(town, call_id), IN_TIME_S, "the caller is in the queue")
        took = time.monotonic() - began
        town.observer.wait_for("AgentCalled", CARELINE_CALL=call_id)
        wait_until(lambda: not watchdogs(town), 2, "the watchdog has ended")
        # Where the lease still stands, nobody takes the caller out of the queue again.
        time.sleep(3)
        assert len(joined(town, call_id)) == 1
        town.carrier.phone("1001").answers(0.2, SEAT)
        town.carrier.phone("1002").answers(0.2, SEAT)
        town.observer.wait_for("AgentConnect", 25, CARELINE_CALL=call_id)
        listen(elder, 1)
    assert 1.0 < took < 4.0
    listen(elder, 2)
    elder.hang_up()
    row = kept_recording(town.house, call_id)
    assert (row.entry, row.queue, row.result, row.state) == (
        "hotline", "hotline", "answered", "ended",
    )  # fmt: skip
    assert not row.ended_uncertain
    assert row.answered_at is not None


def test_after_it_goes_on_the_next_caller_has_the_menu_again(town: Town) -> None:
    with stopped(town):
        time.sleep(3)
    call_id, elder = in_menu(town, "13800000022")
    elder.press("2")
    wait_until(lambda: joined(town, call_id), 5, "the menu led to the queue")
    wait_until(lambda: not watchdogs(town), 2, "the watchdog has ended")
    elder.hang_up()
    assert ended_call(town.house, call_id).state == "ended"


def test_a_stopped_controller_is_not_even_asked(town: Town) -> None:
    """The lease does not move while the greeting is spoken: no AGI, no watchdog, a person."""
    with stopped(town):
        since = len(town.observer.events)
        elder = town.carrier.call("96100", "13800000023", tone=ELDER).wait_talking()
        call_id = call_of(town, since)
        seen = set()
        while not joined(town, call_id):
            seen.add(doing(town, call_id))
            assert "AGI" not in seen
            time.sleep(0.05)
        assert "Playback" in seen
        assert not [
            m for m in town.observer.find("Newchannel", since) if m["Channel"].startswith(WATCHDOG)
        ]
    elder.hang_up()
    assert ended_call(town.house, call_id).queue == "hotline"


def test_the_watchdog_is_no_call_and_ends_with_its_caller(town: Town) -> None:
    """Two channels without a call's name beside the caller's one; none when the caller goes."""
    call_id, elder = in_menu(town, "13800000024")
    beside = wait_until(lambda: watchdogs(town), 2, "a watchdog")
    assert len(beside) == 2
    assert not [m for m in beside if m.get("CARELINE_CALL") or m.get("BridgeId")]
    time.sleep(3)
    assert len(watchdogs(town)) == 2, "while the lease moves the menu goes on"
    assert not joined(town, call_id)
    elder.hang_up()
    town.observer.assert_idle(1.5)
    recorded = [m for m in town.observer.find("MixMonitorStart") if WATCHDOG in m["Channel"]]
    assert not recorded
    assert ended_call(town.house, call_id).state == "ended"


@pytest.mark.parametrize("after_s", [0.0, 0.6, 1.9, 2.1, 2.3, 3.0])
def test_the_caller_may_hang_up_at_any_moment_of_it(town: Town, after_s: float) -> None:
    """Before the watchdog acts, while it does, and after: no channel stays behind."""
    call_id, elder = in_menu(town, "13800000025")
    with stopped(town):
        time.sleep(after_s)
        elder.hang_up()
        town.observer.assert_idle(1.5)
    row = ended_call(town.house, call_id)
    assert row.state == "ended"
    assert not row.ended_uncertain


def test_a_controller_that_is_killed_lets_the_caller_go_on_at_once(town: Town) -> None:
    call_id, elder = in_menu(town, "13800000026")
    os.kill(town.house.child("controller"), signal.SIGKILL)
    wait_until(lambda: joined(town, call_id), 3, "the caller is in the queue")
    wait_until(lambda: not watchdogs(town), 2, "the watchdog has ended")
    elder.hang_up()
    assert ended_call(town.house, call_id, 20).state == "ended"
