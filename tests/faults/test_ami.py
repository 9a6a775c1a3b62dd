"""The AMI connection against an Asterisk that misbehaves in every known way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import pytest
from panoramisk import Manager

from telephony import ami as ami_module
from telephony.ami import Ami, AmiDown, AmiEvent, AmiRefused, Login

SOON: Final = 3.0
BANNER: Final = b"Asterisk Call Manager/11.0.0\r\n"
Action = dict[str, str]


class Peer:
    """One connection as Asterisk sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, *chunks: str | bytes) -> None:
        """Send each chunk on its own, so that it is read on its own."""
        for chunk in chunks:
            self.writer.write(chunk.encode() if isinstance(chunk, str) else chunk)
            await self.writer.drain()
            await asyncio.sleep(0.005)

    async def message(self, to: Action | None = None, **fields: str) -> None:
        if to:
            fields["ActionID"] = to["ActionID"]
        await self.say("".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n")

    async def hear(self) -> Action | None:
        """The next action, or None when the line is closed."""
        try:
            raw = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        lines = raw.decode().strip().split("\r\n")
        return dict(line.split(": ", 1) for line in lines)

    def cut(self) -> None:
        self.writer.transport.abort()


class Asterisk:
    """A manager interface on 127.0.0.1. What it does not answer itself waits in `heard`."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[Peer, Action]] = asyncio.Queue()
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.everything: list[Action] = []
        self.secret = "right"
        self.answers_pings = True
        self.boots = True
        self.port = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Asterisk]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await server.wait_closed()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        peer = Peer(reader, writer)
        with suppress(ConnectionError):
            await peer.say(BANNER)
            while action := await peer.hear():
                self.everything.append(action)
                await self._answer(peer, action)
        writer.close()

    async def _answer(self, peer: Peer, action: Action) -> None:
        match action["Action"]:
            case "Login" if action["Secret"] == self.secret:
                await peer.message(action, Response="Success", Message="Authentication accepted")
                if self.boots:
                    await peer.message(Event="FullyBooted", Status="Fully Booted")
                    self.peers.put_nowait(peer)
            case "Login":
                await peer.message(action, Response="Error", Message="Authentication failed")
            case "Ping":
                if self.answers_pings:
                    await peer.message(action, Response="Success", Ping="Pong")
            case _:
                self.heard.put_nowait((peer, action))


async def soon(waiting: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(waiting, SOON)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        # What is waited for is inside the connection, which tells nobody of it.
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami_module, "RECONNECT_S", 0.01)


@pytest.fixture
async def asterisk() -> AsyncIterator[Asterisk]:
    async with Asterisk().running() as asterisk:
        yield asterisk


@asynccontextmanager
async def connecting(asterisk: Asterisk, secret: str = "right") -> AsyncIterator[Ami]:
    ami = Ami(Login("127.0.0.1", asterisk.port, "careline", secret))
    running = asyncio.ensure_future(ami.run())
    try:
        yield ami
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@asynccontextmanager
async def connected(asterisk: Asterisk) -> AsyncIterator[tuple[Ami, Peer]]:
    async with connecting(asterisk) as ami:
        peer = await soon(asterisk.peers.get())
        assert (await next_event(ami, "Connected"))["Event"] == "Connected"
        yield ami, peer


async def next_event(ami: Ami, name: str) -> AmiEvent:
    """The next event of this name; those before it are dropped."""
    async with asyncio.timeout(SOON):
        while True:
            event = await ami.events.get()
            if isinstance(event, Mapping) and event["Event"] == name:
                return event


# ── events ────────────────────────────────────────────────────────────────────────────────────


async def test_a_character_cut_between_two_packets_is_whole(asterisk: Asterisk) -> None:
    async with connected(asterisk) as (ami, peer):
        raw = "Event: UserEvent\r\nCallerIDName: 王秀英\r\n\r\n".encode()
        name = raw.index("王".encode())
        await peer.say(raw[:name], *(raw[n : n + 1] for n in range(name, len(raw))))
        assert (await next_event(ami, "UserEvent"))["CallerIDName"] == "王秀英"


async def test_bytes_that_are_no_utf8_do_not_stop_the_stream(asterisk: Asterisk) -> None:
    async with connected(asterisk) as (ami, peer):
        await peer.say(b"Event: A\r\nCallerIDName: \xff\xe7\x8e\r\n\r\nEvent: B\r\n\r\n")
        assert "\ufffd" in (await next_event(ami, "A"))["CallerIDName"]
        assert await next_event(ami, "B")


async def test_events_come_in_the_order_in_which_they_happened(asterisk: Asterisk) -> None:
    async with connected(asterisk) as (ami, peer):
        stream = "".join(f"Event: Counted\r\nNumber: {n}\r\n\r\n" for n in range(300))
        await peer.say(stream[:5000], stream[5000:5001], stream[5001:])
        numbers = [int((await next_event(ami, "Counted"))["Number"]) for _ in range(300)]
        assert numbers == list(range(300))


async def test_a_header_that_comes_twice_is_a_list(asterisk: Asterisk) -> None:
    async with connected(asterisk) as (ami, peer):
        await peer.say("Event: A\r\nChanVariable: X=1\r\nChanVariable: Y=2\r\n\r\n")
        assert (await next_event(ami, "A"))["ChanVariable"] == ["X=1", "Y=2"]


# ── actions ───────────────────────────────────────────────────────────────────────────────────


async def test_a_stray_line_break_before_an_event_hides_nothing(asterisk: Asterisk) -> None:
    async with connected(asterisk) as (ami, peer):
        await peer.say("\r\nEvent: First\r\nText: a: b\r\nNothing: \r\nno header\r\n\r\n")
        first = await next_event(ami, "First")
        assert first["Text"] == "a: b"
        assert not first.get("Nothing")


async def test_an_action_is_answered_whatever_comes_in_between(asterisk: Asterisk) -> None:
    async with connected(asterisk) as (ami, _):
        asking = [asyncio.ensure_future(ami.action("Getvar", Variable=name)) for name in "ab"]
        (peer, first), (_, second) = [await soon(asterisk.heard.get()) for _ in asking]
        await peer.message(Event="Newchannel", Uniqueid="x")
        await peer.message(second, Response="Success", Value="two")
        await peer.message(first, Response="Success", Value="one")
        assert [(await soon(one))["Value"] for one in asking] == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "fields", "answer"),
    [
        ("QueueAdd", {"Queue": "hotline", "Interface": "PJSIP/1001"},
         "Added interface to queue"),
        ("Originate", {"Channel": "PJSIP/1001", "Async": "true"},
         "Originate successfully queued"),
        ("PJSIPQualify", {"Endpoint": "1001"}, "Endpoint found, will qualify. Will follow"),
    ],
)  # fmt: skip
async def test_an_answer_that_sounds_like_a_list_is_an_answer(
    asterisk: Asterisk, name: str, fields: dict[str, Any], answer: str
) -> None:
    """The library waits for ever after these words, for events that never come."""
    async with connected(asterisk) as (ami, _):
        asking = asyncio.ensure_future(ami.action(name, **fields))
        peer, action = await soon(asterisk.heard.get())
        await peer.message(action, Response="Success", Message=answer)
        assert (await soon(asking)).message == answer


async def test_what_the_console_prints_comes_line_by_line(asterisk: Asterisk) -> None:
    async with connected(asterisk) as (ami, _):
        asking = asyncio.ensure_future(ami.action("Command", Command="core show uptime"))
        peer, action = await soon(asterisk.heard.get())
        await peer.say(
            f"Response: Success\r\nActionID: {action['ActionID']}\r\n"
            "Message: Command output follows\r\nOutput: one\r\nOutput: two: 2\r\n\r\n"
        )
        assert (await soon(asking))["Output"] == ["one", "two: 2"]


async def test_chinese_goes_out_as_it_came_in(asterisk: Asterisk) -> None:
    async with connected(asterisk) as (ami, _):
        asking = asyncio.ensure_future(ami.action("Setvar", Variable="NAME", Value="王秀英"))
        peer, action = await soon(asterisk.heard.get())
        assert action["Value"] == "王秀英"
        await peer.message(action, Response="Success", Message="Variable Set")
        await soon(asking)


async def test_asterisks_refusal_is_said_in_its_own_words(asterisk: Asterisk) -> None:
    async with connected(asterisk) as (ami, _):
        asking = asyncio.ensure_future(ami.action("Redirect", Channel="x"))
        peer, action = await soon(asterisk.heard.get())
        await peer.message(action, Response="Error", Message="Channel does not exist: x")
        with pytest.raises(AmiRefused, match="Channel does not exist: x"):
            await soon(asking)


@pytest.mark.parametrize("bad", ["a\r\nAction: Originate", "a\nb", "a\rb", "a\0b"])
async def test_a_line_break_never_becomes_a_second_header(asterisk: Asterisk, bad: str) -> None:
    async with connected(asterisk) as (ami, _):
        for fields in ({"Value": bad}, {"Value": ["good", bad]}, {f"V{bad}": "x"}):
            with pytest.raises(ValueError, match="refused"):
                await soon(ami.action("Setvar", **fields))
        with pytest.raises(ValueError, match="refused"):
            await soon(ami.action(bad))
    assert {action["Action"] for action in asterisk.everything} <= {"Login", "Ping"}


async def test_an_action_that_is_not_answered_ends_and_does_not_confuse_the_next(
    asterisk: Asterisk,
) -> None:
    async with connected(asterisk) as (ami, _):
        with pytest.raises(TimeoutError):
            await ami.action("Getvar", timeout_s=0.05, Variable="a")
        peer, late = await soon(asterisk.heard.get())
        asking = asyncio.ensure_future(ami.action("Getvar", Variable="b"))
        _, action = await soon(asterisk.heard.get())
        await peer.message(late, Response="Success", Value="late")
        await peer.message(action, Response="Success", Value="right")
        assert (await soon(asking))["Value"] == "right"


# ── lists ─────────────────────────────────────────────────────────────────────────────────────


async def ask_list(asterisk: Asterisk, ami: Ami) -> tuple[asyncio.Future[Any], Peer, Action]:
    asking = asyncio.ensure_future(ami.listing("PJSIPShowContacts"))
    peer, action = await soon(asterisk.heard.get())
    return asking, peer, action


async def test_a_list_is_its_entries_and_nothing_else(asterisk: Asterisk) -> None:
    async with connected(asterisk) as (ami, _):
        asking, peer, action = await ask_list(asterisk, ami)
        await peer.message(action, Response="Success", EventList="start", Message="will follow")
        await peer.message(action, Event="ContactList", Aor="trunk-a")
        await peer.message(Event="Newchannel", Uniqueid="x")
        await peer.message(action, Event="ContactList", Aor="trunk-b")
        await peer.message(action, Event="ContactListComplete", EventList="Complete", ListItems="2")
        assert [entry["Aor"] for entry in await soon(asking)] == ["trunk-a", "trunk-b"]


@pytest.mark.parametrize("words", ["No Contacts found", "No registrations found."])
async def test_a_list_that_is_empty_by_an_error_is_empty(asterisk: Asterisk, words: str) -> None:
    async with connected(asterisk) as (ami, _):
        asking, peer, action = await ask_list(asterisk, ami)
        await peer.message(action, Response="Error", Message=words)
        assert await soon(asking) == []


async def test_a_refused_list_does_not_hang(asterisk: Asterisk) -> None:
    async with connected(asterisk) as (ami, _):
        asking, peer, action = await ask_list(asterisk, ami)
        await peer.message(action, Response="Error", Message="Permission denied")
        with pytest.raises(AmiRefused, match="Permission denied"):
            await soon(asking)


# ── coming and going ──────────────────────────────────────────────────────────────────────────


async def test_without_asterisk_an_action_fails_at_once_and_says_why() -> None:
    async with Asterisk().running() as gone:
        pass
    async with connecting(gone) as ami:
        await until(lambda: "refused" in ami.trouble.lower() or "connect" in ami.trouble.lower())
        with pytest.raises(AmiDown, match="Originate was not sent: "):
            await asyncio.wait_for(ami.action("Originate", Channel="x"), 0.2)
        assert not ami.is_up


async def test_what_waits_when_the_line_is_cut_fails_at_once(asterisk: Asterisk) -> None:
    async with connected(asterisk) as (ami, peer):
        asking = asyncio.ensure_future(ami.action("Originate", timeout_s=60, Channel="x"))
        listing = asyncio.ensure_future(ami.listing("CoreShowChannels", timeout_s=60))
        for _ in range(2):
            await soon(asterisk.heard.get())
        peer.cut()
        for one in (asking, listing):
            with pytest.raises(AmiDown):
                await soon(one)


async def test_nothing_is_ever_sent_again(asterisk: Asterisk) -> None:
    """An Originate to 120 was once dialled a second time after Asterisk had been restarted."""
    async with connected(asterisk) as (ami, peer):
        asking = asyncio.ensure_future(ami.action("Originate", Channel="PJSIP/120@trunk"))
        await soon(asterisk.heard.get())
        peer.cut()
        with pytest.raises(AmiDown):
            await soon(asking)
        await soon(asterisk.peers.get())
        await next_event(ami, "Connected")
        # An action of now goes out behind whatever would have been repeated.
        asyncio.ensure_future(ami.action("Getvar", Variable="x"))  # noqa: RUF006 — never answered.
        _, action = await soon(asterisk.heard.get())
        assert action["Action"] == "Getvar"
    assert sum(action["Action"] == "Originate" for action in asterisk.everything) == 1


async def test_a_loss_is_told_in_its_place_among_the_events(asterisk: Asterisk) -> None:
    async with connected(asterisk) as (ami, peer):
        await peer.message(Event="Before")
        await peer.say(b"Event: Half")
        peer.cut()
        await soon(asterisk.peers.get())
        names = []
        while "Connected" not in names:
            event = await soon(ami.events.get())
            names.append(event["Event"] if isinstance(event, Mapping) else event)
        assert names == ["Before", None, "FullyBooted", "Connected"]
        assert ami.is_up


async def test_no_event_ends_the_connection_or_a_list(asterisk: Asterisk) -> None:
    """A caller's number may hold line breaks, and so any line of an event; only the end of the
    connection itself, and a list's own last event, are believed."""
    async with connected(asterisk) as (ami, peer):
        await peer.message(Event="Shutdown", Shutdown="Cleanly", Restart="False")
        assert await next_event(ami, "Shutdown")
        asking = asyncio.create_task(ami.listing("CoreShowChannels"))
        _, action = await soon(asterisk.heard.get())
        await peer.message(action, Response="Success", EventList="start")
        for number in ("1", "2"):
            await peer.message(
                action, Event="CoreShowChannel", CallerIDNum="9", EventList="Complete",
                Uniqueid=number,
            )  # fmt: skip
        await peer.message(action, Event="CoreShowChannelsComplete", EventList="Complete")
        assert [one["Uniqueid"] for one in await soon(asking)] == ["1", "2"]


async def test_a_wrong_secret_is_said_and_tried_again(
    asterisk: Asterisk, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "telephony.ami"):
        async with connecting(asterisk, secret="wrong") as ami:
            await until(lambda: len(asterisk.everything) >= 3)
            assert "the sign-in as 'careline' was refused" in ami.trouble
            assert "start again" in ami.trouble
            assert not ami.is_up
            asterisk.secret = "wrong"
            await next_event(ami, "Connected")
    said = [r for r in caplog.records if "sign-in" in r.getMessage()]
    assert len(said) == 1, "said once, not every half second"
    assert all(record.name == "telephony.ami" for record in said)


async def test_a_peer_that_no_longer_answers_is_dropped(
    asterisk: Asterisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen Asterisk keeps its connection open for hours."""
    monkeypatch.setattr(ami_module, "PING_EVERY_S", 0.02)
    monkeypatch.setattr(ami_module, "PING_TIMEOUT_S", 0.1)
    async with connected(asterisk) as (ami, _):
        asterisk.answers_pings = False
        await until(lambda: not ami.is_up)
        asterisk.answers_pings = True
        await next_event(ami, "Connected")


async def test_an_asterisk_that_dies_while_it_boots_is_found_again_at_once(
    asterisk: Asterisk,
) -> None:
    asterisk.boots = False
    async with connecting(asterisk) as ami:
        await until(lambda: bool(asterisk.everything))
        asterisk.boots = True
        asterisk._writers[0].transport.abort()
        await next_event(ami, "Connected")


async def test_a_peer_that_says_nothing_is_given_up(
    asterisk: Asterisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ami_module, "ACTION_TIMEOUT_S", 0.05)

    async def silent(_: Peer, action: Action) -> None:
        return

    monkeypatch.setattr(asterisk, "_answer", silent)
    async with connecting(asterisk) as ami:
        await until(lambda: len(asterisk.everything) >= 2)
        assert not ami.is_up


async def test_closing_leaves_no_connection_and_makes_none(
    asterisk: Asterisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library connects again by itself, also after it was told to close."""
    monkeypatch.setitem(Manager.defaults, "reconnect_timeout", 0)
    async with connected(asterisk):
        pass
    await until(lambda: all(writer.transport.is_closing() for writer in asterisk._writers))
    async with connected(asterisk):
        # Whatever the closed one still had in mind has had its turn by now.
        pass
    assert len(asterisk._writers) == 2


async def test_after_a_loss_there_is_one_connection_and_not_two(
    asterisk: Asterisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Manager.defaults, "reconnect_timeout", 0)
    async with connected(asterisk) as (ami, peer):
        peer.cut()
        await soon(asterisk.peers.get())
        await next_event(ami, "Connected")
        asking = asyncio.ensure_future(ami.action("Getvar", Variable="x"))
        again, action = await soon(asterisk.heard.get())
        await again.message(action, Response="Success")
        await soon(asking)
        assert len(asterisk._writers) == 2
