"""Changing the password by somebody who knows the old one."""

from .. import audit, outbox, users
from ..database import transaction
from ..sessions import Principal, TokenPair, check_password, renew
from . import recovery


def change(principal: Principal, *, current_password: str, new_password: str) -> TokenPair:
    """Set a new password, renew the caller's session, end every other one, and withdraw everything that waits in the account.

    Raises WrongPassword, PasswordRefused, TooManyRequests, TokenRevoked.
    """
    found = check_password(principal.identity.id, current_password, session_id=principal.session_id)
    owner = principal.identity
    users.check_policy(new_password, owner.username, owner.email, owner.pending_email, pointer="/new_password")
    new_hash = users.hasher().hash(new_password)
    with transaction():
        if not users.set_password_hash(found.id, old=found.password_hash, new=new_hash):
            raise users.WrongPassword  # changed by another request since we looked
        recovery.secure(found.id, "password_changed", keep=principal.session_id)
        pair = renew(principal)
        audit.record("password_changed", found.id, **principal.acting)
        if found.proven_email:
            outbox.enqueue("password_changed", found.proven_email, user_id=found.id)
    return pair
