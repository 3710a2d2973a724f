"""Signing in, and giving the password again."""

import uuid
from datetime import timedelta

from sqlalchemy import update

from .. import audit, clock, users
from ..access import Identity, identities
from ..config import settings
from ..database import transaction
from ..http.device import device
from ..http.guards import TokenRevoked
from ..observability import metrics, requests
from ..problems import Problem, ServiceUnavailable, TooManyRequests
from ..users import User, active_at
from . import protection
from .errors import InvalidCredentials
from .models import Session
from .principal import Principal
from .tokens import TokenPair, expiries, issue, issue_access

OUTCOMES: dict[type[Problem], str] = {
    InvalidCredentials: "invalid",
    users.AccountSuspended: "suspended",
    TooManyRequests: "throttled",
    ServiceUnavailable: "overloaded",
}


def sign_in(name: str, password: str, delivery: str) -> TokenPair:
    """Open a session for whoever this name and password belong to.

    Raises InvalidCredentials, the same after the same work whether the name is unknown or the password wrong, and
    AccountSuspended to somebody who knows the password. TooManyRequests after too many failures, whatever the password.
    """
    try:
        pair = _sign_in_at_last(name, password, delivery)
    except Problem as problem:
        if type(problem) in OUTCOMES:
            metrics.count(metrics.LOGINS, OUTCOMES[type(problem)])
        raise
    metrics.count(metrics.LOGINS, "success")
    return pair


def _sign_in_at_last(name: str, password: str, delivery: str) -> TokenPair:
    try:
        return _sign_in(name, password, delivery)
    except _OvertakenError:
        # Another sign-in has just replaced an outdated hash, or the password was changed: which, shows a second look.
        try:
            return _sign_in(name, password, delivery)
        except _OvertakenError:
            raise InvalidCredentials from None


class _OvertakenError(Exception):
    """The password hash, or the account, has changed while the password was checked."""


def _sign_in(name: str, password: str, delivery: str) -> TokenPair:
    found = users.find_credentials(name)
    account = protection.account_key(name, found.id if found else None)
    protection.check(account)
    right = users.hasher().verify(password, found.password_hash if found else None)
    if not found or not right:
        protection.failed(account, found.id if found else None)
        raise InvalidCredentials
    if found.suspended:
        with transaction():
            if users.lock(found.id):
                audit.record("sign_in_failed", found.id, detail="suspended")
        raise users.AccountSuspended
    rehashed = users.hasher().hash(password) if users.hasher().is_outdated(found.password_hash) else found.password_hash
    with transaction() as database:
        # Hashing took time. This condition closes the race against a password change or a suspension in between, and the
        # lock it takes makes "revoke everything" wait until this session can be seen, and ended, too.
        still = (User.id == found.id, User.password_hash == found.password_hash, active_at(clock.now()))
        if database.execute(update(User).where(*still).values(password_hash=rehashed)).rowcount != 1:  # type: ignore[attr-defined]
            raise _OvertakenError
        identity = Identity.of(database.execute(identities().where(User.id == found.id)).one())
        session = _open(found.id, delivery)
        database.add(session)
        database.flush()
        protection.worked(account)
        audit.record("signed_in", found.id, actor_id=found.id, session_id=session.id, detail=delivery)
    requests.signed_in(found.id, session.id)
    return issue(session, identity, fresh=True)


def _open(user_id: uuid.UUID, delivery: str) -> Session:
    now = clock.now()
    return Session(
        user_id=user_id,
        delivery=delivery,
        created_at=now,
        rotated_at=now,
        authenticated_at=now,
        last_used_at=now,
        expires_at=now + timedelta(seconds=settings().session_lifetime),
        **expiries(now),
        **device(),
    )


def confirm_password(principal: Principal, password: str) -> users.Credentials:
    """Check the password of somebody who is signed in.

    Returns the credentials it was checked against. Raises WrongPassword.
    """
    found = users.credentials_of(principal.identity.id)
    if not users.hasher().verify(password, found.password_hash if found else None) or found is None:
        with transaction():
            if users.lock(principal.identity.id):
                audit.record("reauthentication_failed", principal.identity.id, session_id=principal.session.id)
        raise users.WrongPassword
    return found


def reauthenticate(principal: Principal, password: str) -> TokenPair:
    """Give a fresh access token for the same session to somebody who knows the password. Raises WrongPassword, TokenRevoked."""
    confirm_password(principal, password)
    now = clock.now()
    with transaction() as database:
        session = database.scalars(
            update(Session)
            .where(Session.id == principal.session.id, Session.ended_at.is_(None), Session.expires_at > now)
            .values(authenticated_at=now, access_expires_at=expiries(now)["access_expires_at"])
            .returning(Session)
        ).one_or_none()
        if session is None:
            raise TokenRevoked  # ended while the password was being checked
        user_id = principal.identity.id
        audit.record("reauthenticated", user_id, actor_id=user_id, session_id=session.id)
        # Read again: the roles may have changed while the password was being checked.
        identity = Identity.of(database.execute(identities().where(User.id == user_id)).one())
    return issue_access(session, identity, now, uuid.uuid4(), fresh=True)
