"""What a caller must present. One table of demands; `authenticate` enforces it, `documented` describes it.

The token itself is checked by our decoder; this module decides where it may come from (RFC 6750: one method per request)
and what its bearer must be. Flask-JWT-Extended would look for the token a second time, parse its header twice more, and
look up the user apart from the session.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from flask import Flask, Request, Response, current_app, g, request
from flask_jwt_extended import get_jwt, get_jwt_header
from flask_jwt_extended.exceptions import CSRFError
from jwt import ExpiredSignatureError, PyJWTError

from .. import clock, problems
from ..extensions import jwt, require_csrf
from ..problems import Problem

EXTENSION = "keycard.guard"
CSRF_HEADER = "X-CSRF-TOKEN"
_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1
CSRF_METHODS = ("POST", "PUT", "PATCH", "DELETE")


class Unauthenticated(Problem):
    """The operation needs a token and the request carries none."""

    status = 401
    slug = "authentication-required"
    title = "Authentication is required"
    remedy = "Sign in, and send the access token as Authorization: Bearer, or let the browser send its cookie."


class InvalidToken(Problem):
    """The token is malformed, forged, of the wrong kind, or from somebody else."""

    status = 401
    slug = "invalid-token"
    title = "The token is not valid"
    remedy = "Sign in again. A refresh token only works on refresh and logout, an access token everywhere else."
    challenge = 'error="invalid_token"'


class TokenExpired(Problem):
    """The token was good, and its time is over."""

    status = 401
    slug = "token-expired"
    title = "The token has expired"
    remedy = "Exchange your refresh token for a new pair, or sign in again if that one has expired too."
    challenge = 'error="invalid_token", error_description="expired"'


class TokenRevoked(Problem):
    """The token's session was ended (signed out, ended elsewhere, password changed, token reuse) or renewed (password given
    again), or the person's roles changed since it was issued."""

    status = 401
    slug = "token-revoked"
    title = "The token has been revoked"
    remedy = "Refresh once; if that is refused too, sign in again."
    challenge = 'error="invalid_token", error_description="revoked"'


class FreshTokenRequired(Problem):
    """The operation is sensitive and the password was given too long ago (RFC 9470)."""

    status = 401
    slug = "fresh-token-required"
    title = "A fresh token is required"
    remedy = "Send the password to POST /v1/auth/reauthenticate and use the access token it answers."
    challenge = 'error="insufficient_user_authentication"'


class MultipleCredentials(Problem):
    """The request carries a token in the Authorization header and another one in a cookie. Which of the two is meant
    cannot be told, so neither is used."""

    status = 401
    slug = "multiple-credentials"
    title = "Two credentials at once"
    remedy = "Send either the Authorization header or the cookie."
    challenge = 'error="invalid_request"'


class CsrfFailed(Problem):
    """A request that changes something was authenticated by a cookie, and its X-CSRF-TOKEN header is missing or is not
    the session's."""

    status = 403
    slug = "csrf-failed"
    title = "The CSRF value is missing or wrong"
    remedy = "Copy the CSRF cookie, or `csrf_token` of the login answer, into the X-CSRF-TOKEN header."


class RoleRequired(Problem):
    """The caller is known, and lacks the role that the operation demands."""

    status = 403
    slug = "role-required"
    title = "A role is missing"
    remedy = "Ask an administrator for the role; x-required-roles in the OpenAPI document names it."
    challenge = 'error="insufficient_scope"'


class Caller(Protocol):
    """What the kernel needs to know of a signed-in caller; `sessions` provides it."""

    @property
    def roles(self) -> tuple[str, ...]: ...


FindBearer = Callable[[dict[str, Any], dict[str, Any]], Caller | None]


@dataclass(frozen=True)
class Security:
    """One demand. tokens: the kinds that are accepted, none for a public operation.

    live: whether the session must still be open. Logout and refresh say no: they decide themselves what a dead one means.
    """

    tokens: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    fresh: bool = False
    optional: bool = False
    live: bool = True


public = Security()
access_token = Security(("access",))
fresh_access_token = Security(("access",), fresh=True)
optional_access_token = Security(("access",), optional=True)
refresh_token = Security(("refresh",), live=False)
session_token = Security(("access", "refresh"), live=False)


