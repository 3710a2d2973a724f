"""Metrics of real processes: several that count together and one that listens, on a port of its own; and Redis away."""

import os
import signal
import socket
import struct
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from flask import Flask

from tests.actors import Bearer
from tests.conftest import Stores
from tests.observability.test_metrics import PORT, told, value
from tests.processes.servers import (
    KEYCARD,
    START_SECONDS,
    STOP_SECONDS,
    RedisServer,
    Server,
    Visitor,
    eventually,
    free_port,
    keycard,
)
from tests.processes.test_serve import anew
from tests.test_readme import serving


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None)


def test_two_processes_count_together(start: Callable[..., Server], stores: Stores, tmp_path: Path) -> None:
    """A third one listens and tells the sums. What a process that died was doing is forgotten; what it has counted is not."""
    server = start(stores, "--workers", "2", environment={"TMPDIR": str(tmp_path)}, metrics_port=free_port()).wait()
    user = Visitor(server).join()
    (folder,) = tmp_path.glob("keycard-metrics-*")
    eventually(server.metrics)

    def answering() -> set[int]:
        return {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_livesum_*.db")} - {*server.mailers()}

    asked = 0
    while len(answering()) < 2:  # both have answered
        assert anew(server, "/v1/users/me", user.access_token).status_code == 200
        asked += 1
        assert asked < 2000
    assert value(server.metrics(), "keycard_requests_total", operation="get_me", status="200") == asked
    assert value(server.metrics(), "keycard_logins_total", outcome="success") == 1
    limit = value(server.metrics(), "keycard_database_pool_limit")
    victim, survivor = sorted(answering())
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: server.metrics() and victim not in answering())
    assert survivor in answering()
    text = server.metrics()
    assert value(text, "keycard_requests_total", operation="get_me", status="200") == asked
    assert value(text, "keycard_database_pool_limit") <= limit
    server.terminate()
    server.process.wait(30)
    assert not folder.exists()
    assert not server.metrics()


def test_whoever_listens_has_a_successor(start: Callable[..., Server], stores: Stores) -> None:
    """On the same port, at once, and nothing that was counted is lost."""
    server = start(stores, metrics_port=free_port()).wait()
    Visitor(server).join()
    eventually(server.metrics)
    (mailer,) = server.mailers()
    os.kill(mailer, signal.SIGKILL)
    eventually(lambda: server.mailers() not in ([], [mailer]) and server.metrics())
    assert value(server.metrics(), "keycard_logins_total", outcome="success") == 1


def test_only_this_machine_may_ask_unless_somebody_says_otherwise(start: Callable[..., Server], stores: Stores) -> None:
    """127.0.0.2 is another address of this machine, at which nothing listens that listens at 127.0.0.1 alone."""
    server = start(stores, metrics_port=free_port()).wait()
    eventually(server.metrics)
    assert not server.metrics("127.0.0.2")
    server.terminate()
    server.process.wait(STOP_SECONDS)
    server.start_again(metrics_host="0.0.0.0")  # noqa: S104 - what is tested
    eventually(lambda: server.metrics("127.0.0.2"))


def test_connections_that_say_nothing_keep_nobody_out(start: Callable[..., Server], stores: Stores) -> None:
    """And one that breaks leaves no line in the log."""
    server = start(stores, metrics_port=free_port()).wait()
    eventually(server.metrics)
    address = ("127.0.0.1", int(server.environment["KEYCARD_METRICS_PORT"]))
    with ExitStack() as stack:
        for _ in range(40):
            silent = stack.enter_context(socket.create_connection(address))
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ends with a reset
        assert server.metrics()
    assert server.metrics()
    assert "Traceback" not in server.log
    assert "Exception" not in server.log


def test_a_port_that_is_in_use_stops_the_start(start: Callable[..., Server], stores: Stores) -> None:
    """In one sentence, and before anything else has begun."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        server = start(stores, metrics_port=taken)
        assert server.process.wait(START_SECONDS) == 1
    told = f"KEYCARD_METRICS_PORT: cannot listen on 127.0.0.1 port {taken}: Address already in use"
    assert server.log == f"Keycard cannot start:\n{told}\n"


def test_the_port_of_the_api_is_no_port_for_metrics(stores: Stores, tmp_path: Path) -> None:
    environment = stores.environment(tmp_path, metrics_port=free_port())
    port = environment["KEYCARD_METRICS_PORT"]
    command = [KEYCARD, "serve", "--port", port]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Keycard cannot start:\nKEYCARD_METRICS_PORT: {port} is the port of the API, too\n"


def test_beside_another_server_the_mail_worker_listens(stores: Stores, tmp_path: Path) -> None:
    """If both know the folder in which the server's processes count."""
    port, folder = free_port(), tmp_path / "counted"
    folder.mkdir()
    environment = stores.environment(tmp_path, metrics_port=free_port()) | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    keycard(environment, "db", "upgrade")
    server = [KEYCARD.parent / "granian", "--interface", "wsgi", "--port", str(port), "--factory", "api:create_app"]
    with serving([str(each) for each in server], port, tmp_path, **environment) as url, ExitStack() as stack:
        worker = stack.enter_context(subprocess.Popen([KEYCARD, "mail", "work"], env=environment, cwd=tmp_path))
        stack.callback(worker.terminate)
        asked = f"http://127.0.0.1:{environment['KEYCARD_METRICS_PORT']}/metrics"
        assert httpx.get(f"{url}/v1/config").status_code == 200
        text = eventually(lambda: text_at(asked), START_SECONDS)
    assert value(text, "keycard_requests_total", operation="get_config", status="200") == 1


def text_at(url: str) -> str | None:
    try:
        return httpx.get(url).text
    except httpx.TransportError:
        return None


def test_redis_away_is_seen(
    new_stores: Callable[[], Stores],
    redis_server: RedisServer,
    new_app: Callable[..., Flask],
    store_name: str,
) -> None:
    """The mirror, and the limits that go on in memory."""
    if store_name == "sqlite":
        pytest.skip("Redis is beside PostgreSQL; the other parameter has it")
    stores = Stores("postgresql", new_stores().database_url, redis_server.url)
    app = new_app(stores=stores, metrics_port=PORT, ratelimit_enabled=True)
    ada, bob = Bearer(app).join(), Bearer(app).join()
    assert ada.logout().status_code == 204
    names = ("keycard_revocation_mirror_up", "keycard_revocation_mirror_behind", "keycard_rate_limits_in_memory")
    text = told(app)
    assert [value(text, name) for name in names] == [1, 0, 0]
    redis_server.kill()
    assert bob.logout().status_code == 204
    text = told(app)
    assert [value(text, name) for name in names] == [0, 1, 1]
    redis_server.start()
    assert Bearer(app).get("/health/ready").status_code == 200
    text = told(app)
    assert [value(text, name) for name in names[:2]] == [1, 0]
