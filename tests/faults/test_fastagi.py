"""FastAGI over real sockets: every way in which a caller or Asterisk can go away, or misbehave."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Final

import pytest
from asterisk.agi import AGIAppError, AGIError, AGIHangup, AGIInvalidCommand, AGIUsageError

from telephony import fastagi
from telephony.fastagi import CallerLine, FastAgiServer, LineClosed

SOON: Final = 3.0
ENVIRONMENT: Final = b"agi_network_script: hotline\nagi_uniqueid: node1-1.7\n\n"


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Asterisk's end and ours."""
    theirs, ours = socket.socketpair()
    theirs.settimeout(SOON)
    with theirs, ours:
        yield theirs, ours


@contextmanager
def line(*replies: bytes, closes: bool = True) -> Iterator[tuple[CallerLine, socket.socket]]:
    """A line on which Asterisk has already said all this, and then gone."""
    with pair() as (theirs, ours):
        theirs.sendall(ENVIRONMENT + b"".join(replies))
        if closes:
            theirs.shutdown(socket.SHUT_WR)
        with closing(CallerLine(ours)) as agi:
            yield agi, theirs


def sent(theirs: socket.socket) -> str:
    return theirs.recv(65536).decode("utf-8")


def test_what_asterisk_says_about_the_call_is_known() -> None:
    with line() as (agi, _):
        assert agi.env == {"agi_network_script": "hotline", "agi_uniqueid": "node1-1.7"}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"agi_netw",
        b"agi_network_script: hotline\n",
        b"agi_network_script: hotline\nagi_uni",
        b"x" * (fastagi.MAX_LINE + 1) + b"\n\n",
        b"agi_arg: x\n" * (fastagi.MAX_ENVIRONMENT + 1) + b"\n",
    ],
    ids=["nothing", "a word", "one line", "half a line", "a long line", "no end of lines"],
)
def test_a_header_that_stops_or_never_ends_is_a_hang_up(header: bytes) -> None:
    with pair() as (theirs, ours):
        theirs.sendall(header)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(AGIHangup):
            CallerLine(ours)


def test_a_silent_peer_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastagi, "SILENT_LINE_S", 0.05)
    with pair() as (_, ours), pytest.raises(AGIHangup, match="timed out"):
        CallerLine(ours)


# ── the menu's question ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("reply", "key"),
    [
        (b"200 result=1\n", "1"),
        (b"200 result= (timeout)\n", ""),
        (b"200 result=\n", ""),
        (b"200 result=0\n", "0"),
        (b"200 result=*\r\n", "*"),
    ],
)
def test_one_key_or_none(reply: bytes, key: str) -> None:
    with line(reply, b"200 result=0\n") as (agi, theirs):
        assert agi.ask(["menu"], 5.0) == key
        asked, *more = sent(theirs).splitlines()
        assert asked == "GET DATA menu 5000 1"
        assert more == (["WAIT FOR DIGIT 500"] if key else [])


def test_a_question_of_several_prompts_is_cut_short_by_a_key() -> None:
    replies = (b"200 result=0 endpos=9\n", b"200 result=50 endpos=5\n", b"200 result=0\n")
    with line(*replies) as (agi, theirs):
        assert agi.ask(["menu-repair", "digits/2", "menu-person"], 5.0) == "2"
        assert sent(theirs).splitlines() == [
            'STREAM FILE menu-repair "0123456789*#" 0', 'STREAM FILE digits/2 "0123456789*#" 0',
            "WAIT FOR DIGIT 500",
        ]  # fmt: skip


def test_keys_at_random_are_all_told_up_to_four() -> None:
    replies = (b"200 result=7\n", *(b"200 result=%d\n" % ord(key) for key in "1*9"))
    with line(*replies) as (agi, _):
        assert agi.ask(["menu"], 5.0) == "71*9"


