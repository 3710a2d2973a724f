"""Tokens that travel by mail: random, stored as digests, used once, dead with the state of the account that they were made in."""

import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, or_, select

from .. import clock, opaque
from ..database import fetch_one, transaction
from ..docs.demo import is_withheld
from ..outbox import OutgoingEmail
from ..sessions import throttle
from ..users import User
from .errors import OneTimeTokenRefused
from .models import UNDO_EMAIL, OneTimeToken


def create(purpose: str, user: User, mail: OutgoingEmail, email: str, *, lifetime: int) -> str:
    """Make a token for a mail and return it; only its digest is kept. It kills those of older mails. lifetime: seconds.

    A mail that is sent again may have arrived before, so its older tokens stay. So do those that undo a change of address: each
    belongs to another address.
    """
    token = opaque.create()
    expires_at = clock.now() + timedelta(seconds=lifetime)
    made_for = {"user_id": user.id, "recoveries": user.recoveries, "mail_id": mail.id, "email": email}
    with transaction() as session:
        if purpose != UNDO_EMAIL:
            session.execute(delete(OneTimeToken).where(*_of(user.id, purpose), OneTimeToken.mail_id.is_distinct_from(mail.id)))
        session.add(OneTimeToken(digest=opaque.digest(token), purpose=purpose, expires_at=expires_at, **made_for))
    return token


def _of(user_id: uuid.UUID, *purposes: str) -> tuple[ColumnElement[bool], ...]:
    return OneTimeToken.user_id == user_id, OneTimeToken.purpose.in_(purposes)


def look_at(token: str, *purposes: str) -> Row[Any]:
    """Return purpose, user_id, email and expires_at of a token, without using it. Raises OneTimeTokenRefused, TooManyRequests."""
    attempt = throttle.try_token()
    found = fetch_one(
        select(OneTimeToken.purpose, OneTimeToken.user_id, OneTimeToken.email, OneTimeToken.expires_at).where(
            *_usable(token, purposes)
        )
    )
    if found is None or is_withheld(found.user_id):
        raise OneTimeTokenRefused
    throttle.forgive(attempt)
    return found


def use(token: str, *purposes: str) -> OneTimeToken:
    """Use a token up, in the caller's transaction: of any number of simultaneous uses one succeeds.

    Every token of the same person and purpose dies with it, but for those of older mails. Raises OneTimeTokenRefused.
    """
    with transaction() as session:
        used = session.scalars(delete(OneTimeToken).where(*_usable(token, purposes)).returning(OneTimeToken)).one_or_none()
        if used is None:
            raise OneTimeTokenRefused
        not_older = or_(OneTimeToken.created_at >= used.created_at, OneTimeToken.mail_id == used.mail_id)
        session.execute(delete(OneTimeToken).where(*_of(used.user_id, used.purpose), not_older))
    return used


def void(user_id: uuid.UUID, *purposes: str) -> None:
    """Kill the tokens of a person."""
    with transaction() as session:
        session.execute(delete(OneTimeToken).where(*_of(user_id, *purposes)))


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
