"""Webhooks: what providers report of the messages that they took.

Nobody is signed in here. Each report proves by itself whose it is, and one that does not is told
nothing. The message that it is about stands in it by the id of its asking (`workflows/message.py`),
so that nothing need be looked up. What a report means is for the case to say, also of one that
comes twice, late, or out of order.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict
from pydantic import BaseModel, Field, ValidationError
from twilio.request_validator import RequestValidator

from agent_desk.desk import DESK
from control import ControllerDown
from settings import Messages
from workflows.errors import NotFound
from workflows.events import MessageAccepted, MessageDelivered, MessageFact, MessageFailed
from workflows.messages import case_of, message_of

logger = logging.getLogger(__name__)

MAX_BODY: Final = 16 * 1024
MAX_FIELDS: Final = 100
READ_S: Final = 10.0
TELL_AGAIN_S: Final = (0.5, 1.0, 2.0, 4.0)
"""A report comes once, perhaps in the moment in which the controller is started anew."""

STATUSES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("accepted", "scheduled", "queued", "sending", "sent"), "sent"),
    **dict.fromkeys(("delivered", "read"), "delivered"),
    **dict.fromkeys(("undelivered", "failed", "canceled"), "failed"),
}
"""Twilio's words for how far a message has come, and ours."""
SOON: Final = frozenset({"30001", "30017", "30022"})
"""Twilio's codes for a line or network that is full; all others last."""
REASONS: Final[Mapping[str, str]] = {
    "30001": "too many messages are waiting",
    "30002": "the account is suspended",
    "30003": "the telephone is switched off or cannot be reached",
    "30004": "blocked by the recipient or the network",
    "30005": "there is no such number any more",
    "30006": "a landline, or a network that takes no messages",
    "30007": "filtered by the network",
    "30008": "the network does not say why",
    "30036": "it was not delivered in time",
}

Text = Annotated[str, Field(max_length=500)]


class Report(BaseModel):
    """What a gateway says: `id` is the one that it was given with the message."""

    id: Annotated[str, Field(max_length=120)]
    status: Literal["sent", "delivered", "failed"]
    code: Text = ""
    reason: Text = ""
    is_temporary: bool = False
    provider_id: Text = ""


async def twilio(request: web.Request) -> web.Response:
    """A status callback, signed by the account's token over the address and all of the form."""
    fields = _form(await _body(request))
    if not _is_twilio(request, fields):
        return _refuse(request)
    code = _plain(fields.get("ErrorCode", ""))
    try:
        report = Report.model_validate(
            {
                "id": request.query.get("message", ""),
                "status": STATUSES.get(fields.get("MessageStatus", "")),
                "code": code,
                "reason": REASONS.get(code) or _plain(fields.get("ErrorMessage", "")),
                "is_temporary": code in SOON,
                "provider_id": _plain(fields.get("MessageSid", "")),
            }
        )
    except ValidationError as odd:
        # It is Twilio's, and says something that is new to us.
        logger.warning("a report of Twilio's was not understood: %s", odd.errors()[0]["loc"])
        return web.Response(status=204)
    return await _pass_on(request, report)


def _is_twilio(request: web.Request, fields: MultiDict[str]) -> bool:
    settings = request.app[DESK].settings.messages
    # Without a token anybody could sign.
    if not (settings.twilio_token and settings.public_url):
        return False
    address = settings.public_url.rstrip("/") + request.raw_path
    given = request.headers.get("X-Twilio-Signature", "")
    try:
        return bool(RequestValidator(settings.twilio_token).validate(address, fields, given))
    except ValueError:
        # What stands for the address in the request is none.
        return False


async def gateway(request: web.Request) -> web.Response:
    """A report of the HTTP gateway, which shows the token that it was given for them."""
    if not _is_gateway(request, request.app[DESK].settings.messages):
        return _refuse(request)
    try:
        report = Report.model_validate(json.loads(await _body(request)))
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise web.HTTPBadRequest(text=f"{where}: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(text='right would be JSON: {"id": …, "status": …}') from None
    return await _pass_on(request, report)


def _is_gateway(request: web.Request, settings: Messages) -> bool:
    given = request.headers.get("Authorization", "").encode("utf-8", "replace")
    wanted = f"Bearer {settings.gateway_report_token}".encode()
    return bool(settings.gateway_report_token) and hmac.compare_digest(given, wanted)


def _refuse(request: web.Request) -> web.Response:
    logger.warning("a report of messages was refused: %s", request.path)
    return web.Response(status=403)


async def _body(request: web.Request) -> bytes:
    """Raises HTTPRequestEntityTooLarge or HTTPRequestTimeout."""
    try:
        async with asyncio.timeout(READ_S):
            return await request.clone(client_max_size=MAX_BODY).read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


def _form(body: bytes) -> MultiDict[str]:
    """The fields; none when it is no form, and then no signature fits."""
    try:
        text = body.decode("utf-8")
        return MultiDict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        return MultiDict()


def _plain(given: str, longest: int = 100) -> str:
    """What a provider says, as it may be kept and shown."""
    return "".join(c if c.isprintable() else " " for c in given[:longest]).strip()


async def _pass_on(request: web.Request, report: Report) -> web.Response:
    """Tell the case. It knows by itself what is new; of an unknown one only the log tells."""
    fact = _fact(report)
    if fact is None or not await _is_known(request, fact):
        logger.warning("a report of a message that nobody knows: %r", _plain(report.id))
    return web.Response(status=204)


def _fact(report: Report) -> MessageFact | None:
    message, at = message_of(report.id), datetime.now(UTC)
    case_id = case_of(message)
    if not case_id or _plain(report.id) != report.id:
        return None
    # A provider that has no id of its own for it knows it by ours: that says that it was taken.
    own = _plain(report.provider_id) or report.id
    match report.status:
        case "sent":
            return MessageAccepted(
                case_id=case_id, at=at, message=message, effect=report.id, provider_id=own
            )
        case "delivered":
            return MessageDelivered(
                case_id=case_id, at=at, message=message, effect=report.id, provider_id=own
            )
        case "failed":
            return MessageFailed(
                case_id=case_id, at=at, message=message, effect=report.id, provider_id=own,
                code=_plain(report.code), reason=_plain(report.reason, 200),
                is_temporary=report.is_temporary,
            )  # fmt: skip


async def _is_known(request: web.Request, fact: MessageFact) -> bool:
    """Tell the controller; whether a case knows the message. Raises ControllerDown."""
    for pause_s in TELL_AGAIN_S:
        try:
            return await _tell(request, fact)
        except ControllerDown as down:
            logger.warning("a report waits: %s", down)
            await asyncio.sleep(pause_s)
    return await _tell(request, fact)


async def _tell(request: web.Request, fact: MessageFact) -> bool:
    try:
        # A case that is put away is none any more.
        return await request.app[DESK].controller.tell(fact) is not None
    except NotFound:
        return False
