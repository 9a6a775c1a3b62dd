"""The telephones in the browser: which seats have theirs there, as entries in Asterisk's database.

A seat that has is rung by the same name, PJSIP/1001, as one with a telephone on the table. Its
entry stands before the endpoint of pjsip.conf (asterisk_conf/templates/sorcery.conf.j2), with what
a browser needs and a password that is good for one connection. Nothing here knows a call.

The entries are written over AMI and not over ARI. Asterisk reads them at every request, so that one
that is taken back is refused from the next request on, as with ARI; a talk goes on. They outlive
Asterisk: one that is restarted has them still, where ARI's would be gone until somebody made them
again, and is held to the desk's word as soon as we are connected. And no ARI module is loaded,
which could do far more to calls than this and would have to be kept from everybody.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Final, NamedTuple

from telephony.ami import Ami, AmiDown, AmiRefused
from workflows.errors import NotFound, TelephonyDown

logger = logging.getLogger(__name__)

FAMILY: Final = "desk"
AGAIN_S: Final = 0.5
LOST_AFTER_S: Final = 5
"""Silence after which a browser is gone from its talk, also while it holds: it sends all the time.

Asterisk counts whole seconds, so that it is given up after 4 to 6. Until then a page that was
loaded again takes the talk up (phone-line.js).
"""

# What the endpoint of pjsip.conf has too, and what only a browser needs. A manager's line may have
# 1,000 bytes, so nothing that Asterisk does anyway is said.
BROWSER: Final = {
    "context": "from-seat",
    # Otherwise the name of the machine.
    "from_domain": "careline",
    "identify_by": "username",
    "disallow": "all",
    "allow": "alaw,ulaw",
    "device_state_busy_at": "1",
    "rtp_timeout": str(LOST_AFTER_S),
    "rtp_timeout_hold": str(LOST_AFTER_S),
    "language": "zh",
    "tone_zone": "cn",
    "direct_media": "no",
    "allow_subscribe": "no",
    "allow_transfer": "no",
    "webrtc": "yes",
}


class SeatLine(NamedTuple):
    """A seat as its callers see it. `media_host` is empty when any address of ours will do."""

    extension: str
    name: str
    media_host: str


class DeskPhones:
    """Holds Asterisk to the desk's word. Only the desk knows which browsers are there."""

    def __init__(self, ami: Ami, seats: Mapping[str, SeatLine]) -> None:
        self._ami: Final = ami
        self._seats: Final = dict(seats)
        # None until the desk has spoken: a controller that comes back changes nothing before.
        self._wanted: dict[str, str] | None = None
        # What Asterisk is known to have: the password by extension, empty for none.
        self._done: dict[str, str] = {}
        self._one_at_a_time: Final = asyncio.Lock()
        self._look: Final = asyncio.Event()

    async def keep(self, phones: Mapping[str, str]) -> None:
        """These seats, and no others, have their telephone in a browser: extension to password.

        Raises NotFound for an unknown seat, TelephonyDown when Asterisk is away; then it is done as
        soon as Asterisk is back.
        """
        if unknown := phones.keys() - self._seats.keys():
            raise NotFound(f"there is no seat {min(unknown)}")
        self._wanted = dict(phones)
        try:
            await self._apply()
        except (AmiDown, AmiRefused, TimeoutError) as cause:
            self._look.set()
            raise TelephonyDown(f"Asterisk took no password: {cause}") from None

    def connected(self) -> None:
        """Asterisk is there, perhaps a new one that knows of nothing."""
        self._done.clear()
        self._look.set()

    async def run(self) -> None:
        while True:
            await self._look.wait()
            self._look.clear()
            try:
                await self._apply()
            except (AmiDown, AmiRefused, TimeoutError) as cause:
                logger.warning("the telephones in the browsers wait: %s", cause)
                await asyncio.sleep(AGAIN_S)
                if self._ami.is_up:
                    self._look.set()

    async def _apply(self) -> None:
        async with self._one_at_a_time:
            if self._wanted is None:
                return
            for extension in self._seats:
                password = self._wanted.get(extension, "")
                if self._done.get(extension) == password:
                    continue
                # Until it is done nobody knows what Asterisk has.
                self._done.pop(extension, None)
                await (self._give(extension, password) if password else self._take_back(extension))
                self._done[extension] = password

    async def _give(self, extension: str, password: str) -> None:
        # The password first: an endpoint that names one which is not there accepts nobody.
        await self._put("auth", f"{extension}-desk", auth(extension, password))
        await self._put("endpoint", extension, endpoint(self._seats[extension]))

    async def _put(self, kind: str, key: str, fields: Mapping[str, str]) -> None:
        value = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        await self._ami.action("DBPut", Family=f"{FAMILY}/{kind}", Key=key, Val=value)

    async def _take_back(self, extension: str) -> None:
        for kind, key in (("endpoint", extension), ("auth", f"{extension}-desk")):
            try:
                await self._ami.action("DBDel", Family=f"{FAMILY}/{kind}", Key=key)
            except AmiRefused:
                # It was not there.
                continue


def auth(extension: str, password: str) -> dict[str, str]:
    """The password of one connection."""
    return {"auth_type": "userpass", "username": f"{extension}-desk", "password": password}


def endpoint(seat: SeatLine) -> dict[str, str]:
    """The seat with a browser as its telephone; the one on the table stays registered."""
    where = {"media_address": seat.media_host, "bind_rtp_to_media_address": "yes"}
    return {
        **BROWSER,
        "aors": f"{seat.extension}-desk,{seat.extension}",
        "auth": f"{seat.extension}-desk,{seat.extension}",
        "callerid": f'"{seat.name or seat.extension}" <{seat.extension}>',
        "set_var": f"CARELINE_SEAT={seat.extension}",
        **(where if seat.media_host else {}),
    }
