"""Tokens that travel by mail: random, stored as digests, used once, dead with the state of the account that they were made in."""

import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, or_, select

from .. import clock, opaque
from ..database import fetch_one, transaction
from ..sessions import throttle
from ..users import User
from .errors import OneTimeTokenRefused
from .models import UNDO_EMAIL, OneTimeToken


def create(purpose: str, user: User, email: str, *, lifetime: int) -> str:
    """Make a token and return it; only its digest is kept. It kills the older ones of its purpose. lifetime: seconds.

    Older tokens that undo a change of address stay: each belongs to another address.
    """
    token = opaque.create()
    expires_at = clock.now() + timedelta(seconds=lifetime)
    with transaction() as session:
        if purpose != UNDO_EMAIL:
            void(user.id, purpose)
        session.add(
            OneTimeToken(
                digest=opaque.digest(token),
                purpose=purpose,
                user_id=user.id,
                email=email,
                expires_at=expires_at,
                recoveries=user.recoveries,
            )
        )
    return token


def look_at(token: str, *purposes: str) -> Row[Any]:
    """Return purpose, user_id, email and expires_at of a token, without using it. Raises OneTimeTokenRefused, TooManyRequests."""
    attempt = throttle.try_token()
    found = fetch_one(
        select(OneTimeToken.purpose, OneTimeToken.user_id, OneTimeToken.email, OneTimeToken.expires_at).where(
            *_usable(token, purposes)
        )
    )
    if found is None:
        raise OneTimeTokenRefused
    throttle.forgive(attempt)
    return found


def use(token: str, *purposes: str) -> OneTimeToken:
    """Use a token up, in the caller's transaction: of any number of simultaneous uses one succeeds.

    Every token of the same person and purpose that is not older dies with it. Raises OneTimeTokenRefused.
    """
    with transaction() as session:
        used = session.scalars(delete(OneTimeToken).where(*_usable(token, purposes)).returning(OneTimeToken)).one_or_none()
        if used is None:
            raise OneTimeTokenRefused
        same = (OneTimeToken.user_id == used.user_id, OneTimeToken.purpose == used.purpose)
        session.execute(delete(OneTimeToken).where(*same, OneTimeToken.created_at >= used.created_at))
    return used


def void(user_id: uuid.UUID, *purposes: str) -> None:
    """Kill the tokens of a person."""
    with transaction() as session:
        session.execute(delete(OneTimeToken).where(OneTimeToken.user_id == user_id, OneTimeToken.purpose.in_(purposes)))


def void_all(user_id: uuid.UUID) -> None:
    """Kill every token of a person, and forget the addresses that they name."""
    with transaction() as session:
        session.execute(delete(OneTimeToken).where(OneTimeToken.user_id == user_id))


def purge_tokens() -> int:
    """Delete tokens that have expired; return how many."""
    with transaction() as session:
        gone = session.execute(delete(OneTimeToken).where(OneTimeToken.expires_at < clock.now()))
    return int(gone.rowcount)  # type: ignore[attr-defined]


def _usable(token: str, purposes: tuple[str, ...]) -> tuple[ColumnElement[bool], ...]:
    owners = select(User.recoveries).where(User.id == OneTimeToken.user_id).scalar_subquery()
    return (
        OneTimeToken.digest == opaque.digest(token),
        OneTimeToken.purpose.in_(purposes),
        OneTimeToken.expires_at > clock.now(),
        # What undoes a change of address must survive what an attacker does to the account.
        or_(OneTimeToken.recoveries == owners, OneTimeToken.purpose == UNDO_EMAIL),
    )
