"""Verifying an e-mail address, and finishing a change of it.

An address belongs to an account only once it is verified: two may claim it, one can verify it.
"""

from sqlalchemy.exc import IntegrityError

from .. import audit, clock, outbox, users
from ..database import transaction
from ..sessions import Principal, check_password
from ..users import User, name_key
from . import one_time_tokens
from .errors import ConfirmationRequired, EmailTaken, NothingToVerify, OneTimeTokenRefused
from .models import CHANGE_EMAIL, VERIFY_EMAIL, OneTimeToken


def verify(token: str, *, password: str | None = None, principal: Principal | None = None) -> None:
    """Make the address that the token verifies the account's own.

    A change of address is finished only by the session that asked for it, or with the password: the new mailbox alone is not
    enough, because a thief who was in the account once may own it.
    Raises OneTimeTokenRefused, ConfirmationRequired, WrongPassword, EmailTaken, TooManyRequests.
    """
    found = one_time_tokens.look_at(token, VERIFY_EMAIL, CHANGE_EMAIL)
    if password is not None:
        check_password(found.user_id, password)
    with transaction():
        user = users.lock(found.user_id)  # before the token, as everybody does who withdraws tokens
        proof = one_time_tokens.use(token, found.purpose)
        if user is None or not _is_awaited(user, proof):
            raise OneTimeTokenRefused
        if proof.purpose == CHANGE_EMAIL and password is None and not _has_asked(user, principal):
            raise ConfirmationRequired
        _take(user, proof)


def _is_awaited(user: User, proof: OneTimeToken) -> bool:
    if proof.purpose == CHANGE_EMAIL:
        return proof.email == user.pending_email
    return proof.email == user.email and user.email_verified_at is None


def _has_asked(user: User, principal: Principal | None) -> bool:
    return principal is not None and principal.session_id == user.pending_email_session_id


def _take(user: User, proof: OneTimeToken) -> None:
    changed = user.email_verified_at is not None and proof.email != user.email
    values = {"email": proof.email, "email_key": name_key(proof.email), "email_verified_at": clock.now()}
    if proof.purpose == CHANGE_EMAIL:
        values |= {"pending_email": None, "pending_email_session_id": None}
    try:
        users.bump_version(user.id, **values)
    except IntegrityError:
        raise EmailTaken from None
    audit.record("email_changed" if changed else "email_verified", user.id, actor_id=user.id)


def send_again(principal: Principal) -> None:
    """Mail a new token for the address that waits for its verification. Raises NothingToVerify."""
    with transaction():
        user = users.lock(principal.identity.id)
        if user is None:
            raise NothingToVerify
        if user.pending_email:
            outbox.enqueue("change_email", user.pending_email, user_id=user.id)
        elif user.email and not user.email_verified_at:
            outbox.enqueue("verify_email", user.email, user_id=user.id)
        else:
            raise NothingToVerify
