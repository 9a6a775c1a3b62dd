"""Says what is wrong with a Careline, why that matters, and what to do about it.

    python -m launch.doctor --home DIR [--config FILE] [--json]

It looks as the user whom Careline runs as, so that it sees what Careline can see, and works while
everything is down. Ends with 0 when all is well, 1 when something is to be done, 2 when it cannot
look at all. With --json: {"home", "well", "findings": [{"level", "what", "why", "do"}]}.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pwd
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from asterisk_conf.instance import AsteriskFailed, Bind, Instance, service_user
from asterisk_conf.render import centre_instance
from home import PRACTICE, BadHome, Home
from launch import asterisk_tree, findings, looks
from launch.alarms import of_alarms
from launch.findings import AsteriskSeen, Finding, Level, Lines, Port
from launch.identity import become, user_of
from launch.settle import own_binds
from launch.steps import SetupError, is_root, say
from practice import settings_in
from settings import BadConfig, Settings, load

CANNOT_LOOK: Final = 2
TITLES: Final = {Level.DO: "TO DO", Level.NOTE: "note ", Level.FINE: "fine "}


async def examine(home: Home, config: Path | None) -> list[Finding]:
    """Everything that can be seen from here, what is to be done first."""
    now = datetime.now(UTC)
    found = [
        findings.of_disk(looks.free_bytes(home), looks.recorded_a_day(home.recordings)),
        findings.of_home(looks.open_places(home), looks.foreign(home), user_of(home)),
        findings.of_backup(looks.backup_age(home, now), str(home.root / looks.BACKUP_MARK)),
    ]
    try:
        written = load(config or home.config)
        settings = settings_in(home, written)
    except BadConfig as wrong:
        found.append(
            findings.to_do(
                f"The settings are wrong: {wrong}",
                "Careline does not start with them; the rest cannot be looked at before.",
                "Put the setting right; what would be right is named.",
            )
        )
        return in_order(found)
    found.append(findings.of_mode(home.mode, len(written.trunks)))
    return in_order([*await of_settings(settings, home, now), *found])


async def of_settings(settings: Settings, home: Home, now: datetime) -> list[Finding]:
    """What the settings say there should be."""
    states = await looks.look_at_processes(home, settings)
    problem, migrated, waiting, age = await asyncio.to_thread(
        looks.look_at_database, settings.database_url(home.root), now
    )
    ends_at, unusable = looks.look_at_certificate(settings)
    found = [
        *await of_telephony(settings, home, states, now),
        *findings.of_processes(states),
        *of_alarms(await looks.look_at_alarms(home) if states["controller"] == "answers" else []),
        findings.of_database(problem, migrated=migrated),
        *findings.of_clock(
            now,
            synchronised=looks.is_synchronised(),
            newest=looks.newest(home),
            zone=settings.centre.time_zone,
        ),
        findings.of_certificate(settings, now, ends_at, unusable),
        *findings.of_responders(settings),
        findings.of_rescue(live=settings.rescue.live, practice=home.mode == PRACTICE),
        *findings.of_messages(
            settings.messages,
            await looks.look_at_channels(settings),
            practice=home.mode == PRACTICE,
        ),
    ]
    if not problem and migrated:
        found.append(findings.of_outbox(waiting, age))
    return found


async def of_telephony(
    settings: Settings, home: Home, states: dict[str, str], now: datetime
) -> list[Finding]:
    """Asterisk, its addresses, carriers and phones."""
    asterisk = asterisk_tree.find()
    instance = centre_instance(settings, home, asterisk, service_user())
    seen, lines = await looks.look_at_asterisk(asterisk, instance, settings, now)
    found = [
        *findings.of_asterisk(seen, settings.addresses.sip_address),
        *findings.of_ports(ports(settings, instance, seen, states)),
    ]
    return found + of_lines(settings, seen, lines)


def of_lines(settings: Settings, seen: AsteriskSeen, lines: Lines) -> list[Finding]:
    if not seen.answers:
        return [findings.note("Carriers and phones cannot be seen while Asterisk is away.")]
    return [
        *findings.of_trunks(settings, lines),
        findings.of_seats(settings, lines),
        *findings.of_fallback(settings, lines),
    ]


def ports(
    settings: Settings, instance: Instance, seen: AsteriskSeen, states: dict[str, str]
) -> list[Port]:
    """Every address that we listen on; while its process runs it is taken to be ours."""
    desk, menus = own_binds(settings)
    both = [
        (desk, states["desk"] != "down"),
        (menus, states["controller"] != "down"),
        *((bind, seen.pid is not None) for bind in instance.binds),
    ]
    return [Port(_shown(bind), ours, _problem(bind)) for bind, ours in both]


def _shown(bind: Bind) -> str:
    protocol = "UDP" if bind.kind is socket.SOCK_DGRAM else "TCP"
    return f"{bind.host}:{bind.port} ({bind.what}, {protocol})"


def _problem(bind: Bind) -> str:
    try:
        bind.check()
    except AsteriskFailed as cause:
        return f"{cause}."
    return ""


def in_order(found: Sequence[Finding]) -> list[Finding]:
    """What is to be done, then what is good to know, then what is fine."""
    return sorted(found, key=lambda finding: list(TITLES).index(finding.level))


def show(found: Sequence[Finding]) -> str:
    """For a person at a terminal."""
    lines = []
    for finding in found:
        lines.append(f"{TITLES[finding.level]}  {finding.what}")
        if finding.why:
            lines.append(f"         why: {finding.why}")
        if finding.do:
            lines.append(f"         do:  {finding.do}")
    to_do = sum(finding.level is Level.DO for finding in found)
    lines.append("All is well." if not to_do else f"{to_do} to be done.")
    return "\n".join(lines)


def be_the_owner(home: Home) -> None:
    """Root looks as the home's owner does; a home of root's own is looked at as root."""
    if is_root() and home.root.stat().st_uid:
        become(pwd.getpwnam(user_of(home)), home)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    home = Home(given.home)
    os.umask(0o077)
    try:
        if not (home.root / "version").is_file():
            say(f"{home.root} is no home of a Careline; name one with --home, or start it first")
            return CANNOT_LOOK
        be_the_owner(home)
        home.refuse_newer()
        found = asyncio.run(examine(home, given.config))
    except (BadHome, SetupError) as cause:
        say(str(cause))
        return CANNOT_LOOK
    except OSError as cause:
        say(
            f"{cause.filename or home.root}: {cause.strerror}; look as the home's owner, or as root"
        )
        return CANNOT_LOOK
    well = all(finding.level is not Level.DO for finding in found)
    if given.json:
        listed = [asdict(finding) for finding in found]
        print(json.dumps({"home": str(home.root), "well": well, "findings": listed}))
    else:
        print(show(found))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
