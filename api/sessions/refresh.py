"""Exchanging a refresh token: one conditional UPDATE decides.

Of any number of simultaneous exchanges of one token exactly one finds the row as the token says it should be. The others
see what has become of it: the parent within the grace window gets the same pair again, everything else is reuse.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, and_, bindparam, exists, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from .. import audit, clock
from ..access import Identity, identities
from ..config import settings
from ..database import UTCDateTime, db, transaction
from ..docs.demo import is_withheld
from ..http.guards import InvalidToken, TokenRevoked
from ..keys import is_current_generation, keyring
from ..observability import metrics
from ..prepared import Change
from ..problems import ServiceUnavailable
from ..users import User, active_at
from .ending import end
from .errors import RefreshTokenReused, SessionEnded
from .models import BODY, Session
from .tokens import FAMILY, Family, TokenPair, expiries, issue

logger = logging.getLogger("keycard")


class _SharedNow(FunctionElement[datetime]):
    """The time by the one clock that all processes share: the database's, unless the parameter `own_now` tells another."""

    type = UTCDateTime()
    inherit_cache = True


@compiles(_SharedNow)
def _own(element: _SharedNow, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(element.clauses, **kwargs))


@compiles(_SharedNow, "postgresql")
def _postgresql(element: _SharedNow, compiler: Any, **kwargs: Any) -> str:
    return f"coalesce({compiler.process(element.clauses, **kwargs)}, clock_timestamp())"


def _own_now() -> datetime | None:
    """None, so that PostgreSQL's clock decides. On SQLite all processes share a machine, and so a clock."""
    return None if db.engine.dialect.name == "postgresql" else clock.now()


_shared_now = _SharedNow(bindparam("own_now", type_=UTCDateTime()))
_now = bindparam("event_created_at", type_=Session.expires_at.type)
_open = and_(
    Session.id == bindparam("sid"),
    Session.user_id == bindparam("sub"),
    Session.ended_at.is_(None),
    Session.expires_at > _now,
    exists().where(User.id == Session.user_id, active_at(_now)),
)
_owner = identities().where(User.id == bindparam("sub"))
_age = (*FAMILY, Session.previous_refresh_id, Session.last_used_at, _shared_now.label("shared_now"))
_current = select(*_age).where(_open)
# Spends the token and names its successor. A wrong way of delivery changes nothing: the rightful holder keeps a working token.
_exchange = Change(
    update(Session)
    .where(
        _open,
        is_current_generation(),
        Session.generation == bindparam("gen"),
        Session.refresh_id == bindparam("spent"),
        (Session.delivery != BODY) == bindparam("from_cookie", type_=Boolean),
    )
    .values(
        refresh_id=bindparam("successor"),
        previous_refresh_id=bindparam("spent"),
        rotated_at=_now,
        last_used_at=_shared_now,
        access_expires_at=bindparam("access_until"),
        refresh_expires_at=bindparam("refresh_until"),
        ip_address=bindparam("event_ip_address"),
        user_agent=bindparam("event_user_agent"),
    )
    .returning(*FAMILY),
    audit.recording(subject_id="sub", actor_id="sub", session_id="sid"),
    read=_owner,
)


class _OvertakenError(Exception):
    """The keys, or the status of the account, have changed while the token was exchanged."""


def rotate(header: Mapping[str, Any], claims: Mapping[str, Any], *, from_cookie: bool) -> TokenPair:
    """Exchange a refresh token for a new pair, once.

    header, claims: of the verified refresh token. from_cookie: how it arrived; a token born in a cookie counts only from one.
    Raises SessionEnded, TokenRevoked (the session was renewed), InvalidToken, and RefreshTokenReused, which also ends the whole
    session; that ending is committed although the call fails. Source: RFC 9700, section 4.14.2.
    """
    if is_withheld(uuid.UUID(claims["sub"])):
        raise SessionEnded
    try:
        return _rotate(claims, from_cookie=from_cookie)
    except _OvertakenError:
        keyring().forget()
        keyring().verifying(header["kid"])  # raises InvalidTokenError for a key that has been withdrawn
    try:
        return _rotate(claims, from_cookie=from_cookie)
    except _OvertakenError:
        raise ServiceUnavailable from None


def _rotate(claims: Mapping[str, Any], *, from_cookie: bool) -> TokenPair:
    event = audit.event("refreshed")
    token: dict[str, Any] = {
        **event,
        "sid": uuid.UUID(claims["sid"]),
        "sub": uuid.UUID(claims["sub"]),
        "gen": claims.get("gen", 0),
        "key_generation": keyring().generation(),
        "spent": uuid.UUID(claims["jti"]),
        "from_cookie": from_cookie,
        "successor": uuid.uuid4(),
        "own_now": _own_now(),
        **expiries(event["event_created_at"]),
    }
    exchanged = _exchange.apply(token)
    found = exchanged or _repeat(token)
    metrics.count(metrics.REFRESHES, "rotated" if exchanged else "repeated")
    family, identity = Family(*found[: len(FAMILY)]), Identity.of(found[len(FAMILY) :])
    return issue(family, identity, fresh=False)


def _repeat(token: Mapping[str, Any]) -> Sequence[Any]:
    """Return what the pair is made of that answers this token once more, or raise."""
    sid, sub, spent = (token[name] for name in ("sid", "sub", "spent"))
    with transaction() as database:
        session = database.execute(_current, token).one_or_none()
        if session is None:
            metrics.count(metrics.REFRESHES, "ended")
            raise SessionEnded
        if session.generation != token["gen"]:
            raise TokenRevoked
        # A database that was replaced may be behind the one before, and a negative age must not make an endless window.
        within_grace = abs(session.shared_now - session.last_used_at) < timedelta(seconds=settings().refresh_grace)
        repeated = session.previous_refresh_id == spent and within_grace
        if session.refresh_id == spent or repeated:
            if (session.delivery == BODY) is token["from_cookie"]:
                raise InvalidToken
            if repeated:
                audit.record("refresh_repeated", sub, actor_id=sub, session_id=sid)
                return [*session[: len(FAMILY)], *database.execute(_owner, token).one()]
            raise _OvertakenError
        end(sid, sub, "reuse")
        audit.record("refresh_token_reused", sub, session_id=sid)
        logger.warning("refresh token reused: session %s of user %s ended", sid, sub)
        metrics.count(metrics.REFRESHES, "reused")
        raise RefreshTokenReused
