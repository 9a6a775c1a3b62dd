"""Words for what the processes keep: states, results, choices and alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent_desk import language
from agent_desk.language import gettext as _

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pill:
    """A state as it is shown: the word, and the colour that stands for its meaning."""

    word: str
    tone: str = ""


def call_state(state: str) -> Pill:
    return {
        "entered": Pill(_("In the menu"), "act"),
        "waiting": Pill(_("Waiting"), "wait"),
        "ringing": Pill(_("Ringing"), "wait"),
        "talking": Pill(_("Talking"), "talk"),
        "ended": Pill(_("Ended")),
    }.get(state, Pill(state))


def call_result(result: str) -> Pill:
    """How a call came out. A missed caller is what somebody has to look after."""
    return {
        "answered": Pill(_("Answered"), "talk"),
        "abandoned": Pill(_("Abandoned"), "wait"),
        "busy": Pill(_("Busy"), "wait"),
        "no_answer": Pill(_("No answer"), "wait"),
        "failed": Pill(_("Failed"), "wait"),
    }.get(result, Pill(result))


def call_pill(state: str, result: str) -> Pill:
    """A call in a list: how it stands, and when it is over how it came out."""
    return call_result(result) if state == "ended" and result else call_state(state)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a call to 110, 119 or 120 goes: in few words for every page, and in a sentence."""

    pill: Pill
    everywhere: str
    sentence: str


def rescue_numbers(*, is_live: bool, is_practice: bool) -> Reach:
    # The town's own can be called, so for Asterisk the switch is on: practice is asked first.
    if is_practice:
        return Reach(
            Pill(_("Practice"), "wait"),
            _("110, 119 and 120 are the town's own"),
            _("These calls reach the town's own dispatchers and nobody else."),
        )
    if is_live:
        return Reach(
            Pill(_("Real"), "alarm"),
            _("110, 119 and 120 are real"),
            _("These calls leave this centre and reach real dispatchers."),
        )
    return Reach(
        Pill(_("Switched off"), "wait"),
        _("110, 119 and 120 are switched off"),
        _("No call to 110, 119 or 120 leaves this centre (rescue.live = false)."),
    )


def scene(scenes: Sequence[Body], name: str) -> str:
    """What an elder of the practice town calls about; the town's own data has the words."""
    title = "title" if language.current() == language.CHINESE else "english"
    return next((str(one[title]) for one in scenes if one["name"] == name), name)


def entry(name: str) -> str:
    return {
        "hotline": _("Hotline"),
        "emergency": _("Emergency"),
        "report": _("Landline report"),
        "complaints": _("Complaints"),
    }.get(name, name)


def queue(name: str) -> str:
    return {"hotline": _("Hotline"), "emergency": _("Emergency")}.get(name, name)


def choice(name: str) -> str:
    return {
        "person": _("a person"),
        "emergency": _("a call for help"),
        "life_service": _("life services"),
        "consultation": _("consultation"),
        "appointment": _("to arrange a service"),
        "repair": _("a device out of order"),
        "complaint": _("complaints and suggestions"),
        "information": _("policies and information"),
    }.get(name, name)


def rescue_role(name: str) -> str:
    """What a seat does in an emergency (EMG-02 to EMG-10)."""
    return {"A": _("leads the rescue"), "B": _("stays with the elder")}.get(name, name)


def rescue_party(name: str) -> str:
    """Who can be called to an elder in an emergency (EMG-03 to EMG-07, EMG-13)."""
    return {
        "ambulance": _("120 ambulance"), "fire": _("119 fire brigade"), "police": _("110 police"),
        "contact": _("family and contacts"), "neighbour": _("neighbours"),
        "station": _("care station"), "committee": _("residents' committee"),
        "doctor": _("community doctor"), "hospital": _("hospital"),
        "property": _("property management"),
    }.get(name, name)  # fmt: skip


def plan_kind(name: str) -> str:
    """What kind of emergency a plan is for (EMG-18)."""
    return {
        "fall": _("Fall"), "illness": _("Sudden illness"), "fire": _("Fire and smoke"),
        "gas": _("Gas and fumes"), "flood": _("Water in the home"), "lost": _("Lost outside"),
        "no_response": _("No response"), "other": _("Any other emergency"),
    }.get(name, name)  # fmt: skip


def call_class(name: str) -> str:
    """What a call was about (ACD-19)."""
    return {
        "emergency": _("Emergency help"),
        "consultation": _("Consultation"),
        "life_service": _("Life services"),
        "no_response": _("No response"),
        "other": _("Something else"),
        "none": _("Not wrapped up"),
    }.get(name, name)


