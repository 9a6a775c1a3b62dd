"""Builds the channels by which messages leave the centre. Part of the composition."""

from __future__ import annotations

from settings import Messages
from telephony.messages import Channel
from telephony.messages.gateway import GatewayChannel
from telephony.messages.town import TownChannel


def channels_of(settings: Messages) -> dict[str, Channel]:
    """Those that are set up, by name. In practice it is the town's own alone (`practice.py`)."""
    return {name: _channel(name, settings) for name in settings.channels}


def _channel(name: str, settings: Messages) -> Channel:
    match name:
        case "twilio":
            # Its SDK is large; a centre without an account there does not load it.
            from telephony.messages.twilio import TwilioChannel

            return TwilioChannel(
                settings.twilio_account,
                settings.twilio_token,
                settings.twilio_number,
                settings.public_url,
            )
        case "gateway":
            return GatewayChannel(settings.gateway_url, settings.gateway_token)
        case "town":
            return TownChannel()
        case _:
            raise LookupError(f"there is no channel {name!r}")
