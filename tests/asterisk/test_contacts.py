"""The elders' contacts in Asterisk's own database: where the dialplan looks for them."""

from __future__ import annotations

import asyncio

from telephony.ami import Ami, Login
from telephony.contacts import write_contacts
from tests.asterisk.conftest import Centre

ELDER = "+86 138-0000-0001"
KEY = "+8613800000001"


async def written(centre: Centre, *numbers: str) -> None:
    """Write these as the elder's contacts, as the controller does."""
    login = Login(centre.settings.addresses.internal, 5038, "careline", centre.home.secret("ami"))
    ami = Ami(login)
    connecting = asyncio.create_task(ami.run())
    async with asyncio.timeout(10):
        while (event := await ami.events.get()) is None or event != {"Event": "Connected"}:
            continue
    await write_contacts(ami, {ELDER: numbers, "": ("1",)})
    connecting.cancel()
    await asyncio.wait((connecting,))


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
