"""A real PostgreSQL falls in the middle of a call and comes back: the call does not notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.database.conftest import Cluster, running_cluster
from tests.faults.site import Site, open_site
from tests.faults.stages import STAGES, Scene, emergency_room
from tests.faults.truth import (
    assert_nobody_dialled_twice,
    assert_recording,
    assert_row,
    assert_seats,
)
from tests.observer import wait_until

NOTICED_S: Final = 20.0
"""The orders that were promised are looked for every 30 s; a call is noticed at once."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def site(cluster: Cluster) -> Iterator[Site]:
    with open_site(database=cluster.new()) as made:
        yield made


@contextmanager
def away(cluster: Cluster, site: Site) -> Iterator[None]:
    """It is shown while it lasts, and no longer."""
    cluster.stop()
    try:
        yield
        wait_until(lambda: "database" in site.alarms(), NOTICED_S, "the database's alarm")
    finally:
        cluster.start()
    wait_until(lambda: "database" not in site.alarms(), NOTICED_S, "the alarm's end")


def assert_whole(scene: Scene) -> None:
    scene.site.pause_seats(False)
    scene.site.hang_up_all()
    scene.site.assert_silent()
    assert_row(scene, {"answered"})
    assert_recording(scene, may_be_missing=False)
    assert_seats(scene.site)
    assert_nobody_dialled_twice(scene, answers_once=True)


@pytest.mark.row("BAK-06")
@pytest.mark.parametrize("stage", ["waiting", "talking", "emergency-room"])
def test_a_call_goes_on_without_postgresql(cluster: Cluster, site: Site, stage: str) -> None:
    scene = STAGES[stage](site)
    with away(cluster, site):
        scene.assert_held()
        scene.goes_on()
    assert_whole(scene)


@pytest.mark.row("BAK-06")
def test_an_emergency_that_comes_without_postgresql_reaches_a_seat(
    cluster: Cluster, site: Site
) -> None:
    with away(cluster, site):
        scene = emergency_room(site)
        assert scene.where == "room"
    scene.goes_on()
    assert_whole(scene)
