"""The controller in an emergency: what it hears, what it dials, and what it takes up again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import pytest

from emergencies import Emergencies
from sql.local_journal import LocalJournal
from telephony import dialler, doubts, lease, rescue_steps
from telephony import rescue as rescue_module
from telephony.ami import Ami, AmiDown, AmiRefused
from telephony.cel import Fate, FateKind
from telephony.dialler import Dialler
from telephony.rescue import Rescue
from telephony.rescue_events import case_of, living_dials, rescue_events
from telephony.rescue_steps import Steps
from tests.database.centre import Clock
from workflows import emergency, emergency_facts, role
from workflows.commands import CallAgain
from workflows.effects import CallSeat, RaiseAlarm
from workflows.errors import NotFound
from workflows.events import (
    CaseFound,
    DialAnswered,
    DialAttempted,
    DialFailed,
    ElderGone,
    ElderLeft,
    EmergencyTimerFired,
    Event,
    HandedBack,
    Owner,
    PersonJoined,
    PersonLeft,
    RoomOpened,
    TookOver,
)
from workflows.machine import Processes
from workflows.ports import DueTimer, Posted
from workflows.runner import Runner

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
UNKNOWN: Final = Fate(FateKind.UNKNOWN)
CASE: Final = "n-1.1"
FIRST, SECOND = f"{CASE}-A1", f"{CASE}-A2"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a controller waits for seconds for, between two looks at the rooms for example."""
    monkeypatch.setattr(rescue_module, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(rescue_module, "TRY_AGAIN_S", 0.05)
    monkeypatch.setattr(doubts, "CALM_S", 0.1)
    monkeypatch.setattr(dialler, "UNSEEN_S", 0.1)


CONNECTED: Final = {"Event": "Connected"}


def channel(id_: str, party: str, effect: str = "", **more: str) -> dict[str, Any]:
    variables = [f"CARELINE_CALL={CASE}", f"CARELINE_PARTY={party}", f"CARELINE_EFFECT={effect}"]
    return {"Uniqueid": id_, "ChanVariable": variables, "Channel": "PJSIP/1001-1", **more}


ELDER: Final = channel(CASE, "caller", Context="emergency")
SEAT: Final = channel("s1", "seat", effect=FIRST)


class Asterisk:
    """What it has is said by `channels`, `members` and `owner`; what it was asked is in `asked`."""

    def __init__(self) -> None:
        self.urgent: asyncio.Queue[Any] = asyncio.Queue()
        self.is_up = True
        self.channels: list[dict[str, Any]] = [ELDER]
        self.members: list[str] = [CASE]
        self.owner = "controller"
        self.signed_in = True
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.refuses: Exception | None = None

    async def action(self, name: str, timeout_s: float = 5, **fields: Any) -> dict[str, str]:
        if name == "Getvar":
            assert fields["Variable"] == "SHARED(OWNER)"
            return {"Value": self.owner}
        self.asked.append((name, fields))
        if self.refuses is not None and name in ("Originate", "Setvar"):
            raise self.refuses
        return {}

    async def listing(self, name: str, **fields: str) -> list[dict[str, Any]]:
        match name:
            case "CoreShowChannels" if not self.channels:
                return []
            case "CoreShowChannels":
                rings = [channel(f"{dial}-2", "placeholder") for dial in self.dialled("B")]
                return [*self.channels, *rings]
            # As Asterisk does: a list of nothing is refused.
            case "ConfbridgeListRooms" if not self.channels:
                raise AmiRefused("No active conferences.")
            case "ConfbridgeListRooms":
                return [{"Conference": CASE}]
            case "ConfbridgeList" if not self.members:
                raise AmiRefused("No Conference by that name found.")
            case "ConfbridgeList":
                return [{"Uniqueid": id_} for id_ in self.members]
            case _:
                state = "NOT_INUSE" if self.signed_in else "UNAVAILABLE"
                return [{"Device": "PJSIP/1001", "State": state}]

    def dialled(self, role: str = "A") -> list[str]:
        """The dials for a role. That of the other one rings for as long as the test lasts."""
        ids = [fields["ChannelId"] for name, fields in self.asked if name == "Originate"]
        return [id_ for id_ in ids if id_.startswith(f"{CASE}-{role}")]


class Controller:
    """The emergencies of one controller on a folder; also those of its successor."""

    def __init__(self, folder: Path, asterisk: Asterisk, fate: Fate = UNKNOWN) -> None:
        self.asterisk, self.fate, self.told = asterisk, fate, list[str]()
        self.alarms: list[str] = []
        self.hold: asyncio.Event | None = None
        self.journal = LocalJournal(folder, emergency.PROCESS, lambda _: None)
        self.journal.load()
        # Facts of these kinds cannot be taken, as if the tables had a fault.
        self.poison: set[type[Event]] = set()
        self.doubts: list[str] = []
        ami = cast("Ami", asterisk)
        self.dialler = Dialler(
            ami,
            self.handle,
            lambda: NOW,
            as_dialled=lambda number: number,
            sites=["main"],
            trunks=[("carrier", "96100")],
        )
        process = replace(emergency.PROCESS, step=self.step)
        self.runner = Runner(Processes((process,)), self.journal, Clock(), self)
        self.rescue = Rescue(
            ami, self.dialler, self.journal,
            fate_of=self.fate_of, handle=self.handle, doubted=self.doubted, speaks=self.speaks,
            seats=["1001"], now=lambda: NOW, zone=UTC,
        )  # fmt: skip
        self.steps = Steps(self.advance, self.rescue.doubt)
        self.tasks = [
            asyncio.create_task(work)
            for work in (
                self.rescue.run(), self.rescue.watch(), self.dialler.run(),
                self.rescue.look_when_in_doubt(),
            )
        ]  # fmt: skip

    async def handle(self, event: Event, because: str | None = None) -> Any:
        return await self.steps.take(event, because)

    def doubted(self, case_id: str, is_so: bool) -> None:
        (self.doubts.append if is_so else self.doubts.remove)(case_id)

    def speaks(self, _case_id: str, _leg: str, _is_so: bool) -> None:
        """Nobody speaks here."""

    def step(self, case: emergency_facts.Emergency, event: Event) -> emergency.CaseOutcome:
        if type(event) in self.poison:
            raise LookupError("the table has no row for it")
        return emergency.step(case, event)

    async def advance(self, event: Event, because: str | None) -> Any:
        if self.hold and event.case_id == CASE:
            await self.hold.wait()
        self.told.append(f"{type(event).__name__} after {len(self.asterisk.asked)}")
        return await self.runner.handle(event, because)

    async def fate_of(self, effect_id: str, asked_at: datetime) -> Fate:
        return self.fate

    def case_changed(self, process: str, case: Any) -> None: ...

    def effect_posted(self, posted: Posted) -> None:
        self.dialler.post(posted.effect)

    def alarm_raised(self, alarm: RaiseAlarm, at: datetime) -> None:
        self.alarms.append(alarm.kind)

    def alarm_ended(self, key: str) -> None: ...

    async def until(self, is_so: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not is_so():  # noqa: ASYNC110 — the actors say nothing of themselves.
                await asyncio.sleep(0.01)

    async def hears(self, *events: dict[str, Any]) -> None:
        for event in events:
            self.asterisk.urgent.put_nowait(event)
        await self.until(self.asterisk.urgent.empty)
        await self.until(lambda: self.rescue._busy_since is None)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


Start = Callable[..., Controller]


@pytest.fixture
async def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Starts a controller, or the next one after it; the disk stays the same."""
    monkeypatch.setattr(rescue_module, "TRY_AGAIN_S", 0.02)
    started: list[Controller] = []

    def begin(asterisk: Asterisk | None = None, fate: Fate = UNKNOWN) -> Controller:
        for former in started:
            for task in former.tasks:
                task.cancel()
        started.append(Controller(tmp_path / "rescue", asterisk or Asterisk(), fate))
        return started[-1]

    yield begin
    for one in started:
        with suppress(asyncio.CancelledError):
            await one.end()


def room(step: str = "room") -> dict[str, Any]:
    return {"Event": "UserEvent", "UserEvent": "Rescue", "Call": CASE, "Step": step}


async def dialled_once(start: Start) -> Controller:
    """A controller that has brought its first dial to Asterisk."""
    controller = start()
    await controller.hears(CONNECTED)
    await controller.until(lambda: controller.asterisk.dialled("B"))
    return controller


async def test_a_dial_is_noted_before_it_is_sent(start: Start) -> None:
    controller = start()
    controller.asterisk.channels = []
    await controller.hears(CONNECTED, room())
    await controller.until(lambda: controller.asterisk.dialled("B"))
    assert controller.told == [
        "RoomOpened after 0", "DialAttempted after 0", "DialAttempted after 0",
    ]  # fmt: skip
    (_, fields), (_, of_b) = controller.asterisk.asked
    assert of_b["ChannelId"] == f"{CASE}-B1"
    assert "CARELINE_ROLE=B" in of_b["Variable"]
    assert (fields["ChannelId"], fields["OtherChannelId"]) == (FIRST, f"{FIRST}-2")
    assert fields["Variable"] == [
        f"CARELINE_CALL={CASE}", "CARELINE_ROLE=A", f"CARELINE_EFFECT={FIRST}",
    ]  # fmt: skip


async def test_what_asterisk_refuses_is_shown_and_may_be_tried_again(start: Start) -> None:
    controller = start()
    controller.asterisk.refuses = AmiRefused("no such context")
    await controller.hears(CONNECTED)
    await controller.until(lambda: "dial failed" in controller.alarms)


@pytest.mark.parametrize("cause", [AmiDown("gone"), TimeoutError()])
async def test_a_dial_that_was_perhaps_sent_is_looked_for(
    start: Start, cause: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialler, "UNSEEN_S", 0.05)
    controller = start()
    controller.asterisk.refuses = cause
    await controller.hears(CONNECTED)
    await controller.until(lambda: "perhaps called" in controller.alarms)
    assert controller.asterisk.dialled() == [FIRST]


async def test_a_seat_who_hangs_up_on_the_way_into_the_room_is_replaced_at_once(
    start: Start,
) -> None:
    """The end of a phone that only rang, and a seat's leaving the room, ask for nobody twice."""
    controller = await dialled_once(start)
    answered = {"Event": "OriginateResponse", "ActionID": FIRST, "Response": "Success"}
    other = channel("s2", "seat", effect=FIRST, Event="Hangup", ChannelStateDesc="Ringing")
    gone = channel("s1", "seat", effect=FIRST, Event="Hangup", ChannelStateDesc="Up")
    await controller.hears(answered, other)
    assert controller.asterisk.dialled() == [FIRST]
    await controller.hears(gone)
    await controller.until(lambda: controller.asterisk.dialled() == [FIRST, SECOND])
    joined = channel("s3", "seat", effect=SECOND, Event="ConfbridgeJoin")
    await controller.hears(joined, {**joined, "Event": "ConfbridgeLeave"})
    await controller.until(lambda: len(controller.asterisk.dialled()) == 3)
    told = len(controller.told)
    await controller.hears({**joined, "Event": "Hangup", "ChannelStateDesc": "Up"})
    assert not [one for one in controller.told[told:] if one.startswith("PersonLeft")]
    assert len(controller.asterisk.dialled()) == 3


async def test_a_successor_adopts_the_living_dial(start: Start) -> None:
    former = await dialled_once(start)
    former.asterisk.channels = [ELDER, channel(f"{FIRST}-2", "placeholder")]
    successor = start(former.asterisk)
    assert successor.rescue.claimable() == [], "nothing is claimed before all is read"
    await successor.hears(CONNECTED)
    assert successor.rescue.claimable() == [CASE]
    assert former.asterisk.dialled() == [FIRST]


async def test_a_seat_between_its_answer_and_the_room_is_no_doubt(start: Start) -> None:
    former = await dialled_once(start)
    former.asterisk.channels = [ELDER, SEAT]
    successor = start(former.asterisk)
    await successor.hears(CONNECTED)
    assert successor.alarms == []
    assert former.asterisk.dialled() == [FIRST]


async def test_a_successor_adopts_the_seat_in_the_room(start: Start) -> None:
    former = await dialled_once(start)
    former.asterisk.channels = [ELDER, SEAT]
    former.asterisk.members = [CASE, "s1"]
    successor = start(former.asterisk)
    await successor.hears(CONNECTED)
    case = successor.journal.case(CASE)
    assert case is not None
    assert case.state is emergency_facts.State.ACCOMPANIED
    assert former.asterisk.dialled() == [FIRST]


async def test_what_was_never_attempted_is_sent(start: Start) -> None:
    former = start()
    await former.runner.handle(RoomOpened(case_id=CASE, at=NOW))
    for task in former.tasks:
        task.cancel()
    successor = start()
    await successor.hears(CONNECTED)
    await successor.until(lambda: successor.asterisk.dialled("B"))
    assert successor.asterisk.dialled() == [FIRST]
    assert successor.alarms == []


@pytest.mark.parametrize(
    ("fate", "signed_in", "again", "alarms"),
    [
        (Fate(FateKind.NEVER_STARTED), True, True, ["dial failed"]),
        (Fate(FateKind.FAILED), True, True, ["dial failed"]),
        (Fate(FateKind.ANSWERED), True, True, []),
        (UNKNOWN, False, True, ["perhaps called"]),
        (UNKNOWN, True, False, ["perhaps called"]),
    ],
)
async def test_what_became_of_a_dial_without_a_channel(
    start: Start, fate: Fate, signed_in: bool, again: bool, alarms: list[str]
) -> None:
    former = await dialled_once(start)
    former.asterisk.signed_in = signed_in
    successor = start(former.asterisk, fate)
    await successor.hears(CONNECTED)
    assert successor.alarms == alarms
    if fate is not UNKNOWN:
        # Not at once but after a moment, which the test does not wait for.
        due = successor.journal.next_due_s()
        assert due is not None
        assert due <= 5
        successor.journal._cases[CASE].timers["try the role again/A"] = 0
        await successor.runner.fire_due_timers()
    if again:
        await successor.until(lambda: former.asterisk.dialled() == [FIRST, SECOND])
    else:
        assert former.asterisk.dialled() == [FIRST]


async def test_while_the_dialplan_owns_the_case_it_is_claimed_and_nothing_is_dialled(
    start: Start,
) -> None:
    controller = start()
    controller.asterisk.owner = "dialplan"
    await controller.hears(CONNECTED)
    assert controller.rescue.claimable() == [CASE]
    assert controller.asterisk.dialled() == []
    await controller.hears(room("controller"))
    await controller.until(controller.asterisk.dialled)


async def test_an_elder_who_hung_up_unseen_closes_the_case(start: Start) -> None:
    former = await dialled_once(start)
    former.asterisk.channels = []
    successor = start(former.asterisk)
    await successor.hears(CONNECTED)
    (case,) = successor.journal.open_cases()
    assert case.state is emergency_facts.State.CLOSED
    assert case.is_unreached
    assert "call back" in successor.alarms
    steps = len(successor.told)
    await successor.hears(CONNECTED)
    assert len(successor.told) == steps, "it is not closed again at every look"


async def test_a_room_that_closed_while_it_was_read_keeps_no_case_back(start: Start) -> None:
    former = await dialled_once(start)
    former.asterisk.channels = [ELDER, channel(FIRST, "placeholder")]
    former.asterisk.members = []
    successor = start(former.asterisk)
    await successor.hears(CONNECTED)
    assert successor.rescue.claimable() == [CASE]


async def test_a_dial_that_was_just_sent_is_not_judged_by_an_older_list(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asterisk lists it a moment later; until then nothing is failed, lost or asked anew."""
    controller = start(fate=Fate(FateKind.NEVER_STARTED))
    await controller.hears(CONNECTED)
    await controller.until(controller.asterisk.dialled)
    controller.rescue.look_again()
    await controller.hears()
    case = controller.journal.case(CASE)
    assert case is not None
    assert case.roles[0].state is role.State.ASKED
    assert controller.rescue.claimable() == [CASE]
    monkeypatch.setattr(dialler, "UNSEEN_S", 0)
    await controller.until(lambda: "dial failed" in controller.alarms)


async def test_a_dial_that_was_sent_while_it_was_looked_for_is_not_sent_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was unsent when the looking began, and is sent before that ends."""
    controller = start()
    read_owner = controller.rescue._owner
    post = controller.dialler.post

    async def slowly(case_id: str) -> Owner:
        owner = await read_owner(case_id)
        if unsent := controller.journal.case(CASE):
            post(emergency.unsent(unsent)[0])
            known.set()
            await controller.until(controller.asterisk.dialled)
        return owner

    known = asyncio.Event()
    controller.asterisk.channels = []
    monkeypatch.setattr(controller.dialler, "post", lambda effect: None)
    await controller.hears(CONNECTED, room())
    controller.asterisk.channels = [ELDER, channel(f"{FIRST}-2", "placeholder")]
    monkeypatch.setattr(controller.dialler, "post", post)
    monkeypatch.setattr(controller.rescue, "_owner", slowly)
    await controller.hears(CONNECTED)
    assert known.is_set()
    assert controller.asterisk.dialled() == [FIRST]
    assert controller.alarms == []


def all_of_it(folder: Path, picture: Any = None) -> Emergencies:
    nothing = cast("Any", None)
    return Emergencies(
        folder, cast("Any", Asterisk()), nothing, picture, Clock(),
        seats=[], zone=ZoneInfo("UTC"), node="node1", fate_of=nothing,
        cards_of=nothing, as_dialled=str, sites=["main"], trunks=[], call_back_s=0, own_numbers=(),
        channels={},
    )  # fmt: skip


async def test_a_timer_behind_a_step_that_hangs_stays_due_and_is_called_nothing_else(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    picture = SimpleNamespace(alarm_raised=lambda alarm, _at: told.append(alarm.kind))
    emergencies = all_of_it(tmp_path / "late", picture)
    emergencies._steps._late[CASE] = asyncio.get_running_loop().create_future()
    due = DueTimer(process=emergency.PROCESS.name, case_id=CASE, name=role.TRY_AGAIN)
    for _ in range(2):
        await emergencies._fire(due)
    assert told == ["not handled"], "and not that it could not be kept"


async def test_a_late_fact_about_a_case_that_is_put_away_begins_none(tmp_path: Path) -> None:
    emergencies = all_of_it(tmp_path / "late")
    late: tuple[Event, ...] = (
        DialFailed(case_id=CASE, at=NOW, effect=FIRST, reason="late"),
        DialAttempted(case_id=CASE, at=NOW, effect=FIRST),
        EmergencyTimerFired(case_id=CASE, at=NOW, name=role.TRY_AGAIN),
        PersonLeft(case_id=CASE, at=NOW, leg="s1"),
        ElderGone(case_id=CASE, at=NOW),
    )
    for fact in late:
        assert await emergencies.handle(fact) is None
    assert emergencies._journal.open_cases() == []
    with pytest.raises(NotFound):
        await emergencies.handle(CallAgain(case_id=CASE, at=NOW, by="张敏"))


async def test_a_left_over_dial_is_withdrawn(start: Start) -> None:
    former = await dialled_once(start)
    former.asterisk.channels = [ELDER, SEAT, channel(FIRST, "placeholder")]
    former.asterisk.members = [CASE, "s1"]
    successor = start(former.asterisk)
    await successor.hears(CONNECTED)
    hangup = ("Hangup", {"Channel": FIRST, "Cause": "16"})
    await successor.until(lambda: hangup in successor.asterisk.asked)


async def test_nothing_is_claimed_without_asterisk_or_while_something_lies(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = await dialled_once(start)
    assert controller.rescue.claimable() == [CASE]
    monkeypatch.setattr(rescue_steps, "STALE_S", 0.3)
    controller.hold = asyncio.Event()
    controller.asterisk.urgent.put_nowait(room())
    await controller.until(lambda: controller.rescue.claimable() == [])
    monkeypatch.setattr(rescue_steps, "STALE_S", 30.0)
    controller.hold.set()
    await controller.until(lambda: controller.rescue.claimable() == [CASE])
    await controller.hears(cast("dict[str, Any]", None))
    assert controller.rescue.claimable() == []


async def test_a_dial_that_is_not_sent_in_time_gives_the_case_away(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue_module, "STALE_S", 0.05)
    controller = start()
    await controller.hears(CONNECTED)
    await controller.until(controller.asterisk.dialled)
    controller.dialler._waiting["x"] = (
        CallSeat(id="x", case_id=CASE, role="A"),
        asyncio.get_running_loop().time() - 1,
    )
    assert controller.rescue.claimable() == []


async def test_after_a_standstill_everything_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asterisk, looked = Asterisk(), asyncio.Event()
    monkeypatch.setattr(lease, "STOOD_STILL_S", -1.0)
    claims = asyncio.create_task(
        lease.keep_claims(cast("Ami", asterisk), lambda: [CASE], looked.set)
    )
    async with asyncio.timeout(2):
        await looked.wait()
    claims.cancel()
    await asyncio.wait((claims,))
    (name, fields), *_ = asterisk.asked
    assert (name, fields["Channel"], fields["Variable"]) == ("Setvar", CASE, "SHARED(CLAIM)")


async def test_an_elder_who_hangs_up_keeps_no_other_case_from_being_claimed() -> None:
    asterisk = Asterisk()
    asterisk.refuses = AmiRefused("No such channel")
    claims = asyncio.create_task(
        lease.keep_claims(cast("Ami", asterisk), lambda: [CASE, "n-1.2"], lambda: None)
    )
    async with asyncio.timeout(2):
        while len(asterisk.asked) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    claims.cancel()
    await asyncio.wait((claims,))
    assert [fields["Channel"] for _, fields in asterisk.asked[:2]] == [CASE, "n-1.2"]


async def test_callers_are_led_into_a_menu_only_while_somebody_takes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.01)
    asterisk, asked = Asterisk(), list[bool]()
    takes = [True, False, False, True]

    def takes_callers() -> bool:
        asked.append(takes[len(asked)] if len(asked) < len(takes) else False)
        return asked[-1]

    keeping = asyncio.create_task(lease.keep_lease(cast("Ami", asterisk), takes_callers))
    async with asyncio.timeout(20):
        while len(asked) < 6:  # noqa: ASYNC110 — the lease says nothing of itself.
            await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.wait((keeping,))
    values = [int(fields["Value"]) for name, fields in asterisk.asked if name == "Setvar"]
    assert [value - values[0] for value in values] == [0, 3]


# ── doubt ─────────────────────────────────────────────────────────────────────────────────────

OTHER: Final = "n-1.2"


def left(leg: str = "s1") -> dict[str, Any]:
    return {"Event": "ConfbridgeLeave", **channel(leg, "seat", effect=FIRST)}


def is_claimed(controller: Controller) -> bool:
    return controller.rescue.claimable() == [CASE]


async def accompanied(start: Start) -> Controller:
    """A seat is with the elder, and all is well."""
    controller = await dialled_once(start)
    controller.asterisk.channels = [ELDER, SEAT]
    controller.asterisk.members = [CASE, "s1"]
    await controller.hears({"Event": "ConfbridgeJoin", **SEAT})
    await controller.until(lambda: is_claimed(controller))
    return controller


async def test_a_fact_that_cannot_be_taken_is_shown_and_the_room_is_read_anew(
    start: Start,
) -> None:
    """The seat leaves; that it did is lost, but not that the elder is alone."""
    controller = await accompanied(start)
    controller.poison = {PersonLeft}
    controller.asterisk.channels, controller.asterisk.members = [ELDER], [CASE]
    await controller.hears(left())
    assert controller.doubts == [CASE]
    assert not is_claimed(controller)
    await controller.until(lambda: SECOND in controller.asterisk.dialled())
    await controller.until(lambda: is_claimed(controller))
    assert controller.doubts == []


async def test_a_case_that_fails_again_and_again_is_left_to_the_dialplan(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = await accompanied(start)
    controller.poison = {PersonLeft, CaseFound}
    tried: list[str] = []
    adopt = controller.rescue._adopt

    async def adopting(case_id: str, *rest: Any, **more: Any) -> None:
        assert not is_claimed(controller)
        tried.append(case_id)
        await adopt(case_id, *rest, **more)

    monkeypatch.setattr(controller.rescue, "_adopt", adopting)
    await controller.hears(left())
    await controller.until(lambda: len(tried) > 3)
    assert controller.doubts == [CASE], "shown, and shown once"
    controller.poison = set()
    await controller.until(lambda: is_claimed(controller))
    assert controller.doubts == []


async def test_a_case_whose_first_fact_is_lost_is_begun_by_the_next_look(start: Start) -> None:
    controller = start()
    controller.asterisk.channels = []
    await controller.hears(CONNECTED)
    controller.poison = {RoomOpened}
    controller.asterisk.channels = [ELDER]
    await controller.hears(room())
    await controller.until(controller.asterisk.dialled)
    await controller.until(lambda: is_claimed(controller))


async def test_a_step_that_hangs_loses_its_claim_and_holds_up_no_other_case(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = await accompanied(start)
    monkeypatch.setattr(rescue_steps, "STALE_S", 0.3)
    controller.hold = asyncio.Event()
    variables = [f"CARELINE_CALL={OTHER}", "CARELINE_PARTY=caller"]
    other = {**ELDER, "Uniqueid": OTHER, "ChanVariable": variables}
    controller.asterisk.channels = [*controller.asterisk.channels, other]
    await controller.hears(left())
    await controller.until(lambda: CASE in controller.doubts)
    # From here on a slow disk is no step that hangs.
    monkeypatch.setattr(rescue_steps, "STALE_S", 30.0)
    await controller.hears({**room(), "Call": OTHER})
    await controller.until(lambda: controller.rescue.claimable() == [OTHER])
    assert CASE in controller.doubts
    controller.hold.set()
    await controller.until(lambda: set(controller.rescue.claimable()) >= {CASE})
    assert CASE not in controller.doubts


async def test_a_timer_that_fails_puts_its_case_in_doubt(start: Start) -> None:
    controller = await dialled_once(start)
    controller.poison = {EmergencyTimerFired}
    with pytest.raises(LookupError):
        await controller.handle(EmergencyTimerFired(case_id=CASE, at=NOW, name=role.TRY_AGAIN))
    assert controller.doubts == [CASE]
    assert not is_claimed(controller)


@pytest.mark.parametrize("missed", ["room opened", "elder gone", "seat left", "seat came"])
async def test_what_no_event_told_is_seen_in_the_rooms(
    start: Start, monkeypatch: pytest.MonkeyPatch, missed: str
) -> None:
    """A room without a case, a case without a room, and others in it than the case knows."""
    if missed == "room opened":
        controller = start()
        controller.asterisk.channels = []
        await controller.hears(CONNECTED)
    else:
        controller = await (dialled_once if missed == "seat came" else accompanied)(start)
    match missed:
        case "elder gone":
            controller.asterisk.channels = []
        case "seat came":
            controller.asterisk.channels = [ELDER, SEAT]
            controller.asterisk.members = [CASE, "s1"]
        case _:
            controller.asterisk.channels, controller.asterisk.members = [ELDER], [CASE]

    def is_true() -> bool:
        case = controller.journal.case(CASE)
        if case is None or missed == "elder gone":
            return case is not None and case.state is emergency_facts.State.CLOSED
        return bool(emergency_facts.seats(case)) == (missed == "seat came")

    await controller.until(is_true)
    if missed != "elder gone":
        await controller.until(lambda: is_claimed(controller))
    await controller.until(lambda: not controller.rescue.claimable() or not controller.doubts)


async def test_a_case_that_was_closed_with_its_elder_in_the_room_is_shown_until_that_is_over(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = await dialled_once(start)
    await controller.hears(room("gone"))
    await controller.until(lambda: controller.doubts == [CASE])
    told = len(controller.told)
    await controller.hears(CONNECTED)
    assert controller.rescue.claimable() == [], "the dialplan leads it alone"
    assert (controller.doubts, len(controller.told)) == ([CASE], told)
    controller.asterisk.channels = []
    await controller.until(lambda: not controller.rescue.claimable() and not controller.doubts)


async def test_a_look_at_rooms_that_are_as_known_changes_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = await accompanied(start)
    told = list(controller.told)
    looked: list[frozenset[tuple[str, frozenset[str]]]] = []
    look = controller.rescue._differences

    async def looking() -> frozenset[tuple[str, frozenset[str]]]:
        looked.append(await look())
        return looked[-1]

    monkeypatch.setattr(controller.rescue, "_differences", looking)
    await controller.until(lambda: len(looked) > 5)
    assert set(looked) == {frozenset()}
    assert controller.told == told
    assert is_claimed(controller)


# ── words ─────────────────────────────────────────────────────────────────────────────────────


def heard(event: str, **fields: Any) -> list[type[Event]]:
    return [type(one) for one in rescue_events({"Event": event, **fields})]


def test_asterisks_words_about_an_emergency() -> None:
    for step, ours in (
        ("room", RoomOpened), ("takeover", TookOver), ("controller", HandedBack),
        ("gone", ElderGone),
    ):  # fmt: skip
        assert [type(one) for one in rescue_events(room(step))] == [ours]
    assert rescue_events(room("seats")) == ()
    assert heard("ConfbridgeJoin", **SEAT) == [PersonJoined]
    assert heard("ConfbridgeLeave", **SEAT) == [PersonLeft]
    assert heard("ConfbridgeJoin", **ELDER) == []
    assert heard("ConfbridgeLeave", **ELDER) == [ElderLeft]
    assert heard("Hangup", **ELDER) == [ElderGone]
    assert heard("Hangup", **SEAT) == [], "it rang and was not answered"
    assert heard("Hangup", **SEAT, ChannelStateDesc="Up") == [PersonLeft]
    assert heard("OriginateResponse", ActionID=FIRST, Response="Success") == [DialAnswered]
    assert heard("OriginateResponse", ActionID=FIRST, Response="Failure") == [DialFailed]


@pytest.mark.parametrize("odd", ["", "\x00", "x" * 5000, ["a"], "n-1.1-A1; DROP", "💥"])
def test_odd_words_are_no_fault(odd: Any) -> None:
    for event in ("UserEvent", "ConfbridgeJoin", "ConfbridgeLeave", "OriginateResponse", "Hangup"):
        names = ("UserEvent", "Call", "Step", "Uniqueid", "ActionID", "Response", "ChanVariable")
        rescue_events({"Event": event, **dict.fromkeys(names, odd)})
        rescue_events({"Event": event, "UserEvent": "Rescue", "Call": odd, "Step": odd})


def test_a_dial_names_its_case() -> None:
    assert case_of(FIRST) == CASE
    assert case_of("test-17") == ""
    assert case_of("n-1.1") == ""
    channels = [channel(FIRST, "placeholder"), channel(f"{FIRST}-2", "placeholder"), ELDER]
    assert living_dials(CASE, channels) == (FIRST,)
    assert living_dials("n-1.2", channels) == ()
    assert living_dials(CASE, [ELDER, SEAT]) == (FIRST,), "the seat is on its way into the room"
