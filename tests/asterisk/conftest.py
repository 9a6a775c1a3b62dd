"""The pair on which the telephone tests run: the centre's Asterisk, and a carrier with telephones.

Careline's own processes are not there: what these tests show, the dialplan does alone.
"""

from __future__ import annotations

import asyncio
import pwd
import shutil
import tempfile
import time
import wave
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import asterisk_conf.render
from asterisk_conf.instance import Installation, Instance, service_user
from asterisk_conf.render import centre_instance, render
from asterisk_conf.sounds import PROMPTS
from home import Home
from launch import asterisk_tree
from settings import Settings
from tests.observer import Observer, wait_until
from tests.telephone import Block, Carrier, claim_addresses

PROMPT_IDS = (
    *("notice", "greeting", "menu", "please-wait", "emergency-wait", "goodbye", "sorry"),
    *("queue-youarenext", "queue-thereare", "queue-callswaiting", "queue-thankyou"),
    *("queue-periodic-announce", "busy", "no-answer", "failed", "not-allowed"),
    *(f"digits/{number}" for number in range(11)),
)

REGISTRAR_PASSWORD = "for, (tests) = #1"
"""With signs that mean something in Asterisk's files."""


@dataclass(slots=True)
class Centre:
    """The centre's Asterisk, rendered from `settings` into `home`, and an observer of it."""

    settings: Settings
    home: Home
    instance: Instance
    prompts: Path
    observer: Observer
    said_at_start: str
    """What its log said until it served; the tests' own odd calls complain later."""

    def recording(self, call: str, side: str = "") -> Path:
        """The file of a call: the mix, or the side "elder" or "others"."""
        return self.home.live_recordings / f"{call}{'-' + side if side else ''}.wav"

    def prompt(self, name: str) -> Path:
        """The sound file of a prompt."""
        return self.prompts / "zh" / f"{name}.wav"

    def pause(self, seat: str, paused: bool = True) -> None:
        """Take a seat out of the queues, or put it back."""
        interface = f"PJSIP/{seat}"
        flag = "true" if paused else "false"
        answer = self.observer.action("QueuePause", Interface=interface, Paused=flag)
        assert answer["Response"] == "Success", answer

    def free_seats(self) -> list[str]:
        """The seats that a queue would ring now, wrap-up over."""
        members = self.observer.list_of("QueueStatus", Queue="hotline")
        return sorted(
            m["Name"]
            for m in members
            if m["Event"] == "QueueMember"
            and (m["Status"], m["Paused"]) == ("1", "0")
            and int(m["LastCall"]) + 1 < time.time()
        )

    def wait_reachable(self, trunk: str) -> None:
        """Ask a carrier until it has answered that it is there."""

        def answers() -> bool:
            self.cli(f"pjsip qualify trunk-{trunk}")
            return "Avail" in self.cli(f"pjsip show aor trunk-{trunk}").replace("Unavail", "")

        wait_until(answers, 30, f"{trunk} is reachable")

    def cli(self, command: str) -> str:
        """What the console prints for a command."""
        return asyncio.run(self.instance.cli(command))


@pytest.fixture(scope="session")
def block() -> Iterator[Block]:
    """Loopback addresses that no other test run uses."""
    with claim_addresses() as claimed:
        yield claimed


@pytest.fixture(scope="session")
def installation() -> Installation:
    """The Asterisk of this machine; without one the test fails and says how to get it."""
    return asterisk_tree.find()


