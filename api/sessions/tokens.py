"""Tokens: what they say, and how a pair is made from a session.

A pair is a function of the session's row: made again from the same row, it is the same text. That is how the grace window
answers a lost response without storing a token anywhere. (EdDSA and RS256 signatures are deterministic.)
"""

import uuid
from dataclasses import dataclass
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
    generation: int


FAMILY: tuple[Any, ...] = tuple(getattr(Session, name) for name in Family._fields)


@dataclass(frozen=True)
class TokenPair:
    """A pair of tokens. The durations count seconds from the moment of issue."""

    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
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
    """Make the pair that the session's row describes. fresh: the password was given for it."""
    now = session.rotated_at
    until = {name: min(expiry, session.expires_at) for name, expiry in expiries(now).items()}
    fresh_until = int((session.authenticated_at + timedelta(seconds=settings().fresh_lifetime)).timestamp())
    access = {
        "aud": settings().token_audience,
        "jti": str(uuid.uuid5(session.refresh_id, "access")),
        "fresh": fresh_until if fresh else False,
    }
    refresh = {"aud": settings().public_url, "jti": str(session.refresh_id), "fresh": False}
    return TokenPair(
        access_token=_encode("access", session, identity, until["access_until"], access),
        expires_in=_seconds(now, until["access_until"]),
        refresh_token=_encode("refresh", session, identity, until["refresh_until"], refresh),
        refresh_expires_in=_seconds(now, until["refresh_until"]),
        session_id=session.id,
        delivery=session.delivery,
        csrf_token=session.csrf_token,
    )


def _encode(kind: str, session: Session | Family, identity: Identity, expires_at: datetime, claims: dict[str, Any]) -> str:
    key = keyring().signing()
    payload = {
        "iss": settings().public_url,
        "sub": str(identity.id),
        "sid": str(session.id),
        "iat": int(session.rotated_at.timestamp()),
        "exp": int(expires_at.timestamp()),
        "type": kind,
        "roles": list(identity.roles),
        "scope": "",
        "epoch": identity.epoch,
        "gen": session.generation,
        "csrf": session.csrf_token,
        **claims,
    }
    return jwt.sign(payload, {"alg": key.algorithm, "kid": key.kid, "typ": TYP[kind]}, key.signing, key.verifying)


def _seconds(start: datetime, end: datetime) -> int:
    return int(end.timestamp()) - int(start.timestamp())
