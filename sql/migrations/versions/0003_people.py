"""Elders with contacts and terminals, users who leave, wrap-up, and the record of what was done."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Nobody who can write to the database changes or removes what is on record, Careline included.
ON_SQLITE = """
CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry
BEGIN SELECT RAISE(ABORT, 'the record of what was done is only added to'); END;

CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON audit_entry
BEGIN SELECT RAISE(ABORT, 'the record of what was done is only added to'); END;

-- INSERT OR REPLACE deletes without asking the trigger above.
CREATE TRIGGER audit_entry_no_replace BEFORE INSERT ON audit_entry
WHEN EXISTS (SELECT 1 FROM audit_entry WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the record of what was done is only added to'); END
"""
ON_POSTGRESQL = """
CREATE FUNCTION audit_entry_only_grows() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE EXCEPTION ''the record of what was done is only added to''; END'

CREATE TRIGGER audit_entry_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_only_grows()
"""


def upgrade() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("permission", sa.String(length=31), nullable=False),
        sa.Column("action", sa.String(length=31), nullable=False),
        sa.Column("subject", sa.String(length=31), nullable=False),
        sa.Column("subject_id", sa.String(length=96), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_entry_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_entry_by"), ["by"], unique=False)
        batch_op.create_index(
            "ix_audit_entry_subject", ["subject", "subject_id", "id"], unique=False
        )

    op.create_table(
        "elder_contact",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("elder_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("relation", sa.String(length=32), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("is_emergency", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["elder_id"], ["elder.id"], name=op.f("fk_elder_contact_elder_id_elder")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_elder_contact")),
    )
    with op.batch_alter_table("elder_contact", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_elder_contact_elder_id"), ["elder_id"], unique=False)

    op.create_table(
        "terminal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("elder_id", sa.Integer(), nullable=False),
        sa.Column("serial_no", sa.String(length=40), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("phone_no", sa.String(length=20), nullable=False),
        sa.Column("phone_raw", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.ForeignKeyConstraint(
            ["elder_id"], ["elder.id"], name=op.f("fk_terminal_elder_id_elder")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_terminal")),
    )
    with op.batch_alter_table("terminal", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_terminal_elder_id"), ["elder_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_terminal_phone_no"), ["phone_no"], unique=False)
        batch_op.create_index(batch_op.f("ix_terminal_serial_no"), ["serial_no"], unique=False)

    op.create_table(
        "contact_phone",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("contact_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("raw", sa.String(length=40), nullable=False),
        sa.Column("is_reachable", sa.Boolean(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_id"],
            ["elder_contact.id"],
            name=op.f("fk_contact_phone_contact_id_elder_contact"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_phone")),
    )
    with op.batch_alter_table("contact_phone", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_contact_phone_contact_id"), ["contact_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_contact_phone_number"), ["number"], unique=False)

    with op.batch_alter_table("call_record", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("call_class", sa.String(length=16), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("wrap_up_note", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(
            sa.Column("wrapped_up_by", sa.String(length=64), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("wrapped_up_at", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("elder", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("user_status", sa.String(length=12), server_default="active", nullable=False)
        )
        batch_op.add_column(
            sa.Column("living_arrangement", sa.String(length=24), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("entry_route_checked_on", sa.Date(), nullable=True))
        batch_op.add_column(sa.Column("risk_plan", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(
            sa.Column("main_diseases", sa.Text(), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("medication_state", sa.Text(), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))

    with op.batch_alter_table("user_account", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("is_active", sa.Boolean(), server_default=sa.true(), nullable=False)
        )

    with op.batch_alter_table("work_order", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("call_back_no", sa.String(length=40), server_default="", nullable=False)
        )
        batch_op.create_index(
            batch_op.f("ix_work_order_call_back_no"), ["call_back_no"], unique=False
        )

    on_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in (ON_SQLITE if on_sqlite else ON_POSTGRESQL).split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    with op.batch_alter_table("work_order", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_work_order_call_back_no"))
        batch_op.drop_column("call_back_no")

    with op.batch_alter_table("user_account", schema=None) as batch_op:
        batch_op.drop_column("is_active")

    with op.batch_alter_table("elder", schema=None) as batch_op:
        batch_op.drop_column("version")
        batch_op.drop_column("medication_state")
        batch_op.drop_column("main_diseases")
        batch_op.drop_column("risk_plan")
        batch_op.drop_column("entry_route_checked_on")
        batch_op.drop_column("living_arrangement")
        batch_op.drop_column("user_status")

    with op.batch_alter_table("call_record", schema=None) as batch_op:
        batch_op.drop_column("wrapped_up_at")
        batch_op.drop_column("wrapped_up_by")
        batch_op.drop_column("wrap_up_note")
        batch_op.drop_column("call_class")

    with op.batch_alter_table("contact_phone", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_contact_phone_number"))
        batch_op.drop_index(batch_op.f("ix_contact_phone_contact_id"))

    op.drop_table("contact_phone")
    with op.batch_alter_table("terminal", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_terminal_serial_no"))
        batch_op.drop_index(batch_op.f("ix_terminal_phone_no"))
        batch_op.drop_index(batch_op.f("ix_terminal_elder_id"))

    op.drop_table("terminal")
    with op.batch_alter_table("elder_contact", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_elder_contact_elder_id"))

    op.drop_table("elder_contact")
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_entry_subject")
        batch_op.drop_index(batch_op.f("ix_audit_entry_by"))
        batch_op.drop_index(batch_op.f("ix_audit_entry_at"))

    op.drop_table("audit_entry")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_entry_only_grows()")
