"""Writes the configuration of one Asterisk instance from the settings.

Everything is rendered before the first file is replaced, so that a value that cannot be written
leaves the old configuration whole.
"""

from __future__ import annotations

import functools
import os
import pwd
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from asterisk_conf.instance import Bind, Installation, Instance
from asterisk_conf.ports import AGI_PORT, AMI_PORT, HTTP_PORT
from asterisk_conf.scripts import copy_scripts
from asterisk_conf.sounds import PROMPTS, copy_sounds
from home import Home, write_atomically
from settings import BadConfig, Settings, Trunk, split

HERE: Final = Path(__file__).parent
TEMPLATES: Final = HERE / "templates"
CARRIER_TEMPLATES: Final = HERE / "carrier"

RING_S: Final = 60
"""How long a number outside may ring before the seat is told that nobody answers."""
RESCUE_CALL_S: Final = 60
"""How long a contact, or a seat that an emergency asks for by name, may ring."""
CONTACT_SILENT_S: Final = 60
"""How long nothing may come on a contact's line before it is given up."""
CONTACTS_AFTER_S: Final = 30
"""How long an elder may be alone before the dialplan calls the contacts, and then once more."""

MISSED_PENALTY: Final = 50
"""The penalty of a seat that left a call ringing: it is rung after the others."""

FOLDERS: Final = ("etc", "lib", "keys", "data", "spool", "run", "log")
EMPTY: Final = ("acl", "ccss", "features", "pjproject", "queuerules", "stasis", "udptl")
"""Files that Asterisk complains about when they are missing; its defaults are right for us."""
LOOKS_PER_S: Final = 4
SHORT_NUMBERS: Final = ("120", "119", "110")
WATCH_S: Final = 2_000_000
"""How long the watchdog of a menu may live: longer than any call, for it ends by itself."""

# A value that is written into a configuration file may not end its line or its string, begin a
# comment, a section or a substitution; one that becomes an argument may not end that either.
BREAKS_A_LINE: Final = re.compile(r'[\x00-\x1f\x7f;"\\${}\[\]]|=>')
BREAKS_AN_ARGUMENT: Final = re.compile(r"[,()&|^<>'!?#]")
WITH_ARGUMENTS: Final = ("extensions.conf", "queues.conf")


class Ours(str):
    """Text of the templates' own, a dialplan pattern for instance; it is not checked.

    In a template: `{{ pattern | ours }}`. Never for what a setting says.
    """

    __slots__ = ()


def render(
    settings: Settings, home: Home, asterisk: Installation, user: str, prompts: Path = PROMPTS
) -> Path:
    """Write HOME/asterisk/etc and the sounds; `user` is whom Asterisk runs as ("" is ourselves).

    Returns the folder of the instance. Raises BadConfig when a value cannot be written safely.
    """
    root, files = home.asterisk, texts(settings, home, asterisk)
    lay_out(root, asterisk, user)
    make_folder(home.live_recordings, user)
    # Asterisk does not make the folder of its flight record, nor complain that it is missing.
    make_folder(root / "log" / "cel-custom", user)
    copy_sounds(prompts, root / "data", user)
    copy_scripts(root / "data" / "agi-bin", user)
    write_files(root / "etc", files, user)
    return root


def texts(settings: Settings, home: Home, asterisk: Installation) -> dict[str, str]:
    """Every file of the centre's configuration, by name. Raises BadConfig as `render` does."""
    values = _base_values(home.asterisk, asterisk, settings.centre.node) | _values(settings, home)
    return fill((TEMPLATES,), values)


def fill(
    folders: Sequence[Path], values: Mapping[str, Any], only: Sequence[str] = ()
) -> dict[str, str]:
    """The templates of the folders as file name and text; all of them, or `only` those named."""
    plain = _environment(tuple(folders), _safe_in_a_line)
    strict = _environment(tuple(folders), _safe_in_an_argument)
    filled = {f"{name}.conf": "; Written by Careline: the defaults are right.\n" for name in EMPTY}
    for template in sorted(plain.list_templates()):
        if not template.endswith(".conf.j2"):
            continue
        name = template.removesuffix(".j2")
        if only and name not in only:
            continue
        environment = strict if name in WITH_ARGUMENTS else plain
        filled[name] = environment.get_template(template).render(values)
    return filled


