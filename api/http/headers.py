"""Headers that every answer carries."""

from flask import Flask, Response, g

from ..config import Settings, settings
from ..problems import request_id

API_CSP = "default-src 'none'; frame-ancestors 'none'"
ALWAYS = (
    ("Cache-Control", "no-store"),  # what bears a token or a person must not be kept by anyone
    ("Content-Security-Policy", API_CSP),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
SECURE = (*ALWAYS, ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"))


def always(settings: Settings) -> tuple[tuple[str, str], ...]:
    """What every answer carries unless its view says otherwise."""
    return SECURE if settings.production else ALWAYS


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
    present = {name.lower() for name, _ in headers}
    more = [each for each in always(settings()) if each[0].lower() not in present]
    # `add` would look at each for a line break, `setdefault` look for it three times.
    headers._list += [("X-Request-ID", request_id()), *more]  # noqa: SLF001
    if response.status_code == 202:
        response.set_data(b"")  # smorest says `null` for nothing
    if response.status_code in {202, 204, 304}:
        headers.remove("Content-Type")
    return response
