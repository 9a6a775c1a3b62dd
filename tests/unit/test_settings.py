"""Settings: what is wrong is named with its file, key and value, and with what would be right."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from settings import (
    Addresses,
    BadConfig,
    Centre,
    Database,
    Messages,
    Numbers,
    Part,
    Practice,
    Queue,
    Rescue,
    Responder,
    Seat,
    Settings,
    Site,
    Trunk,
    load,
)
from workflows.card import PartyKind

EXAMPLE = Path(__file__).resolve().parents[2] / "careline.example.toml"

SETTING = re.compile(r"\[+[a-z]+\]+$|[a-z_]+ = ")
MODELS: dict[str, type[Part]] = {
    "centre": Centre,
    "messages": Messages,
    "addresses": Addresses,
    "database": Database,
    "numbers": Numbers,
    "rescue": Rescue,
    "practice": Practice,
    "sites": Site,
    "responders": Responder,
    "trunks": Trunk,
    "queues": Queue,
    "seats": Seat,
}

ACCOUNT = "AC" + "0" * 32
SEATS = '[[seats]]\nextension = "1001"\n'
RESPONDER = '[[responders]]\ncode = "station-1"\nkind = "station"\nname = "枣园养护站"\n'
TRUNK = '[[trunks]]\nname = "one"\nhost = "192.0.2.1:5060"\n'

WRONG = {
    "fallback phone of another site": (
        '[[sites]]\ncode = "main"\nfallback_phone = "1009"',
        ["main", "fallback_phone", "1009", "['1001', '1002']"],
    ),
    "bare desk": (
        '[addresses]\ndesk = "0.0.0.0:8080"',
        ["addresses", "0.0.0.0:8080", "without encryption", "desk_certificate", "desk_proxy"],
    ),
    "certificate without its key": (
        '[addresses]\ndesk_certificate = "/etc/desk.pem"',
        ["addresses", "desk_key", "is not set", "right would be both"],
    ),
    "bare host": ('[addresses]\nhost = "192.0.2.1"', ["addresses", "192.0.2.1:8080", "loopback"]),
    "unknown key": ('[centre]\nnmae = "x"', ["centre.nmae", "'x'", "no such key"]),
    "unknown section": ("[center]", ["center", "no such key"]),
    "port too high": ('[addresses]\nsip = "127.0.0.1:99999"', ["addresses.sip", "99999", "PORT"]),
    "no port": ('[addresses]\nsip = "127.0.0.1"', ["addresses.sip", "'127.0.0.1'", "HOST:PORT"]),
    "sound ports": ('[addresses]\nrtp = "9-10"', ["addresses.rtp", "'9-10'", "10000-10999"]),
    "same numbers": ('[numbers]\nhotline = "96000"', ["numbers", "two entries have one number"]),
    "no number": ('[numbers]\nhotline = "hot"', ["numbers.hotline", "'hot'", "2 to 15 digits"]),
    "one number with and without +": (
        '[numbers]\nhotline = "8637496000"\nemergency = "+8637496000"',
        ["numbers", "two entries have one number"],
    ),
    "short number with +": (
        '[numbers]\nhotline = "+1001"',
        ["numbers.hotline", "'+1001'", "+8637496000"],
    ),
    "rest in an emergency": (
        '[[queues]]\nname = "hotline"\n[[queues]]\nname = "emergency"\nwrap_up_s = 5',
        ["queues[1]", "emergency", "wrap_up_s = 5", "right would be wrap_up_s = 0"],
    ),
    "seats twice": (SEATS + SEATS, ["seats", "'1001'", "twice", "once"]),
    "seat's queue": (SEATS + 'queues = ["vip"]', ["1001", "vip", "emergency", "hotline"]),
    "seat's site": (SEATS + 'site = "moon"', ["1001", "moon", "main"]),
    "seat's extension": ('[[seats]]\nextension = "12ab"', ["seats[0].extension", "'12ab'"]),
    "seat named like a number of ours": (
        '[numbers]\nhotline = "9610"\n[[seats]]\nextension = "9610"',
        ["9610", "means something else", "1001"],
    ),
    "seat named 120": ('[[seats]]\nextension = "120"', ["120", "means something else"]),
    "host by name": ('[addresses]\nhost = "localhost"', ["host", "'localhost'", "IP address"]),
    "two trunks at one carrier": (
        TRUNK + TRUNK.replace('"one"', '"two"').replace("5060", "5080"),
        ["trunks", "192.0.2.1", "twice"],
    ),
    "no emergency queue": ('[[queues]]\nname = "hotline"', ["queues", "emergency"]),
    "long ring": ('[[queues]]\nname = "x"\nring_s = 999', ["queues[0].ring_s", "999", "120"]),
    "text for a number": (
        '[[queues]]\nname = "x"\nring_s = "long"',
        ["queues[0].ring_s", "'long'", "whole number"],
    ),
    "trunks twice": (TRUNK + TRUNK, ["trunks", "'one'", "twice"]),
    "responder without a number": (RESPONDER, ["responders[0].number", "is missing"]),
    "responder's number": (
        RESPONDER + 'number = "0374-2610000转8001"',
        ["responders[0].number", "0374-2610000转8001", "without an extension", "'0374-2610000'"],
    ),
    "responder's number in words": (
        RESPONDER + 'number = "ask Li"',
        ["responders[0].number", "'ask Li'", "telephone number"],
    ),
    "responder's number in another script": (
        RESPONDER + 'number = "٠٣٧٤٢٦١٠٠٠٠"',
        ["responders[0].number", "telephone number"],
    ),
    "responder's number for help": (
        RESPONDER + 'number = "120"',
        ["responders[0].number", "'120'", "[[sites]]", "organisation's own"],
    ),
    "responder who is a dispatcher": (
        RESPONDER + 'number = "0374-2120120"\n[[sites]]\ncode = "main"\nambulance = "03742120120"',
        ["responder station-1", "0374-2120120", "a dispatcher's"],
    ),
    "responder who is ourselves": (
        RESPONDER + 'number = "96000"',
        ["responder station-1", "'96000'", "our own"],
    ),
    "responder's site": (
        RESPONDER + 'number = "0374-2610000"\nsite = "moon"',
        ["responder station-1", "'moon'", "['main']"],
    ),
    "responder's kind": (
        RESPONDER.replace('"station"', '"pirate"') + 'number = "0374-2610000"',
        ["responders[0].kind", "'pirate'", "station", "committee"],
    ),
    "responders twice": (
        2 * (RESPONDER + 'number = "0374-2610000"\n'),
        ["responders", "'station-1'", "twice"],
    ),
    "trunk without credentials": (
        TRUNK + "registers = true",
        ["trunks[0]", "username and password", "match"],
    ),
    "trunk's network": (
        TRUNK + 'match = ["10.0.0.0/99"]',
        ["trunks[0]", "10.0.0.0/99", "networks"],
    ),
    "trunk's codec": (TRUNK + 'codecs = ["g729"]', ["trunks[0].codecs[0]", "'g729'", "alaw"]),
    "zone": ('[centre]\ntime_zone = "Bejing"', ["centre.time_zone", "Bejing", "Asia/Shanghai"]),
    "mistyped password": (
        '[[trunks]]\nname = "x"\npasswrd = "hush-hush"',
        ["trunks[0].passwrd", "(hidden)"],
    ),
    "mistyped database": (
        '[database]\nuri = "postgresql+psycopg://c:hush-hush@db/x"',
        ["database.uri", "(hidden)"],
    ),
    "IPv6": ('[addresses]\nhost = "::1"', ["host has '::1'", "as in '127.0.0.1'"]),
    "number for help": (
        '[numbers]\nemergency = "120"',
        ["numbers.emergency = '120'", "number of our own"],
    ),
    "Asterisk's own name": (
        "\n".join(f'[[queues]]\nname = "{name}"' for name in ("hotline", "emergency", "general")),
        ["queues", "'general'", "another name"],
    ),
    "too few ports": (
        '[addresses]\nrtp = "10000-10099"',
        ["addresses.rtp has 100 ports", "wider range"],
    ),
    "one variable for two": (
        "\n".join(f'[[trunks]]\nname = "{n}"\nhost = "192.0.2.1:5060"' for n in ("a-b", "a_b")),
        ["trunks", "'a_b' twice"],
    ),
    "database": ('[database]\nurl = "mysql://x"', ["database.url", "(hidden)", "postgresql"]),
    "switch": ('[rescue]\nlive = "perhaps"', ["rescue.live", "perhaps", "true or false"]),
    "unknown channel": (
        '[messages]\nchannels = ["pigeon"]',
        ["messages", "'pigeon'", "right would be some of ['gateway', 'twilio']"],
    ),
    "the town's channel in earnest": ('[messages]\nchannels = ["town"]', ["'town'", "twilio"]),
    "a channel twice": (
        '[messages]\nchannels = ["gateway", "gateway"]',
        ["messages", "'gateway' twice"],
    ),
    "a channel for a list": ("[messages]\nchannels = 7", ["messages.channels", "list"]),
    "Twilio without its token": (
        f'[messages]\nchannels = ["twilio"]\ntwilio_account = "{ACCOUNT}"',
        ["twilio_token, twilio_number is not set", "CARELINE_MESSAGES_TWILIO_TOKEN"],
    ),
    "Twilio's account": ('[messages]\ntwilio_account = "me"', ["twilio_account", "AC and 32"]),
    "a short sender": (
        '[messages]\ntwilio_number = "0374-96000"',
        ["twilio_number", "+8637496000"],
    ),
    "a gateway without encryption": (
        '[messages]\ngateway_url = "http://sms.example/send"',
        ["messages.gateway_url", "https://"],
    ),
    "a gateway with a password in its address": (
        '[messages]\ngateway_url = "https://me:hush-hush@sms.example/send"',
        ["messages.gateway_url", "(hidden)", "https://"],
    ),
    "a public address that is none": (
        '[messages]\npublic_url = "desk.example"',
        ["messages.public_url", "https://"],
    ),
    "a token with a line break": (
        '[messages]\ngateway_token = "hush-hush\\r\\nX: y"',
        ["messages.gateway_token", "(hidden)", "without a space"],
    ),
    "a short token": ('[messages]\ntwilio_token = "hush"', ["messages.twilio_token", "8 to 500"]),
    "no TOML": ("[centre\n", ["not valid TOML", "careline.example.toml"]),
}


@pytest.mark.parametrize(("text", "named"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, named: list[str]) -> None:
    file = tmp_path / "careline.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(BadConfig) as error:
        load(file, {})
    told = str(error.value)
    assert str(file) in told
    for word in named:
        assert word in told, told
    assert "hush" not in told


INJECTIONS = ["x\nsecret=1", 'x"', "x;y", "x[y]", "${SHELL(id)}", "x\\y", "x\ty", "x" * 81]


@pytest.mark.parametrize("value", INJECTIONS)
@pytest.mark.parametrize(
    "key",
    [
        "centre.name", "addresses.public_sip_host", "sites.name", "responders.name",
        "responders.number", "trunks.username", "seats.name",
    ],
)  # fmt: skip
def test_no_name_can_break_out_of_asterisks_files(tmp_path: Path, key: str, value: str) -> None:
    section, _, name = key.partition(".")
    needed = {
        "sites": {"code": "main"},
        "responders": {"code": "one", "kind": "other", "name": "one", "number": "96111"},
        "trunks": {"name": "one", "host": "192.0.2.1:5060"},
        "seats": {"extension": "1001"},
    }
    body = needed.get(section, {}) | {name: value}
    with pytest.raises(ValueError, match=re.escape(name)):
        Settings.model_validate({section: [body] if section in needed else body})


@pytest.mark.parametrize("value", ["a b", "A", "x]", "../x", "", "1x", "x" * 40])
@pytest.mark.parametrize(("section", "key"), [("trunks", "name"), ("queues", "name"),
                                              ("sites", "code")])  # fmt: skip
def test_names_of_sections_are_short_and_plain(section: str, key: str, value: str) -> None:
    body = {key: value} | ({"host": "192.0.2.1:5060"} if section == "trunks" else {})
    with pytest.raises(ValueError, match="short name"):
        Settings.model_validate({section: [body]})


def test_a_variable_goes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "careline.toml"
    file.write_text('[numbers]\nhotline = "96111"\n[rescue]\nlive = false\n')
    found = load(file, {"CARELINE_NUMBERS_HOTLINE": "96222", "CARELINE_RESCUE_LIVE": "true"})
    assert found.numbers.hotline == "96222"
    assert found.rescue.live is True


def test_a_wrong_variable_is_named_as_the_source(tmp_path: Path) -> None:
    file = tmp_path / "careline.toml"
    file.write_text('[numbers]\nhotline = "96111"\n')
    with pytest.raises(BadConfig) as error:
        load(file, {"CARELINE_NUMBERS_HOTLINE": "hot"})
    assert str(error.value).startswith("CARELINE_NUMBERS_HOTLINE: numbers.hotline = 'hot'")


def test_a_trunks_password_comes_from_its_variable_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "careline.toml"
    file.write_text('[[trunks]]\nname = "no-1"\nhost = "h:5060"\nregisters = true\nusername = "u"')
    variable = "CARELINE_TRUNK_NO_1_PASSWORD"
    assert load(file, {variable: "s3cret"}).trunks[0].password == "s3cret"
    with pytest.raises(BadConfig) as error:
        load(file, {variable: "s3c\nret"})
    assert variable in str(error.value)
    assert "s3c" not in str(error.value)


def test_the_secrets_of_messages_come_from_variables_and_so_may_the_order_of_channels() -> None:
    found = load(
        None,
        {
            "CARELINE_MESSAGES_CHANNELS": "gateway, twilio",
            "CARELINE_MESSAGES_TWILIO_ACCOUNT": ACCOUNT,
            "CARELINE_MESSAGES_TWILIO_TOKEN": "a-token-of-twilio",
            "CARELINE_MESSAGES_TWILIO_NUMBER": "+8637496000",
            "CARELINE_MESSAGES_GATEWAY_URL": "https://sms.example:8443/send",
            "CARELINE_MESSAGES_GATEWAY_TOKEN": "a-token-of-the-gateway",
        },
    ).messages
    assert found.channels == ("gateway", "twilio")
    assert found.twilio_token == "a-token-of-twilio"
    assert load(None, {}).messages.channels == ()
    with pytest.raises(BadConfig) as error:
        load(None, {"CARELINE_MESSAGES_TWILIO_TOKEN": "hush hush"})
    assert str(error.value).startswith("CARELINE_MESSAGES_TWILIO_TOKEN: messages.twilio_token")
    assert "hush" not in str(error.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/send", "http://[::1]/x", "https://a.b"])
def test_a_provider_on_this_machine_needs_no_encryption(url: str) -> None:
    given = {"gateway_url": url, "public_url": url}
    assert Settings.model_validate({"messages": given}).messages.gateway_url == url


@pytest.mark.parametrize(
    "url",
    ["https://", "https://[", "https://a:b/", "https://a/ b", "https://a?x=1", "https://a#f",
     "ftp://a", "//a", "https://ä.example", "http://127.0.0.1.example/", "https://a\nb"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="right would be an address"):
        Settings.model_validate({"messages": {"gateway_url": url}})


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "careline.toml"
    file.write_text('[numbers]\nhotline = "x"\n[centre]\narea_code = "y"\n')
    with pytest.raises(BadConfig) as error:
        load(file, {})
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize("raw", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, raw: bytes | None) -> None:
    file = tmp_path / "careline.toml"
    if raw is not None:
        file.write_bytes(raw)
    with pytest.raises(BadConfig, match=re.escape(str(file))):
        load(file, {})


def test_nothing_need_be_set() -> None:
    found = load(None, {})
    assert found.addresses.sip_address == "127.0.0.1:5060"
    assert found.addresses.internal == "127.0.0.1"
    assert [seat.extension for seat in found.seats] == ["1001", "1002"]


def test_an_entry_may_be_an_international_number() -> None:
    found = load(None, {"CARELINE_NUMBERS_EMERGENCY": "+8637496000"})
    assert found.numbers.emergency == "+8637496000"


def test_only_the_emergency_line_gives_no_rest() -> None:
    queues = ({"name": "emergency"}, {"name": "hotline"}, {"name": "other", "wrap_up_s": 3})
    found = Settings.model_validate({"queues": queues})
    assert [queue.wrap_up_s for queue in found.queues] == [0, 10, 3]
    assert {queue.name: queue.wrap_up_s for queue in Settings().queues} == {
        "hotline": 10,
        "emergency": 0,
    }


def test_a_sites_fallback_phone_is_its_first_seats_unless_set() -> None:
    given = {
        "sites": [{"code": "main"}, {"code": "south", "fallback_phone": "1004"}, {"code": "new"}],
        "seats": [
            {"extension": "1001"},
            {"extension": "1002"},
            {"extension": "1003", "site": "south"},
            {"extension": "1004", "site": "south"},
        ],
    }
    found = Settings.model_validate(given).fallback_phones
    assert found == {"main": "1001", "south": "1004"}, "a site without a seat has none"


@pytest.mark.parametrize(
    "number",
    ["0374-2610000", "(0374) 2610000", "139 0001 2603", "+86 374 2610000", "2610000", "12345"],
)
def test_a_responders_number_is_kept_as_it_was_written(number: str) -> None:
    given = {"code": "one", "kind": "committee", "name": "居委会", "number": number}
    (found,) = Settings.model_validate({"responders": [given]}).responders
    assert (found.number, found.site) == (number, "main")


def test_every_kind_of_responder_is_one_of_an_emergencys_parties() -> None:
    kinds = get_args(Responder.model_fields["kind"].annotation)
    assert {PartyKind(kind).value for kind in kinds} == set(kinds)


def test_another_host_moves_everything() -> None:
    found = load(None, {"CARELINE_ADDRESSES_HOST": "127.0.10.1"})
    addresses = found.addresses
    assert addresses.desk_address == "127.0.10.1:8080"
    assert addresses.sip_address == "127.0.10.1:5060"
    assert addresses.internal == "127.0.10.1"


def test_the_example_sets_nothing_and_names_everything() -> None:
    """Without its #, the example is valid, has every key, and shows the real defaults."""
    text = EXAMPLE.read_text("utf-8")
    assert Settings.model_validate(tomllib.loads(text)) == Settings()
    shown = tomllib.loads(_without_comment_marks(text))
    assert set(shown) == set(Settings.model_fields)
    for section, model in MODELS.items():
        parts = shown[section] if isinstance(shown[section], list) else [shown[section]]
        assert {key for part in parts for key in part} == set(model.model_fields), section
    # What is shown is what is set, but for the responders, the trunks and the database: samples.
    samples: dict[str, Any] = {"responders": [], "trunks": [], "database": {}}
    assert Settings.model_validate(shown | samples) == Settings()


def _without_comment_marks(text: str) -> str:
    """The example as if somebody had taken the # away from every setting."""
    lines = (line.removeprefix("# ") for line in text.splitlines())
    return "\n".join(line for line in lines if SETTING.match(line))


@pytest.mark.parametrize(
    ("variable", "right"),
    [
        ("CARELINE_ADRESSES_HOST", "CARELINE_ADDRESSES_HOST"),
        ("CARELINE_TRUNK_OTHER_PASSWORD", "or not to set it"),
        ("CARELINE_QQQQQQQQQQQQQQQQQQQQ", "CARELINE_<SECTION>_<KEY>"),
    ],
)
def test_a_mistyped_variable_is_named_with_what_would_be_right(variable: str, right: str) -> None:
    with pytest.raises(BadConfig, match=f"^{variable}: there is no such setting") as error:
        load(None, {variable: "127.0.10.1"})
    assert right in str(error.value)
