"""Proving an e-mail address, and changing it.

An address belongs to an account only once it is proven: two may claim it, one can prove it.
"""

from sqlalchemy.exc import IntegrityError

from .. import audit, clock, outbox, users
from ..database import transaction
from ..http.guards import TokenRevoked
from ..sessions import Principal
from ..users import name_key
from . import one_time_tokens
from .errors import EmailTaken, NothingToVerify, OneTimeTokenRefused
from .models import RESET_PASSWORD, VERIFY_EMAIL


def verify(token: str) -> None:
    """Make the address that the token proves the person's own. Raises OneTimeTokenRefused, EmailTaken."""
    user_id = one_time_tokens.look_at(VERIFY_EMAIL, token)
    with transaction():
        user = users.lock(user_id)  # before the token, as everybody does who voids tokens
        proof = one_time_tokens.use(VERIFY_EMAIL, token)
        if user is None or proof.email not in (user.email, user.pending_email):
            raise OneTimeTokenRefused
        changed = user.email_verified_at is not None and proof.email != user.email
        pending = None if proof.email == user.pending_email else user.pending_email
        address = {"email": proof.email, "email_key": name_key(proof.email), "email_verified_at": clock.now()}
        try:
            users.bump_version(user.id, **address, pending_email=pending)
        except IntegrityError:
            raise EmailTaken from None
        if changed:
            one_time_tokens.void(user.id, RESET_PASSWORD)  # they were mailed to the old address
        audit.record("email_changed" if changed else "email_verified", user.id, actor_id=user.id)


def send_again(principal: Principal) -> None:
    """Mail a new token for the address that waits for its proof. Raises NothingToVerify."""
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


def change(principal: Principal, email: str) -> None:
    """Ask for another address: it counts once it is proven, and the old one is told at once."""
    with transaction():
        user_id = principal.identity.id
        user = users.lock(user_id)
        if user is None:
            raise TokenRevoked  # deleted since the token was looked at
        users.bump_version(user_id, pending_email=email)
        one_time_tokens.void(user_id, VERIFY_EMAIL)
        audit.record("email_change_requested", user_id, **principal.acting)
        outbox.enqueue("change_email", email, user_id=user_id)
        if user.email and user.email_verified_at:
            outbox.enqueue("change_email_notice", user.email, user_id=user_id)
