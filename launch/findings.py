"""What the doctor makes of what it saw: pure judgement, each finding in plain words.

A finding that is to be done says why it matters and what to do; one that is only good to know, or
fine, may leave that out. Sizes are bytes, ages and times aware datetimes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from home import PRACTICE
from settings import Messages, Settings, is_loopback, split
from sql.numbers import e164, is_whole

DAYS_OF_RECORDINGS: Final = 30
FREE_AT_LEAST: Final = 2 * 10**9
OLD_TREE: Final = timedelta(days=60)
CERTIFICATE_LEFT: Final = timedelta(days=21)
OLD_BACKUP: Final = timedelta(days=2)
LATE_RECORDING: Final = timedelta(minutes=10)
CLOCK_SLACK: Final = timedelta(minutes=1)


class Level(StrEnum):
    """Whether somebody has to do something."""

    FINE = "fine"
    NOTE = "note"
    DO = "do"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    what: str
    why: str = ""
    do: str = ""


def fine(what: str) -> Finding:
    return Finding(Level.FINE, what)


def note(what: str, why: str = "", do: str = "") -> Finding:
    return Finding(Level.NOTE, what, why, do)


def to_do(what: str, why: str, do: str) -> Finding:
    return Finding(Level.DO, what, why, do)


@dataclass(frozen=True, slots=True)
class Port:
    """An address that we listen on. `problem` is why it cannot be had, "" when it is free."""

    where: str
    ours: bool
    problem: str = ""


def of_ports(ports: Sequence[Port]) -> list[Finding]:
    """One finding for each that somebody else has; one for all the others."""
    bad = [
        to_do(
            f"The address {port.where} is not ours.",
            "Careline cannot start, or one part of it stays unreachable.",
            port.problem,
        )
        for port in ports
        if port.problem and not port.ours
    ]
    good = [port.where for port in ports if port.ours or not port.problem]
    return bad + ([fine(f"Addresses are ours or free: {', '.join(good)}.")] if good else [])


def of_disk(free: int, a_day: float) -> Finding:
    """`a_day` is what recordings took of late; 0 when there are none yet."""
    days = free / a_day if a_day else None
    room = f"{free / 1e9:.1f} GB are free"
    if free < FREE_AT_LEAST:
        return to_do(
            f"The disk of the home is nearly full: {room}.",
            "When it is full, nothing is recorded, and soon no phone can sign in any more.",
            f"Free some space, or move the home to a disk with {FREE_AT_LEAST / 1e9:.0f} GB and "
            "more.",
        )
    if days is not None and days < DAYS_OF_RECORDINGS:
        return to_do(
            f"{room}; at the present rate recordings fill that in {days:.0f} days.",
            "When it is full, nothing is recorded, and soon no phone can sign in any more.",
            f"Make room for {DAYS_OF_RECORDINGS} days: {a_day * DAYS_OF_RECORDINGS / 1e9:.0f} GB.",
        )
    enough = f", enough for {days:.0f} days of recordings" if days is not None else ""
    return fine(f"Disk: {room}{enough}.")


def of_clock(
    now: datetime, *, synchronised: bool | None, newest: datetime | None, zone: str
) -> list[Finding]:
    """`newest` is the last time that anything in the home was written; `zone` is the centre's."""
    found = []
    if newest is not None and newest - now > CLOCK_SLACK:
        found.append(
            to_do(
                f"The clock was set back: the home was written at {_shown(newest)}, and now it is "
                f"{_shown(now)}.",
                "Times of calls would overlap, and what waits for a time waits too long.",
                "Set the clock right (`timedatectl set-ntp true`), then restart Careline.",
            )
        )
    if synchronised is False:
        found.append(
            to_do(
                "The clock is not synchronised with a time server.",
                "Times of calls and recordings are evidence; a clock alone goes wrong by seconds a "
                "day.",
                "Install chrony or systemd-timesyncd and let it reach a time server.",
            )
        )
    if not found:
        known = "is synchronised" if synchronised else "shows no jump (synchronisation unknown)"
        found.append(fine(f"Clock: {known}; people read times in {zone}."))
    return found


