"""Everything the desk says has Chinese words, and so has everything the processes keep."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from agent_desk import language, steps, words
from picture import DISK_LOW, FALLBACK, NOT_RECORDED, ORPHAN, TRUNK_ALARMS, WRONG
from sql import codec
from workflows import call_facts, order, recording
from workflows.events import CallClass, Channel, Entry
from workflows.message import FAILED, PERHAPS
from workflows.message import State as MessageState
from workflows.plan import PARTIES, Kind
from workflows.runner import NOT_KEPT

DESK = Path(language.__file__).parent
TEMPLATES = "templates/**.html"


@pytest.fixture(autouse=True)
def _chinese() -> Iterator[None]:
    language.speak(language.CHINESE)
    yield
    language.speak(language.CHINESE)


@pytest.fixture(scope="module")
def used() -> set[str]:
    """Every text that the code and the templates ask a translation for."""
    found = extract_from_dir(
        DESK,
        [("**.py", "python"), (TEMPLATES, "jinja2.ext:babel_extract")],
        {TEMPLATES: {"trimmed": "true", "silent": "false"}},
        keywords={"_": None},
    )
    return {str(message) for _file, _line, message, _comments, _context in found}


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    with language.CATALOGUE.open("rb") as source:
        return read_po(source, locale="zh_CN")


def test_every_text_has_a_translation(catalogue: Catalog, used: set[str]) -> None:
    assert len(used) > 200, "the extraction found too little"
    without = {t for t in used if t not in catalogue or not catalogue[t].string}
    assert not without


def test_no_translation_is_left_over(catalogue: Catalog, used: set[str]) -> None:
    assert {message.id for message in catalogue if message.id} == used


def test_placeholders_are_the_same(catalogue: Catalog) -> None:
    for message in catalogue:
        assert not list(message.check(catalogue)), message.id
        assert str(message.id).count("{place}") == str(message.string).count("{place}")


@pytest.mark.parametrize(
    ("kind", "say"),
    [
        (call_facts.State, lambda value: words.call_state(value).word),
        (call_facts.Result, lambda value: words.call_result(value).word),
        (recording.State, lambda value: words.recording(value).word),
        (order.State, lambda value: words.order_state(value).word),
        (MessageState, lambda value: words.message_state(value).word),
        (Entry, words.entry),
        (CallClass, words.call_class),
        (Channel, words.channel),
        (Kind, words.plan_kind),
    ],
)
def test_every_state_has_a_word(kind: type[Enum], say: object) -> None:
    assert callable(say)
    for member in kind:
        said = say(member.value)
        assert said != member.value
        assert not said.isascii(), said


def test_whoever_a_plan_calls_first_has_a_word() -> None:
    assert not [party for party in PARTIES if words.rescue_party(party).isascii()]


BODY = {
    "entry": "hotline", "seat": "1001", "key": "1", "choice": "person", "queue": "hotline",
    "position": 2, "result": "busy", "party": "seat", "reason": "…", "order_no": "20260418-0001",
    "person": {"who": "1001"}, "by": "admin", "content": "…", "channel": "hotline", "answer": "…",
    "message": "n1-1.1-M1", "other": "n1-2.1", "code": "30003",
    "since": "2026-04-18T09:30:05+08:00",
    "parties": ["ambulance"], "room": "side", "is_muted": True, "mark": "told", "is_so": True,
    "text": "…", "kind": "fall", "is_done": True, "outcome": "rescued", "what": "no news",
    "call_class": "other", "note": "…", "elder": {"name": "…"},
}  # fmt: skip


RESCUE_ALARMS = (
    "call back", "elder alone", "perhaps called", "dial failed", "no sound", "journal",
    "journal unreadable", "not handled", NOT_KEPT, FAILED, PERHAPS,
)  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [
        "recording",
        "asterisk",
        DISK_LOW,
        NOT_RECORDED,
        FALLBACK,
        ORPHAN,
        WRONG,
        *TRUNK_ALARMS.values(),
        *RESCUE_ALARMS,
    ],
)
def test_every_alarm_says_what_it_is_and_what_to_do(kind: str) -> None:
    title, advice = words.alarms()[kind]
    assert not title.isascii()
    assert "请" in advice, "it asks somebody to do something"


@pytest.mark.parametrize("event", sorted(codec.EVENTS))
def test_every_event_is_told_in_words(event: str) -> None:
    assert not steps.step(event, BODY).sentence.isascii()


def test_how_far_a_call_for_rescue_goes_is_said_apart() -> None:
    """In practice the switch is on for Asterisk's sake, and the dispatchers are no real ones."""
    said = {
        (live, practice): words.rescue_numbers(is_live=live, is_practice=practice)
        for live in (True, False)
        for practice in (True, False)
    }
    assert said[True, True] == said[False, True]
    assert len({one.sentence for one in said.values()}) == 3
    assert len({one.everywhere for one in said.values()}) == 3
    assert "真实" in said[True, False].sentence
    assert all("真实" not in one.sentence for key, one in said.items() if key != (True, False))


def test_an_event_of_a_newer_version_is_named() -> None:
    assert steps.step("CallFlewAway", {}).sentence == "CallFlewAway"


def test_english_is_the_text_itself() -> None:
    language.speak(language.ENGLISH)
    assert words.call_state("waiting").word == "Waiting"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9", "en"),
        ("de,en;q=0.3,zh;q=0.7", "zh"),
        ("fr", "zh"),
        ("en;q=much", "zh"),
    ],
)
def test_the_browser_is_asked_for_its_language(header: str, expected: str) -> None:
    assert language.accepted(header) == expected
