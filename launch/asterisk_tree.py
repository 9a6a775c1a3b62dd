"""Finds an Asterisk that this machine can run, or unpacks one into the cache."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from launch.steps import Ended, SetupError, failed, is_root, need_space, only_one, run, say

OLDEST_VERSION: Final = 20
# Debian 12 and 13 carry no Asterisk at all; the suite after them does.
SUITE: Final = "forky"
PACKAGES: Final = "asterisk,asterisk-modules"
SPACE_MB: Final = 500
STAMP: Final = "careline-tree.json"
SHARED_CACHE: Final = Path("/var/cache/careline")
INSTALLED: Final = Path("/usr/sbin/asterisk")


@dataclass(frozen=True, slots=True)
class Asterisk:
    """An Asterisk that can be started, wherever it lies.

    `command` is the beginning of the argument list: append `-C FILE -f` and the like. A tree
    needs no chroot, since its own loader runs it with its own libraries; the process is then
    called after the loader, so that it has to be known by its pid.
    """

    command: tuple[str, ...]
    modules_dir: Path
    data_dir: Path
    version: str


def cache_folder() -> Path:
    """Where this user keeps unpacked trees: shared by all checkouts, kept between starts."""
    if is_root():
        return SHARED_CACHE
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "careline"


def find() -> Asterisk:
    """The Asterisk to use: the distribution's when new enough, else a finished tree."""
    found = look()
    if found is None:
        raise SetupError(
            f"there is no Asterisk {OLDEST_VERSION} or newer on this machine yet.\n"
            "    Run ./careline prepare, which installs or unpacks one."
        )
    return found


def look() -> Asterisk | None:
    """Like `find`, but says nothing when there is none."""
    installed = _from_distribution()
    if installed is not None:
        return installed
    for tree in _finished_trees():
        return _in_tree(tree)
    return None


def _from_distribution() -> Asterisk | None:
    if not INSTALLED.exists():
        return None
    try:
        told = subprocess.run(
            [INSTALLED, "-V"], capture_output=True, text=True, check=False, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"Asterisk ((\d+)[\d.]*)", told)
    if match is None or int(match[2]) < OLDEST_VERSION:
        return None
    usr = INSTALLED.parent.parent
    for modules in sorted([*usr.glob("lib/*/asterisk/modules"), usr / "lib/asterisk/modules"]):
        if modules.is_dir():
            return Asterisk((str(INSTALLED),), modules, usr / "share/asterisk", match[1])
    return None


def _finished_trees() -> Iterator[Path]:
    """Trees whose stamp is there, newest first; what has no stamp was never finished."""
    for cache in dict.fromkeys((cache_folder(), SHARED_CACHE)):
        try:
            stamps = sorted(
                cache.glob(f"asterisk-*/{STAMP}"), key=lambda s: s.stat().st_mtime, reverse=True
            )
        except OSError:
            continue
        for stamp in stamps:
            if _stamped_version(stamp) is not None and _loader(stamp.parent) is not None:
                yield stamp.parent


