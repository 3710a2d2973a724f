"""Recovery: what ends an attacker's hold on an account. Every story that recovers an account runs `secure`.

Whatever a feature lets wait in an account (an address that is not verified yet, a mailed token, later a key or an invitation) is
withdrawn here, so that nothing that was begun before a recovery can be finished after it.
"""

import uuid

from .. import access, audit, clock, outbox, sessions, users
from ..database import transaction
from ..sessions import Acting, Principal
from ..users import User

# Mails that carry a token. They are written when they leave, so one that waits would carry a token from after the recovery.
WITH_TOKEN = ("verify_email", "change_email", "reset_password")


def secure(user_id: uuid.UUID, reason: str, *, keep: uuid.UUID | None = None) -> None:
    """End the sessions of an account, except the one to keep, and withdraw everything that waits in it.

    reason: one of SESSION_ENDS. Tokens that undo a change of address stay: they went to the addresses of the owner.
    """
    with transaction():
        withdraw(user_id)
        sessions.end_all(user_id, reason, keep=keep)


def withdraw(user_id: uuid.UUID) -> None:
    """Withdraw everything that waits in an account: the pending address, mailed tokens, and the mails about them."""
    with transaction():
        # First, because its row lock keeps mails from being written meanwhile.
        users.bump_version(user_id, recoveries=User.recoveries + 1, pending_email=None, pending_email_session_id=None)
        outbox.drop(user_id, *WITH_TOKEN)


def revoke(user_id: uuid.UUID, *, admin: Principal | None = None) -> None:
    """Kill every token of a user that was issued until now. admin: who does it, None for the command line.

    The epoch is raised first: its row lock makes a sign-in that is under way either finish before, and be ended too, or
    begin after. Raises NoSuchUser.
    """
    with transaction():
        users.bump_version(user_id, epoch=User.epoch + 1, epoch_changed_at=clock.now())
        found = access.find_identity(user_id)
        if found is None:
            raise users.NoSuchUser
        secure(user_id, "administrator")
        audit.record("tokens_revoked", user_id, **(admin.acting if admin else Acting()))
        if found.email and found.email_verified:
            outbox.enqueue("sessions_ended", found.email, user_id=user_id)
        sessions.publish_epoch(user_id)
