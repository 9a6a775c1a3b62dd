"""Settings: read once at start from careline.toml and CARELINE_* variables, then never changed.

A wrong setting stops the start with the file, the key, the value, and what would be right.
`CARELINE_<SECTION>_<KEY>` overrides one scalar of the file (`CARELINE_ADDRESSES_HOST`);
`CARELINE_TRUNK_<NAME>_PASSWORD` keeps a trunk's password out of the file.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import ssl
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.functional_validators import AfterValidator, BeforeValidator

from workflows.numbers import is_for_help

EXAMPLE: Final = "careline.example.toml"
PORTS_A_CALL: Final = 4
"""Sound and its control, from the caller to us and from us to the seat."""
ADDRESS: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(?P<port>\d{1,5})")


class BadConfig(Exception):
    """A setting is wrong; the text names file, key and value, and says what would be right."""


def _digits(value: str) -> str:
    if not re.fullmatch(r"\d{2,15}", value):
        raise ValueError("right would be 2 to 15 digits, as the carrier delivers the number")
    return value


def _entry(value: str) -> str:
    # With a + it is a whole international number, and so longer than any seat's extension.
    if not re.fullmatch(r"\d{2,15}|\+\d{7,15}", value):
        raise ValueError(
            "right would be 2 to 15 digits, as the carrier delivers the number, or + and 7 to 15 "
            "digits, as in '+8637496000'"
        )
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", value):
        raise ValueError(
            "right would be a short name of small letters, digits, - and _, as in 'carrier-1'"
        )
    return value


def _address(value: str) -> str:
    match = ADDRESS.fullmatch(value)
    if not match or not 1 <= int(match["port"]) <= 65535:
        raise ValueError("right would be HOST:PORT, as in '127.0.0.1:5060'")
    return value


def _plain(value: str) -> str:
    # What is written into Asterisk's files must not be able to begin a line or a comment there.
    if not value.isprintable() or any(c in value for c in ';"\\${}[]\r\n'):
        raise ValueError('right would be plain text without ; " \\ $ { } [ ] or line breaks')
    return value


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("right would be a zone of the tz database, as in 'Asia/Shanghai'")
    return value


def _database(value: str) -> str:
    if value and not re.match(r"(sqlite\+aiosqlite:///|postgresql\+psycopg://)", value):
        raise ValueError(
            "right would be empty (SQLite in the home) or 'postgresql+psycopg://user@host/name'"
        )
    return value


def _outside(value: str) -> str:
    """The address of a server; without encryption only on this machine."""
    if not value:
        return value
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    is_bare = not (parts.username or parts.password or parts.query or parts.fragment)
    if not (host and is_safe and is_bare and re.fullmatch(r"[\x21-\x7e]{1,500}", value)):
        raise ValueError("right would be an address as in 'https://sms.example/v1/send'")
    return value


def _token(value: str) -> str:
    # It goes into a header, which could not carry anything else.
    if value and not re.fullmatch(r"[\x21-\x7e]{8,500}", value):
        raise ValueError("right would be 8 to 500 letters, digits and signs without a space")
    return value


def _listed(value: object) -> object:
    # A variable has no lists.
    return (
        [one.strip() for one in value.split(",") if one.strip()]
        if isinstance(value, str)
        else value
    )


def _ports(value: str) -> str:
    match = re.fullmatch(r"(\d+)-(\d+)", value)
    if not match or not 1024 <= int(match[1]) < int(match[2]) <= 65535:
        raise ValueError("right would be FIRST-LAST between 1024 and 65535, as in '10000-10999'")
    return value


def _telephone(value: str) -> str:
    if not re.fullmatch(r"\+\d{7,15}|\d{3,15}", dialled := _without_marks(value), re.ASCII):
        raise ValueError(
            "right would be a telephone number as it is dialled from here, without an extension, "
            "as in '0374-2610000' or '+863742610000'"
        )
    if is_for_help(dialled):
        raise ValueError(
            "this is a number for help, which every site has already ([[sites]]); right would be "
            "the organisation's own number"
        )
    return value


def _without_marks(number: str) -> str:
    """The number without what people write between its digits."""
    return re.sub(r"[ ()/-]", "", number)


def _unique(section: str, key: str, values: list[str]) -> set[str]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{section} has {key} = {value!r} twice; right would be once")
    return set(values)


Digits = Annotated[str, AfterValidator(_digits)]
Entry = Annotated[str, AfterValidator(_entry)]
Name = Annotated[str, AfterValidator(_name)]
Address = Annotated[str, AfterValidator(_address)]
Plain = Annotated[str, Field(max_length=80), AfterValidator(_plain)]
Telephone = Annotated[str, Field(max_length=40), AfterValidator(_telephone)]
Outside = Annotated[str, AfterValidator(_outside)]
Token = Annotated[str, AfterValidator(_token)]


def split(address: str) -> tuple[str, int]:
    """HOST:PORT as host and port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Part(BaseModel):
    """What every section has in common: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Centre(Part):
    """Who we are; numbers are completed with this country and area code."""

    name: Plain = "颐铃"
    node: Name = "node1"
    time_zone: Annotated[str, AfterValidator(_zone)] = "Asia/Shanghai"
    country_code: Annotated[str, Field(pattern=r"^\d{1,3}$")] = "86"
    area_code: Annotated[str, Field(pattern=r"^0\d{2,3}$")] = "0374"
    lines: Annotated[int, Field(ge=1, le=1000)] = 50

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which people read times; everything inside is UTC."""
        return ZoneInfo(self.time_zone)


