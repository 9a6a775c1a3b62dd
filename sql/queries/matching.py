"""How a text that somebody searches for is found in a column."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction


def has(column: InstrumentedAttribute[Any], text: str) -> ColumnElement[bool]:
    """Whether the text stands anywhere in the column, in small or capital letters."""
    if text.lower() == text.upper():
        # Digits and Chinese have no capitals, and turning a whole table into small letters is slow.
        return column.contains(text, autoescape=True)
    return column.icontains(text, autoescape=True)


class holds(GenericFunction[bool]):  # noqa: N801 - a function of the database, named as those are.
    """Whether these digits stand anywhere in a column of numbers, or this text as it is written."""

    type = Boolean()
    inherit_cache = True


@compiles(holds)
def _holds(element: holds, compiler: SQLCompiler, **words: Any) -> str:
    column, digits = (compiler.process(clause, **words) for clause in element.clauses)
    return f"strpos({column}, {digits}) > 0"


@compiles(holds, "sqlite")
def _holds_on_sqlite(element: holds, compiler: SQLCompiler, **words: Any) -> str:
    # Twice as fast there as LIKE, which looks for capitals too.
    column, digits = (compiler.process(clause, **words) for clause in element.clauses)
    return f"instr({column}, {digits}) > 0"
