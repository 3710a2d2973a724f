"""Metrics of real processes: two that count together, and Redis away."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from tests.actors import Bearer
from tests.conftest import Stores
from tests.observability.test_metrics import PATH, told, value
from tests.processes.servers import RedisServer, Server, Visitor, eventually
from tests.processes.test_serve import anew


def test_two_processes_count_together(start: Callable[..., Server], tmp_path: Path) -> None:
    """Whoever is asked tells the sums. What a process that died was doing is forgotten; what it has counted is not."""
    stores = Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", None)
    server = start(stores, "--workers", "2", environment={"TMPDIR": str(tmp_path)}, metrics_enabled=True).wait()
    user = Visitor(server).join()

    def metrics_now() -> str:
        return anew(server, PATH).text

    (folder,) = tmp_path.glob("keycard-metrics-*")

    def answering() -> set[int]:
        return {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_livesum_*.db")}

    asked = 0
    while len(answering()) < 2:  # both have answered
        assert anew(server, "/v1/users/me", user.access_token).status_code == 200
        asked += 1
        assert asked < 2000
    assert {value(metrics_now(), "keycard_requests_total", operation="get_me", status="200") for _ in range(12)} == {asked}
    assert value(metrics_now(), "keycard_logins_total", outcome="success") == 1
    limit = value(metrics_now(), "keycard_database_pool_limit")
    victim, survivor = sorted(answering())
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: server.status(PATH) == 200 and victim not in answering())
    assert survivor in answering()
    text = metrics_now()
    assert value(text, "keycard_requests_total", operation="get_me", status="200") == asked
    assert value(text, "keycard_database_pool_limit") <= limit
    server.terminate()
    server.process.wait(30)
    assert not folder.exists()


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
    app = new_app(stores=stores, metrics_enabled=True, ratelimit_enabled=True)
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
