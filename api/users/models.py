"""The table of users."""

import unicodedata
import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ColumnElement, Index, String, Uuid, and_, or_, text
from sqlalchemy.orm import Mapped, mapped_column

from .. import clock
from ..database import Base

ACTIVE, SUSPENDED = "active", "suspended"


def name_key(name: str) -> str:
    """The form in which names and addresses are compared: case and compatibility variants do not count."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


class User(Base):
    """A person who can sign in.

    epoch: counts the moments at which every access token issued before died at once (roles changed, all tokens
    revoked). A token carries the epoch of its birth; a counter, because clocks disagree.
    version: counts changes of the record, for ETags.
    recoveries: counts the moments at which everything that waited in the account was withdrawn, and every change of the
    password. A mailed token carries the number of its birth.
    pending_email: the address that replaces `email` once it is verified. pending_email_session_id: the session that asked for it.
    suspended_until: None for without end.
    deleted_at: set on what is left of a deleted account; it keeps the name from being taken by somebody else.
    devices_kept_until: of a deleted account, when the purge removes addresses and browsers from its audit log.
    """

    __tablename__ = "users"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4)
    username: Mapped[str] = mapped_column(String(80))
    username_key: Mapped[str] = mapped_column(String(80), unique=True)
    email: Mapped[str | None] = mapped_column(String(254))
    email_key: Mapped[str | None] = mapped_column(String(254))
    email_verified_at: Mapped[datetime | None]
    pending_email: Mapped[str | None] = mapped_column(String(254))
    pending_email_session_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    display_name: Mapped[str | None] = mapped_column(String(80))
    password_hash: Mapped[str] = mapped_column(String(255))
    password_changed_at: Mapped[datetime] = mapped_column(default=clock.now)
    status: Mapped[str] = mapped_column(String(16), default=ACTIVE)
    suspended_reason: Mapped[str | None] = mapped_column(String(200))
    suspended_until: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    devices_kept_until: Mapped[datetime | None]
    recoveries: Mapped[int] = mapped_column(server_default="0")
    epoch: Mapped[int] = mapped_column(default=0)
    epoch_changed_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)

    __table_args__ = (
        CheckConstraint(f"status IN ('{ACTIVE}', '{SUSPENDED}')", name="status"),
        Index("ix_users_created_at_id", "created_at", "id"),
        # Two people may claim an address, one can prove it.
        Index(
            "uq_users_verified_email_key",
            "email_key",
            unique=True,
            postgresql_where=text("email_verified_at IS NOT NULL"),
            sqlite_where=text("email_verified_at IS NOT NULL"),
        ),
        # For finding by the beginning: LIKE uses these whatever the collation of the database.
        Index("ix_users_username_key_prefix", "username_key", postgresql_ops={"username_key": "text_pattern_ops"}),
        Index("ix_users_email_key_prefix", "email_key", postgresql_ops={"email_key": "text_pattern_ops"}),
        Index(
            "ix_users_suspended_created_at_id",
            "created_at",
            "id",
            postgresql_where=text("status <> 'active' AND deleted_at IS NULL"),
            sqlite_where=text("status <> 'active' AND deleted_at IS NULL"),
        ),
        Index(
            "ix_users_devices_kept_until",
            "devices_kept_until",
            postgresql_where=text("devices_kept_until IS NOT NULL"),
            sqlite_where=text("devices_kept_until IS NOT NULL"),
        ),
        Index(
            "ix_users_epoch_changed_at",
            "epoch_changed_at",
            postgresql_where=text("epoch_changed_at IS NOT NULL"),
            sqlite_where=text("epoch_changed_at IS NOT NULL"),
        ),
    )


def active_at(now: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    """Whether a user may do anything at this moment: not suspended, or no longer. The deleted are suspended for ever."""
    # Never NULL, so that it can be negated.
    return or_(User.status == ACTIVE, and_(User.suspended_until.is_not(None), User.suspended_until <= now))
