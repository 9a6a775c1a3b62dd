"""Emergencies as lists read them, and what somebody has typed of one and not sent yet."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
INDICES = (
    (
        "ix_emergency_chosen",
        (
            "opened_at", "id", "stage", "outcome", "due_at", "arrived_at", "ended_at", "elder_id",
            "elder_name", "caller_no",
        ),
    ),
    ("ix_emergency_stage", ("stage", "opened_at", "id", "due_at", "arrived_at", "ended_at")),
    ("ix_emergency_elder", ("elder_id", "opened_at")),
)  # fmt: skip
FOLLOW_UP_WITHIN = timedelta(hours=48)


def upgrade() -> None:
    emergency = op.create_table(
        "emergency",
        sa.Column("id", sa.String(length=96), nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("stage", sa.String(length=15), nullable=False),
        sa.Column("elder_id", sa.Integer(), nullable=True),
        sa.Column("elder_name", sa.String(length=200), nullable=False),
        sa.Column("caller_no", sa.String(length=40), nullable=False),
        sa.Column("outcome", sa.String(length=15), nullable=False),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.Column("arrived_at", TIME, nullable=True),
        sa.Column("closed_at", TIME, nullable=True),
        sa.Column("closed_by", sa.String(length=64), nullable=False),
        sa.Column("due_what", sa.String(length=31), nullable=False),
        sa.Column("due_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_emergency")),
    )
    for name, columns in INDICES:
        op.create_index(name, "emergency", list(columns))
    op.create_table(
        "case_draft",
        sa.Column("case_id", sa.String(length=96), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("typed", sa.JSON(), nullable=False),
        sa.Column("saved_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("case_id", "by", name=op.f("pk_case_draft")),
    )
    op.create_index(op.f("ix_case_draft_saved_at"), "case_draft", ["saved_at"])
    found = op.get_bind().execute(
        sa.text("SELECT id, is_over, body FROM process_case WHERE process = 'emergency'")
    )
    rows = [_row(*one) for one in found]
    if rows:
        op.bulk_insert(emergency, rows)


def downgrade() -> None:
    op.drop_table("case_draft")
    op.drop_table("emergency")


def _row(case_id: str, is_over: bool, body: Any) -> dict[str, Any]:
    """What was known of it. One that was over before there was a closing asks for none now."""
    said: dict[str, Any] = json.loads(body) if isinstance(body, str) else body
    closing: dict[str, Any] = said.get("closing") or {}
    changes: dict[str, Any] = closing.get("changes") or {}
    cards: list[dict[str, Any]] = said.get("cards") or []
    chosen = [card for card in cards if card.get("uid") == said.get("chosen")] or cards
    opened_at = datetime.fromisoformat(said["opened_at"])
    arrived = [leg["arrived_at"] for leg in said.get("legs") or () if leg.get("arrived_at")]
    return {
        "id": case_id,
        "opened_at": opened_at,
        "ended_at": _time(said.get("closed_at")),
        "stage": "followed up" if is_over else closing.get("state", "open"),
        "elder_id": chosen[0].get("elder_id") if len(chosen) == 1 else None,
        "elder_name": "、".join(card.get("name", "") for card in chosen)[:200],
        "caller_no": str(said.get("caller", ""))[:40],
        "outcome": closing.get("outcome") or "",
        "changes": changes.get("text", ""),
        "arrived_at": _time(min(arrived, default=None)),
        "closed_at": _time(changes.get("at")),
        "closed_by": str(changes.get("by", ""))[:64],
        "due_what": "" if is_over else "no follow-up",
        "due_at": None if is_over else opened_at + FOLLOW_UP_WITHIN,
    }


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
