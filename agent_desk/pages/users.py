"""Users: who may sign in, with which role; passwords set anew; sign-ins ended at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from agent_desk import forms
from agent_desk.access import actor_of
from agent_desk.desk import DESK
from agent_desk.language import gettext as _
from agent_desk.passwords import hash_password
from agent_desk.phones import SIGNED_OUT
from agent_desk.render import page
from agent_desk.rights import ROLES
from agent_desk.wishes import Refused
from sql.models import User
from sql.queries import people, record
from sql.registers import users
from sql.registers.users import LastAdmin, NameTaken


async def index(request: web.Request) -> web.StreamResponse:
    """Everybody, and the form by which somebody is added."""
    return await _index(request)


async def _index(
    request: web.Request,
    status: int = 200,
    typed: Mapping[str, Any] | None = None,
    faults: Mapping[str, str] | None = None,
) -> web.Response:
    async with request.app[DESK].database.reading() as session:
        found = await people.users(session)
    # A password is never sent back, also not to whoever has just typed it.
    kept = {"name": "", "role": "seat", **(typed or {}), "password": ""}
    return page(
        request, "users/list.html", status, users=found, roles=ROLES, typed=kept,
        faults=faults or {},
    )  # fmt: skip


async def add(request: web.Request) -> web.StreamResponse:
    filled = await forms.read(request, forms.NewUser)
    form = filled.form
    if form is None:
        return await _index(request, 422, filled.typed, filled.faults)
    hashed = await asyncio.to_thread(hash_password, form.password)
    try:
        async with request.app[DESK].database.writing("a user") as session:
            user = await users.add(
                session, actor_of(request), name=form.name, password=hashed, role=form.role,
                at=datetime.now(UTC),
            )  # fmt: skip
    except NameTaken:
        fault = {"name": _("Somebody has this name already. Choose another one.")}
        return await _index(request, 422, filled.typed, fault)
    raise web.HTTPSeeOther(f"/users/{user.id}")


async def show(request: web.Request) -> web.StreamResponse:
    return await _page(request)


async def _page(
    request: web.Request,
    status: int = 200,
    faults: Mapping[str, str] | None = None,
    refused: Refused | None = None,
) -> web.Response:
    async with request.app[DESK].database.reading() as session:
        user = await _user(request, await people.user(session, _id(request)))
        entries = await record.of_subject(session, "user", str(user.id))
    return page(
        request, "users/one.html", status, user=user, roles=ROLES, entries=entries,
        faults=faults or {}, refused=refused,
    )  # fmt: skip


def _id(request: web.Request) -> int:
    return int(request.match_info["user_id"])


async def _user(request: web.Request, found: User | None) -> User:
    if found is None:
        raise web.HTTPNotFound(text=_("There is no user %d.") % _id(request))
    return found


async def change_role(request: web.Request) -> web.StreamResponse:
    filled = await forms.read(request, forms.ChosenRole)
    if filled.form is None:
        return await _page(request, 422, filled.faults)
    return await _changed(request, role=filled.form.role)


async def set_active(request: web.Request) -> web.StreamResponse:
    """Let somebody in no longer, or again. What was open ends at once."""
    filled = await forms.read(request, forms.SetActive)
    if filled.form is None:
        raise web.HTTPBadRequest
    return await _changed(request, is_active=filled.form.active == "yes")


async def _changed(
    request: web.Request, *, role: str | None = None, is_active: bool | None = None
) -> web.StreamResponse:
    try:
        async with request.app[DESK].database.writing("a user") as session:
            user = await _user(request, await people.user(session, _id(request)))
            ended = await users.change(
                session, actor_of(request), user.id, role=role, is_active=is_active,
                at=datetime.now(UTC),
            )  # fmt: skip
    except LastAdmin:
        sentence = _("This is the last active administrator. Make somebody else one first.")
        return await _page(request, 409, refused=Refused(409, sentence))
    await _show_out(request, ended)
    raise web.HTTPSeeOther(f"/users/{user.id}")


async def set_password(request: web.Request) -> web.StreamResponse:
    filled = await forms.read(request, forms.SetPassword)
    if filled.form is None:
        return await _page(request, 422, filled.faults)
    hashed = await asyncio.to_thread(hash_password, filled.form.password)
    async with request.app[DESK].database.writing("a user") as session:
        user = await _user(request, await people.user(session, _id(request)))
        ended = await users.set_password(
            session, actor_of(request), user.id, hashed, datetime.now(UTC)
        )
    await _show_out(request, ended)
    raise web.HTTPSeeOther(f"/users/{user.id}")


async def _show_out(request: web.Request, tokens: Sequence[str]) -> None:
    """Close what these sign-ins still watch, and take their telephones away."""
    desk = request.app[DESK]
    for token in tokens:
        desk.sessions.forget(token)
        await desk.feed.drop(token)
    await desk.phones.drop(lambda line: line.token in tokens, SIGNED_OUT)