class Addresses(Part):
    """Where we listen. With only `host` set, two instances run side by side."""

    host: str = "127.0.0.1"
    desk: Address | Literal[""] = ""
    sip: Address | Literal[""] = ""
    rtp: Annotated[str, AfterValidator(_ports)] = "10000-10999"
    public_sip_host: Plain = ""
    desk_certificate: str = ""
    desk_key: str = ""
    desk_proxy: Plain = ""

    @model_validator(mode="after")
    def _telephone_has_an_ip_address(self) -> Addresses:
        # A name would be looked up once, and a changed answer would silence every phone.
        for key, host in (("host", self.host), ("sip", split(self.sip_address)[0])):
            try:
                version: int = ipaddress.ip_address(host).version
            except ValueError:
                version = 0
            # What listens inside (AMI, AGI) knows IPv4 alone.
            if version == 0 or (key == "host" and version != 4):
                raise ValueError(
                    f"{key} has {host!r}; right would be an IP address of this machine, as in "
                    "'127.0.0.1' or '0.0.0.0'"
                )
        return self

    @model_validator(mode="after")
    def _desk_is_not_bare(self) -> Addresses:
        host, _ = split(self.desk_address)
        if is_loopback(host) or self.desk_proxy or (self.desk_certificate and self.desk_key):
            return self
        raise ValueError(
            f"the desk would be open on {self.desk_address} without encryption; right would be a "
            "loopback address, or desk_certificate and desk_key, or desk_proxy naming the host "
            "of the proxy that ends TLS in front of it"
        )

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Addresses:
        if bool(self.desk_certificate) != bool(self.desk_key):
            raise ValueError(
                "one of desk_certificate and desk_key is not set; right would be both, as PEM "
                "files, or neither"
            )
        return self

    def tls(self) -> ssl.SSLContext | None:
        """What the desk is served with; None without a certificate. Reads both files.

        Raises BadConfig where they cannot be used.
        """
        if not self.desk_certificate:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            # A key that wants a password would ask for it at a terminal that nobody sits at.
            context.load_cert_chain(self.desk_certificate, self.desk_key, password="")
        except OSError as cause:
            said = cause.strerror or str(cause)
            raise BadConfig(
                f"addresses.desk_certificate = {self.desk_certificate!r} cannot be used with "
                f"addresses.desk_key = {self.desk_key!r} ({said}); right would be a certificate "
                "with its own key, as PEM files without a password that Careline's user can read"
            ) from None
        return context

    @property
    def desk_address(self) -> str:
        return self.desk or f"{self.host}:8080"

    @property
    def sip_address(self) -> str:
        return self.sip or f"{self.host}:5060"

    @property
    def media_host(self) -> str:
        """The address of the sound; empty when telephones may come to any address of ours."""
        host, _ = split(self.sip_address)
        return "" if ipaddress.ip_address(host).is_unspecified else host

    @property
    def rtp_room(self) -> int:
        """How many ports there are for sound."""
        first, last = self.rtp.split("-")
        return int(last) - int(first) + 1

    @property
    def internal(self) -> str:
        """The loopback address for what is never reached from outside (AMI, AGI)."""
        return self.host if is_loopback(self.host) else "127.0.0.1"


