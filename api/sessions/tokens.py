"""Tokens: what they say, and how a pair is made from a session.

A pair is a function of the session's row: made again from the same row, it is the same text. That is how the grace window
answers a lost response without storing a token anywhere. (EdDSA and RS256 signatures are deterministic.)
"""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ..access import Identity
from ..config import settings
from ..extensions import TYP, jwt
from ..keys.keyring import keyring
from .models import Session


class Family(NamedTuple):
    """What a pair is made of, besides its owner: some columns of a session, as FAMILY selects them."""

    id: uuid.UUID
    refresh_id: uuid.UUID
    delivery: str
    csrf_token: str
    rotated_at: datetime
    authenticated_at: datetime
    expires_at: datetime


FAMILY: tuple[Any, ...] = tuple(getattr(Session, name) for name in Family._fields)


@dataclass(frozen=True)
class TokenPair:
    """A pair, or an access token alone. The durations count seconds from the moment of issue."""

    access_token: str
    expires_in: int
    refresh_token: str | None
    refresh_expires_in: int | None
    session_id: uuid.UUID
    delivery: str
    csrf_token: str


def expiries(now: datetime) -> dict[str, datetime]:
    """When the tokens issued now expire; what outlives the session dies with it."""
    return {
        "access_until": now + timedelta(seconds=settings().access_token_lifetime),
        "refresh_until": now + timedelta(seconds=settings().refresh_token_lifetime),
    }


def issue(session: Session | Family, identity: Identity, *, fresh: bool) -> TokenPair:
    """Make the pair that the session's row describes."""
    access = issue_access(session, identity, session.rotated_at, uuid.uuid5(session.refresh_id, "access"), fresh=fresh)
    expires_at = min(expiries(session.rotated_at)["refresh_until"], session.expires_at)
    claims = {"aud": settings().public_url, "jti": str(session.refresh_id), "fresh": False}
    token = _encode("refresh", session, identity, (session.rotated_at, expires_at), claims)
    return replace(access, refresh_token=token, refresh_expires_in=_seconds(session.rotated_at, expires_at))


def issue_access(session: Session | Family, identity: Identity, now: datetime, jti: uuid.UUID, *, fresh: bool) -> TokenPair:
    """Make an access token alone."""
    expires_at = min(expiries(now)["access_until"], session.expires_at)
    fresh_until = int((session.authenticated_at + timedelta(seconds=settings().fresh_lifetime)).timestamp())
    claims = {"aud": settings().token_audience, "jti": str(jti), "fresh": fresh_until if fresh else False}
    token = _encode("access", session, identity, (now, expires_at), claims)
    return TokenPair(
        access_token=token,
        expires_in=_seconds(now, expires_at),
        refresh_token=None,
        refresh_expires_in=None,
        session_id=session.id,
        delivery=session.delivery,
        csrf_token=session.csrf_token,
    )


def _encode(
    kind: str, session: Session | Family, identity: Identity, lifetime: tuple[datetime, datetime], claims: dict[str, Any]
) -> str:
    key = keyring().signing()
    issued_at, expires_at = lifetime
    payload = {
        "iss": settings().public_url,
        "sub": str(identity.id),
        "sid": str(session.id),
        "iat": int(issued_at.timestamp()),
        "exp": int(expires_at.timestamp()),
        "type": kind,
        "roles": list(identity.roles),
        "scope": "",
        "epoch": identity.epoch,
        "csrf": session.csrf_token,
        **claims,
    }
    return jwt.sign(payload, {"alg": key.algorithm, "kid": key.kid, "typ": TYP[kind]}, key.signing, key.verifying)


def _seconds(start: datetime, end: datetime) -> int:
    return int(end.timestamp()) - int(start.timestamp())