def _stamped_version(stamp: Path) -> str | None:
    try:
        version = json.loads(stamp.read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return version if isinstance(version, str) else None


def _loader(tree: Path) -> Path | None:
    return next(iter(sorted(tree.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*"))), None)


def _in_tree(tree: Path) -> Asterisk:
    loader = _loader(tree)
    if loader is None:
        raise SetupError(f"{tree} holds no program loader.\n    Remove it, then start again.")
    libraries = loader.parent
    return Asterisk(
        command=(
            str(loader),
            "--library-path",
            f"{libraries}:{libraries / 'pulseaudio'}",
            str(tree / "usr/sbin/asterisk"),
        ),
        modules_dir=libraries / "asterisk/modules",
        data_dir=tree / "usr/share/asterisk",
        version=_stamped_version(tree / STAMP) or "",
    )


def unpack() -> Asterisk:
    """Download and unpack a tree, unless another start has just done it."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    waiting = "another start is unpacking Asterisk; waiting for it"
    with only_one(cache / "lock", waiting) as lock:
        found = look()
        if found is not None:
            return found
        _remove_half_finished(cache)
        need_space(cache, SPACE_MB, "Asterisk")
        say(f"unpacking Asterisk from Debian {SUITE} into {cache} (about 60 MB to download)")
        tree = cache / f"half-{os.getpid()}"
        try:
            _download(tree, lock)
            return _finish(tree)
        except BaseException:
            shutil.rmtree(tree, ignore_errors=True)
            raise


def _remove_half_finished(cache: Path) -> None:
    """Called under the lock: nobody else can be working on what is removed here."""
    for tree in [*cache.glob("half-*"), *cache.glob("asterisk-*")]:
        say(f"removing {tree}, left by a set-up that did not finish")
        shutil.rmtree(tree)


def _download(tree: Path, lock: int) -> None:
    ended = _mmdebstrap(tree, lock)
    if ended.code != 0 and release_expired(ended.text):
        say("the archive's Release file has expired; going on with its signature check alone")
        shutil.rmtree(tree, ignore_errors=True)
        ended = _mmdebstrap(tree, lock, '--aptopt=Acquire::Check-Valid-Until "false"')
    if ended.code == 0:
        return
    if release_not_yet_valid(ended.text):
        raise SetupError(
            "unpacking Asterisk failed: by this machine's clock the archive's Release file is "
            "from the future.\n    Set the clock, then start again."
        )
    raise failed("unpacking Asterisk", ended)


def proxies(config: str) -> list[str]:
    """The proxy lines of `apt-config dump`: mmdebstrap does not read the machine's own settings."""
    return re.findall(r"^(Acquire::https?::Proxy\S* \".+\";)$", config, re.MULTILINE)


def release_expired(text: str) -> bool:
    """Whether apt refused only because the Release file is older than its own limit."""
    errors = [line for line in text.splitlines() if line.startswith("E: ")]
    apt_errors = [line for line in errors if " failed" not in line]
    return bool(apt_errors) and all(
        line.startswith("E: Release file for ") and " is expired " in line for line in apt_errors
    )


def release_not_yet_valid(text: str) -> bool:
    """Whether apt refused because the clock stands before the Release file's date."""
    return re.search(r"Release file for \S+ is not valid yet", text) is not None


def _mmdebstrap(tree: Path, lock: int, *options: str) -> Ended:
    """Unpack only: no package's script is run, so neither root nor a chroot is needed.

    mmdebstrap refuses this mode to root because scripts could harm the machine; the variant
    `extract` runs none. The shared cache has to be readable by the user whom Asterisk runs as.
    """
    return run(
        [
            "mmdebstrap",
            "--mode=chrootless",
            "--skip=check/chrootless",
            "--variant=extract",
            f"--include={PACKAGES}",
            *(f"--aptopt={line}" for line in proxies(run(["apt-config", "dump"]).text)),
            *options,
            SUITE,
            str(tree),
        ],
        keep_open=[lock],
    )


def _finish(tree: Path) -> Asterisk:
    """Complete what package scripts would have done, stamp the tree, give it its name."""
    english = tree / "usr/share/asterisk/sounds/en"
    if not english.exists():
        english.symlink_to("en_US_f_Allison")
    told = run([*_in_tree(tree).command, "-V"])
    match = re.match(r"Asterisk (\d+\.[\d.]+)", told.text)
    if match is None:
        raise failed("starting the unpacked Asterisk", told)
    stamp = {"suite": SUITE, "version": match[1]}
    (tree / STAMP).write_text(json.dumps(stamp) + "\n", encoding="utf-8")
    tree.chmod(0o755)
    # A machine that loses power right after the rename must not find empty libraries.
    os.sync()
    final = tree.parent / f"asterisk-{SUITE}-{match[1]}"
    tree.rename(final)
    return _in_tree(final)
