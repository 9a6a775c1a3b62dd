"""A new emergency is said to who does not look at the board, and in the title of its tab."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from playwright.sync_api import Page, expect

from tests.desk.centre import Centre
from tests.desk.looks import AXE, VIOLATIONS
from tests.desk.test_calls import fresh_number
from workflows.events import ElderGone, Entry, RoomOpened

PLAIN = "实时看板 · 颐铃 Careline"


def test_the_newest_emergency_is_said_until_it_is_over(page: Page, centre: Centre) -> None:
    centre.enter_elder("万俟兰", first := fresh_number())
    page.goto("/")
    expect(page.locator("#link")).to_have_text("实时")
    said = page.locator("#newest-emergency")
    expect(said).to_have_attribute("role", "alert")
    expect(said).to_have_text("")
    expect(page).to_have_title(PLAIN)
    said.evaluate(
        """it => {
          window.said = [];
          const note = () => window.said.push(it.textContent);
          new MutationObserver(note).observe(it, { childList: true });
        }"""
    )
    call = centre.call(first, entry=Entry.EMERGENCY, callee="96000", ago_s=20)
    centre.tell(RoomOpened(case_id=call.id, at=datetime.now(UTC)))
    call.queue("emergency")
    expect(said).to_have_text(re.compile(r"^\d\d:\d\d:\d\d 紧急呼叫：万俟兰，136\*{4}\d{4}。$"))
    expect(page).to_have_title(f"‼ 紧急呼叫 1 · {PLAIN}")
    other = centre.call(fresh_number(), entry=Entry.EMERGENCY, callee="96000", ago_s=5)
    expect(said).to_contain_text("未知来电")
    expect(page).to_have_title(f"‼ 紧急呼叫 2 · {PLAIN}")
    page.evaluate(AXE)
    assert not page.evaluate(VIOLATIONS)
    # What goes on in it is no news.
    other.queue("emergency")
    other.ring()
    other.answer()
    expect(page.locator("#calls tr", has_text="未知来电").first).to_contain_text("通话中")
    assert len(page.evaluate("said")) == 2, page.evaluate("said")
    other.end("1001")
    expect(said).to_contain_text("万俟兰")
    # The call is over and the emergency is not.
    call.end()
    expect(page.locator("#open-cases li")).to_contain_text("万俟兰")
    expect(page).to_have_title(f"‼ 紧急呼叫 1 · {PLAIN}")
    expect(said).to_contain_text("万俟兰")
    centre.tell(ElderGone(case_id=call.id, at=datetime.now(UTC)))
    expect(said).to_have_text("")
    expect(page).to_have_title(PLAIN)