def _shown(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S %Z")


@dataclass(frozen=True, slots=True)
class AsteriskSeen:
    """`age` of its tree is None for the distribution's own package. `elsewhere` is where a running
    one takes SIP when the settings say otherwise by now."""

    version: str
    age: timedelta | None
    tree: str
    pid: int | None
    answers: bool
    elsewhere: str = ""


def of_asterisk(seen: AsteriskSeen, sip: str) -> list[Finding]:
    """Version, age, whether it runs, where it listens."""
    found = []
    if seen.pid is None:
        found.append(
            to_do(
                "Asterisk is not running.",
                "Nobody can call, and nobody can be called.",
                "Start Careline: `./careline run`, or `systemctl start careline-asterisk`.",
            )
        )
    elif not seen.answers:
        found.append(
            to_do(
                f"Asterisk (pid {seen.pid}) lives and does not answer.",
                "Calls may be stuck, and new ones fail.",
                f"Look at asterisk/log/messages in the home; `kill -9 {seen.pid}` has it started "
                "anew, and ends its calls.",
            )
        )
    if seen.elsewhere:
        found.append(
            to_do(
                f"Asterisk still listens at {seen.elsewhere}, and the settings say {sip}.",
                "Phones and carriers at the new address do not reach it.",
                "Stop Careline with Asterisk in a quiet hour and start it again.",
            )
        )
    if seen.age is not None and seen.age > OLD_TREE:
        found.append(
            to_do(
                f"Asterisk {seen.version} was unpacked {seen.age.days} days ago.",
                "It does not get the security updates of this machine by itself.",
                f"In a quiet hour: stop Careline with Asterisk, remove {seen.tree}, "
                "`./careline prepare`, start it again.",
            )
        )
    if not found:
        age = "of the distribution" if seen.age is None else f"{seen.age.days} days old"
        found.append(fine(f"Asterisk {seen.version} ({age}) runs, pid {seen.pid}."))
    return found


@dataclass(frozen=True, slots=True)
class Lines:
    """What Asterisk says of phones and carriers: contact by name, and registration by trunk."""

    contacts: Mapping[str, bool]
    registrations: Mapping[str, str]


def of_mode(mode: str, trunks: int) -> Finding:
    """Whether this home is in earnest; `trunks` is how many carriers the settings file has."""
    if mode != PRACTICE:
        return fine("This is a real home: its carriers are loaded.")
    left_out = f", and the {trunks} in the settings not loaded" if trunks else ""
    return note(
        f"This is a practice home: the only carrier is the invented town{left_out}.",
        "No call leaves this machine; 110, 119 and 120 are the town's own.",
        "For the real centre, start with a carrier in careline.toml and another --home.",
    )


def of_trunks(settings: Settings, lines: Lines) -> list[Finding]:
    """A trunk that registers must be registered, the others must answer."""
    found = []
    for trunk in settings.trunks:
        name = f"trunk-{trunk.name}"
        if trunk.registers:
            state = lines.registrations.get(name, "Unregistered")
            if state == "Registered":
                found.append(fine(f"Carrier {trunk.name} is registered."))
            else:
                found.append(_trunk_down(trunk.name, trunk.host, f"is not registered ({state})"))
        elif lines.contacts.get(name):
            found.append(fine(f"Carrier {trunk.name} answers."))
        else:
            found.append(_trunk_down(trunk.name, trunk.host, "does not answer"))
    return found or [
        note("There is no carrier in the settings.", "Only the seats can call each other and us.")
    ]


def _trunk_down(name: str, host: str, what: str) -> Finding:
    return to_do(
        f"Carrier {name} ({host}) {what}.",
        "Elders who come over it do not get through, and nobody can be called over it.",
        f"Look whether {host} can be reached (router, firewall), compare username and password in "
        "careline.toml, and call the carrier.",
    )


def of_seats(settings: Settings, lines: Lines) -> Finding:
    """Phones that are signed in."""
    away = [seat.extension for seat in settings.seats if not lines.contacts.get(seat.extension)]
    if not away:
        return fine(f"All {len(settings.seats)} seats have their phone.")
    what = f"No phone is signed in for: {', '.join(away)}."
    do = (
        "Sign the phone in at the seat; its password is in secrets/seats.json in the home. A seat "
        "that is no more goes out of careline.toml."
    )
    if len(away) == len(settings.seats):
        return to_do(what, "There is nobody who could answer a call.", do)
    return note(what, "These seats are not rung.", do)


def of_fallback(settings: Settings, lines: Lines) -> list[Finding]:
    """Each site's fallback phone, which rings when nobody else can."""
    found = []
    for site in settings.sites:
        phone = settings.fallback_phones.get(site.code, "")
        if not phone:
            found.append(
                to_do(
                    f"Site {site.code} has no fallback phone.",
                    "When no seat answers an emergency there, no further phone rings.",
                    "Set fallback_phone of the site in careline.toml.",
                )
            )
        elif lines.contacts.get(phone):
            found.append(fine(f"The fallback phone {phone} of site {site.code} is signed in."))
        else:
            found.append(
                to_do(
                    f"The fallback phone {phone} of site {site.code} is not signed in.",
                    "It is the last one that rings in an emergency.",
                    "Look whether it has power and network, and sign it in; its password is in "
                    "secrets/seats.json in the home.",
                )
            )
    return found


def of_responders(settings: Settings) -> list[Finding]:
    """Each organisation around the elders whose number is none; the sites that have nobody."""
    centre, found = settings.centre, []
    for one in settings.responders:
        number = e164(one.number, country=centre.country_code, area=centre.area_code)
        if not is_whole(number):
            found.append(
                to_do(
                    f"The number {one.number} of {one.name} (responder {one.code}) is no telephone "
                    "number here.",
                    "It is dialled as it stands, and nobody is reached in an emergency.",
                    "Put it right in careline.toml: with its area code, or with + and the country "
                    "code.",
                )
            )
    served = {one.site for one in settings.responders}
    if bare := [site.code for site in settings.sites if site.code not in served]:
        found.append(
            note(
                f"No organisation that could send somebody is set for {', '.join(bare)}.",
                "In an emergency a care station or residents' committee is often there first.",
                "Add them as [[responders]] in careline.toml.",
            )
        )
    return found or [fine(f"Organisations around the elders: {len(settings.responders)}.")]


def of_certificate(
    settings: Settings, now: datetime, ends_at: datetime | None, problem: str
) -> Finding:
    """The desk's certificate; `problem` is why it cannot be used."""
    file = settings.addresses.desk_certificate
    if not file:
        host, _ = split(settings.addresses.desk_address)
        where = "on this machine alone" if is_loopback(host) else "behind a proxy"
        return fine(f"The desk is served {where} and needs no certificate.")
    renew = f"Put a new one at {file} with its key, and restart the desk."
    if problem:
        return to_do(problem, "The desk does not start.", renew)
    if ends_at is None:
        return note(f"{file}: it is not known when the certificate ends.")
    left = ends_at - now
    if left < timedelta():
        return to_do(
            f"The desk's certificate ended on {ends_at:%Y-%m-%d}.", "Browsers refuse it.", renew
        )
    if left < CERTIFICATE_LEFT:
        return to_do(
            f"The desk's certificate ends in {left.days} days.", "Browsers refuse it then.", renew
        )
    return fine(f"The desk's certificate is good for {left.days} days.")


def of_backup(age: timedelta | None, mark: str) -> Finding:
    """`mark` is the file that a backup touches when it is done."""
    do = (
        f"Copy the home elsewhere every night (the database with its own tool), and have that end "
        f"with `touch {mark}`."
    )
    if age is None:
        return to_do("No backup has been made.", "A broken disk takes everything with it.", do)
    if age > OLD_BACKUP:
        return to_do(
            f"The last backup is {age.days} days old.",
            "A broken disk takes all that came since with it.",
            do,
        )
    return fine(f"The last backup is {age.total_seconds() / 3600:.0f} hours old.")


def of_rescue(*, live: bool, practice: bool = False) -> Finding:
    """Whether 110, 119 and 120 leave the centre."""
    if practice:
        return fine("Practice: calls to 110, 119 and 120 reach the town's own and nobody else.")
    if live:
        return fine("rescue.live is true: calls to 110, 119 and 120 leave the centre.")
    return note(
        "rescue.live is false: no call to 110, 119 or 120 leaves the centre.",
        "Right while it is tried out; wrong with elders on the line.",
        "Try the numbers of every site with its dispatchers, then set rescue.live = true.",
    )


def of_messages(
    settings: Messages, problems: Mapping[str, str], *, practice: bool = False
) -> list[Finding]:
    """`problems`: why a channel's server cannot be reached; one that is not there can be."""
    if practice:
        return [fine("Practice: messages reach the town's own people and nobody else.")]
    if not settings.channels:
        return [
            note(
                "No channel for messages is set up.",
                "The card cannot be sent to those who are called in an emergency; it has to be "
                "read out.",
                "Set channels under [messages] in careline.toml.",
            )
        ]
    found = [
        _channel_away(channel, problems[channel])
        if channel in problems
        else fine(f"The channel {channel} for messages can be reached.")
        for channel in settings.channels
    ]
    if not settings.public_url:
        found.append(
            note(
                "Nobody learns whether a message was delivered.",
                "Providers have no address to report it to.",
                "Set public_url under [messages], and let the proxy lead /hooks/ to the desk.",
            )
        )
    return found


def _channel_away(channel: str, problem: str) -> Finding:
    return to_do(
        f"The channel {channel} for messages cannot be reached: {problem}.",
        "Messages out of an emergency go by the next channel, or reach nobody.",
        "Look whether this machine gets out there (network, firewall, DNS).",
    )


DOES: Final = {
    "controller": "Calls reach a person without it, but without menu, and nothing of them is kept.",
    "desk": "Nobody sees the board, the elders or the orders.",
    "worker": "Recordings wait to be made.",
    "practice": "The elders of the practice town do not call.",
}


def of_processes(states: Mapping[str, str]) -> list[Finding]:
    """Each is `answers`, `silent` or `down`."""
    if set(states.values()) == {"down"}:
        return [
            to_do(
                "Careline is not running.",
                "Calls reach a person while Asterisk runs; nothing of them is kept.",
                "Start it: `./careline run`, or `systemctl start careline.target`.",
            )
        ]
    found = [
        to_do(
            f"The {name} {'is not running' if state == 'down' else 'runs and does not answer'}.",
            DOES[name],
            f"Look at logs/{name}.log in the home; it is started again by itself when it can be.",
        )
        for name, state in states.items()
        if state != "answers"
    ]
    return found or [fine(f"Running and answering: {', '.join(states)}.")]


def of_database(problem: str, *, migrated: bool) -> Finding:
    """Whether it is there, and of this version."""
    if problem:
        return to_do(
            f"The database cannot be read: {problem}.",
            "The desk shows nothing; calls go on and wait to be kept.",
            "Start its server, or put database.url in careline.toml right.",
        )
    if not migrated:
        return to_do(
            "The database is of another version than this checkout.",
            "Processes of two versions do not understand each other's rows.",
            "Restart Careline from the newest checkout; that brings the database up to date.",
        )
    return fine("The database answers and is up to date.")


def of_outbox(waiting: int, oldest: timedelta) -> Finding:
    """Recordings that are owed."""
    if waiting and oldest > LATE_RECORDING:
        return to_do(
            f"{waiting} recordings wait to be made, the oldest for "
            f"{oldest.total_seconds() / 60:.0f} minutes.",
            "Their sound is only in recordings/live, unverified.",
            "Look at logs/worker.log in the home: it says what it waits for.",
        )
    return fine(f"Recordings that wait to be made: {waiting}.")


def of_home(open_places: Sequence[str], foreign: Sequence[str], owner: str) -> Finding:
    """Places that others can read, and places that are not the home's owner's."""
    if open_places:
        return to_do(
            f"Others on this machine can read: {', '.join(open_places)}.",
            "What is kept there is about people, or opens doors.",
            "`chmod go= ` each of them; Careline does so at its next start where it can.",
        )
    if foreign:
        return to_do(
            f"Not {owner}'s, as the rest of the home is: {', '.join(foreign)}.",
            f"Careline runs as {owner} and may not be able to write there.",
            f"`chown -R {owner}:` them, or start Careline once as root.",
        )
    return fine(f"The home is {owner}'s and closed to others.")
