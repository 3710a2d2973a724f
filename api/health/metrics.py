"""`GET /metrics`, for Prometheus: off unless KEYCARD_METRICS_ENABLED. It is the operator's, so the document does not name it."""

from flask import Flask, Response, current_app

from .. import outbox
from ..config import Settings
from ..observability import metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def init_app(app: Flask, settings: Settings) -> None:
    """Serve the metrics on the port of everything else."""
    if settings.metrics_enabled:
        metrics.watch(app, metrics.Gauge("keycard_mails_waiting", "Mails in the outbox.", outbox.waiting, across="same"))
        app.add_url_rule("/metrics", "metrics", _metrics)


def _metrics() -> Response:
    found: metrics.Metrics = current_app.extensions[metrics.EXTENSION]
    return Response(found.text(), content_type=CONTENT_TYPE)
