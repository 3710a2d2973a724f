"""The keys as a process holds them: parsed once, read again from the database every few seconds."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from flask import Flask, current_app
from jwt import InvalidTokenError, PyJWK
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm
from sqlalchemy import ColumnElement, bindparam, func, select

from .. import clock
from ..config import Settings
from ..database import fetch_all
from ..extensions import jwt
from ..problems import ServiceUnavailable
from .models import SigningKey

EXTENSION = "keycard.keyring"
# A new key is seen by every process after this. A withdrawn one is dead at the next request (`check`).
RELOAD_SECONDS = 10.0
# An unknown `kid` asks the database at most this often, or strangers could make every request a query.
UNKNOWN_RELOAD_SECONDS = 1.0


@dataclass(frozen=True)
class Key:
    """One key, ready for use. jwk: its public half (RFC 7517), None for a shared secret."""

    kid: str
    algorithm: str
    signing: Any
    verifying: PyJWK
    jwk: Mapping[str, Any] | None
    active_from: datetime | None = None
    retired_at: datetime | None = None


# Changes with every rotation. A statement that reads it, or demands it, notices that this process holds the keys of before.
GENERATION = select(func.max(SigningKey.created_at)).scalar_subquery()


def is_current_generation() -> ColumnElement[bool]:
    """Whether the parameter `key_generation` is still the generation of the keys, as a condition of a statement."""
    return GENERATION.is_not_distinct_from(bindparam("key_generation", type_=SigningKey.created_at.type))


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The RFC 7638 thumbprint of a public key."""
    members = {"OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}[jwk["kty"]]
    canonical = json.dumps({name: jwk[name] for name in members}, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()


def public_jwk(private: Any, algorithm: str) -> dict[str, Any]:
    """The public half of a private key as a JWK, with kid, alg and use."""
    to_jwk = RSAAlgorithm.to_jwk if algorithm == "RS256" else OKPAlgorithm.to_jwk
    jwk = json.loads(to_jwk(private.public_key()))
    jwk.pop("key_ops", None)
    return {**jwk, "kid": thumbprint(jwk), "alg": algorithm, "use": "sig"}


def _parse(row: Any) -> Key:
    private = load_pem_private_key(row.private_key.encode(), password=None)
    jwk = public_jwk(private, row.algorithm)
    return Key(row.kid, row.algorithm, private, PyJWK.from_dict(jwk), jwk, row.active_from, row.retired_at)


def _shared_secret(secret: str) -> Key:
    """The configured HS256 secret as a key."""
    raw = secret.encode(errors="surrogateescape")
    kid = "hs256-" + hashlib.sha256(b"keycard kid" + raw).hexdigest()[:16]
    encoded = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return Key(kid, "HS256", raw, PyJWK.from_dict({"kty": "oct", "k": encoded, "alg": "HS256"}), None)


class Keyring:
    """The keys that verify now, and the one that signs."""

    def __init__(self, settings: Settings) -> None:
        self._algorithm = settings.jwt_algorithm
        self._secret = _shared_secret(settings.jwt_secret) if settings.jwt_secret else None
        secrets = (settings.jwt_secret, settings.jwt_verifying_secret)
        self._secrets = {key.kid: key for key in (_shared_secret(each) for each in secrets if each)}
        self._parsed: dict[str, Key] = {}
        self._keys: dict[str, Key] = {}
        self._loaded = float("-inf")
        self._generation: datetime | None = None
        self._lock = threading.Lock()

    def verifying(self, kid: object) -> Key:
        """Return the key of a token header's `kid`. Raises jwt.InvalidTokenError when there is none."""
        if not isinstance(kid, str):
            raise InvalidTokenError("no kid")
        self._reload_after(RELOAD_SECONDS)
        if kid not in self._keys:
            self._reload_after(UNKNOWN_RELOAD_SECONDS, wait=True)
        key = self._keys.get(kid)
        if key is None or (key.retired_at and key.retired_at <= clock.now()):
            raise InvalidTokenError("unknown kid")
        return key

    def signing(self) -> Key:
        """Return the key that signs now: the newest active one of the configured algorithm."""
        if self._algorithm == "HS256" and self._secret:
            return self._secret
        self._reload_after(RELOAD_SECONDS)
        return self._current() or self._reloaded_current()

    def published(self) -> list[dict[str, Any]]:
        """The public keys, those that will sign soon included, newest first."""
        self._reload_after(RELOAD_SECONDS)
        keys = sorted(self._asymmetric(), key=lambda each: (each.active_from, each.kid), reverse=True)
        return [{**each.jwk} for each in keys if each.jwk]

    def generation(self) -> datetime | None:
        """The generation of the keys that this process holds; None if the database has none."""
        self._reload_after(RELOAD_SECONDS)
        return self._generation

    def forget(self) -> None:
        """Read the database again before the next use."""
        self._loaded = float("-inf")

    def check(self, kid: str, generation: datetime | None) -> None:
        """Read the database again if its keys are of another generation than those that verified a token of this `kid`.

        Raises jwt.InvalidTokenError when the key has been withdrawn.
        """
        if generation != self._generation:
            self.forget()
            self.verifying(kid)

    def _asymmetric(self) -> list[Key]:
        now = clock.now()
        return [each for each in self._keys.values() if each.active_from and not (each.retired_at and each.retired_at <= now)]

    def _current(self) -> Key | None:
        now = clock.now()
        able = [each for each in self._asymmetric() if each.algorithm == self._algorithm and each.active_from <= now]  # type: ignore[operator]
        return max(able, key=lambda each: (each.active_from, each.kid), default=None)

    def _reloaded_current(self) -> Key:
        from .rotation import ensure_current

        ensure_current()
        self.forget()
        self._reload_after(0)
        current = self._current()
        if current is None:
            raise ServiceUnavailable("There is no signing key.")
        return current

    def _reload_after(self, seconds: float, *, wait: bool = False) -> None:
        if time.monotonic() - self._loaded < seconds:
            return
        # Whoever comes while another thread is reading goes on with the keys that there are, if they will do: nobody stands in
        # line for a database that does not answer.
        if not self._lock.acquire(blocking=wait or self._loaded == float("-inf")):
            return
        try:
            if time.monotonic() - self._loaded < seconds:
                return
            rows = fetch_all(select(SigningKey.__table__))
            parsed = {row.kid: _parse(row) if row.kid not in self._parsed else self._updated(row) for row in rows}
            self._parsed = parsed
            self._keys = parsed | self._secrets
            self._generation = max((row.created_at for row in rows), default=None)
            self._loaded = time.monotonic()
        finally:
            self._lock.release()

    def _updated(self, row: Any) -> Key:
        known = self._parsed[row.kid]
        return Key(known.kid, known.algorithm, known.signing, known.verifying, known.jwk, row.active_from, row.retired_at)


def init_app(app: Flask, settings: Settings) -> None:
    """Give the app its keyring, and Flask-JWT-Extended its keys."""
    app.extensions[EXTENSION] = Keyring(settings)
    jwt.decode_key_loader(lambda header, _claims: keyring().verifying(header.get("kid")).verifying)
    jwt.encode_key_loader(lambda _identity: keyring().signing().signing)


def keyring() -> Keyring:
    """The app's keyring."""
    found: Keyring = current_app.extensions[EXTENSION]
    return found
