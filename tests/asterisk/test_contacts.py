"""The elders' contacts in Asterisk's own database: where the dialplan looks for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sql.audit import Actor
from sql.engine import Database
from sql.migrate import seed, upgrade
from sql.registers import elders
from sql.registers.elders import Contact, Entry
from sql.rescue_contacts import wanted
from telephony.ami import Ami, Login
from telephony.contacts import RescueContacts, write_contacts
from tests.asterisk.conftest import Centre

ELDER = "+86 138-0000-0001"
KEY = "+8613800000001"
CLERK = Actor("周悦")


@asynccontextmanager
async def connected(centre: Centre) -> AsyncIterator[Ami]:
    """The controller's connection."""
    login = Login(centre.settings.addresses.internal, 5038, "careline", centre.home.secret("ami"))
    ami = Ami(login)
    connecting = asyncio.create_task(ami.run())
    async with asyncio.timeout(10):
        while (event := await ami.events.get()) is None or event != {"Event": "Connected"}:
            continue
    yield ami
    connecting.cancel()
    await asyncio.wait((connecting,))


async def written(centre: Centre, *numbers: str) -> None:
    """Write these as the elder's contacts, as the controller does."""
    async with connected(centre) as ami:
        await write_contacts(ami, {ELDER: numbers, "": ("1",)})


class Register:
    """The register of elders in a database of its own, and the controller's copying from it."""

    def __init__(self, centre: Centre, folder: Path) -> None:
        self._centre = centre
        self._url = f"sqlite+aiosqlite:///{folder / 'careline.db'}"
        upgrade(self._url)
        asyncio.run(self._run(self._seed))

    def enter(self, elder: str, *contacts: str) -> None:
        """A new elder with these contacts; then everything is compared, as after a connect."""
        asyncio.run(self._run(lambda database: self._enter(database, elder, contacts)))

    def change(self, elder: str, *contacts: str) -> None:
        """Others in their place; then the elder's number is renewed, as after a change."""
        asyncio.run(self._run(lambda database: self._change(database, elder, contacts)))

    async def _run(self, work: Callable[[Database], Awaitable[None]]) -> None:
        database = Database(self._url)
        try:
            await work(database)
        finally:
            await database.close()

    async def _seed(self, database: Database) -> None:
        await seed(database, {"main": "本部"}, {})

    async def _enter(self, database: Database, elder: str, contacts: Sequence[str]) -> None:
        async with database.writing() as session:
            await elders.enter(session, CLERK, _entry(elder, contacts), datetime.now(UTC))
        async with connected(self._centre) as ami:
            await RescueContacts(ami, partial(wanted, database, "86", "0374")).compare()

    async def _change(self, database: Database, elder: str, contacts: Sequence[str]) -> None:
        async with database.writing() as session:
            known = await elders.for_change(session, "E000001")
            assert known
            await elders.change(session, CLERK, known, _entry(elder, contacts), datetime.now(UTC))
        async with connected(self._centre) as ami:
            copying = RescueContacts(ami, partial(wanted, database, "86", "0374"))
            await copying.renew([f"+86{elder}"])


def _entry(elder: str, contacts: Sequence[str]) -> Entry:
    people = [
        Contact(None, f"联系人{place}", "", place, True, [(f"+86{number}", number)])
        for place, number in enumerate(contacts, 1)
    ]
    fields = {"full_name": "测试老人", "site": "main", "sex": "unknown", "user_status": "active"}
    return Entry(fields, [(f"+86{elder}", elder)], people, [])


def kept(centre: Centre) -> list[str]:
    shown = centre.cli(f"database show rescue/contact/{KEY}").splitlines()
    return [line.partition(":")[2].strip() for line in shown if line.startswith("/rescue")]


def test_contacts_are_written_in_order_and_take_the_place_of_the_former(
    centre_asterisk: Centre,
) -> None:
    asyncio.run(written(centre_asterisk, "139 0000 0001", "120", "0374-2345678", "+86110\n"))
    assert kept(centre_asterisk) == ["13900000001", "03742345678"]
    asyncio.run(written(centre_asterisk, "13900000002"))
    assert kept(centre_asterisk) == ["13900000002"]
    asyncio.run(written(centre_asterisk))
    assert kept(centre_asterisk) == []


def test_what_differs_is_written_and_what_nobody_wants_any_more_is_taken_out(
    centre_asterisk: Centre, tmp_path: Path
) -> None:
    """After a connect: another Asterisk, or changes while the controller was away."""
    asyncio.run(written(centre_asterisk, "13900000009"))
    Register(centre_asterisk, tmp_path).enter("13800000005", "13900000005", "120", "13900000006")
    listed = centre_asterisk.cli("database show rescue/contact")
    assert kept(centre_asterisk) == []
    for spelling in ("+8613800000005", "8613800000005", "13800000005"):
        for place, number in enumerate(("13900000005", "13900000006"), 1):
            line = f"/rescue/contact/{spelling}/{place}"
            assert [one.partition(":")[2].strip() for one in listed.splitlines()
                    if one.startswith(f"{line} ")] == [number]  # fmt: skip
    centre_asterisk.cli("database deltree rescue/contact")
