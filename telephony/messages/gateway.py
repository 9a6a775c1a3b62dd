"""Messages by a provider's HTTP gateway: one POST of JSON for each.

    POST url, Authorization: Bearer TOKEN   {"id", "to", "text"}   → 2xx {"id": its own id}

Any 2xx means that it has taken the message; 408, 429 and 5xx that it may do so later, any other 4xx
that it never will. It is followed nowhere else. What it says about a delivery later comes in at the
desk (`agent_desk/pages/hooks.py`).
"""

from __future__ import annotations

import json
from typing import Final

import aiohttp

from telephony.messages import MAX_ID, Accepted, NotTakenNow, PerhapsTaken, Refused, said

CONNECT_S: Final = 5.0
ANSWER_S: Final = 15.0
MAX_ANSWER: Final = 16 * 1024
MAYBE_LATER: Final = (408, 429)
NOT_REACHED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class GatewayChannel:
    """`url` takes the messages, `token` says that they are ours."""

    def __init__(self, url: str, token: str) -> None:
        self._url: Final = url
        self._headers: Final = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
        self._limits: Final = aiohttp.ClientTimeout(total=ANSWER_S, sock_connect=CONNECT_S)

    async def send(self, message: str, to: str, text: str) -> Accepted:
        """See `Channel.send`."""
        body = {"id": message, "to": to, "text": text}
        try:
            async with (
                # One connection a message: a stale one would leave the message in doubt.
                aiohttp.ClientSession(
                    headers=self._headers, timeout=self._limits, auto_decompress=False
                ) as session,
                session.post(self._url, json=body, allow_redirects=False) as answer,
            ):
                return await self._read(answer)
        except NOT_REACHED as away:
            raise NotTakenNow("unreachable", type(away).__name__) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as broken:
            raise PerhapsTaken(type(broken).__name__) from None

    async def _read(self, answer: aiohttp.ClientResponse) -> Accepted:
        if 200 <= answer.status < 300:
            return Accepted(provider_id=await self._id_in(answer))
        is_final = 400 <= answer.status < 500 and answer.status not in MAYBE_LATER
        kind = Refused if is_final else NotTakenNow
        raise kind(f"HTTP {answer.status}", answer.reason or "")

    async def _id_in(self, answer: aiohttp.ClientResponse) -> str:
        """The gateway's own id; empty where it says none that could be understood."""
        try:
            body = json.loads(await read_at_most(answer.content, MAX_ANSWER))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, RecursionError):
            # It has taken the message; that is known already.
            return ""
        own = body.get("id", "") if isinstance(body, dict) else ""
        return said(own, MAX_ID) if isinstance(own, str | int) else ""


async def read_at_most(stream: aiohttp.StreamReader, limit: int) -> bytes:
    """All that comes. Raises ValueError when it is more than `limit` bytes."""
    got = bytearray()
    async for part in stream.iter_any():
        got += part
        if len(got) > limit:
            raise ValueError(f"more than {limit} bytes")
    return bytes(got)
