"""Set-up that meets a bad machine: killed half-way, forbidden, full, interrupted, started twice.

Everything here is real but the download: a program in mmdebstrap's place lays down a tiny tree
and can be told to take its time, so that it can be caught in the middle.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launch.steps import CHECKOUT

NOBODY = 65534
FAKE_MMDEBSTRAP = """\
#!/bin/sh
for tree; do :; done
echo begun >> "$CALLS"
mkdir -p "$tree/usr/lib/x86_64-linux-gnu" "$tree/usr/share/asterisk/sounds"
printf '#!/bin/sh\\necho Asterisk 22.10.1+dfsg\\n' > "$tree/usr/lib/x86_64-linux-gnu/ld-linux.so.2"
chmod +x "$tree/usr/lib/x86_64-linux-gnu/ld-linux.so.2"
[ -z "$BIG" ] || dd if=/dev/zero of="$tree/big" bs=1M count=8 || exit 1
sleep "${SLOW:-0}"
"""
UNPACK = """\
import sys
from pathlib import Path
from launch import asterisk_tree, main
asterisk_tree.SHARED_CACHE = Path(sys.argv[1])
asterisk_tree.INSTALLED = Path("/nonexistent/asterisk")
asterisk_tree.SPACE_MB = int(sys.argv[2])
def work():
    main.all_of([asterisk_tree.unpack])
    print(asterisk_tree.find().version)
    return 0
sys.exit(main.guarded(work))
"""


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="careline-setup-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def small_disk(ground: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    place = ground / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode != 0:
        pytest.fail(f"this test mounts a small file system; run it as root: {mounted.stderr}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@dataclass(frozen=True)
class Unpacking:
    """Starts the launcher's unpacking into one cache, as often as wanted."""

    ground: Path
    cache: Path

    def start(
        self, *, slow: int = 0, big: bool = False, space_mb: int = 0
    ) -> subprocess.Popen[str]:
        """Begin an unpacking in a process of its own."""
        program = self.ground / "bin/mmdebstrap"
        if not program.exists():
            program.parent.mkdir()
            program.write_text(FAKE_MMDEBSTRAP)
            program.chmod(0o755)
        env = {
            **os.environ,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(CHECKOUT),
            "XDG_CACHE_HOME": str(self.cache.parent),
            "CALLS": str(self.ground / "calls"),
            "SLOW": str(slow),
            "BIG": "yes" if big else "",
        }
        return subprocess.Popen(
            [sys.executable, "-c", UNPACK, str(self.cache), str(space_mb)],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def half(self) -> list[Path]:
        """The trees that are being made, or were left so."""
        return list(self.cache.glob("half-*"))

    def calls(self) -> int:
        """How often a download was begun."""
        path = self.ground / "calls"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def unpacking(ground: Path) -> Unpacking:
    """Unpacking into a cache that does not exist yet."""
    return Unpacking(ground, ground / "careline")


def until(true: Callable[[], object], seconds: float = 10) -> None:
    """Wait for what another process is about to do."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def as_nobody(argv: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program as a user who owns nothing."""
    if os.geteuid() != 0:
        pytest.fail("this test becomes another user; run it as root")
    return subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **env},
    )  # fmt: skip


def copy_launcher(place: Path) -> Path:
    """Lay a checkout of the launcher alone, without an environment."""
    place.mkdir(exist_ok=True)
    shutil.copytree(
        CHECKOUT / "launch", place / "launch", ignore=shutil.ignore_patterns("__pycache__")
    )
    for path in [CHECKOUT / "careline", *CHECKOUT.glob("requirements*.lock")]:
        shutil.copy2(path, place)
    return place / "careline"


def test_killed_in_the_middle_it_is_made_anew(unpacking: Unpacking) -> None:
    first = unpacking.start(slow=2)
    until(lambda: unpacking.calls() == 1 and unpacking.half())
    first.kill()
    first.communicate()
    second = unpacking.start()
    said = second.communicate(timeout=30)
    assert second.returncode == 0, said
    assert said[0] == "22.10.1\n"
    assert "another start is unpacking" in said[1], "the orphan still writes; it is waited for"
    assert "left by a set-up that did not finish" in said[1]
    assert unpacking.half() == []
    assert unpacking.calls() == 2


def test_ctrl_c_leaves_nothing(unpacking: Unpacking) -> None:
    start = unpacking.start(slow=60)
    until(lambda: unpacking.calls() == 1 and unpacking.half())
    start.send_signal(signal.SIGINT)
    said = start.communicate(timeout=10)[1]
    assert start.returncode == 130, said
    assert "stopped" in said
    assert "Traceback" not in said
    assert [path.name for path in unpacking.cache.iterdir()] == ["lock"]


