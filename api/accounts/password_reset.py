"""A forgotten password: the way back through a proven address."""

from .. import audit, outbox, sessions, users
from ..database import transaction
from ..sessions import protection
from . import one_time_tokens
from .errors import OneTimeTokenRefused
from .models import RESET_PASSWORD


def ask(email: str) -> None:
    """Mail a token to whoever has proven this address.

    The same statements run whether there is anybody or not; who gets which mail is decided when it is sent.
    """
    user_id = users.find_by_proven_email(email)
    with transaction():
        audit.record("password_reset_requested", user_id)
        outbox.enqueue("reset_password", email, user_id=user_id)


def reset(token: str, new_password: str) -> None:
    """Set a new password and end every session. Nobody is signed in by this.

    Raises OneTimeTokenRefused, PasswordRefused; the token survives a password that is refused.
    """
    user_id = one_time_tokens.look_at(RESET_PASSWORD, token)
    found = users.credentials_of(user_id)
    if found is None:
        raise OneTimeTokenRefused
    users.check_policy(new_password, found.username, pointer="/new_password")
    new_hash = users.hasher().hash(new_password)
    with transaction():
        user = users.lock(user_id)
        proof = one_time_tokens.use(RESET_PASSWORD, token)
        if user is None or user.email != proof.email:
            raise OneTimeTokenRefused
        users.replace_password_hash(user_id, new_hash)
        sessions.end_all(user_id, "password_reset")
        protection.forgive(user_id)
        audit.record("password_reset", user_id, actor_id=user_id)
        outbox.enqueue("password_changed", proof.email, user_id=user_id)
