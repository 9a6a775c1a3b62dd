"""The controller's signs of life for the dialplan: numbers in Asterisk that move while we answer.

One for all, for the menus: the dialplan leads a caller into a menu only while it moves, and takes
out again whoever is in one when it stands still (`extensions.conf`, [watch-menu]). And one for each
emergency: the dialplan leaves the rescue to us only while that moves. They are renewed on the event
loop that also takes the events, so a loop that is stuck lets them lapse as a stopped process does.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from telephony.ami import Ami, AmiDown, AmiRefused

logger = logging.getLogger(__name__)

LEASE: Final = "CARELINE_LEASE"
RENEW_EVERY_S: Final = 0.5
STOOD_STILL_S: Final = 1.5
"""After such a pause the dialplan may have taken over, and what we know may be old."""


async def keep_lease(ami: Ami, takes_callers: Callable[[], bool]) -> None:
    """Renew it until cancelled, while callers are taken; without Asterisk there is nobody who would
    look at it.
    """
    was_taking = True
    # No controller before us on this machine came so far: our first number is a new one.
    for number in itertools.count(time.monotonic_ns()):
        try:
            is_taking = takes_callers()
            if is_taking:
                value = str(number)
                await ami.action("Setvar", timeout_s=RENEW_EVERY_S, Variable=LEASE, Value=value)
            elif was_taking:
                logger.error("nobody takes callers for the menu any more; they go to a person")
            was_taking = is_taking
        except (AmiDown, AmiRefused, TimeoutError) as cause:
            logger.debug("the lease was not renewed: %s", cause)
        await asyncio.sleep(RENEW_EVERY_S)


async def keep_claims(
    ami: Ami, claimable: Callable[[], Sequence[str]], stood_still: Callable[[], None]
) -> None:
    """Claim each of these emergencies, again and again, until cancelled.

    `claimable` names the cases that are really handled now; `stood_still` is called, and nothing
    is claimed, after a pause of the whole process.
    """
    last = time.monotonic()
    for number in itertools.count(time.monotonic_ns()):
        now = time.monotonic()
        if now - last > STOOD_STILL_S:
            logger.warning("stood still for %.1f s: every emergency is read anew", now - last)
            stood_still()
        last = now
        for case_id in claimable():
            await _claim(ami, case_id, number)
        await asyncio.sleep(RENEW_EVERY_S)


async def _claim(ami: Ami, case_id: str, number: int) -> None:
    """The counter stands with the elder's own channel, in memory: a full disk does not stop it."""
    try:
        await ami.action(
            "Setvar",
            timeout_s=RENEW_EVERY_S,
            Channel=case_id,
            Variable="SHARED(CLAIM)",
            Value=str(number),
        )
    except (AmiDown, AmiRefused, TimeoutError) as cause:
        # An elder who has just hung up, for example: no reason to claim no other case.
        logger.debug("the emergency %s was not claimed: %s", case_id, cause)
