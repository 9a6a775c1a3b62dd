"""The settings that count now, to be read: whether rescue may be called is the first thing said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from sqlalchemy.engine import make_url

from agent_desk.desk import DESK
from agent_desk.render import page
from settings import Settings

HIDDEN: Final = "••••••"
Rows = list[tuple[str, str]]


async def show(request: web.Request) -> web.StreamResponse:
    settings = request.app[DESK].settings
    return page(request, "settings.html", settings=settings, sections=list(sections(settings)))


def sections(settings: Settings) -> Iterator[tuple[str, Rows]]:
    """Each section of careline.toml with its keys and values; secrets are hidden."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield name, _rows(name, value)
        elif isinstance(value, tuple):
            for number, part in enumerate(value, 1):
                yield f"{name} {number}", _rows(name, part)
        else:
            yield name, [(name, _said(value))]


def _rows(section: str, part: BaseModel) -> Rows:
    return [(key, _shown(section, key, getattr(part, key))) for key in type(part).model_fields]


def _shown(section: str, key: str, value: Any) -> str:
    if not value:
        return _said(value)
    if "password" in key or "secret" in key or "token" in key:
        return HIDDEN
    if (section, key) == ("database", "url"):
        return make_url(value).render_as_string(hide_password=True)
    return _said(value)


def _said(value: Any) -> str:
    """As it is written in careline.toml."""
    match value:
        case bool():
            return str(value).lower()
        case tuple() | list():
            return ", ".join(str(one) for one in value)
        case _:
            return str(value)
