"""The fourth process, in practice only: it plays the town. Part of the composition."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from asterisk_conf.ports import AMI_PORT
from control import Controller, ControllerDown, serving
from home import Home
from practice import ROBOTS, town_hosts
from settings import Settings
from sql.audit import Actor
from sql.engine import Database
from sql.numbers import e164
from sql.queries import elders
from sql.registers import elders as register
from telephony.ami import Ami, Login
from telephony.practice.door import town_app
from telephony.practice.player import Player
from telephony.practice.town import Elder, Town, read
from workflows.call_facts import State as CallState
from workflows.commands import PauseSeat, RenewContacts, ResumeSeat
from workflows.errors import CarelineError
from workflows.seat import State as SeatState

logger = logging.getLogger(__name__)

BY: Final = "practice"
A_PERSON_IS_THERE: Final = "有人值班"
ABSENT: Final = (SeatState.OFFLINE.value, SeatState.PAUSED.value)


async def practice(settings: Settings, home: Home, ready: Callable[[], None]) -> None:
    """Enter the town's elders, then play until cancelled."""
    town, centre = read(), settings.centre
    normalise = partial(e164, country=centre.country_code, area=centre.area_code)
    callers = [normalise(elder.number) for elder in town.elders]
    database = Database(settings.database_url(home.root))
    try:
        uids, new = await enter_elders(database, town, normalise, settings.sites[0].code)
    finally:
        await database.close()
    ami = Ami(Login(town_hosts(settings)[0], AMI_PORT, "carrier", home.secret("town")))
    player = Player(
        town, ami,
        numbers=settings.numbers.model_dump(), callers=callers, every_s=settings.practice.every_s,
    )  # fmt: skip
    link = Controller(home.control_socket, home.secret("control"))
    try:
        async with serving(town_app(player, uids), home.town_socket), asyncio.TaskGroup() as tasks:
            for work in (ami.run, player.hear, player.let_go, player.keep_rhythm):
                tasks.create_task(work())
            tasks.create_task(Robots(player, link).follow())
            ready()
            await tell_contacts(link, new)
    finally:
        await link.close()


async def tell_contacts(link: Controller, numbers: Sequence[str]) -> None:
    """Have Asterisk know the contacts of the new elders before the first of them calls."""
    if not numbers:
        return
    wish = RenewContacts(case_id=BY, at=datetime.now(UTC), by=BY, numbers=tuple(numbers))
    try:
        await link.tell(wish)
    except (CarelineError, ControllerDown) as cause:
        logger.warning("the town's contacts are known later: %s", cause)


async def enter_elders(
    database: Database, town: Town, normalise: Callable[[str], str], site: str
) -> tuple[list[str], list[str]]:
    """Put the elders of the town that are not there yet into the register, as a person would.

    Returns the unique codes of all, and the numbers (E.164) of those who are new. An elder is known
    by number and name, so that one whom somebody has changed is left alone.
    """
    uids, new = [], []
    async with database.writing("the elders of the practice town") as session:
        for elder in town.elders:
            number = normalise(elder.number)
            there = await elders.by_number(session, number)
            one = next((e for e in there if e.full_name == elder.name), None)
            if one is None:
                entry = entry_of(elder, town.district, normalise, site)
                one = await register.enter(session, Actor(BY), entry, datetime.now(UTC))
                new.append(number)
            uids.append(one.elder_uid)
    return uids, new


def entry_of(
    elder: Elder, district: str, normalise: Callable[[str], str], site: str
) -> register.Entry:
    """All that a person would have written down about the elder."""
    return register.Entry(
        fields={
            "full_name": elder.name,
            "sex": elder.sex,
            "birth_date": elder.born,
            "site": site,
            "addr_district": district,
            "addr_street": elder.street,
            "addr_compound": elder.compound,
            "addr_building": elder.building,
            "addr_unit": elder.unit,
            "addr_floor": elder.floor,
            "addr_room": elder.room,
            "landmark": elder.landmark,
            "entry_route": elder.way_in,
            "living_arrangement": elder.lives,
            "risk_plan": elder.risks,
            "main_diseases": elder.diseases,
            "medication_state": elder.medication,
            "remark": elder.remark,
        },
        numbers=[(normalise(elder.number), elder.number)],
        contacts=[
            register.Contact(
                None, contact.name, contact.relation, place, True,
                [(normalise(contact.number), contact.number)],
            )
            for place, contact in enumerate(elder.contacts, start=1)
        ],
        terminals=[register.Device(None, elder.terminal, "one_key", None, "active")]
        if elder.terminal
        else [],
    )  # fmt: skip


class Robots:
    """Follows the controller's feed: who talks, and whether a person has a seat.

    Robots pause while a person is signed in and not pausing. The queues would ring them last in any
    case; so they are not rung at all.
    """

    def __init__(self, player: Player, link: Controller) -> None:
        self._player: Final = player
        self._link: Final = link
        self._seats: dict[str, str] = {}

    async def follow(self) -> None:
        async for message in self._link.feed("call", "seat"):
            kind, data = message["kind"], message["data"]
            if kind == "snapshot":
                self._seats = {seat["extension"]: seat["state"] for seat in data["seats"]}
                for call in data["calls"]:
                    await self._look_at(call)
            elif kind == "call":
                await self._look_at(data)
            elif kind == "seat":
                self._seats[data["extension"]] = data["state"]
            if kind in ("snapshot", "seat"):
                await self._give_way()

    async def _look_at(self, call: Mapping[str, Any]) -> None:
        if call["state"] == CallState.TALKING.value and call["direction"] == "inbound":
            await self._player.answered(call["id"], call["caller"])

    async def _give_way(self) -> None:
        persons = {s: state for s, state in self._seats.items() if s not in ROBOTS}
        has_person = any(state not in ABSENT for state in persons.values())
        if has_person and not self._player.has_person:
            await self._player.stop_ringing()
        self._player.has_person = has_person
        for robot in ROBOTS:
            is_paused = self._seats.get(robot) == SeatState.PAUSED.value
            # One that talks or rings is shown so; it is told again when that is over.
            if self._seats.get(robot) != SeatState.OFFLINE.value and is_paused != has_person:
                await self._tell(robot, has_person)

    async def _tell(self, robot: str, has_person: bool) -> None:
        now = datetime.now(UTC)
        wish = (
            PauseSeat(case_id=robot, at=now, by=BY, reason=A_PERSON_IS_THERE)
            if has_person
            else ResumeSeat(case_id=robot, at=now, by=BY)
        )
        try:
            await self._link.tell(wish)
        except (CarelineError, ControllerDown) as cause:
            logger.info("the robot %s was not told: %s", robot, cause)
