"""The test carrier: a second Asterisk that plays elders, terminals and the seats' telephones.

Every telephone plays a tone of its own and keeps what it hears, so that a test can prove who
heard whom. Start one with `Carrier(...)`; `claim_addresses` gives it addresses of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from asterisk_conf.instance import Bind, Installation, Instance
from asterisk_conf.render import (
    CARRIER_TEMPLATES,
    TEMPLATES,
    fill,
    lay_out,
    make_folder,
    write_files,
)
from tests.observer import Message, Observer, wait_until

AMI_PORT = 5038
AMI_SECRET = "only-for-tests"
FILES = (
    "asterisk.conf",
    "logger.conf",
    "rtp.conf",
    "indications.conf",
    "cdr.conf",
    "cel.conf",
    "http.conf",
    "modules.conf",
    "manager.conf",
    "pjsip.conf",
    "extensions.conf",
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of loopback addresses that belongs to one test run: 127.0.<n>.1 and so on."""

    prefix: str

    @property
    def centre(self) -> str:
        return f"{self.prefix}.1"

    @property
    def carrier(self) -> str:
        return f"{self.prefix}.2"

    @property
    def phones(self) -> str:
        return f"{self.prefix}.3"

    def caller(self, number: int) -> str:
        """The address of a scripted SIP peer, from 10 on."""
        return f"{self.prefix}.{10 + number}"


@contextmanager
def claim_addresses(first: int = 40) -> Iterator[Block]:
    """A block of addresses that no other test run uses at the same time."""
    for number in range(first, 250):
        mark = socket.socket()
        try:
            mark.bind((f"127.0.{number}.254", 5999))
        except OSError:
            mark.close()
            continue
        with mark:
            yield Block(f"127.0.{number}")
        return
    raise AssertionError("every block of loopback addresses is in use by another test run")


class Leg:
    """One channel of the carrier: a telephone on a call."""

    def __init__(self, carrier: Carrier, number: str, uniqueid: str) -> None:
        self._carrier = carrier
        self.number = number
        self.uniqueid = uniqueid

    @property
    def _observer(self) -> Observer:
        return self._carrier.observer

    def wait_talking(self, timeout: float = 12.0) -> Leg:
        """Return when the call is answered and the tone plays."""
        self._observer.wait_for("Talking", timeout, Uniqueid=self.uniqueid)
        return self

    @property
    def is_talking(self) -> bool:
        return bool(self._observer.find("Talking", Uniqueid=self.uniqueid))

    @property
    def has_ended(self) -> bool:
        return bool(self._observer.find("Hangup", Uniqueid=self.uniqueid))

    def wait_ended(self, timeout: float = 12.0) -> Message:
        """The Hangup event; `Cause` is the Q.850 cause that the carrier saw."""
        return self._observer.wait_for("Hangup", timeout, Uniqueid=self.uniqueid)

    def hang_up(self) -> None:
        """Put the receiver down and wait until the channel is gone."""
        self._observer.action("Hangup", Channel=self._channel(), Cause="16")
        self.wait_ended()

    def press(self, keys: str) -> None:
        """Send DTMF to the other side."""
        for key in keys:
            answer = self._observer.action(
                "PlayDTMF", Channel=self._channel(), Digit=key, Duration="120"
            )
            assert answer["Response"] == "Success", answer

    def falls_silent(self) -> None:
        """Stop the tone, and go on sending silence."""
        action, channel = self._observer.action, self._channel()
        action("Setvar", Channel=channel, Variable="TONE", Value="0")
        action("Redirect", Channel=channel, Context="talk", Exten="s", Priority="1")

    def _channel(self) -> str:
        return self._observer.wait_for("Newchannel", Uniqueid=self.uniqueid)["Channel"]

    def ears(self) -> Path:
        """The file that grows while this telephone hears something, also silence."""
        return self._carrier.ears / f"{self.number}-{self.uniqueid}-heard.wav"

    def bytes_heard(self) -> int:
        """How much that file has grown so far, 16,000 bytes a second. Asterisk begins it some time
        after the answer."""
        try:
            return self.ears().stat().st_size
        except FileNotFoundError:
            return 0

    def heard(self) -> Path:
        """What this telephone heard, as a WAV; only after the call."""
        return finished(self.ears())

    def keep_early_sound(self) -> Leg:
        """Keep also what is heard before the answer; call it right after dialling."""
        options = f"r({self._early})"
        answer = self._observer.action(
            "MixMonitor", Channel=self._channel(), File=f"{self._early}.mix.wav", Options=options
        )
        assert answer["Response"] == "Success", answer
        return self

    def wait_kept(self, seconds: float) -> Leg:
        """Return when so much was kept of what is heard from `keep_early_sound` on."""

        def kept() -> float:
            return self._early.stat().st_size / 16000 if self._early.exists() else 0.0

        wait_until(lambda: kept() >= seconds, 10, f"{seconds} s in {self._early}", kept)
        return self

    @property
    def _early(self) -> Path:
        return self._carrier.ears / f"{self.number}-{self.uniqueid}-early.wav"

    def heard_early(self) -> Path:
        """Everything that was heard, also before the answer; after `keep_early_sound`."""
        return finished(self._early)


