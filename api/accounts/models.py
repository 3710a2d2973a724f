"""The table of one-time tokens."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from .. import clock
from ..database import Base

VERIFY_EMAIL, CHANGE_EMAIL, RESET_PASSWORD, UNDO_EMAIL = "verify_email", "change_email", "reset_password", "undo_email"


class OneTimeToken(Base):
    """A secret that was mailed, as its digest. Using it deletes the row, so that of any number of uses one finds it.

    email: the address that the token verifies. recoveries: the owner's, when the token was made. mail_id: of the mail that
    carries it; a mail that is sent again carries another one.
    """

    __tablename__ = "one_time_tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[uuid.UUID] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"))
    email: Mapped[str] = mapped_column(String(254))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime]
    recoveries: Mapped[int] = mapped_column(server_default="0")
    mail_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)

    __table_args__ = (
        Index("ix_one_time_tokens_user_id_purpose", "user_id", "purpose"),
        Index("ix_one_time_tokens_expires_at", "expires_at"),
    )
