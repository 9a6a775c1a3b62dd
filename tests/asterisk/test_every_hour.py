"""At three in the night of the Spring Festival a call is taken like any other, from anywhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from asterisk_conf.instance import Installation
from home import Home
from settings import Settings
from sql.models import CallRecord, Elder
from sql.queries import calls
from tests.asterisk.conftest import Centre, running_centre
from tests.audio import tone_seconds
from tests.house import House, ended_call, running, write_config
from tests.observer import Observer, wait_until
from tests.raw_sip import RawPeer
from tests.telephone import Block, Carrier, claim_addresses

ELDER: Final = 480
SEAT: Final = 740
ENOUGH_S: Final = 1.5
HOLIDAY: Final = datetime(2027, 2, 6, 3, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
TIMES: Final = re.compile(
    r"GotoIfTime|ExecIfTime|IFTIME|TESTTIME|STRFTIME|STRPTIME|EPOCH|DATETIME|include *=> *\S+[,|]",
    re.IGNORECASE,
)
"""Every way in which a dialplan can know what time it is."""
OTHER_CLOCK: Final = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sys/time.h>
#include <time.h>

int clock_gettime(clockid_t which, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(which, now);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        now->tv_sec += AHEAD;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    int failed = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *also)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (also) *also = now.tv_sec;
    return now.tv_sec;
}

/* The kernel waits by the real clock. */
int pthread_cond_timedwait(pthread_cond_t *restrict what, pthread_mutex_t *restrict lock,
                           const struct timespec *restrict until)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real) real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    struct timespec then = *until;
    if (then.tv_sec > 1000000000) then.tv_sec -= AHEAD;
    return real(what, lock, &then);
}
"""


@dataclass(frozen=True, slots=True)
class WithClock:
    """An Asterisk for which it is another time; fulfils `asterisk_conf.instance.Installation`."""

    command: Sequence[str]
    modules_dir: Path
    data_dir: Path


def moved(asterisk: Installation, folder: Path, to: datetime) -> WithClock:
    """The Asterisk whose clock says `to` now, and goes on from there."""
    compiler = shutil.which("cc")
    assert compiler, "there is no C compiler; ./careline test asterisk installs gcc and libc6-dev"
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(OTHER_CLOCK, "ascii")
    ahead = f"-DAHEAD=({int(to.timestamp() - time.time())})"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", ahead, "-o", library, source, "-ldl"], check=True
    )
    library.chmod(0o755)
    command = ("env", f"LD_PRELOAD={library}", *asterisk.command)
    return WithClock(command, asterisk.modules_dir, asterisk.data_dir)


@pytest.fixture(scope="module")
def night(
    place: Path, prompts: Path, installation: Installation, asterisk_user: str
) -> Iterator[tuple[Centre, Carrier]]:
    """Three in the night of a public holiday; of two seats one is signed in."""
    folder = place / "night"
    folder.mkdir(mode=0o711)
    with claim_addresses(130) as block:
        settings = Settings.model_validate(
            {
                "centre": {"node": "night"},
                "addresses": {"host": block.centre},
                "trunks": [{"name": "carrier", "host": f"{block.carrier}:5060"}],
            }
        )
        home, then = Home(folder / "home"), moved(installation, folder, HOLIDAY)
        with running_centre(home, settings, then, asterisk_user, prompts) as centre:
            roster = {"1001": home.seat_passwords(("1001", "1002"))["1001"]}
            carrier = Carrier(
                folder / "carrier", installation, asterisk_user, block,
                settings.addresses.sip_address, roster,
            )  # fmt: skip
            carrier.start()
            try:
                carrier.wait_registered()
                yield centre, carrier
            finally:
                carrier.stop()


@pytest.mark.row("ACD-01")
@pytest.mark.parametrize("number", ["96100", "96101", "96102", "555000"])
def test_a_call_in_the_night_of_a_holiday_is_queued_and_answered(
    night: tuple[Centre, Carrier], number: str
) -> None:
    centre, carrier = night
    since = len(centre.observer.events)
    seat_phone = carrier.phone("1001").answers(0.2, SEAT)
    elder = carrier.call(number, tone=ELDER).wait_talking()
    joined = centre.observer.wait_for("QueueCallerJoin", 60, since)
    connected = centre.observer.wait_for("AgentConnect", 30, since)
    seat = wait_until(seat_phone.legs)[0].wait_talking()
    wait_until(lambda: seat.bytes_heard() > 16000 * 3, 10, "three seconds of talk")
    elder.hang_up()
    seat.wait_ended()
    assert connected["MemberName"] == "1001"
    then = datetime.fromtimestamp(float(joined["Timestamp"]), HOLIDAY.tzinfo)
    assert (then.date(), then.hour) == (HOLIDAY.date(), 3), "Asterisk's own clock"
    assert tone_seconds(elder.heard(), SEAT) > ENOUGH_S
    assert tone_seconds(seat.heard(), ELDER) > ENOUGH_S
    carrier.observer.assert_idle()
    centre.observer.assert_idle()


