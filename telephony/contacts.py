"""The elders' contacts in Asterisk's own database, where the dialplan finds them without us."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from telephony.ami import Ami, AmiRefused

FAMILY: Final = "rescue/contact"
MOST: Final = 9
NOT_DIALLED: Final = re.compile(r"[^0-9+]")
NEVER: Final = re.compile(r"\+?(00)?(86)?0*(110|119|120|122)")


def digits(number: str) -> str:
    """The number as the dialplan's FILTER(0-9+) leaves it."""
    return NOT_DIALLED.sub("", number)


async def write_contacts(ami: Ami, contacts: Mapping[str, Sequence[str]]) -> None:
    """Put each elder's contacts (number → numbers in their order) there instead of the former ones.

    The elder's number is written as callers deliver it. A bare rescue number is never a contact:
    it would ring there without anybody who could speak. Raises AmiDown, AmiRefused, TimeoutError.
    """
    for elder, numbers in contacts.items():
        key = digits(elder)
        if not key:
            continue
        # It is refused when there were none before.
        with suppress(AmiRefused):
            await ami.action("DBDelTree", Family=f"{FAMILY}/{key}")
        callable_ = [one for one in map(digits, numbers) if one and not NEVER.fullmatch(one)][:MOST]
        for place, number in enumerate(callable_, 1):
            await ami.action("DBPut", Family=f"{FAMILY}/{key}", Key=str(place), Val=number)