@pytest.mark.parametrize(
    "replies",
    [
        (),
        (b"200 res",),
        (b"HANGUP\n",),
        (b"HANGUP\n200 result=1\n",),
        (b"511 Command Not Permitted on a dead channel or intercept routine\n",),
        (b"200 result=-1\n", b"511 Command Not Permitted on a dead channel\n"),
        (b"200 result=-1\n", b"HANGUP\n"),
        (b"200 result=-1\n",),
        (b"200 result=0 (hangup)\n",),
        (b"x" * 20000,),
    ],
    ids=[
        "gone", "gone in a reply", "hangup", "hangup before the reply", "dead channel",
        "refused and dead", "refused and hangup", "refused and gone", "hangup in the reply",
        "a line without end",
    ],
)  # fmt: skip
def test_a_caller_who_hangs_up_closes_the_line(replies: tuple[bytes, ...]) -> None:
    with line(*replies) as (agi, _), pytest.raises(LineClosed):
        agi.ask(["menu"], 5.0)


def test_a_missing_prompt_is_not_a_hang_up() -> None:
    """The channel still lives (status 6): it is our file that is not there, and that is said."""
    with line(b"200 result=-1 endpos=0\n", b"200 result=6\n") as (agi, theirs):
        with pytest.raises(AGIAppError) as fault:
            agi.ask(["no-such-prompt"], 5.0)
        assert not isinstance(fault.value, AGIHangup)
        assert sent(theirs).splitlines()[1].startswith("CHANNEL STATUS")


# ── other replies ─────────────────────────────────────────────────────────────────────────────


def test_an_unknown_command_is_said() -> None:
    reply = line(b"510 Invalid or unknown command\n")
    with reply as (agi, _), pytest.raises(AGIInvalidCommand, match="Invalid or unknown"):
        agi.note("A", "b")


def test_a_wrong_use_is_told_with_all_its_lines_and_the_next_reply_is_the_next() -> None:
    usage = (
        b"520-Invalid command syntax.  Proper usage follows:\n"
        b"Usage: GET DATA\n"
        b"520 End of proper usage.\n"
    )
    with line(usage, b"200 result=1\n") as (agi, _):
        with pytest.raises(AGIUsageError, match=r"(?s)Usage: GET DATA.*520 End"):
            agi.note("A", "b")
        agi.note("A", "b")


def test_a_wrong_use_on_one_line_is_told() -> None:
    reply = line(b"520 Invalid command syntax\n", closes=False)
    with reply as (agi, _), pytest.raises(AGIUsageError, match="Invalid command syntax"):
        agi.note("A", "b")


@pytest.mark.parametrize("reply", [b"\n", b"hello\n", b"999 what\n", b"\xff\xfe\n", b"20\n"])
def test_what_is_no_reply_is_an_error_and_not_a_key(reply: bytes) -> None:
    with line(reply) as (agi, _), pytest.raises(AGIError):
        agi.ask(["menu"], 5.0)


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("hotline", '"hotline"'),
        ('say "hello"', r'"say \"hello\""'),
        ("back\\slash", r'"back\\slash"'),
        ("\\", r'"\\"'),
        ("王秀英 ${EXTEN}", '"王秀英 ${EXTEN}"'),
        ("", '""'),
    ],
)
def test_a_value_is_quoted(value: str, quoted: str) -> None:
    with line(b"200 result=1\n") as (agi, theirs):
        agi.note("CARELINE_QUEUE", value)
        assert sent(theirs) == f'SET VARIABLE "CARELINE_QUEUE" {quoted}\n'


@pytest.mark.parametrize("bad", ["a\nSET VARIABLE x y", "a\rb", "a\0b"])
def test_a_line_break_never_becomes_a_second_command(bad: str) -> None:
    with line(b"200 result=1\n", b"200 result=1\n") as (agi, theirs):
        for try_it in (
            lambda: agi.note("A", bad), lambda: agi.note(bad, "v"), lambda: agi.ask([bad], 1.0),
            lambda: agi.send_command("NOOP", bad),
        ):  # fmt: skip
            with pytest.raises(ValueError, match="refused"):
                try_it()
        agi.note("A", "last")
        assert sent(theirs) == 'SET VARIABLE "A" "last"\n'


