"""One alarm at a time is open for one trouble; of several that were, the oldest goes on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.execute(
        "UPDATE alarm SET ended_at = raised_at WHERE ended_at IS NULL AND id NOT IN"
        " (SELECT min(id) FROM alarm WHERE ended_at IS NULL GROUP BY key)"
    )
    op.create_index(
        "uq_alarm_open", "alarm", ["key"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.drop_index("ix_alarm_key", table_name="alarm")


def downgrade() -> None:
    op.create_index("ix_alarm_key", "alarm", ["key"])
    op.drop_index("uq_alarm_open", table_name="alarm")
