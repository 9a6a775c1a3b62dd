"""A SIP peer that says exactly what a test tells it to, byte for byte, and sends no sound.

It calls with headers that no decent telephone would write, and plays a carrier or registrar that
refuses or says nothing at all.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import socket
import struct
import threading
import time
from types import TracebackType

from tests.observer import wait_until

_numbers = itertools.count(1)
REALM = "test"
NONCE = "only-for-tests"
CHALLENGES = {
    "REGISTER": (401, "WWW-Authenticate"),
    "INVITE": (407, "Proxy-Authenticate"),
}


class RawPeer:
    """Sits on HOST:5060 (UDP) and answers requests by their method with `answers`.

    A method whose answer is None gets none; BYE and CANCEL get 200, ACK nothing. `requests` keeps
    everything that came. A positive REGISTER is confirmed for the time that it asked for.

    With a `password` every REGISTER and INVITE is asked for it first, as carriers do (RFC 2617);
    `proven` keeps those that knew it.
    """

    def __init__(self, host: str, password: str = "", **answers: int | None) -> None:
        self.host = host
        self.password = password
        self.proven: list[str] = []
        self.answers: dict[str, int | None] = {"OPTIONS": 200, "BYE": 200, "CANCEL": 200}
        self.answers.update(answers)
        self.requests: list[str] = []
        self.responses: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 5060))
        self._socket.settimeout(0.1)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join()
        self._socket.close()

    def send(self, text: str, to: tuple[str, int]) -> None:
        """Send a message as it is; a lone surrogate stands for a byte that is no UTF-8."""
        self._socket.sendto(text.encode("utf-8", "surrogateescape"), to)

    def requests_of(self, method: str) -> list[str]:
        """The requests of this method that have come."""
        return [r for r in self.requests if r.startswith(method + " ")]

    def call(self, centre: str, number: str, sender: str, *headers: str) -> RawCall:
        """Send an INVITE. `sender` is all that stands in From before its tag."""
        host, _, port = centre.rpartition(":")
        return RawCall(self, (host, int(port)), number, sender, headers)

    def _read(self) -> None:
        while not self._closing.is_set():
            try:
                data, source = self._socket.recvfrom(65535)
            except TimeoutError:
                continue
            text = data.decode("utf-8", "surrogateescape")
            if not text.strip():
                continue  # Asterisk keeps the way open with empty lines.
            if text.startswith("SIP/2.0 "):
                self.responses.append(text)
            else:
                self.requests.append(text)
                self._answer(text, source)

    def _answer(self, request: str, source: tuple[str, int]) -> None:
        method = request.split(" ", 1)[0]
        status = self.answers.get(method)
        if method == "ACK" or status is None:
            return
        challenge = ""
        if self.password and method in CHALLENGES:
            if knows(request, self.password):
                self.proven.append(request)
            else:
                status, name = CHALLENGES[method]
                challenge = f'{name}: Digest realm="{REALM}", nonce="{NONCE}", qop="auth"'
        lines = [f"SIP/2.0 {status} Test"]
        head, _, _ = request.partition("\r\n\r\n")
        for line in head.split("\r\n")[1:]:
            name = line.partition(":")[0].lower()
            if name in ("via", "from", "to", "call-id", "cseq"):
                new_to = name == "to" and ";tag=" not in line
                lines.append(f"{line};tag=raw" if new_to else line)
            if method == "REGISTER" and status == 200 and name in ("contact", "expires"):
                lines.append(line)
        if challenge:
            lines.append(challenge)
        self.send("\r\n".join([*lines, "Content-Length: 0", "", ""]), source)


def knows(request: str, password: str) -> bool:
    """Whether the request proves that its sender knows the password."""
    found = re.search(r"^(?:Proxy-)?Authorization: Digest (.*)$", request, re.MULTILINE)
    if found is None:
        return False
    given = {key: quoted or bare for key, quoted, bare in
             re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', found[1])}  # fmt: skip
    if not given.keys() >= {"username", "uri", "nc", "cnonce", "qop", "nonce", "response"}:
        return False
    method = request.split(" ", 1)[0]
    secret = md5(f"{given['username']}:{REALM}:{password}")
    asked = md5(f"{method}:{given['uri']}")
    proof = md5(f"{secret}:{NONCE}:{given['nc']}:{given['cnonce']}:{given['qop']}:{asked}")
    return (given["nonce"], given["response"]) == (NONCE, proof)


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class RawCall:
    """One INVITE and what became of it; every final answer is acknowledged."""

    def __init__(
        self,
        peer: RawPeer,
        centre: tuple[str, int],
        number: str,
        sender: str,
        headers: tuple[str, ...],
    ) -> None:
        self._peer = peer
        self._centre = centre
        self._number = next(_numbers)
        self._id = f"raw-{self._number}@{peer.host}"
        self._target = f"sip:{number}@{centre[0]}:{centre[1]}"
        self._sender = sender
        self._to = f"<{self._target}>"
        self._packets = 0
        body = (
            f"v=0\r\no=- 1 1 IN IP4 {peer.host}\r\ns=-\r\nc=IN IP4 {peer.host}\r\nt=0 0\r\n"
            "m=audio 30000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
        )
        self._request("INVITE", 1, "Content-Type: application/sdp", *headers, body=body)

    def _request(self, method: str, sequence: int, *headers: str, body: str = "") -> None:
        lines = [
            f"{method} {self._target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._peer.host}:5060;branch=z9hG4bK{self._number}{method};rport",
            "Max-Forwards: 70",
            f"From: {self._sender};tag=raw",
            f"To: {self._to}",
            f"Call-ID: {self._id}",
            f"CSeq: {sequence} {method}",
            f"Contact: <sip:{self._peer.host}:5060>",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        self._peer.send("\r\n".join(lines) + "\r\n\r\n" + body, self._centre)

    def _statuses(self) -> list[tuple[int, str]]:
        mine = [r for r in self._peer.responses if self._id in r and re.search("CSeq: 1 INVITE", r)]
        return [(int(r.split(" ", 2)[1]), r) for r in mine]

    def status(self, timeout: float = 8.0) -> int:
        """The final answer to the INVITE, acknowledged."""
        status, text = wait_until(
            lambda: [s for s in self._statuses() if s[0] >= 200],
            timeout,
            "a final answer to a raw INVITE",
            lambda: self._peer.responses,
        )[0]
        to = re.search(r"^To: (.*)$", text, re.MULTILINE)
        assert to, text
        self._to = to[1].strip()
        self._request("ACK", 1)
        return status

    def says(self, seconds: float) -> None:
        """Send RTP of silence (PCMA) for so long, to where the answer wants it."""
        _, answer = next(one for one in self._statuses() if one[0] == 200)
        host, port = (
            re.search(r"^c=IN IP4 (\S+)", answer, re.MULTILINE),
            re.search(r"^m=audio (\d+)", answer, re.MULTILINE),
        )
        assert host, answer
        assert port, answer
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            mouth.bind((self._peer.host, 30000))
            for _ in range(round(seconds * 50)):
                self._packets += 1
                head = struct.pack("!BBHII", 0x80, 8, self._packets, self._packets * 160, 77)
                mouth.sendto(head + b"\xd5" * 160, (host[1], int(port[1])))
                time.sleep(0.02)

    def hang_up(self) -> None:
        """Send BYE."""
        self._request("BYE", 2)
