"""What happened, in words: the lines of a journal, as a timeline shows them."""

from __future__ import annotations

from dataclasses import dataclass

from agent_desk import words
from agent_desk.language import gettext as _
from agent_desk.words import Body


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a timeline: its sentence, a detail to it, and its colour."""

    sentence: str
    detail: str = ""
    tone: str = ""


def step(event: str, body: Body) -> Step:
    """A journal's event in plain words. An event that is not known here is shown by its name."""
    chapters = (
        _of_entry, _of_ringing, _of_end, _of_links, _of_order,
        _of_room, _of_elder, _of_dials, _of_leg, _of_work, _of_plan, _of_closing, _of_messages,
        _of_seat,
    )  # fmt: skip
    for chapter in chapters:
        if told := chapter(event, body):
            return told
    return Step(event)


def _of_entry(event: str, body: Body) -> Step | None:
    match event:
        case "CallArrived":
            known = body.get("terminal") or {"type": "", "serial": ""}
            terminal = words.calling_terminal(known["type"], known["serial"])
            return Step(_("Call came in: %s") % words.entry(body["entry"]), terminal, "act")
        case "CallPlaced":
            return Step(_("Seat %s dialled out") % body["seat"], tone="act")
        case "BecameEmergency":
            return Step(_("Became an emergency: into the room"), tone="alarm")
        case "KeyPressed" if body["key"]:
            pressed = _("Pressed %(key)s: %(choice)s")
            return Step(pressed % {"key": body["key"], "choice": words.choice(body["choice"])})
        case "KeyPressed":
            return Step(_("Pressed no key: on to a person"))
        case "CallQueued":
            detail = _("place %s") % body["position"] if body.get("position") else ""
            return Step(_("Waits in the queue: %s") % words.queue(body["queue"]), detail, "wait")
        case _:
            return None


def _of_ringing(event: str, body: Body) -> Step | None:
    match event:
        case "SeatRang":
            return Step(_("Seat %s rings") % body["seat"], tone="wait")
        case "SeatMissed":
            return Step(_("Seat %s did not answer") % body["seat"])
        case "SeatLost":
            return Step(_("The phone of seat %s vanished; the caller waits again") % body["seat"])
        case "SeatAnswered":
            return Step(_("Seat %s answered") % body["seat"], tone="talk")
        case "PartyRang":
            return Step(_("The called party rings"), tone="wait")
        case "PartyAnswered":
            return Step(_("The called party answered"), tone="talk")
        case "DialEnded":
            return Step(_("The dialling ended: %s") % words.call_result(body["result"]).word)
        case _:
            return None


def _of_end(event: str, body: Body) -> Step | None:
    match event:
        case "LegEnded":
            return Step(_("%s left the call") % words.party(body["party"]))
        case "CallEnded":
            return Step(_("Call over"))
        case "CallVanished":
            return Step(_("Call over; when exactly was not seen"))
        case "CallImported":
            return Step(_("Nobody listened here; read later from the telephone system's record"))
        case "RecordingMade":
            return Step(_("Recording checked and kept"), tone="act")
        case "RecordingFailed":
            return Step(_("The recording could not be made"), body["reason"], "wait")
        case "CallTimerFired":
            return Step(_("The recording is overdue"), tone="wait")
        case _:
            return None


def _of_links(event: str, body: Body) -> Step | None:
    match event:
        case "OrderLinked":
            return Step(_("Tied to order %s") % body["order_no"], tone="act")
        case "OpenOrder":
            return Step(_("%s opens an order") % body["by"], body["content"])
        case "ChooseOrder":
            chose = _("%(by)s ties the call to order %(order_no)s")
            return Step(chose % {"by": body["by"], "order_no": body["order_no"]}, tone="act")
        case "NameCaller":
            whose = _("%(by)s says who calls: %(elder)s")
            return Step(whose % {"by": body["by"], "elder": body["elder"]["name"]}, tone="act")
        case "TakeBackCaller":
            return Step(_("%(by)s takes back who calls") % body)
        case "WrapUpCall":
            said = _("%(by)s wrapped up: %(what)s")
            what = words.call_class(body["call_class"])
            return Step(said % {"by": body["by"], "what": what}, body["note"], "act")
        case _:
            return None


