"""Words of the rescue: what its scripts put on the screen, why something is refused, and the steps
that stand there while no plan can be read."""

from __future__ import annotations

from typing import Any, Final

from agent_desk import words
from agent_desk.language import gettext as _
from workflows.card import PartyKind
from workflows.closing import MAX_TEXT
from workflows.commands import Mark
from workflows.events import CaseOutcome, LegResult

KINDS: Final = ("fall", "illness", "fire", "gas", "flood", "lost", "no_response", "other")

Words = dict[str, Any]


def case_words() -> Words:
    """Every word of the page of one emergency, in the visitor's language."""
    return {
        "service": services(),
        "party": parties(),
        "kind": {kind: words.plan_kind(kind) for kind in KINDS},
        "role": {name: words.rescue_role(name) for name in ("A", "B")},
        "part": _parts(),
        "gap": gaps(),
        "sex": {name: words.sex(name) for name in ("female", "male")},
        "lives": words.elder_choices()["living_arrangement"],
        "leg": _leg_states(),
        "result": {one.value: words.leg_result(one.value) for one in LegResult},
        "mark": {one.value: words.leg_mark(one.value) for one in Mark},
        "wrong": troubles(),
        "alarm": {kind: title for kind, (title, _advice) in words.emergency_alarms().items()},
        "advice": {kind: advice for kind, (_title, advice) in words.emergency_alarms().items()},
        "message": _message_states(),
        "outcome": {one.value: words.case_outcome(one.value) for one in CaseOutcome},
        "timeline": _timeline(),
        "why": _reasons(),
        "say": _sentences(),
        "plan": own_steps(),
    }


def list_words() -> Words:
    """Every word of the list and of the wall."""
    return {
        "kind": {kind: words.plan_kind(kind) for kind in KINDS},
        "wrong": troubles(),
        "gap": gaps(),
        "service": services(),
        "leg": _leg_states(),
        "closing": closing_states(),
        "say": {
            "by": _("until {at}"),
            "unknown": _("Unknown caller"),
            "missing": _("missing"),
            "gaps": _("Not on record: {gaps}"),
            "with": _("With the elder: {who}"),
            "nobody": _("nobody"),
            "way": _("on the way"),
            "arrived": _("arrived"),
            "comma": _(", "),
            "live": _("Live"),
            "away": _("Controller away"),
            "lost": _("Connection lost"),
        },
    }


def services() -> dict[str, str]:
    return {"ambulance": _("ambulance"), "fire": _("fire brigade"), "police": _("police")}


def parties() -> dict[str, str]:
    """What somebody is who can be called."""
    return {
        PartyKind.AMBULANCE.value: _("ambulance"), PartyKind.FIRE.value: _("fire brigade"),
        PartyKind.POLICE.value: _("police"), PartyKind.CONTACT.value: _("contact"),
        PartyKind.NEIGHBOUR.value: _("neighbour"), PartyKind.STATION.value: _("care station"),
        PartyKind.COMMITTEE.value: _("residents' committee"), PartyKind.DOCTOR.value: _("doctor"),
        PartyKind.HOSPITAL.value: _("hospital"), PartyKind.PROPERTY.value: _("property management"),
        PartyKind.OTHER.value: _("other"), PartyKind.ELDER.value: _("the elder"),
    }  # fmt: skip


def gaps() -> dict[str, str]:
    """What may be missing of a card (`workflows.card.missing`)."""
    return {
        "name": _("name"), "district": _("district"), "street": _("street"),
        "compound": _("compound"), "building": _("building"), "unit": _("unit"),
        "floor": _("floor"), "room": _("room"), "landmark": _("landmark"),
        "entry_route": _("way in"), "call_back": _("number to call back"),
    }  # fmt: skip


def _parts() -> dict[str, str]:
    return {
        "building": _("Building %s"), "unit": _("Unit %s"), "floor": _("Floor %s"),
        "room": _("Room %s"),
    }  # fmt: skip


def _leg_states() -> dict[str, str]:
    return {
        "asked": _("Being called"),
        "ringing": _("Ringing"),
        "answered": _("Answered, has to press 1"),
        "there": _("Connected"),
        "uncertain": _("Perhaps called"),
        "over": _("Over"),
    }


def _message_states() -> dict[str, str]:
    """What became of a message (`workflows.message.State`)."""
    return {
        "queued": _("message is being sent"),
        "waiting": _("message is tried again"),
        "sent": _("message sent"),
        "unreported": _("message sent, no report"),
        "delivered": _("message delivered"),
        "uncertain": _("message perhaps sent"),
        "failed": _("message failed"),
    }


