"""Which seat a sign-in has taken."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("desk_session", schema=None) as batch_op:
        batch_op.add_column(sa.Column("seat", sa.String(length=5), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_desk_session_seat_seat"), "seat", ["seat"], ["extension"]
        )
        batch_op.create_unique_constraint(batch_op.f("uq_desk_session_seat"), ["seat"])


def downgrade() -> None:
    with op.batch_alter_table("desk_session", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_desk_session_seat"), type_="unique")
        batch_op.drop_constraint(batch_op.f("fk_desk_session_seat_seat"), type_="foreignkey")
        batch_op.drop_column("seat")
