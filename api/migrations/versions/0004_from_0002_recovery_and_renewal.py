"""columns for recovery, renewed sessions and mail quotas"""

import sqlalchemy as sa
from alembic import op

revision = "0004_from_0002"
down_revision = "0003_from_0002"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    op.add_column("users", sa.Column("recoveries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("users", sa.Column("pending_email_session_id", sa.Uuid(), nullable=True))
    op.add_column("users", sa.Column("devices_kept_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sessions", sa.Column("generation", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("sessions", sa.Column("network", sa.String(length=43), nullable=True))
    op.add_column("one_time_tokens", sa.Column("recoveries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("one_time_tokens", sa.Column("mail_id", sa.Uuid(), nullable=True))
    op.add_column("outgoing_emails", sa.Column("recipient_digest", sa.String(length=64), nullable=True))


def downgrade() -> None:
    # Not by making the table anew: on SQLite dropping the old one would take the sessions with it.
    for table, columns in (
        ("outgoing_emails", ["recipient_digest"]),
        ("one_time_tokens", ["mail_id", "recoveries"]),
        ("sessions", ["network", "generation"]),
        ("users", ["devices_kept_until", "pending_email_session_id", "recoveries"]),
    ):
        with op.batch_alter_table(table, schema=None, recreate="never") as batch_op:
            for column in columns:
                batch_op.drop_column(column)
