"""How a text that somebody searches for is found in a column."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute


def has(column: InstrumentedAttribute[Any], text: str) -> ColumnElement[bool]:
    """Whether the text stands anywhere in the column, in small or capital letters."""
    if text.lower() == text.upper():
        # Digits and Chinese have no capitals, and turning a whole table into small letters is slow.
        return column.contains(text, autoescape=True)
    return column.icontains(text, autoescape=True)
