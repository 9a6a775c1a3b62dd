"""Menus as they were made in the desk; what has no row is as Careline brings it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from sql.models.base import Base


class MenuRow(Base):
    """One menu. `options` is key → {choice, queue}; `version` refuses a second editor."""

    __tablename__ = "menu"

    name: Mapped[str] = mapped_column(String(31), primary_key=True)
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    version: Mapped[int]
    changed_by: Mapped[str] = mapped_column(String(64))
    changed_at: Mapped[datetime]
