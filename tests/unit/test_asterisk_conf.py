"""The configuration of Asterisk as text: nothing breaks out of a line, nothing is half written."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asterisk_conf.render import CARRIER_TEMPLATES, TEMPLATES, render, texts
from asterisk_conf.sounds import PROMPTS, copy_sounds
from home import Home
from settings import BadConfig, Centre, Seat, Settings, Site, Trunk

FULL: dict[str, Any] = {
    "addresses": {"host": "127.0.10.1"},
    "trunks": [
        {"name": "one", "host": "192.0.2.1:5060", "match": ["198.51.100.0/24"]},
        {
            "name": "two",
            "host": "sip.example:5080",
            "registers": True,
            "username": "user",
            "password": "pa,ss (word)",
            "caller_number": "3210000",
        },
    ],
    "seats": [{"extension": "1001", "name": "王芳"}, {"extension": "1002", "queues": ["hotline"]}],
}


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Rendering needs to know where Asterisk lies, not that it is there."""

    command: tuple[str, ...] = ("asterisk",)
    modules_dir: Path = Path("/usr/lib/asterisk/modules")
    data_dir: Path = Path("/usr/share/asterisk")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    folder = tmp_path / "prompts"
    for name in ("zh/notice.wav", "zh/emergency-wait.wav", "zh/digits/1.wav", "moh/calm.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"sound")
    (folder / "zh" / "phrases.toml").write_text("not a sound")
    return folder


def rendered(home: Home, **settings: Any) -> dict[str, str]:
    """The files by name."""
    return texts(Settings.model_validate(settings), home, Nowhere())


def written(home: Home, prompts: Path, **settings: Any) -> dict[str, str]:
    """The files by name, as they lie in the home."""
    root = render(Settings.model_validate(settings), home, Nowhere(), "", prompts)
    return {file.name: file.read_text("utf-8") for file in (root / "etc").iterdir()}


def section(text: str, name: str) -> str:
    """A section of a file, to its next one."""
    found = re.search(rf"^\[{re.escape(name)}\]\n(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, name
    return found[1]


def test_every_bind_is_explicit(home: Home) -> None:
    files = rendered(home, **FULL)
    assert files["pjsip.conf"].count("bind = 127.0.10.1:5060") == 2
    assert "bindaddr = 127.0.10.1" in files["manager.conf"]
    assert "bindaddr = 127.0.10.1" in files["http.conf"]
    assert "0.0.0.0" not in files["pjsip.conf"]
    assert files["pjsip.conf"].count("media_address = 127.0.10.1") == 6


def test_the_internal_door_stays_on_loopback(home: Home) -> None:
    outside = {"host": "192.0.2.7", "desk_proxy": "proxy", "public_sip_host": "203.0.113.1"}
    files = rendered(home, addresses=outside)
    assert "bind = 192.0.2.7:5060" in files["pjsip.conf"]
    assert "external_media_address = 203.0.113.1" in files["pjsip.conf"]
    assert "bindaddr = 127.0.0.1" in files["manager.conf"]
    assert "bindaddr = 127.0.0.1" in files["http.conf"]
    assert "bind = 127.0.0.1\n" in files["pjsip.conf"]
    assert "agi://127.0.0.1:4573/hotline" in files["extensions.conf"]


def test_secrets_are_random_kept_and_closed(home: Home, prompts: Path) -> None:
    first = written(home, prompts, **FULL)
    again = written(home, prompts, **FULL)
    assert first == again, "a second start changes nothing"
    passwords = home.seat_passwords(("1001", "1002"))
    assert passwords["1001"] != passwords["1002"]
    assert f"password = {passwords['1001']}" in first["pjsip.conf"]
    assert f"secret = {home.secret('ami')}" in first["manager.conf"]
    for file in (home.asterisk / "etc").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_trunks_are_known_by_address_or_register(home: Home) -> None:
    text = rendered(home, **FULL)["pjsip.conf"]
    assert "match = 192.0.2.1\nmatch = 198.51.100.0/24" in text
    assert "server_uri = sip:sip.example:5080" in text
    assert text.count("type = registration") == 1
    assert "password = pa,ss (word)" in text
    assert "from_user = 96100" in text
    assert "from_user = 3210000" in text
    assert "anonymous" not in text


def test_seats_stand_in_their_queues_only(home: Home) -> None:
    text = rendered(home, **FULL)["queues.conf"]
    hotline, emergency = section(text, "hotline"), section(text, "emergency")
    assert "PJSIP/1001" in emergency
    assert "PJSIP/1002" in hotline
    assert "PJSIP/1002" not in emergency
    assert "weight = 10" in emergency
    assert "leavewhenempty = no" in hotline


def test_no_word_of_a_caller_is_an_argument(home: Home) -> None:
    """Names and headers stay in events; a number passes FILTER before it is used."""
    text = rendered(home, **FULL)["extensions.conf"]
    assert "CALLERID(name" not in text
    # The one header that we add ourselves holds our own call's id.
    ours = "PJSIP_HEADER(add,X-Careline-Call)=${CARELINE_CALL}"
    assert "PJSIP_HEADER" not in text.replace(ours, "")
    for line in text.splitlines():
        if line.startswith(";"):
            continue
        unfiltered = line
        for word in ("${EXTEN}", "${CALLERID(num)}", "${IMPORT(${CARELINE_CALL},CALLERID(num))}"):
            for kept in ("0-9", "0-9+", "0-9A-Za-z+*#._"):
                unfiltered = unfiltered.replace(f"${{FILTER({kept},{word})}}", "")
        assert "EXTEN" not in unfiltered, line
        assert "CALLERID(num" not in unfiltered.replace("Set(CALLERID(num)=", ""), line


def test_no_agi_stands_before_an_emergency(home: Home) -> None:
    text = rendered(home, **FULL)["extensions.conf"]
    names = ("arrive", "emergency", "rescue-watch", "rescue-ring", "rescue-place", "rescue-join")
    reached = "".join(section(text, name) for name in names)
    for application in ("AGI(", "Read(", "BackGround(", "notice"):
        assert application not in reached
    assert "AGI(" in section(text, "hotline")


def test_a_seats_number_is_cleaned_before_it_is_compared(home: Home) -> None:
    """What a seat dials is a pattern's only in its clean form."""
    text = rendered(home, **FULL)["extensions.conf"]
    first = section(text, "from-seat")
    assert re.findall(r"exten => (\S+?),", first) == ["_[0-9#*+]!"]
    assert "Goto(dialled,${CARELINE_DIALLED},1)" in first
    assert "include" not in first
    for name in ("dialled", "guarded", "anywhere"):
        assert "EXTEN" not in section(text, name)


def test_a_sites_own_number_is_guarded_in_its_local_form(home: Home) -> None:
    sites = [{"code": "main", "ambulance": "03745550120"}]
    guarded = section(rendered(home, sites=sites)["extensions.conf"], "guarded")
    for number in ("5550120", "03745550120", "+863745550120", "008603745550120"):
        assert f"exten => {number},1," in guarded, number


def test_an_entry_is_known_with_its_plus_and_without(home: Home) -> None:
    plan = {"emergency": "+8637496000"}
    text = rendered(home, numbers=plan)["extensions.conf"]
    carrier = section(text, "from-carrier")
    for number, entry in (
        *(("8637496000", "emergency"), ("+8637496000", "emergency")),
        *(("96100", "hotline"), ("+96100", "hotline")),
    ):
        assert f"exten => {number},1,Gosub(arrive,s,1({entry},{number}))" in carrier
        assert f"exten => {number},1,Goto(from-carrier,{number},1)" in section(text, "dialled")


def test_the_watchdog_of_a_menu_is_no_call(home: Home, prompts: Path) -> None:
    text = written(home, prompts, **FULL)["extensions.conf"]
    watchdog = [li for li in section(text, "watch-menu").splitlines() if not li.startswith(";")]
    for word in ("CARELINE_CALL", "MixMonitor", "Answer(", "Wait("):
        assert not [line for line in watchdog if word in line], word
    sound = home.asterisk / "data" / "sounds" / "zh" / "quarter-second.sln"
    assert sound.read_bytes() == bytes(4000)


def test_an_emergency_rings_those_who_serve_it_and_the_fallback_phones(home: Home) -> None:
    seats = [
        {"extension": "1001", "queues": ["hotline"]},
        {"extension": "1002"},
        {"extension": "1003", "queues": ["hotline"]},
        {"extension": "1004", "site": "south", "queues": ["hotline"]},
    ]
    sites = [{"code": "main", "fallback_phone": "1003"}, {"code": "south"}]
    text = rendered(home, seats=seats, sites=sites)["extensions.conf"]
    assert "\nRESCUE_SEATS=1002,1003,1004\n" in text


def test_a_silent_phone_is_given_up_and_a_silent_elder_never(home: Home) -> None:
    text = rendered(home, **FULL)["pjsip.conf"]
    for seat in ("1001", "1002"):
        assert "rtp_timeout = 5\n" in section(text, seat)
        assert "rtp_timeout_hold = 60\n" in section(text, seat)
    for trunk in ("one", "two"):
        # Whoever calls us may be silent; a contact whom we called is given up after a minute.
        assert "rtp_timeout" not in section(text, f"trunk-{trunk}")
        contact = section(text, f"trunk-{trunk}.contact")
        assert "rtp_timeout = 60\nrtp_timeout_hold = 60\n" in contact
        assert f"aors = trunk-{trunk}\n" in contact
    assert text.count("rtp_timeout = ") == 4


def test_a_room_ends_with_nobodys_leaving(home: Home) -> None:
    text = rendered(home, **FULL)["confbridge.conf"]
    settings = [line for line in text.splitlines() if not line.startswith(";")]
    assert not [line for line in settings if "end_marked" in line or "wait_marked" in line]
    assert "jitterbuffer = yes" not in text
    assert "mixing_interval = 20" in text


def test_notes_about_cases_go_at_the_start_and_contacts_stay(home: Home) -> None:
    files = rendered(home, **FULL)
    swept = set(re.findall(r"deltree rescue/(\w+) = yes\n", files["cli.conf"]))
    noted = set(re.findall(r"DB\w*\(rescue/(\w+)/", files["extensions.conf"]))
    assert swept == noted - {"contact"}


@pytest.mark.parametrize("live", [False, True])
def test_no_contact_is_a_bare_rescue_number(home: Home, live: bool) -> None:
    text = rendered(home, rescue={"live": live})["extensions.conf"]
    contact, number = section(text, "rescue-contact"), section(text, "rescue-number")
    assert "EXTEN" not in number
    assert "Goto(rescue-number,${CARELINE_DIALLED},1)" in contact
    for spelling in ("120", "119", "110", "0120", "+86120"):
        assert f"exten => {spelling},1,Hangup(21)" in number, spelling
    assert ("exten => _0XX120,1,Hangup(21)" in number) == (not live)


def test_the_rescue_numbers_are_each_sites_own(home: Home) -> None:
    sites = [
        {"code": "main", "ambulance": "0374120", "fire": "0374119", "police": "0374110"},
        {"code": "south", "ambulance": "0375120"},
    ]
    text = rendered(home, sites=sites, rescue={"live": True})["extensions.conf"]
    assert "exten => 120,1,Set(CARELINE_DIALLED=0374120)" in section(text, "dispatchers-main")
    assert "exten => 120,1,Set(CARELINE_DIALLED=0375120)" in section(text, "dispatchers-south")
    assert "guarded" not in text


def test_switched_off_no_spelling_of_a_rescue_number_leaves(home: Home) -> None:
    sites = [{"code": "main", "ambulance": "5550120"}]
    text = rendered(home, sites=sites)["extensions.conf"]
    assert "dispatchers-" not in text
    guarded = section(text, "guarded")
    for number in (
        *("5550120", "03745550120", "+863745550120", "00863745550120", "374120"),
        *("_0XX120", "_0XXX110", "_86XX120", "_+86XXX119", "_0086XXX120", "_+860XXX120"),
    ):
        assert f"exten => {number},1," in guarded, number
    order = section(text, "dialled")
    for short in ("120", "119", "110"):
        for spelling in ("", "0", "86", "+86", "0086", "+860", "00860"):
            refused = f"exten => {spelling}{short},1,Gosub(place,s,1(${{CARELINE_DIALLED}}))\n"
            assert f"{refused} same => n,Goto(placed,not-allowed,1)\n" in order
    assert order.index("include => guarded") < order.index("include => anywhere")


EVIL = ["x\ny", "x;y", 'x"y', "${SHELL(id)}", "x\\y", "x]y", "x=>y", "x\x00y"]


@pytest.mark.parametrize("value", EVIL)
def test_a_value_that_would_break_out_is_refused(home: Home, prompts: Path, value: str) -> None:
    """Also when it has got past the settings; the old configuration stays whole."""
    before = written(home, prompts, **FULL)
    whole = Settings.model_validate(FULL)
    wrong = [
        whole.model_copy(update={"centre": Centre.model_construct(node=value)}),
        whole.model_copy(update={"seats": (Seat.model_construct(extension="1001", name=value),)}),
        whole.model_copy(update={"trunks": (Trunk.model_construct(name="x", host=f"{value}:1"),)}),
    ]
    for settings in wrong:
        with pytest.raises(BadConfig, match="cannot be written into Asterisk"):
            render(settings, home, Nowhere(), "", prompts)
    after = {f.name: f.read_text("utf-8") for f in (home.asterisk / "etc").iterdir()}
    assert after == before


@pytest.mark.parametrize("value", ["1,Hangup()", "1)n", "1&2", "a|b", "x^y", "1'"])
def test_an_argument_of_the_dialplan_is_held_more_strictly(
    home: Home, prompts: Path, value: str
) -> None:
    site = Site.model_construct(code="main", ambulance=value)
    settings = Settings.model_validate(FULL | {"rescue": {"live": True}})
    with pytest.raises(BadConfig, match="dialplan"):
        render(settings.model_copy(update={"sites": (site,)}), home, Nowhere(), "", prompts)


def test_templates_never_call_a_setting_their_own() -> None:
    """`| ours` switches the check off; it is for patterns that we write ourselves."""
    for template in [*TEMPLATES.glob("*.j2"), *CARRIER_TEMPLATES.glob("*.j2")]:
        for used in re.findall(r"\{\{([^}]*)\| *ours", template.read_text("utf-8")):
            assert used.strip() == "pattern", (template, used)


def test_sounds_are_copied_when_they_changed(home: Home, prompts: Path) -> None:
    data = home.asterisk / "data"
    written(home, prompts)
    notice = data / "sounds" / "zh" / "notice.wav"
    assert notice.read_bytes() == b"sound"
    assert (data / "sounds" / "zh" / "digits" / "1.wav").exists()
    assert not (data / "sounds" / "zh" / "phrases.toml").exists()
    emergency = sorted(file.name for file in (data / "moh" / "emergency").iterdir())
    assert emergency == ["1-emergency-wait.wav", "2-calm.wav"], "the words before the music"
    inode = notice.stat().st_ino
    copy_sounds(prompts, data, "")
    assert notice.stat().st_ino == inode, "not copied again"
    (prompts / "zh" / "notice.wav").write_bytes(b"another")
    (prompts / "zh" / "digits" / "1.wav").unlink()
    copy_sounds(prompts, data, "")
    assert notice.read_bytes() == b"another"
    assert not (data / "sounds" / "zh" / "digits" / "1.wav").exists(), "gone is gone"


def test_asterisk_may_read_the_sounds_whatever_our_umask_is(home: Home, prompts: Path) -> None:
    mask = os.umask(0o077)
    try:
        written(home, prompts)
    finally:
        os.umask(mask)
    for made in (home.asterisk / "data" / "sounds").rglob("*"):
        assert stat.S_IMODE(made.stat().st_mode) == (0o755 if made.is_dir() else 0o644), made
        assert stat.S_IMODE(made.parent.stat().st_mode) == 0o755, made.parent


def test_no_template_was_forgotten(home: Home) -> None:
    files = rendered(home, **FULL)
    wanted = {template.name.removesuffix(".j2") for template in TEMPLATES.glob("*.conf.j2")}
    assert wanted <= set(files)
    assert not [name for name, text in files.items() if "{{" in text or "{%" in text]


def test_every_prompt_that_is_played_is_in_the_catalogue(home: Home) -> None:
    files = rendered(home, **FULL)
    played = set(re.findall(r"Playback\(([\w-]+)", files["extensions.conf"]))
    played |= set(
        re.findall(r"^(?:queue-\w+|periodic-announce) = (\S+)$", files["queues.conf"], re.MULTILINE)
    )
    catalogue = tomllib.loads((PROMPTS / "phrases.toml").read_text("utf-8"))
    assert {"notice", "greeting", "queue-thereare", "busy"} <= played
    played |= set(re.findall(r"Read\(\w+,([\w-]+)", files["extensions.conf"]))
    made = {"quarter-second", "moment"}
    assert played - made <= {*catalogue["sentences"], *catalogue["pieces"]}