def role(name: str, *, fresh: bool = False) -> Security:
    """Demand an access token of a person who holds the role. fresh: and who has given the password lately."""
    return Security(("access",), roles=(name,), fresh=fresh)


def init_app(app: Flask, access_cookie: str, refresh_cookie: str, find_bearer: FindBearer) -> None:
    """Configure Flask-JWT-Extended, whose every refusal becomes a problem.

    find_bearer: returns who bears an access token with this header and these claims, None if it has been revoked. Raises
    jwt.InvalidTokenError if its key has been withdrawn.
    """
    app.config.update(
        JWT_TOKEN_LOCATION=["headers", "cookies"],
        JWT_ACCESS_COOKIE_NAME=access_cookie,
        JWT_REFRESH_COOKIE_NAME=refresh_cookie,
        JWT_CSRF_IN_COOKIES=False,
        JWT_ENCODE_NBF=False,  # a pair made again must be the same text, and `iat` says enough
        JWT_CSRF_METHODS=list(CSRF_METHODS),
        JWT_ACCESS_CSRF_HEADER_NAME=CSRF_HEADER,
        JWT_REFRESH_CSRF_HEADER_NAME=CSRF_HEADER,
    )
    app.extensions[EXTENSION] = _Guard({"access": access_cookie, "refresh": refresh_cookie}, find_bearer)
    jwt.init_app(app)
    _answer_its_own_decorators(app)


@dataclass(frozen=True)
class _Guard:
    """cookies: the name of the cookie of each kind of token."""

    cookies: Mapping[str, str]
    find_bearer: FindBearer


def _answer_its_own_decorators(app: Flask) -> None:
    """An endpoint that uses Flask-JWT-Extended's decorators refuses in the same words."""
    jwt.unauthorized_loader(lambda _: _answer(Unauthenticated()))
    jwt.invalid_token_loader(lambda _: _answer(InvalidToken()))
    jwt.expired_token_loader(lambda *_: _answer(TokenExpired()))
    jwt.needs_fresh_token_loader(lambda *_: _answer(FreshTokenRequired()))
    jwt.user_lookup_loader(lambda header, claims: _guard().find_bearer(header, claims))
    jwt.user_lookup_error_loader(lambda *_: _answer(TokenRevoked()))
    app.register_error_handler(PyJWTError, lambda _: _answer(InvalidToken()))
    app.register_error_handler(CSRFError, lambda _: _answer(CsrfFailed()))


def _answer(problem: Problem) -> Response:
    return problems.response(problem)


def _guard() -> _Guard:
    found: _Guard = current_app.extensions[EXTENSION]
    return found


@dataclass(frozen=True, slots=True)
class _Credential:
    """A token of a request. kind: that it must be of, None where the operation takes what it finds."""

    token: str
    kind: str | None
    location: str


def authenticate(security: Security, called: Request) -> None:
    """Let a request pass or raise; afterwards `current_user` and `get_jwt()` know the caller."""
    if not security.tokens:
        return
    guard = _guard()
    presented = _credentials(security, called, guard.cookies)
    if not presented:
        if not security.optional:
            raise Unauthenticated
        _remember(None, {}, {}, None)
        return
    header, claims = _first_good(presented, called)
    if security.fresh and (claims["fresh"] is False or claims["fresh"] < clock.now().timestamp()):
        raise FreshTokenRequired
    caller = guard.find_bearer(header, claims) if security.live else None
    if security.live and caller is None:
        raise TokenRevoked
    if security.roles and not (caller and set(security.roles) <= set(caller.roles)):
        raise RoleRequired
    _remember(presented[0].location, header, claims, caller)


