"""`bench arrive`: from a caller's INVITE to the first sound of the first prompt.

The caller is a bare SIP and RTP client: what is measured is the centre alone.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Callable
from typing import Final

from tests.bench.place import bench_house
from tests.bench.result import Result, Target, percentile

PER_S: Final = 5.0
HEARD_WITHIN_S: Final = 5.0
FRAME_S: Final = 0.02
SILENCE: Final = b"\xd5" * 160
RTP_HEAD: Final = 12
A_LAW_LOUD: Final = 16
"""The 16th of A-law's 128 steps, 42 dB below full scale: what is softer is no sound yet."""
SDP: Final = (
    "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\n"
)


def bench(seconds: float = 30.0) -> Result:
    """Calls to the hotline, five a second; each hangs up when it has heard the first sound."""
    with bench_house() as (house, block):
        calls = max(1, int(seconds * PER_S))
        took = asyncio.run(_call_all(house.settings.addresses.sip_address, block.caller(0), calls))
    heard = [ms for ms in took if ms is not None]
    return Result(
        "arrive",
        {
            "calls": calls,
            "calls_without_sound": calls - len(heard),
            "p50_ms": percentile(heard, 0.5),
            "p99_ms": percentile(heard, 0.99),
            "worst_ms": percentile(heard, 1.0),
        },
        {"p99_ms": Target(at_most=250.0), "calls_without_sound": Target(at_most=0)},
    )


async def _call_all(centre: str, host: str, calls: int) -> list[float | None]:
    address, _, port = centre.rpartition(":")
    line = Line((address, int(port)), host)
    await line.open()
    try:
        async with asyncio.TaskGroup() as tasks:
            placed = []
            for _ in range(calls):
                placed.append(tasks.create_task(line.call()))
                await asyncio.sleep(1 / PER_S)
        return [task.result() for task in placed]
    finally:
        line.close()


class Received(asyncio.DatagramProtocol):
    """Hands every datagram on, with the moment of its coming."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        self._take(data)


class Line:
    """One SIP socket from which all the calls are placed."""

    def __init__(self, centre: tuple[str, int], host: str) -> None:
        self._centre = centre
        self._host = host
        self._numbers = itertools.count(1)
        self._answers: dict[str, asyncio.Future[str]] = {}
        self._sip: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        self._sip, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Received(self._take), local_addr=(self._host, 5060)
        )

    def close(self) -> None:
        if self._sip:
            self._sip.close()

    def _take(self, data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        found = re.search(r"^Call-ID: *(\S+)", text, re.MULTILINE | re.IGNORECASE)
        if not found:
            return
        is_final = re.match(r"SIP/2\.0 [2-6]", text) and re.search(r"CSeq: 1 INVITE", text)
        waiting = self._answers.get(found[1])
        if is_final and waiting and not waiting.done():
            waiting.set_result(text)

    async def call(self) -> float | None:
        """Milliseconds from the INVITE to the first packet that one hears; None when none came."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[float] = loop.create_future()

        def take(packet: bytes) -> None:
            if is_sound(packet) and not heard.done():
                heard.set_result(time.monotonic())

        sound, _ = await loop.create_datagram_endpoint(
            lambda: Received(take), local_addr=(self._host, 0)
        )
        number, port = next(self._numbers), sound.get_extra_info("sockname")[1]
        id_ = f"bench-{number}@{self._host}"
        answer = self._answers[id_] = loop.create_future()
        speaking: asyncio.Task[None] | None = None
        to = f"<sip:96100@{self._centre[0]}>"
        begun = time.monotonic()
        try:
            self._request(number, id_, "INVITE", 1, to, SDP.format(host=self._host, port=port))
            async with asyncio.timeout(HEARD_WITHIN_S):
                text = await answer
                to = _header(text, "To")
                self._request(number, id_, "ACK", 1, to)
                speaking = asyncio.create_task(_speak(sound, text))
                return (await heard - begun) * 1000
        except TimeoutError:
            return None
        finally:
            self._request(number, id_, "BYE", 2, to)
            del self._answers[id_]
            if speaking:
                speaking.cancel()
            sound.close()

    def _request(
        self, number: int, id_: str, method: str, sequence: int, to: str, body: str = ""
    ) -> None:
        lines = [
            f"{method} sip:96100@{self._centre[0]}:{self._centre[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._host}:5060;branch=z9hG4bK{number}{method};rport",
            "Max-Forwards: 70",
            f"From: <sip:13800000001@{self._host}>;tag=bench{number}",
            f"To: {to}",
            f"Call-ID: {id_}",
            f"CSeq: {sequence} {method}",
            f"Contact: <sip:{self._host}:5060>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        assert self._sip
        self._sip.sendto(("\r\n".join(lines) + "\r\n\r\n" + body).encode(), self._centre)


def is_sound(packet: bytes) -> bool:
    """Whether anybody would hear something of this A-law packet."""
    # Every other bit of A-law is turned over on the line, and the first is the sign.
    return any((step ^ 0x55) & 0x7F >= A_LAW_LOUD for step in packet[RTP_HEAD:])


def _header(text: str, name: str) -> str:
    found = re.search(rf"^{name}: *(.*?)\r?$", text, re.MULTILINE | re.IGNORECASE)
    assert found, text
    return found[1]


async def _speak(sound: asyncio.DatagramTransport, answer: str) -> None:
    """Send silence, as a telephone does: Asterisk waits half a second for a caller who is mute."""
    host = re.search(r"^c=IN IP4 (\S+)", answer, re.MULTILINE)
    port = re.search(r"^m=audio (\d+)", answer, re.MULTILINE)
    assert host, answer
    assert port, answer
    for number in itertools.count():
        head = bytes([0x80, 8]) + number.to_bytes(2, "big") + (number * 160).to_bytes(4, "big")
        sound.sendto(head + b"care" + SILENCE, (host[1], int(port[1])))
        await asyncio.sleep(FRAME_S)
