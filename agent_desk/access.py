"""The door: sign-in, right, form token and host are checked here, before any page runs."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from agent_desk.desk import DESK, VISITOR, visitor_of
from agent_desk.language import gettext as _
from agent_desk.rights import Right, Visitor, may
from agent_desk.sessions import is_same
from settings import Settings, split
from sql.audit import Actor

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "X-CSRF-Token"
VISIT_COOKIE: Final = "careline-visit"
HOOKS: Final = frozenset({"/hooks/twilio", "/hooks/gateway"})

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the protective headers on every answer, whoever made it."""
    response.headers.update(HEADERS)
    # Pages show elders and calls: nothing of them stays behind in a shared computer's cache. Style
    # and scripts hold no data and are only asked whether they have changed.
    is_static = request.path.startswith("/static/")
    response.headers["Cache-Control"] = "no-cache" if is_static else "private, no-store"


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let through whoever has the right that the route names, with a form that is ours."""
    desk = request.app[DESK]
    # A path that is not ours asks for a sign-in too, so that nobody outside can map the desk.
    right = desk.rights.get(request.match_info.route, Right.SIGNED_IN)
    look_up = desk.sessions.visitor_in_a_rescue if right is Right.RESCUE else desk.sessions.visitor
    visitor = None if right is Right.ANYONE else await look_up(request)
    if visitor is not None:
        request[VISITOR] = visitor
    if not may(visitor, right):
        raise _refusal(request, visitor)
    if request.method not in SAFE_METHODS and not _is_hook(request):
        await _check_form(request, visitor)
    return await handler(request)


def _is_hook(request: web.Request) -> bool:
    """What is no form of a browser: it proves by itself who sends it (`pages/hooks.py`)."""
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical in HOOKS


def _refusal(request: web.Request, visitor: Visitor | None) -> web.HTTPException:
    if visitor is not None:
        return web.HTTPForbidden(text=_("Your role does not have the right to do this."))
    if request.method in SAFE_METHODS and wants_page(request):
        return web.HTTPSeeOther(f"/sign-in?next={quote(request.path_qs)}")
    return web.HTTPUnauthorized(
        text=_("You are not signed in, or were away too long. Sign in, go back, and try again.")
    )


def actor_of(request: web.Request) -> Actor:
    """Who asks, for the record: with the address and the right that the route names."""
    right = request.app[DESK].rights[request.match_info.route]
    return Actor(visitor_of(request).name, address_of(request), right.value)


async def _check_form(request: web.Request, visitor: Visitor | None) -> None:
    """Refuse what another site made the browser send."""
    # Before the sign-in there is no session; the token of the form then has its own cookie.
    expected = [visitor.csrf] if visitor else visits_of(request)
    given = request.headers.get(CSRF_HEADER) or await _field(request)
    if not any(is_same(one, given) for one in expected):
        raise web.HTTPForbidden(
            text=_("This form is too old, or was not made by this desk. Open the page again.")
        )


def visits_of(request: web.Request) -> list[str]:
    """The tokens of the forms for signing in that this browser was given.

    Each has a cookie of its own: tabs that ask at once get different ones, and all of them count.
    """
    cookies = request.cookies.items()
    return [value for name, value in cookies if name.startswith(VISIT_COOKIE) and value]


async def _field(request: web.Request) -> str:
    try:
        given = (await request.post()).get(CSRF_FIELD, "")
    except (ValueError, LookupError):
        raise web.HTTPBadRequest(text=_("What was sent is no form.")) from None
    return given if isinstance(given, str) else ""


def wants_page(request: web.Request) -> bool:
    """Whether a person looks at the answer, and not a script."""
    return "text/html" in request.headers.get("Accept", "")


def is_same_origin(request: web.Request) -> bool:
    """Whether a WebSocket is asked for by our own page: browsers let any page ask for one."""
    origin = request.headers.get("Origin")
    return origin is not None and _parts(origin).netloc == request.host


def local_path(target: str) -> str:
    """The path to go to after the sign-in, or the board: never another site."""
    parts = _parts(target)
    if parts.scheme or parts.netloc or not parts.path.startswith("/") or target.startswith("//"):
        return "/"
    return "/" if "\\" in target or not target.isprintable() else target


def _parts(address: str) -> SplitResult:
    """The parts of an address; none when it is none at all, such as //[."""
    try:
        return urlsplit(address)
    except ValueError:
        return SplitResult("", "", "", "", "")