def _of_order(event: str, body: Body) -> Step | None:
    match event:
        case "RequestAccepted":
            return Step(_("Need accepted through: %s") % words.channel(body["channel"]), tone="act")
        case "CallBackUrged":
            return Step(_("The same number called in an emergency: call back at once"), tone="wait")
        case "CallerNamed" if body["elder"]:
            whose = _("%(by)s says who calls: %(elder)s")
            return Step(whose % {"by": body["by"], "elder": body["elder"]["name"]}, tone="act")
        case "CallerNamed":
            return Step(_("%(by)s takes back who calls") % body)
        case "JudgeRequest":
            return Step(_("%s judged the need") % body["by"], body["content"], "act")
        case "CloseAnswered":
            return Step(_("%s answered and closed it") % body["by"], body["answer"])
        case "CancelOrder":
            return Step(_("%s cancelled it") % body["by"], body["reason"])
        case _:
            return None


def _of_room(event: str, body: Body) -> Step | None:
    match event:
        case "RoomOpened":
            return Step(_("The elder is in the room"), tone="act")
        case "CaseFound":
            return Step(_("The emergency was taken up again"))
        case "PersonJoined":
            return Step(_("Somebody came to the elder"), body["person"]["who"], "talk")
        case "PersonLeft":
            return Step(_("Somebody left the elder"))
        case "TookOver":
            return Step(_("The telephone system acts alone"), tone="wait")
        case "HandedBack":
            return Step(_("The telephone system handed the emergency back"))
        case _:
            return None


def _of_elder(event: str, body: Body) -> Step | None:
    match event:
        case "ElderLeft":
            return Step(_("The elder left the room"))
        case "ElderSilent":
            since = body["since"][11:19]
            return Step(_("Nothing is heard from the elder's line any more"), since, "wait")
        case "ElderCalledAgain":
            return Step(_("The elder called again"), body["other"], "act")
        case "ElderSpoke":
            return Step(_("The elder is heard to speak"))
        case "ElderHeard":
            return Step(_("The elder's line is heard again"))
        case "ElderGone":
            return Step(_("The elder's line is gone"))
        case "ConfirmSafe":
            return Step(_("%(by)s: the elder says that no help is needed") % body, tone="act")
        case "StopCallingBack":
            return Step(_("%(by)s stops calling the elder back") % body, body["reason"], "wait")
        case "CallKept":
            return Step(_("An order to call back at once was made, if it was owed"), tone="act")
        case _:
            return None


def _of_dials(event: str, body: Body) -> Step | None:
    match event:
        case "DialAttempted":
            return Step(_("The next free seat is called"), tone="wait")
        case "DialAnswered":
            return Step(_("A seat answered the emergency"), tone="talk")
        case "DialFailed":
            return Step(_("The call brought nobody"), body["reason"], "wait")
        case "DialLost":
            return Step(_("Somebody was perhaps called"), tone="wait")
        case "EmergencyTimerFired":
            return Step(_("A waiting time of the emergency is over"))
        case "CallAgain":
            return Step(_("%s has it called again") % body["by"], tone="act")
        case _:
            return None


def _of_leg(event: str, body: Body) -> Step | None:
    match event:
        case "LegRang":
            return Step(_("A telephone outside rings"), tone="wait")
        case "LegAnswered":
            return Step(_("Somebody outside answered"), tone="talk")
        case "LegOver":
            return Step(_("A call outside is over: %s") % words.leg_result(body["result"]))
        case "LegRecorded":
            return Step(_("The recording of a call outside is kept"), tone="act")
        case "PrivateTalkOver":
            return Step(_("The private talk of the seats is over"))
        case "CardsRead":
            return Step(_("The register was read: who the elder is"))
        case _:
            return None


