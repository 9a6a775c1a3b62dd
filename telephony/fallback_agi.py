#!/usr/bin/env python3
"""Notes one call that was led without Careline: the dialplan runs it when the call is over.

One process, stock pyst2, nothing else of ours: it is copied beside its library to where Asterisk's
user can read it, and any Python 3 of the machine runs it. It writes one JSON file into the folder
alone/ of Asterisk's spool; the controller imports it later and removes it then.

Within five seconds it is over, whatever it meets: a full disk, a silent Asterisk, a slow machine.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from asterisk.agi import AGI

LONGEST_S = 5
ASKED = {
    "call": "${CARELINE_CALL}",
    "entry": "${ARG1}",
    "dialled": "${FILTER(0-9+,${CALLERID(dnid)})}",
    "caller": "${FILTER(0-9+,${CALLERID(num)})}",
    "trunk": "${CARELINE_TRUNK}",
    "queue": "${CARELINE_QUEUE}",
    "status": "${QUEUESTATUS}",
    "seat": "${MEMBERINTERFACE}",
    "cause": "${HANGUPCAUSE}",
    "queued": "${CARELINE_QUEUED}",
    "held": "${QEHOLDTIME}",
}


def note(agi: AGI, ended: float) -> dict[str, str]:
    """What the dialplan knows of the call; times are seconds since 1970, UTC."""
    said = {name: agi.get_full_variable(asked) or "" for name, asked in ASKED.items()}
    # A call is named after the second in which it came: node-1795372239.17.
    said["began"] = said["call"].rpartition("-")[2].partition(".")[0]
    said["ended"] = f"{ended:.3f}"
    return said


def keep(folder: Path, call: str, said: dict[str, str]) -> None:
    """Write the note so that it is whole, or not there, after any crash."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in call)[:80].lstrip(".")
    if not name:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    draft = folder / f".{name}.{os.getpid()}"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(said, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / f"{name}.json")
    place = os.open(folder, os.O_RDONLY)
    os.fsync(place)
    os.close(place)


def main() -> None:
    ended = time.time()
    # The alarm's default is the end of the process; nothing of ours could catch it and go on.
    signal.alarm(LONGEST_S)
    # Beside us: ROOT/data/agi-bin and ROOT/spool.
    spool = Path(sys.argv[0]).resolve().parent.parent.parent / "spool"
    # Names are shown to us too, in whatever bytes a caller sent.
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    # What the library says of every line would fill Asterisk's own console.
    with Path(os.devnull).open("w") as nowhere:
        agi = AGI(sys.stdin, sys.stdout, nowhere)
        # The call has hung up: that is why we are here, and no reason to stop.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        said = note(agi, ended)
    keep(spool / "alone", said["call"], said)


if __name__ == "__main__":
    main()
