"""Access tokens in other services: who is calling, by the published keys, with no call per request and no shared secret.

    verifier = Verifier("https://auth.example.com")
    caller = verifier.authorize(request.headers.get("Authorization"), roles=["editor"])

Without `redis_url` a token is good until it expires. With it, the mirror of revocations that Keycard keeps there is asked too, so
that a revoked token is refused at once.
"""

import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

import httpx
import jwt

ALGORITHMS = ("EdDSA", "ES256", "RS256")
REQUIRED = ("iss", "aud", "sub", "sid", "jti", "iat", "exp", "type", "roles", "scope", "epoch")
# Keys are read again after this time, so that one that was taken back is not trusted for ever.
KEYS_LIVE_SECONDS = 300.0
# And no longer trusted after this time if they could not be read: one of them may have been taken back.
KEYS_TRUSTED_SECONDS = 3600.0
# Keys are read on an unknown `kid` too, but not more often than this, or a forger could make every request a call.
MIN_INTERVAL_SECONDS = 10.0
# As long as there is no key to trust, nobody can be let in, so it is tried more often.
RETRY_SECONDS = 1.0
TIMEOUT_SECONDS = 5.0
REDIS_TIMEOUT_SECONDS = 0.5
REVOKED = "keycard:revoked:"
DETAILS = {
    401: "The request carries no access token that is good here.",
    403: "The access token is good; a role or a scope is missing.",
    503: "Whether the access token is good cannot be told at the moment.",
}


class Refused(Exception):
    """The caller may not do this: 401 without a good token, 403 without a role or a scope, 503 when nobody can tell.

    challenge: for the WWW-Authenticate header (RFC 6750, section 3); empty with 503. The message is for the log.
    """

    def __init__(self, status: int, challenge: str, reason: str) -> None:
        self.status = status
        self.challenge = challenge
        super().__init__(reason)

    @property
    def problem(self) -> dict[str, Any]:
        """The answer's body (RFC 9457)."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": DETAILS[self.status],
        }

    @property
    def headers(self) -> dict[str, str]:
        """The answer's headers."""
        also = {"WWW-Authenticate": self.challenge} if self.challenge else {"Retry-After": "2"}
        return {"Content-Type": "application/problem+json", **also}


@dataclass(frozen=True)
class Caller:
    """The bearer of a good access token. claims: everything the token says."""

    user_id: str
    session_id: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    claims: dict[str, Any] = field(repr=False)


