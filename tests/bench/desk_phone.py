"""A seat's telephone in the browser: how long from the click that answers to the elder's voice.

Everything runs: `./careline run`, a carrier with elders, and Chromium with a microphone. The voice
is a tone, and the page itself looks every few milliseconds whether it is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from playwright.sync_api import Page, expect

from tests.bench.desk_browser import browser
from tests.bench.place import bench_town, caller
from tests.desk.conftest import sign_in
from tests.house import Town

ELDER_HZ = 480
VOICE = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)
ANSWER = """async () => {
  const sound = window.benchSound ??= new AudioContext();
  const far = document.querySelector("audio");
  const begun = performance.now();
  document.querySelector("[data-f=answer]").click();
  while (!far.srcObject) await new Promise((done) => setTimeout(done, 2));
  const analyser = new AnalyserNode(sound, { fftSize: 256 });
  new MediaStreamAudioSourceNode(sound, { mediaStream: far.srcObject }).connect(analyser);
  const wave = new Float32Array(analyser.fftSize);
  while (performance.now() - begun < 10000) {
    analyser.getFloatTimeDomainData(wave);
    if (wave.some((value) => Math.abs(value) > 0.01)) return performance.now() - begun;
    await new Promise((done) => setTimeout(done, 2));
  }
  return null;
}"""


def click_to_sound_ms(calls: int) -> list[float | None]:
    """Milliseconds from the click to the first sound, call by call; None for one without sound."""
    # The house has event loops of its own, and the browser's occupies this thread.
    with (
        ThreadPoolExecutor(1) as outside,
        _town(outside) as town,
        browser(*VOICE) as chromium,
    ):
        context = chromium.new_context(locale="zh-CN", base_url=town.house.ready["desk"])
        page = context.new_page()
        sign_in(page, town.house.admin_password)
        page.wait_for_url("**/")
        page.goto("/phone")
        page.get_by_role("button", name="1001").click()
        return [_call(outside, town, page, number) for number in range(calls)]


@contextmanager
def _town(outside: ThreadPoolExecutor) -> Iterator[Town]:
    stack = ExitStack()
    try:
        yield outside.submit(stack.enter_context, bench_town(1)).result()
    finally:
        outside.submit(stack.close).result()


def _call(outside: ThreadPoolExecutor, town: Town, page: Page, number: int) -> float | None:
    state = page.locator("#phone [data-f=state]")
    expect(state).to_have_text("就绪", timeout=20_000)
    elder = outside.submit(town.carrier.call, "96102", caller(number), tone=ELDER_HZ).result()
    expect(page.get_by_role("button", name="接听")).to_be_visible(timeout=30_000)
    took: float | None = page.evaluate(ANSWER)
    outside.submit(elder.hang_up).result()
    return took
