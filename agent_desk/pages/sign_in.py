"""Signing in and out."""

from __future__ import annotations

import logging
import secrets

from aiohttp import web

from agent_desk import forms
from agent_desk.access import VISIT_COOKIE, actor_of, address_of, local_path, visits_of
from agent_desk.desk import DESK, visitor_of
from agent_desk.language import gettext as _
from agent_desk.phones import SIGNED_OUT
from agent_desk.render import page
from agent_desk.rights import Visitor
from sql.audit import Actor
from sql.models import User
from sql.queries import people
from workflows.errors import StoreDown

logger = logging.getLogger(__name__)


async def show(request: web.Request) -> web.StreamResponse:
    desk = request.app[DESK]
    target = local_path(request.query.get("next", "/"))
    if await desk.sessions.visitor(request):
        raise web.HTTPSeeOther(target)
    return _form(request, target=target)


async def sign_in(request: web.Request) -> web.StreamResponse:
    """Check name and password. What is wrong is not said, so that names cannot be guessed."""
    desk = request.app[DESK]
    filled = await forms.read(request, forms.SignIn)
    target = local_path(str(filled.typed.get("next", "/")))
    name = str(filled.typed.get("name", ""))
    if filled.form is None:
        return _form(request, 422, name=name, target=target, faults=filled.faults)
    address = address_of(request)
    if wait := desk.patience.wait_s(filled.form.name, address):
        fault = _("Too many failed tries. Wait %d seconds, then try again.") % wait
        return _form(request, 429, name=name, target=target, fault=fault)
    try:
        user = await _user(request, filled.form)
        value = await desk.sessions.start(user, address) if user else ""
    except StoreDown as down:
        logger.warning("nobody can sign in: %s", down)
        fault = _("The database does not answer. Try again in a few seconds.")
        return _form(request, 503, name=name, target=target, fault=fault)
    if user is None:
        logger.info("sign-in refused from %s", address)
        fault = _("Name or password is wrong. Check capital letters and the keyboard's language.")
        return _form(request, 401, name=name, target=target, fault=fault)
    # Whoever was signed in here before, in a page that is still open, has left with that.
    if former := await desk.sessions.visitor(request):
        await _end(request, former, Actor(former.name, address))
    desk.patience.forget(filled.form.name, address)
    response = web.HTTPSeeOther(target)
    desk.sessions.give(response, value)
    raise response


async def _user(request: web.Request, form: forms.SignIn) -> User | None:
    desk = request.app[DESK]
    async with desk.database.reading() as session:
        user = await people.user_named(session, form.name)
    kept = user.password if user else None
    return user if await desk.passwords.check(kept, form.password) else None


async def sign_out(request: web.Request) -> web.StreamResponse:
    await _end(request, visitor_of(request), actor_of(request))
    response = web.HTTPSeeOther("/sign-in")
    request.app[DESK].sessions.take_back(response)
    raise response


async def _end(request: web.Request, visitor: Visitor, actor: Actor) -> None:
    """The end of a sign-in, of what it watches, and of its telephone."""
    desk = request.app[DESK]
    desk.sessions.forget(visitor.token)
    await desk.sessions.end(visitor, actor)
    await desk.feed.drop(visitor.token)
    await desk.phones.drop(lambda line: line.token == visitor.token, SIGNED_OUT)


def _form(
    request: web.Request,
    status: int = 200,
    *,
    target: str,
    name: str = "",
    fault: str = "",
    faults: object = None,
) -> web.Response:
    """The page, with a token of its own: before the sign-in there is no session to hold one.

    The token stays after the sign-in, since another tab may still show the form with it.
    """
    given = visits_of(request)
    visit = given[0] if given else secrets.token_urlsafe(32)
    response = page(
        request, "sign_in.html", status,
        csrf=visit, target=target, name=name, fault=fault, faults=faults or {},
    )  # fmt: skip
    if not given:
        name, secure = f"{VISIT_COOKIE}-{visit[:8]}", request.app[DESK].sessions.secure
        response.set_cookie(name, visit, httponly=True, samesite="Strict", secure=secure)
    return response
