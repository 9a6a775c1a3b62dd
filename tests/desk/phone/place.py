"""What the tests of the telephone in the browser have in common."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.house import Town, call_of
from tests.observer import wait_until
from tests.telephone import Leg

SEAT_HZ = 1150
"""What the seat says into the microphone."""
ELDER_HZ = 480

HEARD = """async (hertz) => {
  const stream = document.querySelector("audio").srcObject;
  if (!stream) return 0;
  const sound = window.testSound ??= new AudioContext();
  const analyser = new AnalyserNode(sound, { fftSize: 4096 });
  new MediaStreamAudioSourceNode(sound, { mediaStream: stream }).connect(analyser);
  await new Promise((done) => setTimeout(done, 300));
  const bins = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(bins);
  const at = (hz) => Math.round(hz * analyser.fftSize / sound.sampleRate);
  const loudest = bins.indexOf(Math.max(...bins));
  return Math.abs(loudest - at(hertz)) <= 2 && bins[loudest] > -60 ? 1 : 0;
}"""


def take_seat(context: BrowserContext, seat: str = "1001") -> Page:
    """The telephone of the seat, ready for calls."""
    page = context.new_page()
    page.goto("/phone")
    if page.locator("#phone").count() == 0:
        page.get_by_role("button", name=seat).click()
        again = page.get_by_role("button", name="接替")
        if again.count():
            again.click()
    expect(page.locator("[data-f=state]")).to_have_text("就绪", timeout=15_000)
    return page


def state_of(phone: Page) -> Locator:
    """What the telephone says that it does."""
    return phone.locator("#phone [data-f=state]")


def dial(phone: Page, number: str) -> None:
    phone.get_by_label("要拨的号码").fill(number)
    phone.get_by_role("button", name="拨号", exact=True).click()


def arrive(town: Town, number: str = "13800000001") -> tuple[Leg, str]:
    """An elder calls the hotline and waits for a seat."""
    since = len(town.observer.events)
    elder = town.carrier.call("96100", number, tone=ELDER_HZ).wait_talking()
    call = call_of(town, since)
    channel = town.observer.wait_for("CallArrived", since=since)["Channel"]
    town.observer.action("Redirect", Channel=channel, Context="waiting", Exten="s", Priority="1")
    return elder, call


def reach_carrier(town: Town) -> None:
    """Ask the carrier at once whether it is there; it came up after the centre."""
    town.observer.action("PJSIPQualify", Endpoint="trunk-carrier")
    wait_until(
        lambda: any(
            m.get("Status") == "Reachable"
            for m in town.observer.list_of("PJSIPShowEndpoint", Endpoint="trunk-carrier")
        ),
        8,
        "the carrier answers",
    )


def hears(page: Page, hertz: float) -> bool:
    return bool(page.evaluate(HEARD, hertz))


def is_registered(town: Town) -> bool:
    """Whether Asterisk knows of a browser for the seat."""
    listed = town.observer.list_of("PJSIPShowContacts")
    return any(m.get("ObjectName", "").startswith("1001-desk;") for m in listed)


NOTICED_S = 10
"""Promised are 5 s; the rest is for a machine that does ten other things."""


def noticed(is_noticed: Callable[[], bool], what: str) -> None:
    """Return when it is noticed, and say after how long."""
    begun = time.monotonic()
    wait_until(is_noticed, NOTICED_S, what)
    print(f"{what}: after {time.monotonic() - begun:.1f} s")


def wait_for_table(town: Town) -> None:
    """The telephone on the table is the seat's again: it rings and is answered."""
    table = town.carrier.phone("1001").answers(0.1, SEAT_HZ)
    elder, _call = arrive(town)
    table.wait_ringing(15).wait_talking()
    elder.hang_up()
    table.rings()


class Link:
    """A network between a browser and the desk (HOST:PORT). While it is cut nothing passes, and
    nobody is told; what was on its way comes when it is mended."""

    def __init__(self, desk: str) -> None:
        host, _, port = desk.rpartition(":")
        self._desk = host, int(port)
        self._passes = threading.Event()
        self._passes.set()
        self._listening = socket.create_server((host, 0))
        self._open: list[socket.socket] = [self._listening]
        self._tells = True
        self._threads: list[threading.Thread] = []
        self.address = "{}:{}".format(*self._listening.getsockname())

    def __enter__(self) -> Link:
        self._run(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._passes.set()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)

    def cut(self) -> None:
        self._passes.clear()

    def mend(self) -> None:
        self._passes.set()

    def change(self) -> None:
        """The browser goes over to another network: what it had is gone, and no goodbye arrives."""
        self._tells = False
        for near in self._open[1::2]:
            with contextlib.suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)

    def _run(self, work: Callable[..., None], *words: socket.socket) -> None:
        thread = threading.Thread(target=work, args=words, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                self._passes.wait()
                far = socket.create_connection(self._desk)
                self._open += [near, far]
                self._run(self._carry, near, far)
                self._run(self._carry, far, near)

    def _carry(self, out_of: socket.socket, into: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := out_of.recv(65536):
                self._passes.wait()
                into.sendall(data)
            if self._tells:
                into.shutdown(socket.SHUT_WR)