def lay_out(root: Path, asterisk: Installation, user: str) -> None:
    """Make the folders of an instance, with Asterisk's own documentation where it looks for it."""
    make_folder(root, user)
    for name in FOLDERS:
        make_folder(root / name, user)
    # Asterisk does not start without the description of its own options.
    link = root / "data" / "documentation"
    target = asterisk.data_dir / "documentation"
    if not link.is_symlink() or link.readlink() != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def make_folder(folder: Path, user: str) -> None:
    """A folder that only Asterisk's user (and root) can look into."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    give_to(folder, user)


def write_files(folder: Path, files: Mapping[str, str], user: str) -> None:
    """Replace the files one by one, each as a whole, readable by Asterisk's user only."""
    for name, text in files.items():
        write_atomically(folder / name, text, mode=0o600)
        give_to(folder / name, user)


def give_to(path: Path, user: str) -> None:
    """Make the user the owner, when it is another than ourselves."""
    if user:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


@functools.cache
def _environment(folders: tuple[Path, ...], check: Any) -> Environment:
    # Nothing here is HTML; what protects these files is the check of every value.
    environment = Environment(
        loader=FileSystemLoader([str(folder) for folder in folders]),
        undefined=StrictUndefined,
        finalize=check,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701
    )
    environment.filters["ours"] = Ours
    return environment


def _safe_in_a_line(value: object) -> object:
    if isinstance(value, bool | int):
        return value
    text = str(value)
    if found := BREAKS_A_LINE.search(text):
        raise BadConfig(
            f"{text!r} cannot be written into Asterisk's configuration because of "
            f"{found.group()!r}; right would be the same without it"
        )
    return text


def _safe_in_an_argument(value: object) -> object:
    if isinstance(value, Ours):
        return value
    text = str(_safe_in_a_line(value))
    if found := BREAKS_AN_ARGUMENT.search(text):
        raise BadConfig(
            f"{text!r} cannot be written into Asterisk's dialplan because of "
            f"{found.group()!r}; right would be the same without it"
        )
    return text


def _base_values(root: Path, asterisk: Installation, node: str) -> dict[str, Any]:
    return {
        "root": root,
        "modules_dir": asterisk.modules_dir,
        "node": node,
        "ami_port": AMI_PORT,
        "agi_port": AGI_PORT,
    }


def _values(settings: Settings, home: Home) -> dict[str, Any]:
    addresses = settings.addresses
    rtp_first, rtp_last = addresses.rtp.split("-")
    passwords = home.seat_passwords(tuple(seat.extension for seat in settings.seats))
    return {
        "internal": addresses.internal,
        "ami_secret": home.secret("ami"),
        "http_port": HTTP_PORT,
        "sip_bind": addresses.sip_address,
        "media_host": addresses.media_host,
        "public_sip_host": addresses.public_sip_host,
        "rtp_first": rtp_first,
        "rtp_last": rtp_last,
        "recordings": home.live_recordings,
        "entries": _entries(settings),
        "lines": settings.centre.lines,
        "watch_s": WATCH_S,
        "ring_s": RING_S,
        "queues": settings.queues,
        "seats": [
            seat.model_dump() | {"password": passwords[seat.extension], "penalty": seat.penalty}
            for seat in settings.seats
        ],
        "trunks": [_trunk(trunk, settings.shown_by(trunk)) for trunk in settings.trunks],
        "sites": settings.sites,
        "rescue_live": settings.rescue.live,
        "call_back_s": settings.rescue.call_back_s,
        "rescue": [
            (prefix + short, short) for short in SHORT_NUMBERS for prefix in _prefixes(settings)
        ],
        "missed_penalty": MISSED_PENALTY,
        "guarded": sorted(_guarded(settings)),
        "never": _never(settings),
        "rescue_seats": _rescue_seats(settings),
        "rescue_patience": round(CONTACTS_AFTER_S * LOOKS_PER_S),
        "rescue_call_s": RESCUE_CALL_S,
        "contact_silent_s": CONTACT_SILENT_S,
    }


