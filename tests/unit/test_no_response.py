"""An elder who says nothing to a seat: the plan changes, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from telephony.rescue_events import rescue_events
from workflows.commands import ChoosePlan, TickStep
from workflows.effects import Act, Effect, StartTimer
from workflows.emergency import NO_SPEECH, NO_SPEECH_S, begin, step
from workflows.emergency_facts import Emergency, State
from workflows.events import (
    ElderGone,
    ElderSpoke,
    EmergencyTimerFired,
    Event,
    Person,
    PersonJoined,
    PersonLeft,
    RoomOpened,
)

CASE: Final = "n-1.1"
NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
OPENED: Final = RoomOpened(case_id=CASE, at=NOW, caller="13800000111")
SEAT: Final = PersonJoined(
    case_id=CASE, at=NOW, person=Person(leg="s1", party="seat", who="1001")
)  # fmt: skip
SPOKE: Final = ElderSpoke(case_id=CASE, at=NOW)
DUE: Final = EmergencyTimerFired(case_id=CASE, at=NOW, name=NO_SPEECH)


def play(*events: Event) -> tuple[Emergency, tuple[Effect, ...]]:
    """The case after these, and what the last of them asked for."""
    case = begin(events[0])
    asked: tuple[Effect, ...] = ()
    for event in events:
        case, asked = step(case, event)
    return case, asked


def waits(asked: tuple[Effect, ...]) -> bool:
    return StartTimer(name=NO_SPEECH, after_s=NO_SPEECH_S) in asked


def test_from_a_seat_s_coming_on_the_elder_has_eight_seconds_to_say_something() -> None:
    case, asked = play(OPENED, SEAT)
    assert waits(asked)
    case, asked = step(case, DUE)
    assert case.is_speechless
    assert case.kind == "no_response"
    assert not [one for one in asked if isinstance(one, Act)], "nobody is put out or called by it"
    assert case.state is State.ACCOMPANIED
    case, _ = step(case, SPOKE)
    assert not case.is_speechless
    assert case.kind == "", "nobody has worked by it, and what happened is not known"


def test_a_plan_by_which_somebody_works_stays_when_the_elder_speaks() -> None:
    done = TickStep(case_id=CASE, at=NOW, by="甲", step="listen")
    case, _ = play(OPENED, SEAT, DUE, done, SPOKE)
    assert (case.kind, case.is_speechless) == ("no_response", False)


def test_who_has_spoken_while_alone_is_not_waited_for() -> None:
    case, asked = play(OPENED, SPOKE, SEAT)
    assert not waits(asked)
    case, _ = step(case, DUE)
    assert not case.is_speechless
    assert case.kind == ""


def test_the_plan_that_a_seat_has_chosen_stays() -> None:
    chosen = ChoosePlan(case_id=CASE, at=NOW, by="甲", kind="fall", version=1)
    case, _ = play(OPENED, SEAT, chosen, DUE)
    assert (case.kind, case.plan, case.is_speechless) == ("fall", 1, True)


def test_without_a_seat_nothing_is_said_of_silence() -> None:
    left = PersonLeft(case_id=CASE, at=NOW, leg="s1", is_gone=True)
    case, _ = play(OPENED, SEAT, left, DUE)
    assert not case.is_speechless
    case, asked = step(case, replace(SEAT, person=Person(leg="s2", party="seat", who="1002")))
    assert waits(asked)


def test_who_answers_a_call_back_has_to_speak_anew() -> None:
    gone = ElderGone(case_id=CASE, at=NOW, back_in_s=4)
    case, asked = play(OPENED, SPOKE, SEAT, gone, OPENED)
    assert case.spoke_at is None
    assert waits(asked)


def ami(party: str, status: str) -> dict[str, object]:
    return {
        "Event": "ConfbridgeTalking", "TalkingStatus": status, "Uniqueid": CASE,
        "ChanVariable": [f"CARELINE_CALL={CASE}", f"CARELINE_PARTY={party}"],
    }  # fmt: skip


def test_a_sound_of_the_elder_that_has_an_end_is_speech_and_nobody_else_s_is() -> None:
    assert rescue_events(ami("caller", "on")) == ()
    assert rescue_events(ami("seat", "off")) == ()
    for party in ("caller", "elder"):
        (spoke,) = rescue_events(ami(party, "off"))
        assert isinstance(spoke, ElderSpoke)
        assert spoke.case_id == CASE
