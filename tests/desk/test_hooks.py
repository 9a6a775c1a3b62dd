"""What providers report of messages reaches the case, and nobody else's word does."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from home import Home
from settings import Settings, load
from telephony.messages.twilio import TwilioChannel
from tests.desk.centre import Centre
from tests.desk.conftest import Desk, new_home, open_centre, started_desk
from tests.observer import wait_until
from tests.providers import ACCOUNT, NUMBER, TOKEN, FakeTwilio, Sent, post, serving, signature
from workflows.message import Message, State
from workflows.messages import case_of, write

PUBLIC: Final = "https://desk.example/careline"
REPORT_TOKEN: Final = "reports-of-the-gateway"
TO: Final = "+8613800000021"
TEXT: Final = "春秋小区7栋2单元402"
MESSAGES: Final = f"""
[messages]
channels = ["twilio", "gateway"]
public_url = "{PUBLIC}"
twilio_account = "{ACCOUNT}"
twilio_token = "{TOKEN}"
twilio_number = "{NUMBER}"
gateway_url = "https://sms.example/send"
gateway_token = "gateway-token"
gateway_report_token = "{REPORT_TOKEN}"
"""


@pytest.fixture(scope="module")
def told_home() -> Iterator[tuple[Home, Path, Settings]]:
    with new_home() as (home, config, _):
        config.write_text(config.read_text("utf-8") + MESSAGES, "utf-8")
        yield home, config, load(config, {})


@pytest.fixture(scope="module")
def told_centre(told_home: tuple[Home, Path, Settings]) -> Iterator[Centre]:
    home, _, settings = told_home
    with open_centre(home, settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def told_desk(told_home: tuple[Home, Path, Settings], told_centre: Centre) -> Iterator[Desk]:
    """A desk behind a proxy, to which providers may report."""
    with started_desk(*told_home) as started:
        yield started


class Place:
    """A case with one message, which Twilio has taken, and the means to report of it."""

    cases = 0

    def __init__(self, desk: Desk, centre: Centre) -> None:
        Place.cases += 1
        self.desk, self.centre = desk, centre
        self.id = f"test-7.{Place.cases}-M1"
        self.case_id = case_of(self.id)
        written, _ = write(
            self.case_id, 1, to=TO, name="王小兰", text=TEXT, channels=("twilio", "gateway"),
            at=datetime.now(UTC),
        )  # fmt: skip
        centre.messages[self.case_id] = (written,)
        self.sent = Sent(f"SM{Place.cases:032x}", TO, TEXT, self.callback())

    def callback(self, asking: int = 1) -> str:
        return f"{PUBLIC}/hooks/twilio?message={self.id}.{asking}"

    @property
    def message(self) -> Message:
        (now,) = self.centre.messages[self.case_id]
        return now

    def form(self, status: str, code: str = "") -> dict[str, str]:
        return FakeTwilio().form_of(self.sent, status, code)

    def reports(self, status: str, code: str = "", asking: int = 1) -> http.client.HTTPResponse:
        """As Twilio does, by way of the proxy."""
        form, url = self.form(status, code), self.callback(asking)
        return self.posts(url, form, signature(url, form))

    def posts(self, url: str, form: dict[str, str], signed: str | None) -> http.client.HTTPResponse:
        headers = {"X-Twilio-Signature": signed} if signed is not None else {}
        return ask(self.desk, url.removeprefix(PUBLIC), urlencode(form), **headers)

    def is_refused(self, answer: http.client.HTTPResponse) -> bool:
        """Refused without a word, and nothing told."""
        told = [e for e in self.centre.told_of_messages if e.case_id == self.case_id]
        return answer.status == 403 and answer.text == "" and not told  # type: ignore[attr-defined]


def ask(desk: Desk, path: str, body: str | bytes, **headers: str) -> http.client.HTTPResponse:
    """One bare request, with what a proxy adds."""
    host, port = desk.settings.addresses.desk_address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    given = {
        "Host": "desk.example", "Content-Type": "application/x-www-form-urlencoded", **headers
    }  # fmt: skip
    connection.request("POST", path, body, given)
    answer = connection.getresponse()
    answer.text = answer.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return answer


@pytest.fixture
def place(told_desk: Desk, told_centre: Centre) -> Place:
    return Place(told_desk, told_centre)


# ── Twilio ────────────────────────────────────────────────────────────────────────────────────


def test_a_message_goes_out_to_twilio_and_its_delivery_comes_back_to_the_case(
    place: Place,
) -> None:
    """The whole way: the SDK, the provider, its signed callbacks, the desk, the controller."""
    twilio = FakeTwilio()

    async def go() -> list[int]:
        async with serving(twilio):
            channel = TwilioChannel(ACCOUNT, TOKEN, NUMBER, PUBLIC, host=twilio.url)
            await channel.send(f"{place.id}.1", TO, TEXT)
            (sent,) = twilio.taken
            statuses = []
            for status in ("sending", "sent", "delivered"):
                form = twilio.form_of(sent, status)
                headers = {"X-Twilio-Signature": signature(sent.callback, form)}
                local = sent.callback.replace(PUBLIC, place.desk.url)
                code, _ = await post(local, form, headers | {"Host": "desk.example"})
                statuses.append(code)
            return statuses

    before = datetime.now(UTC)
    # A browser of another test may have a loop of its own in this thread.
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(lambda: asyncio.run(go())).result() == [204, 204, 204]
    now = place.message
    assert (now.state, now.provider_id) == (State.DELIVERED, twilio.taken[0].sid)
    assert now.accepted_at is not None
    assert now.delivered_at is not None
    assert before <= now.accepted_at <= now.delivered_at < before + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("queued", State.SENT),
        ("sending", State.SENT),
        ("sent", State.SENT),
        ("delivered", State.DELIVERED),
        ("read", State.DELIVERED),
    ],
)
def test_each_status_means_what_it_says(place: Place, status: str, state: State) -> None:
    assert place.reports(status).status == 204
    assert place.message.state is state


@pytest.mark.parametrize("status", ["undelivered", "failed"])
def test_what_cannot_be_delivered_goes_by_the_next_channel(place: Place, status: str) -> None:
    place.reports("sent")
    assert place.reports(status, "30003").status == 204
    now = place.message
    assert (now.state, now.channel, now.tried) == (State.QUEUED, "gateway", ("twilio",))
    assert (now.code, now.reason) == ("30003", "the telephone is switched off or cannot be reached")


def test_a_line_that_is_full_is_tried_again(place: Place) -> None:
    assert place.reports("failed", "30001").status == 204
    assert (place.message.state, place.message.channel) == (State.WAITING, "twilio")


def test_doubled_and_late_reports_are_taken_and_change_nothing(place: Place) -> None:
    for status in ("delivered", "delivered", "sent", "queued", "delivered"):
        assert place.reports(status).status == 204
    assert place.message.state is State.DELIVERED
    assert place.reports("undelivered", "30003").status == 204
    assert place.message.state is State.DELIVERED


def test_a_report_of_an_older_asking_is_told_apart(place: Place) -> None:
    place.reports("undelivered", "30003")
    assert place.message.asked == 2
    place.reports("undelivered", "30005", asking=1)
    assert (place.message.asked, place.message.code) == (2, "30003")


def test_what_twilio_says_in_words_of_tomorrow_is_taken_and_only_logged(place: Place) -> None:
    assert place.reports("teleported").status == 204
    assert place.message.state is State.QUEUED
    assert "was not understood" in place.desk.log()


@pytest.mark.parametrize("id_", ["nobody-1.1-M1.1", "nobody-1.1-M1", "", "x" * 500, "a%00b-M1.1"])
def test_a_message_that_nobody_knows_is_taken_and_logged(place: Place, id_: str) -> None:
    url = f"{PUBLIC}/hooks/twilio?message={id_}"
    form = place.form("delivered")
    already = place.desk.log()
    answer = place.posts(url, form, signature(url, form))
    assert (answer.status, answer.text) == (204, "")  # type: ignore[attr-defined]
    said = place.desk.log().removeprefix(already)
    assert "nobody knows" in said or "not understood" in said
    assert len(said) < 1000


def test_a_callback_without_any_address_of_ours_is_taken(place: Place) -> None:
    """The number's own callback in Twilio's console leads here too."""
    url, form = f"{PUBLIC}/hooks/twilio", place.form("delivered")
    assert place.posts(url, form, signature(url, form)).status == 204
    assert place.message.state is State.QUEUED


def test_a_port_in_the_signed_address_is_no_forgery(place: Place) -> None:
    """Twilio signs with the port or without it."""
    form, url = place.form("delivered"), place.callback()
    with_port = url.replace("desk.example", "desk.example:443")
    assert place.posts(url, form, signature(with_port, form)).status == 204
    assert place.message.state is State.DELIVERED


def forgeries(place: Place) -> dict[str, http.client.HTTPResponse]:
    url, form = place.callback(), place.form("delivered")
    right = signature(url, form)
    other = f"{PUBLIC}/hooks/twilio?message=test-7.999-M1.1"
    local = url.replace(PUBLIC, place.desk.url)
    tampered = {**form, "MessageStatus": "undelivered"}
    return {
        "unsigned": place.posts(url, form, None),
        "empty signature": place.posts(url, form, ""),
        "another token": place.posts(url, form, signature(url, form, "another-token")),
        "no token": place.posts(url, form, signature(url, form, "")),
        "another message": place.posts(url, form, signature(other, form)),
        "another status": place.posts(url, tampered, right),
        "a field more": place.posts(url, {**form, "x": "y"}, right),
        "a field less": place.posts(url, {"MessageStatus": "delivered"}, right),
        "the address inside": place.posts(url, form, signature(local, form)),
        "without encryption": place.posts(
            url, form, signature(url.replace("https:", "http:"), form)
        ),
        "another query": place.posts(f"{url}&x=1", form, right),
        "odd signature": place.posts(url, form, "é" * 28),
        "long signature": place.posts(url, form, "A" * 7000),
    }


def test_forged_and_unsigned_reports_are_refused_and_told_to_nobody(place: Place) -> None:
    for how, answer in forgeries(place).items():
        assert place.is_refused(answer), how
    assert place.message.state is State.QUEUED
    log = place.desk.log()
    assert TO[1:] not in log
    assert place.id not in log.split("a report of messages was refused")[-1]


def test_what_is_no_form_is_refused(place: Place) -> None:
    path = place.callback().removeprefix(PUBLIC)
    right = {"X-Twilio-Signature": signature(place.callback(), {})}
    many = "&".join(f"f{n}=1" for n in range(500))
    multipart = "--x\r\nContent-Disposition: form-data; name=MessageStatus\r\n\r\nsent\r\n--x--\r\n"
    for body, kind in (
        (b"MessageStatus=\xff\xfe", "application/x-www-form-urlencoded"),
        (b"\xff\xfe=delivered", "application/x-www-form-urlencoded"),
        (many.encode(), "application/x-www-form-urlencoded"),
        (multipart.encode(), "multipart/form-data; boundary=x"),
        (b'{"MessageStatus": "delivered"}', "application/json"),
    ):
        wrong = ask(place.desk, path, body, **{"Content-Type": kind, "X-Twilio-Signature": "AA=="})
        assert place.is_refused(wrong), body
        ask(place.desk, path, body, **{"Content-Type": kind}, **right)
        assert place.message.state is State.QUEUED, body


@pytest.mark.parametrize("path", ["/hooks/twilio", "/hooks/gateway"])
def test_a_report_that_is_too_long_is_not_read(place: Place, path: str) -> None:
    headers = {"Authorization": f"Bearer {REPORT_TOKEN}"}
    assert ask(place.desk, path, "x=" + "y" * 20_000, **headers).status == 413


def test_a_report_that_never_ends_is_not_waited_for(place: Place) -> None:
    host, port = place.desk.settings.addresses.desk_address.rsplit(":", 1)
    began = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=30) as line:
        line.sendall(
            b"POST /hooks/twilio HTTP/1.1\r\nHost: desk.example\r\nContent-Length: 900\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\nMessageStatus=sent"
        )
        assert b" 408 " in line.recv(4096).splitlines()[0]
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_reports_come_in_there(place: Place, method: str) -> None:
    host, port = place.desk.settings.addresses.desk_address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request(method, "/hooks/twilio", headers={"Host": "desk.example"})
    assert connection.getresponse().status in (401, 405)
    connection.close()


def test_a_report_that_meets_a_controller_on_its_way_back_is_told_all_the_same(
    place: Place,
) -> None:
    place.centre.go_away()
    answers: list[int] = []
    reporting = threading.Thread(target=lambda: answers.append(place.reports("delivered").status))
    already = place.desk.log()
    reporting.start()
    wait_until(
        lambda: "a report waits" in place.desk.log().removeprefix(already), 10, "a try in vain"
    )
    place.centre.come_back()
    reporting.join(20)
    assert answers == [204]
    assert place.message.state is State.DELIVERED


def test_without_a_controller_a_report_is_said_not_to_be_taken(place: Place) -> None:
    place.centre.go_away()
    try:
        assert place.reports("delivered").status == 503
    finally:
        place.centre.come_back()
    assert place.reports("delivered").status == 204
    assert place.message.state is State.DELIVERED


def test_other_names_are_still_no_names_of_the_desk(place: Place) -> None:
    answer = ask(place.desk, "/hooks/twilio", "", Host="evil.example")
    assert answer.status == 421


# ── the gateway ───────────────────────────────────────────────────────────────────────────────


def say(
    place: Place, token: str | None = REPORT_TOKEN, body: Any = None, **said: object
) -> http.client.HTTPResponse:
    given = json.dumps({"id": f"{place.id}.1", **said}) if body is None else body
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return ask(place.desk, "/hooks/gateway", given, **headers)


def test_a_gateway_reports_how_far_a_message_has_come(place: Place) -> None:
    assert say(place, status="sent", provider_id="gw-7").status == 204
    assert (place.message.state, place.message.provider_id) == (State.SENT, "gw-7")
    for _ in range(2):
        assert say(place, status="delivered").status == 204
        assert place.message.state is State.DELIVERED


def test_a_gateway_says_why_it_could_not_deliver(place: Place) -> None:
    busy: dict[str, Any] = {
        "status": "failed",
        "code": "BUSY",
        "reason": "line\0 full",
        "is_temporary": True,
    }
    assert say(place, **busy).status == 204
    assert (place.message.state, place.message.reason) == (State.WAITING, "line  full")
    # Its own word that it had been taken comes after that.
    assert say(place, status="sent").status == 204
    assert place.message.state is State.WAITING
    assert say(place, status="failed", code="GONE").status == 204
    assert (place.message.state, place.message.channel) == (State.QUEUED, "gateway")


@pytest.mark.parametrize("token", [None, "", "guess", REPORT_TOKEN[:-1], f"{REPORT_TOKEN}x", "é"])
def test_a_gateway_without_its_token_is_refused(place: Place, token: str | None) -> None:
    assert place.is_refused(say(place, token, status="delivered"))
    assert place.message.state is State.QUEUED


@pytest.mark.parametrize(
    "body",
    [
        "", "{", "[]", "null", "[" * 5000, b"\xff\xfe", '{"id": 1, "status": "sent"}',
        '{"id": "a"}', '{"id": "a", "status": "gone"}',
        '{"id": "a", "status": "sent", "code": [1]}', r'{"id": "a\ud800", "status": "sent"}',
        json.dumps({"id": "a" * 121, "status": "sent"}),
        json.dumps({"id": "a", "status": "failed", "reason": "x" * 501}),
    ],
)  # fmt: skip
def test_what_a_gateway_says_wrongly_is_named(place: Place, body: str | bytes) -> None:
    answer = say(place, body=body)
    assert answer.status == 400
    said = json.loads(answer.text)["error"]  # type: ignore[attr-defined]
    assert re.search(r"right would be|id|status|code|reason", said)


@pytest.mark.parametrize("id_", ["nobody-1.1-M1.1", "x", "a\n-M1.1"])
def test_a_gateways_message_that_nobody_knows_is_taken_and_logged(place: Place, id_: str) -> None:
    already = place.desk.log()
    assert say(place, body=json.dumps({"id": id_, "status": "sent"})).status == 204
    assert "nobody knows" in place.desk.log().removeprefix(already)


# ── a desk that expects no reports ────────────────────────────────────────────────────────────


def test_without_tokens_nobody_can_report(desk: Desk) -> None:
    """An empty token is none: neither as a signature's key nor as a word."""
    form = {"MessageStatus": "delivered", "MessageSid": "SM1"}
    path = "/hooks/twilio?message=test-7.1-M1.1"
    host = desk.settings.addresses.desk_address.rsplit(":", 1)[0]
    for url in (path, f"{desk.url}{path}", f"https://{path}"):
        signed = signature(url, form, "")
        answer = ask(desk, path, urlencode(form), Host=host, **{"X-Twilio-Signature": signed})
        assert (answer.status, answer.text) == (403, "")  # type: ignore[attr-defined]
    body = json.dumps({"id": "test-7.1-M1.1", "status": "delivered"})
    for word in ("Bearer ", "Bearer", ""):
        answer = ask(desk, "/hooks/gateway", body, Host=host, Authorization=word)
        assert (answer.status, answer.text) == (403, "")  # type: ignore[attr-defined]
