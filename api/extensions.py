"""The bare extensions, and the one token decoder.

`jwt` is Flask-JWT-Extended with its decoder replaced: the original verifies a token after parsing it a first time,
accepts a token without `type`, `exp` or `jti`, and takes any `type` that is not "refresh" for an access token.
Features fill its callbacks: `keys` finds the key, `sessions` finds the caller.
"""

import hmac
import re
import uuid
from typing import Any

import jwt as pyjwt
from flask_cors import CORS
from flask_jwt_extended import JWTManager
from flask_jwt_extended.exceptions import CSRFError
from flask_migrate import Migrate
from jwt import ExpiredSignatureError, InvalidTokenError

from . import clock
from .config import settings

MAX_TOKEN_LENGTH = 8192
# The media type that the `typ` header must name (RFC 9068, section 2.1; ours for refresh tokens).
TYP = {"access": "at+jwt", "refresh": "rt+jwt"}
CLAIMS = ("iss", "aud", "sub", "sid", "jti", "iat", "exp", "type", "fresh", "roles", "scope", "epoch")
MAX_EPOCH = 2**31 - 1  # what the column holds
# Our own signature is on the token, so a date in the future is a clock that is wrong, here or where it was issued; refusing it
# would sign people out for nothing. Revocation asks no clock.
MAX_CLOCK_SKEW_SECONDS = 900
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class TokenDecoder(JWTManager):
    """Verify a token once, with a key that fixes its algorithm, and require every claim in its exact type."""

    def _decode_jwt_from_config(
        self,
        encoded_token: str,
        csrf_value: str | None = None,
        allow_expired: bool = False,  # noqa: FBT001, FBT002 - the signature is the library's
    ) -> dict[str, Any]:
        """Return the verified claims.

        Raises jwt.InvalidTokenError for every fault of the token (ExpiredSignatureError when it is only too old), and
        CSRFError when the double-submitted value is not the one in the token. Source: RFC 8725, sections 3.1 to 3.11.
        """
        if len(encoded_token) > MAX_TOKEN_LENGTH or not _COMPACT.fullmatch(encoded_token):
            raise InvalidTokenError("not a compact JWS")
        header = pyjwt.get_unverified_header(encoded_token)
        key: Any = self._decode_key_callback(header, {})  # a PyJWK
        try:
            claims = pyjwt.decode(
                encoded_token,
                key,
                algorithms=[key.algorithm_name],
                issuer=settings().public_url,
                options={"require": list(CLAIMS), "verify_aud": False, "verify_iat": False},
            )
        except ExpiredSignatureError as error:
            # Where the library looks for them; it must not be told anything about a token that is not good.
            error.jwt_header, error.jwt_data = header, {}  # type: ignore[attr-defined]
            raise
        _require_exact_claims(header, claims)
        _require_csrf(claims, csrf_value)
        return claims


def _require_exact_claims(header: dict[str, Any], claims: dict[str, Any]) -> None:
    kind = claims["type"]
    audience = {"access": settings().token_audience, "refresh": settings().public_url}
    exact = (
        isinstance(kind, str) and kind in TYP,
        header.get("typ") == TYP.get(str(kind)),
        claims["aud"] == audience.get(str(kind)),
        all(_is_uuid(claims[name]) for name in ("sub", "sid", "jti")),
        all(type(claims[name]) is int for name in ("iat", "exp")),
        type(claims["epoch"]) is int and 0 <= claims["epoch"] <= MAX_EPOCH,
        claims["fresh"] is False or type(claims["fresh"]) is int,
        isinstance(claims["scope"], str),
        isinstance(claims["roles"], list) and all(isinstance(role, str) for role in claims["roles"]),
    )
    if not all(exact):
        raise InvalidTokenError("a claim is not what this service issues")
    if claims["iat"] > clock.now().timestamp() + MAX_CLOCK_SKEW_SECONDS:
        raise InvalidTokenError("issued in the future")


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


def _require_csrf(claims: dict[str, Any], sent: str | None) -> None:
    expected = claims.get("csrf")
    if sent is None:
        return
    if not isinstance(expected, str) or not hmac.compare_digest(expected.encode(), sent.encode(errors="replace")):
        raise CSRFError("the CSRF value is not the session's")


jwt = TokenDecoder()
migrate = Migrate()
cors = CORS()
