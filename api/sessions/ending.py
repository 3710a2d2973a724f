"""Ending sessions. Every ending is one UPDATE in the caller's transaction, mirrored to Redis once it is committed."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, update

from .. import audit, clock
from ..database import after_commit, transaction
from . import revocation
from .errors import NoSuchSession
from .models import Session
from .principal import Principal


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


def replace(claims: Mapping[str, Any]) -> None:
    """End the session that a sign-in replaces. claims: of a verified token of it."""
    session_id, user_id = uuid.UUID(claims["sid"]), uuid.UUID(claims["sub"])
    with transaction():
        if _end("replaced", Session.id == session_id, Session.user_id == user_id):
            audit.record("signed_out", user_id, actor_id=user_id, session_id=session_id, detail="replaced by a sign-in")


def end_others(principal: Principal) -> None:
    """End every session of one's own but the present one."""
    me = principal.identity.id
    with transaction():
        if end_all(me, "revoked", keep=principal.session_id):
            audit.record("sessions_revoked", me, **principal.acting)


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