def _first_good(presented: list[_Credential], called: Request) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of the first credential that is good. Raises what is wrong with the first one if none is."""
    refusals = []
    for each in presented:
        try:
            return _verified(each, called)
        except Problem as refusal:
            refusals.append(refusal)
    raise refusals[0]


def _verified(credential: _Credential, called: Request) -> tuple[dict[str, Any], dict[str, Any]]:
    csrf = None
    if credential.location == "cookies" and called.method in CSRF_METHODS:
        csrf = called.headers.get(CSRF_HEADER)
        if not csrf:
            raise CsrfFailed
    try:
        header, claims = jwt.verify(credential.token)
        if csrf:
            require_csrf(claims, csrf)
    except ExpiredSignatureError:
        raise TokenExpired from None
    except PyJWTError:
        raise InvalidToken from None
    except CSRFError:
        raise CsrfFailed from None
    if credential.kind and claims["type"] != credential.kind:
        raise InvalidToken
    return header, claims


def _remember(location: str | None, header: dict[str, Any], claims: dict[str, Any], caller: Caller | None) -> None:
    """Where Flask-JWT-Extended's `get_jwt` and `current_user` look."""
    context = g._get_current_object()
    context._jwt_extended_jwt_header = header  # noqa: SLF001
    context._jwt_extended_jwt = claims  # noqa: SLF001
    context._jwt_extended_jwt_location = location  # noqa: SLF001
    context._jwt_extended_jwt_user = {"loaded_user": caller}  # noqa: SLF001


def _credentials(security: Security, called: Request, names: Mapping[str, str]) -> list[_Credential]:
    """Find the credential; several where a browser sends cookies of both kinds and either will do. names: of the cookies."""
    header = called.environ.get("HTTP_AUTHORIZATION")
    sent = called.cookies if "HTTP_COOKIE" in called.environ else {}
    cookies = [kind for kind in security.tokens if sent.get(names[kind])]
    if header is None:
        # A browser sends cookies on its own: without the CSRF value they are no credential where none is demanded.
        ambient = security.optional and called.method in CSRF_METHODS and not called.headers.get(CSRF_HEADER)
        return [] if ambient else [_Credential(sent[names[kind]], kind, "cookies") for kind in cookies]
    # A browser in hybrid delivery cannot keep its refresh cookie from travelling beside the access token, so only on refresh
    # that cookie counts as a second credential.
    if "access" in cookies or (cookies and security.tokens == ("refresh",)):
        raise MultipleCredentials
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not _B64TOKEN.fullmatch(token):
        raise InvalidToken
    return [_Credential(token, security.tokens[0] if len(security.tokens) == 1 else None, "headers")]


def claims_of_cookie() -> dict[str, Any] | None:
    """The claims of the session whose cookie came with a request to a public operation; None without a good one."""
    for kind, name in _guard().cookies.items():
        try:
            _, found = jwt.verify(request.cookies.get(name, ""))
        except PyJWTError:
            continue
        if found["type"] == kind:
            return found
    return None


def presented_in_cookie() -> bool:
    """Say whether the verified token of this request came in a cookie."""
    return bool(getattr(g, "_jwt_extended_jwt_location", None) == "cookies")


def header() -> dict[str, Any]:
    """The header of this request's token."""
    return get_jwt_header()


def claims() -> dict[str, Any]:
    """The verified claims of this request's token."""
    return get_jwt()


def documented(security: Security, method: str) -> dict[str, Any]:
    """Describe the demand as members of an OpenAPI operation."""
    if not security.tokens:
        return {"security": []}
    csrf: dict[str, list[str]] = {"csrfToken": []} if method.upper() in CSRF_METHODS else {}
    alternatives: list[dict[str, list[str]]] = [{f"{kind}Token": []} for kind in security.tokens]
    alternatives += [{f"{kind}Cookie": [], **csrf} for kind in security.tokens]
    if security.optional:
        alternatives.append({})
    found: dict[str, Any] = {"security": alternatives}
    if security.roles:
        found["x-required-roles"] = list(security.roles)
    if security.fresh:
        found["x-fresh-token"] = True
    return found


def refusals(security: Security, method: str) -> list[type[Problem]]:
    """Name every problem with which `authenticate` can refuse."""
    if not security.tokens:
        return []
    found: list[type[Problem]] = [InvalidToken, TokenExpired, MultipleCredentials]
    if not security.optional:
        found.append(Unauthenticated)
    if security.live:
        found.append(TokenRevoked)
    if security.fresh:
        found.append(FreshTokenRequired)
    if security.roles:
        found.append(RoleRequired)
    if method.upper() in CSRF_METHODS:
        found.append(CsrfFailed)
    return found
