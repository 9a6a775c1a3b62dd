"""Writes the configuration of the practice town's Asterisk: the carrier's, with telephones that
behave as `telephony/practice` says."""

from __future__ import annotations

import socket
from typing import Final

from asterisk_conf.instance import Bind, Installation, Instance
from asterisk_conf.ports import AMI_PORT
from asterisk_conf.render import (
    CARRIER_TEMPLATES,
    HERE,
    TEMPLATES,
    fill,
    lay_out,
    write_files,
)
from asterisk_conf.sounds import copy_sounds
from home import Home
from practice import ROBOTS, SIP_PORT, centre_host, town_hosts
from settings import Settings
from telephony.practice.telephones import telephones
from telephony.practice.town import SPEECH, read

TOWN_TEMPLATES: Final = HERE / "town"
FILES: Final = (
    "asterisk.conf", "logger.conf", "rtp.conf", "indications.conf", "cdr.conf", "cel.conf",
    "http.conf", "modules.conf", "manager.conf", "pjsip.conf", "extensions.conf",
)  # fmt: skip
KEY_AFTER_S: Final = 14
"""When an elder presses a key: the notice and the greeting take 9 s, the menu 10 s more."""
LONGEST_S: Final = 600
"""A call of the town ends by then, whatever happens."""


def render_town(settings: Settings, home: Home, asterisk: Installation, user: str) -> Instance:
    """Write HOME/town; the instance, not started. Raises BadConfig, BadTown."""
    carrier, phones = town_hosts(settings)
    host, port = centre_host(settings)
    passwords = home.seat_passwords(ROBOTS)
    services = {
        "ambulance": [site.ambulance for site in settings.sites],
        "fire": [site.fire for site in settings.sites],
        "police": [site.police for site in settings.sites],
    }
    values = {
        "root": home.town,
        "modules_dir": asterisk.modules_dir,
        "node": "town",
        "host": carrier,
        "phones_host": phones,
        "sip_port": SIP_PORT,
        "centre": f"{host}:{port}",
        "centre_host": host,
        "seats": [{"extension": e, "password": passwords[e]} for e in ROBOTS],
        "ami_port": AMI_PORT,
        "ami_secret": home.secret("town"),
        "rtp_first": 20000,
        "rtp_last": 20999,
        "telephones": telephones(
            read(), ROBOTS, services, lambda number: spellings(number, settings)
        ),
        "longest_s": LONGEST_S,
        "key_after_s": KEY_AFTER_S,
    }
    texts = fill((TOWN_TEMPLATES, CARRIER_TEMPLATES, TEMPLATES), values, FILES)
    lay_out(home.town, asterisk, user)
    copy_sounds(SPEECH, home.town / "data", user)
    write_files(home.town / "etc", texts, user)
    here = "addresses.host"
    binds = (
        Bind(carrier, SIP_PORT, socket.SOCK_DGRAM, "practice carrier's SIP", here),
        Bind(phones, SIP_PORT, socket.SOCK_DGRAM, "practice telephones' SIP", here),
        Bind(carrier, AMI_PORT, socket.SOCK_STREAM, "practice carrier's AMI", here),
    )
    return Instance(home.town, asterisk, user, binds)


def spellings(number: str, settings: Settings) -> list[str]:
    """Every way in which the centre may dial a number of the town."""
    country, area = settings.centre.country_code, settings.centre.area_code
    if not number.isdecimal() or len(number) < 7:
        return []
    whole = number.removeprefix("0")
    found = [f"+{country}{whole}", f"{country}{whole}", f"00{country}{whole}"]
    return [*found, number.removeprefix(area)] if number.startswith(area) else found