def closing_states() -> dict[str, str]:
    """What a case waits for that the elder has left (`workflows.closing.State`)."""
    return {
        "open": _("The rescue record is missing"),
        "recorded": _("To be closed"),
        "closed": _("The elder is to be asked after"),
        "followed up": _("Done"),
    }


def troubles() -> dict[str, str]:
    """What is wrong with an emergency (`agent_desk.live_case.wrong`)."""
    return {
        "away": _("The elder's line is gone"),
        "alone": _("No seat is with the elder"),
        "silent": _("Nothing is heard from the elder's line"),
        "speechless": _("The elder says nothing"),
        "unled": _("The telephone system acts alone"),
        "no A": _("A is missing"),
        "no B": _("B is missing"),
        "uncertain": _("Uncertain whether somebody was called"),
    }


def _timeline() -> dict[str, str]:
    """What happened, by its name in `live_case.timeline`."""
    return {
        "opened": _("Emergency: the elder is in the room"),
        "came": _("{who} is there"),
        "left": _("{who} left"),
        "called": _("{by} calls {who}"),
        "answered": _("{who} answered"),
        "told": _("{who}: they know where and why"),
        "way": _("{who}: on the way"),
        "arrived": _("{who}: arrived"),
        "elder_told": _("The elder was told of it: {who}"),
        "called_off": _("{who}: they know that no help is needed"),
        "over": _("{who}: {result}"),
        "note": _("{by}: {text}"),
        "tick": _("{by} ticks: {step}"),
        "guided": _("{by} guides: {step}"),
        "silent": _("Nothing is heard from the elder's line"),
        "closed": _("The elder has hung up"),
        "called back": _("The elder is called back"),
        "back": _("The elder is back on the line"),
        "safe": _("{by}: the elder says that no help is needed"),
        "stopped": _("{by} stopped calling the elder back: {text}"),
        "record": _("{by} wrote the record: {text}"),
        "ended": _("{by} closed the case: {text}"),
        "asked_after": _("{by} asked after the elder: {text}"),
    }


def _reasons() -> dict[str, str]:
    """Why something cannot be done now, and what can."""
    return {
        "closed": _("The elder has hung up. Call from the telephone of your seat."),
        "off": _("110, 119 and 120 are switched off (rescue.live = false): dial on another phone."),
        "no_number": _("No number is on record. Enter one on the elder's page."),
        "called": _("Is being called already: see the rooms."),
        "all_called": _("Everybody has been called already. Single ones can be called again."),
        "only_seat": _("No other seat is with the elder; wait until one is there."),
        "nobody_aside": _("Nobody is aside."),
        "not_here": _("Your seat is in neither room."),
        "nobody_known": _("No contact is on record. Ask whom you can call, and dial yourself."),
        "one_seat": _("There is no other seat to speak to."),
        "all_sent": _("Everybody with a number has been sent the card."),
        "no_leg": _("Nobody outside has answered yet."),
        "nothing_new": _("There is nothing new to tell the elder."),
        "nothing_to_undo": _("There is nothing to undo any more. Hang up instead."),
    }


def _sentences() -> dict[str, str]:
    return {
        "unknown": _("Unknown caller"),
        "number": _("number unknown"),
        "elder": _("the elder"),
        "you": _("you"),
        "missing": _("missing: it rings on"),
        "years": _("{age} years"),
        "no_address": _("No address is known."),
        "gaps": _("Missing: {gaps}"),
        "comma": _(", "),
        "checked": _("checked on {day}"),
        "unchecked": _("never checked on site"),
        "no_note": _("nothing noted yet"),
        "here": _("in the room"),
        "not_here": _("on the way back into the room"),
        "no_sound": _("nothing is heard"),
        "moves": _("is being moved"),
        "muted": _("muted"),
        "to_elder": _("To the elder"),
        "aside": _("Aside"),
        "mute": _("Mute"),
        "unmute": _("Unmute"),
        "call": _("Call them"),
        "again": _("Again"),
        "hang_up": _("Hang up"),
        "ordinal": _("call {count}"),
        "calling": _("Calling {who}"),
        "not_told": _("the elder does not know yet"),
        "was_told": _("the elder knows, {at}"),
        "news_way": _("{who} is on the way"),
        "news_arrived": _("{who} has arrived"),
        "all_done": _("Every step is done."),
        "choose_kind": _("What has happened?"),
        "done_of": _("{done} of {all} steps"),
        "opened": _("since {at}"),
        "to_call": _("{count} to call"),
        "correct": _("Correct the record"),
        "search": _("Say who it is"),
        "to_send": _("to {count}"),
        "to_call_off": _("Tell those who were called that no help is needed: {who}"),
        "calls_soon": _("The first call goes out in a moment."),
        "rings_there": _("Call {count}: {number} is rung now."),
        "called_there": _("Call {count}: {number} is called now."),
        "answered_there": _("Call {count}: it was answered."),
        "in_vain": _("Call {count}: {result}. The next one goes out in a moment."),
        "stopped_by": _("{by}, {at}, stopped the calling back: {why}"),
        "press_again": _("Press once more: the elder has told you that no help is needed."),
        "safe_by": _("{by}, {at}: the elder says that no help is needed. Nobody calls back."),
        "private": _("The elder hears neither of you"),
        "speak": _("Speak with {role}, unheard by the elder"),
        "written": _("{by}, {at}"),
        "by": _("until {at}"),
        "not_done": _("This did not reach the desk. Press again, or use your telephone."),
    }


