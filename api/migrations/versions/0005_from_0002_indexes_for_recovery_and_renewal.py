"""indexes for recovery, renewed sessions and mail quotas"""

import sqlalchemy as sa

from api.migrations.large_tables import beside_the_others, create_index, drop_index

revision = "0005_from_0002"
down_revision = "0004_from_0002"
branch_labels = None
depends_on = None
phase = "expand"

ENDED = sa.text("ended_at IS NOT NULL")
RENEWED = sa.text("generation > 0")
KEPT = sa.text("devices_kept_until IS NOT NULL")


def upgrade() -> None:
    with beside_the_others():
        create_index("ix_users_devices_kept_until", "users", ["devices_kept_until"], KEPT)
        create_index("ix_sessions_ended_at", "sessions", ["ended_at"], ENDED)
        create_index("ix_sessions_renewed_authenticated_at", "sessions", ["authenticated_at"], RENEWED)
        create_index("ix_outgoing_emails_recipient_digest_finished_at", "outgoing_emails", ["recipient_digest", "finished_at"])


def downgrade() -> None:
    with beside_the_others():
        drop_index("ix_outgoing_emails_recipient_digest_finished_at", "outgoing_emails")
        drop_index("ix_sessions_renewed_authenticated_at", "sessions")
        drop_index("ix_sessions_ended_at", "sessions")
        drop_index("ix_users_devices_kept_until", "users")
