"""Exchanging a refresh token: one conditional UPDATE decides.

Of any number of simultaneous exchanges of one token exactly one finds the row as the token says it should be. The others
see what has become of it: the parent within the grace window gets the same pair again, everything else is reuse.
"""

import logging
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, select, update
from sqlalchemy.orm import Session as Database

from .. import audit, clock
from ..access import Identity, identities
from ..config import settings
from ..database import transaction
from ..http.device import device
from ..http.guards import InvalidToken
from ..observability import metrics
from ..users import User, active_at
from .ending import end
from .errors import RefreshTokenReused, SessionEnded
from .models import BODY, Session
from .tokens import TokenPair, expiries, issue

logger = logging.getLogger("keycard")


def rotate(claims: Mapping[str, Any], *, from_cookie: bool) -> TokenPair:
    """Exchange a refresh token for a new pair, once.

    claims: of the verified refresh token. from_cookie: how it arrived; a token born in a cookie counts only from one.
    Raises SessionEnded, InvalidToken, and RefreshTokenReused, which also ends the whole session; that ending is committed
    although the call fails. Source: RFC 9700, section 4.14.2.
    """
    session_id, user_id, refresh_id = (uuid.UUID(claims[name]) for name in ("sid", "sub", "jti"))
    ours = and_(Session.id == session_id, Session.user_id == user_id)
    with transaction() as database:
        exchanged = _exchange(database, ours, refresh_id)
        session = exchanged or _repeat(database, ours, refresh_id)
        if (session.delivery == BODY) is from_cookie:
            raise InvalidToken  # rolls the exchange back: the rightful holder keeps a working token
        identity = Identity.of(database.execute(identities().where(User.id == session.user_id)).one())
    metrics.count(metrics.REFRESHES, "rotated" if exchanged else "repeated")
    return issue(session, identity, fresh=False)


def _exchange(database: Database, ours: ColumnElement[bool], refresh_id: uuid.UUID) -> Session | None:
    """Spend the token and name its successor, or change nothing and return None."""
    now = clock.now()
    session = database.scalars(
        update(Session)
        .where(ours, Session.refresh_id == refresh_id, _is_open(now))
        .values(
            refresh_id=uuid.uuid4(),
            previous_refresh_id=refresh_id,
            rotated_at=now,
            last_used_at=now,
            **expiries(now),
            **device(),
        )
        .returning(Session)
    ).one_or_none()
    if session:
        audit.record("refreshed", session.user_id, actor_id=session.user_id, session_id=session.id)
    return session


def _is_open(now: datetime) -> ColumnElement[bool]:
    active = exists().where(User.id == Session.user_id, active_at(now))
    return and_(Session.ended_at.is_(None), Session.expires_at > now, active)


def _repeat(database: Database, ours: ColumnElement[bool], refresh_id: uuid.UUID) -> Session:
    """Return the session whose current pair answers this token once more, or raise."""
    now = clock.now()
    session = database.scalars(select(Session).where(ours, _is_open(now))).one_or_none()
    if session is None:
        metrics.count(metrics.REFRESHES, "ended")
        raise SessionEnded
    # The clock of the process that rotated may be ahead of ours, and a negative age must not make an endless window.
    within_grace = abs(now - session.rotated_at) < timedelta(seconds=settings().refresh_grace)
    if session.previous_refresh_id == refresh_id and within_grace:
        return session
    end(session.id, session.user_id, "reuse")
    audit.record("refresh_token_reused", session.user_id, session_id=session.id)
    logger.warning("refresh token reused: session %s of user %s ended", session.id, session.user_id)
    metrics.count(metrics.REFRESHES, "reused")
    raise RefreshTokenReused
