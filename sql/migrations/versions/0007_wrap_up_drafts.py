"""What somebody has typed of a wrap-up and not sent yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "wrap_up_draft",
        sa.Column("call_id", sa.String(length=80), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("typed", sa.JSON(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["call_id"], ["call_record.id"], name=op.f("fk_wrap_up_draft_call_id_call_record")
        ),
        sa.PrimaryKeyConstraint("call_id", "by", name=op.f("pk_wrap_up_draft")),
    )
    with op.batch_alter_table("wrap_up_draft", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_wrap_up_draft_saved_at"), ["saved_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("wrap_up_draft", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_wrap_up_draft_saved_at"))

    op.drop_table("wrap_up_draft")
