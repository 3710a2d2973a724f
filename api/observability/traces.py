"""Traces by OpenTelemetry: on where `keycard[otel]` is installed and OTEL_EXPORTER_OTLP_ENDPOINT is set.

The other settings are OpenTelemetry's own too (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, ...). A caller's `traceparent` is
taken up.
"""

import logging
import os
from collections.abc import Sequence
from multiprocessing.util import Finalize
from typing import Any

from flask import Flask, g

from ..database import db
from ..problems import request_id
from .requests import QUIET, operation

logger = logging.getLogger("keycard")

# What may leave. Everything else that the instrumentation collects is dropped: addresses with their query, messages of
# exceptions, headers.
ATTRIBUTES = frozenset(
    (
        "db.name", "db.namespace", "db.operation", "db.operation.name", "db.query.text", "db.statement", "db.system",
        "db.system.name", "error.type", "http.method", "http.request.method", "http.response.status_code", "http.route",
        "http.status_code", "keycard.request_id", "net.peer.name", "net.peer.port", "server.address", "server.port",
    )
)  # fmt: skip
_tracing: Any = None


def init_app(app: Flask) -> None:
    """Trace the app's requests, with its statements and what it asks of Redis."""
    if not (os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")):
        return
    try:
        from opentelemetry.instrumentation.flask import FlaskInstrumentor
        from opentelemetry.metrics import NoOpMeterProvider
    except ImportError:
        logger.warning("nothing is traced: OTEL_EXPORTER_OTLP_ENDPOINT is set, but keycard[otel] is not installed")
        return
    instrumentor: Any = FlaskInstrumentor()
    instrumentor.instrument_app(
        app,
        request_hook=_name,
        tracer_provider=_provider(app),
        meter_provider=NoOpMeterProvider(),
        excluded_urls=os.environ.get("OTEL_PYTHON_FLASK_EXCLUDED_URLS", ",".join(f"/{name}$" for name in sorted(QUIET))),
        enable_commenter=False,
    )


def _provider(app: Flask) -> Any:
    """The one provider of this process; the libraries below are instrumented together with it."""
    global _tracing  # noqa: PLW0603 - so is what OpenTelemetry patches
    if _tracing is not None:
        return _tracing
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.redis import RedisInstrumentor
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
    from opentelemetry.metrics import NoOpMeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": "keycard"}
    _tracing = TracerProvider(resource=Resource.create(name))
    exporter: Any = _Harmless(OTLPSpanExporter())
    _tracing.add_span_processor(BatchSpanProcessor(exporter))
    # A process that was forked ends without `atexit`, where OpenTelemetry would send its last spans.
    Finalize(None, _tracing.shutdown, exitpriority=0)
    with app.app_context():
        engines = list(db.engines.values())
    # skip_dep_check: it claims to know SQLAlchemy below 2.1 only; our tests see its spans on ours.
    SQLAlchemyInstrumentor().instrument(
        engines=engines, tracer_provider=_tracing, meter_provider=NoOpMeterProvider(), skip_dep_check=True
    )
    RedisInstrumentor().instrument(tracer_provider=_tracing)
    return _tracing


def _name(span: Any, _environ: Any) -> None:
    """Call the span what the document calls the operation."""
    span.update_name(operation())
    span.set_attribute("keycard.request_id", request_id())
    g.trace_id = format(span.get_span_context().trace_id, "032x")


class _Harmless:
    """Hands spans on, without what nobody else shall read; what belongs to no request is not worth telling."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def export(self, spans: Sequence[Any]) -> Any:
        return self._inner.export([_harmless(each) for each in spans if each.parent or each.kind.name == "SERVER"])

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return bool(self._inner.force_flush(timeout_millis))


def _harmless(span: Any) -> Any:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Status

    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={name: value for name, value in (span.attributes or {}).items() if name in ATTRIBUTES},
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