class Database(Part):
    url: Annotated[str, AfterValidator(_database)] = ""


class Recordings(Part):
    """Recordings leave `keep_free_mb` of the home's disk to everything else, in 1,000,000 bytes."""

    keep_free_mb: Annotated[int, Field(ge=1, le=100_000)] = 500


class Numbers(Part):
    """The number plan: which dialled number is which entry, with a + before it or without."""

    hotline: Entry = "96100"
    emergency: Entry = "96000"
    landline_report: Entry = "96101"
    complaints: Entry = "96102"

    @model_validator(mode="after")
    def _all_differ(self) -> Numbers:
        plan = (self.hotline, self.emergency, self.landline_report, self.complaints)
        # A carrier may deliver each with the + or without.
        if len({number.removeprefix("+") for number in plan}) < len(plan):
            raise ValueError("two entries have one number; right would be a number of its own each")
        return self


class Rescue(Part):
    """While `live` is false no call to 110, 119 or 120 leaves this centre.

    An elder whose line is gone in an emergency is called back after `call_back_s` seconds; 0 is
    never, for a centre whose carrier only delivers calls.
    """

    live: bool = False
    call_back_s: Annotated[int, Field(ge=0, le=60)] = 4


class Site(Part):
    """A site and the numbers that reach *its* dispatchers: a bare 120 may reach another city's.

    `fallback_phone` is the seat whose phone an emergency rings whatever else fails; empty is the
    first seat of the site (Settings.fallback_phones).
    """

    code: Name = "main"
    name: Plain = "本部"
    ambulance: Digits = "120"
    fire: Digits = "119"
    police: Digits = "110"
    fallback_phone: str = ""


class Responder(Part):
    """An organisation around the elders of a site, that can send somebody (EMG-13, EMG-21)."""

    code: Name
    site: Name = "main"
    kind: Literal["station", "committee", "doctor", "hospital", "property", "other"]
    name: Annotated[Plain, Field(min_length=1)]
    number: Telephone


class Trunk(Part):
    """A carrier: we register with it, or it is known by its address."""

    name: Name
    host: Address
    registers: bool = False
    username: Plain = ""
    password: Plain = ""
    match: tuple[str, ...] = ()
    codecs: tuple[Literal["alaw", "ulaw", "g722"], ...] = ("alaw", "ulaw")
    caller_number: Digits | Literal[""] = ""

    @model_validator(mode="after")
    def _knows_the_carrier(self) -> Trunk:
        if self.registers and not (self.username and self.password):
            raise ValueError(
                "registers = true needs username and password; right would be both, or "
                "registers = false and match = [addresses of the carrier]"
            )
        for one in self.match:
            try:
                ipaddress.ip_network(one, strict=False)
            except ValueError:
                raise ValueError(
                    f"match has {one!r}; right would be IP addresses or networks, as in "
                    "['192.0.2.10', '198.51.100.0/24']"
                ) from None
        return self


class Queue(Part):
    """A waiting line. Times in seconds; a higher weight is served first.

    A seat has no rest after a call while an emergency waits: there `wrap_up_s` is 0.
    """

    name: Name
    ring_s: Annotated[int, Field(ge=5, le=120)] = 20
    wrap_up_s: Annotated[int, Field(ge=0, le=600)] = Field(
        default_factory=lambda given: 0 if given.get("name") == "emergency" else 10
    )
    max_waiting: Annotated[int, Field(ge=1, le=500)] = 50
    weight: Annotated[int, Field(ge=0, le=100)] = 0

    @model_validator(mode="after")
    def _no_rest_in_an_emergency(self) -> Queue:
        if self.name == "emergency" and self.wrap_up_s > 0:
            raise ValueError(
                f"the queue emergency has wrap_up_s = {self.wrap_up_s}, and nobody would be rung "
                "for so long after a call; right would be wrap_up_s = 0 there"
            )
        return self


