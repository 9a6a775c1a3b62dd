"""Messages to people outside: what providers are asked, what becomes of it, and what is never
sent twice. Twilio's own SDK speaks to a server that behaves like Twilio."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from channels import channels_of
from practice import practised
from settings import Settings
from sql import codec
from sql.local_journal import LocalJournal
from telephony.messages import (
    Accepted,
    Channel,
    NotTaken,
    NotTakenNow,
    PerhapsTaken,
    Refused,
)
from telephony.messages import gateway as gateway_module
from telephony.messages import sender as sender_module
from telephony.messages import twilio as twilio_module
from telephony.messages.gateway import GatewayChannel
from telephony.messages.sender import Sender
from telephony.messages.twilio import TwilioChannel
from tests.cards import PROCESS, TEXT, Cards, CardWanted
from tests.database.centre import NOW, Clock
from tests.providers import ACCOUNT, NUMBER, TOKEN, FakeGateway, FakeTwilio, serving
from workflows import message as message_module
from workflows.commands import SendMessageAgain
from workflows.effects import RaiseAlarm, SendMessage
from workflows.errors import NotFound
from workflows.events import Event
from workflows.machine import Processes
from workflows.message import FAILED, PERHAPS, Message, State
from workflows.ports import Posted
from workflows.runner import Runner

CASE: Final = "n1-1.1"
ID: Final = f"{CASE}-M1"
TO: Final = "+8613800000021"
PUBLIC: Final = "https://desk.example/careline"
INVALID, OPTED_OUT, NO_MOBILE = "+15005550001", "+15005550004", "+15005550009"


@pytest.fixture
async def provider() -> AsyncIterator[FakeTwilio]:
    begun = FakeTwilio()
    async with serving(begun):
        yield begun


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    begun = FakeGateway()
    async with serving(begun):
        yield begun


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What providers and pauses are waited for: tenths of a second, and not many seconds."""
    monkeypatch.setattr(twilio_module, "ANSWER_S", 0.5)
    monkeypatch.setattr(twilio_module, "WITHIN_S", 1.0)
    monkeypatch.setattr(gateway_module, "ANSWER_S", 0.5)
    monkeypatch.setattr(sender_module, "AGAIN_S", 0.02)
    monkeypatch.setattr(message_module, "PAUSES_S", (0, 0, 0))


def twilio_at(provider: FakeTwilio, token: str = TOKEN, public_url: str = PUBLIC) -> TwilioChannel:
    return TwilioChannel(ACCOUNT, token, NUMBER, public_url, host=provider.url)


def gateway_at(gateway: FakeGateway) -> GatewayChannel:
    return GatewayChannel(f"{gateway.url}/send", "gateway-token")


# ── Twilio ────────────────────────────────────────────────────────────────────────────────────


async def test_twilio_is_asked_as_it_wants_to_be(provider: FakeTwilio) -> None:
    accepted = await twilio_at(provider).send(f"{ID}.1", TO, TEXT)
    (asked,) = provider.asked
    assert asked.path == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert asked.form == {
        "To": TO,
        "From": NUMBER,
        "Body": TEXT,
        "StatusCallback": f"{PUBLIC}/hooks/twilio?message={ID}.1",
    }
    assert accepted == Accepted(provider_id=provider.taken[0].sid)


async def test_without_an_address_for_reports_none_are_asked_for(provider: FakeTwilio) -> None:
    await twilio_at(provider, public_url="").send(f"{ID}.1", TO, TEXT)
    assert set(provider.asked[0].form) == {"To", "From", "Body"}


