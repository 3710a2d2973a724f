"""The table of signing keys."""

from datetime import datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .. import clock
from ..database import Base


class SigningKey(Base):
    """A key pair.

    kid: the RFC 7638 thumbprint. active_from: when it begins to sign; it is published before. retired_at: when it stops
    to verify, None while it is the newest.
    """

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    algorithm: Mapped[str] = mapped_column(String(16))
    private_key: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    active_from: Mapped[datetime]
    retired_at: Mapped[datetime | None]
