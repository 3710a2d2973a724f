"""The table of audit events."""

import uuid
from datetime import datetime

from sqlalchemy import Index, String, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from .. import clock
from ..database import Base

EVENT_TYPES = (
    "deletion",
    "email_change_requested",
    "email_change_undone",
    "email_change_withdrawn",
    "email_changed",
    "email_verified",
    "import",
    "key_rotated",
    "password_changed",
    "password_reset",
    "password_reset_requested",
    "profile_changed",
    "reactivated",
    "reauthenticated",
    "reauthentication_failed",
    "refresh_token_reused",
    "refresh_repeated",
    "refreshed",
    "registered",
    "roles_changed",
    "session_revoked",
    "sessions_revoked",
    "sign_in_delayed",
    "sign_in_failed",
    "signed_in",
    "signed_out",
    "suspended",
    "tokens_revoked",
    "user_created",
)


class AuditEvent(Base):
    """Something that happened to an account. Plain ids and no foreign key: the log outlives the account.

    subject_id: whose account. actor_id: who did it; None for the command line, and where nobody was signed in.
    """

    __tablename__ = "audit_events"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    type: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    actor_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    session_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    ip_address: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(255))
    detail: Mapped[str | None] = mapped_column(String(200))

    __table_args__ = (
        Index("ix_audit_events_created_at_id", "created_at", "id"),
        Index("ix_audit_events_subject_id_created_at_id", "subject_id", "created_at", "id"),
        Index("ix_audit_events_type_created_at_id", "type", "created_at", "id"),
        # Of the few that somebody did to another's account: an index on everything would cost at each refresh.
        Index(
            "ix_audit_events_by_others",
            "actor_id",
            postgresql_where=text("actor_id IS NOT NULL AND actor_id IS DISTINCT FROM subject_id"),
            sqlite_where=text("actor_id IS NOT NULL AND actor_id IS NOT subject_id"),
        ),
    )
