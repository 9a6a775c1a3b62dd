"""The manager connection to a real Asterisk, over a line that cuts, delays and swallows."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from asterisk_conf.instance import service_user
from asterisk_conf.ports import AMI_PORT, AMI_USER
from asterisk_conf.sounds import PROMPTS
from home import Home
from launch import asterisk_tree
from settings import Settings
from telephony import ami as ami_module
from telephony.ami import Ami, AmiDown, AmiEvent, AmiRefused, Login
from tests.asterisk.conftest import Centre, running_centre
from tests.observer import Observer
from tests.telephone import claim_addresses

SOON: Final = 10.0
NOTICED_S: Final = ami_module.PING_EVERY_S + ami_module.PING_TIMEOUT_S
"""A peer that no longer answers is given up within this."""
SLACK_S: Final = 2.0
BURST: Final = 2000
# A leg that reaches nobody: no seat's phone is signed in here, so it waits.
MARK: Final = "behind-all-others"
LEG: Final[dict[str, Any]] = {
    "Channel": "Local/s@waiting/n", "Application": "Wait", "Data": "600", "Async": "true",
}  # fmt: skip


class Wire:
    """A line between us and Asterisk. What it is told to swallow never arrives, and nobody sees.

    `piece` is how many bytes go on at once; both sides stay connected whatever is swallowed.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self.swallows_actions = self.swallows_answers = False
        self.piece = 65536
        self.port = 0
        self.open_lines = self.lines = 0

    @asynccontextmanager
    async def strung(self) -> AsyncIterator[Wire]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    def swallow(self, actions: bool, answers: bool) -> None:
        self.swallows_actions, self.swallows_answers = actions, answers

    async def _connected(self, ours: asyncio.StreamReader, to_us: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self.open_lines += 1
        self.lines += 1
        try:
            theirs, to_them = await asyncio.open_connection(self._host, AMI_PORT)
        except OSError:
            to_us.close()
            self.open_lines -= 1
            return
        ways = [
            asyncio.ensure_future(self._carry(ours, to_them, "swallows_actions")),
            asyncio.ensure_future(self._carry(theirs, to_us, "swallows_answers")),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.open_lines -= 1
            for way in ways:
                way.cancel()
            to_us.close()
            to_them.close()

    async def _carry(
        self, come: asyncio.StreamReader, go: asyncio.StreamWriter, swallows: str
    ) -> None:
        with suppress(OSError):
            while data := await come.read(65536):
                if getattr(self, swallows):
                    continue
                for start in range(0, len(data), self.piece):
                    go.write(data[start : start + self.piece])
                    await go.drain()
                    # The other side reads each piece by itself.
                    await asyncio.sleep(0)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    # Asterisk's user may enter it; pytest's own folder is closed.
    folder = Path(tempfile.mkdtemp(prefix="careline-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def centre(place: Path) -> Iterator[Centre]:
    user = service_user()
    if user and user not in {entry.pw_name for entry in pwd.getpwall()}:
        user = "nobody"
    with claim_addresses(220) as block:
        settings = Settings.model_validate(
            {"centre": {"node": "link"}, "addresses": {"host": block.centre}}
        )
        home = Home(place / "home")
        with running_centre(home, settings, asterisk_tree.find(), user, PROMPTS) as centre:
            yield centre
            # A test may have put another one in its place.
            centre.observer.close()


@pytest.fixture
async def wire(centre: Centre) -> AsyncIterator[Wire]:
    async with Wire(centre.settings.addresses.internal).strung() as wire:
        yield wire


@asynccontextmanager
async def connecting(centre: Centre, wire: Wire, secret: str = "") -> AsyncIterator[Ami]:
    login = Login("127.0.0.1", wire.port, AMI_USER, secret or centre.home.secret("ami"))
    ami = Ami(login)
    running = asyncio.ensure_future(ami.run())
    try:
        yield ami
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@asynccontextmanager
async def connected(centre: Centre, wire: Wire) -> AsyncIterator[Ami]:
    async with connecting(centre, wire) as ami:
        await next_event(ami, "Connected")
        yield ami
        wire.swallow(False, False)
        if not ami.is_up:
            await next_event(ami, "Connected")
        for channel in await channels(ami):
            # The other half of a leg has gone with the first one.
            with suppress(AmiRefused):
                await ami.action("Hangup", Channel=channel)
    await asyncio.to_thread(centre.observer.assert_idle)


async def channels(ami: Ami) -> list[str]:
    return [m["Channel"] for m in await ami.listing("CoreShowChannels")]


async def next_event(ami: Ami, name: str, within_s: float = SOON) -> AmiEvent:
    """The next event of this name; those before it are dropped."""
    async with asyncio.timeout(within_s):
        while True:
            event = await ami.events.get()
            if isinstance(event, Mapping) and name in (event["Event"], event.get("UserEvent")):
                return event


async def lost(ami: Ami, within_s: float) -> float:
    """Wait for the loss; returns the seconds that it took to be noticed."""
    began = time.monotonic()
    async with asyncio.timeout(within_s):
        while await ami.events.get() is not None:
            pass
    return time.monotonic() - began


async def settled(ami: Ami) -> None:
    """Return when an Originate of now has come to its end: one from before has long begun."""
    with pytest.raises(AmiRefused, match="Originate failed"):
        await ami.action("Originate", **{**LEG, "Async": "false", "Timeout": "300"}, ChannelId=MARK)


def begun(centre: Centre, since: int) -> list[str]:
    """The channels that somebody dialled since, without those of `settled`."""
    found = centre.observer.find("Newchannel", since)
    return [m["Channel"] for m in found if not m["Uniqueid"].startswith(MARK)]


# ── events ────────────────────────────────────────────────────────────────────────────────────


async def test_a_name_that_comes_byte_by_byte_is_whole(centre: Centre, wire: Wire) -> None:
    async with connected(centre, wire) as ami:
        wire.piece = 1
        await asyncio.to_thread(
            centre.observer.action, "UserEvent", UserEvent="Named", Who="王秀英（二楼）"
        )
        assert (await next_event(ami, "Named"))["Who"] == "王秀英（二楼）"


async def test_a_burst_of_events_is_handled_strictly_in_order(centre: Centre, wire: Wire) -> None:
    """As many as a thousand calls make in a minute, and cut at every odd place."""
    async with connected(centre, wire) as ami:
        wire.piece = 1021
        burst = "".join(
            f"Action: UserEvent\r\nUserEvent: Counted\r\nNumber: {n}\r\n\r\n" for n in range(BURST)
        )
        await asyncio.to_thread(centre.observer._socket.sendall, burst.encode())
        numbers = [int((await next_event(ami, "Counted", 60))["Number"]) for _ in range(BURST)]
        assert numbers == list(range(BURST))


# ── actions ───────────────────────────────────────────────────────────────────────────────────


async def test_a_queue_takes_a_member_and_says_so(centre: Centre, wire: Wire) -> None:
    async with connected(centre, wire) as ami:
        member: dict[str, Any] = {"Queue": "hotline", "Interface": "PJSIP/1009"}
        answer = await ami.action("QueueAdd", **member)
        assert answer["Message"] == "Added interface to queue"
        with pytest.raises(AmiRefused):
            await ami.action("QueueAdd", **member)
        assert (await ami.action("QueueRemove", **member))["Response"] == "Success"


@pytest.mark.parametrize("bad", ["a\r\nVariable: STOLEN\r\nValue: 1", "a\nb", "a\rb", "a\0b"])
async def test_no_value_and_no_key_sets_another_variable(
    centre: Centre, wire: Wire, bad: str
) -> None:
    async with connected(centre, wire) as ami:
        tries: list[dict[str, Any]] = [{"Value": bad}, {bad: "x"}]
        for fields in tries:
            with pytest.raises(ValueError, match="refused"):
                await ami.action("Setvar", Variable="GIVEN", **fields)
        await ami.action("Setvar", Variable="GIVEN", Value='王秀英 said \\ "no"')
        assert not (await ami.action("Getvar", Variable="STOLEN")).get("Value")
        assert (await ami.action("Getvar", Variable="GIVEN"))["Value"] == '王秀英 said \\ "no"'


async def test_a_wrong_secret_is_said(centre: Centre, wire: Wire) -> None:
    async with connecting(centre, wire, secret="wrong") as ami:
        async with asyncio.timeout(SOON):
            # Asterisk refuses a second later; nothing is told but this.
            while "was refused" not in ami.trouble:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not ami.is_up
        with pytest.raises(AmiDown, match="was refused"):
            await ami.action("Ping")


# ── a link that is not what it seems ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("actions", "answers", "dialled"),
    [(True, True, 0), (True, False, 0), (False, True, 1)],
    ids=["both ways", "what we say", "what we hear"],
)
async def test_a_half_open_link_is_given_up_and_nothing_is_dialled_twice(
    centre: Centre, wire: Wire, actions: bool, answers: bool, dialled: int
) -> None:
    """An Originate on its way when the line died: done once or never, and never done again."""
    since = len(centre.observer.events)
    async with connected(centre, wire) as ami:
        wire.swallow(actions, answers)
        asking = asyncio.ensure_future(ami.action("Originate", timeout_s=60, **LEG))
        took = await lost(ami, NOTICED_S + SLACK_S)
        with pytest.raises(AmiDown):
            await asking
        with pytest.raises(AmiDown, match="Ping was not sent"):
            await asyncio.wait_for(ami.action("Ping"), 0.5)
        wire.swallow(False, False)
        await next_event(ami, "Connected")
        await settled(ami)
        # A Local leg has two halves.
        assert len(begun(centre, since)) == dialled * 2
        assert took < NOTICED_S + SLACK_S


async def test_a_frozen_asterisk_is_noticed_and_nothing_waits_for_it(
    centre: Centre, wire: Wire
) -> None:
    pid = centre.instance.pid
    assert pid
    async with connected(centre, wire) as ami:
        os.kill(pid, signal.SIGSTOP)
        try:
            asking = asyncio.ensure_future(ami.action("Getvar", timeout_s=60, Variable="x"))
            took = await lost(ami, NOTICED_S + SLACK_S)
            assert took < NOTICED_S + SLACK_S
            with pytest.raises(AmiDown):
                await asking
            assert not ami.is_up
        finally:
            os.kill(pid, signal.SIGCONT)
        await next_event(ami, "Connected")
        await settled(ami)


async def test_a_cut_line_is_one_line_again_and_closing_leaves_none(
    centre: Centre, wire: Wire
) -> None:
    async with connected(centre, wire) as ami:
        for again in range(2, 5):
            for task in list(wire._tasks):
                task.cancel()
            await lost(ami, SOON)
            await next_event(ami, "Connected")
            await settled(ami)
            assert (wire.open_lines, wire.lines) == (1, again)
    async with asyncio.timeout(SOON):
        while wire.open_lines:  # noqa: ASYNC110 - the line tells nobody that it was hung up.
            await asyncio.sleep(0.01)
    assert not [task for task in asyncio.all_tasks() if "Ami.run" in repr(task)]


async def test_nothing_is_dialled_again_after_asterisk_was_restarted(
    centre: Centre, wire: Wire
) -> None:
    """Asterisk dies with an Originate that it had not read; the next one is never told of it."""
    pid = centre.instance.pid
    assert pid
    async with connected(centre, wire) as ami:
        os.kill(pid, signal.SIGSTOP)
        asking = asyncio.ensure_future(ami.action("Originate", timeout_s=60, **LEG))
        # One turn of the loop hands it to the line.
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        await lost(ami, SOON)
        with pytest.raises(AmiDown):
            await asking
        await centre.instance.start()
        host, secret = centre.settings.addresses.internal, centre.home.secret("ami")
        centre.observer.close()
        centre.observer = await asyncio.to_thread(Observer, host, AMI_USER, secret)
        if not ami.is_up:
            await next_event(ami, "Connected")
        await settled(ami)
        assert not begun(centre, 0)
        async with asyncio.timeout(SOON):
            # The halves of the leg that `settled` asked for may still be on their way out.
            while await channels(ami):  # noqa: ASYNC110 - one asks Asterisk again.
                await asyncio.sleep(0.05)
