"""Making keys, and rotating them with overlap."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import Row, Update, delete, func, or_, select, update

from .. import audit, clock
from ..config import settings
from ..database import after_commit, fetch_all, one_at_a_time, transaction
from .keyring import keyring, public_jwk
from .models import SigningKey

# Verifiers may keep the JWKS for this long, so a key is published this long before it signs.
JWKS_MAX_AGE = 300
LOCK = "keycard.signing_keys"
# 128 bits of security, as much as Ed25519 has (NIST SP 800-57).
RSA_BITS = 3072


def ensure_current() -> None:
    """Make the first key, or the first of a newly configured algorithm, unless there is one."""
    algorithm = settings().jwt_algorithm
    if algorithm == "HS256":
        return
    with transaction() as session:
        one_at_a_time(LOCK)  # instances that start together make one key, not one each
        now = clock.now()
        usable = select(SigningKey.kid).where(
            SigningKey.algorithm == algorithm,
            SigningKey.active_from <= now,
            or_(SigningKey.retired_at.is_(None), SigningKey.retired_at > now),
        )
        if session.scalars(usable.limit(1)).first() is None:
            session.add(_new_key(algorithm))
            after_commit(keyring().forget)


def rotate(*, compromised: bool = False) -> SigningKey:
    """Add a key that takes over signing, and retire the ones before it.

    The new key is published at once and signs after JWKS_MAX_AGE, when every verifier has seen it; the old ones verify
    until the last token they signed has expired. compromised: the new key signs now and the old ones are deleted, which
    signs everybody out. Raises ValueError with HS256, whose secret is a setting.
    """
    algorithm = settings().jwt_algorithm
    if algorithm == "HS256":
        raise ValueError("with HS256 there is no key to rotate: change KEYCARD_JWT_SECRET and KEYCARD_JWT_VERIFYING_SECRET")
    with transaction() as session:
        one_at_a_time(LOCK)
        key = _new_key(algorithm, delay=timedelta(seconds=0 if compromised else JWKS_MAX_AGE))
        session.execute(delete(SigningKey) if compromised else _retire_at(key.active_from + _longest_life()))
        session.add(key)
        audit.record("key_rotated", None, detail="compromised" if compromised else None)
        after_commit(keyring().forget)
    return key


def _longest_life() -> timedelta:
    return timedelta(seconds=max(settings().access_token_lifetime, settings().refresh_token_lifetime))


def _retire_at(moment: datetime) -> Update:
    still_alive = or_(SigningKey.retired_at.is_(None), SigningKey.retired_at > moment)
    return update(SigningKey).where(still_alive).values(retired_at=moment)


def list_keys() -> Sequence[Row[Any]]:
    """Every key, newest first: kid, algorithm, created_at, active_from, retired_at; never the private half."""
    columns = (
        SigningKey.kid,
        SigningKey.algorithm,
        SigningKey.created_at,
        SigningKey.active_from,
        SigningKey.retired_at,
    )
    return fetch_all(select(*columns).order_by(SigningKey.active_from.desc()))


def purge_retired() -> int:
    """Delete keys that no longer verify anything; return how many."""
    with transaction() as session:
        gone: Any = session.execute(delete(SigningKey).where(SigningKey.retired_at <= clock.now()))
    return int(gone.rowcount)


def _new_key(algorithm: str, *, delay: timedelta = timedelta(0)) -> SigningKey:
    """Make a key pair, in a transaction that makes no other at the same time."""
    private = generate_private_key(65537, RSA_BITS) if algorithm == "RS256" else Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    now = clock.now()
    return SigningKey(
        kid=public_jwk(private, algorithm)["kid"],
        algorithm=algorithm,
        private_key=pem,
        created_at=_newer_than_all(now),
        active_from=now + delay,
    )


def _newer_than_all(now: datetime) -> datetime:
    """The moment, or the next one that is free: the newest of them tells processes that the keys have changed, and the clock of
    the machine that made the last one may be ahead of ours."""
    with transaction() as session:
        newest: datetime | None = session.scalar(select(func.max(SigningKey.created_at)))
    return max(now, newest + timedelta(microseconds=1)) if newest else now
