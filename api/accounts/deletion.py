"""Deleting an account: what goes, and what stays so that nobody else can pass for the one who left."""

import uuid

from .. import access, audit, clock, outbox, sessions, users
from ..database import transaction
from ..sessions import Principal, protection
from ..users import User
from . import one_time_tokens
from .models import RESET_PASSWORD, VERIFY_EMAIL


def delete(user_id: uuid.UUID, *, actor: Principal, version: int | None = None) -> None:
    """Delete an account. Its sessions are dead at once.

    Gone: name, addresses, password, roles, mail that waits, and where its sessions and events came from. What stays is the id, in
    the log, and a digest of the username, so that nobody can register it again. version: that must still be the user's, if given.
    Raises NoSuchUser, VersionChanged, LastAdmin.
    """
    with transaction():
        access.keep_an_admin(without=user_id)
        user = users.lock(user_id, version=version)
        if user is None:
            raise users.NoSuchUser
        sessions.end_all(user_id, "deleted")
        sessions.forget_devices(user_id)
        protection.forgive(user_id)  # failures are kept with the network they came from
        access.revoke_all(user_id)
        one_time_tokens.void(user_id, VERIFY_EMAIL, RESET_PASSWORD)
        outbox.drop_all(user_id)
        audit.record("deletion", user_id, **actor.acting)
        audit.forget_devices(user_id)
        users.bury(user, epoch=User.epoch + 1, epoch_changed_at=clock.now())
        sessions.publish_epoch(user_id)
