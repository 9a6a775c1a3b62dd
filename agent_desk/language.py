"""Languages: Chinese first, English beside it. The catalogue is read from its .po at the start."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Final

from aiohttp import web
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

CHINESE: Final = "zh"
ENGLISH: Final = "en"
LANGUAGES: Final = {CHINESE: "zh-CN", ENGLISH: "en"}
COOKIE: Final = "careline-language"
YEAR_S: Final = 365 * 24 * 3600
CATALOGUE: Final = Path(__file__).parent / "locale" / "zh_CN" / "LC_MESSAGES" / "careline.po"

_current: Final[ContextVar[str]] = ContextVar("language", default=CHINESE)


@cache
def catalogues() -> dict[str, NullTranslations]:
    """Translations by language. The English texts are the keys, so English needs no catalogue."""
    compiled = io.BytesIO()
    with CATALOGUE.open("rb") as source:
        write_mo(compiled, read_po(source, locale="zh_CN"))
    compiled.seek(0)
    return {CHINESE: GNUTranslations(compiled), ENGLISH: NullTranslations()}


def gettext(message: str) -> str:
    """The text in the language of whoever is being answered."""
    return catalogues()[_current.get()].gettext(message)


def ngettext(one: str, many: str, number: int) -> str:
    return catalogues()[_current.get()].ngettext(one, many, number)


def current() -> str:
    """The language of the request that is being answered, `zh` or `en`."""
    return _current.get()


def speak(language: str) -> None:
    """Answer in this language from here on, in this task."""
    _current.set(language)


def wanted(request: web.Request) -> str:
    """By `?lang=`, then by cookie, then by what the browser asks for; else Chinese."""
    for said in (request.query.get("lang"), request.cookies.get(COOKIE)):
        if said in LANGUAGES:
            return said
    return accepted(request.headers.get("Accept-Language", ""))


def accepted(header: str) -> str:
    """The first of our languages in an Accept-Language header, by its weights."""
    weighted: list[tuple[float, str]] = []
    for part in header.split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            weighted.append((float(weight or 1), tag.split("-")[0].lower()))
        except ValueError:
            continue
    ours = [language for _, language in sorted(weighted, key=lambda w: -w[0])]
    return next((language for language in ours if language in LANGUAGES), CHINESE)


@web.middleware
async def in_their_language(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer in the visitor's language, and remember one that was chosen."""
    language = wanted(request)
    speak(language)
    response = await handler(request)
    if request.query.get("lang") == language and not response.prepared:
        response.set_cookie(COOKIE, language, max_age=YEAR_S, samesite="Lax", httponly=True)
    return response
