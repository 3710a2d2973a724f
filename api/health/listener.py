"""The operator's own port, KEYCARD_METRICS_PORT: `GET /metrics`, for Prometheus, and `GET /ready`, readiness part by part.

The port of the API has neither. One process listens: the one that delivers mail, which reads what all of them count.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from flask import Flask, current_app
from werkzeug.exceptions import InternalServerError, MethodNotAllowed, NotFound
from werkzeug.wrappers import Request, Response

from .. import outbox
from ..config import Settings
from ..json_format import to_json
from ..observability import metrics
from ..problems import DATABASE_FAILED
from .resources import check

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# How long a connection may be silent.
PATIENCE_SECONDS = 10
logger = logging.getLogger("keycard")


def init_app(app: Flask) -> None:
    """Show how much mail waits."""
    metrics.watch(app, metrics.Gauge("keycard_mails_waiting", "Mails in the outbox.", outbox.waiting, across="same"))


@contextmanager
def listening(app: Flask) -> Iterator[None]:
    """Listen in a thread of this process while the block runs, if there is a port to listen on and a folder to read from."""
    server = _open(app)
    if server is None:
        yield
        return
    with server:
        threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


def _open(app: Flask) -> "_Server | None":
    settings: Settings = app.config["SETTINGS"]
    host, port = settings.metrics_host, settings.metrics_port
    if port is None or metrics.FOLDER not in os.environ:
        return None
    try:
        return _Server(host, port, application(app))
    except OSError as error:  # no reason to deliver no mail
        logger.error("metrics are not served, because nobody can listen on %s port %s: %s", host, port, error.strerror)
        return None


def application(app: Flask) -> "WSGIApplication":
    """The WSGI application of the operator's port."""
    pages = {"/metrics": _metrics, "/ready": _ready}

    @Request.application
    def answer(request: Request) -> Response:
        page = pages.get(request.path)
        if page is None:
            raise NotFound(f"There is {' and '.join(pages)}.")
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(["GET", "HEAD"])
        with app.app_context():
            try:
                return page()
            except Exception:
                logger.exception("unhandled error at the port of the metrics")
                raise InternalServerError from None

    return answer


def _metrics() -> Response:
    counted: metrics.Metrics = current_app.extensions[metrics.EXTENSION]
    return Response(counted.text(), content_type=CONTENT_TYPE)


def _ready() -> Response:
    current_app.extensions[DATABASE_FAILED] = True  # requests fail in other processes: try to write, whether or not one has
    ready, checks = check()
    body = to_json({"status": "ready" if ready else "not-ready", **checks})
    return Response(body, 200 if ready else 503, {"Cache-Control": "no-store"}, content_type="application/json")


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, as the server of prometheus_client has it."""

    daemon_threads = True

    def __init__(self, host: str, port: int, answer: "WSGIApplication") -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        self.set_app(answer)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.settimeout(PATIENCE_SECONDS)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about a connection that broke or stayed silent. What goes wrong in an answer is logged there."""


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Write no line for each time that Prometheus asks."""
