"""The table of outgoing mail."""

import uuid
from datetime import datetime

from sqlalchemy import Index, String, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from .. import clock
from ..database import Base

PENDING, SENT, DROPPED, DEAD = "pending", "sent", "dropped", "dead"


class OutgoingEmail(Base):
    """A mail that somebody shall get. It says what about, not what it reads: that is composed when it is sent, so that no secret
    is ever stored here, and a request does the same work whether there is anybody to write to or not.

    kind: which composer writes it. user_id: whom it is about, where that is known. recipient: the address asked for; blanked once
    the mail has left. recipient_digest: what stays of it, for the quotas. status: pending, sent, dropped (there was nobody to
    write to), or dead (given up after the last attempt). next_attempt_at: when it is due; while somebody is sending it, until
    when others leave it alone.
    """

    __tablename__ = "outgoing_emails"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4)
    kind: Mapped[str] = mapped_column(String(32))
    user_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    recipient: Mapped[str] = mapped_column(String(254))
    status: Mapped[str] = mapped_column(String(8), default=PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    finished_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(String(200))
    recipient_digest: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        Index(
            "ix_outgoing_emails_due",
            "next_attempt_at",
            postgresql_where=text("status = 'pending'"),
            sqlite_where=text("status = 'pending'"),
        ),
        Index(
            "ix_outgoing_emails_dead",
            "created_at",
            postgresql_where=text("status = 'dead'"),
            sqlite_where=text("status = 'dead'"),
        ),
        Index("ix_outgoing_emails_finished_at", "finished_at"),
        Index("ix_outgoing_emails_user_id", "user_id"),
        Index("ix_outgoing_emails_recipient_digest_finished_at", "recipient_digest", "finished_at"),
    )
