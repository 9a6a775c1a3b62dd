"""Lists and searches stay quick with a hundred thousand calls."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NEW = (
    (
        "ix_call_record_chosen",
        "call_record",
        (
            "entered_at", "id", "call_class", "answered_at", "seat", "result", "caller_no",
            "callee_no", "caller_name", "elder_id",
        ),
    ),
    (
        "ix_call_record_classes",
        "call_record",
        ("call_class", "answered_at", "entered_at", "seat", "result"),
    ),
    ("ix_call_record_callee_time", "call_record", ("callee_no", "entered_at")),
    ("ix_call_record_seat_end", "call_record", ("seat", "ended_at")),
    ("ix_call_record_state_end", "call_record", ("state", "ended_at")),
    ("ix_call_order_order_id", "call_order", ("order_id",)),
    ("ix_work_order_status_no", "work_order", ("status", "order_no")),
    ("ix_audit_entry_address", "audit_entry", ("address",)),
    ("ix_audit_entry_subject", "audit_entry", ("subject_id", "subject", "id")),
)  # fmt: skip
OLD = (
    ("ix_call_record_entered_at", "call_record", ("entered_at",)),
    ("ix_call_record_seat", "call_record", ("seat",)),
    ("ix_call_record_state", "call_record", ("state",)),
    ("ix_work_order_status", "work_order", ("status",)),
    ("ix_audit_entry_subject", "audit_entry", ("subject", "subject_id", "id")),
)


def upgrade() -> None:
    _replace(OLD, NEW)


def downgrade() -> None:
    _replace(NEW, OLD)


def _replace(
    gone: tuple[tuple[str, str, tuple[str, ...]], ...],
    here: tuple[tuple[str, str, tuple[str, ...]], ...],
) -> None:
    for name, table, _ in gone:
        op.drop_index(name, table_name=table)
    for name, table, columns in here:
        op.create_index(name, table, list(columns))