class Seat(Part):
    """A seat's extension; its SIP password is made at random and kept in the home.

    A queue rings those with a higher penalty only when none with a lower one could be rung.
    """

    penalty: ClassVar[int] = 0

    extension: Annotated[str, Field(pattern=r"^\d{3,5}$")]
    name: Plain = ""
    site: Name = "main"
    queues: tuple[Name, ...] = ("hotline", "emergency")


class Practice(Part):
    """The practice town (`practice.py`). `every_s`: seconds from one of its calls to the next."""

    town: bool = True
    every_s: Annotated[int, Field(ge=2, le=3600)] = 25


class Messages(Part):
    """Messages to those who are called in an emergency, by the first of `channels` that takes them.

    `public_url` is where the desk is reached from outside: there providers report deliveries.
    """

    channels: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    public_url: Outside = ""
    twilio_account: str = ""
    twilio_token: Token = ""
    twilio_number: str = ""
    gateway_url: Outside = ""
    gateway_token: Token = ""
    gateway_report_token: Token = ""

    NEEDS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "twilio": ("twilio_account", "twilio_token", "twilio_number"),
        "gateway": ("gateway_url", "gateway_token"),
    }

    @field_validator("twilio_account")
    @classmethod
    def _is_account(cls, value: str) -> str:
        if value and not re.fullmatch(r"AC[0-9a-fA-F]{32}", value):
            raise ValueError(
                "right would be the account's SID: AC and 32 digits and letters a to f"
            )
        return value

    @field_validator("twilio_number")
    @classmethod
    def _is_whole(cls, value: str) -> str:
        if value and not re.fullmatch(r"\+[1-9][0-9]{6,14}", value):
            raise ValueError("right would be + and 7 to 15 digits, as in '+8637496000'")
        return value

    @model_validator(mode="after")
    def _channels_are_whole(self) -> Messages:
        _unique("messages", "channels", list(self.channels))
        for channel in self.channels:
            if channel not in self.NEEDS:
                raise ValueError(
                    f"channels names {channel[:40]!r}; right would be some of {sorted(self.NEEDS)}"
                )
            if missing := [key for key in self.NEEDS[channel] if not getattr(self, key)]:
                variable = f"CARELINE_MESSAGES_{missing[0]}".upper()
                raise ValueError(
                    f"channels names {channel!r}, and {', '.join(missing)} is not set; right would "
                    f"be to set it, here or as {variable}"
                )
        return self