@pytest.mark.parametrize(
    "value", ["王秀英", 'say "hello"', "back\\slash", "two\nlines\n200 result=1", "hangup", ""]
)
def test_a_variable_is_whole_whatever_it_holds(value: str) -> None:
    coded = base64.b64encode(value.encode())
    with line(b"200 result=1 (" + coded + b")\n", b"200 result=1\n") as (agi, theirs):
        assert agi.get_variable("NAME") == value
        agi.note("A", "b")
        assert sent(theirs).splitlines() == [
            'GET FULL VARIABLE "${BASE64_ENCODE(${NAME})}"', 'SET VARIABLE "A" "b"'
        ]  # fmt: skip


def test_a_variable_of_a_caller_who_hung_up_is_no_word() -> None:
    with line(b"HANGUP\n") as (agi, _), pytest.raises(LineClosed):
        agi.get_variable("NAME")


def test_a_reply_of_several_lines_is_not_taken_for_several_replies() -> None:
    with line(b"200 result=1 (one\n", b"200 result=1)\n") as (agi, _), pytest.raises(AGIError):
        agi.execute("GET VARIABLE", "NAME")


# ── the server ────────────────────────────────────────────────────────────────────────────────


@contextmanager
def serving(handle: Callable[[CallerLine], None], max_calls: int = 2) -> Iterator[FastAgiServer]:
    server = FastAgiServer("127.0.0.1", 0, handle, max_calls)
    server.start()
    try:
        yield server
    finally:
        server.close()


def call(server: FastAgiServer, environment: bytes = ENVIRONMENT) -> socket.socket:
    connection = socket.create_connection(server.address, SOON)
    with suppress(OSError):
        connection.sendall(environment)
    return connection


def is_served(server: FastAgiServer, begun: threading.Semaphore) -> bool:
    with call(server) as connection:
        return is_closed(connection) and begun.acquire(timeout=0.05)


def is_closed(connection: socket.socket) -> bool:
    """Whether the server closes it soon, without a word."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_more_calls_than_places_are_sent_on_at_once_and_places_come_back() -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def handle(_: CallerLine) -> None:
        begun.release()
        assert go_on.wait(SOON)

    with serving(handle, max_calls=2) as server:
        waiting = [call(server), call(server)]
        assert all(begun.acquire(timeout=SOON) for _ in waiting)
        with call(server) as third:
            assert is_closed(third)
        go_on.set()
        assert all(is_closed(one) for one in waiting)
        # A place is free a moment after its line is closed.
        assert any(is_served(server, begun) for _ in range(100))
        for one in waiting:
            one.close()


def test_a_menu_that_lasts_too_long_is_closed_and_the_dialplan_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One waits for its caller for ever, one hangs in our own code; the next caller is served."""
    monkeypatch.setattr(fastagi, "MAX_CALL_S", 0.2)
    monkeypatch.setattr(fastagi, "LOOK_EVERY_S", 0.02)
    let_go, ended = threading.Event(), threading.Semaphore(0)

    def handle(line: CallerLine) -> None:
        try:
            if line.env["agi_network_script"] == "stuck":
                let_go.wait(SOON)
            else:
                line.ask(["menu"], 60)
        finally:
            ended.release()

    with serving(handle, max_calls=2) as server:
        waits, stuck = call(server), call(server, b"agi_network_script: stuck\n\n")
        with waits, stuck:
            assert waits.recv(100) == b"GET DATA menu 60000 1\n"
            assert is_closed(waits)
            assert is_closed(stuck)
            assert ended.acquire(timeout=SOON)
            assert not ended.acquire(timeout=0.05), "a thread that hangs keeps its place"
            let_go.set()
            assert ended.acquire(timeout=SOON)
        assert all(server._places.acquire(timeout=SOON) for _ in range(2))
        assert not server._begun


