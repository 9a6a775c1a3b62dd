"""Who goes first when this machine has more to do than it can: calls, and recordings last.

Linux shares the processor among sessions (sched(7), "The autogroup feature"), and each of our
processes is a session of its own: niceness alone counts only inside it. So what is set here is the
niceness of the whole session. Where it shares by control groups this changes nothing: for services
the units say the same by CPUWeight (launch/units.py).
"""

from __future__ import annotations

import asyncio
import logging
import resource
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

FIRST: Final = -10
"""Asterisk, the controller and the desk: a card that comes late is a call answered blind."""
LAST: Final = 5
"""The worker: a conversion takes what the calls and the desk leave over, never the other way."""
TRIES: Final = 20
AGAIN_S: Final = 0.15
"""Linux takes one such wish in 0.1 s from all who are not root."""


def may_go_first() -> None:
    """As root: whoever we become may put its own processes first later on."""
    try:
        resource.setrlimit(resource.RLIMIT_NICE, (20 - FIRST, 20 - FIRST))
    except (OSError, ValueError) as cause:
        # A container's root may lack that right; then nothing goes before others.
        logger.info("Careline's processes cannot go before others: %s", cause)


async def give(niceness: int, pid: int) -> None:
    """Give this process's session its precedence; where that is not allowed, nothing happens."""
    for _ in range(TRIES):
        try:
            Path(f"/proc/{pid}/autogroup").write_text(str(niceness), "ascii")
        except BlockingIOError:
            await asyncio.sleep(AGAIN_S)
        except OSError as cause:
            logger.info("process %d runs as it comes: %s", pid, cause)
            return
        else:
            return
