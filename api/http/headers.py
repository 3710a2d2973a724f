"""Headers that every answer carries."""

from flask import Flask, Response, g

from ..config import Settings, settings
from ..problems import request_id

# `default-src` covers neither `base-uri` nor `frame-ancestors`.
API_CSP = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
ALWAYS = (
    ("Cache-Control", "no-store"),  # what bears a token or a person must not be kept by anyone
    ("Content-Security-Policy", API_CSP),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
# Whether a page may read an answer depends on its origin. A cache must know that of every answer, also of one to a request
# without an origin. Flask-CORS says it only of some.
VARY = ("Vary", "Origin")
SECURE = (*ALWAYS, ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"))


def always(settings: Settings) -> tuple[tuple[str, str], ...]:
    """What every answer carries unless its view says otherwise."""
    found = SECURE if settings.production else ALWAYS
    return (*found, VARY) if settings.cors_origins else found


def init_app(app: Flask) -> None:
    """Add the headers after every request; a view that sets one itself keeps it."""
    app.after_request(_complete)


def let_keep(seconds: int) -> None:
    """Allow anybody to keep the answer to this request for so long, if it is a good one."""
    g.keep_seconds = seconds


def _complete(response: Response) -> Response:
    headers = response.headers
    if response.status_code == 200 and "keep_seconds" in g:
        headers["Cache-Control"] = f"public, max-age={g.keep_seconds}"
    if "Vary" in headers and settings().cors_origins:
        response.vary.add("Origin")
    present = {name.lower() for name, _ in headers}
    more = [each for each in always(settings()) if each[0].lower() not in present]
    for name, value in (("X-Request-ID", request_id()), *more):
        headers.add(name, value)
    if response.status_code in {204, 304}:
        headers.remove("Content-Type")
    return response