@pytest.fixture(scope="session")
def asterisk_user() -> str:
    """Whom Asterisk runs as; as root before `./careline prepare` that is `nobody`."""
    user = service_user()
    if user and user not in {entry.pw_name for entry in pwd.getpwall()}:
        return "nobody"
    return user


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A folder with a short path that another user may enter (pytest's own is closed)."""
    folder = Path(tempfile.mkdtemp(prefix="careline-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def prompts(place: Path) -> Path:
    """The prompts of the checkout, or noises instead of them while it has none."""
    if (PROMPTS / "zh" / "greeting.wav").exists():
        return PROMPTS
    folder = place / "prompts"
    for number, name in enumerate(PROMPT_IDS):
        _noise(folder / "zh" / f"{name}.wav", 1.2, number)
    _noise(folder / "moh" / "calm.wav", 20, 99)
    return folder


def _noise(wav: Path, length: float, seed: int) -> None:
    wav.parent.mkdir(parents=True, exist_ok=True)
    sound = np.random.default_rng(seed).normal(0, 2000, int(8000 * length)).astype("<i2")
    with wave.open(str(wav), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(sound.tobytes())


@pytest.fixture(scope="session")
def centre_settings(block: Block) -> Settings:
    """Three carriers, of which a test may play the second and third, and two seats."""
    peers = [block.carrier, *(block.caller(number) for number in range(5))]
    return Settings.model_validate(
        {
            "centre": {"node": "test"},
            "rescue": {"call_back_s": 0},
            "addresses": {"host": block.centre},
            "trunks": [
                {"name": "carrier", "host": f"{block.carrier}:5060", "match": peers},
                {"name": "second", "host": f"{block.caller(5)}:5060", "caller_number": "3210000"},
                {
                    "name": "registrar",
                    "host": f"{block.caller(6)}:5060",
                    "registers": True,
                    "username": "centre",
                    "password": REGISTRAR_PASSWORD,
                },
            ],
            "queues": [
                {"name": "hotline", "ring_s": 10, "wrap_up_s": 1, "max_waiting": 3},
                {"name": "emergency", "ring_s": 10, "weight": 10},
            ],
            "seats": [{"extension": "1001", "name": "王芳"}, {"extension": "1002"}],
        }
    )


@contextmanager
def running_centre(
    home: Home, settings: Settings, installation: Installation, user: str, prompts: Path
) -> Iterator[Centre]:
    """The centre's Asterisk with nothing beside it, until the block is left."""
    home.prepare()
    # A minute of ringing is right for people and too long for tests.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asterisk_conf.render, "RING_S", 10)
        render(settings, home, installation, user, prompts)
    instance = centre_instance(settings, home, installation, user)
    asyncio.run(instance.start())
    try:
        observer = Observer(settings.addresses.internal, "careline", home.secret("ami"))
        with closing(observer):
            said = (home.asterisk / "log" / "messages").read_text("utf-8", "replace")
            yield Centre(settings, home, instance, prompts, observer, said)
    finally:
        asyncio.run(instance.stop())


@contextmanager
def running_carrier(
    folder: Path, block: Block, centre: Centre, installation: Installation, user: str
) -> Iterator[Carrier]:
    """The carrier of this centre, with the phones of all its seats signed in."""
    settings = centre.settings
    seats = centre.home.seat_passwords(tuple(s.extension for s in settings.seats))
    carrier = Carrier(folder, installation, user, block, settings.addresses.sip_address, seats)
    carrier.start()
    try:
        carrier.wait_registered()
        # The centre looks twice a minute, and may have looked before the carrier was there.
        centre.wait_reachable("carrier")
        yield carrier
    finally:
        carrier.stop()


@pytest.fixture(scope="session")
def centre_asterisk(
    place: Path,
    prompts: Path,
    centre_settings: Settings,
    installation: Installation,
    asterisk_user: str,
) -> Iterator[Centre]:
    """The centre's Asterisk with nothing beside it: every AGI is refused."""
    home = Home(place / "home")
    with running_centre(home, centre_settings, installation, asterisk_user, prompts) as centre:
        yield centre


@pytest.fixture(scope="session")
def carrier(
    place: Path,
    block: Block,
    centre_asterisk: Centre,
    installation: Installation,
    asterisk_user: str,
) -> Iterator[Carrier]:
    """The test carrier, with the phones of both seats signed in at the centre."""
    folder = place / "carrier"
    with running_carrier(folder, block, centre_asterisk, installation, asterisk_user) as made:
        yield made


@pytest.fixture
def telephones(centre_asterisk: Centre, carrier: Carrier) -> Iterator[Carrier]:
    """The carrier for one test; afterwards no channel and no room may be left on either side."""
    carrier.phone("1001").rings()
    carrier.phone("1002").rings()
    wait_until(lambda: centre_asterisk.free_seats() == ["1001", "1002"], 5, "two free seats")
    yield carrier
    carrier.hang_up_all()
    carrier.observer.assert_idle()
    centre_asterisk.observer.assert_idle()
