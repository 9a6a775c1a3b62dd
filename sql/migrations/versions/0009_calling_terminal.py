"""Which terminal has called."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, longest in (("terminal_serial", 40), ("terminal_type", 20)):
        op.add_column(
            "call_record",
            sa.Column(name, sa.String(length=longest), server_default="", nullable=False),
        )


def downgrade() -> None:
    for name in ("terminal_type", "terminal_serial"):
        op.drop_column("call_record", name)
