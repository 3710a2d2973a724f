"""Traces: a real process sends spans to a receiver, with names and ids and nothing secret."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.conftest import Stores
from tests.observability.marks import Marks
from tests.processes.servers import STOP_SECONDS, Server, Visitor, eventually

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Receiver:
    """Takes spans as OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.raw = b""
        self.services: set[str] = set()
        self.url = ""

    def take(self, body: bytes) -> None:
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {each.value.string_value for each in resource.resource.attributes if each.key == "service.name"}
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    @contextmanager
    def running(self) -> Iterator["Receiver"]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.take(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}"
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield self
            server.shutdown()

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver().running() as found:
        yield found


@pytest.fixture(scope="module")
def server(
    new_postgresql: Callable[[], str],
    redis_url: str,
    start: Callable[..., Server],
    receiver: Receiver,
    monkeypatch_module: pytest.MonkeyPatch,
) -> Server:
    stores = Stores("postgresql", new_postgresql(), redis_url)
    original = Stores.environment
    traced = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=leakedkey",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    monkeypatch_module.setattr(Stores, "environment", lambda self, *args, **kwargs: original(self, *args, **kwargs) | traced)
    return start(stores, log_format="json").wait()


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as found:
        yield found


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_a_request_is_a_trace_with_the_callers_id(server: Server, receiver: Receiver) -> None:
    """Taken up from `traceparent`, named as the operation, with a span for its statement, and found in the log."""
    user = Visitor(server).join()
    answer = user.get("/v1/users/me", headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-ID": "mine-7"})
    assert answer.status_code == 200
    (span,) = eventually(lambda: receiver.named("get_me"))
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.kind == Span.SPAN_KIND_SERVER
    found = attributes(span)
    assert found["keycard.request_id"] == "mine-7" == answer.headers["X-Request-ID"]
    assert (found["http.route"], found["http.status_code"]) == ("/v1/users/me", 200)
    statements = [each for each in receiver.spans if each.parent_span_id == span.span_id]
    assert any("SELECT" in str(attributes(each).get("db.statement")) for each in statements)
    assert receiver.services == {"keycard"}
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line.get("request_id") == "mine-7"]
    assert line["trace_id"] == TRACE


def test_the_last_traces_are_sent_at_the_end(server: Server, receiver: Receiver, start: Callable[..., Server]) -> None:
    """Of a process that waits for more before it sends any."""
    late = {**server.environment, "OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_SERVICE_NAME": "late"}
    stores = Stores("postgresql", server.environment["KEYCARD_DATABASE_URL"], server.environment["KEYCARD_REDIS_URL"])
    leaving = start(stores, environment=late).wait()
    assert leaving.status("/v1/config") == 200
    assert "late" not in receiver.services
    leaving.terminate()
    assert leaving.process.wait(STOP_SECONDS) == 0
    assert "late" in receiver.services


def test_no_secret_leaves_in_a_span(server: Server, receiver: Receiver) -> None:
    """No parameters, no query, no headers, no messages of exceptions."""
    marks = Marks()
    user = Visitor(server)
    user.password = marks.new()
    assert user.register(email=f"{user.name}@example.com").status_code == 201
    assert user.login().status_code == 200
    marks.add(user.access_token, user.refresh_token, user.csrf_token)
    assert user.get(f"/v1/users/me/events?token={marks.new()}", headers=marks.headers()).status_code == 422
    assert user.get(f"/v1/{marks.new()}").status_code == 404
    assert user.refresh().status_code == 200
    assert user.post("/v1/auth/password/reset", json={"token": marks.new()[:43], "new_password": marks.new()}).status_code == 403
    assert user.logout().status_code == 204
    eventually(lambda: receiver.named("logout") and receiver.named("refresh") and receiver.named("unmatched"))
    sent = receiver.raw.decode(errors="replace")
    assert not marks.leaked_in(sent)
    assert user.name not in sent
    assert "leakedkey" not in server.log


def test_what_belongs_to_no_request_is_not_sent(server: Server, receiver: Receiver) -> None:
    """Neither health checks nor the queries of the mail worker, one each second."""
    assert server.status("/health/live") == 200
    Visitor(server).request("GET", "/v1/config")
    eventually(lambda: receiver.named("get_config"))
    assert not receiver.named("live")
    assert not receiver.named("ready")
    ids = {span.span_id for span in receiver.spans}
    assert all(span.parent_span_id or span.kind == Span.SPAN_KIND_SERVER for span in receiver.spans)
    assert len(ids) == len(receiver.spans)
