"""A user together with their roles: one statement, one shape."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Row, Select, func, select

from .. import clock
from ..database import fetch_one
from ..users import ACTIVE, SUSPENDED, User
from .models import UserRole

_roles = select(func.aggregate_strings(UserRole.role, " ")).where(UserRole.user_id == User.id).correlate(User).scalar_subquery()
COLUMNS: tuple[Any, ...] = (
    User.id,
    User.username,
    User.display_name,
    User.email,
    User.email_verified_at,
    User.pending_email,
    User.status,
    User.suspended_reason,
    User.suspended_until,
    User.epoch,
    User.version,
    User.created_at,
    User.updated_at,
    _roles.label("roles"),
)


@dataclass(frozen=True, slots=True)
class Suspension:
    """Why somebody is suspended, and until when; None for no reason given, and for without end."""

    reason: str | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as the rest of the service sees them. roles are sorted."""

    id: uuid.UUID
    username: str
    display_name: str | None
    email: str | None
    email_verified_at: datetime | None
    pending_email: str | None
    stored_status: str
    suspended_reason: str | None
    suspended_until: datetime | None
    epoch: int
    version: int
    created_at: datetime
    updated_at: datetime
    roles: tuple[str, ...]

    @property
    def email_verified(self) -> bool:
        return self.email_verified_at is not None

    @property
    def status(self) -> str:
        """`active` or `suspended`, as of now: a suspension may have ended by itself."""
        over = self.suspended_until is not None and self.suspended_until <= clock.now()
        return ACTIVE if over else self.stored_status

    @property
    def suspension(self) -> "Suspension | None":
        return Suspension(self.suspended_reason, self.suspended_until) if self.status == SUSPENDED else None

    @classmethod
    def of(cls, row: Sequence[Any] | Row[Any]) -> Self:
        """Build one from the values of COLUMNS, in their order."""
        *values, roles = row
        values.append(tuple(sorted(roles.split())) if roles else ())
        return cls(*values)


def identities() -> Select[Any]:
    """Select users with their roles; each row is `Identity.of(row)`. Deleted ones are no users."""
    return select(*COLUMNS).where(User.deleted_at.is_(None))


def find_identity(user_id: uuid.UUID) -> Identity | None:
    """Read one user with their roles."""
    row = fetch_one(identities().where(User.id == user_id))
    return Identity.of(row) if row else None
