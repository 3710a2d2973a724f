"""Deleting an account: what goes, and what stays so that nobody else can pass for the one who left."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import select

from .. import access, audit, clock, outbox, sessions, users
from ..config import settings
from ..database import transaction
from ..sessions import Principal, throttle
from ..users import User
from . import one_time_tokens, recovery

BATCH = 100


def delete(user_id: uuid.UUID, *, actor: Principal, version: int | None = None) -> None:
    """Delete an account. Its sessions are dead at once, and the owner gets a mail.

    Gone: name, addresses, password, roles and waiting mail. What stays is the id, in the audit log, and a digest of the username,
    so that nobody can register it again. Where the sessions and events came from stays until `forget_devices`: it is evidence.
    version: that must still be the user's, if given. Raises NoSuchUser, PreconditionFailed, LastAdmin.
    """
    with transaction():
        access.keep_an_admin(without=user_id)
        user = users.lock(user_id, version=version)
        if user is None:
            raise users.NoSuchUser
        recovery.secure(user_id, "deleted")
        one_time_tokens.void_all(user_id)
        throttle.forgive_account(user_id, user.username, *([user.email] if user.email else []))
        access.revoke_all(user_id)
        outbox.drop_all(user_id)
        if user.email and user.email_verified_at:
            outbox.enqueue("account_deleted", user.email)
        audit.record("deletion", user_id, **actor.acting)
        now = clock.now()
        kept_until = now + timedelta(seconds=settings().device_retention)
        users.bury(user, epoch=User.epoch + 1, epoch_changed_at=now, devices_kept_until=kept_until)
        sessions.publish_epoch(user_id)


def forget_devices() -> Iterator[int]:
    """Remove addresses and browsers of accounts that were deleted KEYCARD_DEVICE_RETENTION ago from the audit log.

    Works in batches of their own transaction; yields the number of accounts in each.
    """
    while True:
        with transaction() as database:
            due = select(User.id).where(User.devices_kept_until < clock.now()).order_by(User.devices_kept_until)
            ids = database.scalars(due.limit(BATCH)).all()
            for user_id in ids:
                audit.forget_devices(user_id)
                sessions.forget_devices(user_id)
                users.bump_version(user_id, devices_kept_until=None)
        if not ids:
            return
        yield len(ids)
