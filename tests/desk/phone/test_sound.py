"""What is heard: keys, music while held, and the microphone that somebody chose."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, Page, expect

from tests.audio import loud_seconds, tone_times
from tests.desk.phone.place import (
    ELDER_HZ,
    SEAT_HZ,
    dial,
    hears,
    reach_carrier,
    state_of,
    take_seat,
)
from tests.house import Town, listen
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
    assert not [at for at in beeps if held + 1 < at < before - 0.5], beeps
    assert loud_seconds(leg.heard(), held + 1, before) > 2, "music"
    assert [at for at in beeps if at > back], "heard again"


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
