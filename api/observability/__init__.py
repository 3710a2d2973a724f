"""What the operator sees: logs, metrics, traces.

Every request is told when it ends. What a feature decides it counts with `metrics.count`, and what it holds it shows with
`metrics.watch`. No secret may reach any of the three: they are given names, ids and numbers, never values from a request.
"""

from flask import Flask

from ..config import Settings
from . import logs, metrics, requests, traces

__all__ = ["init_app", "logs", "metrics", "requests", "traces"]


def init_app(app: Flask, settings: Settings) -> None:
    """Watch the app. Before everything else that handles requests, and after the database."""
    logs.configure(settings)
    metrics.init_app(app, settings)
    traces.init_app(app)
    requests.init_app(app, settings)  # outermost, so that it sees how everything ends
