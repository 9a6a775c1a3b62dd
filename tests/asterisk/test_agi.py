"""AGI between our server and a real Asterisk: what it says, and what becomes of the caller."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from asterisk.agi import AGIAppError, AGIHangup, AGIInvalidCommand, AGIUnknownError, AGIUsageError

from telephony import fastagi
from telephony.fastagi import CallerLine, FastAgiServer, LineClosed
from tests.asterisk.conftest import Centre
from tests.telephone import Carrier, Leg

SOON: Final = 10.0
HARD: Final = ("王秀英", 'say "hello"', "back\\slash", "two\nlines\n200 result=1", "hangup", "")


class Talk:
    """What our side of one call says, and how it ended: its result, or what was raised."""

    def __init__(self, says: Callable[[CallerLine], object]) -> None:
        self._says = says
        self._over = threading.Event()
        self._raised: Exception | None = None
        self.asking = threading.Event()
        self._result: object = None

    def __call__(self, line: CallerLine) -> None:
        self.asking.set()
        try:
            self._result = self._says(line)
        except Exception as raised:
            self._raised = raised
            raise
        finally:
            self._over.set()

    def result(self) -> object:
        assert self._over.wait(SOON), "our side has not ended"
        if self._raised is not None:
            raise self._raised
        return self._result


@contextmanager
def talking(
    centre: Centre, telephones: Carrier, says: Callable[[CallerLine], object]
) -> Iterator[tuple[Talk, Leg]]:
    """A telephone that has answered, and our side of it."""
    talk = Talk(says)
    server = FastAgiServer(centre.settings.addresses.internal, 0, talk, 2)
    server.start()
    host, port = server.address
    phone = telephones.phone("1001").answers(0.1, 440)
    try:
        answer = centre.observer.action(
            "Originate", Channel="PJSIP/1001", Async="true",
            Application="AGI", Data=f"agi://{host}:{port}/probe",
        )  # fmt: skip
        assert answer["Response"] == "Success", answer
        leg = phone.wait_ringing()
        assert talk.asking.wait(SOON)
        yield talk, leg
        leg.wait_ended()
    finally:
        server.close()


def put(line: CallerLine, name: str, value: str) -> None:
    """Set a variable to something that no AGI command could carry."""
    coded = base64.b64encode(value.encode()).decode()
    line.get_full_variable(f"${{LEN(${{SET({name}=${{BASE64_DECODE({coded})}})}})}}")


def test_values_of_every_kind_come_and_go_whole(
    telephones: Carrier, centre_asterisk: Centre
) -> None:
    """Chinese, quotes, backslashes, several lines, and the very word that means hung up."""

    def says(line: CallerLine) -> list[str]:
        came = []
        for number, value in enumerate(HARD):
            put(line, f"PUT_{number}", value)
            came.append(line.get_variable(f"PUT_{number}"))
        for value in HARD:
            if "\n" not in value:
                line.note("NOTED", value)
                assert line.get_variable("NOTED") == value
        assert line.env["agi_network_script"] == "probe"
        return came

    with talking(centre_asterisk, telephones, says) as (talk, _):
        assert talk.result() == list(HARD)


def test_a_reply_of_several_lines_is_never_taken_for_the_next_one(
    telephones: Carrier, centre_asterisk: Centre
) -> None:
    def says(line: CallerLine) -> object:
        put(line, "NAME", "one\n200 result=5 (stolen)")
        return line.execute("GET VARIABLE", "NAME")

    with (
        pytest.raises(AGIUnknownError, match="more than one line"),
        talking(centre_asterisk, telephones, says) as (talk, _),
    ):
        talk.result()


@pytest.mark.parametrize(
    ("command", "fault"),
    [("NO SUCH COMMAND", AGIInvalidCommand), ("GET DATA", AGIUsageError)],
    ids=["510", "520"],
)
def test_what_asterisk_refuses_leaves_the_line_in_step(
    telephones: Carrier, centre_asterisk: Centre, command: str, fault: type[Exception]
) -> None:
    def says(line: CallerLine) -> str:
        with pytest.raises(fault):
            line.execute(command)
        line.note("A", "b")
        return line.get_variable("A")

    with talking(centre_asterisk, telephones, says) as (talk, _):
        assert talk.result() == "b"


def test_a_missing_prompt_is_told_from_a_caller_who_hung_up(
    telephones: Carrier, centre_asterisk: Centre
) -> None:
    def says(line: CallerLine) -> str:
        with pytest.raises(AGIAppError) as fault:
            line.ask(["there-is-no-such-prompt", "menu"], 5)
        assert not isinstance(fault.value, AGIHangup)
        line.note("A", "still there")
        return line.get_variable("A")

    with talking(centre_asterisk, telephones, says) as (talk, _):
        assert talk.result() == "still there"


def test_a_caller_who_hangs_up_in_a_question_ends_it(
    telephones: Carrier, centre_asterisk: Centre
) -> None:
    with talking(centre_asterisk, telephones, lambda line: line.ask(["menu"], 30)) as (talk, leg):
        leg.hang_up()
        with pytest.raises(LineClosed):
            talk.result()


def test_after_its_limit_a_menu_ends_and_asterisk_goes_on(
    telephones: Carrier, centre_asterisk: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our side asks for ever; Asterisk comes back when the question that it is at has ended."""
    monkeypatch.setattr(fastagi, "MAX_CALL_S", 0.5)
    monkeypatch.setattr(fastagi, "LOOK_EVERY_S", 0.1)

    def says(line: CallerLine) -> None:
        while True:
            line.ask(["menu"], 0.1)

    with talking(centre_asterisk, telephones, says) as (talk, leg):
        with pytest.raises(LineClosed):
            talk.result()
        leg.wait_ended(20)
