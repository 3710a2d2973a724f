"""Signing in, and giving the password again."""

import secrets
import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, select, update

from .. import audit, clock, users
from ..access import Identity, identities
from ..config import settings
from ..database import transaction
from ..http.guards import TokenRevoked
from ..observability import metrics, requests
from ..prepared import Adding, Change, Step
from ..problems import Problem, ServiceUnavailable, TooManyRequests
from ..users import User, active_at
from . import protection
from .errors import InvalidCredentials
from .models import Session
from .principal import Principal
from .tokens import Family, TokenPair, expiries, issue, issue_access

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
    users.hasher().expect_room()
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
    rehashed = {"new_hash": users.hasher().hash(password)} if users.hasher().is_outdated(found.password_hash) else {}
    parameters = {**_parameters(found, account, delivery), **rehashed}
    opened = (_open_anew if rehashed else _open).apply(parameters)
    if opened is None:
        raise _OvertakenError
    requests.signed_in(found.id, parameters["sid"])
    return issue(Family(*(parameters[name] for name in _FAMILY)), Identity.of(opened[1:]), fresh=True)


def _parameters(found: users.Credentials, account: str, delivery: str) -> dict[str, Any]:
    event = audit.event("signed_in")
    now = event["event_created_at"]
    return {
        **event,
        "sub": found.id,
        "known_hash": found.password_hash,
        "known_epoch": found.epoch,
        "sid": uuid.uuid4(),
        "jti": uuid.uuid4(),
        "csrf": secrets.token_urlsafe(24),
        "form": delivery,
        "session_until": now + timedelta(seconds=settings().session_lifetime),
        **expiries(now),
        **protection.ours(account),
    }


# Hashing takes time. The condition closes the race against a password change, a suspension or new roles in between, and the
# lock it takes makes "revoke everything" wait until this session can be seen, and ended, too.
_now = bindparam("event_created_at", type_=Session.expires_at.type)
_FAMILY = ("sid", "jti", "form", "csrf", "event_created_at", "event_created_at", "session_until")
_right = (
    User.id == bindparam("sub"),
    User.password_hash == bindparam("known_hash"),
    User.epoch == bindparam("known_epoch"),
    active_at(_now),
)
_steps: tuple[Step, ...] = (
    Adding(
        Session,
        {
            "id": "sid",
            "user_id": "sub",
            "delivery": "form",
            "csrf_token": "csrf",
            "refresh_id": "jti",
            **dict.fromkeys(("rotated_at", "authenticated_at", "created_at", "last_used_at"), "event_created_at"),
            "expires_at": "session_until",
            "refresh_expires_at": "refresh_until",
            "access_expires_at": "access_until",
            "ip_address": "event_ip_address",
            "user_agent": "event_user_agent",
        },
    ),
    protection.forget_ours,
    audit.recording(subject_id="sub", actor_id="sub", session_id="sid", detail="form"),
)
_owner = identities().where(User.id == bindparam("sub"))
# The row is locked as an UPDATE would lock it, and not written: a new version of it would have to be entered into every index.
_open = Change(select(User.id.label("sub")).where(*_right).with_for_update(key_share=True), *_steps, read=_owner)
_open_anew = Change(
    update(User).where(*_right).values(password_hash=bindparam("new_hash")).returning(User.id.label("sub")), *_steps, read=_owner
)


def confirm_password(principal: Principal, password: str) -> users.Credentials:
    """Check the password of somebody who is signed in.

    Returns the credentials it was checked against. Raises WrongPassword.
    """
    found = users.credentials_of(principal.identity.id)
    if not users.hasher().verify(password, found.password_hash if found else None) or found is None:
        with transaction():
            if users.lock(principal.identity.id):
                audit.record("reauthentication_failed", principal.identity.id, session_id=principal.session_id)
        raise users.WrongPassword
    return found


def reauthenticate(principal: Principal, password: str) -> TokenPair:
    """Give a fresh access token for the same session to somebody who knows the password. Raises WrongPassword, TokenRevoked."""
    confirm_password(principal, password)
    now = clock.now()
    with transaction() as database:
        session = database.scalars(
            update(Session)
            .where(Session.id == principal.session_id, Session.ended_at.is_(None), Session.expires_at > now)
            .values(authenticated_at=now, access_expires_at=expiries(now)["access_until"])
            .returning(Session)
        ).one_or_none()
        if session is None:
            raise TokenRevoked  # ended while the password was being checked
        user_id = principal.identity.id
        audit.record("reauthenticated", user_id, actor_id=user_id, session_id=session.id)
        # Read again: the roles may have changed while the password was being checked.
        identity = Identity.of(database.execute(identities().where(User.id == user_id)).one())
    return issue_access(session, identity, now, uuid.uuid4(), fresh=True)
