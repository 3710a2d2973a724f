"""Redis is away, comes back empty, or was never there: nobody gets in who should not, and nobody is kept out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from api.clock import now
from tests.conftest import Stores
from tests.processes.conftest import new_administrator
from tests.processes.servers import RedisServer, Server, Visitor, eventually, free_port

PREFIX = "keycard:revoked:"


@dataclass(frozen=True)
class Service:
    """Two servers on one database and one Redis. relaxed: does not call Redis required."""

    redis: RedisServer
    strict: Server
    relaxed: Server
    admin: Visitor


@pytest.fixture(scope="module")
def running(new_stores: Callable[[], Stores], start: Callable[..., Server], redis_server: RedisServer) -> Service:
    stores = replace(new_stores(), redis_url=redis_server.url)
    strict = start(stores, metrics_port=free_port())
    relaxed = start(stores, redis_required="false", metrics_port=free_port())
    strict.wait()
    relaxed.wait()
    return Service(redis_server, strict, relaxed, new_administrator(strict))


@pytest.fixture
def service(running: Service) -> Service:
    """Redis is there when a test begins, whatever the one before did to it."""
    running.redis.start()
    eventually(lambda: running.strict.status() == 200)
    return running


def life_of(user: Visitor) -> float:
    """How long the access token still lives, in seconds."""
    return float(jwt.decode(user.access_token, options={"verify_signature": False})["exp"] - now().timestamp())


def parts(server: Server) -> tuple[int, dict[str, Any]]:
    """What the operator sees of the readiness of a server."""
    answer = server.ask_operator("/ready")
    return answer.status_code, answer.json()


def test_a_revoked_token_stays_refused_and_a_good_one_good(service: Service) -> None:
    """The truth is the database: losing Redis revives nothing and signs nobody out."""
    gone, stays = Visitor(service.strict).join(), Visitor(service.strict).join()
    gone.logout()
    service.redis.kill()
    for server in (service.strict, service.relaxed) * 10:
        assert gone.at(server).get("/v1/users/me").status_code == 401
        assert gone.at(server).request("POST", "/v1/auth/refresh", token=gone.refresh_token).status_code == 401
        assert stays.at(server).get("/v1/users/me").status_code == 200


def test_every_story_goes_on_while_redis_is_away(service: Service) -> None:
    """No 5xx: registering, signing in, refreshing and signing out work, and the sign-out counts."""
    service.redis.kill()
    for _ in range(3):
        user = Visitor(service.strict).join()
        assert user.refresh().status_code == 200
        assert user.get("/v1/auth/session").json["authenticated"] is True
        assert user.logout().status_code == 204
        assert user.get("/v1/users/me").status_code == 401
        assert user.at(service.relaxed).get("/v1/users/me").status_code == 401


def test_readiness_says_that_redis_is_away(service: Service) -> None:
    """503 where Redis is required, 200 where it is not; the process itself is alive. The operator sees that it is Redis."""
    well = {"database": "ok", "migrations": "ok"}
    eventually(lambda: service.strict.metrics() and service.relaxed.metrics())
    assert parts(service.strict) == (200, {"status": "ready", **well, "redis": "ok"})
    service.redis.kill()
    assert (service.strict.status(), service.relaxed.status()) == (503, 200)
    assert parts(service.strict) == (503, {"status": "not-ready", **well, "redis": "away"})
    assert parts(service.relaxed) == (200, {"status": "ready", **well, "redis": "away"})
    assert service.strict.status("/health/live") == 200
    service.redis.start()
    eventually(lambda: service.strict.status() == 200 and parts(service.strict)[1]["redis"] == "ok")


def test_limits_still_limit_while_redis_is_away(service: Service) -> None:
    """Each process counts in its memory and allows half: two guesses a minute where five are allowed, and never an error."""
    user = Visitor(service.strict)
    assert user.register().status_code == 201
    user.password = "Wrong-Horse-77"
    service.redis.kill()
    answers = [user.login().status_code for _ in range(12)]
    assert answers == [401] * 2 + [429] * 10


def test_the_mirror_is_rebuilt_when_redis_comes_back_empty(service: Service) -> None:
    """Every revocation whose tokens still live is there again, those made in between included, each for its remaining life."""
    before, between, revoked = (Visitor(service.strict).join() for _ in range(3))
    sids = {each: each.get("/v1/auth/session").json["session"]["id"] for each in (before, between)}
    revoked_id = revoked.id
    before.logout()
    service.redis.kill()
    between.logout()
    assert service.admin.post(f"/v1/admin/users/{revoked_id}/revoke").status_code == 204
    service.redis.start()
    eventually(lambda: service.strict.status() == 200)
    assert service.redis.client.exists(f"{PREFIX}complete")
    for user, sid in sids.items():
        assert service.redis.client.ttl(f"{PREFIX}sid:{sid}") == pytest.approx(life_of(user), abs=2)
    assert service.redis.client.get(f"{PREFIX}sub:{revoked_id}") == b"1"
    assert service.redis.client.ttl(f"{PREFIX}sub:{revoked_id}") == pytest.approx(life_of(revoked), abs=5)


def test_a_server_starts_without_redis(tmp_path: Path, start: Callable[..., Server]) -> None:
    """It serves, it refuses what was revoked, and it says that it is not ready."""
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    server = start(Stores("sqlite", f"sqlite:///{tmp_path}/keycard.sqlite3", nowhere), metrics_port=free_port()).wait(ready=503)
    assert "redis away" in server.log
    eventually(server.metrics)
    assert parts(server)[1]["redis"] == "away"
    user = Visitor(server).join()
    assert user.refresh().status_code == 200
    assert user.logout().status_code == 204
    assert user.get("/v1/users/me").status_code == 401
    user.password = "Wrong-Horse-77"
    assert [user.login().status_code for _ in range(6)] == [401] + [429] * 5
