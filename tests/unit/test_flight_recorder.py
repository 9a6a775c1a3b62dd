"""The flight recorder: nothing twice, nothing skipped, whatever happens to file and database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from telephony import cel, flight_recorder
from telephony.flight_recorder import FlightRecorder
from tests.unit.test_cel import ANSWERED, CALL, T0, at, line
from workflows import call
from workflows.call_facts import Call, Result, State
from workflows.errors import StoreDown
from workflows.events import CallEnded, CallImported, CallVanished, Event, SeatAnswered

NOW: Final = datetime(2026, 11, 23, tzinfo=UTC)
NOTE: Final = {
    "call": CALL, "began": str(int(T0)), "ended": f"{T0 + 20:.3f}", "entry": "report",
    "dialled": "96102", "caller": "13800000005", "trunk": "carrier", "queue": "hotline",
    "seat": "PJSIP/1001", "cause": "16", "queued": str(int(T0) + 8), "held": "1",
}  # fmt: skip


class Centre:
    """The file that Asterisk writes, the cases, and what was told to them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "log" / "cel-custom" / "careline.csv"
        self.file.parent.mkdir(parents=True)
        self.notes = folder / "spool" / "alone"
        self.notes.mkdir(parents=True)
        self.cases: dict[str, Call] = {}
        self.places: dict[str, int] = {}
        self.told: list[Event] = []
        self.dies_after = 10**6
        self.recorder = FlightRecorder(
            folder, "n1", lambda number: f"+86{number}", self, self.handle, lambda: NOW
        )

    async def call(self, call_id: str) -> Call | None:
        return self.cases.get(call_id)

    async def place(self, name: str) -> int:
        return self.places.get(name, 0)

    async def keep_place(self, name: str, place: int) -> None:
        self.places[name] = place

    async def handle(self, event: Event) -> None:
        if len(self.told) >= self.dies_after:
            raise StoreDown("gone")
        case = self.cases.get(event.case_id) or call.begin(event)
        self.cases[event.case_id], _ = call.step(case, event)
        self.told.append(event)

    def writes(self, *lines: bytes) -> None:
        with self.file.open("ab") as file:
            file.write(b"".join(lines))

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.told]


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    return Centre(tmp_path)


async def test_an_unseen_call_is_told_once(centre: Centre) -> None:
    centre.writes(*ANSWERED)
    for _ in range(3):
        await centre.recorder.catch_up(())
    assert centre.kinds() == [
        "CallArrived", "CallImported", "CallQueued", "SeatRang", "SeatAnswered", "LegEnded",
        "CallEnded", "LegEnded",
    ]  # fmt: skip
    case = centre.cases[CALL]
    assert (case.state, case.result, case.seat) == (State.ENDED, Result.ANSWERED, "1001")
    assert (case.ended_at, case.imported_at) == (at(20), NOW)
    assert list(centre.places.values()) == [centre.file.stat().st_size]


@pytest.mark.parametrize("after", range(9))
async def test_a_crash_at_any_event_imports_nothing_twice_and_skips_nothing(
    centre: Centre, after: int
) -> None:
    centre.writes(*ANSWERED)
    centre.dies_after = after
    if after < 8:
        with pytest.raises(StoreDown):
            await centre.recorder.catch_up(())
        assert not centre.places
    centre.dies_after = 10**6
    await centre.recorder.catch_up(())
    assert len(centre.told) == 8
    assert sorted(centre.kinds()) == sorted(
        ["CallArrived", "CallImported", "CallQueued", "SeatRang", "SeatAnswered", "CallEnded"]
        + ["LegEnded"] * 2
    )


@pytest.mark.parametrize("seen", range(8))
async def test_only_what_was_not_seen_is_told(centre: Centre, seen: int) -> None:
    """The controller died after any number of events; the rest has its true time."""
    centre.writes(*ANSWERED)
    records = cel.read(b"".join(ANSWERED))[0]
    events = cel.Teller("n1", lambda number: f"+86{number}").events(CALL, records)
    for event in events[:seen]:
        await centre.handle(event)
    await centre.recorder.catch_up(())
    known = [one for one in centre.told if not isinstance(one, CallImported)]
    assert known == events
    assert centre.cases[CALL].imported_at == (NOW if seen < len(events) else None)


async def test_a_seen_call_is_not_touched(centre: Centre) -> None:
    centre.writes(*ANSWERED)
    await centre.recorder.catch_up(())
    centre.told.clear()
    centre.places.clear()
    await centre.recorder.catch_up()
    assert centre.told == []


