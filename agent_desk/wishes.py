"""Wishes: hand a command to the controller, and put a refusal into the visitor's words."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from aiohttp import web

from agent_desk.access import actor_of
from agent_desk.desk import DESK
from agent_desk.language import gettext as _
from control import ControllerDown
from workflows.commands import Command
from workflows.errors import NotAllowed, NotFound, Outdated, StoreDown, TelephonyDown

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a wish was not carried out: for the page above the form, which keeps what was typed."""

    status: int
    sentence: str
    detail: str = ""


async def wish(request: web.Request, command: Command) -> Refused | None:
    """Tell the controller, with what the record has to know; None when it is done."""
    actor = actor_of(request)
    command = replace(command, address=actor.address, permission=actor.permission)
    try:
        await request.app[DESK].controller.tell(command)
    except (NotAllowed, Outdated) as refused:
        sentence = _("This is no longer possible: it has changed in the meantime.")
        return Refused(409, sentence, str(refused))
    except NotFound as missing:
        return Refused(404, _("What this names does not exist, or is closed."), str(missing))
    except ControllerDown as down:
        logger.warning("%s was not taken: %s", type(command).__name__, down)
        sentence = _(
            "The controller does not answer, so nothing was saved. What you typed is still here: "
            "send it again in a few seconds."
        )
        return Refused(503, sentence)
    except TelephonyDown as down:
        logger.warning("%s was not done: %s", type(command).__name__, down)
        return Refused(503, _("The telephone system does not answer. Press again in a moment."))
    except StoreDown as down:
        logger.warning("%s was not saved: %s", type(command).__name__, down)
        return store_down()
    return None


def store_down() -> Refused:
    """The refusal of a wish that the database did not take."""
    sentence = _(
        "The database does not answer, so nothing was saved. What you typed is still here: "
        "send it again in a few seconds."
    )
    return Refused(503, sentence)
