"""The home: one directory with everything an instance keeps, and the secrets made for it.

careline.toml  careline.db  version
mode           real or practice, said at the first start and never changed
secrets/       AMI and control secrets, SIP passwords of the seats (mode 700)
recordings/    live/ is written by Asterisk; finished ones lie in YYYY/MM/DD
asterisk/      the rendered configuration and everything Asterisk writes
town/          the same for the practice town's Asterisk
rescue/        the journal of emergencies that are not in the database yet (mode 700)
logs/  run/    log files; lock, pids and the control socket
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REAL: Final = "real"
PRACTICE: Final = "practice"
LAYOUT: Final = 1
"""Raised when an older Careline could not work with what a newer one left in a home."""


class BadHome(Exception):
    """The home cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    """The places in one home. Making the object touches nothing; `prepare` makes the folders."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "careline.toml"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def recordings(self) -> Path:
        return self.root / "recordings"

    @property
    def live_recordings(self) -> Path:
        return self.recordings / "live"

    @property
    def asterisk(self) -> Path:
        return self.root / "asterisk"

    @property
    def town(self) -> Path:
        return self.root / "town"

    @property
    def rescue(self) -> Path:
        return self.root / "rescue"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def control_socket(self) -> Path:
        return self.run / "control.sock"

    @property
    def town_socket(self) -> Path:
        return self.run / "town.sock"

    @property
    def mode(self) -> str:
        """REAL or PRACTICE. A home from before there were two that was used is real; a new one
        has no mode yet ("")."""
        try:
            found = (self.root / "mode").read_text("utf-8", "replace").strip()
        except FileNotFoundError:
            was_used = (self.root / "careline.db").exists() or any(self.recordings.glob("2*"))
            return REAL if was_used else ""
        if found not in (REAL, PRACTICE):
            raise BadHome(
                f"{self.root / 'mode'} says {found[:40]!r}; right would be {REAL!r} or, when "
                f"nobody in this home is real, {PRACTICE!r}"
            )
        return found

    def mark(self, mode: str) -> None:
        """Say for good what this home is."""
        write_atomically(self.root / "mode", f"{mode}\n")

    def prepare(self) -> None:
        """Make the folders; refuse a home from a newer version, without room or permission."""
        try:
            self.refuse_newer()
            self.root.mkdir(parents=True, exist_ok=True)
            # Asterisk's user has to pass through to its own folders; nobody sees what is there.
            for folder in (self.root, self.recordings):
                make_folder(folder, 0o711)
            for folder in (self.asterisk, self.logs, self.run, self.secrets, self.rescue):
                make_folder(folder, 0o700)
            self.secrets.chmod(0o700)
            free = os.statvfs(self.root)
            if free.f_bavail * free.f_frsize < 50 * 2**20:
                raise BadHome(
                    f"{self.root}: less than 50 MB free; recordings would be lost. Free some "
                    "space or name another place with --home"
                )
            write_atomically(self.root / "version", f"{LAYOUT}\n")
        except PermissionError as cause:
            raise BadHome(
                f"{cause.filename}: no permission to write there; name another place with --home "
                "or give this user the folder"
            ) from None
        except OSError as cause:
            raise BadHome(
                f"{cause.filename or self.root}: {cause.strerror}; mend that and start "
                "again, nothing was lost"
            ) from None

    def give_to(self, uid: int, gid: int) -> None:
        """As root: make the home this user's, with all that is in it.

        An earlier Careline kept part of it as root. The folder itself is given last: one that was
        interrupted is completed by the next start, and the many recordings are gone through once.
        Nothing is followed out of the home: whoever writes there is not to be trusted by root.
        """
        self.refuse_newer()
        self._refuse_foreign()
        self.root.mkdir(parents=True, exist_ok=True)
        found = self.root.stat()
        is_given = (found.st_uid, found.st_gid) == (uid, gid)
        for _, folders, files, here in os.fwalk(self.root):
            for name in (*folders, *files):
                # A living process may take away its socket or its temporary file meanwhile.
                with contextlib.suppress(FileNotFoundError):
                    os.chown(name, uid, gid, dir_fd=here, follow_symlinks=False)
            if is_given and self.recordings.name in folders:
                folders.remove(self.recordings.name)
        os.chown(self.root, uid, gid)

    def refuse_newer(self) -> None:
        """Raise BadHome when a newer Careline has used it."""
        try:
            found = int((self.root / "version").read_text("ascii"))
        except FileNotFoundError:
            return
        except ValueError:
            # An empty or torn version file is what a crash of the first start leaves behind.
            return
        if found > LAYOUT:
            raise BadHome(
                f"{self.root} was used by a newer Careline (layout {found}, this one knows "
                f"{LAYOUT}); start that version again, or name another --home"
            )

    def _refuse_foreign(self) -> None:
        """A folder of other people's files is never given away: `--home /srv` may be a slip."""
        if (self.root / "version").exists() or not self.root.is_dir():
            return
        # Settings may be there before the first start, a disk of its own has a folder of its own,
        # and a first start that was cut short has made some of ours.
        made = (self.recordings, self.asterisk, self.logs, self.run, self.secrets, self.rescue)
        ours = {"lost+found", *(path.name for path in (self.config, *made))}
        if foreign := sorted({path.name for path in self.root.iterdir()} - ours):
            raise BadHome(
                f"{self.root} holds {foreign[0]!r} and is no home of Careline; name an empty or "
                "new folder with --home"
            )

    def secret(self, name: str) -> str:
        """The random secret of this name, made at the first call and then kept."""
        file = self.secrets / name
        with self._alone():
            try:
                kept = file.read_text("ascii").strip()
            except FileNotFoundError:
                kept = ""
            if kept:
                return kept
            made = secrets.token_urlsafe(24)
            write_atomically(file, made + "\n", mode=0o600)
            return made

    def seat_passwords(self, extensions: tuple[str, ...]) -> dict[str, str]:
        """SIP password by extension, for the phones; a new extension gets a new one."""
        file = self.secrets / "seats.json"
        with self._alone():
            try:
                kept: dict[str, str] = {**json.loads(file.read_text("ascii"))}
            except FileNotFoundError:
                kept = {}
            except (ValueError, TypeError) as cause:
                # New passwords would silence every phone that has the old ones.
                raise BadHome(
                    f"{file} cannot be read ({cause}); mend it, or remove it to have new passwords "
                    "made, which every phone then has to be given"
                ) from None
            missing = [e for e in extensions if e not in kept]
            if missing:
                kept |= {e: secrets.token_urlsafe(15) for e in missing}
                write_atomically(file, json.dumps(kept, indent=1) + "\n", mode=0o600)
            return {e: kept[e] for e in extensions}

    @contextlib.contextmanager
    def settling(self) -> Iterator[None]:
        """Let processes that are started meanwhile load, and begin only afterwards."""
        with (self.run / "settling").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def wait_settled(self) -> None:
        """Return when nobody settles this home, also because that one is gone."""
        with (self.run / "settling").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """At the first start three processes ask for one secret: all must get the same."""
        with (self.secrets / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def make_folder(folder: Path, mode: int) -> None:
    """The folder with exactly this mode, whatever the umask and an earlier version say."""
    folder.mkdir(exist_ok=True)
    folder.chmod(mode)


def write_atomically(file: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file as a whole: a reader, or a crash, never meets half of it."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        # As root in a folder of another user: nothing that is laid there is followed.
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
