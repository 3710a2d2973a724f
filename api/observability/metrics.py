"""Metrics for Prometheus: counters that features count at, gauges that are looked at.

Off unless KEYCARD_METRICS_PORT is set: then nothing is imported and counting does nothing. Each process writes to files of its
own in PROMETHEUS_MULTIPROC_DIR, and the one that listens on that port (`api/health/listener.py`) reads them all.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from platform import python_version
from typing import Any

from flask import Flask, current_app

from ..config import Settings
from ..database import connection_limit, db
from ..version import __version__

EXTENSION = "keycard.metrics"
GAUGES = "keycard.gauges"
FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own name; it must be set before that is imported
# How old the gauges of another process may be.
SAMPLE_SECONDS = 1.0
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Counted:
    """Something that is counted. label, values: what tells the kinds apart, and all that there are."""

    name: str
    help: str
    label: str
    values: tuple[str, ...]


LOGINS = Counted(
    "keycard_logins", "Sign-ins by outcome.", "outcome", ("success", "invalid", "suspended", "throttled", "overloaded")
)
REFRESHES = Counted(
    "keycard_refreshes",
    "Exchanges of refresh tokens by outcome; `reused` is a token that was used before, probably stolen.",
    "outcome",
    ("rotated", "repeated", "reused", "ended"),
)
HASHES_REFUSED = Counted(
    "keycard_hashes_refused", "Password hashes refused because too many waited.", "reason", ("queue_full", "waited_too_long")
)
COUNTED = (LOGINS, REFRESHES, HASHES_REFUSED)


@dataclass(frozen=True)
class Gauge:
    """Something that is looked at. read: its value now, None if there is none; it runs in the app's context.

    across: how the values of several processes become one: `livesum`, `livemax`, or `same` where each would say the same.
    """

    name: str
    help: str
    read: Callable[[], float | None]
    across: str = "livesum"


def count(what: Counted, value: str) -> None:
    """Count one of these."""
    if value not in what.values:
        raise ValueError(f"{what.name} knows no {value!r}")
    found: Metrics | None = current_app.extensions.get(EXTENSION)
    if found:
        found.count(what, value)


def watch(app: Flask, gauge: Gauge) -> None:
    """Show a value of the app's."""
    app.extensions.setdefault(GAUGES, []).append(gauge)


def init_app(app: Flask, settings: Settings) -> None:
    """Start counting, where the settings say so."""
    if settings.metrics_port:
        app.extensions[EXTENSION] = Metrics(app)
        _watch_pools(app)


@contextmanager
def shared_folder(settings: Settings) -> Iterator[None]:
    """Give the processes that are started in this block a folder, in which they count together."""
    if not settings.metrics_port or FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="keycard-metrics-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER]


class Metrics:
    """The metrics of an app."""

    def __init__(self, app: Flask) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series beside each, which nobody asks for

        self._app = app
        self._folder = os.environ.get(FOLDER)
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "keycard_requests", "Requests by operation and status.", ["operation", "status"], registry=self._registry
        )
        self._durations = Histogram(
            "keycard_request_duration_seconds", "Time to answer.", ["operation"], buckets=BUCKETS, registry=self._registry
        )
        self._children: dict[tuple[str, int], tuple[Any, Any]] = {}
        self._counted: dict[tuple[str, str], Any] = {}
        for each in COUNTED:
            counter = Counter(each.name, each.help, [each.label], registry=self._registry)
            self._counted |= {(each.name, value): counter.labels(value) for value in each.values}
        self._gauges: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._sampler: threading.Thread | None = None

    def count(self, what: Counted, value: str) -> None:
        self._counted[what.name, value].inc()

    def answered(self, operation: str, status: int, seconds: float) -> None:
        """Count a request. operation: its id, or another name of which there are few."""
        key = (operation, status)
        found = self._children.get(key)
        if found is None:
            found = self._children[key] = (self._requests.labels(operation, str(status)), self._durations.labels(operation))
        found[0].inc()
        found[1].observe(seconds)
        if self._folder and self._sampler is None:
            self._keep_sampling()

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        self._sample()
        registry = self._registry
        if self._folder:
            _forget_the_dead(Path(self._folder))
            registry = CollectorRegistry()
            MultiProcessCollector(registry, self._folder)  # type: ignore[no-untyped-call]
        same = CollectorRegistry()
        same.register(_Same(self._watched()))
        return generate_latest(registry) + generate_latest(same)

    def _watched(self) -> list[Gauge]:
        found: list[Gauge] = self._app.extensions.get(GAUGES, [])
        return found

    def _sample(self) -> None:
        from prometheus_client import Gauge as PrometheusGauge

        for each in self._watched():
            value = None if each.across == "same" else _read(each)
            if value is None:
                continue
            with self._lock:
                if each.name not in self._gauges:
                    mode: Any = each.across
                    made = PrometheusGauge(each.name, each.help, registry=self._registry, multiprocess_mode=mode)
                    self._gauges[each.name] = made
            self._gauges[each.name].set(value)

    def _keep_sampling(self) -> None:
        """Write the gauges down again and again, for the process that will be asked. Not before the first request: by then this
        process is the one that answers, and not one from which it is forked."""
        with self._lock:
            if self._sampler is None:
                self._sampler = threading.Thread(target=self._sample_for_ever, name="metrics", daemon=True)
                self._sampler.start()

    def _sample_for_ever(self) -> None:
        pause = threading.Event()
        while not pause.wait(SAMPLE_SECONDS):
            with self._app.app_context():
                self._sample()


class _Same:
    """What every process would say alike, and what is looked at only when somebody asks (a collector of prometheus_client)."""

    def __init__(self, gauges: list[Gauge]) -> None:
        self._gauges = [each for each in gauges if each.across == "same"]

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        build = GaugeMetricFamily("keycard_build_info", "The version that runs.", labels=["version", "python"])
        build.add_metric([__version__, python_version()], 1)
        yield build
        for each in self._gauges:
            value = _read(each)
            if value is not None:
                yield GaugeMetricFamily(each.name, each.help, value)


def _read(gauge: Gauge) -> float | None:
    try:
        return gauge.read()
    except Exception:  # what it looks at is away, which others tell; the rest must still be shown
        return None


def _forget_the_dead(folder: Path) -> None:
    """Take away what processes were doing that are no more. What they have counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    for pid in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        except PermissionError:
            pass  # somebody else's, so it lives


def _watch_pools(app: Flask) -> None:
    """Connections of both engines together: open, in use, and how many there may be."""

    def total(number: Callable[[Any], int]) -> Callable[[], float]:
        return lambda: float(sum(number(engine.pool) for engine in db.engines.values()))

    watch(app, Gauge("keycard_database_pool_checked_out", "Connections in use.", total(lambda pool: pool.checkedout())))
    watch(
        app,
        Gauge(
            "keycard_database_pool_size",
            "Connections that are open.",
            total(lambda pool: pool.checkedin() + pool.checkedout()),
        ),
    )
    watch(app, Gauge("keycard_database_pool_limit", "Connections that may be open.", connection_limit))
