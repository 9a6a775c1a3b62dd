"""The elders' contacts in Asterisk's own database, where the dialplan finds them without us.

Written again whenever one of them changes, so that the next emergency calls the new number
(PER-19), and compared as a whole after every connect.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final

from telephony.ami import Ami, AmiDown, AmiRefused
from telephony.translate import plain
from workflows.errors import StoreDown, TelephonyDown
from workflows.numbers import is_for_help

logger = logging.getLogger(__name__)

FAMILY: Final = "rescue/contact"
MOST: Final = 9
NOT_DIALLED: Final = re.compile(r"[^0-9+]")
TREE_TIMEOUT_S: Final = 60.0
CALM_S: Final = 2.0
"""After a connect the emergencies are read first."""
TRY_AGAIN_S: Final = 5.0

Wanted = Mapping[str, Sequence[str]]
"""The elder's number, as a carrier may deliver it → the contacts' numbers in their order."""


class RescueContacts:
    """Keeps Asterisk's copy equal to the register.

    `wanted` reads the register: of these elders' numbers (E.164), each in every spelling and also
    when nobody is to be called for it; or of all for whom somebody is, when asked for None.
    """

    def __init__(
        self, ami: Ami, wanted: Callable[[Collection[str] | None], Awaitable[Wanted]]
    ) -> None:
        self._ami: Final = ami
        self._wanted: Final = wanted
        self._connected: Final = asyncio.Event()
        self._one_at_a_time: Final = asyncio.Lock()
        self._renewed: Final[set[str]] = set()

    def connected(self) -> None:
        """Asterisk is there, perhaps another one than before."""
        self._connected.set()

    async def run(self) -> None:
        """Compare after every connect, until cancelled."""
        while True:
            await self._connected.wait()
            self._connected.clear()
            await asyncio.sleep(CALM_S)
            try:
                await self.compare()
            except (AmiDown, AmiRefused, TimeoutError, StoreDown) as cause:
                logger.warning("the contacts of the elders are written later: %s", cause)
                await asyncio.sleep(TRY_AGAIN_S)
                self._connected.set()

    async def renew(self, numbers: Collection[str]) -> None:
        """Read these elders' numbers again.

        Raises TelephonyDown or StoreDown, and goes on trying by itself.
        """
        try:
            wanted = await self._wanted(numbers)
            async with self._one_at_a_time:
                self._renewed.update(map(digits, wanted))
                await write_contacts(self._ami, wanted)
        except (AmiDown, AmiRefused, TimeoutError) as cause:
            self._connected.set()
            raise TelephonyDown(f"the contacts were not written: {cause}") from cause
        except StoreDown:
            self._connected.set()
            raise

    async def compare(self) -> None:
        """Write what differs. What is renewed meanwhile is newer than what is read here."""
        self._renewed.clear()
        there = await self._there()
        # There are many of them, and the loop has calls to lead meanwhile.
        wanted = await asyncio.to_thread(_as_kept, await self._wanted(None))
        differing = [key for key in {**there, **wanted} if there.get(key) != wanted.get(key)]
        for key in differing:
            async with self._one_at_a_time:
                if key not in self._renewed:
                    await write_contacts(self._ami, {key: wanted.get(key, ())})
        logger.info("contacts of %d numbers, %d written anew", len(wanted), len(differing))

    async def _there(self) -> dict[str, list[str]]:
        """What Asterisk has, in its order."""
        entries = await self._ami.listing("DBGetTree", TREE_TIMEOUT_S, Family=FAMILY)
        kept: dict[str, dict[str, str]] = {}
        for entry in entries:
            elder, _, place = plain(entry.get("Key"), 120).rpartition("/")
            kept.setdefault(elder.rpartition("/")[2], {})[place] = plain(entry.get("Val"))
        return {
            elder: [number for _, number in sorted(numbers.items())]
            for elder, numbers in kept.items()
        }


def _as_kept(wanted: Wanted) -> dict[str, list[str]]:
    """What Asterisk has when it has all of this."""
    kept = {digits(elder): callable_of(numbers) for elder, numbers in wanted.items()}
    return {elder: numbers for elder, numbers in kept.items() if elder and numbers}


def digits(number: str) -> str:
    """The number as the dialplan's FILTER(0-9+) leaves it."""
    return NOT_DIALLED.sub("", number)


def callable_of(numbers: Sequence[str]) -> list[str]:
    """Whom the dialplan may call. A bare rescue number is never a contact: it would ring there
    without anybody who could speak."""
    return [one for one in map(digits, numbers) if one and not is_for_help(one)][:MOST]


async def write_contacts(ami: Ami, contacts: Wanted) -> None:
    """Put each elder's contacts there instead of the former ones.

    Raises AmiDown, AmiRefused, TimeoutError.
    """
    for elder, numbers in contacts.items():
        key = digits(elder)
        if not key:
            continue
        kept = callable_of(numbers)
        for place, number in enumerate(kept, 1):
            await ami.action("DBPut", Family=f"{FAMILY}/{key}", Key=str(place), Val=number)
        # The former ones go last: whatever dies in between, the elder is never without any.
        for former in await _places(ami, key):
            if not former.isdecimal() or int(former) > len(kept):
                await ami.action("DBDel", Family=f"{FAMILY}/{key}", Key=former)


async def _places(ami: Ami, elder: str) -> list[str]:
    """The keys under which Asterisk has contacts of this number."""
    try:
        entries = await ami.listing("DBGetTree", Family=f"{FAMILY}/{elder}")
    except AmiRefused:
        # There are none.
        return []
    return [str(entry.get("Key", "")).rpartition("/")[2] for entry in entries]
