"""A recording can be traced: to its call, elder, seat and orders, and back (REC-03)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from tests.desk.centre import Centre
from tests.desk.test_calls import fresh_number
from workflows.events import Entry

ZONE = ZoneInfo("Asia/Shanghai")


@pytest.mark.row("REC-03")
@pytest.mark.parametrize("entry", [Entry.HOTLINE, Entry.EMERGENCY])
def test_a_recording_leads_to_all_that_it_belongs_to_and_each_of_them_back(
    page: Page, centre: Centre, entry: Entry
) -> None:
    number = fresh_number()
    name = f"曹素琴{number[-3:]}"
    uid = centre.enter_whole_elder(name, number)
    call = centre.call(number, ago_s=900, entry=entry).whole("1002")
    call.record()
    page.goto(f"/calls/{call.id}")
    serial = page.locator("#recording .facts dd").first.inner_text()
    # From its serial number to the call, which is the case's page too.
    page.goto("/calls")
    page.get_by_role("searchbox").fill(serial)
    page.keyboard.press("Enter")
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    page.locator("table.list").get_by_role("link", name=name).click()
    recording = page.locator("#recording")
    expect(recording).to_contain_text(serial)
    expect(recording.locator("audio")).to_have_attribute("src", f"/calls/{call.id}/recording")
    expect(page.locator("#facts")).to_contain_text("周悦 1002")
    assert page.locator("#facts").get_by_text("紧急").count() == (entry is Entry.EMERGENCY)
    # To the elder and back.
    page.locator("main").get_by_role("link", name=name).click()
    expect(page).to_have_url(re.compile(f"/elders/{uid}$"))
    page.locator(f"main a[href='/calls/{call.id}']").click()
    # To the order and back, to the recording itself.
    order = page.locator("#linked-orders").get_by_role("link")
    order_no = order.inner_text()
    order.click()
    expect(page.get_by_role("heading", name=order_no)).to_be_visible()
    page.get_by_text("听录音").click()
    expect(page).to_have_url(re.compile(f"/calls/{call.id}#recording$"))
    expect(recording).to_contain_text(serial)
    # The seat and the day are found by themselves.
    entered = call.began.astimezone(ZONE).date()
    day = entered.isoformat()
    for query, finds in (
        (f"text={name}", True),
        (f"text={uid}", True),
        (f"text={number.removeprefix('+86')}", True),
        (f"text={name}&seat=1002&from={day}&to={day}", True),
        (f"text={name}&seat=1001", False),
        (f"text={name}&from={(entered + timedelta(days=1)).isoformat()}", False),
        (f"text={name}&to={(entered - timedelta(days=1)).isoformat()}", False),
    ):
        page.goto(f"/calls?{query}")
        row = page.locator(f"table.list a[href='/calls/{call.id}']")
        expect(row).to_have_count(int(finds))


@pytest.mark.row("REC-03")
def test_a_day_is_the_centres_own_day(page: Page, centre: Centre) -> None:
    """A call after midnight here is of the new day, though not yet so in UTC."""
    midnight = datetime.now(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    number = fresh_number()
    ago = (datetime.now(ZONE) - midnight - timedelta(seconds=30)).total_seconds()
    after, before = (centre.call(number, ago_s=ago + more) for more in (0, 60))
    today = midnight.date()
    for day, call in ((today, after), (today - timedelta(days=1), before)):
        page.goto(f"/calls?text={number.removeprefix('+86')}&from={day}&to={day}")
        expect(page.locator("table.list tbody tr")).to_have_count(1)
        expect(page.locator(f"table.list a[href='/calls/{call.id}']")).to_be_visible()
    for call in (after, before):
        call.end()
