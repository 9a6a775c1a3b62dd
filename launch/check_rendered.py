"""Checks what only shows when it is made: the rendered dialplan, and the migrated database."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.util import CommandError

from asterisk_conf.render import render
from home import Home
from launch.steps import CHECKOUT
from settings import EXAMPLE, Settings, load
from sql.migrate import alembic_config, upgrade

FULL: Final = {
    "trunks": [
        {"name": "one", "host": "127.0.0.9:5060"},
        {"name": "two", "host": "127.0.0.8:5060", "registers": True, "username": "u",
         "password": "p"},
    ],
    "rescue": {"live": True},
}  # fmt: skip

UNKNOWN_TO_IT: Final = re.compile(
    r"E_FUNC_MISSING: function '(CHANNEL_EXISTS|EXPORT|GLOBAL_DELETE|LOCK|TRYLOCK|UNLOCK)'"
)
"""Functions of Asterisk 22 that asterisklint does not list."""


@dataclass(frozen=True, slots=True)
class NoAsterisk:
    """Rendering needs to know where Asterisk lies, not that it is there."""

    command: tuple[str, ...] = ("asterisk",)
    modules_dir: Path = Path("/usr/lib/asterisk/modules")
    data_dir: Path = Path("/usr/share/asterisk")


def dialplan_faults(folder: Path) -> str:
    """What asterisklint says about the dialplan, with and without everything configured."""
    told: list[str] = []
    for name, settings in (("plain", load(CHECKOUT / EXAMPLE, {})),
                           ("full", Settings.model_validate(FULL))):  # fmt: skip
        home = Home(folder / name)
        home.prepare()
        root = render(settings, home, NoAsterisk(), user="")
        ended = subprocess.run(
            [str(Path(sys.executable).parent / "asterisklint"), "dialplan-check",
             str(root / "etc" / "extensions.conf")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        told += (ended.stdout + ended.stderr).splitlines()
    return "\n".join(fault for fault in told if not UNKNOWN_TO_IT.search(fault))


def migration_faults(folder: Path) -> str:
    """What the models have that the migrations do not make, or the other way round."""
    url = f"sqlite+aiosqlite:///{folder / 'check.db'}"
    upgrade(url)
    try:
        command.check(alembic_config(url))
    except CommandError as differs:
        return str(differs)
    return ""


def main() -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, look in (("dialplan", dialplan_faults), ("migrations", migration_faults)):
            if faults := look(Path(folder)):
                failed = 1
                print(f"{name}:\n{faults}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