def test_a_short_menu_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastagi, "LOOK_EVERY_S", 0.02)
    keys: list[str] = []
    with serving(lambda line: keys.append(line.ask(["menu"], 5))) as server, call(server) as caller:
        assert caller.recv(100)
        caller.settimeout(0.2)
        with pytest.raises(TimeoutError):
            caller.recv(1)
        caller.settimeout(SOON)
        caller.sendall(b"200 result=2\n")
        assert caller.recv(100) == b"WAIT FOR DIGIT 500\n"
        caller.sendall(b"200 result=0\n")
        assert is_closed(caller)
    assert keys == ["2"]


@pytest.mark.parametrize("places", [1, 60])
def test_each_call_has_a_thread_of_its_own_up_to_the_places(places: int) -> None:
    """Every menu is asked at once, however long all the others think."""
    threads: set[int] = set()

    def handle(line: CallerLine) -> None:
        threads.add(threading.get_ident())
        line.ask(["menu"], 5)

    with serving(handle, max_calls=places) as server, ExitStack() as open_calls:
        callers = [open_calls.enter_context(call(server)) for _ in range(places)]
        assert all(caller.recv(100).startswith(b"GET DATA") for caller in callers)
        assert is_closed(open_calls.enter_context(call(server)))
        assert len(threads) == places


@pytest.mark.parametrize(
    "fault",
    [LineClosed(), AGIHangup("gone"), AGIAppError("no such prompt"), OSError("gone"),
     ValueError("a line break"), KeyError("no such menu")],
    ids=lambda fault: type(fault).__name__,
)  # fmt: skip
def test_whatever_fails_in_a_menu_frees_the_line_and_the_place(fault: Exception) -> None:
    """The dialplan goes on as soon as the connection is closed, and the caller reaches a person."""

    def handle(_: CallerLine) -> None:
        raise fault

    with serving(handle, max_calls=1) as server:
        for _ in range(3):
            with call(server) as connection:
                assert is_closed(connection)
        assert server._places.acquire(timeout=SOON)


def test_a_peer_that_says_half_a_header_holds_nobody_up() -> None:
    served = threading.Event()
    with serving(lambda _: served.set()) as server, call(server, b"agi_net") as half:
        with call(server) as whole:
            assert served.wait(SOON)
            assert is_closed(whole)
        half.shutdown(socket.SHUT_WR)
        assert is_closed(half)


def test_a_failed_accept_does_not_deafen_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    served = threading.Event()
    server = FastAgiServer("127.0.0.1", 0, lambda _: served.set(), 2)

    class FirstFails:
        """A listening socket whose first accept meets an aborted connection."""

        def __init__(self, real: socket.socket) -> None:
            self.real, self.failed = real, False

        def accept(self) -> tuple[socket.socket, object]:
            if not self.failed:
                self.failed = True
                raise ConnectionAbortedError
            return self.real.accept()

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

    monkeypatch.setattr(server, "_listening", FirstFails(server._listening))
    server.start()
    try:
        with call(server):
            assert served.wait(SOON)
    finally:
        server.close()


@pytest.mark.parametrize("cause", [RuntimeError("can't start new thread"), MemoryError()])
def test_a_call_that_gets_no_thread_goes_to_a_person_and_the_next_is_served(
    monkeypatch: pytest.MonkeyPatch, cause: Exception
) -> None:
    served = threading.Event()
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "agi-call":
            raise cause
        start(thread)

    with serving(lambda _: served.set(), max_calls=1) as server:
        with monkeypatch.context() as without:
            without.setattr(threading.Thread, "start", refuse)
            for _ in range(3):
                with call(server) as connection:
                    assert is_closed(connection)
        assert server.is_accepting()
        assert not server._begun
        with call(server):
            assert served.wait(SOON)


def test_close_ends_and_frees_the_address() -> None:
    with serving(lambda _: None) as server:
        address = server.address
        assert server.is_accepting()
    assert not server.is_accepting()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, SOON)
    again = FastAgiServer(*address, lambda _: None, 1)
    again.start()
    again.close()
