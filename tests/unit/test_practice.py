"""A home is real or practice for good, practice loads no carrier, and the town's data is whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app import PROCESSES
from asterisk_conf.town import spellings
from home import PRACTICE, REAL, BadHome, Home
from practice import (
    ROBOTS,
    centre_host,
    choose,
    is_service,
    practised,
    settings_in,
    town_hosts,
)
from settings import BadConfig, Settings
from sql.numbers import as_dialled, e164
from telephony.practice.telephones import telephones
from telephony.practice.town import SPEECH, BadTown, direction, read, steps
from town import entry_of

COLUMNS = (
    "living_arrangement", "risk_plan", "main_diseases", "medication_state", "remark",
)  # fmt: skip
TRUNK = {"trunks": [{"name": "city", "host": "192.0.2.1:5060"}]}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


def settings(**given: Any) -> Settings:
    return Settings.model_validate(given)


def test_without_a_carrier_a_new_home_practises(home: Home) -> None:
    assert choose(settings(), home, asked=False, as_service=False) == PRACTICE
    assert choose(settings(), home, asked=False, as_service=False) == PRACTICE
    assert home.mode == PRACTICE


@pytest.mark.parametrize(
    ("given", "as_service"),
    [(TRUNK, False), ({"practice": {"town": False}}, False), ({}, True)],
    ids=["a carrier", "switched off", "a service"],
)
def test_what_is_meant_in_earnest_is_real(
    home: Home, given: dict[str, Any], as_service: bool
) -> None:
    assert choose(settings(**given), home, asked=False, as_service=as_service) == REAL
    assert home.mode == REAL
    assert settings_in(home, settings(**given)) == settings(**given)


def test_a_real_home_never_becomes_practice(home: Home) -> None:
    choose(settings(**TRUNK), home, asked=False, as_service=False)
    with pytest.raises(BadHome, match=r"real home, and practice never begins in one.*--home"):
        choose(settings(**TRUNK), home, asked=True, as_service=False)
    with pytest.raises(BadHome, match=r"no carrier in its settings.*town = false.*--home"):
        choose(settings(), home, asked=False, as_service=False)
    assert home.mode == REAL


async def test_no_invented_elder_is_entered_in_a_real_home(home: Home) -> None:
    home.mark(REAL)
    with pytest.raises(BadHome, match="no practice home"):
        await PROCESSES["practice"](settings(), home, lambda: pytest.fail("it serves"))
    assert not (home.root / "careline.db").exists()


def test_a_practice_home_never_becomes_real(home: Home) -> None:
    choose(settings(**TRUNK), home, asked=True, as_service=False)
    with pytest.raises(
        BadHome, match=r"practice home: its elders are invented.*--practice.*--home"
    ):
        choose(settings(**TRUNK), home, asked=False, as_service=False)
    assert home.mode == PRACTICE


@pytest.mark.parametrize("traces", ["careline.db", "recordings/2026/05/01"])
def test_a_home_that_was_used_before_homes_were_marked_is_real(home: Home, traces: str) -> None:
    (home.root / traces).mkdir(parents=True)
    with pytest.raises(BadHome, match="real home"):
        choose(settings(), home, asked=False, as_service=False)
    assert choose(settings(**TRUNK), home, asked=False, as_service=False) == REAL
    assert (home.root / "mode").read_text("utf-8") == "real\n"


def test_a_spoilt_mark_is_named(home: Home) -> None:
    (home.root / "mode").write_bytes(b"\xff maybe")
    with pytest.raises(BadHome, match=r"maybe.*right would be 'real'.*'practice'"):
        choose(settings(), home, asked=False, as_service=False)


def test_practice_has_one_carrier_its_own_database_and_its_own_dispatchers(home: Home) -> None:
    given = settings(
        **TRUNK,
        addresses={"host": "127.0.10.1"},
        database={"url": "postgresql+psycopg://careline:secret@db.example/careline"},
    )
    home.mark(PRACTICE)
    found = settings_in(home, given)
    assert [(trunk.name, trunk.host) for trunk in found.trunks] == [
        ("practice", "127.128.10.1:5070")
    ]
    assert found.database_url(home.root) == f"sqlite+aiosqlite:///{home.root}/careline.db"
    assert found.rescue.live
    assert [seat.extension for seat in found.seats] == ["1001", "1002", *ROBOTS]
    assert [seat.penalty for seat in found.seats] == [0, 0, 90, 90, 90]
    assert found.fallback_phones == {"main": "1001"}, "a robot is nobody's last help"


def test_a_seat_with_a_robots_extension_is_named() -> None:
    with pytest.raises(BadConfig, match=r"robots.*9901.*'9901' twice"):
        practised(settings(seats=[{"extension": "9901"}]))


@pytest.mark.parametrize(
    ("addresses", "hosts", "centre"),
    [
        ({}, ("127.128.0.1", "127.64.0.1"), ("127.0.0.1", 5060)),
        ({"host": "127.0.9.1"}, ("127.128.9.1", "127.64.9.1"), ("127.0.9.1", 5060)),
        ({"sip": "0.0.0.0:5080"}, ("127.128.0.1", "127.64.0.1"), ("127.0.0.1", 5080)),
        ({"sip": "192.0.2.5:5060"}, ("127.128.0.1", "127.64.0.1"), ("192.0.2.5", 5060)),
    ],
)
def test_the_town_has_loopback_addresses_of_its_own(
    addresses: dict[str, str], hosts: tuple[str, str], centre: tuple[str, int]
) -> None:
    given = settings(addresses=addresses)
    assert town_hosts(given) == hosts
    assert centre_host(given) == centre


def test_without_ipv4_practice_says_so() -> None:
    with pytest.raises(BadConfig, match="IPv4"):
        centre_host(settings(addresses={"sip": "[::1]:5060"}))


def test_only_the_very_process_that_systemd_started_is_a_service() -> None:
    """A terminal of a desktop inherits the variable from the service that it is part of."""
    assert is_service({"SYSTEMD_EXEC_PID": str(os.getpid())})
    assert not is_service({"SYSTEMD_EXEC_PID": str(os.getppid())})
    assert not is_service({})


# ── the town ─────────────────────────────────────────────────────────────────────────────────────


def test_thirty_elders_live_there_and_each_has_all_that_a_rescue_asks_for() -> None:
    town = read()
    assert len(town.elders) >= 30
    assert len({elder.name for elder in town.elders}) == len(town.elders)
    for elder in town.elders:
        parts = (elder.street, elder.compound, elder.building, elder.unit, elder.floor, elder.room)
        assert all((*parts, town.district, elder.landmark, elder.way_in)), elder.name
        assert elder.contacts, elder.name
        assert elder.calls_about, elder.name
        # The register and so the card have them too, whatever each is called there.
        kept = entry_of(elder, town.district, lambda number: number, "main").fields
        told = elder.lives, elder.risks, elder.diseases, elder.medication, elder.remark
        assert all((elder.lives, elder.risks, elder.remark)), elder.name
        assert told == tuple(kept[column] for column in COLUMNS)
    assert {elder.lives for elder in town.elders} == {"alone", "with_spouse", "with_children"}
    assert len({elder.voice for elder in town.elders}) >= 4
    assert sum(bool(elder.terminal) for elder in town.elders) >= 10
    does = {contact.does for elder in town.elders for contact in elder.contacts}
    assert does == {"family", "mailbox", "busy", "nobody"}


def test_every_word_of_the_town_has_been_spoken() -> None:
    """Whatever anybody may say, in the voice of whoever may say it, lies there to be played."""
    town = read()
    said = {
        step.removeprefix("say=")
        for elder in town.elders
        for scene in town.scenes
        for step in steps(scene.name, scene.lines, elder.voice).split(":")
        if step.startswith("say=")
    }
    said |= {
        step.removeprefix("say=")
        for telephone in telephones(town, ROBOTS, {}, lambda _: ())
        for step in telephone.steps.split(":")
        if step.startswith("say=")
    }
    files = {
        str(file.relative_to(SPEECH / "zh").with_suffix(""))
        for file in (SPEECH / "zh").rglob("*.alaw")
    }
    assert said == files
    sizes = [file.stat().st_size for file in (SPEECH / "zh").rglob("*.alaw")]
    assert min(sizes) > 8000 / 4, "nothing is shorter than a quarter of a second"
    assert sum(sizes) < 15 * 2**20


def test_whoever_the_town_has_around_its_elders_can_be_called() -> None:
    town = read()
    north = {"site": "north"}
    own = {"code": "real", "kind": "station", "name": "驿站", "number": "0374-2610009", **north}
    seat = {"extension": "1001", **north}
    found = practised(settings(sites=[{"code": "north"}], seats=[seat], responders=[own]))
    assert [(one.kind, one.name, one.site) for one in found.responders] == [
        ("station", "枣园养护站", "north")
    ], "none of the real ones is known in practice"
    number = e164(found.responders[0].number, country="86", area="0374")
    lines = telephones(town, ROBOTS, {}, lambda n: spellings(n, found))
    answering = {number for one in lines if one.does == "answers" for number in one.numbers}
    assert {number, as_dialled(number, country="86")} <= answering


def test_a_script_is_walked_line_by_line() -> None:
    lines = ("(listen)", "喂？", "(press 1)", "好。")
    assert steps("leak", lines, "granny") == (
        "listen:say=granny/leak-2:listen:press=1:say=granny/leak-4:wait=1"
    )


@pytest.mark.parametrize("line", ["(dance)", "(wait soon)", "(press 12)", "(press)", "(listen 3)"])
def test_a_direction_that_nobody_can_follow_is_named(line: str) -> None:
    with pytest.raises(ValueError, match=r"leak: \(.*scripts\.toml"):
        direction(line, "leak")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda text: text.replace('number = "03742601001"', 'number = "0374,S"'), "elders.0.numb"),
        (lambda text: text.replace('"leak"', '"dragon"'), "dragon"),
        (lambda text: text + "\n[[", "people.toml"),
    ],
    ids=["a number", "a scene", "no TOML"],
)
def test_a_town_that_is_written_wrong_is_named(
    tmp_path: Path, spoil: Callable[[str], str], named: str
) -> None:
    for name in ("people.toml", "scripts.toml"):
        (tmp_path / name).write_bytes((SPEECH.parent / name).read_bytes())
    people = tmp_path / "people.toml"
    people.write_text(spoil(people.read_text("utf-8")), "utf-8")
    with pytest.raises(BadTown, match=named):
        read(tmp_path)


def test_a_number_of_the_town_is_reached_however_it_is_dialled() -> None:
    town, given = read(), settings()
    found = telephones(
        town, ROBOTS, {"ambulance": ("120", "03742120120")}, lambda n: spellings(n, given)
    )
    by_number = {number: telephone for telephone in found for number in telephone.numbers}
    elder = town.elders[0].number
    for dialled in (elder, "2601001", "+863742601001", "863742601001", "00863742601001"):
        assert by_number[dialled].does == "answers", dialled
    assert by_number["120"] == by_number["03742120120"]
    assert "ambulance" in by_number["120"].steps
    assert by_number["phone-9901"].steps.startswith("say=woman/robot-1")
    # Two who share a telephone are one telephone.
    assert len(by_number) == sum(len(telephone.numbers) for telephone in found)
