"""Redis answers late, or takes connections and never answers: the service goes on without it, at its own pace."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.conftest import Stores
from tests.processes.servers import TLS, RedisServer, Server, Visitor, eventually
from tests.processes.wire import Wire

# Redis is given up after a quarter of a second, and left alone for a while. A client that waits no longer than this is
# patient enough even on a busy machine, and would not be if every request waited for a Redis that takes three.
PATIENCE = 2.5
DELAY = 3.0


@dataclass(frozen=True)
class Service:
    """Two servers on one database, with a Redis behind a wire."""

    one: Server
    other: Server
    wire: Wire


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
    start: Callable[..., Server],
    redis_server: RedisServer,
    wire_to: Callable[[int], Wire],
) -> Service:
    wire = wire_to(redis_server.port)
    database = tmp_path_factory.mktemp("database") / "keycard.sqlite3"
    stores = Stores("sqlite", f"sqlite:///{database}", f"redis://127.0.0.1:{wire.port}/0")
    one = start(stores).wait()
    return Service(one, start(stores).wait(), wire)


@contextmanager
def impatient(*servers: Server) -> Iterator[None]:
    """Clients that give up soon: an answer that comes later is an httpx.ReadTimeout."""
    usual = [each.client for each in servers]
    for each in servers:
        each.client = httpx.Client(base_url=each.base_url, timeout=PATIENCE, trust_env=False, verify=TLS)
    try:
        yield
    finally:
        for each, client in zip(servers, usual, strict=True):
            each.client.close()
            each.client = client


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    """Redis is well when a test begins."""
    eventually(lambda: running.one.status() == 200 and running.other.status() == 200)
    yield running
    recover(running)


@pytest.fixture(params=["late", "silent"])
def how(request: pytest.FixtureRequest) -> str:
    """In which way Redis falls ill."""
    return str(request.param)


def fall_ill(service: Service, how: str) -> None:
    service.wire.delay, service.wire.silent = (DELAY, False) if how == "late" else (0.0, True)


def recover(service: Service) -> None:
    service.wire.delay, service.wire.silent = 0.0, False
    service.wire.cut()


def test_every_story_goes_on_and_nobody_waits_for_redis(service: Service, how: str) -> None:
    """Who is signed in stays so; signing out is answered soon, and counts on both servers."""
    stays, *leaving = (Visitor(service.one).join() for _ in range(4))
    fall_ill(service, how)
    with impatient(service.one, service.other):
        for user in leaving:
            assert stays.get("/v1/users/me").status_code == 200
            assert stays.refresh().status_code == 200
            assert user.logout().status_code == 204
            for server in (service.one, service.other):
                assert user.at(server).get("/v1/users/me").json["type"] == "/problems/token-revoked"
                assert user.at(server).refresh().json["type"] == "/problems/session-ended"
                assert stays.at(server).get("/v1/users/me").status_code == 200
        assert Visitor(service.other).join().logout().status_code == 204


def test_readiness_turns_red_and_green_again(service: Service, how: str) -> None:
    """A Redis that answers too late is away; the process is alive all the time."""
    fall_ill(service, how)
    with impatient(service.one):
        answer = service.one.client.get("/health/ready")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert service.one.status("/health/live") == 200
    recover(service)
    eventually(lambda: service.one.status() == 200)


def test_the_mirror_catches_up_when_redis_is_well_again(service: Service, how: str, redis_server: RedisServer) -> None:
    """A sign-out that Redis could not be told of is there as soon as readiness is green."""
    user = Visitor(service.one).join()
    sid = user.get("/v1/auth/session").json["session"]["id"]
    fall_ill(service, how)
    assert user.logout().status_code == 204
    recover(service)
    eventually(lambda: service.one.status() == 200)
    assert redis_server.client.exists(f"keycard:revoked:sid:{sid}")


def test_guesses_stay_limited(service: Service, how: str) -> None:
    """Two guesses a minute, half of what is allowed, counted in memory; the third is told how long to wait."""
    user = Visitor(service.one)
    assert user.register().status_code == 201
    user.password = "Wrong-Horse-77"
    fall_ill(service, how)
    with impatient(service.one):
        answers = [user.login() for _ in range(8)]
    assert [each.status_code for each in answers] == [401] * 2 + [429] * 6
    assert all(int(each.headers["Retry-After"]) > 0 for each in answers[5:])