class Settings(Part):
    """Everything that can be set."""

    centre: Centre = Centre()
    addresses: Addresses = Addresses()
    database: Database = Database()
    recordings: Recordings = Recordings()
    numbers: Numbers = Numbers()
    rescue: Rescue = Rescue()
    messages: Messages = Messages()
    practice: Practice = Practice()
    sites: tuple[Site, ...] = (Site(),)
    responders: tuple[Responder, ...] = ()
    trunks: tuple[Trunk, ...] = ()
    queues: tuple[Queue, ...] = (Queue(name="hotline"), Queue(name="emergency", weight=10))
    seats: tuple[Seat, ...] = (Seat(extension="1001"), Seat(extension="1002"))

    @model_validator(mode="after")
    def _names_fit_together(self) -> Settings:
        sites = _unique("sites", "code", [s.code for s in self.sites])
        queues = _unique("queues", "name", [q.name for q in self.queues])
        # As its password's variable has it, which knows neither - nor small letters.
        _unique("trunks", "name", [t.name.replace("-", "_") for t in self.trunks])
        # A carrier is known by its address: two trunks with one address could not be told apart.
        _unique("trunks", "host", [t.host.rpartition(":")[0] for t in self.trunks])
        _unique("seats", "extension", [s.extension for s in self.seats])
        if missing := {"hotline", "emergency"} - queues:
            raise ValueError(f"queues has no {sorted(missing)}; right would be one of each")
        if "general" in queues:
            raise ValueError("queues has name = 'general', which is Asterisk's own; right would be "
                             "another name")  # fmt: skip
        self._numbers_are_our_own()
        self._responders_are_others(sites)
        if (room := self.addresses.rtp_room) < PORTS_A_CALL * self.centre.lines:
            raise ValueError(
                f"addresses.rtp has {room} ports, and {self.centre.lines} lines may need "
                f"{PORTS_A_CALL} each; right would be a wider range, or fewer centre.lines"
            )
        plan = self.numbers
        taken = {"110", "119", "120", plan.hotline, plan.emergency, plan.landline_report,
                 plan.complaints}  # fmt: skip
        for seat in self.seats:
            if seat.extension in taken:
                raise ValueError(
                    f"seat {seat.extension} has a number that means something else already; right "
                    "would be an extension of its own, as in '1001'"
                )
            if seat.site not in sites:
                raise ValueError(
                    f"seat {seat.extension} has site = {seat.site!r}; right would be one of "
                    f"{sorted(sites)}"
                )
            if unknown := set(seat.queues) - queues:
                raise ValueError(
                    f"seat {seat.extension} has queues {sorted(unknown)}; right would be some of "
                    f"{sorted(queues)}"
                )
        for site in self.sites:
            own = [seat.extension for seat in self.seats if seat.site == site.code]
            if site.fallback_phone and site.fallback_phone not in own:
                raise ValueError(
                    f"site {site.code} has fallback_phone = {site.fallback_phone!r}; right would "
                    f"be the extension of one of its seats, of {own}"
                )
        return self

    def _numbers_are_our_own(self) -> None:
        """Raises ValueError for an entry that would swallow a call for help."""
        rescue = {"110", "119", "120"}
        rescue |= {n for site in self.sites for n in (site.ambulance, site.fire, site.police)}
        for entry in type(self.numbers).model_fields:
            number = getattr(self.numbers, entry)
            if number in rescue:
                raise ValueError(
                    f"numbers.{entry} = {number!r} is a number for help, which would then reach "
                    "ourselves; right would be a number of our own, as in '96100'"
                )

    def _responders_are_others(self, sites: set[str]) -> None:
        """Raises ValueError for one of no site, and for one who would be ourselves."""
        _unique("responders", "code", [one.code for one in self.responders])
        plan = {entry.removeprefix("+") for entry in self.numbers.model_dump().values()}
        dispatchers = {n for site in self.sites for n in (site.ambulance, site.fire, site.police)}
        for one in self.responders:
            if one.site not in sites:
                raise ValueError(
                    f"responder {one.code} has site = {one.site!r}; right would be one of "
                    f"{sorted(sites)}"
                )
            dialled = _without_marks(one.number).removeprefix("+")
            if dialled in plan | dispatchers:
                whose = "a dispatcher's" if dialled in dispatchers else "our own"
                raise ValueError(
                    f"responder {one.code} has number = {one.number!r}, which is {whose}; right "
                    "would be the organisation's own number"
                )

    def shown_by(self, trunk: Trunk) -> str:
        """The number that somebody sees whom we call through this carrier."""
        registered = trunk.username if trunk.registers else self.numbers.hotline
        return trunk.caller_number or registered

    @property
    def fallback_phones(self) -> dict[str, str]:
        """The fallback phone of each site that has a seat: site to extension."""
        first = {seat.site: seat.extension for seat in reversed(self.seats)}
        chosen = {site.code: site.fallback_phone for site in self.sites if site.fallback_phone}
        return {
            site.code: chosen.get(site.code) or first[site.code]
            for site in self.sites
            if site.code in chosen or site.code in first
        }

    def database_url(self, home: Path) -> str:
        """The SQLAlchemy address of the database; SQLite in the home unless set."""
        return self.database.url or f"sqlite+aiosqlite:///{home / 'careline.db'}"