def _trunk(trunk: Trunk, caller: str) -> dict[str, Any]:
    host, _ = split(trunk.host)
    return trunk.model_dump() | {
        "domain": host,
        "caller": caller,
        "addresses": tuple(dict.fromkeys((host, *trunk.match))),
    }


def _entries(settings: Settings) -> list[tuple[str, str]]:
    """Which dialled number is which entry; a carrier may write a number with a + or without."""
    numbers = settings.numbers
    plan = (
        (numbers.hotline, "hotline"),
        (numbers.emergency, "emergency"),
        (numbers.landline_report, "report"),
        (numbers.complaints, "complaints"),
    )
    return [
        (sign + number.removeprefix("+"), entry) for number, entry in plan for sign in ("", "+")
    ]


def _prefixes(settings: Settings) -> tuple[str, ...]:
    """What may stand before a number without changing what it reaches."""
    country = settings.centre.country_code
    abroad = (country, f"+{country}", f"00{country}")
    return ("", "0", *abroad, *(f"{prefix}0" for prefix in abroad))


def _guarded(settings: Settings) -> Iterable[str]:
    """The other ways to write 110, 119 and 120: with an area code, and the sites' own numbers."""
    prefixes = _prefixes(settings)
    area = settings.centre.area_code
    written: set[str] = set()
    for short in SHORT_NUMBERS:
        for prefix in prefixes:
            written.add(f"{prefix}{area[1:]}{short}")
            if prefix:
                # With nothing before the area code, a subscriber's number would look the same.
                written |= {f"_{prefix}{code}{short}" for code in ("XX", "XXX")}
    own = {number for site in settings.sites for number in (site.ambulance, site.fire, site.police)}
    for number in own - set(SHORT_NUMBERS):
        written.add(number)
        written |= {prefix + number.lstrip("0") for prefix in prefixes}
        if number.startswith(area):
            written.add(number.removeprefix(area))
        elif not number.startswith("0"):
            written |= {prefix + area[1:] + number for prefix in prefixes}
    return written - {"", *SHORT_NUMBERS}


def _never(settings: Settings) -> list[str]:
    """What is no contact of an elder: a short number, and while that is switched off no other way
    to the dispatchers."""
    short = {prefix + number for number in SHORT_NUMBERS for prefix in _prefixes(settings)}
    return sorted(short if settings.rescue.live else short.union(_guarded(settings)))


def _rescue_seats(settings: Settings) -> list[str]:
    """The phones that the dialplan rings for an emergency: those that serve it, and the fallback
    phone of each site."""
    serving = (
        seat.extension for seat in settings.seats if "emergency" in seat.queues and not seat.penalty
    )
    return list(dict.fromkeys((*serving, *settings.fallback_phones.values())))


def centre_instance(settings: Settings, home: Home, asterisk: Installation, user: str) -> Instance:
    """The centre's Asterisk, not started, with the addresses that it will listen on."""
    sip_host, sip_port = split(settings.addresses.sip_address)
    where = "addresses.sip or addresses.host"
    binds = (
        Bind(sip_host, sip_port, socket.SOCK_DGRAM, "SIP", where),
        Bind(sip_host, sip_port, socket.SOCK_STREAM, "SIP", where),
        Bind(settings.addresses.internal, AMI_PORT, socket.SOCK_STREAM, "AMI", "addresses.host"),
        Bind(settings.addresses.internal, HTTP_PORT, socket.SOCK_STREAM, "HTTP", "addresses.host"),
    )
    return Instance(home.asterisk, asterisk, user, binds)
