"""Headers that every answer carries."""

from flask import Flask, Response, current_app

from ..problems import request_id

API_CSP = "default-src 'none'; frame-ancestors 'none'"
NO_STORE = "no-store"


def init_app(app: Flask) -> None:
    """Add the headers after every request; a view that sets one itself keeps it."""
    app.after_request(_complete)


def _complete(response: Response) -> Response:
    headers = response.headers
    headers["X-Request-ID"] = request_id()
    headers.setdefault("Cache-Control", NO_STORE)  # what bears a token or a person must not be kept by anyone
    headers.setdefault("Content-Security-Policy", API_CSP)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "no-referrer")
    if current_app.config["SETTINGS"].production:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    if response.status_code == 202:
        response.set_data(b"")  # smorest says `null` for nothing
    if response.status_code in {202, 204, 304}:
        headers.remove("Content-Type")
    return response