def refusal(said: str) -> str:
    """A refusal of the process (`workflows/rescue_work.py`), in the visitor's language."""
    known = {
        "the elder has hung up": _reasons()["closed"],
        "nobody on the card": _("This person is not on the elder's card any more."),
        "this case has": _("This emergency has too many entries. Use your telephone and paper."),
        "no seat would be": _reasons()["only_seat"],
        "there is nothing in this note": _("There is nothing in this note."),
        "a note has": _("A note has 1000 characters at the most; write a second one."),
        "this case has no call": _("This call is not there any more."),
        "whom this names": _("Whoever this was has left; see who is in the rooms."),
        "there is no room": _("There is no such room."),
        "no elder": _("This elder does not have the number."),
        "there is no emergency": _("This emergency is over. Its call's page has what is kept."),
        "the rescue record is missing": _("Write the rescue record first."),
        "no seat is in the room": _("No seat is in the room. Call from your seat's telephone."),
        "nobody stops calling": _("Write down why the elder is not called any more."),
        "nobody hangs up on": _("Nobody hangs up on the elder. Say that the elder is safe."),
        "what was changed": _("Say what was changed in the elder's file, or that nothing was."),
        "how the elder is": _("Write down how the elder is."),
        "the elder is on the line": _(
            "The elder is on the line still, or is called back. Close the case after that."
        ),
        "no message can be sent": _(
            "No message can be sent from here: no channel is set up. Say it on the telephone."
        ),
        "the message has no text": _("Nothing is known that could be sent."),
        "there is no message": _("There is no such message."),
        "a seat is asked again": _("A seat is called again by hand only in doubt."),
    }
    # The longest beginning says it best.
    fits = [beginning for beginning in known if said.startswith(beginning)]
    if fits:
        return known[max(fits, key=len)]
    if "has no number" in said or "there is no number" in said:
        return _reasons()["no_number"]
    if "rings or talks still" in said:
        return _("Somebody is still being called or spoken to. End that call first.")
    if " characters; " in said:
        return _("This is too long: at most %d characters.") % MAX_TEXT
    return _("This is not possible now; the page shows how it stands.")


def controller_away(*, is_call: bool) -> str:
    if is_call:
        return _(
            "The controller does not answer: nobody was called. Dial on your telephone, or another."
        )
    return _("The controller does not answer. Press again in a few seconds; calls go on.")


def telephony_away(*, is_call: bool) -> str:
    if is_call:
        return _("The telephone system does not answer: nobody was called. Use another telephone.")
    return _("The telephone system does not answer. Press again in a moment.")


def own_steps() -> Words:
    """What is to be done in every emergency, while no plan of its kind can be read."""
    steps = (
        ("identity", "A", _("Confirm name and address with the elder.")),
        ("call-120", "A", _("Call 120; with fire, smoke or gas 119 first.")),
        ("read-out", "A", _("Say address, present condition and way in; have it repeated.")),
        ("contacts", "A", _("Call family, care station, committee and neighbours at once.")),
        ("track", "A", _("Mark when help is on the way, and when it has arrived.")),
        ("record", "A", _("Write down who came, when, how the elder is, and where to.")),
        ("asked", "B", _("Ask: awake? Breathing? Pain? Bleeding? Write down what you hear.")),
        ("stay", "B", _("Stay on the line, speak slowly, do not let the elder get up alone.")),
        ("guide", "B", _("Say one sentence of the guidance at a time.")),
        ("tell-elder", "B", _("Tell the elder at once whenever something is new of the help.")),
        ("handed-over", "B", _("Do not hang up before the helpers are with the elder.")),
    )
    calm = [
        _("I am here, and I do not hang up."),
        _("Help has been called. Please do not move."),
        _("Breathe slowly. Tell me what you see."),
    ]
    return {
        "kind": "", "version": 0, "first_called": ["ambulance", "contact"],
        "steps": [
            {"id": name, "role": role, "text": text, "mandatory": False}
            for name, role, text in steps
        ],
        "guidance": [{"id": "say-calm", "condition": _("Frightened"), "lines": calm}],
    }  # fmt: skip
