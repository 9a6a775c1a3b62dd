"""Every page has help in both languages, and what it says of alarms is what the board shows."""

from __future__ import annotations

import re

import pytest

from agent_desk import guide, language, words
from agent_desk.routes import ROUTES

LANGUAGES = (language.CHINESE, language.ENGLISH)
NOT_PAGES = {
    "/healthz", "/feed", "/phone/sip", "/calls/{call_id}/recording", "/practice/now",
    "/rescue/mine", "/rescue/{case_id}/feed", "/plans/{kind}.json",
    "/cases/{case_id}.json", "/cases/{case_id}/print", "/cases/{case_id}/legs/{number}/recording",
}  # fmt: skip
"""What a script or the supervisor asks for; nobody reads it."""


def canonical(path: str) -> str:
    return re.sub(r"\{(\w+):(?:[^{}]|\{[\d,]+\})*\}", r"{\1}", path)


PAGES = {canonical(path) for method, path, *_rest in ROUTES if method == "GET"} - NOT_PAGES


@pytest.mark.parametrize("path", sorted(PAGES))
@pytest.mark.parametrize("spoken", LANGUAGES)
def test_every_page_has_its_help(path: str, spoken: str) -> None:
    assert path in guide.OF_ROUTE, f"{path} needs a text in agent_desk/help and a line in guide.py"
    title, body = guide.text(guide.OF_ROUTE[path], spoken)
    assert title
    assert "<p>" in body or "<li>" in body
    assert title.isascii() == (spoken == language.ENGLISH)


def test_no_route_of_the_table_is_gone() -> None:
    assert guide.OF_ROUTE.keys() <= PAGES


@pytest.mark.parametrize("spoken", LANGUAGES)
def test_every_text_is_reached_from_the_start_and_leads_nowhere_else(spoken: str) -> None:
    linked = set(re.findall(r'href="/help/([^"]+)"', guide.text(guide.START, spoken)[1]))
    assert linked == guide.texts() - {guide.START}
    for name in guide.texts():
        links = re.findall(r'href="([^"]+)"', guide.text(name, spoken)[1])
        assert {link.removeprefix("/help/") for link in links} <= guide.texts(), name


@pytest.mark.parametrize("spoken", LANGUAGES)
def test_the_guide_to_alarms_names_every_alarm_as_the_board_does(spoken: str) -> None:
    language.speak(spoken)
    try:
        titles = [title for title, _advice in words.alarms().values()]
    finally:
        language.speak(language.CHINESE)
    body = guide.text("alarms", spoken)[1]
    assert [title for title in titles if title not in body] == []


def test_a_name_from_outside_reaches_no_other_file() -> None:
    for name in ("../words", "board.zh", "", "nothing"):
        with pytest.raises(KeyError):
            guide.text(name, language.CHINESE)
