"""indexes for large tables"""

import sqlalchemy as sa

from api.migrations.large_tables import beside_the_others, create_index, drop_index

revision = "0003_from_0002"
down_revision = "0002"
branch_labels = None
depends_on = None
phase = "expand"

SUSPENDED = sa.text("status <> 'active' AND deleted_at IS NULL")
# As one or the other database says it; SQLite before 3.39 knows only its own words.
BY_OTHERS = sa.text("actor_id IS NOT NULL AND actor_id IS DISTINCT FROM subject_id")
BY_OTHERS_SQLITE = sa.text("actor_id IS NOT NULL AND actor_id IS NOT subject_id")
DEAD = sa.text("status = 'dead'")


def upgrade() -> None:
    with beside_the_others():
        for column in ("username_key", "email_key"):
            create_index(f"ix_users_{column}_prefix", "users", [column], postgresql_ops={column: "text_pattern_ops"})
        drop_index("ix_users_email_key", "users")
        create_index("ix_users_suspended_created_at_id", "users", ["created_at", "id"], SUSPENDED)
        create_index("ix_audit_events_by_others", "audit_events", ["actor_id"], BY_OTHERS, sqlite_where=BY_OTHERS_SQLITE)
        create_index("ix_outgoing_emails_dead", "outgoing_emails", ["created_at"], DEAD)


def downgrade() -> None:
    with beside_the_others():
        drop_index("ix_outgoing_emails_dead", "outgoing_emails")
        drop_index("ix_audit_events_by_others", "audit_events")
        drop_index("ix_users_suspended_created_at_id", "users")
        create_index("ix_users_email_key", "users", ["email_key"])
        for column in ("username_key", "email_key"):
            drop_index(f"ix_users_{column}_prefix", "users")
