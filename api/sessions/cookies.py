"""Delivery: which token travels in the body and which in a cookie.

`body`: both in the body. `hybrid`: access in the body, refresh in an HttpOnly cookie. `cookie`: both in HttpOnly cookies.
With cookies comes the CSRF value, in a cookie that scripts can read and in the body for scripts of another origin.
"""

from dataclasses import dataclass
from typing import Any

from flask import Response, after_this_request, request

from ..config import Settings, settings
from .models import BODY, COOKIE
from .tokens import TokenPair


@dataclass(frozen=True)
class CookieNames:
    """The prefix makes a browser refuse a cookie that is not Secure, or that was set for a whole domain or for one path.

    So no neighbouring host can plant one here. The price is that the refresh cookie travels with every request; only refresh and
    logout look at it. Source: RFC 6265bis, section 4.1.3.
    """

    access: str
    refresh: str
    csrf: str

    @classmethod
    def of(cls, chosen: Settings) -> "CookieNames":
        prefix = "__Host-" if is_secure(chosen) else ""
        return cls(f"{prefix}keycard_access", f"{prefix}keycard_refresh", f"{prefix}keycard_csrf")


def is_secure(chosen: Settings) -> bool:
    """Cookies are Secure wherever clients come over https, in production always."""
    return chosen.public_url.startswith("https://")


def deliver(pair: TokenPair) -> dict[str, Any]:
    """Put the tokens where the session's delivery wants them; return the members of the body.

    Cookies of an earlier session that this delivery does not replace are taken away: they would be a second credential.
    """
    body: dict[str, Any] = {
        "token_type": "Bearer",
        "expires_in": pair.expires_in,
        "refresh_expires_in": pair.refresh_expires_in,
        "session_id": pair.session_id,
        "delivery": pair.delivery,
    }
    if pair.delivery != COOKIE:
        body["access_token"] = pair.access_token
        clear()
    if pair.delivery == BODY:
        return body | {"refresh_token": pair.refresh_token}
    _set_cookies(pair)
    return body | {"csrf_token": pair.csrf_token}


def _set_cookies(pair: TokenPair) -> None:
    names = CookieNames.of(settings())

    @after_this_request
    def add(response: Response) -> Response:
        if pair.delivery == COOKIE:
            _set(response, names.access, pair.access_token, pair.expires_in)
        _set(response, names.refresh, pair.refresh_token, pair.refresh_expires_in)
        _set(response, names.csrf, pair.csrf_token, pair.refresh_expires_in, readable=True)
        return response


def _set(response: Response, name: str, value: str, seconds: int, *, readable: bool = False) -> None:
    secure = is_secure(settings())
    response.set_cookie(name, value, max_age=seconds, secure=secure, httponly=not readable, samesite="Lax")


def clear() -> None:
    """Take our cookies away from the browser, if it sent any."""
    if "HTTP_COOKIE" not in request.environ:
        return
    names = CookieNames.of(settings())
    present = [name for name in (names.access, names.refresh, names.csrf) if name in request.cookies]

    @after_this_request
    def remove(response: Response) -> Response:
        for name in present:
            response.delete_cookie(name, secure=is_secure(settings()), samesite="Lax", httponly=name != names.csrf)
        return response
