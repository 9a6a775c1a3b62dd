"""The hotline's menu: what callers are asked, changed here and tried before it is in force."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from agent_desk import forms, words
from agent_desk.access import actor_of
from agent_desk.desk import DESK
from agent_desk.language import gettext as _
from agent_desk.render import page
from agent_desk.wishes import Refused, store_down
from settings import Settings
from sql.queries import menus
from workflows.errors import Outdated, StoreDown
from workflows.menu import (
    EMERGENCY_QUEUE,
    HOTLINE,
    HOTLINE_QUEUE,
    MAX_KEYS,
    SERVICES,
    BadMenu,
    Choice,
    Menu,
    Option,
    check_queues,
    choose,
)

logger = logging.getLogger(__name__)

SPOKEN: Final = Path(__file__).resolve().parents[2] / "ivr" / "prompts"
"""The rendered prompts: what each says and how long it takes is in its manifest."""
BEFORE: Final = ("notice", "greeting")
LONG_S: Final = 15.0
"""Seconds after which an elder has forgotten the first key before the last is named."""
ROWS: Final = tuple(range(1, MAX_KEYS + 1))
TWO: Final = "17"
RANDOM: Final = "173"

Typed = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt as it is heard: its id, what it says, and how many seconds it takes."""

    id: str
    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a caller does and what comes of it: `keys` as the page's own keypad sends them."""

    doing: str
    keys: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class DryRun:
    """One way through a menu without a telephone, led by the same rules as a call."""

    heard: Sequence[Prompt]
    outcomes: Sequence[Outcome]
    question_s: float

    @property
    def is_long(self) -> bool:
        return self.question_s > LONG_S


async def show(request: web.Request) -> web.StreamResponse:
    """The menu in force, to be changed."""
    async with request.app[DESK].database.reading() as session:
        now = await menus.hotline(session)
    return await _page(request, now, _as_typed(now))


async def try_out(request: web.Request) -> web.StreamResponse:
    """Lead the menu as it stands in the form, without putting it in force."""
    return await _take(request, is_saved=False)


async def change(request: web.Request) -> web.StreamResponse:
    """Put the menu in force: the next caller hears it."""
    return await _take(request, is_saved=True)


async def _take(request: web.Request, *, is_saved: bool) -> web.StreamResponse:
    desk = request.app[DESK]
    try:
        async with desk.database.reading() as session:
            now = await menus.hotline(session)
    except StoreDown:
        now = menus.MenuNow(HOTLINE)
        if is_saved:
            filled = await forms.read(request, forms.MenuForm, many=("key", "service", "queue"))
            return await _page(request, now, filled.typed, status=503, refused=store_down())
    filled = await forms.read(request, forms.MenuForm, many=("key", "service", "queue"))
    form, faults = filled.form, dict(filled.faults)
    menu = None
    if form is not None:
        try:
            menu = _menu(form.rows, desk.settings)
        except BadMenu as bad:
            faults[_row_of(form.rows, bad.key)] = _sentence(bad)
    if menu is None or form is None:
        return await _page(request, now, filled.typed, status=422, faults=faults)
    if not is_saved:
        return await _page(request, now, filled.typed, run=await _dry_run(menu))
    try:
        async with desk.database.writing() as session:
            await menus.change(session, menu, form.version, actor_of(request), datetime.now(UTC))
    except Outdated as newer:
        refused = Refused(
            409,
            _(
                "Somebody else changed the menu while you did. What you chose is still here: look "
                "at the menu in force below, and save again if yours is right."
            ),
            str(newer),
        )
        typed = {**filled.typed, "version": now.version}
        return await _page(request, now, typed, status=409, refused=refused)
    except StoreDown as down:
        logger.warning("a menu was not saved: %s", down)
        return await _page(request, now, filled.typed, status=503, refused=store_down())
    raise web.HTTPSeeOther("/menu")


def _menu(rows: Sequence[tuple[str, str, str]], settings: Settings) -> Menu:
    """The menu of the rows (key, service, queue). Raises BadMenu."""
    options: dict[str, Option] = {}
    for key, service, queue in rows:
        if key in options:
            raise BadMenu("key twice", key, f"key {key} stands twice; right would be once")
        options[key] = Option(choice=service, queue=queue or HOTLINE_QUEUE)
    menu = Menu(name=HOTLINE.name, options=options)
    check_queues(menu, {queue for seat in settings.seats for queue in seat.queues})
    return menu


def _row_of(rows: Sequence[tuple[str, str, str]], key: str) -> str:
    """The name of the row at fault: the last one with this key, which was typed last."""
    at = [number for number, row in enumerate(rows, start=1) if row[0] == key]
    return f"row-{at[-1]}" if at else "rows"


def _sentence(bad: BadMenu) -> str:
    """Which rule a menu breaks, in the visitor's words."""
    return {
        "too many": _("These are too many keys: an elder can keep four apart at the most."),
        "no key": _("This is no key. 1 to 9 can be chosen; 0 is always a person."),
        "not spoken": _("There is no spoken sentence for this. Choose one of the list."),
        "said twice": _("This service has a key already. Each is named once."),
        "key twice": _("This key is taken already. Each key stands for one thing."),
        "emergency": _("No menu stands before an emergency: its own number leads there at once."),
        "dead end": _(
            "This key would end nowhere: no seat answers there. A key leads to people, and never "
            "to a question again. Choose one of the list."
        ),
    }[bad.rule]


def _as_typed(now: menus.MenuNow) -> Typed:
    options = sorted(now.menu.options.items())
    return {
        "version": now.version,
        "key": [key for key, _option in options],
        "service": [option.choice for _key, option in options],
        "queue": [option.queue for _key, option in options],
    }


async def _dry_run(menu: Menu) -> DryRun:
    said = await asyncio.to_thread(_manifest)
    heard = [
        Prompt(id=prompt, text=said[prompt]["text"], seconds=said[prompt]["seconds"])
        for prompt in (*BEFORE, *menu.prompts)
    ]
    keys = [*sorted(menu.options), "0"]
    outcomes = [
        *(Outcome(doing=_("presses %s") % key, keys=key, choice=choose(menu, key)) for key in keys),
        Outcome(doing=_("presses another key"), keys="*", choice=choose(menu, "*")),
        Outcome(doing=_("presses two different keys"), keys=TWO, choice=choose(menu, TWO)),
        Outcome(doing=_("presses keys at random"), keys=RANDOM, choice=choose(menu, RANDOM)),
        Outcome(doing=_("presses nothing for 5 seconds"), keys="", choice=choose(menu, "")),
    ]
    return DryRun(heard, outcomes, sum(prompt.seconds for prompt in heard[len(BEFORE) :]))


def _manifest() -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((SPOKEN / "manifest.json").read_text("utf-8"))
    return manifest


async def _page(
    request: web.Request,
    now: menus.MenuNow,
    typed: Typed,
    *,
    status: int = 200,
    faults: Mapping[str, str] | None = None,
    refused: Refused | None = None,
    run: DryRun | None = None,
) -> web.Response:
    settings = request.app[DESK].settings
    served = {queue for seat in settings.seats for queue in seat.queues} - {EMERGENCY_QUEUE}
    return page(
        request,
        "menu.html",
        status,
        now_in_force=now,
        in_force=await _dry_run(now.menu),
        typed=typed,
        rows=ROWS,
        faults=faults or {},
        refused=refused,
        run=run,
        services={service: words.choice(service) for service in SERVICES},
        queues={queue: words.queue(queue) for queue in sorted(served)},
        emergency=settings.numbers.emergency,
        hotline=settings.numbers.hotline,
    )
