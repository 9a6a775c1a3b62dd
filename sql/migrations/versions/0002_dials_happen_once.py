"""What is known of an effect: whether it was attempted, and what came of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.add_column(sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("result", sa.String(length=12), nullable=False, server_default="")
        )
        batch_op.alter_column(
            "id", existing_type=sa.String(length=32), type_=sa.String(length=120), nullable=False
        )


def downgrade() -> None:
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.alter_column(
            "id", existing_type=sa.String(length=120), type_=sa.String(length=32), nullable=False
        )
        batch_op.drop_column("result")
        batch_op.drop_column("attempted_at")
