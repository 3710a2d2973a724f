"""Server processes, shared by the tests of one module: starting one takes seconds."""

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import IN_CI, Stores
from tests.processes import composed
from tests.processes.servers import PostgresServer, RedisServer, Server, Visitor, keycard
from tests.processes.wire import Wire

# Only the limit that is tested is low, the one that counts a single account.
GENEROUS = {
    "ratelimit_login_address": "100000/minute",
    "ratelimit_register": "100000/minute",
    "ratelimit_general": "100000/minute",
    "ratelimit_password": "100000/minute",
}
# Enough to be simultaneous, and few enough that three servers leave PostgreSQL connections for others.
THREADS = ("--threads", "6")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start a server on some stores: `start(stores, "--workers", "2", refresh_grace=0)`. Wait for it with `wait()`."""
    started: list[Server] = []

    def begin(stores: Stores, *options: str, environment: Mapping[str, str] = {}, **settings: Any) -> Server:
        values = {"ratelimit_enabled": "true", **GENEROUS, **settings}
        server = Server({**stores.environment(tmp_path_factory.mktemp("home"), **values), **environment}, *THREADS, *options)
        started.append(server)
        return server

    yield begin
    for server in started:
        server.terminate()
    for server in started:
        server.stop()


@dataclass(frozen=True)
class Fleet:
    """Processes on the same stores. strict: a server without a grace window."""

    stores: Stores
    one: Server
    other: Server
    strict: Server
    admin: Visitor


@pytest.fixture(scope="module")
def fleet(new_stores: Callable[[], Stores], start: Callable[..., Server]) -> Fleet:
    """Three servers that were started at the same moment on empty stores."""
    stores = new_stores()
    one, other, strict = start(stores), start(stores), start(stores, refresh_grace=0)
    for server in (one, other, strict):
        server.wait()
    return Fleet(stores, one, other, strict, new_administrator(one))


def new_administrator(server: Server) -> Visitor:
    """Somebody with the role admin, made by the operator on the command line."""
    found = Visitor(server)
    keycard(server.environment, "users", "create", found.name, "--password", found.password, "--admin")
    assert found.login().status_code == 200
    return found


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of our own that tests may kill."""
    if not shutil.which("redis-server"):
        (pytest.fail if IN_CI else pytest.skip)("there is no redis-server to kill on this machine")
    server = RedisServer(Path(tmp_path_factory.mktemp("redis")))
    server.start()
    yield server
    server.kill()
    server.client.close()


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of our own that tests may stop. Its folder is not pytest's, which another user cannot enter."""
    if not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        (pytest.fail if IN_CI else pytest.skip)("there is no PostgreSQL to stop on this machine")
    folder = Path(tempfile.mkdtemp(prefix="keycard-postgresql-"))
    folder.chmod(0o755)
    server = PostgresServer(folder / "cluster")
    server.start()
    yield server
    server.stop(signal.SIGQUIT)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def composed_stores(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """Empty stores as compose.yaml makes them: a role that is no superuser, and a Redis with a password."""
    folder = tmp_path_factory.mktemp("composed")
    secrets = composed.passwords(folder / ".env")
    with composed.redis_server(folder, secrets) as redis_url:
        yield Stores("postgresql", composed.prepare(postgres_server, secrets), redis_url)


@pytest.fixture(scope="module")
def wire_to() -> Iterator[Callable[[int], Wire]]:
    """Put a wire that can be damaged before a port: `wire_to(redis_server.port)`."""
    made: list[Wire] = []

    def lay(port: int) -> Wire:
        made.append(Wire(port))
        return made[-1]

    yield lay
    for each in made:
        each.stop()