def test_two_starts_download_once(unpacking: Unpacking) -> None:
    starts = [unpacking.start(slow=1) for _ in range(2)]
    said = [start.communicate(timeout=30) for start in starts]
    assert [start.returncode for start in starts] == [0, 0], said
    assert [out for out, _ in said] == ["22.10.1\n"] * 2
    assert unpacking.calls() == 1


def test_waiting_for_another_start_can_be_interrupted(unpacking: Unpacking) -> None:
    first = unpacking.start(slow=3)
    until(unpacking.half)
    second = unpacking.start()
    assert second.stderr is not None
    assert "another start is unpacking" in second.stderr.readline()
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=2)
    assert second.returncode == 130
    first.communicate(timeout=20)
    assert first.returncode == 0


def test_a_disk_that_fills_up_on_the_way_leaves_nothing(small_disk: Path, ground: Path) -> None:
    unpacking = Unpacking(ground, small_disk / "careline")
    start = unpacking.start(big=True)
    said = start.communicate(timeout=30)[1]
    assert start.returncode == 2, said
    assert "the disk is full" in said
    assert "Make room, then start again" in said
    assert [path.name for path in unpacking.cache.iterdir()] == ["lock"]


def test_a_disk_too_small_is_told_before_any_download(small_disk: Path, ground: Path) -> None:
    unpacking = Unpacking(ground, small_disk / "careline")
    start = unpacking.start(space_mb=500)
    said = start.communicate(timeout=30)[1]
    assert start.returncode == 2
    assert f"Asterisk needs about 500 MB in {unpacking.cache}, where only 2 MB are free" in said
    assert unpacking.calls() == 0


def test_a_checkout_on_a_full_disk_is_told_so(small_disk: Path) -> None:
    careline = copy_launcher(small_disk / "checkout")
    ended = subprocess.run(
        [sys.executable, "-B", careline, "check"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert "the virtual environment needs about" in ended.stderr
    assert not (small_disk / "checkout/.venv").exists()


def test_a_disk_that_fills_under_the_environment_leaves_nothing(small_disk: Path) -> None:
    checkout = small_disk / "checkout"
    copy_launcher(checkout)
    program = (
        "import sys; from launch import main, venv\n"
        "venv.SPACE_MB = dict.fromkeys(venv.Kind, 0)\n"
        "sys.exit(main.guarded(lambda: venv.Environment().make(venv.Kind.RUN) or 0))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-B", "-c", program],
        cwd=checkout, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert "the disk is full" in ended.stderr
    assert not (checkout / ".venv").exists()


def test_a_checkout_of_somebody_else_is_told_so(ground: Path) -> None:
    careline = copy_launcher(ground / "checkout")
    ended = as_nobody(["/usr/bin/python3", "-B", str(careline), "check"])
    assert ended.returncode == 2, ended.stderr
    assert f"no permission to write there ({careline.parent}/.venv.lock)" in ended.stderr
    assert "Start it as the user who owns the place" in ended.stderr


def test_a_cache_of_somebody_else_is_told_so(ground: Path) -> None:
    closed = ground / "closed"
    closed.mkdir(mode=0o755)
    copy_launcher(ground / "checkout")
    ended = as_nobody(
        ["/usr/bin/python3", "-B", "-c", UNPACK, str(ground / "none"), "0"],
        XDG_CACHE_HOME=str(closed), PYTHONPATH=str(ground / "checkout"),
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert f"no permission to write there ({closed}/careline)" in ended.stderr


def test_a_tree_is_readable_by_the_user_whom_asterisk_runs_as(unpacking: Unpacking) -> None:
    mask = os.umask(0o077)
    try:
        start = unpacking.start()
    finally:
        os.umask(mask)
    assert start.communicate(timeout=30)[0] == "22.10.1\n"
    for path in unpacking.cache.rglob("*"):
        wanted = stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0)
        if path.is_relative_to(next(unpacking.cache.glob("asterisk-*"))) and not path.is_symlink():
            assert path.stat().st_mode & wanted == wanted, path


def test_a_home_without_permission_is_said_with_the_place_and_the_way_out(ground: Path) -> None:
    """As another user when this one is root, whom nothing forbids."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom home import BadHome, Home\n"
        "try:\n    Home(Path(sys.argv[1])).prepare()\nexcept BadHome as bad:\n    print(bad)\n"
    )
    ground.chmod(0o555)
    ended = subprocess.run(
        [sys.executable, "-B", "-c", program, ground / "home"],
        cwd=CHECKOUT, user=NOBODY if os.geteuid() == 0 else None,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    ground.chmod(0o755)
    assert f"{ground}/home: no permission to write there; name another place" in ended.stdout, (
        ended.stderr
    )
