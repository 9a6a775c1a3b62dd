"""Writes the systemd units, with the home for them.

    python -m launch.install --home DIR [--config FILE] [--user NAME] [--root DIR]

Nothing is started and nothing is stopped: what to type next is said. With --root the units are
written under that folder, for an image or for a look, and the machine is left as it is.
"""

from __future__ import annotations

import argparse
import os
import pwd
import re
import sys
from pathlib import Path

from asterisk_conf.instance import SERVICE_USER
from home import PRACTICE, BadHome, Home
from launch.identity import closed_to_others
from launch.steps import CHECKOUT, SetupError, is_root, say, write_whole
from launch.units import Plan, units

UNITS = Path("etc/systemd/system")
NEXT = """\
{count} units are in {folder}. Next:
    systemctl daemon-reload
    systemctl enable careline-asterisk careline.target
    systemctl start careline-asterisk
    systemctl restart careline.target      # after an upgrade too; calls go on
    journalctl -u careline-prepare         # the first password of the desk is there
`./careline doctor` says what is still to be done."""


def install(plan: Plan, root: Path) -> str:
    """Write the units (and the home when `root` is /); returns what to do next."""
    check(plan)
    in_earnest = root == Path("/")
    if in_earnest:
        give_home(plan)
    folder = root / UNITS
    folder.mkdir(parents=True, exist_ok=True)
    texts = units(plan)
    for name, text in texts.items():
        write_whole(folder / name, text)
        (folder / name).chmod(0o644)
    return NEXT.format(count=len(texts), folder=folder)


def check(plan: Plan) -> None:
    """Refuse what would be refused by systemd, or fail later, one restart after the other."""
    if plan.user == "root":
        raise SetupError("Careline never runs as root; name an ordinary user with --user.")
    if not re.fullmatch(r"[a-z_][a-z0-9_-]*", plan.user):
        raise SetupError(f"--user {plan.user!r} is no name of a user; `careline` would be one.")
    for place in (plan.home, plan.checkout, *([plan.config] if plan.config else [])):
        if any(letter.isspace() for letter in str(place)):
            raise SetupError(f"{str(place)!r} has a space, which systemd's settings cannot hold.")
    if Home(plan.home).mode == PRACTICE:
        raise SetupError(
            f"{plan.home} is a home of the practice town, and the services would refuse it again "
            "and again.\n    Name a new one with --home, or remove it."
        )
    if closed := closed_to_others(plan.checkout):
        raise SetupError(
            f"{closed} is closed to other users, and Careline runs as {plan.user}.\n"
            "    Put the checkout where every user can read it, as in /opt/careline, and install "
            "from there."
        )


def give_home(plan: Plan) -> None:
    """Make the home, the user's."""
    if not is_root():
        raise SetupError(
            f"only root can write to /{UNITS}; start it with sudo, or name another place with "
            "--root."
        )
    try:
        entry = pwd.getpwnam(plan.user)
    except KeyError:
        raise SetupError(
            f"there is no user {plan.user!r} on this machine.\n"
            f"    useradd --system --user-group --shell=/usr/sbin/nologin {plan.user}\n"
            "    makes it; then start again."
        ) from None
    home = Home(plan.home)
    home.give_to(entry.pw_uid, entry.pw_gid)
    # Others pass through, as whoever looks after recordings may have to; they see nothing.
    home.root.chmod(0o711)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--user", default=SERVICE_USER)
    parser.add_argument("--root", type=Path, default=Path("/"))
    given = parser.parse_args()
    os.umask(0o022)
    plan = Plan(given.user, given.home, CHECKOUT, Path(sys.executable), given.config)
    try:
        say(install(plan, given.root))
    except (SetupError, BadHome) as cause:
        say(str(cause))
        return 2
    except OSError as cause:
        say(f"{cause.filename}: {cause.strerror}; mend that and start again")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
