"""The controller's sign of life for the dialplan: a number in Asterisk that moves while we answer.

The dialplan leads a caller into a menu only while it moves, and takes out again whoever is in one
when it stands still (`extensions.conf`, [watch-menu]). It is renewed on the event loop that also
takes the events, so a loop that is stuck lets it lapse just as a stopped process does.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from typing import Final

from telephony.ami import Ami, AmiDown, AmiRefused

logger = logging.getLogger(__name__)

LEASE: Final = "CARELINE_LEASE"
RENEW_EVERY_S: Final = 0.5


async def keep_lease(ami: Ami) -> None:
    """Renew it until cancelled; without Asterisk there is nobody who would look at it."""
    # No controller before us on this machine came so far: our first number is a new one.
    for number in itertools.count(time.monotonic_ns()):
        try:
            await ami.action("Setvar", timeout_s=RENEW_EVERY_S, Variable=LEASE, Value=str(number))
        except (AmiDown, AmiRefused, TimeoutError) as cause:
            logger.debug("the lease was not renewed: %s", cause)
        await asyncio.sleep(RENEW_EVERY_S)
