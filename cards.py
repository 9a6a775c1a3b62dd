"""The read-out cards of one centre: from the register, with the responders of the settings.

Part of the composition.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from settings import Settings
from sql import rescue_cards
from sql.engine import Database
from sql.numbers import e164
from workflows.card import Card, Party, PartyKind, unknown

Cards = Callable[[str, int | None], Awaitable[tuple[Card, ...]]]


def cards_of(settings: Settings, database: Database) -> Cards:
    """What reads whose emergency it is: by the number as a carrier delivered it, or by the elder's
    id. For somebody whom nobody knows there is the number, and the rescue services."""
    centre, site = settings.centre, settings.sites[0].code
    responders = responders_of(settings)

    async def cards(caller: str, elder_id: int | None) -> tuple[Card, ...]:
        number = e164(caller, country=centre.country_code, area=centre.area_code)
        found = await rescue_cards.card_for(
            database, responders, centre.zone,
            at=datetime.now(UTC), number=number or None, elder_id=elder_id,
        )  # fmt: skip
        return found or (unknown(number, site),)

    return cards


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