def follows() -> dict[str, str]:
    """What follows when a call is wrapped up as being about this, with no order described."""
    return {
        "emergency": _("Its order stays open: somebody has to look after the elder now."),
        "consultation": _("With a note, its order is closed: the note is the answer."),
        "life_service": _("Describe below what is needed: it becomes the order."),
        "no_response": _("Its order stays open: call back, or have somebody look."),
    }


def party(name: str) -> str:
    return {"caller": _("Caller"), "seat": _("Seat"), "party": _("Called party")}.get(name, name)


def sex(name: str) -> str:
    return {"male": _("male"), "female": _("female")}.get(name, _("sex unknown"))


def elder_choices() -> dict[str, dict[str, str]]:
    """What may be chosen of an elder, by field, in the order of the form."""
    return {
        "sex": {"unknown": _("not known"), "female": _("female"), "male": _("male")},
        "user_status": {
            "active": _("enrolled"), "applied": _("applied"), "suspended": _("suspended"),
            "declined": _("declined"), "left": _("left"), "deceased": _("deceased"),
        },
        "living_arrangement": {
            "": _("not known"), "alone": _("alone"), "with_spouse": _("with spouse"),
            "with_children": _("with children"),
            "with_relatives_friends": _("with relatives or friends"),
        },
        "type": {
            name: terminal(name)
            for name in ("one_key", "wireless_alarm", "fall_alarm", "smoke_alarm", "water_alarm",
                         "health_monitor", "home_monitor", "nursing_bed")
        },
        "status": {"active": _("in use"), "retired": _("retired")},
    }  # fmt: skip


def terminal(kind: str) -> str:
    return {
        "one_key": _("One-key caller"), "wireless_alarm": _("Wireless alarm"),
        "fall_alarm": _("Fall alarm"), "smoke_alarm": _("Smoke alarm"),
        "water_alarm": _("Water alarm"), "health_monitor": _("Health monitor"),
        "home_monitor": _("Home monitor"), "nursing_bed": _("Nursing bed"),
    }.get(kind, kind)  # fmt: skip


def calling_terminal(kind: str, serial: str) -> str:
    """The terminal from whose number a call came; empty for a call from any other number."""
    return _("Called by terminal: %s") % f"{terminal(kind)} {serial}" if serial else ""


def role(name: str) -> str:
    return {
        "admin": _("Administrator"), "supervisor": _("Supervisor"), "seat": _("Seat"),
    }.get(name, name)  # fmt: skip


def reachable(is_reachable: bool | None) -> Pill:
    """What the last test call to a number found."""
    if is_reachable is None:
        return Pill(_("never tried"))
    return Pill(_("Reachable"), "talk") if is_reachable else Pill(_("Not reachable"), "wait")


def seat_state(state: str) -> str:
    return {
        "offline": _("Offline"),
        "available": _("Free"),
        "ringing": _("Ringing"),
        "talking": _("Talking"),
        "wrapping up": _("Wrapping up"),
        "paused": _("Paused"),
        "not answering": _("Does not answer"),
    }.get(state, state)


SEAT_REASONS: Final = ("lost", "meal", "rest", "training", "meeting")


def seat_reasons() -> dict[str, str]:
    """Our own word for each reason that has one."""
    return {reason: seat_reason(reason) for reason in SEAT_REASONS}


def seat_reason(reason: str) -> str:
    """Why a seat is as it is; a reason that a person wrote is its own word."""
    return {
        "lost": _("the phone was lost in a call"),
        "meal": _("meal"),
        "rest": _("rest"),
        "training": _("training"),
        "meeting": _("meeting"),
    }.get(reason, reason)


def recording(state: str) -> Pill:
    return {
        "writing": Pill(_("Recording now"), "talk"),
        "owed": Pill(_("Being made"), "wait"),
        "kept": Pill(_("Kept"), "act"),
        "missing": Pill(_("Missing"), "wait"),
    }.get(state, Pill(state))


def order_state(state: str) -> Pill:
    return {
        "accepted": Pill(_("To be judged"), "wait"),
        "generated": Pill(_("Generated"), "act"),
        "closed": Pill(_("Closed")),
        "cancelled": Pill(_("Cancelled")),
        "joined": Pill(_("Part of an earlier call-back")),
    }.get(state, Pill(state))


