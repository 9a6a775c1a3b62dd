"""Passwords: argon2 in a thread, and patience with whoever mistypes or guesses."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# An argon2 check takes 64 MB for a tenth of a second; two at once leave room for telephony.
AT_ONCE: Final = 2
LONGEST_WAIT_S: Final = 60
REMEMBERED: Final = 10_000

_hasher: Final = PasswordHasher()


def hash_password(password: str) -> str:
    """The argon2id hash to keep. Blocks for about 0.1 s: call it in a thread."""
    return _hasher.hash(password)


class Passwords:
    """Checks passwords off the loop. An unknown user costs as much time as a wrong password."""

    def __init__(self) -> None:
        self._few: Final = asyncio.Semaphore(AT_ONCE)
        self._nobody = ""

    async def check(self, kept: str | None, given: str) -> bool:
        """Whether `given` is the password of the hash `kept`; False when there is no such user."""
        async with self._few:
            return await asyncio.to_thread(self._check, kept, given)

    def _check(self, kept: str | None, given: str) -> bool:
        if kept is None and not self._nobody:
            self._nobody = hash_password("nobody has this password")
        try:
            _hasher.verify(kept if kept is not None else self._nobody, given)
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None


@dataclass(slots=True)
class _Tries:
    count: int = 0
    wait_until: float = 0.0


class Patience:
    """Slows guessing: after some free tries each further one doubles the wait, up to a minute.

    A try is noted before its password is checked, so that a burst of them is slowed as well. A pair
    of name and address runs out soonest; an address alone, and a name alone, only much later, so
    that nobody can lock a colleague out from elsewhere.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock: Final = clock
        self._tries: Final[OrderedDict[tuple[str, str], _Tries]] = OrderedDict()

    def wait_s(self, name: str, address: str) -> int:
        """Whole seconds to wait before the next try; 0 when it may be made, which is then noted."""
        now = self._clock()
        limits = self._limits(name, address)
        waits = [self._tries[key].wait_until - now for key in limits if key in self._tries]
        longest = max(waits, default=0.0)
        if longest > 0:
            return int(longest) + 1
        for key, free in limits.items():
            self._note(key, free, now)
        return 0

    def forget(self, name: str, address: str) -> None:
        """The right password was given."""
        for key in self._limits(name, address):
            self._tries.pop(key, None)

    @staticmethod
    def _limits(name: str, address: str) -> dict[tuple[str, str], int]:
        folded = name.casefold()
        return {(folded, address): 4, ("", address): 20, (folded, ""): 50}

    def _note(self, key: tuple[str, str], free: int, now: float) -> None:
        tries = self._tries.setdefault(key, _Tries())
        self._tries.move_to_end(key)
        tries.count += 1
        if tries.count > free:
            beyond = min(tries.count - free, 10)
            tries.wait_until = now + min(2.0**beyond, LONGEST_WAIT_S)
        while len(self._tries) > REMEMBERED:
            self._tries.popitem(last=False)