class Telephone:
    """A telephone whose behaviour is a script; it is in force for the calls that come next."""

    def __init__(self, carrier: Carrier, number: str) -> None:
        self._carrier = carrier
        self.number = number
        self._since = 0

    def _does(self, what: str) -> Self:
        self._since = len(self._carrier.observer.events)
        self._carrier.observer.set_global(f"DOES_{self.number}", what)
        return self

    def answers(self, after: float = 0.2, tone: int = 600) -> Self:
        """Answers after so many seconds of ringing and plays the tone (Hz; 0 is silence)."""
        return self._does(f"answer:{after}:{tone}")

    def rings(self) -> Self:
        """Rings for ever."""
        return self._does("ring")

    def is_busy(self) -> Self:
        """Answers 486."""
        return self._does("busy")

    def is_missing(self) -> Self:
        """Answers 404: there is no such number."""
        return self._does("missing")

    def is_unavailable(self) -> Self:
        """Answers 503."""
        return self._does("unavailable")

    def declines(self) -> Self:
        """Answers 403."""
        return self._does("decline")

    def legs(self) -> list[Leg]:
        """The times it rang since its behaviour was last set, oldest first."""
        rang = self._carrier.observer.find("Rang", self._since, Number=self.number)
        return [Leg(self._carrier, self.number, m["Uniqueid"]) for m in rang]

    def wait_ringing(self, timeout: float = 12.0) -> Leg:
        """The latest time it rang; waits for the first."""
        self._carrier.observer.wait_for("Rang", timeout, self._since, Number=self.number)
        return self.legs()[-1]


class SeatPhone(Telephone):
    """A telephone that is signed in at the centre as a seat, and can dial."""

    def __init__(self, carrier: Carrier, extension: str) -> None:
        super().__init__(carrier, f"phone-{extension}")
        self.extension = extension

    def dials(self, number: str, tone: int = 600) -> Leg:
        """The seat dials the number; from the answer on the phone plays the tone."""
        return self._carrier.originate(
            f"PJSIP/{number}@{self.number}", self.number, self.extension, "", tone
        )


