"""What is heard: keys, music while held, and the microphone that somebody chose."""

from __future__ import annotations

import itertools
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect

from tests.asterisk.test_spine import side
from tests.audio import loud_seconds, tone_times
from tests.desk.looks import look_at
from tests.desk.phone.conftest import Outside
from tests.desk.phone.place import (
    ELDER_HZ,
    SEAT_HZ,
    dial,
    hears,
    reach_carrier,
    state_of,
    take_seat,
)
from tests.house import Town, kept_recording, listen
from tests.observer import wait_until
from tests.telephone import Leg

FAR = "13900000009"
STREAMS = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.streams = [];
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const stream = await open(wanted);
  streams.push(stream);
  return stream;
};
"""
PLUGGED = """
const unplugged = new Set();
const devices = navigator.mediaDevices;
const [all, any] = [devices.enumerateDevices.bind(devices), devices.getUserMedia];
devices.enumerateDevices = async () => (await all()).filter(({ label }) => !unplugged.has(label));
devices.getUserMedia = async (wanted) => {
  const id = wanted.audio.deviceId?.exact;
  if (id && !(await devices.enumerateDevices()).some(({ deviceId }) => deviceId === id))
    throw new DOMException("", "NotFoundError");
  return any(wanted);
};
window.plug = (label, isIn) => {
  const track = streams.at(-1).getAudioTracks()[0];
  if (isIn) unplugged.delete(label);
  else {
    unplugged.add(label);
    track.stop();
    track.dispatchEvent(new Event("ended"));
  }
  // One headset is several devices, and each is told.
  for (let n = 0; n < 3; n += 1) devices.dispatchEvent(new Event("devicechange"));
};
"""
LEVELS = """async () => {
  const levels = [];
  for (let n = 0; n < 40; n += 1) {
    levels.push(document.querySelector("meter").value);
    await new Promise((done) => setTimeout(done, 50));
  }
  return levels;
}"""


def now_in(leg: Leg) -> float:
    """How many seconds this telephone has heard so far."""
    return leg.bytes_heard() / 16000


def talk_to(town: Town, phone: Page) -> Leg:
    """The seat dials the number, and it answers."""
    reach_carrier(town)
    far = town.carrier.number(FAR).answers(0.2, ELDER_HZ)
    dial(phone, FAR)
    leg = far.wait_ringing(20).wait_talking(20)
    expect(state_of(phone)).to_have_text("通话中")
    return leg


def keys_at(town: Town, leg: Leg) -> str:
    """The keys that came in at this telephone."""
    events = town.carrier.observer.find("DTMFEnd", Uniqueid=leg.uniqueid, Direction="Received")
    return "".join(m["Digit"] for m in events)


def test_the_keypad_reaches_the_other_side_however_fast_it_is_pressed(
    context: BrowserContext, town: Town
) -> None:
    phone = take_seat(context)
    leg = talk_to(town, phone)
    for key in "1*#0":
        phone.get_by_role("group", name="键盘").get_by_role("button", name=key, exact=True).click()
    wait_until(lambda: keys_at(town, leg) == "1*#0", 8, "keys", lambda: keys_at(town, leg))
    phone.locator("h1").click()
    # All in one breath, as a person types a number that is known by heart.
    phone.evaluate(
        "for (const key of '22587') "
        "document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
    )
    wait_until(lambda: keys_at(town, leg) == "1*#022587", 8, "keys", lambda: keys_at(town, leg))
    leg.hang_up()


def test_who_is_held_hears_music_and_both_hear_each_other_after_it(
    context: BrowserContext, town: Town
) -> None:
    phone = take_seat(context)
    leg = talk_to(town, phone)
    listen(leg, 2)
    phone.get_by_role("button", name="保持").click()
    expect(state_of(phone)).to_have_text("保持中")
    held = now_in(leg)
    listen(leg, 5)
    look_at(phone, "phone-held")
    before = now_in(leg)
    phone.get_by_role("button", name="取回").click()
    expect(state_of(phone)).to_have_text("通话中")
    back = now_in(leg)
    listen(leg, 3)
    wait_until(lambda: hears(phone, ELDER_HZ), 8, "the other side's tone in the browser")
    phone.get_by_role("button", name="挂断").click()
    leg.wait_ended()
    beeps = tone_times(leg.heard(), SEAT_HZ)
    assert [at for at in beeps if at < held - 1], "heard before"
    # What is on its way still arrives; a second on either side is left to a slow machine.
    assert not [at for at in beeps if held + 1 < at < before - 0.5], (held, before, beeps)
    assert loud_seconds(leg.heard(), held + 1, before) > 2, "music"
    assert [at for at in beeps if at > back], "heard again"


def test_nobody_in_an_emergency_hears_a_seat_that_holds(
    context: BrowserContext, town: Town
) -> None:
    """In its room no music takes the place of what the seat says."""
    phone = take_seat(context)
    elder = town.carrier.call("96000", "13800000007", tone=ELDER_HZ).wait_talking()
    phone.get_by_role("button", name="接听").click(timeout=15_000)
    expect(state_of(phone)).to_have_text("通话中")
    listen(elder, 2, SEAT_HZ)
    phone.get_by_role("button", name="保持").click()
    expect(state_of(phone)).to_have_text("保持中")
    held = now_in(elder)
    listen(elder, 5)
    before = now_in(elder)
    phone.get_by_role("button", name="取回").click()
    expect(state_of(phone)).to_have_text("通话中")
    listen(elder, 2, SEAT_HZ)
    wait_until(lambda: hears(phone, ELDER_HZ), 8, "the elder's tone in the browser")
    elder.hang_up()
    beeps = tone_times(elder.heard(), SEAT_HZ, share=0.05)
    assert not [at for at in beeps if held + 1 < at < before - 0.5], (held, before, beeps)


def test_what_is_said_beside_a_held_call_is_in_no_recording(
    context: BrowserContext, town: Town, outside: Outside, tmp_path: Path
) -> None:
    phone = take_seat(context)
    since = len(town.observer.events)
    leg = talk_to(town, phone)
    call = town.observer.wait_for("CallPlaced", since=since)["Call"]
    listen(leg, 2, SEAT_HZ)
    phone.get_by_role("button", name="保持").click()
    expect(state_of(phone)).to_have_text("保持中")
    listen(leg, 6)
    phone.get_by_role("button", name="取回").click()
    expect(state_of(phone)).to_have_text("通话中")
    listen(leg, 2, SEAT_HZ)
    leg.hang_up()
    recording = outside(kept_recording, town.house, call).recording
    assert recording
    beeps = tone_times(side(town.house.home.recordings / str(recording.file), 1, tmp_path), SEAT_HZ)
    assert max(later - at for at, later in itertools.pairwise(beeps)) > 4, beeps


def test_who_is_taken_back_hears_a_muted_seat_as_little_as_before(
    context: BrowserContext, town: Town
) -> None:
    phone = take_seat(context)
    leg = talk_to(town, phone)
    listen(leg, 2, SEAT_HZ)
    phone.get_by_role("button", name="静音").click()
    muted = now_in(leg)
    phone.get_by_role("button", name="保持").click()
    expect(state_of(phone)).to_have_text("保持中")
    # What is pressed while it is held counts from when it is taken back.
    phone.get_by_role("button", name="取消静音").click()
    listen(leg, 2)
    phone.get_by_role("button", name="静音").click()
    phone.get_by_role("button", name="取回").click()
    expect(state_of(phone)).to_have_text("通话中")
    listen(leg, 3)
    before = now_in(leg)
    phone.get_by_role("button", name="取消静音").click()
    listen(leg, 2, SEAT_HZ)
    leg.hang_up()
    beeps = tone_times(leg.heard(), SEAT_HZ, share=0.05)
    assert not [at for at in beeps if muted + 1 < at < before - 0.5], beeps


def test_the_microphone_and_the_speaker_are_chosen_and_the_level_shows_the_voice(
    context: BrowserContext, town: Town
) -> None:
    context.add_init_script(STREAMS)
    phone = take_seat(context)
    levels = phone.evaluate(LEVELS)
    assert max(levels) > 0.5, "the voice says beep"
    assert min(levels) < 0.3, "and is silent between"
    leg = talk_to(town, phone)
    listen(leg, 1)
    phone.get_by_text("麦克风和扬声器").click()
    phone.get_by_label("麦克风", exact=True).select_option(label="Fake Audio Input 2")
    label = "streams.at(-1).getAudioTracks()[0].label"
    wait_until(lambda: phone.evaluate(label) == "Fake Audio Input 2", 8, "the other microphone")
    assert phone.evaluate("streams.at(-2).getAudioTracks()[0].readyState") == "ended"
    changed = now_in(leg)
    listen(leg, 3)
    speaker = phone.get_by_label("扬声器", exact=True)
    speaker.select_option(label="Fake Audio Output 2")
    sink = "document.querySelector('audio').sinkId"
    wait_until(lambda: phone.evaluate(sink) == speaker.input_value(), 8, "the other speaker")
    leg.hang_up()
    assert [at for at in tone_times(leg.heard(), SEAT_HZ) if at > changed], "the new one is heard"
    assert max(phone.evaluate(LEVELS)) > 0.5
    # It stays chosen.
    phone.reload()
    expect(state_of(phone)).to_have_text("就绪", timeout=15_000)
    assert phone.evaluate(label) == "Fake Audio Input 2"


def test_a_chosen_headset_that_comes_back_is_heard_again_and_nothing_else_is_said_to_be(
    context: BrowserContext, town: Town
) -> None:
    headset = "Fake Audio Input 2"
    context.add_init_script(STREAMS + PLUGGED)
    phone = take_seat(context)
    phone.get_by_text("麦克风和扬声器").click()
    choice = phone.get_by_label("麦克风", exact=True)
    choice.select_option(label=headset)
    said = phone.locator("[data-f=heard]")
    expect(said).to_have_text(headset)
    leg = talk_to(town, phone)
    listen(leg, 1, SEAT_HZ)

    def shown() -> list[str]:
        """The microphone that is heard, and the one that the page says is."""
        heard = phone.evaluate("streams.at(-1).getAudioTracks()[0].label")
        return [heard, choice.evaluate("it => it.selectedOptions[0].label"), said.inner_text()]

    phone.evaluate("label => plug(label, false)", headset)
    expect(said).not_to_have_text(headset)
    assert len(set(shown())) == 1, shown()
    opened = phone.evaluate("streams.length")
    phone.evaluate("label => plug(label, true)", headset)
    expect(said).to_have_text(headset)
    assert shown() == [headset] * 3
    assert phone.evaluate("streams.length") == opened + 1, "it is opened once"
    back = now_in(leg)
    listen(leg, 2, SEAT_HZ)
    leg.hang_up()
    assert [at for at in tone_times(leg.heard(), SEAT_HZ) if at > back]
