"""What the doctor makes of what it saw: nothing wrong is passed over, nothing right is blamed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_desk import words
from home import Home
from launch import findings
from launch.alarms import WORDS, of_alarms
from launch.findings import AsteriskSeen, Finding, Level, Lines, Port
from launch.looks import look_at_channels, open_places, read_lines
from settings import Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def settings(**given: Any) -> Settings:
    return Settings.model_validate(given)


def assert_to_do(finding: Finding, *words: str) -> None:
    """It is to be done, with the reason and the way out, and says these words."""
    assert finding.level is Level.DO
    assert finding.why
    assert finding.do
    text = f"{finding.what} {finding.why} {finding.do}"
    for word in words:
        assert word in text


def test_a_port_of_somebody_else_is_to_be_done_and_our_own_is_not() -> None:
    taken = Port("127.0.0.1:8080 (desk, TCP)", ours=False, problem="stop nginx.")
    ours = Port("127.0.0.1:5060 (SIP, UDP)", ours=True, problem="it is taken, by us")
    bad, good = findings.of_ports([taken, ours])
    assert_to_do(bad, "127.0.0.1:8080", "stop nginx")
    assert (good.level, "5060" in good.what) == (Level.FINE, True)


@pytest.mark.parametrize(
    ("free", "a_day", "words"),
    [(10**9, 0, "nearly full"), (10**10, 10**9, "10 days"), (10**9, 1, "nearly full")],
)
def test_a_disk_without_room_for_a_month(free: int, a_day: float, words: str) -> None:
    assert_to_do(findings.of_disk(free, a_day), words)


@pytest.mark.parametrize(("free", "a_day"), [(10**10, 0), (10**12, 10**9)])
def test_a_disk_with_room(free: int, a_day: float) -> None:
    assert findings.of_disk(free, a_day).level is Level.FINE


def clock(**given: Any) -> list[Finding]:
    defaults: dict[str, Any] = {"synchronised": True, "newest": NOW - HOUR, "zone": "Asia/Shanghai"}
    return findings.of_clock(NOW, **(defaults | given))


def test_the_clock() -> None:
    assert [f.level for f in clock()] == [Level.FINE]
    assert [f.level for f in clock(synchronised=None, newest=None)] == [Level.FINE]
    assert_to_do(clock(synchronised=False)[0], "not synchronised", "chrony")
    assert_to_do(clock(newest=NOW + HOUR)[0], "set back", "2026-03-01 13:00:00 UTC")


def asterisk(**given: Any) -> list[Finding]:
    seen: dict[str, Any] = {
        "version": "22.10.1", "age": DAY, "tree": "/var/cache/x", "pid": 7, "answers": True,
    }  # fmt: skip
    return findings.of_asterisk(AsteriskSeen(**(seen | given)), "127.0.0.1:5060")


def test_asterisk() -> None:
    assert [f.level for f in asterisk()] == [Level.FINE]
    assert_to_do(asterisk(pid=None, answers=False)[0], "not running", "systemctl start")
    assert_to_do(asterisk(answers=False)[0], "does not answer", "pid 7")
    assert_to_do(asterisk(elsewhere="10.0.0.1:5060")[0], "10.0.0.1:5060", "quiet hour")
    assert_to_do(asterisk(age=61 * DAY)[0], "61 days ago", "/var/cache/x", "prepare")
    assert [f.level for f in asterisk(age=None)] == [Level.FINE], "the distribution's own"


CONTACTS = """
  Contact:  <Aor/ContactUri..............................> <Hash....> <Status> <RTT(ms)..>
==========================================================================================

  Contact:  1001/sip:phone-1001@127.0.130.3:5060           0c4f1016cc Avail         1.554
  Contact:  1001/sip:softphone@127.0.130.4:5060            0c4f1016cd Unavail        -nan
  Contact:  1002/sip:phone-1002@127.0.130.3:5060           24c6263fe3 Unavail        -nan
  Contact:  trunk-near/sip:127.0.130.2:5060                262381a8eb NonQual         nan

Objects found: 4
"""
REGISTRATIONS = """
 <Registration/ServerURI..............................>  <Auth....................>  <Status.......>