async def test_a_supposed_end_becomes_the_true_one(centre: Centre) -> None:
    centre.writes(*ANSWERED[:8])
    await centre.recorder.catch_up((CALL,))
    await centre.handle(CallVanished(case_id=CALL, at=NOW))
    centre.writes(*ANSWERED[8:])
    await centre.recorder.catch_up()
    case = centre.cases[CALL]
    assert (case.ended_uncertain, case.ended_at) == (False, at(20))


async def test_a_call_that_goes_on_is_brought_to_where_it_is_and_read_again(
    centre: Centre,
) -> None:
    centre.writes(*ANSWERED[:8])
    await centre.recorder.catch_up((CALL,))
    assert centre.cases[CALL].state is State.TALKING
    assert not any(isinstance(event, CallEnded) for event in centre.told)
    assert set(centre.places.values()) <= {0}
    centre.writes(*ANSWERED[8:])
    await centre.recorder.catch_up(())
    assert centre.cases[CALL].ended_at == at(20)
    assert sum(isinstance(event, SeatAnswered) for event in centre.told) == 1


async def test_what_came_after_the_lists_were_asked_for_is_left_to_its_events(
    centre: Centre,
) -> None:
    """The lists do not have a call, or a ringing phone, that came since: it is not gone."""
    centre.writes(*ANSWERED[:8])
    began = at(0)
    await centre.recorder.catch_up((), began)
    assert centre.told == []
    assert set(centre.places.values()) <= {0}
    rang = next(r.at for r in cel.read(b"".join(ANSWERED))[0] if r.channel != CALL)
    await centre.recorder.catch_up((CALL,), rang)
    assert centre.kinds()[0] == "CallArrived"
    assert "SeatRang" not in centre.kinds()
    centre.writes(*ANSWERED[8:])
    await centre.recorder.catch_up(())
    assert (centre.cases[CALL].result, centre.cases[CALL].ended_at) == (Result.ANSWERED, at(20))


async def test_in_between_a_living_call_is_left_to_its_events(centre: Centre) -> None:
    centre.writes(*ANSWERED[:8])
    centre.recorder._now = lambda: at(30)  # type: ignore[misc]
    await centre.recorder.catch_up()
    centre.writes(*ANSWERED[8:])
    await centre.recorder.catch_up()
    assert centre.told == []


async def test_a_file_that_was_renamed_in_between_is_read_to_its_end(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre.writes(*ANSWERED[:5])
    await centre.recorder.catch_up((CALL,))
    centre.file.rename(centre.file.with_suffix(".csv.1"))
    centre.writes(*ANSWERED[5:])
    await centre.recorder.catch_up(())
    assert (centre.cases[CALL].result, centre.cases[CALL].ended_at) == (Result.ANSWERED, at(20))
    assert len(centre.told) == 8


async def test_a_full_file_is_put_aside_and_nothing_is_lost(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight_recorder, "FULL", 100)
    former = centre.file.with_suffix(".csv.1")
    centre.writes(*ANSWERED)
    await centre.recorder.catch_up(())
    assert former.exists()
    assert not centre.file.exists()
    second = line("CHAN_START", 100, "n1-2.0", "n1-2.0")
    arrived = line("CallArrived", 100, "n1-2.0", "n1-2.0", extra="hotline/1/t")
    centre.writes(second, arrived, line("HANGUP", 101, "n1-2.0", "n1-2.0", hangupcause=16))
    await centre.recorder.catch_up(())
    assert centre.cases["n1-2.0"].result is Result.ABANDONED
    # The former one is not a day old: it stays, and so does this one.
    assert former.read_bytes() == b"".join(ANSWERED)
    os.utime(former, (0, 0))
    await centre.recorder.catch_up(())
    assert b"n1-2.0" in former.read_bytes()
    assert not centre.file.exists()


async def test_an_older_database_gets_what_it_lacks(centre: Centre) -> None:
    """A backup was restored: its place is older, and its cases are fewer."""
    centre.writes(*ANSWERED)
    await centre.recorder.catch_up(())
    centre.cases.clear()
    centre.places.clear()
    await centre.recorder.catch_up(())
    assert centre.cases[CALL].result is Result.ANSWERED


def write_note(centre: Centre, **changes: str) -> Path:
    file = centre.notes / f"{CALL}.json"
    file.write_text(json.dumps(NOTE | changes), "utf-8")
    return file


async def test_a_note_tells_what_the_record_cannot(centre: Centre) -> None:
    centre.writes(*ANSWERED)
    file = write_note(centre)
    await centre.recorder.catch_up(())
    case = centre.cases[CALL]
    assert case.entry is not None
    assert (case.entry.value, case.callee, case.ended_at) == ("report", "96102", at(20))
    assert not file.exists()


async def test_a_note_alone_makes_the_whole_call(centre: Centre) -> None:
    file = write_note(centre)
    centre.dies_after = 3
    with pytest.raises(StoreDown):
        await centre.recorder.catch_up(())
    assert file.exists()
    centre.dies_after = 10**6
    for _ in range(2):
        await centre.recorder.catch_up(())
    case = centre.cases[CALL]
    assert (case.result, case.seat, case.queue) == (Result.ANSWERED, "1001", "hotline")
    assert case.answered_at == datetime.fromtimestamp(int(T0) + 9, UTC)
    assert len(centre.told) == len({(type(e), getattr(e, "leg", "")) for e in centre.told})
    assert not file.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"call": 1}', '{"call": "x", "began": "nan", "ended": "1"}']
)
async def test_a_note_that_cannot_be_read_is_set_aside(centre: Centre, text: str) -> None:
    file = centre.notes / "odd.json"
    file.write_text(text, "utf-8")
    (centre.notes / ".n1-1.1.99").write_text("half", "utf-8")
    await centre.recorder.catch_up(())
    assert centre.told == []
    assert file.with_suffix(".unreadable").read_text("utf-8") == text


