"""Ending sessions. Every ending is one UPDATE in the caller's transaction, mirrored to Redis once it is committed."""

import uuid
from typing import Any

from sqlalchemy import ColumnElement, update

from .. import audit, clock, users
from ..access import find_identity
from ..database import after_commit, transaction
from ..users import User
from . import revocation
from .errors import NoSuchSession
from .models import Session
from .principal import Acting, Principal


def end(session_id: uuid.UUID, user_id: uuid.UUID, reason: str) -> bool:
    """End one session of a user; say whether it was open."""
    return bool(_end(reason, Session.id == session_id, Session.user_id == user_id))


def end_all(user_id: uuid.UUID, reason: str, *, keep: uuid.UUID | None = None) -> int:
    """End the sessions of a user, except the one to keep; return how many were open."""
    return _end(reason, Session.user_id == user_id, *([Session.id != keep] if keep else []))


def end_one(principal: Principal, session_id: uuid.UUID) -> None:
    """End one of one's own sessions. Raises NoSuchSession."""
    me = principal.identity.id
    with transaction():
        if not end(session_id, me, "revoked"):
            raise NoSuchSession
        audit.record("session_revoked", me, actor_id=me, session_id=session_id)


def end_others(principal: Principal) -> None:
    """End every session of one's own but the present one."""
    me = principal.identity.id
    with transaction():
        if end_all(me, "revoked", keep=principal.session_id):
            audit.record("sessions_revoked", me, **principal.acting)


def end_everything(user_id: uuid.UUID, *, admin: Principal | None = None) -> None:
    """Kill every token of a user that was issued until now. admin: who does it, None for the command line.

    The epoch is raised first: its row lock makes a sign-in that is under way either finish before, and be ended too, or
    begin after. Raises NoSuchUser.
    """
    with transaction():
        users.bump_version(user_id, epoch=User.epoch + 1, epoch_changed_at=clock.now())
        if find_identity(user_id) is None:
            raise users.NoSuchUser
        end_all(user_id, "administrator")
        audit.record("tokens_revoked", user_id, **(admin.acting if admin else Acting()))
        publish_epoch(user_id)


def forget_devices(user_id: uuid.UUID) -> None:
    """Take addresses and browsers out of the sessions of a user."""
    with transaction() as database:
        mine = update(Session).where(Session.user_id == user_id).values(ip_address=None, user_agent=None)
        database.execute(mine.execution_options(synchronize_session=False))


def publish_epoch(user_id: uuid.UUID) -> None:
    """Tell the mirror, after commit, that access tokens of an older epoch are dead."""
    after_commit(lambda: revocation.mirror().publish_epoch(user_id))


def _end(reason: str, *where: ColumnElement[bool]) -> int:
    now = clock.now()
    with transaction() as database:
        ended: Any = database.execute(
            update(Session)
            .where(*where, Session.ended_at.is_(None))
            .values(ended_at=now, end_reason=reason)
            .returning(Session.id)
            .execution_options(synchronize_session=False)
        )
        rows = ended.all()
        if rows:
            after_commit(lambda: revocation.mirror().publish_sessions([row.id for row in rows]))
    return len(rows)
