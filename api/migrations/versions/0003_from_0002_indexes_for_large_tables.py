"""indexes for large tables"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import op

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


@contextmanager
def beside_the_others() -> Iterator[None]:
    """Build indexes while others write, which PostgreSQL does in no transaction. docs/decisions/0024 says what follows."""
    if op.get_bind().dialect.name == "postgresql":
        with op.get_context().autocommit_block():
            yield
    else:
        yield


def create(name: str, table: str, columns: list[str], where: sa.TextClause | None = None, **options: Any) -> None:
    # What an attempt that was interrupted has left is no index, and stands in the way.
    op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
    options = {"postgresql_where": where, "sqlite_where": where, **options}
    op.create_index(name, table, columns, postgresql_concurrently=True, **options)


def drop(name: str, table: str) -> None:
    op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)


def upgrade() -> None:
    with beside_the_others():
        for column in ("username_key", "email_key"):
            create(f"ix_users_{column}_prefix", "users", [column], postgresql_ops={column: "text_pattern_ops"})
        drop("ix_users_email_key", "users")
        create("ix_users_suspended_created_at_id", "users", ["created_at", "id"], SUSPENDED)
        create("ix_audit_events_by_others", "audit_events", ["actor_id"], BY_OTHERS, sqlite_where=BY_OTHERS_SQLITE)
        create("ix_outgoing_emails_dead", "outgoing_emails", ["created_at"], DEAD)


def downgrade() -> None:
    with beside_the_others():
        drop("ix_outgoing_emails_dead", "outgoing_emails")
        drop("ix_audit_events_by_others", "audit_events")
        drop("ix_users_suspended_created_at_id", "users")
        create("ix_users_email_key", "users", ["email_key"])
        for column in ("username_key", "email_key"):
            drop(f"ix_users_{column}_prefix", "users")
