"""What the doctor makes of the alarms that are open now, as the desk shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from launch.findings import Finding, to_do

WORDS: Final = {
    "asterisk": (
        "The controller does not reach Asterisk",
        "Calls go on by themselves, without menu, and nobody sees them on the board.",
        "Look whether Asterisk runs, and at logs/controller.log in the home.",
    ),
    "database": (
        "The controller does not reach the database",
        "Calls go on; what happens in them waits to be written down.",
        "Start the database's server, or free some space on its disk.",
    ),
    "not kept": (
        "Something of a call, order or emergency cannot be written down",
        "The record has a gap there; calls go on.",
        (
            "Report the error of that time in logs/controller.log of the home; the alarm goes with "
            "the next start."
        ),
    ),
    "journal": (
        "The local disk does not take the journal of emergencies",
        "Rescues go on in memory, and are forgotten when the controller dies.",
        "Free some space on the disk of the home at once, and look whether rescue/ can be written.",
    ),
    "disk low": (
        "The disk of the home is nearly full",
        "Soon nothing will be recorded any more.",
        "Free some space, or move the home to a larger disk.",
    ),
    "not recorded": (
        "The disk of the home is full, and calls are not recorded",
        "What is left is kept for the telephones: on a full disk none could sign in.",
        "Free some space on it at once; recordings then begin again by themselves.",
    ),
    "picture": (
        "The board showed something wrong and was read anew",
        "What the seats see was not what Asterisk did.",
        "If it comes again, keep logs/controller.log of the home and report it.",
    ),
    "orphan": (
        "A recording belongs to no call",
        "It is kept, and nobody finds it at the desk.",
        "Listen to it in recordings/live in the home, and say whose it is or remove it.",
    ),
    "recording": (
        "A recording is missing or incomplete",
        "The call was answered and cannot be heard, or not to its end.",
        "Look at the call's timeline at the desk: it says why. Have what was said written down.",
    ),
    "trunk down": (
        "A carrier does not answer",
        "Elders who come over it do not get through.",
        "Check network and address of the carrier, then call it.",
    ),
    "trunk refused": (
        "A carrier refuses us",
        "Elders who come over it do not get through.",
        "Compare username and password of the trunk in careline.toml, then call the carrier.",
    ),
    "fallback phone": (
        "A fallback phone is not signed in",
        "It is the last one that rings in an emergency.",
        (
            "Look whether it has power and network, and sign it in; for a site without one, set "
            "fallback_phone in careline.toml."
        ),
    ),
    "call back": (
        "An elder in an emergency was not reached",
        "The call ended before a seat was there, or broke off; the elder may lie on the floor.",
        "Call back now, from the order at the desk; without an answer send somebody.",
    ),
    "not handled": (
        "An emergency is led by the telephone system alone",
        "Careline could not follow it; the telephones and contacts are rung all the same.",
        "Answer the emergency, and report the error of that time in logs/controller.log.",
    ),
    "elder alone": (
        "Nobody has come to an elder in an emergency",
        "The elder is alone on the line.",
        "Answer the emergency at a seat now.",
    ),
    "elder away": (
        "An elder's line is gone in an emergency",
        "Careline calls the elder back again and again; nobody knows how the elder is.",
        "Answer at a seat; send somebody, or say on the rescue page that the elder is safe.",
    ),
    "role missing": (
        "An emergency has no seat for a role yet",
        "One seat is to lead the rescue outwards (A), another to stay with the elder (B).",
        "Answer the emergency at another seat; end an ordinary call for it.",
    ),
    "perhaps called": (
        "Somebody was perhaps called in an emergency",
        "It is not known whether the telephone rang.",
        "Look at the desk who is with the elder.",
    ),
    "journal unreadable": (
        "The file of an emergency cannot be read",
        "What happened in it before the last start may be missing from the record.",
        (
            "Keep the file that ends in .unreadable in the home's folder rescue, and send it to "
            "whoever looks after Careline; the alarm goes with the next start."
        ),
    ),
    "message failed": (
        "A message out of an emergency reached nobody",
        "Somebody who was called does not have the card with the address and the way in.",
        (
            "Tell its recipient on the telephone. The alarm has the provider's own code: when it "
            "comes again, look at [messages] in careline.toml."
        ),
    ),
    "perhaps sent": (
        "A message out of an emergency was perhaps sent",
        "It is not known whether the provider took it, and it is not sent twice by itself.",
        "Ask its recipient on the telephone; then send it again at the desk, or leave it.",
    ),
    "no sound": (
        "Nothing is heard from an elder's line in an emergency",
        "The line may be dead: the room stays open, but perhaps nobody is on the other end.",
        "Call the elder back on another line, or send somebody.",
    ),
    "no news": (
        "On an emergency nobody has done anything for ten minutes",
        "The case is open, and nobody has called, ticked or noted anything in it.",
        "Look how far the helpers are, and write it down: on the way, arrived, a note.",
    ),
    "no record": (
        "An emergency has no rescue record yet",
        "The helpers arrived, or the elder's call ended, half an hour ago.",
        "Write down what was done, and close the case.",
    ),
    "no follow-up": (
        "An elder has not been asked after within two days of an emergency",
        "A follow-up is due 48 hours after the opening of every case.",
        "Call the elder or the family, and write down how they are.",
    ),
    "dial failed": (
        "A call in an emergency could not be made",
        "Somebody whom the elder needs was not rung; it is tried again and again.",
        "Answer the emergency at a seat, and check telephones and carriers.",
    ),
}
"""Each kind: what it is, why it matters, what to do. The desk has its own words for its users."""


def of_alarms(alarms: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """One finding for each open alarm; one of a kind that is not known here is told as it is."""
    return [_of(str(one.get("kind", "")), one) for one in alarms]


def _of(kind: str, alarm: Mapping[str, Any]) -> Finding:
    what, why, do = WORDS.get(
        kind,
        (f"An alarm is open ({kind})", "The desk shows it until it is over.", "Look at the desk."),
    )
    text, since = str(alarm.get("text", "")), str(alarm.get("raised_at", ""))[:19]
    about = f": {text}" if text else ""
    return to_do(f"{what}{about} (alarm since {since} UTC).", why, do)