def address_of(request: web.Request) -> str:
    """The address that is slowed down after failed tries."""
    if request.app[PROXY].is_peer_of(request):
        # The last entry is the one that our own proxy has written.
        said = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if _is_address(said):
            return said
    return request.remote or ""


class Proxy:
    """The proxy in front of the desk, known by the addresses that its names have at the start.

    `written` is `desk_proxy`: a name or an address, or several with commas between. Nothing in it
    means that there is none, and that browsers speak to the desk themselves.
    """

    def __init__(self, written: str) -> None:
        # A port was allowed here before; it says nothing about where a request comes from.
        self.names: Final = tuple(_host_of(one) for one in written.split(",") if one.strip())
        self._addresses: frozenset[str] = frozenset()

    async def look_up(self) -> None:
        """Learn the addresses. Raises OSError when a name has none."""
        found: set[str] = set()
        for name in self.names:
            try:
                answers = await asyncio.get_running_loop().getaddrinfo(
                    name, None, type=socket.SOCK_STREAM
                )
            except (OSError, UnicodeError) as cause:
                raise OSError(
                    f"desk_proxy names {name!r}, which has no address ({cause}); right would be "
                    "the host name or IP address from which the proxy reaches the desk"
                ) from None
            found |= {_plain_address(str(answer[4][0])) for answer in answers}
        self._addresses = frozenset(found)
        if found:
            logger.info("only the proxy may speak to the desk: %s", ", ".join(sorted(found)))

    def is_peer_of(self, request: web.Request) -> bool:
        """Whether the connection itself comes from the proxy; headers are not asked."""
        return _plain_address(request.remote or "") in self._addresses


PROXY: web.AppKey[Proxy] = web.AppKey("proxy", Proxy)


async def knowing_the_proxy(app: web.Application) -> AsyncIterator[None]:
    """Look the proxy up before the first request."""
    await app[PROXY].look_up()
    yield


@web.middleware
async def only_by_the_proxy(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Behind a proxy, refuse whoever comes round it: their connection has no encryption."""
    proxy = request.app[PROXY]
    if proxy.names and not proxy.is_peer_of(request):
        raise web.HTTPForbidden(
            text=_("The desk speaks only through its proxy. Use the address it was set up with.")
        )
    return await handler(request)


def _host_of(written: str) -> str:
    """The name or address in HOST, HOST:PORT, [HOST]:PORT or a bare IPv6 address."""
    text = written.strip()
    return text if _is_address(text) and "[" not in text else urlsplit(f"//{text}").hostname or text


def _plain_address(text: str) -> str:
    """An address in one spelling: on a socket for both kinds, IPv4 comes in IPv6's clothes."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def only_known_hosts(settings: Settings) -> Middleware:
    """A middleware that refuses foreign host names, which is how DNS rebinding reaches a loopback.

    An IP address cannot be rebound. With our own certificate a foreign name fails before it gets
    here, and behind a proxy that is known by its address, the proxy knows the names.
    """
    addresses = settings.addresses
    proxies = Proxy(addresses.desk_proxy).names
    # Providers report to the name by which the desk is reached from outside.
    public = _parts(settings.messages.public_url).hostname or ""
    names = {"localhost", split(addresses.desk_address)[0], *proxies, *([public] if public else [])}
    is_checked = not addresses.desk_certificate and not any(_is_address(name) for name in proxies)

    @web.middleware
    async def known_hosts(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = _parts(f"//{request.host}").hostname or ""
        if is_checked and name not in names and not _is_address(name):
            raise web.HTTPMisdirectedRequest(
                text=_("The desk does not answer to this name. Use the address it was set up with.")
            )
        return await handler(request)

    return known_hosts


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
