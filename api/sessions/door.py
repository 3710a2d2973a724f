"""Sign-ins turned away at the door, before Flask is asked.

While as many wait for a hash as may, every further one is refused anyway. A refusal by way of Flask takes a millisecond of the
core that the hashes need, and whoever asks for something else stands in line behind it: most of a flood would be refusals.
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from ..config import Settings
from ..http.headers import always
from ..observability import metrics
from ..observability.requests import KEPT
from ..problems import request_id_of
from ..users import Hasher, hasher

ENDPOINT = "auth.Login"


class Door:
    """A WSGI application before another one."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app, self._inner = app, app.wsgi_app
        self._headers = always(settings)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # A page of another origin must be told whether it may read the answer, which Flask-CORS knows.
        if self._hasher.has_room or not self._is_sign_in(environ) or "HTTP_ORIGIN" in environ:
            return self._inner(environ, start_response)
        return self._refuse(environ, start_response)

    def _refuse(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request_id = request_id_of(environ.get("HTTP_X_REQUEST_ID", ""))
        with self._app.app_context():
            problem = self._hasher.too_many("queue_full")
            metrics.count(metrics.LOGINS, "overloaded")
            body = problem.body(request_id)
        length = ("Content-Length", str(len(body)))
        # Of which the line in the log is made.
        called = SimpleNamespace(url_rule=self._rule, method=environ["REQUEST_METHOD"])
        environ[KEPT] = (called, {"request_id": request_id, "problem": problem.slug})
        status = HTTPStatus(problem.status)
        start_response(
            f"{status.value} {status.phrase}", [*problem.get_headers(), length, ("X-Request-ID", request_id), *self._headers]
        )
        return [body]

    def _is_sign_in(self, environ: dict[str, Any]) -> bool:
        return bool(environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] == self._rule.rule)

    @cached_property
    def _rule(self) -> Rule:
        return next(self._app.url_map.iter_rules(ENDPOINT))

    @cached_property
    def _hasher(self) -> Hasher:
        with self._app.app_context():
            return hasher()
