"""What a telephone number says by its digits alone: how it is dialled in China, whether it is one
for help."""

from __future__ import annotations

import re
from typing import Final

CHINA: Final = "+86"
# Mobile telephones and service numbers; all others are lines, dialled with a 0 before the area.
WITHOUT_ZERO: Final = re.compile(r"1\d{10}|[48]00\d{7}")
FOR_HELP: Final = re.compile(r"\+?(00)?(86)?0*(110|119|120|122)")


def within_china(number: str) -> str:
    """An E.164 number as it is dialled in China; those of other countries stay as they are."""
    if not number.startswith(CHINA):
        return number
    national = number.removeprefix(CHINA)
    return national if WITHOUT_ZERO.fullmatch(national) else f"0{national}"


def is_for_help(number: str) -> bool:
    """Whether it is 110, 119, 120 or 122, however it is written.

    Only a site dials these, by the numbers that reach *its* dispatchers; they are nobody's own.
    """
    return FOR_HELP.fullmatch(number) is not None