def load(file: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the file (if there is one) and the variables; raise BadConfig on the first fault."""
    given = _read(file) if file else {}
    sources = _overlay(given, environ)
    try:
        return Settings.model_validate(given)
    except ValidationError as wrong:
        raise BadConfig(_explain(wrong, file, sources)) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise BadConfig(f"{file}: there is no such file; name one with --config") from None
    except (OSError, UnicodeDecodeError) as cause:
        raise BadConfig(f"{file}: cannot be read ({cause}); right would be UTF-8 text") from None
    except tomllib.TOMLDecodeError as cause:
        raise BadConfig(f"{file}: not valid TOML: {cause}; compare it with {EXAMPLE}") from None


def _overlay(given: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Put CARELINE_* variables over the file's values; return which key came from which."""
    came_from: dict[str, str] = {}
    scalars = {
        f"CARELINE_{section}_{key}".upper(): (section, key)
        for section, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Part)
        for key in field.annotation.model_fields
    }
    for variable, (section, key) in scalars.items():
        if variable in environ:
            part = given.setdefault(section, {})
            if isinstance(part, dict):
                part[key] = environ[variable]
                came_from[f"{section}.{key}"] = variable
    known = set(scalars)
    trunks = given.get("trunks", ())
    for number, trunk in enumerate(trunks if isinstance(trunks, list) else ()):
        if not isinstance(trunk, dict):
            continue
        variable = f"CARELINE_TRUNK_{trunk.get('name', '')}_PASSWORD".upper().replace("-", "_")
        known.add(variable)
        if variable in environ:
            trunk["password"] = environ[variable]
            came_from[f"trunks[{number}].password"] = variable
    for variable in sorted(name for name in environ if name.startswith("CARELINE_")):
        if variable not in known:
            near = difflib.get_close_matches(variable, known, 1)
            raise BadConfig(
                f"{variable}: there is no such setting; right would be "
                f"{near[0] if near else f'a key of {EXAMPLE} as CARELINE_<SECTION>_<KEY>'}, or not "
                "to set it"
            )
    return came_from


PLAIN_WORDS: Final = {
    "extra_forbidden": "there is no such key; right would be one of those in careline.example.toml",
    "missing": "is missing; right would be to set it",
    "string_type": "right would be text in quotes",
    "int_type": "right would be a whole number",
    "int_parsing": "right would be a whole number",
    "bool_type": "right would be true or false",
    "bool_parsing": "right would be true or false",
    "tuple_type": "right would be a list in square brackets",
}


def _explain(wrong: ValidationError, file: Path | None, came_from: Mapping[str, str]) -> str:
    lines = []
    for error in wrong.errors():
        key = ""
        for part in error["loc"]:
            # Pydantic names the branch of a union too; only our own keys are of use to a reader.
            if isinstance(part, int):
                key += f"[{part}]"
            elif re.fullmatch(r"[a-z_]+", part):
                key += f".{part}" if key else part
        where = came_from.get(key) or str(file or "built-in settings")
        value = error["input"]
        shown = "" if isinstance(value, dict | BaseModel) else f" = {_shown(key, value)}"
        reason = error["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {key or 'settings'}{shown}: {_right(error['type'], reason)}")
    return "\n".join(dict.fromkeys(lines))


def _shown(key: str, value: object) -> str:
    # A database's address may hold a password too, and a key may be a mistyped "password".
    last = key.rpartition(".")[2]
    words = (last, *last.split("_"))
    near = (
        difflib.get_close_matches(word, ("password", "secret", "token"), 1, 0.6) for word in words
    )
    is_secret = any(near)
    return "(hidden)" if is_secret or "://" in str(value) else repr(value)[:120]


def _right(kind: str, reason: str) -> str:
    if kind in PLAIN_WORDS:
        return PLAIN_WORDS[kind]
    return reason if "right would be" in reason else f"right would be: {reason.lower()}"


__all__ = ["BadConfig", "Settings", "is_loopback", "load", "split"]
