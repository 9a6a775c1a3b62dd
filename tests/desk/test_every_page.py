"""Every page of the route table, on a wide and a narrow screen: nothing fails or sticks out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from agent_desk.routes import ROUTES
from tests.desk.centre import Centre
from tests.desk.conftest import Desk
from tests.desk.test_calls import fresh_number

AXE = (Path(__file__).parent / "axe.min.js").read_text("utf-8")
"""axe-core 4.10.3 (MPL-2.0, axe.LICENSE), run in the page as by its debugger: never served."""
# Practice is there only in a home without a carrier (test_practice.py).
NO_PAGE = ("/healthz", "/feed", "/phone/sip", "/practice", "/practice/now")
PAGES = [path for method, path, *_ in ROUTES if method == "GET" and path not in NO_PAGE]
WIDTHS = {"wide": (1440, 900), "narrow": (390, 844)}
LONG = "<script>alert(1)</script>" + "长" * 39
VIOLATIONS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.map(
  ({id, nodes}) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`)"""


@pytest.fixture(scope="module")
def examples(centre: Centre) -> dict[str, str]:
    """What stands in the addresses, with a caller whose name is as long and odd as it may be."""
    number = fresh_number()
    uid = centre.enter_elder(LONG, number)
    call = centre.call(number, ago_s=600, caller_name=LONG * 2).whole()
    call.record()
    return {"call_id": call.id, "uid": uid, "user_id": "1", "page": "board"}


@pytest.fixture(scope="module", params=list(WIDTHS))
def visitor(
    request: pytest.FixtureRequest,
    browser: Browser,
    desk: Desk,
    session_cookies: list[dict[str, object]],
) -> Iterator[BrowserContext]:
    width, height = WIDTHS[request.param]
    context = browser.new_context(
        locale="zh-CN", base_url=desk.url, viewport={"width": width, "height": height}
    )
    context.add_cookies(session_cookies)  # type: ignore[arg-type]
    yield context
    context.close()


@pytest.mark.parametrize("path", [path for path in PAGES if not path.endswith("/recording")])
def test_a_page_is_whole(
    visitor: BrowserContext, desk: Desk, examples: dict[str, str], path: str
) -> None:
    page = visitor.new_page()
    if "{order_no" in path:
        page.goto(f"/calls/{examples['call_id']}")
        examples["order_no"] = page.locator("#linked-orders a").first.inner_text()
    faults: list[str] = []
    asked: list[str] = []
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    plain = re.sub(r"\{1,\d+\}", "", path)
    page.goto(re.sub(r"\{(\w+):[^}]*\}", lambda name: examples[name[1]], plain))
    assert page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    wide, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room
    page.evaluate(AXE)
    assert page.evaluate(VIOLATIONS) == []
    assert [url for url in asked if not url.startswith((desk.url, "data:", "blob:"))] == []
    assert faults == []
    page.close()