def channel(name: str) -> str:
    return {
        "hotline": _("Hotline"),
        "call_terminal": _("Call terminal"),
        "counter": _("Counter"),
    }.get(name, name)


def message_state(state: str) -> Pill:
    """How far a message to somebody outside has come."""
    return {
        "queued": Pill(_("Being sent"), "act"),
        "waiting": Pill(_("Tried again soon"), "wait"),
        "sent": Pill(_("Sent"), "act"),
        "unreported": Pill(_("Sent, no report of delivery"), "wait"),
        "delivered": Pill(_("Delivered"), "talk"),
        "uncertain": Pill(_("Perhaps sent"), "wait"),
        "failed": Pill(_("Reached nobody"), "alarm"),
    }.get(state, Pill(state))


def alarms() -> dict[str, tuple[str, str]]:
    """Every kind of alarm: what it is, and what to do about it."""
    return {
        "recording": (
            _("A recording is missing or incomplete"),
            _("The call was answered but cannot be heard, or not to its end; its timeline says "
              "why. Write down what was said, and tell your administrator."),
        ),
        "orphan": (
            _("A recording without a call"),
            _("It lies in recordings/live under this name and is kept. Tell your administrator, "
              "who can listen to it and say whose it is."),
        ),
        "disk low": (
            _("The disk is nearly full"),
            _("Soon nothing will be recorded any more. Tell your administrator, who can free some "
              "space or move the home to a larger disk."),
        ),
        "not recorded": (
            _("The disk is full: calls are not recorded"),
            _("What is left is kept for the telephones, and calls go on. Write down what is said, "
              "and tell your administrator at once."),
        ),
        "trunk down": (
            _("A carrier does not answer"),
            _("New calls may not get in. Check network and address, then ask the carrier."),
        ),
        "trunk refused": (
            _("A carrier refuses us"),
            _("New calls may not get in. Check the trunk's user name and password."),
        ),
        "picture": (
            _("The board showed something wrong"),
            _("It differed from the telephone system and has been read anew; calls were not "
              "touched. Tell your administrator if this comes again."),
        ),
        "database": (
            _("The database does not answer"),
            _("Calls go on; what happens in them is written down as soon as it is back. Tell your "
              "administrator."),
        ),
        "not kept": (
            _("Something of a call, order or emergency cannot be written down"),
            _("The record has a gap there. Write down by hand what happened, and tell your "
              "administrator; the alarm goes with the next start."),
        ),
        "asterisk": (
            _("The telephone system does not answer"),
            _("Calls go on by themselves while it lives. It is being reached again; tell your "
              "administrator if this stays."),
        ),
        **emergency_alarms(),
    }  # fmt: skip


def emergency_alarms() -> dict[str, tuple[str, str]]:
    return {
        "call back": (
            _("An elder in an emergency was not reached: call back at once"),
            _("The call ended before a seat was there, or it broke off. Call back now; without an "
              "answer send somebody. The alarm goes when its order has been judged or closed."),
        ),
        "elder alone": (
            _("Nobody has come to an elder in an emergency"),
            _("The elder is alone in the room. Answer the emergency now; the contacts are called."),
        ),
        "elder away": (
            _("An elder's line is gone in an emergency"),
            _("The elder is called back again and again. Whoever has spoken to the elder says so "
              "on the rescue page; otherwise send somebody."),
        ),
        "role missing": (
            _("An emergency has no seat for a role yet"),
            _("A leads the rescue outwards, B stays with the elder. It rings on; whoever is free "
              "answers, and who is not leaves what can wait."),
        ),
        "not handled": (
            _("An emergency is led by the telephone system alone"),
            _("Something went wrong in following it, and it is being read anew. The telephones "
              "ring all the same: answer the emergency, and tell your administrator if this "
              "stays."),
        ),
        "fallback phone": (
            _("A fallback phone is not signed in"),
            _("It is the last one that rings in an emergency. Look whether it has power and "
              "network, and sign it in; for a site without one, choose one in careline.toml."),
        ),
        "perhaps called": (
            _("Somebody was perhaps called in an emergency"),
            _("It is not known whether the telephone rang. Look who is with the elder; without "
              "anybody's word it is called again after a few seconds."),
        ),
        "no sound": (
            _("Nothing is heard from an elder's line in an emergency"),
            _("The line may be dead. Call the elder back on another line, or send somebody; the "
              "room stays open until the line itself ends."),
        ),
        "no news": (
            _("On an emergency nobody has done anything for ten minutes"),
            _("Look how far the helpers are, and write it down: on the way, arrived, a note."),
        ),
        "no record": (
            _("An emergency has no rescue record yet"),
            _("Write down what was done, and close the case."),
        ),
        "no follow-up": (
            _("An elder has not been asked after within two days of an emergency"),
            _("Call the elder or the family, and write down how they are."),
        ),
        "journal unreadable": (
            _("The file of an emergency cannot be read"),
            _("The rescue goes on, but what happened before the last start may be missing from "
              "the record. The file is kept; tell your administrator."),
        ),
        "message failed": (
            _("A message out of an emergency reached nobody"),
            _("No channel could deliver it. Tell its recipient on the telephone; then send it "
              "again, or say that it can be left."),
        ),
        "perhaps sent": (
            _("A message out of an emergency was perhaps sent"),
            _("It is not known whether the provider took it, and it is not sent twice by itself. "
              "Ask its recipient on the telephone; then send it again, or say that it can be "
              "left."),
        ),
        "dial failed": (
            _("A call in an emergency could not be made"),
            _("It is tried again every second. Answer the emergency, and check the telephones."),
        ),
        "journal": (
            _("The local disk does not take the journal of emergencies"),
            _("The rescue goes on in memory. Free some space on the disk at once."),
        ),
    }  # fmt: skip


