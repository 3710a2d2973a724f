"""The bare extensions, and the one token decoder.

`jwt` is Flask-JWT-Extended with its decoder replaced: the original verifies a token after parsing it a first time,
accepts a token without `type`, `exp` or `jti`, and takes any `type` that is not "refresh" for an access token.
`keys` tells it the key.
"""

import hmac
import re
import threading
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
from flask import Flask, current_app
from flask_cors import CORS
from flask_jwt_extended import JWTManager
from flask_jwt_extended.exceptions import CSRFError
from jwt import ExpiredSignatureError, InvalidTokenError, decode, encode, get_unverified_header

from . import clock
from .config import settings
from .json_format import to_json

MAX_TOKEN_LENGTH = 8192
# The media type that the `typ` header must name (RFC 9068, section 2.1; ours for refresh tokens).
TYP = {"access": "at+jwt", "refresh": "rt+jwt"}
CLAIMS = ("iss", "aud", "sub", "sid", "jti", "iat", "exp", "type", "fresh", "roles", "scope", "epoch")
MAX_COUNT = 2**31 - 1  # what the columns of `epoch` and `gen` hold
VERIFIED = "keycard.verified"
MAX_VERIFIED = 2048  # of about 2 KB
# Our own signature is on the token, so a date in the future is a clock that is wrong, here or where it was issued; refusing it
# would sign people out for nothing. Revocation asks no clock.
MAX_CLOCK_SKEW_SECONDS = 900
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class TokenDecoder(JWTManager):
    """Verify a token once, with a key that fixes its algorithm, and require every claim in its exact type."""

    def init_app(self, app: Flask, add_context_processor: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's
        super().init_app(app, add_context_processor)
        app.extensions[VERIFIED] = VerifiedTokens()

    def verify(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the header and the verified claims of a token, which are the caller's own to change.

        Raises jwt.InvalidTokenError for every fault of the token (ExpiredSignatureError when it is only too old).
        Source: RFC 8725, sections 3.1 to 3.11.
        """
        if len(token) > MAX_TOKEN_LENGTH or not _COMPACT.fullmatch(token):
            raise InvalidTokenError("not a compact JWS")
        verified: VerifiedTokens = current_app.extensions[VERIFIED]
        known = verified.get(token)
        header = _read(known.header) if known else _header(token)
        key: Any = self._decode_key_callback(header, {})  # a PyJWK; none for a key that has been withdrawn
        if known is None or known.key is not key:
            known = Verified(key, to_json(header), to_json(_decode(token, header, key)))
            if header["typ"] == TYP["access"]:  # a refresh token comes once
                verified.put(token, known)
        claims = _read(known.claims)
        _require_time(claims)
        return header, claims

    @staticmethod
    def sign(claims: dict[str, Any], headers: dict[str, Any], signing: Any, verifying: Any) -> str:
        """Return claims as a token, which `verify` will know. headers: with `alg`. verifying: the PyJWK of the same key."""
        token = encode(claims, signing, algorithm=headers["alg"], headers=headers)
        current_app.extensions[VERIFIED].put(token, Verified(verifying, to_json(headers), to_json(claims)))
        return token

    def _decode_jwt_from_config(
        self,
        encoded_token: str,
        csrf_value: str | None = None,
        allow_expired: bool = False,  # noqa: FBT001, FBT002 - the signature is the library's
    ) -> dict[str, Any]:
        """What Flask-JWT-Extended itself calls. Raises CSRFError when the double-submitted value is not the token's."""
        try:
            _, claims = self.verify(encoded_token)
        except ExpiredSignatureError as error:
            # Where the library looks for them; it must not be told anything about a token that is not good.
            error.jwt_header, error.jwt_data = {}, {}  # type: ignore[attr-defined]
            raise
        if csrf_value is not None:
            require_csrf(claims, csrf_value)
        return claims


@dataclass(frozen=True, slots=True)
class Verified:
    """A token whose signature was good with this key.

    header, claims: as JSON. Each request reads its own from it, so that what it changes is not what the next one sees.
    """

    key: Any
    header: bytes
    claims: bytes


class VerifiedTokens:
    """The tokens signed here and the access tokens seen last, by their digest, so that a signature is checked once or never.

    Only what can never change is remembered. Time, key, session and person are looked at in every request.
    """

    def __init__(self) -> None:
        self._found: dict[bytes, Verified] = {}
        self._lock = threading.Lock()

    def get(self, token: str) -> Verified | None:
        return self._found.get(_digest(token))

    def put(self, token: str, verified: Verified) -> None:
        with self._lock:
            while len(self._found) >= MAX_VERIFIED:
                del self._found[next(iter(self._found))]
            self._found[_digest(token)] = verified


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _read(raw: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = orjson.loads(raw)
    except ValueError:
        raise InvalidTokenError("a string holds half of a surrogate pair") from None
    return found


def _header(token: str) -> dict[str, Any]:
    """The header as it claims to be."""
    try:
        return get_unverified_header(token)
    except RecursionError:
        raise InvalidTokenError("the header is nested too deeply") from None


def _decode(token: str, header: dict[str, Any], key: Any) -> dict[str, Any]:
    claims: dict[str, Any] = decode(
        token,
        key,
        algorithms=[key.algorithm_name],
        issuer=settings().public_url,
        options={"require": list(CLAIMS), "verify_aud": False, "verify_iat": False},
    )
    _require_exact_claims(header, claims)
    return claims


def _require_time(claims: dict[str, Any]) -> None:
    now = clock.now().timestamp()
    if claims["exp"] <= now:
        raise ExpiredSignatureError("expired")
    if claims["iat"] > now + MAX_CLOCK_SKEW_SECONDS:
        raise InvalidTokenError("issued in the future")


def _require_exact_claims(header: dict[str, Any], claims: dict[str, Any]) -> None:
    kind = claims["type"]
    audience = {"access": settings().token_audience, "refresh": settings().public_url}
    exact = (
        isinstance(kind, str) and kind in TYP,
        header.get("typ") == TYP.get(str(kind)),
        claims["aud"] == audience.get(str(kind)),
        all(_is_uuid(claims[name]) for name in ("sub", "sid", "jti")),
        all(type(claims[name]) is int for name in ("iat", "exp")),
        # Tokens of release 1 have no `gen`; nothing was renewed then.
        all(type(count) is int and 0 <= count <= MAX_COUNT for count in (claims["epoch"], claims.get("gen", 0))),
        claims["fresh"] is False or type(claims["fresh"]) is int,
        isinstance(claims["scope"], str),
        isinstance(claims["roles"], list) and all(isinstance(role, str) for role in claims["roles"]),
    )
    if not all(exact):
        raise InvalidTokenError("a claim is not what this service issues")


def _is_uuid(value: object) -> bool:
    return isinstance(value, str) and bool(_UUID.fullmatch(value))


def require_csrf(claims: dict[str, Any], sent: str) -> None:
    """Raise CSRFError if the double-submitted value is not the one in the token."""
    expected = claims.get("csrf")
    if not isinstance(expected, str) or not hmac.compare_digest(expected.encode(), sent.encode(errors="replace")):
        raise CSRFError("the CSRF value is not the session's")


jwt = TokenDecoder()
cors = CORS()