async def test_our_own_variables_do_not_lead_messages_to_another_server(
    provider: FakeTwilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_REGION", "au1")
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    await twilio_at(provider).send(f"{ID}.1", TO, TEXT)
    assert len(provider.taken) == 1
    real = TwilioChannel(ACCOUNT, TOKEN, NUMBER)
    assert real._client.get_hostname(twilio_module.HOST) == "https://api.twilio.com"


@pytest.mark.parametrize(
    ("to", "how", "kind", "code"),
    [
        (OPTED_OUT, "", Refused, "21610"),
        (INVALID, "", Refused, "21211"),
        (NO_MOBILE, "", Refused, "21614"),
        (TO, "busy", NotTakenNow, "20429"),
        (TO, "broken", NotTakenNow, "500"),
        (TO, "odd", Refused, "400"),
    ],
)
async def test_what_twilio_refuses_is_certain_and_has_its_code(
    provider: FakeTwilio, to: str, how: str, kind: type[NotTaken], code: str
) -> None:
    provider.next_answers(to, *([how] if how else []))
    with pytest.raises(kind) as refusal:
        await twilio_at(provider).send(f"{ID}.1", to, TEXT)
    assert refusal.value.code == code
    assert to not in refusal.value.reason, "no number stands in a reason"
    assert provider.taken == []


async def test_a_text_that_is_too_long_is_refused_by_twilio_for_good(provider: FakeTwilio) -> None:
    with pytest.raises(Refused, match="21617"):
        await twilio_at(provider).send(f"{ID}.1", TO, "长" * 1601)


async def test_a_wrong_token_is_no_matter_of_trying_again(provider: FakeTwilio) -> None:
    with pytest.raises(Refused, match="20003"):
        await twilio_at(provider, token="another-token").send(f"{ID}.1", TO, TEXT)


async def test_a_server_that_cannot_be_reached_has_taken_nothing() -> None:
    nobody = FakeTwilio()
    async with serving(nobody):
        channel = twilio_at(nobody)
    with pytest.raises(NotTakenNow, match="unreachable"):
        await channel.send(f"{ID}.1", TO, TEXT)


@pytest.mark.parametrize("how", ["slow", "dropped", "garbled", "dripping"])
async def test_an_answer_that_does_not_come_or_says_nothing_is_a_doubt(
    provider: FakeTwilio, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twilio has the message, and we do not know it. The loop goes on meanwhile."""
    monkeypatch.setattr(twilio_module, "ANSWER_S", 2.0)
    monkeypatch.setattr(twilio_module, "WITHIN_S", 2.0)
    provider.next_answers(TO, how)
    loop, began, longest = asyncio.get_running_loop(), time.monotonic(), 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)

    beating = asyncio.create_task(beat())
    with pytest.raises(PerhapsTaken):
        await twilio_at(provider).send(f"{ID}.1", TO, TEXT)
    beating.cancel()
    assert len(provider.taken) == 1
    assert time.monotonic() - began < 10
    assert longest < 1.5, "a blocking client must not stand in the loop's way"


async def test_threads_that_hang_are_few_and_the_rest_is_certainly_not_sent(
    provider: FakeTwilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_module, "THREADS", 2)
    channel = twilio_at(provider)
    provider.next_answers(TO, "slow", "slow")
    sending = [asyncio.create_task(channel.send(f"{ID}.{n}", TO, TEXT)) for n in (1, 2)]
    await until(lambda: len(provider.taken) == 2)
    with pytest.raises(NotTakenNow, match="busy"):
        await channel.send(f"{ID}.3", TO, TEXT)
    provider.release.set()
    assert {(await one).provider_id for one in sending} == {one.sid for one in provider.taken}
    await channel.send(f"{ID}.4", TO, TEXT)


async def test_neither_text_nor_number_is_written_to_a_log(
    provider: FakeTwilio, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    channel = twilio_at(provider)
    await channel.send(f"{ID}.1", TO, TEXT)
    with pytest.raises(Refused):
        await channel.send(f"{ID}.2", INVALID, TEXT)
    for hidden in (TO, TO[1:], TEXT, INVALID, TOKEN):
        assert hidden not in caplog.text
    assert [one for one in caplog.records if one.name.startswith("twilio")] == []


# ── the gateway ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "provider_id"),
    [
        ((200, '{"id": "gw-1"}'), "gw-1"),
        ((202, '{"id": 77}'), "77"),
        ((204, ""), ""),
        ((201, "<html>"), ""),
        ((200, b"\xff\xfe"), ""),
        ((200, "[" * 9000), ""),
        ((200, '{"id": "' + "x" * 20_000 + '"}'), ""),
        ((200, '{"id": "a\\u0000\\nb\\ud800c"}'), "a  b c"),
        ((200, '{"id": {"a": 1}}'), ""),
        ((200, '{"id": "' + "y" * 900 + '"}'), "y" * 64),
    ],
)
async def test_a_gateway_that_answers_well_has_taken_it_whatever_else_it_says(
    gateway: FakeGateway, answer: tuple[int, str | bytes], provider_id: str
) -> None:
    gateway.answer = answer
    assert await gateway_at(gateway).send(f"{ID}.1", TO, TEXT) == Accepted(provider_id=provider_id)
    (asked,) = gateway.asked
    assert (asked.path, asked.body) == ("/send", {"id": f"{ID}.1", "to": TO, "text": TEXT})
    assert asked.headers["Authorization"] == "Bearer gateway-token"
    assert asked.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused), (401, Refused), (404, Refused), (422, Refused),
        (408, NotTakenNow), (429, NotTakenNow), (500, NotTakenNow), (503, NotTakenNow),
    ],
)  # fmt: skip
async def test_a_gateway_refuses_for_good_or_for_now(
    gateway: FakeGateway, status: int, kind: type[NotTaken]
) -> None:
    gateway.answer = (status, "no")
    with pytest.raises(kind) as refusal:
        await gateway_at(gateway).send(f"{ID}.1", TO, TEXT)
    assert refusal.value.code == f"HTTP {status}"


async def test_a_gateway_leads_message_and_token_nowhere_else(gateway: FakeGateway) -> None:
    gateway.answer = "elsewhere"
    with pytest.raises(NotTakenNow, match="307"):
        await gateway_at(gateway).send(f"{ID}.1", TO, TEXT)
    assert [asked.path for asked in gateway.asked] == ["/send"]


@pytest.mark.parametrize("how", ["slow", "dropped"])
async def test_a_gateway_that_does_not_answer_is_a_doubt(gateway: FakeGateway, how: str) -> None:
    gateway.answer = how
    with pytest.raises(PerhapsTaken):
        await gateway_at(gateway).send(f"{ID}.1", TO, TEXT)
    assert len(gateway.asked) == 1


async def test_a_gateway_that_cannot_be_reached_has_taken_nothing() -> None:
    nobody = FakeGateway()
    async with serving(nobody):
        channel = gateway_at(nobody)
    with pytest.raises(NotTakenNow, match="unreachable"):
        await channel.send(f"{ID}.1", TO, TEXT)


# ── a case that has messages ──────────────────────────────────────────────────────────────────


class Controller:
    """A case's messages on a folder, as a controller has them; also those of its successor.

    The journal, the runner and the sender are the real ones. `fails` facts cannot be kept at first.
    """

    def __init__(self, folder: Path, channels: dict[str, Channel]) -> None:
        self.folder = folder
        self.alarms: dict[str, str] = {}
        self.fails = 0
        self.told: list[str] = []
        self.journal = LocalJournal(folder, PROCESS, lambda _: None)
        self.journal.load()
        self.clock = Clock()
        self.sender = Sender(channels, self.handle, self.clock.now)
        self.runner = Runner(Processes((PROCESS,)), self.journal, self.clock, self)
        self.tasks = [asyncio.create_task(work) for work in (self.sender.run(), self.wake())]

    async def handle(self, event: Event) -> Cards | None:
        if self.fails:
            self.fails -= 1
            raise OSError("the step hangs")
        self.told.append(type(event).__name__)
        try:
            case: Cards = await self.runner.handle(event)
        except NotFound:
            return None
        return case

    async def wake(self) -> None:
        while True:
            await self.runner.fire_due_timers()
            await asyncio.sleep(0.01)

    async def take_up(self) -> None:
        for case in self.journal.open_cases():
            await self.sender.take_up(case.messages)

    async def wants(self, to: str = TO, *channels: str, name: str = "王小兰") -> None:
        given = channels or ("twilio", "gateway")
        await self.handle(CardWanted(case_id=CASE, at=NOW, to=to, name=name, channels=given))

    def message(self, number: int = 1) -> Message:
        case = self.journal.case(CASE)
        assert isinstance(case, Cards)
        return case.messages[number - 1]

    async def until_state(self, state: State, number: int = 1) -> Message:
        await until(lambda: self.message(number).state is state)
        return self.message(number)

    def case_changed(self, process: str, case: Any) -> None: ...

    def effect_posted(self, posted: Posted) -> None:
        assert isinstance(posted.effect, SendMessage)
        self.sender.post(posted.effect)

    def alarm_raised(self, alarm: RaiseAlarm, at: datetime) -> None:
        self.alarms[alarm.key] = alarm.kind

    def alarm_ended(self, key: str) -> None:
        self.alarms.pop(key, None)

    async def dies(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 — the actors say nothing of themselves.
            await asyncio.sleep(0.01)


Start = Callable[..., Controller]


@pytest.fixture
async def start(
    tmp_path: Path, provider: FakeTwilio, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """Starts a controller, or the next one after it; the disk stays the same."""
    monkeypatch.setitem(codec.EVENTS, CardWanted.__name__, CardWanted)
    started: list[Controller] = []

    def begin(**channels: Channel) -> Controller:
        given = channels or {"twilio": twilio_at(provider), "gateway": gateway_at(gateway)}
        started.append(Controller(tmp_path / "rescue", given))
        return started[-1]

    yield begin
    for one in started:
        with suppress(asyncio.CancelledError):
            await one.dies()


async def test_that_it_may_have_been_sent_is_on_the_disk_before_the_provider_is_asked(
    start: Start, provider: FakeTwilio
) -> None:
    controller, seen = start(), list[str]()
    provider.on_asked = lambda: seen.append(
        "".join(path.read_text("utf-8") for path in controller.folder.iterdir())
    )
    await controller.wants()
    message = await controller.until_state(State.SENT)
    (on_disk,) = seen
    assert '"MessageAttempted"' in on_disk
    assert '"MessageAccepted"' not in on_disk
    assert (message.attempted_at, message.accepted_at) == (NOW, NOW)
    assert message.provider_id == provider.taken[0].sid


async def test_what_is_limited_is_tried_again_and_then_goes_by_the_next_channel(
    start: Start, provider: FakeTwilio, gateway: FakeGateway
) -> None:
    provider.next_answers(TO, *["busy"] * 4)
    controller = start()
    await controller.wants()
    message = await controller.until_state(State.SENT)
    assert len(provider.asked) == 4
    assert provider.taken == []
    assert [asked.body["text"] for asked in gateway.asked] == [TEXT]
    assert (message.channel, message.provider_id, message.tried) == ("gateway", "gw-1", ("twilio",))
    assert controller.alarms == {}


async def test_a_moment_of_trouble_is_waited_out_on_the_same_channel(
    start: Start, provider: FakeTwilio, gateway: FakeGateway
) -> None:
    provider.next_answers(TO, "broken", "busy")
    controller = start()
    await controller.wants()
    await controller.until_state(State.SENT)
    assert [one.to for one in provider.taken] == [TO]
    assert gateway.asked == []


@pytest.mark.parametrize("to", [OPTED_OUT, INVALID, NO_MOBILE])
async def test_who_cannot_be_reached_by_twilio_is_reached_by_the_gateway_at_once(
    start: Start, provider: FakeTwilio, gateway: FakeGateway, to: str
) -> None:
    controller = start()
    await controller.wants(to)
    await controller.until_state(State.SENT)
    assert len(provider.asked) == 1
    assert [asked.body["to"] for asked in gateway.asked] == [to]


async def test_each_recipient_has_a_result_of_its_own(
    start: Start, provider: FakeTwilio, gateway: FakeGateway
) -> None:
    gateway.answer = (422, "no such number")
    controller = start()
    await controller.wants(OPTED_OUT, name="王建国")
    await controller.wants()
    assert (await controller.until_state(State.SENT, 2)).name == "王小兰"
    failed = await controller.until_state(State.FAILED, 1)
    assert (failed.name, failed.code, failed.failed_at) == ("王建国", "HTTP 422", NOW)
    assert controller.alarms == {f"{FAILED}/{ID}": FAILED}
    assert [one.to for one in provider.taken] == [TO]


async def test_a_crash_between_asking_and_answer_leaves_a_doubt_that_only_a_person_ends(
    start: Start, provider: FakeTwilio
) -> None:
    provider.next_answers(TO, "slow")
    former = start()
    await former.wants()
    await until(lambda: provider.taken)
    await former.dies()
    successor = start()
    await successor.take_up()
    message = await successor.until_state(State.UNCERTAIN)
    assert successor.alarms == {f"{PERHAPS}/{ID}": PERHAPS}
    assert len(provider.taken) == 1, "it is not sent a second time by itself"
    await successor.handle(SendMessageAgain(case_id=CASE, at=NOW, message=message.id, by="张敏"))
    await successor.until_state(State.SENT)
    assert [one.callback.rpartition("=")[2] for one in provider.taken] == [f"{ID}.1", f"{ID}.2"]
    assert successor.alarms == {}


async def test_an_answer_that_is_lost_leaves_a_doubt_and_nothing_is_repeated(
    start: Start, provider: FakeTwilio, gateway: FakeGateway
) -> None:
    provider.next_answers(TO, "dropped")
    controller = start()
    await controller.wants()
    await controller.until_state(State.UNCERTAIN)
    assert len(provider.asked) == 1
    assert gateway.asked == [], "nor does it go by the next channel"


async def test_what_was_wanted_and_never_attempted_is_sent_by_the_successor_once(
    start: Start, provider: FakeTwilio
) -> None:
    former = start()
    await former.dies()
    await former.wants()
    successor = start()
    await successor.take_up()
    await successor.take_up()
    await successor.until_state(State.SENT)
    assert len(provider.asked) == 1


async def test_nothing_is_sent_before_it_could_be_noted(start: Start, provider: FakeTwilio) -> None:
    controller = start()
    asked_when: list[int] = []
    provider.on_asked = lambda: asked_when.append(controller.fails)
    await controller.wants()
    controller.fails = 3
    await controller.until_state(State.SENT)
    assert asked_when == [0]


async def test_what_a_provider_answered_is_told_until_it_is_kept(
    start: Start, provider: FakeTwilio
) -> None:
    controller = start()

    def fail() -> None:
        controller.fails = 3

    provider.on_asked = fail
    await controller.wants()
    message = await controller.until_state(State.SENT)
    assert message.provider_id == provider.taken[0].sid
    assert len(provider.asked) == 1


async def test_a_case_that_is_put_away_sends_nothing(start: Start, provider: FakeTwilio) -> None:
    controller = start()
    gone = SendMessage(
        id="n1-9.9-M1.1", case_id="n1-9.9", message="n1-9.9-M1", channel="twilio", to=TO, text=TEXT
    )
    controller.sender.post(gone)
    await until(lambda: "MessageAttempted" in controller.told)
    await controller.wants()
    await controller.until_state(State.SENT)
    assert [asked.form["StatusCallback"] for asked in provider.asked] == [
        f"{PUBLIC}/hooks/twilio?message={ID}.1"
    ]


async def test_a_channel_that_is_not_set_up_any_more_gives_way_to_the_next(
    start: Start, gateway: FakeGateway
) -> None:
    controller = start(gateway=gateway_at(gateway))
    await controller.wants()
    message = await controller.until_state(State.SENT)
    assert (message.channel, message.tried) == ("gateway", ("twilio",))


async def test_a_provider_that_hangs_holds_up_no_other(
    start: Start, provider: FakeTwilio, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_module, "ANSWER_S", 60.0)
    monkeypatch.setattr(twilio_module, "WITHIN_S", 60.0)
    controller = start()
    many = sender_module.AT_ONCE + 3
    provider.next_answers(TO, *["slow"] * many)
    for _ in range(many):
        await controller.wants(TO, "twilio")
    await until(lambda: len(provider.taken) == sender_module.AT_ONCE)
    await controller.wants(TO, "gateway")
    await controller.until_state(State.SENT, many + 1)
    states = [controller.message(n + 1) for n in range(many)]
    assert {one.state for one in states} == {State.QUEUED}
    waiting = [one for one in states if one.attempted_at is None]
    assert len(waiting) == 3, "who stands in line is not taken for sent"
    provider.release.set()
    for number in range(1, many + 1):
        await controller.until_state(State.SENT, number)


async def test_a_fault_of_a_channel_is_a_doubt_and_ends_no_other_message(
    start: Start, gateway: FakeGateway
) -> None:
    class Faulty:
        async def send(self, message: str, to: str, text: str) -> Accepted:
            raise ZeroDivisionError

    controller = start(twilio=Faulty(), gateway=gateway_at(gateway))
    await controller.wants()
    await controller.wants(TO, "gateway")
    await controller.until_state(State.UNCERTAIN, 1)
    await controller.until_state(State.SENT, 2)


# ── in practice ───────────────────────────────────────────────────────────────────────────────


async def test_in_practice_a_message_arrives_in_the_town_and_leaves_nothing_else(
    start: Start, provider: FakeTwilio, gateway: FakeGateway
) -> None:
    """Also with providers in the settings: none of them is loaded."""
    written = Settings.model_validate(
        {
            "messages": {
                "channels": ["twilio", "gateway"], "twilio_account": ACCOUNT,
                "twilio_token": TOKEN, "twilio_number": NUMBER, "public_url": PUBLIC,
                "gateway_url": f"{gateway.url}/send", "gateway_token": "gateway-token",
            }
        }
    )  # fmt: skip
    settings = practised(written).messages
    assert TOKEN not in repr(settings)
    controller = start(**channels_of(settings))
    await controller.wants(TO, *settings.channels)
    message = await controller.until_state(State.DELIVERED)
    assert (message.channel, message.accepted_at, message.delivered_at) == ("town", NOW, NOW)
    assert provider.asked == []
    assert gateway.asked == []


def test_in_earnest_the_channels_are_those_of_the_settings() -> None:
    given = {
        "channels": ["gateway", "twilio"], "twilio_account": ACCOUNT, "twilio_token": TOKEN,
        "twilio_number": NUMBER, "gateway_url": "https://sms.example/send",
        "gateway_token": "gateway-token",
    }  # fmt: skip
    built = channels_of(Settings.model_validate({"messages": given}).messages)
    assert list(built) == ["gateway", "twilio"]
    assert [type(one) for one in built.values()] == [GatewayChannel, TwilioChannel]
    assert channels_of(Settings().messages) == {}
