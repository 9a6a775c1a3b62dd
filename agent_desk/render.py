"""Rendering: one way from a template to an answer, with what every page has around it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp_jinja2
import jinja2
from aiohttp import web

from agent_desk import formats, language, words
from agent_desk.desk import DESK, VISITOR
from agent_desk.formats import Formats
from agent_desk.rights import Right, may
from settings import Settings

TEMPLATES: Final = Path(__file__).parent / "templates"
FORMATS: web.AppKey[Formats] = web.AppKey("formats", Formats)


def set_up(app: web.Application, settings: Settings) -> None:
    """Give the application its templates, with our filters and the visitor's language."""
    ours = Formats(settings.centre.zone, settings.centre.country_code)
    app[FORMATS] = ours
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        default_helpers=False,
        filters=filters(ours),
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        language.gettext, language.ngettext, newstyle=True
    )
    environment.globals |= {"words": words, "formats": formats, "age": ours.age}
    environment.globals |= {"may": may, "Right": Right, "phone_words": words.phone}


def filters(ours: Formats) -> dict[str, Callable[..., str]]:
    """How templates write times, lengths and numbers."""
    return {
        "clock": ours.clock,
        "day_clock": ours.day_clock,
        "short_day_clock": ours.short_day_clock,
        "number": ours.number,
        "masked": ours.masked,
        "duration": formats.duration,
        "size": formats.size,
        "percent": formats.percent,
        "ms": formats.milliseconds,
    }


def other_language(request: web.Request) -> str:
    """The address of this page in the other language.

    A page that answers a POST has none of its own to be read again in.
    """
    if request.method != "GET":
        return ""
    other = language.ENGLISH if language.current() == language.CHINESE else language.CHINESE
    return str(request.rel_url.update_query(lang=other))


def page(request: web.Request, template: str, status: int = 200, **context: Any) -> web.Response:
    """The rendered template. Never cached; the frame around it knows who is signed in."""
    visitor = request.get(VISITOR)
    frame = {
        "visitor": visitor,
        "csrf": visitor.csrf if visitor else "",
        "centre": request.app[DESK].settings.centre.name,
        "language": language.current(),
        "html_language": language.LANGUAGES[language.current()],
        "path": request.path,
        "other_language": other_language(request),
        "now": datetime.now(UTC),
    }
    return aiohttp_jinja2.render_template(template, request, frame | context, status=status)