def phone() -> dict[str, str]:
    """Every word that the telephone's scripts put on the screen, in the visitor's language."""
    return {
        "opening": _("Connecting"),
        "ready": _("Ready"),
        "ringing": _("Incoming call"),
        "dialling": _("Calling"),
        "talking": _("Talking"),
        "held": _("On hold"),
        "away": _("Not connected"),
        "no_microphone": _("No microphone"),
        "unknown": _("Unknown caller"),
        "mute": _("Mute"),
        "unmute": _("Unmute"),
        "hold": _("Hold"),
        "unhold": _("Take back"),
        "say_no_microphone": _(
            "No microphone was found, so this seat is not rung. Plug in a headset; the telephone "
            "then connects by itself."
        ),
        "say_not_allowed": _(
            "The browser does not allow the microphone, so this seat is not rung. Allow it at the "
            "lock in the address bar, then load this page again."
        ),
        "say_not_secure": _(
            "The browser gives the microphone only to an encrypted page. Open the desk by its "
            "https address."
        ),
        "say_elsewhere": _(
            "The telephone of this seat is open in another tab or on another computer."
        ),
        "say_left": _("Somebody else has taken this seat over. You are not rung any more."),
        "say_away": _(
            "The telephone has no connection, so this seat is not rung. It tries again by itself."
        ),
        "say_connecting": _("The telephone is connecting."),
        "say_in_call": _("The telephone is ringing or in a call."),
        "say_no_window": _(
            "The browser did not open the telephone's window. Allow pop-up windows for this page."
        ),
        "say_busy": _("The line is busy."),
        "say_not_found": _("There is no such number. Check it and dial again."),
        "say_refused": _("This number cannot be dialled from here."),
        "say_no_answer": _("Nobody answered."),
        "say_failed": _("The call did not come to be. Try again."),
        "say_microphone_lost": _(
            "The microphone is gone: the other side does not hear you. Plug it in again, or choose "
            "another one."
        ),
    }


def leg_result(result: str) -> str:
    """How a call for an emergency came out (`workflows.events.LegResult`)."""
    return {
        "spoken": _("spoken to"),
        "not accepted": _("answered, and nobody pressed the key"),
        "busy": _("busy"),
        "no answer": _("no answer"),
        "rejected": _("rejected"),
        "failed": _("not reached"),
        "not allowed": _("not switched on (rescue.live)"),
        "cancelled": _("stopped by a seat"),
        "unseen": _("over, and nobody saw how"),
    }.get(result, result)


def leg_mark(mark: str) -> str:
    """What a seat ticks on a call for an emergency (`workflows.commands.Mark`)."""
    return {
        "told": _("they know where and why"),
        "on the way": _("they are on the way"),
        "arrived": _("they have arrived"),
        "elder told": _("the elder was told"),
        "called off": _("they know that no help is needed"),
    }.get(mark, mark)


def case_outcome(outcome: str) -> str:
    """How an emergency came out (`workflows.events.CaseOutcome`)."""
    return {
        "rescued": _("rescued"),
        "cancelled": _("alarm cancelled"),
        "misoperation": _("misoperation"),
        "test": _("test"),
    }.get(outcome, outcome)
