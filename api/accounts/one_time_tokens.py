"""Tokens that travel by mail: random, stored as digests, used once, dead with the thing they prove."""

import uuid
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, select

from .. import clock, opaque
from ..database import fetch_one, transaction
from .errors import OneTimeTokenRefused
from .models import OneTimeToken


def create(purpose: str, user_id: uuid.UUID, email: str, *, lifetime: int) -> str:
    """Make a token and return it; only its digest is kept. lifetime: seconds."""
    token = opaque.create()
    expires_at = clock.now() + timedelta(seconds=lifetime)
    with transaction() as session:
        row = OneTimeToken(digest=opaque.digest(token), purpose=purpose, user_id=user_id, email=email, expires_at=expires_at)
        session.add(row)
    return token


def look_at(purpose: str, token: str) -> uuid.UUID:
    """Return whose token this is, without using it. Raises OneTimeTokenRefused."""
    row = fetch_one(select(OneTimeToken.user_id).where(*_usable(purpose, token)))
    if row is None:
        raise OneTimeTokenRefused
    found: uuid.UUID = row.user_id
    return found


def use(purpose: str, token: str) -> OneTimeToken:
    """Use a token up, in the caller's transaction: of any number of simultaneous uses one succeeds.

    Every other token of the same person and purpose dies with it. Raises OneTimeTokenRefused.
    """
    with transaction() as session:
        used = session.scalars(delete(OneTimeToken).where(*_usable(purpose, token)).returning(OneTimeToken)).one_or_none()
        if used is None:
            raise OneTimeTokenRefused
        void(used.user_id, purpose)
    return used


def void(user_id: uuid.UUID, *purposes: str) -> None:
    """Kill the tokens of a person."""
    with transaction() as session:
        session.execute(delete(OneTimeToken).where(OneTimeToken.user_id == user_id, OneTimeToken.purpose.in_(purposes)))


def purge_tokens() -> int:
    """Delete tokens that have expired; return how many."""
    with transaction() as session:
        gone = session.execute(delete(OneTimeToken).where(OneTimeToken.expires_at < clock.now()))
    return int(gone.rowcount)  # type: ignore[attr-defined]


def _usable(purpose: str, token: str) -> tuple[ColumnElement[bool], ...]:
    return OneTimeToken.digest == opaque.digest(token), OneTimeToken.purpose == purpose, OneTimeToken.expires_at > clock.now()
