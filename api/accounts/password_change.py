"""Changing the password by somebody who knows the old one."""

from .. import audit, outbox, sessions, users
from ..database import transaction
from ..sessions import Principal
from ..sessions.login import confirm_password
from . import one_time_tokens
from .models import RESET_PASSWORD


def change(principal: Principal, *, current_password: str, new_password: str) -> None:
    """Set a new password and end every other session.

    Raises WrongPassword, PasswordRefused.
    """
    found = confirm_password(principal, current_password)
    users.check_policy(new_password, found.username, pointer="/new_password")
    new_hash = users.hasher().hash(new_password)
    with transaction():
        if not users.set_password_hash(found.id, old=found.password_hash, new=new_hash):
            raise users.WrongPassword  # changed by another request since we looked
        sessions.end_all(found.id, "password_changed", keep=principal.session_id)
        one_time_tokens.void(found.id, RESET_PASSWORD)
        audit.record("password_changed", found.id, **principal.acting)
        if found.proven_email:
            outbox.enqueue("password_changed", found.proven_email, user_id=found.id)
