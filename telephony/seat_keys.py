"""What a seat asks of Asterisk, as AMI actions: pause, resume, the order of ringing, a call-over.

Each sets something to a value, so doing one twice does no harm.
"""

from __future__ import annotations

from typing import Final

from telephony.ami import Ami
from telephony.switchboard import MISSED_PENALTY
from workflows.seat import AskPhone, ForgetMiss, NoteMiss, Pause, Resume, SeatEffect

EMERGENCY: Final = "emergency"
"""There everybody is rung, whoever left a call ringing before."""


async def press(ami: Ami, effect: SeatEffect, queues: tuple[str, ...]) -> None:
    """Do it. `queues` are those that ring the seat. Raises AmiDown, AmiRefused or TimeoutError."""
    interface = f"PJSIP/{effect.seat}"
    match effect:
        case Pause(reason=reason):
            await ami.action("QueuePause", Interface=interface, Paused="true", Reason=reason)
        case Resume():
            await ami.action("QueuePause", Interface=interface, Paused="false", Reason="")
        case NoteMiss() | ForgetMiss():
            penalty = str(MISSED_PENALTY if isinstance(effect, NoteMiss) else 0)
            for queue in queues:
                if queue != EMERGENCY:
                    await ami.action(
                        "QueuePenalty", Interface=interface, Penalty=penalty, Queue=queue
                    )
        case AskPhone():
            await ami.action("PJSIPQualify", Endpoint=effect.seat)
