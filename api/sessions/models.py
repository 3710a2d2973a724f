"""The table of sessions."""

import secrets
import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from .. import clock
from ..database import Base

BODY, HYBRID, COOKIE = "body", "hybrid", "cookie"
SESSION_ENDS = (
    "logout",
    "revoked",
    "replaced",
    "reuse",
    "password_changed",
    "password_reset",
    "email_undone",
    "administrator",
    "suspended",
    "deleted",
)


class Session(Base):
    """A refresh family: everything that came out of one sign-in.

    refresh_id: the `jti` of the one refresh token that can be exchanged. previous_refresh_id: of its parent, which within
    the grace window answers the same successor again. Every other refresh token of this session has been spent, so
    nothing else needs remembering. rotated_at: when the current pair was issued. access_expires_at: when the last access
    token issued for this session expires. csrf_token: what cookie deliveries must send back.
    generation: counts the renewals, after each of which every older token of this session is dead. network: from which the
    person signed in.
    """

    __tablename__ = "sessions"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"))
    delivery: Mapped[str] = mapped_column(String(8))
    csrf_token: Mapped[str] = mapped_column(String(64), default=lambda: secrets.token_urlsafe(24))
    refresh_id: Mapped[uuid.UUID] = mapped_column(Uuid, default=uuid.uuid4)
    previous_refresh_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    rotated_at: Mapped[datetime] = mapped_column(default=clock.now)
    authenticated_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    last_used_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime]
    refresh_expires_at: Mapped[datetime]
    access_expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None] = mapped_column(String(16))
    ip_address: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(255))
    generation: Mapped[int] = mapped_column(server_default="0")
    network: Mapped[str | None] = mapped_column(String(43))

    __table_args__ = (
        Index("ix_sessions_user_id_created_at_id", "user_id", "created_at", "id"),
        Index("ix_sessions_refresh_expires_at", "refresh_expires_at"),
        Index(
            "ix_sessions_ended_at",
            "ended_at",
            postgresql_where=text("ended_at IS NOT NULL"),
            sqlite_where=text("ended_at IS NOT NULL"),
        ),
        Index(
            "ix_sessions_renewed_authenticated_at",
            "authenticated_at",
            postgresql_where=text("generation > 0"),
            sqlite_where=text("generation > 0"),
        ),
        Index(
            "ix_sessions_ended_access_expires_at",
            "access_expires_at",
            postgresql_where=text("ended_at IS NOT NULL"),
            sqlite_where=text("ended_at IS NOT NULL"),
        ),
    )


class SignInFailures(Base):
    """How often signing in to one account has failed from one network, since it last worked.

    account: the digest of the name that was typed, whether such an account exists or not. network: `*` counts all of them.
    """

    __tablename__ = "sign_in_failures"

    account: Mapped[str] = mapped_column(String(64), primary_key=True)
    network: Mapped[str] = mapped_column(String(43), primary_key=True)
    failures: Mapped[int]
    last_failed_at: Mapped[datetime]

    __table_args__ = (Index("ix_sign_in_failures_last_failed_at", "last_failed_at"),)