@pytest.mark.row("ACD-01")
def test_the_dialplan_does_not_know_what_time_it_is(centre_asterisk: Centre) -> None:
    """No line of it can lead anywhere by the hour, the day or the season."""
    text = (centre_asterisk.home.asterisk / "etc" / "extensions.conf").read_text("utf-8")
    said = [line for line in text.splitlines() if not line.lstrip().startswith(";")]
    assert len(said) > 100
    noted = " same => n,Set(CARELINE_QUEUED=${EPOCH})"
    # How long ago a phone refused is a difference of two times, whatever the hour is.
    refused = " same => n,Set(GLOBAL(REFUSED_${CARELINE_SEAT})=${EPOCH})"
    ago = " same => n,Set(LOCAL(GONE)=$[${EPOCH} - 0${GLOBAL(REFUSED_${ARG1})}])"
    known = {noted, refused, ago}
    assert [line for line in said if TIMES.search(line) and line not in known] == []
    # When the waiting began is only noted; nothing is decided by it.
    assert [line for line in said if "CARELINE_QUEUED" in line] == [noted]


# ── from other areas ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class TwoTrunks:
    """A house with a second carrier, whose calls are scripted."""

    house: House
    block: Block
    observer: Observer

    @property
    def second(self) -> str:
        """The second carrier's address, which is none of the first one's."""
        return self.block.caller(15)


@contextmanager
def house_of(folder: Path) -> Iterator[TwoTrunks]:
    with claim_addresses(150) as block:
        config = write_config(folder / "careline.toml", block)
        second = f'\n[[trunks]]\nname = "second"\nhost = "{block.caller(15)}:5060"\n'
        config.write_text(config.read_text("utf-8") + second, "utf-8")
        with running(folder / "home", config) as house:
            internal = house.settings.addresses.internal
            observer = Observer(internal, "careline", house.home.secret("ami"))
            yield TwoTrunks(house, block, observer)
            observer.assert_idle()
            observer.close()


@pytest.fixture(scope="module")
def two_trunks(place: Path) -> Iterator[TwoTrunks]:
    folder = place / "trunks"
    folder.mkdir(mode=0o711)
    with house_of(folder) as made:
        yield made


@pytest.mark.row("ACD-06")
@pytest.mark.parametrize("trunk", ["carrier", "second"])
@pytest.mark.parametrize(
    ("sent", "number"),
    [
        ("075587654321", "+8675587654321"),
        ("+861087654321", "+861087654321"),
        ("00861098765432", "+861098765432"),
        ("7654321", "+863747654321"),
    ],
    ids=["another area", "another area, E.164", "with 00", "our own area"],
)
def test_a_call_from_anywhere_finds_its_elder_and_waits_like_a_local_one(
    two_trunks: TwoTrunks, trunk: str, sent: str, number: str
) -> None:
    town, house = two_trunks, two_trunks.house
    uid = _elder_with(house, number)
    since = len(town.observer.events)
    host = town.block.caller(0) if trunk == "carrier" else town.second
    with RawPeer(host) as peer:
        call = peer.call(house.settings.addresses.sip_address, "96101", f"<sip:{sent}@{host}>")
        assert call.status() == 200
        call_id = town.observer.wait_for("CallArrived", since=since)["Call"]
        joined = town.observer.wait_for("QueueCallerJoin", 30, since)
        assert (joined["Queue"], joined["CARELINE_CALL"]) == ("hotline", call_id)
        call.hang_up()
    row = ended_call(house, call_id)
    assert (row.caller_no, row.trunk) == (number, trunk)
    assert (row.entry, row.queue) == ("report", "hotline")
    assert _elder_of(house, call_id) == uid


def _elder_with(house: House, number: str) -> str:
    """The elder of this number in the register, entered at the first time."""
    known = _elders.get((id(house), number))
    if known is None:
        known = _elders[(id(house), number)] = house.enter_elder(f"老人{number[-3:]}", number)
    return known


_elders: dict[tuple[int, str], str] = {}


def _elder_of(house: House, call_id: str) -> str | None:
    async def found(session: AsyncSession) -> str | None:
        latest: Sequence[tuple[CallRecord, Elder | None]] = await calls.latest(session, limit=10)
        return next((e.elder_uid for call, e in latest if call.id == call_id and e), None)

    return house.read(found)  # type: ignore[no-any-return]