async def test_what_is_no_note_hides_no_other(centre: Centre) -> None:
    """A pipe would be waited for, a link leads elsewhere, a huge file fills the memory."""
    os.mkfifo(centre.notes / "a-pipe.json")
    (centre.notes / "a-link.json").symlink_to("/nothing/there")
    (centre.notes / "a-folder.json").mkdir()
    with (centre.notes / "a-huge.json").open("wb") as huge:
        huge.write(json.dumps(NOTE | {"call": "n1-9.9"}).encode())
        huge.write(b" " * 20_000)
    (centre.notes / "b-folder.unreadable").mkdir()
    (centre.notes / "b-folder.json").write_bytes(b"nothing")
    write_note(centre)
    async with asyncio.timeout(5):
        await centre.recorder.catch_up(())
    assert set(centre.cases) == {CALL}
    assert [f.name for f in centre.notes.glob("*.json")] == ["b-folder.json"]


async def test_a_file_that_begins_with_a_long_record_is_read_as_any_other(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight_recorder, "FULL", 100)
    centre.writes(line("CHAN_START", caller_name="x" * 5000), *ANSWERED[1:])
    await centre.recorder.catch_up(())
    assert centre.cases[CALL].result is Result.ANSWERED
    assert not centre.file.exists(), "it is put aside"


async def test_a_value_in_a_thousand_brackets_costs_only_itself(centre: Centre) -> None:
    deep = line("ANSWER", 1).replace(b'""\n', b'"' + b"[" * 100_000 + b'"\n')
    centre.writes(deep, *ANSWERED)
    await centre.recorder.catch_up(())
    assert centre.cases[CALL].result is Result.ANSWERED


async def test_a_round_that_fails_is_not_the_last(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight_recorder, "EVERY_S", 0)
    failed = 0

    async def fails(name: str) -> int:
        nonlocal failed
        failed += 1
        if failed < 3:
            raise RuntimeError("not thought of")
        return 0

    monkeypatch.setattr(centre, "place", fails)
    centre.writes(*ANSWERED)
    watching = asyncio.ensure_future(centre.recorder.watch())
    async with asyncio.timeout(5):
        await centre.recorder.caught_up.wait()
    assert not watching.done()
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert centre.cases[CALL].result is Result.ANSWERED


async def test_the_fate_of_a_dial_is_found_at_once_in_a_full_record(centre: Centre) -> None:
    """An elder waits for it. The whole record, parsed, takes ten seconds of a small machine."""
    many = b"".join(ANSWERED)
    centre.writes(many * (20 * 2**20 // len(many)))
    centre.writes(line("CHAN_START", 30, "dial-1", caller_name='a"\n","dial-1","'))
    centre.writes(line("HANGUP", 40, "dial-1", hangupcause=17), line("HANGUP", 41, "dial-10"))
    began = time.process_time()
    fate = await centre.recorder.fate_of("dial-1", at(29))
    assert time.process_time() - began < 1
    assert (fate.kind, fate.started_at, fate.ended_at, fate.cause) == (
        cel.FateKind.FAILED, at(30), at(40), 17,
    )  # fmt: skip
    never = await centre.recorder.fate_of("dial-2", at(29))
    assert never.kind is cel.FateKind.NEVER_STARTED
    unknown = await centre.recorder.fate_of("dial-2", at(-1))
    assert unknown.kind is cel.FateKind.UNKNOWN


async def test_no_file_and_no_folder_is_no_trouble(tmp_path: Path) -> None:
    centre = Centre(tmp_path)
    centre.file.parent.rmdir()
    centre.notes.rmdir()
    await centre.recorder.catch_up(())
    fate = await centre.recorder.fate_of("x", NOW)
    assert fate.kind.value == "unknown"
