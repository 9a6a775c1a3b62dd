"""The read-out cards of one centre: from the register, with the responders of the settings.

Part of the composition.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from settings import Settings
from sql import rescue_cards
from sql.engine import Database
from sql.numbers import e164
from workflows.card import Card, Party, PartyKind


def cards_of(settings: Settings, database: Database) -> Callable[..., Awaitable[tuple[Card, ...]]]:
    """What reads the cards: it takes `at`, with `number`, `elder_id` or both (`card_for`)."""
    return partial(rescue_cards.card_for, database, responders_of(settings), settings.centre.zone)


def responders_of(settings: Settings) -> dict[str, tuple[Party, ...]]:
    """The organisations around the elders of each site, in the order of the settings."""
    country, area = settings.centre.country_code, settings.centre.area_code
    found: dict[str, tuple[Party, ...]] = {}
    for one in settings.responders:
        party = Party(
            key=f"responder/{one.code}", kind=PartyKind(one.kind), name=one.name,
            numbers=(e164(one.number, country=country, area=area),),
        )  # fmt: skip
        found[one.site] = (*found.get(one.site, ()), party)
    return found
