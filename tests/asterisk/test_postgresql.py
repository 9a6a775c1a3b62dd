"""The same call with the centre's data in a real PostgreSQL."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sql.queries import calls, orders
from tests.database.conftest import running_cluster
from tests.house import (
    Town,
    call_of,
    kept_recording,
    listen,
    running,
    town_of,
    write_config,
)
from tests.telephone import claim_addresses


@pytest.fixture
def town() -> Iterator[Town]:
    folder = Path(tempfile.mkdtemp(prefix="careline-"))
    folder.chmod(0o711)
    with claim_addresses(140) as block, running_cluster() as cluster:
        config = write_config(folder / "careline.toml", block)
        with config.open("a", encoding="utf-8") as file:
            file.write(f'[database]\nurl = "{cluster.new()}"\n')
        with (
            running(folder / "home", config) as house,
            town_of(house, block, folder / "carrier") as made,
        ):
            yield made
            made.assert_silent()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_call_is_whole_on_postgresql(town: Town) -> None:
    uid = town.house.enter_elder("测试老人丙", "+8637412349999")
    phone = town.carrier.phone("1001").answers(0.2, 740)
    since = len(town.observer.events)
    elder = town.carrier.call("96100", "037412349999", tone=480).wait_talking()
    call_id = call_of(town, since)
    phone.wait_ringing(45).wait_talking()
    listen(elder, 2, 740)
    elder.hang_up()
    row = kept_recording(town.house, call_id)
    assert (row.result, row.caller_no) == ("answered", "+8637412349999")
    assert not (town.house.home.root / "careline.db").exists()
    (linked,) = town.house.wait_for(lambda s: calls.orders_of(s, call_id), "its order")
    _, request, who = town.house.read(lambda s: orders.one(s, linked.order_no))
    assert (request.call_id, who.elder_uid) == (call_id, uid)