class Carrier:
    """The carrier's Asterisk, its subscribers, and the phones of the seats (extension: password).

    `centre` is the centre's SIP address (HOST:PORT); `block` says which addresses are ours.
    """

    def __init__(
        self,
        folder: Path,
        asterisk: Installation,
        user: str,
        block: Block,
        centre: str,
        seats: Mapping[str, str],
    ) -> None:
        self._user = user
        self._block = block
        self._seats = seats
        self._calls = itertools.count(1)
        self._events: list[Message] = []
        self.ears = folder / "ears"
        self.instance = Instance(folder / "asterisk", asterisk, user, self._binds())
        self._render(folder / "asterisk", asterisk, centre)

    def _binds(self) -> tuple[Bind, ...]:
        here = "the block of addresses"
        return (
            Bind(self._block.carrier, 5060, socket.SOCK_DGRAM, "carrier's SIP", here),
            Bind(self._block.phones, 5060, socket.SOCK_DGRAM, "phones' SIP", here),
            Bind(self._block.carrier, AMI_PORT, socket.SOCK_STREAM, "carrier's AMI", here),
        )

    def _render(self, root: Path, asterisk: Installation, centre: str) -> None:
        values = {
            "root": root,
            "modules_dir": asterisk.modules_dir,
            "node": "carrier",
            "host": self._block.carrier,
            "phones_host": self._block.phones,
            "centre": centre,
            "centre_host": centre.rpartition(":")[0],
            "seats": [{"extension": e, "password": p} for e, p in self._seats.items()],
            "ami_port": AMI_PORT,
            "ami_secret": AMI_SECRET,
            "rtp_first": 20000,
            "rtp_last": 20999,
            "ears": self.ears,
        }
        texts = fill((CARRIER_TEMPLATES, TEMPLATES), values, FILES)
        lay_out(root, asterisk, self._user)
        make_folder(self.ears, self._user)
        write_files(root / "etc", texts, self._user)

    def start(self) -> None:
        """Start it and sign in; after a kill its events go on in the same list."""
        asyncio.run(self.instance.start())
        self.observer = Observer(self._block.carrier, "carrier", AMI_SECRET, events=self._events)

    def kill(self) -> None:
        """Let it vanish as in a power cut: no BYE, no more sound."""
        pid = self.instance.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        asyncio.run(self.instance.wait())
        self.observer.close()

    def stop(self) -> None:
        """End it with every call that it has."""
        self.observer.close()
        asyncio.run(self.instance.stop())

    def wait_registered(self, timeout: float = 30.0) -> None:
        """Return when the centre has accepted every seat's phone."""
        wait_until(lambda: self._registered() >= len(self._seats), timeout, "all phones registered")

    def _registered(self) -> int:
        entries = self.observer.list_of("PJSIPShowRegistrationsOutbound")
        return len([entry for entry in entries if entry.get("Status") == "Registered"])

    def phone(self, extension: str) -> SeatPhone:
        """The phone of a seat."""
        return SeatPhone(self, extension)

    def number(self, number: str) -> Telephone:
        """A subscriber of the carrier: an elder's terminal, a relative, the rescue service."""
        return Telephone(self, number)

    def call(
        self, number: str, caller: str = "13800000001", name: str = "", tone: int = 440
    ) -> Leg:
        """An elder dials a number of the centre; from the answer on a tone plays (0: silence)."""
        return self.originate(f"PJSIP/{number}@centre", caller or "anonymous", caller, name, tone)

    def hang_up_all(self) -> None:
        """Put every receiver down."""
        for channel in self.observer.channels():
            self.observer.action("Hangup", Channel=channel)

    def originate(self, channel: str, number: str, caller: str, name: str, tone: int) -> Leg:
        """Place a call from the telephone `number`; does not wait for the answer."""
        uniqueid = f"call-{next(self._calls)}"
        answer = self.observer.action(
            "Originate",
            ("Variable", f"NUMBER={number}"),
            ("Variable", f"TONE={tone}"),
            Channel=channel,
            ChannelId=uniqueid,
            CallerID=f'"{name}" <{caller}>',
            Context="talk",
            Exten="s",
            Priority="1",
            Timeout="120000",
            Async="true",
        )
        assert answer["Response"] == "Success", answer
        return Leg(self, number, uniqueid)


def finished(wav: Path, timeout: float = 10.0) -> Path:
    """The WAV once its writer has closed it (the length in its header fits its size)."""

    def whole() -> bool:
        try:
            with wave.open(str(wav), "rb") as sound:
                return sound.getnframes() * sound.getsampwidth() + 44 >= wav.stat().st_size > 44
        except (OSError, EOFError, wave.Error):
            return False

    wait_until(whole, timeout, f"a finished {wav}", lambda: sorted(wav.parent.glob("*")))
    return wav
