"""Rendering: one way from a template to an answer, with what every page has around it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp_jinja2
import jinja2
from aiohttp import web

from agent_desk import formats, guide, language, steps, trail, words
from agent_desk.case_counts import COUNTS
from agent_desk.desk import DESK, VISITOR
from agent_desk.formats import Formats
from agent_desk.language import gettext as _
from agent_desk.rights import Right, Visitor, may
from settings import Settings

TEMPLATES: Final = Path(__file__).parent / "templates"
A_PAGE: Final = 50
"""Rows on one page of a list."""
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
    environment.globals |= {
        "words": words, "steps": steps, "formats": formats, "trail": trail, "age": ours.age,
        "may": may, "Right": Right, "phone_words": words.phone,
    }  # fmt: skip


def filters(ours: Formats) -> dict[str, Callable[..., str]]:
    """How templates write times, lengths and numbers."""
    return {
        "clock": ours.clock,
        "day_clock": ours.day_clock,
        "short_day_clock": ours.short_day_clock,
        "number": ours.number,
        "dialled": ours.dialled,
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


def older_page(request: web.Request, last: str) -> str:
    """The address of the rows that come after `last` in this list."""
    return str(request.rel_url.update_query(before=last))


def newest_page(request: web.Request) -> str:
    """The address of the list's beginning; empty for the beginning itself."""
    if "before" not in request.query:
        return ""
    return str(request.rel_url.without_query_params("before"))


def places(visitor: Visitor | None, *, is_practice: bool) -> list[tuple[str, str]]:
    """The menu: where this visitor may go, as addresses with their words (ROL-02)."""
    practice = (("/practice", _("Practice town"), Right.PRACTISE),) if is_practice else ()
    every = (
        ("/", _("Live board"), Right.WATCH_BOARD),
        ("/seat", _("My seat"), Right.USE_PHONE),
        ("/rescue", _("Rescue"), Right.WATCH_BOARD),
        ("/calls", _("Calls"), Right.READ_CALLS),
        ("/orders", _("Orders"), Right.READ_ORDERS),
        ("/cases", _("Emergencies"), Right.READ_CASES),
        ("/elders", _("Elders"), Right.READ_ELDERS),
        ("/plans", _("Plans"), Right.READ_PLANS),
        ("/menu", _("Menu"), Right.CHANGE_MENUS),
        ("/seats", _("Seats"), Right.READ_SEATS),
        ("/users", _("Users"), Right.MANAGE_USERS),
        ("/record", _("Record"), Right.READ_RECORD),
        ("/settings", _("Settings"), Right.READ_SETTINGS),
        *practice,
    )
    return [(path, word) for path, word, right in every if may(visitor, right)]


def help_page(request: web.Request) -> str:
    """The name of the help text of the page that answers this request."""
    resource = request.match_info.route.resource
    return guide.page_of(resource.canonical if resource else "")


def page(request: web.Request, template: str, status: int = 200, **context: Any) -> web.Response:
    """The rendered template. Never cached; the frame around it knows who is signed in."""
    visitor = request.get(VISITOR)
    frame = {
        "visitor": visitor,
        "csrf": visitor.csrf if visitor else "",
        "centre": request.app[DESK].settings.centre.name,
        "is_practice": request.app[DESK].is_practice,
        "rescue": words.rescue_numbers(
            is_live=request.app[DESK].settings.rescue.live,
            is_practice=request.app[DESK].is_practice,
        ),
        "language": language.current(),
        "html_language": language.LANGUAGES[language.current()],
        "path": request.path,
        "places": places(visitor, is_practice=request.app[DESK].is_practice),
        "to_do": {"/cases": request.app[COUNTS].now},
        "other_language": other_language(request),
        "help_page": help_page(request),
        "zone": request.app[DESK].settings.centre.time_zone,
        "now": datetime.now(UTC),
    }
    return aiohttp_jinja2.render_template(template, request, frame | context, status=status)


def fragment(request: web.Request, template: str, **context: Any) -> str:
    """The rendered template as text, with no frame around it: what is printed."""
    frame = {
        "centre": request.app[DESK].settings.centre.name,
        "is_practice": request.app[DESK].is_practice,
        "language": language.current(),
        "html_language": language.LANGUAGES[language.current()],
    }
    return aiohttp_jinja2.render_string(template, request, frame | context)
