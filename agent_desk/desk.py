"""What every page of the desk works with, in one place on the application."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from agent_desk.feed import BoardFeed
from agent_desk.passwords import Passwords, Patience
from agent_desk.phones import Phones
from agent_desk.rights import Right, Visitor
from agent_desk.sessions import Sessions
from control import Controller
from home import Home
from settings import Settings
from sql.engine import Database


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts of one desk. `rights` says what each route asks for.

    `is_practice`: every elder here is invented, and no call leaves this machine.
    """

    settings: Settings
    home: Home
    database: Database
    controller: Controller
    sessions: Sessions
    passwords: Passwords
    patience: Patience
    feed: BoardFeed
    phones: Phones
    rights: dict[web.AbstractRoute, Right]
    is_practice: bool = False


DESK: web.AppKey[Desk] = web.AppKey("desk", Desk)
VISITOR: web.RequestKey[Visitor] = web.RequestKey("visitor", Visitor)


def visitor_of(request: web.Request) -> Visitor:
    """Who is signed in, on a route that nobody reaches without being so."""
    return request[VISITOR]
