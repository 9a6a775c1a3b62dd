"""Brings the system itself to what Careline needs: Debian packages and the telephone's user."""

from __future__ import annotations

import pwd
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from launch.asterisk_tree import OLDEST_VERSION, look, release_expired
from launch.steps import Ended, SetupError, failed, is_root, run, say

ASTERISK_USER: Final = "careline"
RUN_PACKAGES: Final = (
    "ca-certificates", "ffmpeg",
    # What prints: WeasyPrint loads these, and the font has every Chinese character.
    "fonts-wqy-microhei", "libharfbuzz-subset0", "libpango-1.0-0", "libpangoft2-1.0-0",
)  # fmt: skip
# What the tests of each part need beyond their Python packages. The unit tests need nothing.
TEST_PACKAGES: Final = {
    "unit": (),
    "database": ("postgresql", "ffmpeg"),
    "desk": ("chromium", "fonts-wqy-microhei", "poppler-utils"),
    "asterisk": ("gcc", "libc6-dev", "postgresql"),
    "faults": ("faketime", "iproute2", "mount", "systemd", "util-linux"),
}
PARTS: Final = tuple(TEST_PACKAGES)
APT_LISTS: Final = Path("/var/lib/apt/lists")
CLUSTER_SETTING: Final = Path("/etc/postgresql-common/createcluster.conf")
CHECK_VALID_OFF: Final = "-oAcquire::Check-Valid-Until=false"


def missing(packages: Iterable[str]) -> tuple[str, ...]:
    """Those of the packages that dpkg does not call wholly installed, in their order."""
    wanted = tuple(dict.fromkeys(packages))
    if not wanted:
        return ()
    if shutil.which("dpkg-query") is None:
        raise SetupError(
            "this machine has no dpkg, and Careline sets itself up on Debian and its relatives "
            f"only.\n    Use Debian 12 or newer. It would install: {' '.join(wanted)}"
        )
    told = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    installed = {
        name
        for name, _, status in (line.partition(" ") for line in told.splitlines())
        if status == "installed"
    }
    return tuple(name for name in wanted if name not in installed)


def asterisk_packages() -> tuple[str, ...]:
    """The package that leads to an Asterisk: itself where apt has a new one, else the unpacker."""
    if look() is not None:
        return ()
    if distribution_has_asterisk(_apt_cache_policy("asterisk")):
        return ("asterisk",)
    return ("mmdebstrap",)


def distribution_has_asterisk(policy: str) -> bool:
    """Whether `apt-cache policy asterisk` offers a version that is new enough."""
    match = re.search(r"^\s*Candidate: (?:\d+:)?(\d+)", policy, re.MULTILINE)
    return match is not None and int(match[1]) >= OLDEST_VERSION


def _apt_cache_policy(package: str) -> str:
    if shutil.which("apt-cache") is None:
        return ""
    if is_root() and lists_are_empty():
        _update()
    return run(["apt-cache", "policy", package]).text


def lists_are_empty() -> bool:
    """Whether apt knows no package yet, as on a machine that was just made."""
    return not any(APT_LISTS.glob("*_Packages*"))


def command_for_a_person(packages: Iterable[str]) -> str:
    """What somebody who may become root has to type, ready to be copied."""
    update = "sudo apt-get update && " if lists_are_empty() else ""
    return f"{update}sudo apt-get install --no-install-recommends {' '.join(packages)}"


def install(packages: tuple[str, ...]) -> None:
    """Install system packages as root; anybody else is told the command."""
    if not packages:
        return
    if not is_root():
        raise SetupError(
            "system packages are missing, and only root can install them. Run\n"
            f"    {command_for_a_person(packages)}\n    then start again."
        )
    if lists_are_empty():
        _update()
    say(f"installing {', '.join(packages)}")
    if "asterisk" in packages:
        _keep_from_starting("asterisk.service")
    if "postgresql" in packages:
        _keep_from_making_a_cluster()
    ended = _install(packages)
    if ended.code != 0 and "dpkg --configure -a" in ended.text:
        say("an earlier installation was interrupted; completing it")
        run(["dpkg", "--configure", "-a"], env={"DEBIAN_FRONTEND": "noninteractive"})
        ended = _install(packages)
    if ended.code != 0 and re.search(
        r"404 +Not Found|Unable to locate|no installation candidate", ended.text
    ):
        _update()
        ended = _install(packages)
    if ended.code != 0:
        raise failed(f"installing {', '.join(packages)}", ended)


def _install(packages: tuple[str, ...]) -> Ended:
    return _apt_get("install", "-y", "--no-install-recommends", *packages)


def _update() -> None:
    say("reading the distribution's package lists")
    ended = _apt_get("update", "--error-on=any")
    if ended.code != 0 and release_expired(ended.text):
        say("the archive's Release file has expired; going on with its signature check alone")
        ended = _apt_get("update", "--error-on=any", CHECK_VALID_OFF)
    if ended.code != 0:
        raise failed("reading the package lists", ended)


def _apt_get(*words: str) -> Ended:
    """Run apt-get so that it asks nothing and waits for another apt instead of failing."""
    return run(
        ["apt-get", "-q", "-oDPkg::Lock::Timeout=300", "-oDpkg::Options::=--force-confold", *words],
        env={"DEBIAN_FRONTEND": "noninteractive", "UCF_FORCE_CONFFOLD": "1"},
    )


def _keep_from_starting(service: str) -> None:
    """Careline runs its own instance; the package's would take the telephone ports first."""
    if shutil.which("systemctl") is None:
        return
    say(f"masking {service}, since Careline runs an instance of its own")
    run(["systemctl", "mask", service])


def _keep_from_making_a_cluster() -> None:
    """The tests make a PostgreSQL cluster of their own and need no server on the usual port."""
    if not CLUSTER_SETTING.exists():
        CLUSTER_SETTING.parent.mkdir(parents=True, exist_ok=True)
        CLUSTER_SETTING.write_text("create_main_cluster = false\n", encoding="ascii")


def make_user() -> None:
    """Make the user whom Asterisk runs as when root starts Careline."""
    if not is_root() or _user_exists():
        return
    say(f"making the system user {ASTERISK_USER}, whom Asterisk runs as")
    ended = run(
        [
            "useradd",
            "--system",
            "--user-group",
            "--no-create-home",
            "--home-dir=/nonexistent",
            "--shell=/usr/sbin/nologin",
            ASTERISK_USER,
        ]
    )
    if ended.code != 0 and not _user_exists():
        raise failed(f"making the user {ASTERISK_USER}", ended)


def _user_exists() -> bool:
    try:
        pwd.getpwnam(ASTERISK_USER)
    except KeyError:
        return False
    return True
