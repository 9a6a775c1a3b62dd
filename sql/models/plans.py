"""Every version of every emergency handling plan (EMG-18). Rows are only ever added."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from sql.models.base import Base


class PlanVersion(Base):
    """One version. `saved_by` is the user's name, empty for what Careline brings.

    `body` has the plan's first_called, steps and guidance. The key refuses a second writer.
    """

    __tablename__ = "plan_version"

    kind: Mapped[str] = mapped_column(String(31), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    saved_by: Mapped[str] = mapped_column(String(64))
    saved_at: Mapped[datetime]
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