def _of_work(event: str, body: Body) -> Step | None:
    match event:
        case "CallParties":
            return Step(_("%(by)s calls for help") % body, "、".join(body["parties"]), "act")
        case "TalkPrivately":
            said = _("%(by)s ends the private talk"), _("%(by)s and the other seat talk privately")
            return Step(said[bool(body["is_so"])] % body)
        case "SendCard":
            return Step(_("%(by)s sends the card") % body, "、".join(body["parties"]), "act")
        case "DropLeg":
            return Step(_("%(by)s ends a call outside") % body)
        case "MovePerson":
            said = _("%(by)s brings somebody to the elder"), _("%(by)s takes somebody aside")
            return Step(said[body["room"] != "elder"] % body)
        case "Mute":
            said = _("%(by)s lets somebody be heard"), _("%(by)s mutes somebody")
            return Step(said[bool(body["is_muted"])] % body)
        case "MarkLeg":
            mark = words.leg_mark(body["mark"]) if body["is_so"] else _("taken back")
            return Step(_("%(by)s ticks:") % body, mark, "act")
        case "WriteNote":
            return Step(_("%(by)s notes") % body, body["text"])
        case "ChooseCard":
            return Step(_("%(by)s says which of the elders it is") % body)
        case _:
            return None


def _of_plan(event: str, body: Body) -> Step | None:
    match event:
        case "ChoosePlan":
            return Step(_("%(by)s chooses the plan") % body, words.plan_kind(body["kind"]))
        case "TickStep" if body["is_done"]:
            return Step(_("%(by)s has done a step of the plan") % body, tone="act")
        case "TickStep":
            return Step(_("%(by)s takes back a step of the plan") % body)
        case _:
            return None


def _of_closing(event: str, body: Body) -> Step | None:
    match event:
        case "WriteRecord":
            return Step(_("%(by)s writes the rescue record") % body, body["text"], "act")
        case "CloseCase":
            outcome = words.case_outcome(body["outcome"])
            return Step(_("%(by)s closes the case") % body, outcome, "act")
        case "FollowUp":
            return Step(_("%(by)s has asked after the elder") % body, body["text"], "act")
        case "CaseOverdue":
            title = words.alarms().get(body["what"], (body["what"], ""))[0]
            return Step(title, tone="wait")
        case _:
            return None


def _of_messages(event: str, body: Body) -> Step | None:
    """With the number that the message has in its case: M1, M2."""
    number = str(body.get("message", "")).rpartition("-")[2]
    match event:
        case "MessageAttempted":
            return Step(_("A message is sent"), number)
        case "MessageAccepted":
            return Step(_("The provider has taken a message"), number, "act")
        case "MessageDelivered":
            return Step(_("A message was delivered"), number, "talk")
        case "MessageFailed":
            why = f"{number}: {body['code']} {body['reason']}"
            return Step(_("A message was not delivered"), why, "wait")
        case "MessageLost":
            return Step(_("A message was perhaps sent"), number, "wait")
        case "SendMessageAgain":
            return Step(_("%s has a message sent again") % body["by"], number, "act")
        case "LeaveMessage":
            return Step(_("%s leaves a message as it is") % body["by"], number)
        case _:
            return None


def _of_seat(event: str, body: Body) -> Step | None:
    match event:
        case "PauseSeat":
            return Step(_("%s pauses the seat") % body["by"], words.seat_reason(body["reason"]))
        case "ResumeSeat":
            return Step(_("%s takes calls again") % body["by"])
        case "RenewContacts":
            return Step(_("%s changed the contacts") % body["by"])
        case "DeclareEmergency":
            return Step(_("%s declared an emergency") % body["by"], tone="alarm")
        case _:
            return None