class Verifier:
    """Verifies the access tokens of one Keycard, from any thread.

    issuer: its public URL, the `iss` of its tokens. audience: the `aud` they must name; the issuer, as in Keycard, if not given.
    jwks_url: where the keys are, if not at the issuer. redis_url: the Redis that Keycard writes revocations to. When that cannot
    be asked or is incomplete, everybody is refused with 503; with fail_open, a token is then good until it expires.
    """

    def __init__(
        self,
        issuer: str,
        *,
        audience: str | None = None,
        jwks_url: str | None = None,
        redis_url: str | None = None,
        fail_open: bool = False,
    ) -> None:
        self._issuer = issuer
        self._audience = audience or issuer
        self._keys = _Keys(jwks_url or f"{issuer.rstrip('/')}/.well-known/jwks.json")
        self._redis = _connect(redis_url) if redis_url else None
        self._fail_open = fail_open

    def authorize(self, authorization: str | None, *, roles: Iterable[str] = (), scopes: Iterable[str] = ()) -> Caller:
        """The caller behind an Authorization header, who has every one of these roles and scopes. Raises Refused."""
        found = re.fullmatch(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)", authorization or "")  # RFC 6750, section 2.1
        if not found:
            raise Refused(401, "Bearer", "no bearer token")
        caller = self.verify(found[1])
        missing = [*set(roles).difference(caller.roles), *set(scopes).difference(caller.scopes)]
        if missing:
            raise Refused(403, 'Bearer error="insufficient_scope"', f"missing: {', '.join(sorted(missing))}")
        return caller

    def verify(self, token: str) -> Caller:
        """The bearer of an access token. Raises Refused."""
        try:
            caller = _caller(self._claims(token))
        except (jwt.InvalidTokenError, RecursionError) as error:
            raise _invalid(str(error)) from None
        if self._redis is not None:
            self._refuse_revoked(self._redis, caller)
        return caller

    def _claims(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        if header.get("typ") != "at+jwt":  # RFC 9068, section 4
            raise jwt.InvalidTokenError("not an access token")
        key = self._keys.find(header.get("kid"))
        # The key says its algorithm, never the token (RFC 8725, section 3.1). `iat` is not compared with this machine's clock,
        # which may be a second behind Keycard's.
        return jwt.decode(
            token, key, algorithms=[key.algorithm_name], issuer=self._issuer, audience=self._audience,
            options={"require": list(REQUIRED), "verify_iat": False},
        )  # fmt: skip

    def _refuse_revoked(self, mirror: "_Redis", caller: Caller) -> None:
        """Ask the mirror, in one round trip. Without its mark of completeness, what it does not hold means nothing."""
        import redis

        names = ("complete", f"sid:{caller.session_id}", f"gen:{caller.session_id}", f"sub:{caller.user_id}")
        try:
            complete, session, generation, epoch = mirror.mget([REVOKED + name for name in names])
        except redis.RedisError as error:
            complete = session = generation = epoch = None
            reason = f"the mirror of revocations does not answer: {type(error).__name__}"
        else:
            reason = "the mirror of revocations is not complete"
        if session is not None or caller.claims.get("gen", 0) < int(generation or 0) or caller.claims["epoch"] < int(epoch or 0):
            raise _invalid("revoked")
        if complete is None and not self._fail_open:
            raise Refused(503, "", reason)


class _Keys:
    """The published keys."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = self._asked_at = float("-inf")
        self._failure = ""

    def find(self, kid: object) -> jwt.PyJWK:
        """The key of this name. Raises InvalidTokenError, and Refused while the keys cannot be read."""
        if not isinstance(kid, str):
            raise jwt.InvalidTokenError("names no key")
        if self._is_wanted(kid):
            with self._lock:
                if self._is_wanted(kid):  # still, after waiting for whoever has read them
                    self._read()
        if found := self._trusted().get(kid):
            return found
        if self._failure:
            raise Refused(503, "", f"the keys cannot be read: {self._failure}")
        raise jwt.InvalidTokenError("signed with an unknown key")

    def _is_wanted(self, kid: str) -> bool:
        now = time.monotonic()
        stale = kid not in self._keys or now - self._read_at > KEYS_LIVE_SECONDS
        return stale and now - self._asked_at > (MIN_INTERVAL_SECONDS if self._trusted() else RETRY_SECONDS)

    def _trusted(self) -> dict[str, jwt.PyJWK]:
        """The keys as they were read last, if that was not too long ago."""
        return self._keys if time.monotonic() - self._read_at <= KEYS_TRUSTED_SECONDS else {}

    def _read(self) -> None:
        """Read the keys. Where that fails, those that are known stay good for KEYS_TRUSTED_SECONDS."""
        try:
            found = httpx.get(self._url, timeout=TIMEOUT_SECONDS).raise_for_status().json()
            keys = [each for each in jwt.PyJWKSet.from_dict(found).keys if each.algorithm_name in ALGORITHMS]
        except (httpx.HTTPError, ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:
            self._failure = type(error).__name__
        else:
            self._failure = ""
            self._keys = {each.key_id: each for each in keys if each.key_id}
            self._read_at = time.monotonic()
        finally:
            self._asked_at = time.monotonic()


class _Redis(Protocol):
    def mget(self, keys: list[str]) -> Any: ...


def _connect(url: str) -> _Redis:
    import redis

    made: _Redis = redis.Redis.from_url(url, socket_timeout=REDIS_TIMEOUT_SECONDS, socket_connect_timeout=REDIS_TIMEOUT_SECONDS)
    return made


def _caller(claims: dict[str, Any]) -> Caller:
    """Raises InvalidTokenError for claims of the wrong kind."""
    roles, scope = claims["roles"], claims["scope"]
    numbers = claims["epoch"], claims.get("gen", 0)
    shapes = (isinstance(roles, list), isinstance(scope, str), isinstance(claims["sid"], str))
    if claims["type"] != "access" or not all(shapes) or not all(isinstance(number, int) for number in numbers):
        raise jwt.InvalidTokenError("not the claims of an access token")
    return Caller(claims["sub"], claims["sid"], tuple(roles), tuple(scope.split()), claims)


def _invalid(reason: str) -> Refused:
    return Refused(401, 'Bearer error="invalid_token"', reason)