==========================================================================================

 trunk-city/sip:127.0.160.11:5060                        trunk-city        Registered (exp. 412s)
 trunk-bad/sip:127.0.160.12:5060                         trunk-bad         Rejected

Objects found: 2
"""


def test_asterisks_lists_are_read() -> None:
    lines = read_lines(CONTACTS, REGISTRATIONS)
    assert lines.contacts == {"1001": True, "1002": False, "trunk-near": True}
    assert lines.registrations == {"trunk-city": "Registered", "trunk-bad": "Rejected"}
    assert read_lines("No objects found.\n", "No objects found.\n") == Lines({}, {})


def test_a_carrier_is_registered_or_answers_or_is_to_be_done() -> None:
    some: Any = {"registers": True, "username": "8800", "password": "x"}
    given = settings(
        trunks=[
            {"name": "near", "host": "127.0.130.2:5060"},
            {"name": "far", "host": "127.0.130.3:5060"},
            {"name": "city", "host": "127.0.160.11:5060", **some},
            {"name": "bad", "host": "127.0.160.12:5060", **some},
            {"name": "new", "host": "127.0.160.13:5060", **some},
        ]
    )
    near, far, city, bad, new = findings.of_trunks(given, read_lines(CONTACTS, REGISTRATIONS))
    assert [near.level, city.level] == [Level.FINE, Level.FINE]
    assert_to_do(far, "far", "does not answer")
    assert_to_do(bad, "Rejected", "127.0.160.12:5060")
    assert_to_do(new, "Unregistered")
    assert findings.of_trunks(settings(), Lines({}, {}))[0].level is Level.NOTE


def test_seats_without_a_phone() -> None:
    one_away = findings.of_seats(settings(), Lines({"1001": True, "1002": False}, {}))
    assert (one_away.level, one_away.what) == (Level.NOTE, "No phone is signed in for: 1002.")
    assert_to_do(findings.of_seats(settings(), Lines({}, {})), "1001, 1002", "nobody")
    everybody = Lines({"1001": True, "1002": True}, {})
    assert findings.of_seats(settings(), everybody).level is Level.FINE


def test_a_responder_whose_number_is_none_is_to_be_done() -> None:
    def one(code: str, number: str, site: str = "main") -> dict[str, str]:
        return {"code": code, "site": site, "kind": "station", "name": "驿站", "number": number}

    good = [one("a", "0374-2610000"), one("b", "12345"), one("c", "+8613900012603")]
    (fine,) = findings.of_responders(settings(responders=good))
    assert (fine.level, fine.what) == (Level.FINE, "Organisations around the elders: 3.")
    bad = settings(responders=[*good, one("far", "374261000012345"), one("odd", "1390001260")])
    far, odd = findings.of_responders(bad)
    assert_to_do(far, "374261000012345", "驿站", "far", "area code")
    assert_to_do(odd, "1390001260", "odd")
    sites = [{"code": "main"}, {"code": "south"}]
    (bare,) = findings.of_responders(settings(sites=sites, responders=good))
    assert (bare.level, "south" in bare.what, "main" in bare.what) == (Level.NOTE, True, False)


@pytest.mark.parametrize(
    ("ends_at", "problem", "words"),
    [
        (NOW - DAY, "", "ended on 2026-02-28"),
        (NOW + 20 * DAY + HOUR, "", "in 20 days"),
        (None, "it cannot be used", "cannot be used"),
    ],
)
def test_a_certificate_that_browsers_refuse_or_soon_will(
    ends_at: datetime | None, problem: str, words: str
) -> None:
    given = settings(addresses={"desk_certificate": "/etc/desk.pem", "desk_key": "/etc/desk.key"})
    assert_to_do(findings.of_certificate(given, NOW, ends_at, problem), words, "/etc/desk.pem")
    good = findings.of_certificate(given, NOW, NOW + 90 * DAY, "")
    assert (good.level, "90 days" in good.what) == (Level.FINE, True)
    assert findings.of_certificate(settings(), NOW, None, "").level is Level.FINE


def test_a_backup_is_made_and_young() -> None:
    assert findings.of_backup(HOUR, "/home/last-backup").level is Level.FINE
    assert_to_do(findings.of_backup(None, "/home/last-backup"), "touch /home/last-backup")
    assert_to_do(findings.of_backup(3 * DAY, "/home/last-backup"), "3 days old")


def test_processes() -> None:
    all_up = dict.fromkeys(("controller", "desk", "worker"), "answers")
    assert [f.level for f in findings.of_processes(all_up)] == [Level.FINE]
    (hung,) = findings.of_processes(all_up | {"desk": "silent"})
    assert_to_do(hung, "desk runs and does not answer", "logs/desk.log")
    (down,) = findings.of_processes(dict.fromkeys(all_up, "down"))
    assert_to_do(down, "Careline is not running", "./careline run")


def test_the_rest() -> None:
    assert findings.of_database("", migrated=True).level is Level.FINE
    assert_to_do(findings.of_database("connection refused", migrated=False), "connection refused")
    assert_to_do(findings.of_database("", migrated=False), "another version")
    assert findings.of_outbox(3, timedelta(minutes=1)).level is Level.FINE
    assert_to_do(findings.of_outbox(3, HOUR), "3 recordings", "60 minutes")
    assert findings.of_home([], [], "careline").level is Level.FINE
    assert_to_do(findings.of_home(["/h/secrets"], [], "careline"), "/h/secrets")
    assert_to_do(findings.of_home([], ["/h/careline.db"], "careline"), "/h/careline.db", "chown")
    assert findings.of_rescue(live=False).level is Level.NOTE
    assert findings.of_rescue(live=True).level is Level.FINE
    practised = findings.of_rescue(live=True, practice=True)
    assert practised.level is Level.FINE
    assert "the town's own and nobody else" in practised.what
    assert "leave the centre" not in practised.what
    (fallback,) = findings.of_fallback(settings(), Lines({}, {}))
    assert fallback.level is Level.DO


def test_messages() -> None:
    given: dict[str, Any] = {
        "channels": ["gateway"], "gateway_url": "https://sms.example/send",
        "gateway_token": "gateway-token",
    }  # fmt: skip
    away = {"gateway": "sms.example does not answer"}
    found = findings.of_messages(settings(messages=given).messages, away)
    assert_to_do(found[0], "gateway", "sms.example does not answer", "firewall")
    assert (found[1].level, "public_url" in found[1].do) == (Level.NOTE, True)
    public = settings(messages=given | {"public_url": "https://desk.example"}).messages
    (good,) = findings.of_messages(public, {})
    assert (good.level, "gateway" in good.what) == (Level.FINE, True)
    (none,) = findings.of_messages(settings().messages, {})
    assert (none.level, "cannot be sent" in none.why) == (Level.NOTE, True)
    (practised,) = findings.of_messages(settings().messages, {}, practice=True)
    assert practised.level is Level.FINE
    assert "the town's own people and nobody else" in practised.what


async def test_whether_a_provider_is_there_is_tried_and_nothing_is_sent() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.read())
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    given = settings(
        messages={
            "channels": ["gateway"], "gateway_url": f"http://127.0.0.1:{port}/send",
            "gateway_token": "gateway-token",
        }
    )  # fmt: skip
    async with server:
        assert await look_at_channels(given) == {}
        assert await asyncio.wait_for(heard.get(), 10) == b""
    problem = (await look_at_channels(given))["gateway"]
    assert f"127.0.0.1:{port}" in problem
    assert await look_at_channels(settings()) == {}


def test_every_open_alarm_is_to_be_done() -> None:
    assert set(WORDS) == set(words.alarms()), "the doctor and the desk know the same kinds"
    told = {"key": "x", "text": "city", "raised_at": "2026-03-01T11:59:00.5+00:00"}
    for kind in (*WORDS, "of tomorrow"):
        (found,) = of_alarms([{**told, "kind": kind}])
        assert_to_do(found, ": city (alarm since 2026-03-01T11:59:00 UTC)")
    assert of_alarms([]) == []


@pytest.mark.parametrize(
    "name",
    ["careline.db", "careline.db-wal", "careline.toml", "rescue", "recordings", "recordings/2026"],
)
def test_what_others_can_read_is_seen(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    place = home.root / name
    if name.startswith("careline"):
        place.touch(0o600)
    else:
        place.mkdir(0o700, exist_ok=True)
    place.chmod(0o700)
    assert open_places(home) == []
    place.chmod(0o755)
    assert open_places(home) == [str(place)]
