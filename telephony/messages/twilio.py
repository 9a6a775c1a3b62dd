"""Messages by Twilio's own SDK, which blocks: each is sent in a thread of its own.

The only module, beside the desk's webhook, that knows Twilio. What it says about a delivery later
comes in at the desk (`agent_desk/pages/hooks.py`).
"""

from __future__ import annotations

import logging
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import requests
import urllib3
from twilio.base.exceptions import TwilioException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from telephony.messages import MAX_ID, Accepted, NotTakenNow, PerhapsTaken, Refused, said
from telephony.messages.threads import Threads

HOST: Final = "https://api.twilio.com"
HOOK: Final = "/hooks/twilio"
ANSWER_S: Final = 10.0
"""For connecting, and for each wait for a part of the answer."""
WITHIN_S: Final = 15.0
"""For the whole of it; after that nobody waits for the thread any more."""
THREADS: Final = 8
BUSY: Final = frozenset({14107, 20429, 20500, 20503, 21611})
"""Codes that say that it may go better soon: too many at once, a full line, a fault of theirs."""
NOT_REACHED: Final = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.SSLError,
    urllib3.exceptions.ProxyError,
)


class TwilioChannel:
    """Sends as `sender`, a number in E.164. `public_url` is where the desk is reached from outside,
    for the reports; without it none come. `host` is another server than Twilio's, in tests.
    """

    def __init__(
        self, account: str, token: str, sender: str, public_url: str = "", host: str = HOST
    ) -> None:
        self._sender: Final = sender
        self._hook: Final = f"{public_url.rstrip('/')}{HOOK}" if public_url else ""
        self._threads: Final = Threads("twilio", THREADS)
        self._client: Final = Client(
            account,
            token,
            http_client=_Http(host),
            # An empty one would have it look at our own variables, for another host.
            environment={"TWILIO_REGION": "", "TWILIO_EDGE": ""},
        )

    async def send(self, message: str, to: str, text: str) -> Accepted:
        """See `Channel.send`."""
        given: dict[str, Any] = {"to": to, "from_": self._sender, "body": text}
        if self._hook:
            given["status_callback"] = f"{self._hook}?{urlencode({'message': message})}"
        sent = await self._threads.run(lambda: self._create(given), WITHIN_S)
        return Accepted(provider_id=said(sent.sid or "", MAX_ID))

    def _create(self, given: dict[str, Any]) -> Any:
        """What Twilio has made of it. Raises as `send` does."""
        try:
            return self._client.messages.create(**given)
        except TwilioException as answered:
            status, code = (_number(getattr(answered, name, 0)) for name in ("status", "code"))
            reason = getattr(answered, "msg", "") or getattr(answered, "title", "")
            is_busy = status in (408, 429) or status >= 500 or code in BUSY
            kind = NotTakenNow if is_busy else Refused
            raise kind(str(code or status), str(reason)) from None
        except requests.RequestException as broken:
            if _never_reached(broken):
                raise NotTakenNow("unreachable", _cause(broken)) from None
            raise PerhapsTaken(_cause(broken)) from None
        except ValueError as unread:
            # It answered that it went well, and cannot be understood.
            raise PerhapsTaken(f"an answer that is no JSON ({unread})") from None


class _Http(TwilioHttpClient):  # type: ignore[misc]
    """Twilio's own client, with its address made ours to choose, and one connection a message: one
    that was kept open and is stale would leave every first message in doubt."""

    def __init__(self, host: str) -> None:
        # What it logs of each request belongs in no log of ours.
        quiet = logging.getLogger("twilio.http_client")
        quiet.setLevel(logging.WARNING)
        super().__init__(pool_connections=False, timeout=ANSWER_S, logger=quiet)
        self._host: Final = urlsplit(host)

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        parts = urlsplit(url)._replace(scheme=self._host.scheme, netloc=self._host.netloc)
        return super().request(method, urlunsplit(parts), *args, **options)


def _number(given: object) -> int:
    return given if isinstance(given, int) else 0


def _never_reached(broken: requests.RequestException) -> bool:
    """Whether not a byte of the message can have been read at the other end."""
    if isinstance(broken, requests.ConnectTimeout):
        return True
    cause = broken.args[0] if broken.args else None
    return isinstance(getattr(cause, "reason", cause), NOT_REACHED)


def _cause(broken: requests.RequestException) -> str:
    cause = broken.args[0] if broken.args else broken
    return type(getattr(cause, "reason", cause)).__name__
