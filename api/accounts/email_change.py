"""Changing the e-mail address: asked for, withdrawn, and undone from the old mailbox."""

from sqlalchemy.exc import IntegrityError

from .. import audit, clock, outbox, users
from ..database import transaction
from ..http.guards import TokenRevoked
from ..sessions import Principal
from ..users import User, name_key
from . import one_time_tokens, recovery
from .errors import EmailTaken, OneTimeTokenRefused
from .models import CHANGE_EMAIL, UNDO_EMAIL, VERIFY_EMAIL


def ask(principal: Principal, email: str) -> None:
    """Ask for another address. It replaces the old one once it is verified; the old one gets a notice at once."""
    with transaction():
        user_id = principal.identity.id
        user = users.lock(user_id)
        if user is None:
            raise TokenRevoked  # deleted since the token was checked
        users.bump_version(user_id, pending_email=email, pending_email_session_id=principal.session_id)
        one_time_tokens.void(user_id, VERIFY_EMAIL, CHANGE_EMAIL)
        audit.record("email_change_requested", user_id, **principal.acting)
        outbox.enqueue("change_email", email, user_id=user_id)
        if user.email and user.email_verified_at:
            outbox.enqueue("change_email_notice", user.email, user_id=user_id)


def withdraw(principal: Principal) -> None:
    """Forget the address that waits for its verification. None is no error."""
    with transaction():
        user_id = principal.identity.id
        user = users.lock(user_id)
        if user is None:
            raise TokenRevoked
        if user.pending_email:
            users.bump_version(user_id, pending_email=None, pending_email_session_id=None)
            audit.record("email_change_withdrawn", user_id, **principal.acting)


def undo(token: str) -> None:
    """Withdraw or take back a change of address, with the token from the notice to the old one, and end every session.

    Raises OneTimeTokenRefused, TooManyRequests, and EmailTaken if somebody else has verified the old address since.
    """
    found = one_time_tokens.look_at(token, UNDO_EMAIL)
    with transaction():
        user = users.lock(found.user_id)
        proof = one_time_tokens.use(token, UNDO_EMAIL)
        if user is None:
            raise OneTimeTokenRefused
        recovery.secure(user.id, "email_undone")
        _restore(user, proof.email)
        audit.record("email_change_undone", user.id)


def _restore(user: User, email: str) -> None:
    if user.email == email and user.email_verified_at:
        return
    try:
        users.bump_version(user.id, email=email, email_key=name_key(email), email_verified_at=clock.now())
    except IntegrityError:
        raise EmailTaken from None
