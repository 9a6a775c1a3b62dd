"""`./careline run` with a wall clock of its own, without touching the machine's.

    python -m tests.faults.shifted --home DIR --config FILE

Asterisk and the controller run with libfaketime, which reads the file that CLOCK names: how many
seconds their clock is ahead. Time that only passes (monotonic) stays as it is, as it does when
somebody sets a machine's clock.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final
from unittest.mock import patch

from asterisk_conf import instance
from launch import child, supervise
from launch.steps import CHECKOUT

CLOCK: Final = "SHIFTED_CLOCK"
LIBRARIES: Final = "usr/lib/*-linux-gnu*/faketime/libfaketimeMT.so.1"
STARTER: Final = """
import os, sys
if sys.argv[1] == "controller":
    os.environ.update({variables!r})
os.execv(sys.executable, [sys.executable, {app!r}, *sys.argv[1:]])
"""


def variables(clock: str) -> dict[str, str]:
    """What makes a program look at that clock each time, so that all see the new time at once."""
    library = next(iter(sorted(Path("/").glob(LIBRARIES))))
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": clock,
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def main() -> int:
    clock = Path(os.environ[CLOCK])
    ours, known = variables(str(clock)), instance._environment
    # The children are started by a script of ours in the place of app.py.
    starter = clock.with_name("app.py")
    starter.write_text(STARTER.format(variables=ours, app=str(CHECKOUT / "app.py")), "utf-8")
    with (
        patch.object(instance, "_environment", lambda: known() | ours),
        patch.object(child, "CHECKOUT", starter.parent),
    ):
        return supervise.main()


if __name__ == "__main__":
    sys.exit(main())
