"""The end of every request: one line, one count, one duration."""

import json
import logging
import uuid
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_address
from time import perf_counter
from typing import Any

from flask import Flask, Request, current_app, g, request

from ..config import Settings
from ..problems import MEDIA_TYPE, InternalError
from . import logs, metrics

logger = logging.getLogger("keycard")

# Where the request and the content of its `g` are kept for the time after Flask has put them away.
KEPT = "keycard.kept"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
# Asked every few seconds by machines: not worth a line while all is well.
QUIET = frozenset(("live", "ready"))
# Requests to which no operation belongs.
UNMATCHED, PREFLIGHT = "unmatched", "preflight"
CRASHED = "500 INTERNAL SERVER ERROR"


def init_app(app: Flask, settings: Settings) -> None:
    """Watch every request from outside, so that no way of ending goes unseen."""
    app.before_request(_keep)
    app.wsgi_app = Observed(app, settings, app.wsgi_app)  # type: ignore[method-assign]


def _keep() -> None:
    called: Any = request
    called = called._get_current_object()
    called.environ[KEPT] = (called, vars(g._get_current_object()))


def signed_in(user_id: uuid.UUID, session_id: uuid.UUID) -> None:
    """Say who a request without a token turned out to be from."""
    g.signed_in = {"sub": str(user_id), "sid": str(session_id)}


def operation() -> str:
    """The id of the operation that this request calls, or a name for what is none. There are only so many."""
    return _operation(current_app.view_functions, request)


def _operation(views: dict[str, Any], called: Request) -> str:
    rule = called.url_rule
    return UNMATCHED if rule is None else _operation_of(views[rule.endpoint], rule.endpoint, called.method)


@lru_cache(maxsize=4096)
def _operation_of(view: Any, endpoint: str, method: str) -> str:
    """Of a page without a declaration it is the endpoint."""
    if method == "OPTIONS":
        return PREFLIGHT
    if hasattr(view, "view_class"):
        view = getattr(view.view_class, "get" if method == "HEAD" else method.lower(), None)
    declared: Any = getattr(view, "_apidoc", {}).get("operation")
    return str(declared[0]) if declared else endpoint


@lru_cache(maxsize=4096)
def _address(text: str | None) -> str | None:
    """An address, None for what a proxy has passed on that is none."""
    try:
        return str(ip_address((text or "").partition("%")[0]))
    except ValueError:
        return None


class Observed:
    """A WSGI application that tells how each request ended."""

    def __init__(self, app: Flask, settings: Settings, inner: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._views = app.view_functions
        self._inner = inner
        self._line = logs.request_lines(settings)
        self._metrics: metrics.Metrics | None = app.extensions.get(metrics.EXTENSION)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        began = perf_counter()
        line, headers = CRASHED, []

        def start(*answer: Any) -> None:
            nonlocal line, headers
            line, headers = answer[:2]

        try:
            body = self._inner(environ, start)
        except Exception:
            # Flask has answered every error of the views; this one happened while it put the request away. A server would print
            # it, message and all.
            if self._app.config.get("PROPAGATE_CRASHES"):
                raise
            logger.exception("unhandled error after a request")
            line, headers, body = _crashed()
        finally:
            self._tell(environ, int(line[:3]), perf_counter() - began)
        start_response(line, headers)
        return body

    def _tell(self, environ: dict[str, Any], status: int, seconds: float) -> None:
        called, about = environ.get(KEPT, (None, {}))
        rule = called.url_rule if called else None
        name = _operation(self._views, called) if called else UNMATCHED
        if self._metrics:
            self._metrics.answered(name, status, seconds)
        level = "error" if status >= 500 else "debug" if status < 400 and name in QUIET else "info"
        method = environ["REQUEST_METHOD"]
        claims = about.get("signed_in") or about.get("_jwt_extended_jwt") or {}  # the second is of the verified token
        more = {key: about[key] for key in ("problem", "trace_id") if key in about}
        self._line(
            level,
            request_id=about.get("request_id"),
            method=method if method in METHODS else "other",
            route=rule.rule if rule else None,
            operation=name,
            status=status,
            duration_ms=round(seconds * 1000, 3),
            user_id=claims.get("sub"),
            session_id=claims.get("sid"),
            address=_address(environ.get("REMOTE_ADDR")),
            **more,
        )


def _crashed() -> tuple[str, list[tuple[str, str]], list[bytes]]:
    """An answer that takes no Flask."""
    about = {"type": InternalError.type_uri(), "title": InternalError.title, "status": 500, "detail": f"{InternalError.title}."}
    body = json.dumps(about).encode()
    return CRASHED, [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")], [body]
