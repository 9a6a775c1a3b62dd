"""The operator's guide: one text for each page, in both languages, chosen by the page's route."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markupsafe import Markup

TEXTS: Final = Path(__file__).parent / "help"
START: Final = "desk"
"""What is true everywhere, with the list of all texts: also the help of a page that is not here."""

OF_ROUTE: Final = {
    "/": "board",
    "/sign-in": "sign-in",
    "/calls": "calls",
    "/calls/{call_id}": "call",
    "/seat": "seat",
    "/rescue": "rescue",
    "/rescue/wall": "rescue",
    "/rescue/{case_id}": "rescue",
    "/orders": "orders",
    "/orders/{order_no}": "order",
    "/cases": "cases",
    "/cases/{case_id}": "cases",
    "/elders": "elders",
    "/elders/new": "elder-form",
    "/elders/{uid}": "elder",
    "/elders/{uid}/edit": "elder-form",
    "/plans": "plans",
    "/plans/{kind}": "plans",
    "/menu": "menu",
    "/phone": "phone",
    "/seats": "seats",
    "/users": "users",
    "/users/{user_id}": "users",
    "/record": "record",
    "/settings": "settings",
    "/practice": "practice",
    "/help": START,
    "/help/{page}": START,
}
"""The text of each page, by its route as aiohttp writes it (UI-07)."""


def page_of(route: str) -> str:
    """The name of the text for this route; what the desk does not know gets the start."""
    return OF_ROUTE.get(route, START)


def texts() -> frozenset[str]:
    """The names of all texts."""
    return frozenset(path.name.removesuffix(".zh.md") for path in TEXTS.glob("*.zh.md"))


@cache
def text(name: str, language: str) -> tuple[str, Markup]:
    """A text's title and, as HTML, what stands below it. Raises KeyError when there is none."""
    if name not in texts():
        raise KeyError(name)
    title, _, body = (TEXTS / f"{name}.{language}.md").read_text("utf-8").partition("\n")
    # HTML in a text is shown as it is written, so that the policy of the pages holds here too.
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(body)
    return title.removeprefix("# "), Markup(html)  # noqa: S704
