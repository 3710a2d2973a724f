"""Signing in, and giving the password again."""

import secrets
import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, select, update

from .. import audit, outbox, users
from ..access import Identity, identities
from ..config import settings
from ..database import transaction
from ..keys import is_current_generation, keyring
from ..observability import metrics, requests
from ..prepared import Adding, Change, Step
from ..problems import Problem, ServiceUnavailable, TooManyRequests
from ..users import User, active_at
from . import throttle
from .errors import InvalidCredentials
from .models import Session
from .principal import Principal
from .renewal import renew
from .throttle import Attempt
from .tokens import Family, TokenPair, expiries, issue

OUTCOMES: dict[type[Problem], str] = {
    InvalidCredentials: "invalid",
    users.AccountSuspended: "suspended",
    TooManyRequests: "throttled",
    ServiceUnavailable: "overloaded",
}


def sign_in(name: str, password: str, delivery: str) -> TokenPair:
    """Open a session for the person to whom this name and password belong.

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
        # Retry once: a concurrent rehash or a new signing key succeeds, a password change fails.
        keyring().forget()
        try:
            return _sign_in(name, password, delivery)
        except _OvertakenError:
            raise InvalidCredentials from None


class _OvertakenError(Exception):
    """The password hash, the account or the signing keys have changed while the password was checked."""


def _sign_in(name: str, password: str, delivery: str) -> TokenPair:
    users.hasher().expect_room()
    found = users.find_credentials(name)
    attempt = throttle.try_password(name, found.id if found else None)
    if not _is_right(password, found, attempt) or found is None:
        _failed(found, attempt)
        raise InvalidCredentials
    if found.suspended:
        with transaction():
            throttle.forgive(attempt)
            if users.lock(found.id):
                audit.record("sign_in_failed", found.id, detail="suspended")
        raise users.AccountSuspended
    rehashed = {"new_hash": users.hasher().hash(password)} if users.hasher().is_outdated(found.password_hash) else {}
    parameters = {**_parameters(found, attempt, delivery), **rehashed}
    opened = (_open_anew if rehashed else _open).apply(parameters)
    if opened is None:
        throttle.forgive(attempt)
        raise _OvertakenError
    requests.signed_in(found.id, parameters["sid"])
    return issue(Family(*(parameters[name] for name in _FAMILY)), Identity.of(opened[1:]), fresh=True)


def _is_right(password: str, found: users.Credentials | None, attempt: Attempt) -> bool:
    """Check a password; take the try back if it could not be checked. Raises ServiceUnavailable."""
    try:
        right = users.hasher().verify(password, found.password_hash if found else None)
    except ServiceUnavailable:
        throttle.forgive(attempt)
        raise
    return right and attempt.judged


def _failed(found: users.Credentials | None, attempt: Attempt) -> None:
    """Write a failure to the audit log; of an account that was deleted meanwhile nothing is kept."""
    user_id = found.id if found else None
    with transaction():
        # Asked for names that nobody has, too: both kinds of failure cost the same.
        if users.lock(user_id or uuid.uuid4()) is None and user_id:
            return
        audit.record("sign_in_failed", user_id, detail=None if attempt.judged else "not judged")
        _report(found, attempt)


def _report(found: users.Credentials | None, attempt: Attempt) -> None:
    """Say in the audit log, and to the owner, when failures begin to cause pauses."""
    if attempt.failures == throttle.NETWORK.free:
        audit.record("sign_in_delayed", found.id if found else None)
    if found and found.proven_email and attempt.failures_anywhere == throttle.ACCOUNT.free:
        outbox.enqueue("sign_ins_failed", found.proven_email, user_id=found.id)


def _parameters(found: users.Credentials, attempt: Attempt, delivery: str) -> dict[str, Any]:
    event = audit.event("signed_in")
    now = event["event_created_at"]
    return {
        **event,
        "sub": found.id,
        "known_hash": found.password_hash,
        "known_epoch": found.epoch,
        "key_generation": keyring().generation(),
        "sid": uuid.uuid4(),
        "jti": uuid.uuid4(),
        "csrf": secrets.token_urlsafe(24),
        "form": delivery,
        "gen": 0,
        "session_until": now + timedelta(seconds=settings().session_lifetime),
        **expiries(now),
        **attempt.parameters,
    }


# Hashing takes time. The condition closes the race against a password change, a suspension or new roles in between, and the
# lock it takes makes "revoke everything" wait until this session can be seen, and ended, too.
_now = bindparam("event_created_at", type_=Session.expires_at.type)
_FAMILY = ("sid", "jti", "form", "csrf", "event_created_at", "event_created_at", "session_until", "gen")
_right = (
    User.id == bindparam("sub"),
    User.password_hash == bindparam("known_hash"),
    User.epoch == bindparam("known_epoch"),
    active_at(_now),
    is_current_generation(),
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
            "generation": "gen",
            "network": "here",
        },
    ),
    *throttle.FORGIVE,
    audit.recording(subject_id="sub", actor_id="sub", session_id="sid", detail="form"),
)
_owner = identities().where(User.id == bindparam("sub"))
# The row is locked as an UPDATE would lock it, and not written: a new version of it would have to be entered into every index.
_open = Change(select(User.id.label("sub")).where(*_right).with_for_update(key_share=True), *_steps, read=_owner)
_open_anew = Change(
    update(User).where(*_right).values(password_hash=bindparam("new_hash")).returning(User.id.label("sub")), *_steps, read=_owner
)


def check_password(user_id: uuid.UUID, password: str, *, session_id: uuid.UUID | None = None) -> users.Credentials:
    """Check the password of a known account, and return its credentials. Tries count as those of signing in do.

    session_id: of the caller, for the audit log. Raises WrongPassword, TooManyRequests.
    """
    found = users.credentials_of(user_id)
    attempt = throttle.try_password(found.username if found else "", user_id)
    if not _is_right(password, found, attempt) or found is None:
        with transaction():
            if users.lock(user_id):
                audit.record("reauthentication_failed", user_id, session_id=session_id)
                _report(found, attempt)
        raise users.WrongPassword
    throttle.forgive(attempt)
    return found


def reauthenticate(principal: Principal, password: str) -> TokenPair:
    """Renew the session of somebody who knows the password. Raises WrongPassword, TooManyRequests, TokenRevoked."""
    user_id = principal.identity.id
    check_password(user_id, password, session_id=principal.session_id)
    with transaction():
        pair = renew(principal)
        audit.record("reauthenticated", user_id, actor_id=user_id, session_id=principal.session_id)
    return pair
