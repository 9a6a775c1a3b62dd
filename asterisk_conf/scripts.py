"""Brings the script that notes calls led without us to where Asterisk's user can run it.

Our checkout and our virtual environment may be closed to that user, so the script is copied, and
beside it the two modules that it needs; any Python 3 on the PATH runs it.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
from pathlib import Path
from typing import Final

SCRIPT: Final = Path(__file__).resolve().parent.parent / "telephony" / "fallback_agi.py"


def copy_scripts(folder: Path, user: str) -> None:
    """Fill FOLDER (Asterisk's agi-bin); `user` becomes the owner of what is in it."""
    wanted = {
        folder / SCRIPT.name: SCRIPT.read_bytes(),
        folder / "six.py": _module("six").read_bytes(),
        folder / "asterisk" / "__init__.py": b"",
        folder / "asterisk" / "agi.py": _module("asterisk.agi").read_bytes(),
    }
    for place in (folder, folder / "asterisk"):
        place.mkdir(exist_ok=True)
        _give(place, user)
    for file, text in wanted.items():
        if not file.exists() or file.read_bytes() != text:
            beside = file.with_name(f".{file.name}.{os.getpid()}")
            beside.write_bytes(text)
            beside.replace(file)
        _give(file, user)


def _module(name: str) -> Path:
    found = importlib.util.find_spec(name)
    assert found, f"{name} is missing; `./careline prepare` installs it"
    assert found.origin
    return Path(found.origin)


def _give(path: Path, user: str) -> None:
    path.chmod(0o755)
    if user:
        os.chown(path, pwd.getpwnam(user).pw_uid, -1)
