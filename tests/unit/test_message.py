"""A message: what providers say of it in whatever order, and what a person may wish."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from sql import codec
from workflows.commands import LeaveMessage, SendMessageAgain
from workflows.effects import (
    Effect,
    EndAlarm,
    RaiseAlarm,
    SendMessage,
    StartTimer,
    StopTimer,
)
from workflows.errors import NotAllowed, NotFound
from workflows.events import (
    DialAttempted,
    EmergencyTimerFired,
    Event,
    MessageAccepted,
    MessageAttempted,
    MessageDelivered,
    MessageFailed,
    MessageLost,
)
from workflows.machine import Processes
from workflows.message import (
    FAILED,
    PAUSES_S,
    PERHAPS,
    REPORT_S,
    TABLE,
    Message,
    State,
    Trigger,
    is_over,
    request,
    step,
)
from workflows.messages import case_of, is_wanted, message_of, told, write

NOW: Final = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
CASE: Final = "n1-1.1"
ID: Final = f"{CASE}-M1"
TO: Final = "+8613800000021"


def written(*channels: str, number: int = 1, to: str = TO) -> Message:
    given = channels or ("twilio", "gateway")
    message, effects = write(
        CASE, number, to=to, name="王小兰", text="春秋小区7栋", channels=given, at=NOW
    )  # fmt: skip
    assert effects == (request(message),)
    return message


def attempted(asking: int = 1, at: datetime = NOW) -> Event:
    return MessageAttempted(case_id=CASE, at=at, message=ID, effect=f"{ID}.{asking}")


def accepted(asking: int = 1, sid: str = "SM1", at: datetime = NOW) -> Event:
    effect = f"{ID}.{asking}"
    return MessageAccepted(case_id=CASE, at=at, message=ID, effect=effect, provider_id=sid)


def delivered(asking: int = 1, at: datetime = NOW) -> Event:
    return MessageDelivered(case_id=CASE, at=at, message=ID, effect=f"{ID}.{asking}")


def failed(
    asking: int = 1, code: str = "30003", *, soon: bool = False, sid: str = "", at: datetime = NOW
) -> Event:
    return MessageFailed(
        case_id=CASE, at=at, message=ID, effect=f"{ID}.{asking}", code=code, reason="gone",
        is_temporary=soon, provider_id=sid,
    )  # fmt: skip


def lost(asking: int = 1) -> Event:
    return MessageLost(case_id=CASE, at=NOW, message=ID, effect=f"{ID}.{asking}")


def fires(name: str) -> Event:
    return EmergencyTimerFired(case_id=CASE, at=NOW, name=name)


def send_again(by: str = "张敏") -> Event:
    return SendMessageAgain(case_id=CASE, at=NOW, message=ID, by=by)


def leave(by: str = "张敏") -> Event:
    return LeaveMessage(case_id=CASE, at=NOW, message=ID, by=by)


def play(message: Message, *events: Event) -> tuple[Message, list[Effect]]:
    wanted = list[Effect]()
    for event in events:
        message, effects = step(message, event)
        wanted += effects
    return message, wanted


def sends(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(e.id, e.channel) for e in effects if isinstance(e, SendMessage)]


def alarms(effects: list[Effect]) -> list[str]:
    return [e.kind for e in effects if isinstance(e, RaiseAlarm)]


# ── what a person sees of it ──────────────────────────────────────────────────────────────────


def test_a_message_is_asked_for_by_the_first_channel_with_all_that_it_needs() -> None:
    message, (effect,) = write(
        CASE, 3, to=TO, name="王小兰", text="春秋小区7栋", channels=("gateway", "twilio"), at=NOW
    )
    assert effect == SendMessage(
        id=f"{CASE}-M3.1", case_id=CASE, message=f"{CASE}-M3", channel="gateway", to=TO,
        text="春秋小区7栋",
    )  # fmt: skip
    assert (message.state, message.channels, message.asked_at) == (State.QUEUED, ("twilio",), NOW)


def test_without_a_channel_it_is_refused_in_words_that_say_what_to_do() -> None:
    with pytest.raises(NotAllowed, match=r"no channel is set up: tell it on the telephone.*toml"):
        write(CASE, 1, to=TO, name="王小兰", text="春秋", channels=(), at=NOW)


@pytest.mark.parametrize(
    "to", ["", "13800000021", "+86 138", "+86138000000211234567", "+8６138000"]
)
def test_a_number_that_is_none_is_refused(to: str) -> None:
    with pytest.raises(NotAllowed, match="王小兰: there is no number"):
        write(CASE, 1, to=to, name="王小兰", text="春秋", channels=("twilio",), at=NOW)


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(NotAllowed, match="no text"):
        write(CASE, 1, to=TO, name="王小兰", text=" \n", channels=("twilio",), at=NOW)


def test_taken_and_delivered_leave_their_times() -> None:
    at = [NOW + timedelta(seconds=n) for n in range(4)]
    message, wanted = play(
        written(), attempted(at=at[1]), accepted(at=at[2]), delivered(at=at[3])
    )  # fmt: skip
    assert message.state is State.DELIVERED
    assert (message.asked_at, message.attempted_at) == (NOW, at[1])
    assert (message.accepted_at, message.delivered_at, message.failed_at) == (at[2], at[3], None)
    assert message.provider_id == "SM1"
    assert sends(wanted) == []
    assert alarms(wanted) == []
    assert is_over(message)


def test_a_temporary_failure_is_tried_again_after_growing_pauses_then_by_the_next_channel() -> None:
    message, pauses = written(), []
    for asking in range(1, len(PAUSES_S) + 1):
        message, wanted = play(message, attempted(asking), failed(asking, "20429", soon=True))
        assert (message.state, message.channel) == (State.WAITING, "twilio")
        pauses += [e.after_s for e in wanted if isinstance(e, StartTimer)]
        message, wanted = play(message, fires(message.again))
        assert sends(wanted) == [(f"{ID}.{asking + 1}", "twilio")]
    assert pauses == list(PAUSES_S)
    assert pauses == sorted(set(pauses)), "they grow"
    last = len(PAUSES_S) + 1
    message, wanted = play(message, attempted(last), failed(last, "20429", soon=True))
    assert sends(wanted) == [(f"{ID}.{last + 1}", "gateway")]
    assert (message.tried, message.channels, message.tries) == (("twilio",), (), 1)
    assert not alarms(wanted)


@pytest.mark.parametrize("code", ["21610", "21211", "21614", "30003", "30005", "30006"])
def test_a_permanent_failure_goes_to_the_next_channel_at_once(code: str) -> None:
    message, wanted = play(written(), attempted(), failed(code=code))
    assert sends(wanted) == [(f"{ID}.2", "gateway")]
    assert (message.state, message.channel, message.code) == (State.QUEUED, "gateway", code)


def test_undeliverable_after_it_was_taken_goes_to_the_next_channel_too() -> None:
    _, wanted = play(written(), attempted(), accepted(), failed(sid="SM1"))
    assert sends(wanted) == [(f"{ID}.2", "gateway")]


def test_with_no_channel_left_it_has_failed_and_that_is_an_alarm_until_a_person_leaves_it() -> None:
    message, wanted = play(written("twilio"), attempted(), failed())
    assert (message.state, message.failed_at, message.code) == (State.FAILED, NOW, "30003")
    (alarm,) = [e for e in wanted if isinstance(e, RaiseAlarm)]
    assert (alarm.kind, alarm.key) == (FAILED, f"{FAILED}/{ID}")
    assert alarm.text == f"{ID} 王小兰: 30003 gone"
    assert not is_over(message)
    left, wanted = play(message, leave())
    assert EndAlarm(key=alarm.key) in wanted
    assert (left.state, left.left_by, is_over(left)) == (State.FAILED, "张敏", True)


def test_what_was_perhaps_sent_is_shown_and_never_repeated_by_itself() -> None:
    message, wanted = play(written(), attempted(), lost())
    assert message.state is State.UNCERTAIN
    assert alarms(wanted) == [PERHAPS]
    later = [fires(message.again), fires(message.overdue), lost(), attempted()]
    assert play(message, *later) == (message, [])
    again, wanted = play(message, send_again())
    assert sends(wanted) == [(f"{ID}.2", "twilio")]
    assert EndAlarm(key=message.doubt) in wanted
    assert again.state is State.QUEUED


def test_a_doubt_ends_when_the_provider_says_what_became_of_it() -> None:
    doubtful, _ = play(written(), attempted(), lost())
    for event, state in (
        (accepted(), State.SENT),
        (delivered(), State.DELIVERED),
        (failed(soon=True, sid="SM1"), State.WAITING),
    ):
        message, wanted = play(doubtful, event)
        assert message.state is state
        assert EndAlarm(key=message.doubt) in wanted


def test_what_a_person_has_left_is_not_sent_on_when_it_is_known_to_have_failed() -> None:
    message, wanted = play(written(), attempted(), lost(), leave(), failed(sid="SM1"))
    assert (message.state, message.left_by) == (State.FAILED, "张敏")
    assert sends(wanted) == []
    assert alarms(wanted) == [PERHAPS], "the doubt, and no failure after that"


def test_a_person_has_what_failed_everywhere_sent_anew_from_the_first_channel_on() -> None:
    message, _ = play(written(), attempted(), failed(), attempted(2), failed(2))
    assert (message.state, message.tried) == (State.FAILED, ("twilio",))
    again, wanted = play(message, send_again())
    assert sends(wanted) == [(f"{ID}.3", "twilio")]
    assert (again.channel, again.channels, again.tried) == ("twilio", ("gateway",), ())
    assert (again.failed_at, again.left_by) == (None, "")


@pytest.mark.parametrize("wish", [send_again(by=" "), leave(by="")])
def test_only_a_named_person_decides(wish: Event) -> None:
    message, _ = play(written(), attempted(), lost())
    with pytest.raises(NotAllowed, match="person with a name"):
        step(message, wish)


@pytest.mark.parametrize("wish", [send_again(), leave()])
@pytest.mark.parametrize("before", [(), (accepted(),), (delivered(),), (failed(soon=True),)])
def test_what_goes_its_way_is_neither_sent_again_nor_left(
    before: tuple[Event, ...], wish: Event
) -> None:
    with pytest.raises(NotAllowed, match="not possible while"):
        step(play(written(), attempted(), *before)[0], wish)


def test_without_a_report_nobody_waits_for_ever_and_a_late_one_still_counts() -> None:
    message, wanted = play(written(), attempted(), accepted())
    assert StartTimer(name=message.overdue, after_s=REPORT_S) in wanted
    assert not is_over(message)
    silent, wanted = play(message, fires(message.overdue))
    assert (silent.state, is_over(silent), wanted) == (State.UNREPORTED, True, [])
    assert play(silent, delivered())[0].state is State.DELIVERED
    assert sends(play(silent, failed(sid="SM1"))[1]) == [(f"{ID}.2", "gateway")]
    assert sends(play(silent, send_again())[1]) == [(f"{ID}.2", "twilio")]


# ── late, doubled and out of order ────────────────────────────────────────────────────────────


def test_delivered_comes_before_the_provider_has_answered_us() -> None:
    message, wanted = play(written(), attempted(), delivered(), accepted(), delivered())
    assert (message.state, message.provider_id) == (State.DELIVERED, "SM1")
    assert sends(wanted) == []


def test_undelivered_comes_before_the_provider_has_answered_us() -> None:
    """The late answer is no news: the message was taken, and then it failed."""
    message, wanted = play(written(), attempted(), failed(soon=True, sid="SM1"), accepted())
    assert message.state is State.WAITING
    assert play(message, fires(message.again))[0].state is State.QUEUED
    assert not sends(wanted)


def test_sent_that_comes_after_its_own_failure_does_not_stop_the_next_try() -> None:
    message, _ = play(written(), attempted(), accepted(), failed(soon=True, sid="SM1"))
    assert play(message, accepted()) == (message, [])


def test_what_seemed_to_have_failed_and_was_taken_is_not_sent_twice() -> None:
    """A provider that answers 500 and sends it all the same."""
    message, wanted = play(written(), attempted(), failed(code="500", soon=True), accepted())
    assert message.state is State.SENT
    assert StopTimer(name=message.again) in wanted
    assert play(message, fires(message.again)) == (message, [])


def test_what_an_older_asking_has_delivered_ends_the_newer_one() -> None:
    message, _ = play(written(), attempted(), lost(), send_again())
    assert is_wanted((message,), request(message))
    arrived, _ = play(message, delivered(1))
    assert arrived.state is State.DELIVERED
    assert not is_wanted((arrived,), request(message))


def test_an_older_askings_failure_is_old_news() -> None:
    message, _ = play(written(), attempted(), failed())
    assert play(message, failed(), accepted(), lost(), attempted()) == (message, [])


# ── every order ───────────────────────────────────────────────────────────────────────────────

DEEP: Final = 9
FINAL: Final = (State.DELIVERED,)
MAY_HAVE_IT: Final = (State.SENT, State.UNREPORTED, State.UNCERTAIN)


@dataclass(frozen=True)
class World:
    """A message with what its effects have left in the world: alarms, timers, askings."""

    message: Message
    alarms: frozenset[str] = frozenset()
    timers: frozenset[str] = frozenset()
    sent: tuple[str, ...] = ()

    def after(self, event: Event) -> World:
        message, effects = step(self.message, event)
        alarms, timers, sent = set(self.alarms), set(self.timers), list(self.sent)
        timers.discard(getattr(event, "name", ""))
        for effect in effects:
            match effect:
                case RaiseAlarm():
                    alarms.add(effect.key)
                case EndAlarm():
                    alarms.discard(effect.key)
                case StartTimer():
                    timers.add(effect.name)
                case StopTimer():
                    timers.discard(effect.name)
                case SendMessage():
                    sent.append(effect.id)
        return World(message, frozenset(alarms), frozenset(timers), tuple(sent))


def moves(message: Message) -> Iterator[Event]:
    """All that can come: of the newest asking and of the one before, timers, and wishes."""
    for asking in {message.asked, max(1, message.asked - 1)}:
        yield attempted(asking)
        yield accepted(asking)
        yield delivered(asking)
        yield lost(asking)
        for soon in (True, False):
            yield failed(asking, "500", soon=soon)
            yield failed(asking, "30003", soon=soon, sid="SM1")
    yield fires(message.again)
    yield fires(message.overdue)
    yield fires("send again/M2")
    yield send_again()
    yield leave()


def assert_right(world: World) -> None:
    now = world.message
    shown = {key.partition("/")[0] for key in world.alarms}
    wants = {State.FAILED: {FAILED}, State.UNCERTAIN: {PERHAPS}}.get(now.state, set())
    assert shown == (set() if now.left_by else wants), "what a person must see is shown, no more"
    waits = {State.WAITING: {now.again}, State.SENT: {now.overdue}}.get(now.state, set())
    assert world.timers == waits
    assert len(set(world.sent)) == len(world.sent), "no asking twice"
    assert (now.state is State.DELIVERED) == bool(now.delivered_at)
    assert (now.state is State.FAILED) == bool(now.failed_at)
    assert now.tries <= len(PAUSES_S) + 1


def assert_lawful(before: World, event: Event, after: World) -> None:
    old, new = before.message, after.message
    if old.state in FINAL:
        assert new.state is old.state, "what has arrived stays so"
    if len(after.sent) > len(before.sent) and not isinstance(event, SendMessageAgain):
        may_have_it = old.state in MAY_HAVE_IT or (old.state is State.QUEUED and old.attempted_at)
        failed_now = isinstance(event, MessageFailed) and event.effect == old.effect
        paused = isinstance(event, EmergencyTimerFired) and old.state is State.WAITING
        assert failed_now or paused, "sent anew without a reason"
        assert failed_now or not may_have_it, "sent anew while it may be on its way"
    if new.asked == old.asked and old.accepted_at:
        assert new.accepted_at == old.accepted_at, "when it was taken is not changed by an echo"


def test_every_order_of_facts_and_wishes_leaves_it_right() -> None:
    start = World(written(), sent=(f"{ID}.1",))
    todo, seen = deque([(start, 0)]), {start}
    states = set[State]()
    while todo:
        world, depth = todo.popleft()
        assert_right(world)
        states.add(world.message.state)
        for event in moves(world.message) if depth < DEEP else ():
            try:
                after = world.after(event)
            except NotAllowed:
                assert isinstance(event, SendMessageAgain | LeaveMessage)
                continue
            assert_lawful(world, event, after)
            if after not in seen:
                seen.add(after)
                todo.append((after, depth + 1))
    assert states == set(State)
    assert len(seen) > 1000, "it went deep enough to mean something"


def test_every_state_knows_every_fact() -> None:
    wishes = {Trigger.SEND_AGAIN, Trigger.LEAVE}
    for state in State:
        assert set(Trigger) - set(TABLE[state]) <= wishes, state


# ── in a case ─────────────────────────────────────────────────────────────────────────────────


def test_of_several_recipients_each_has_a_result_of_its_own() -> None:
    both = (written(), replace(written(number=2), name="王建国"))
    after, wanted = told(both, accepted())
    assert [one.state for one in after] == [State.SENT, State.QUEUED]
    assert [e.name for e in wanted if isinstance(e, StartTimer)] == ["no report/M1"]
    after, wanted = told(both, failed())
    assert [one.channel for one in after] == ["gateway", "twilio"]
    uncertain, _ = told(both, lost())
    after, wanted = told(uncertain, send_again())
    assert sends(list(wanted)) == [(f"{ID}.2", "twilio")], "the other one is not asked for"


def test_what_is_not_about_messages_changes_none() -> None:
    both = (written(), written(number=2))
    dial = DialAttempted(case_id=CASE, at=NOW, effect=f"{CASE}-A1")
    assert told(both, dial) == (both, ())
    assert told((), dial) == ((), ())


@pytest.mark.parametrize("event", [delivered(), send_again()])
def test_a_message_that_nobody_wrote_is_said_to_be_unknown(event: Event) -> None:
    with pytest.raises(NotFound, match=f"there is no message {ID}"):
        told((written(number=2),), event)


def test_an_asking_says_whose_it_is() -> None:
    message = written(number=12)
    assert message_of(request(message).id) == message.id
    assert case_of(message.id) == CASE
    for odd in ("", ".", "x.1", ".1", f"{ID}.", f"{ID}.x", f"{CASE}-A1", ID, CASE):
        assert message_of(odd) == ""
    for odd in ("", "-M", f"{CASE}-A1", f"{CASE}-M", f"{CASE}-Mx"):
        assert case_of(odd) == ""


def test_a_message_and_its_facts_are_kept_and_read_again() -> None:
    message, _ = play(written(), attempted(), accepted(), failed(), attempted(2))
    assert codec.load(Message, codec.dump(message)) == message
    for event in (attempted(), accepted(), delivered(), failed(), lost(), send_again(), leave()):
        assert codec.load_event(codec.dump_event(event)) == event
    effect = request(message)
    assert codec.load_effect("SendMessage", codec.dump_effect(effect)) == effect


def test_an_event_that_no_process_takes_is_refused_in_words() -> None:
    with pytest.raises(NotFound, match="nothing here takes MessageLost"):
        Processes(()).for_event(lost())
