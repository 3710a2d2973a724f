"""A forgotten password: the way back through a verified address."""

from .. import audit, outbox, users
from ..database import transaction
from ..sessions import throttle
from . import one_time_tokens, recovery
from .errors import OneTimeTokenRefused
from .models import RESET_PASSWORD


def ask(email: str) -> None:
    """Mail a token to the person who has verified this address.

    The same statements run whether there is anybody or not; who gets which mail is decided when it is sent.
    """
    user_id = users.find_by_proven_email(email)
    with transaction():
        audit.record("password_reset_requested", user_id)
        outbox.enqueue("reset_password", email, user_id=user_id)


def reset(token: str, new_password: str) -> None:
    """Set a new password, end every session, and withdraw everything that waits in the account. Nobody is signed in by this.

    Raises OneTimeTokenRefused, PasswordRefused, TooManyRequests; the token survives a password that is refused.
    """
    user_id = one_time_tokens.look_at(token, RESET_PASSWORD).user_id
    found = users.credentials_of(user_id)
    if found is None:
        raise OneTimeTokenRefused
    users.check_policy(new_password, found.username, found.proven_email, pointer="/new_password")
    new_hash = users.hasher().hash(new_password)
    with transaction():
        user = users.lock(user_id)
        proof = one_time_tokens.use(token, RESET_PASSWORD)
        if user is None or not user.email_verified_at or user.email != proof.email:
            raise OneTimeTokenRefused
        users.replace_password_hash(user_id, new_hash)
        recovery.secure(user_id, "password_reset")
        throttle.forgive_account(user_id, user.username, user.email)
        audit.record("password_reset", user_id, actor_id=user_id)
        outbox.enqueue("password_changed", proof.email, user_id=user_id)
