"""Sign-ins: a random token in the browser's cookie, its SHA-256 in the table.

Kept by a plain class and not by aiohttp-session: a sign-in is a row with a user and a time, not a
bag of values, and whoever reads this has the whole of it on one page.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web

from agent_desk.rights import Visitor
from settings import Settings, split
from sql import audit
from sql.audit import Actor
from sql.engine import Database
from sql.models import DeskSession, User
from sql.queries import people
from workflows.errors import StoreDown

logger = logging.getLogger(__name__)

IDLE: Final = timedelta(minutes=30)
# A page that is read does not write each time; a minute more or less of idling is no harm.
NOTED_EVERY: Final = timedelta(minutes=1)
RESCUE_WAITS_S: Final = 1.0
"""A click in a rescue does not wait longer for the database to say who clicked."""
MOST_KNOWN: Final = 1000


class Sessions:
    """Starts, finds and ends sign-ins. The cookie is HttpOnly, SameSite=Lax, Secure behind TLS."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database: Final = database
        # Who was signed in when the database was asked last, and when that was; by token.
        self._known: Final[dict[str, tuple[Visitor, datetime]]] = {}
        addresses = settings.addresses
        self.secure: Final = bool(addresses.desk_certificate or addresses.desk_proxy)
        # Cookies do not know ports: two instances on one host must not sign each other out.
        port = split(addresses.desk_address)[1]
        self.cookie: Final = f"careline-{port}"

    def idle_before(self) -> datetime:
        """Sign-ins that were not used since then are over."""
        return datetime.now(UTC) - IDLE

    async def start(self, user: User, address: str) -> str:
        """Sign the user in; returns the cookie's value, which is kept nowhere else."""
        now = datetime.now(UTC)
        value = secrets.token_urlsafe(32)
        async with self._database.writing("a sign-in") as session:
            await people.forget_idle(session, now - IDLE)
            session.add(
                DeskSession(
                    token=_hash(value),
                    user_id=user.id,
                    csrf=secrets.token_urlsafe(32),
                    created_at=now,
                    seen_at=now,
                )
            )
            audit.note(session, Actor(user.name, address), now, "signed in", "user", str(user.id))
        return value

    async def visitor(self, request: web.Request) -> Visitor | None:
        """Who sends this request; notes, at most once a minute, that the sign-in is in use."""
        value = request.cookies.get(self.cookie)
        if not value:
            return None
        now = datetime.now(UTC)
        async with self._database.reading() as session:
            found = await people.signed_in(session, _hash(value), now - IDLE)
        if found is None:
            self.forget(_hash(value))
            return None
        kept, user = found
        visitor = Visitor(user.id, user.name, user.role, kept.token, kept.csrf, kept.seat or "")
        self._keep(visitor, now)
        if now - kept.seen_at > NOTED_EVERY and not await self._note(kept.token):
            self.forget(kept.token)
            return None
        return visitor

    async def visitor_in_a_rescue(self, request: web.Request) -> Visitor | None:
        """Who sends this request; while the database is away, who it was when that was asked last.

        A rescue does not stop because nobody can look up a sign-in. Whoever was never seen here, or
        not within the time after which a sign-in is over, is nobody. Raises StoreDown for these.
        """
        asking = asyncio.ensure_future(self.visitor(request))
        # Never cut short: a driver that is stopped in the middle may hang for longer.
        asking.add_done_callback(lambda it: it.cancelled() or it.exception())
        await asyncio.wait((asking,), timeout=RESCUE_WAITS_S)
        down = StoreDown("the database does not say who is signed in")
        if asking.done():
            try:
                return asking.result()
            except StoreDown as cause:
                down = cause
        known = self._known.get(_hash(request.cookies.get(self.cookie, "")))
        if known is None or known[1] < self.idle_before():
            raise down
        logger.warning("%s acts in a rescue while the database is away", known[0].name)
        return known[0]

    def _keep(self, visitor: Visitor, now: datetime) -> None:
        self._known.pop(visitor.token, None)
        self._known[visitor.token] = visitor, now
        for old in list(self._known)[:-MOST_KNOWN]:
            del self._known[old]

    def forget(self, token: str) -> None:
        """This sign-in is over, whatever becomes of the database."""
        self._known.pop(token, None)

    async def _note(self, token: str) -> bool:
        try:
            return await self.touch(token)
        except StoreDown as cause:
            # Reading does not wait for a writer: a page that can be read should be shown.
            logger.warning("the use of a sign-in could not be noted: %s", cause)
            return True

    async def touch(self, token: str) -> bool:
        """Note that this sign-in is in use; False when it is over."""
        async with self._database.writing("that a sign-in is in use") as session:
            return await people.touch(session, token, datetime.now(UTC))

    async def end(self, visitor: Visitor, actor: Actor) -> None:
        """Sign the visitor out."""
        async with self._database.writing("the end of a sign-in") as session:
            await people.sign_out(session, visitor.token)
            now = datetime.now(UTC)
            audit.note(session, actor, now, "signed out", "user", str(visitor.user_id))

    def give(self, response: web.StreamResponse, value: str) -> None:
        response.set_cookie(
            self.cookie, value, httponly=True, samesite="Lax", secure=self.secure, path="/"
        )

    def take_back(self, response: web.StreamResponse) -> None:
        response.del_cookie(
            self.cookie, httponly=True, samesite="Lax", secure=self.secure, path="/"
        )


def is_same(secret: str, given: str) -> bool:
    """Compare what a stranger sent, in whatever bytes, without telling by the time it takes."""
    # Bytes of a header that are no UTF-8 come in as surrogates.
    return secrets.compare_digest(
        secret.encode("utf-8", "surrogateescape"), given.encode("utf-8", "surrogateescape")
    )


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()
