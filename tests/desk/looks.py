"""How a page looks: at two widths, light and dark, photographed, checked for access and overflow.

The pictures are in results/looks, named page-state-width-scheme, for a person to look at.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, ViewportSize

from tests.conftest import RESULTS

AXE: Final = (Path(__file__).parent / "axe.min.js").read_text("utf-8")
"""axe-core 4.10.3 (MPL-2.0, axe.LICENSE), run in the page as by its debugger: never served."""
LOOKS: Final = RESULTS.parent / "looks"
WIDTHS: Final[dict[int, ViewportSize]] = {
    1440: {"width": 1440, "height": 900},
    390: {"width": 390, "height": 844},
}
VIOLATIONS: Final = """async (rules) => {
  const only = rules ? { runOnly: { type: "rule", values: rules } } : {};
  const found = await axe.run(document, { resultTypes: ["violations"], ...only });
  return found.violations.map(({ id, nodes }) =>
    `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
}"""
STICKS_OUT: Final = """() => {
  const room = document.documentElement.clientWidth;
  const faults = document.documentElement.scrollWidth > room ? ["the page is wider"] : [];
  const isWithin = (it) => {
    for (let up = it.parentElement; up !== document.body; up = up.parentElement)
      if (getComputedStyle(up).overflowX !== "visible") return true;
    return it.closest(".unseen, .skip") !== null;
  };
  for (const it of document.querySelectorAll("body *")) {
    const box = it.getBoundingClientRect();
    if (box.width && (box.right > room + 1 || box.left < -1) && !isWithin(it))
      faults.push(`${it.tagName} ${it.className} sticks out`);
  }
  for (const it of document.querySelectorAll("button, .button, .pill, .tag, kbd"))
    if (it.scrollWidth > it.clientWidth + 1 && !it.closest(".unseen"))
      faults.push(`${it.textContent.trim()} is cut off`);
  return faults;
}"""


TOO_SMALL: Final = """() => {
  const small = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim(), it = texts.currentNode.parentElement;
    if (!text || !it.checkVisibility() || it.closest("script, template, option")) continue;
    const size = parseFloat(getComputedStyle(it).fontSize);
    if (size < 12) small.add(`${size} px: ${text.slice(0, 20)}`);
  }
  return [...small];
}"""


def look_at(page: Page, name: str, language: str = "zh-CN") -> None:
    """Photograph the page as it stands and check it, at each width and in both schemes."""
    LOOKS.mkdir(parents=True, exist_ok=True)
    before = page.viewport_size
    assert page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("lang") == language
    assert re.fullmatch(r"\S.* · 颐铃 Careline", page.title()), page.title()
    # One style sheet makes one look; every page has its help, the message of a fault too.
    assert page.locator("link[rel=stylesheet]").count() == 1
    assert page.locator("[style], style").count() == 0
    assert page.locator("#help").count() == 1
    page.evaluate(AXE)
    for width, size in WIDTHS.items():
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.screenshot(
                path=LOOKS / f"{name}-{width}-{scheme}.png", full_page=True, animations="disabled"
            )
            # What a scheme changes is its colours, and these are the same at every width.
            if scheme == "dark" and width != max(WIDTHS):
                continue
            rules = ["color-contrast"] if scheme == "dark" else None
            violations = page.evaluate(VIOLATIONS, rules)
            assert not violations, f"{name} at {width}, {scheme}: {violations}"
        faults = page.evaluate(STICKS_OUT) + page.evaluate(TOO_SMALL)
        assert not faults, f"{name} at {width}: {faults}"
    page.emulate_media(color_scheme="light")
    if before:
        page.set_viewport_size(before)
