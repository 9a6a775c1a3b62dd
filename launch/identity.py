"""Whom Careline runs as: one ordinary user for all of it, Asterisk included.

One user and not two, since what would be kept apart is shared anyway: the controller commands
Asterisk through AMI, and the worker takes Asterisk's recordings away. A second one would only add
modes that can be wrong. Root makes the machine and the home ready, then becomes that user for good.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
from pathlib import Path

import precedence
from asterisk_conf.instance import AsteriskFailed, service_user
from home import Home
from launch.steps import CHECKOUT, is_root, say


def become_service_user(home: Home) -> None:
    """As root: give the home to its user and be that user from here on; nothing for others.

    Where the user could not read the checkout, root stays, as somebody who tries Careline out in
    root's own folder wants it; only Asterisk is an ordinary user's then.
    """
    if not is_root():
        return
    if closed := closed_to_others():
        say(
            f"{closed} is closed to other users, so Careline's processes run as root; in earnest, "
            "put the checkout where every user can read it, as in /opt/careline"
        )
        if home.root.is_dir():
            # What root makes in it is given away again by the next start that can.
            os.chown(home.root, 0, 0)
        return
    entry = _entry(user_of(home))
    home.give_to(entry.pw_uid, entry.pw_gid)
    become(entry, home)


def user_of(home: Home) -> str:
    """Whose home it is, and the service user's when it is root's or does not exist yet."""
    try:
        owner = home.root.stat().st_uid
        return pwd.getpwuid(owner).pw_name if owner else service_user()
    except (FileNotFoundError, KeyError):
        return service_user()


def become(entry: pwd.struct_passwd, home: Home) -> None:
    """Lay root down, for good."""
    precedence.may_go_first()
    os.initgroups(entry.pw_name, entry.pw_gid)
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    # Libraries look for their files there, and stumble over a folder of root's.
    os.environ["HOME"] = str(home.root)
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        del os.environ[name]


def _entry(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise AsteriskFailed(
            f"there is no user {user!r} on this machine; `./careline prepare` makes it"
        ) from None


def closed_to_others(checkout: Path = CHECKOUT) -> Path | None:
    """What keeps other users from running this checkout; None when they can."""
    python = Path(sys.executable)
    for file in (checkout / "app.py", python, python.resolve()):
        for place in (*reversed(file.parents), file):
            wanted = stat.S_IXOTH if place.is_dir() else stat.S_IROTH
            if not place.stat().st_mode & wanted:
                return place
    return None
