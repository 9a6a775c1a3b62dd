"""Keeps Asterisk's logs short: at a size they are turned over, and five old ones are kept.

    python -m launch.asterisk_logs --home DIR

looks once, for careline-logs.timer; the supervisor looks every minute by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import sys
from pathlib import Path
from typing import Final

from asterisk_conf.instance import AsteriskFailed, Instance, service_user
from home import Home
from launch import asterisk_tree
from launch.steps import say

LONGEST: Final = 20 * 2**20
KEPT: Final = 5
LOOK_EVERY_S: Final = 60.0
TURNED: Final = ("messages", "security")
CONSOLE: Final = "console"
"""What Asterisk prints before it has read logger.conf; it is ours, and appended to."""


async def turn_over(asterisk: Instance, longest: int = LONGEST, kept: int = KEPT) -> None:
    """Turn the logs over when one has `longest` bytes; an old one has a number, 0 the newest."""
    folder = asterisk.root / "log"
    if any(_size(folder / name) >= longest for name in TURNED) and asterisk.pid is not None:
        await asterisk.cli("logger rotate")
    if _size(folder / CONSOLE) >= longest:
        shutil.copyfile(folder / CONSOLE, folder / f"{CONSOLE}.0")
        with (folder / CONSOLE).open("r+b") as console:
            console.truncate(0)
    for old in folder.iterdir():
        number = re.fullmatch(rf"(?:{'|'.join(TURNED)})\.(\d+)", old.name)
        if number and int(number[1]) >= kept:
            old.unlink(missing_ok=True)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


async def keep_short(asterisk: Instance) -> None:
    """Look every minute until cancelled."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            await turn_over(asterisk)
        except (AsteriskFailed, OSError) as cause:
            say(f"Asterisk's logs were not turned over: {cause}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    home = Home(parser.parse_args().home)
    try:
        asyncio.run(turn_over(Instance(home.asterisk, asterisk_tree.find(), service_user())))
    except (AsteriskFailed, OSError) as cause:
        say(f"Asterisk's logs were not turned over: {cause}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
