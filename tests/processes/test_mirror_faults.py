"""The mirror through every fault of Redis: a token that was revoked is refused again by other services within half a minute.

No request is made that could heal the mirror: what heals it is the heartbeat. Where a test needs the fault to be seen before
that, the process that has the heartbeat stands still.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from sqlalchemy.engine import make_url

from tests.conftest import Stores
from tests.processes.servers import KEYCARD, STOP_SECONDS, RedisServer, Server, Visitor, eventually, free_port, keycard
from tests.processes.wire import Wire
from tests.test_stores import close, reopen

PREFIX = "keycard:revoked:"
COMPLETE = f"{PREFIX}complete"
LIFE_SECONDS = 30
# What docs/verifying-tokens.md promises, and time for a busy machine.
BOUND_SECONDS = LIFE_SECONDS + 10


@dataclass(frozen=True)
class Service:
    """Two servers on one database, each with a wire to one Redis; only the first one has a heartbeat."""

    one: Server
    other: Server
    redis: RedisServer
    wires: tuple[Wire, Wire]

    def lead_to(self, server: RedisServer) -> None:
        """Let both find this Redis behind the address that they know."""
        for wire in self.wires:
            wire.target = server.port
            wire.cut()

    @contextmanager
    def without_heartbeat(self) -> Iterator[None]:
        (pid,) = self.one.mailers()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def running(
    new_postgresql: Callable[[], str],
    start: Callable[..., Server],
    redis_server: RedisServer,
    wire_to: Callable[[int], Wire],
) -> Iterator[Service]:
    wires = wire_to(redis_server.port), wire_to(redis_server.port)
    database = new_postgresql()
    one, other = (start(Stores("postgresql", database, f"redis://127.0.0.1:{wire.port}/0")) for wire in wires)
    one.wait()
    other.wait()
    (mailer,) = other.mailers()
    os.kill(mailer, signal.SIGSTOP)
    yield Service(one, other, redis_server, wires)
    os.kill(mailer, signal.SIGCONT)


@pytest.fixture
def service(running: Service) -> Service:
    """Redis is well, and the mirror complete, when a test begins."""
    well = running.redis
    well.start()
    well.client.config_set("maxmemory", 0)
    well.client.flushall()
    running.lead_to(well)
    eventually(lambda: running.one.status() == 200)
    assert well.client.exists(COMPLETE)
    return running


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()
    server.client.close()


def sign_out(server: Server) -> str:
    """Somebody signs in and out; the key of the session that has ended."""
    user = Visitor(server).join()
    key = f"{PREFIX}sid:{user.get('/v1/auth/session').json['session']['id']}"
    assert user.logout().status_code == 204
    return key


def accepted(server: RedisServer, key: str) -> bool:
    """Whether a service that asks this mirror takes a token of this session for good."""
    complete, revoked = server.client.mget([COMPLETE, key])
    return complete is not None and revoked is None


def refused(server: RedisServer, *keys: str) -> bool:
    """Whether the mirror is complete, and these are in it."""
    try:
        return bool(server.client.exists(COMPLETE, *keys) == 1 + len(keys))
    except redis.RedisError:
        return False


def healed(server: RedisServer, *keys: str) -> None:
    eventually(lambda: refused(server, *keys), BOUND_SECONDS)


def test_what_one_server_could_not_write_another_one_writes(service: Service) -> None:
    """Its own way to Redis stays broken, and it is not asked again."""
    service.wires[1].target = free_port()
    service.wires[1].cut()
    with service.without_heartbeat():
        key = sign_out(service.other)
        assert accepted(service.redis, key)
    healed(service.redis, key)


def test_an_emptied_redis(service: Service) -> None:
    key = sign_out(service.one)
    service.redis.client.flushall()
    healed(service.redis, key)


def test_an_old_redis_that_comes_back(service: Service) -> None:
    """With an old dump, in which the mark of completeness still stands."""
    before = sign_out(service.one)
    with service.without_heartbeat():
        service.redis.client.save()
        key = sign_out(service.one)
        service.redis.kill()
        service.redis.start()
        assert service.redis.client.exists(before)
        assert accepted(service.redis, key)
    healed(service.redis, before, key)


def test_old_keys_that_are_restored(service: Service) -> None:
    """One by one, and for ever: the server that holds them is the same all the time."""
    before = sign_out(service.one)
    store = service.redis.client
    with service.without_heartbeat():
        dumped = {name: store.dump(name) for name in store.scan_iter(f"{PREFIX}*")}
        key = sign_out(service.one)
        store.flushall()
        for name, value in dumped.items():
            store.restore(name, 0, value)
        assert accepted(service.redis, key)
    healed(service.redis, before, key)


def test_a_replica_that_is_promoted(service: Service, replica: RedisServer) -> None:
    """It had not heard of the last sign-out."""
    replica.client.replicaof("127.0.0.1", service.redis.port)
    before = sign_out(service.one)
    eventually(lambda: replica.client.exists(before, COMPLETE) == 2)
    with service.without_heartbeat():
        replica.client.replicaof("NO", "ONE")
        key = sign_out(service.one)
        service.redis.kill()
        service.lead_to(replica)
        assert accepted(replica, key)
    healed(replica, before, key)


def test_a_key_that_is_deleted(service: Service) -> None:
    """By anybody: nothing else about the mirror has changed."""
    key = sign_out(service.one)
    with service.without_heartbeat():
        service.redis.client.delete(key)
        assert accepted(service.redis, key)
    healed(service.redis, key)


def test_keys_that_are_evicted(service: Service) -> None:
    """Others write to the same Redis, which has no more room and drops what was used least."""
    keys = [sign_out(service.one) for _ in range(5)]
    store = service.redis.client
    store.config_set("maxmemory-policy", "allkeys-lru")
    store.config_set("maxmemory", store.info("memory")["used_memory"] + 2**18)
    with service.without_heartbeat():
        number = 0
        while store.exists(*keys) == len(keys):
            number += 1
            store.set(f"crowd:{number}", "x" * 2_000)
        assert store.info("stats")["evicted_keys"] > 0
    store.config_set("maxmemory", 0)
    healed(service.redis, *keys)


def test_a_redis_without_room_is_not_ready(service: Service) -> None:
    """What is written is evicted at once: then nobody may rely on the mirror, and readiness says so."""
    key = sign_out(service.one)
    service.redis.client.config_set("maxmemory-policy", "allkeys-lru")
    service.redis.client.config_set("maxmemory", 1)
    eventually(lambda: service.one.status() == 503, BOUND_SECONDS)
    assert not accepted(service.redis, key)
    service.redis.client.config_set("maxmemory", 0)
    eventually(lambda: service.one.status() == 200)
    assert refused(service.redis, key)


def test_a_redis_that_takes_nothing_is_not_ready(service: Service) -> None:
    """Full, and set not to evict, as docs/production.md says: a sign-out works and cannot be mirrored."""
    service.redis.client.config_set("maxmemory-policy", "noeviction")
    service.redis.client.config_set("maxmemory", 1)
    key = sign_out(service.one)
    assert service.one.status() == 503
    eventually(lambda: not accepted(service.redis, key), BOUND_SECONDS)
    service.redis.client.config_set("maxmemory", 0)
    eventually(lambda: service.one.status() == 200)
    assert refused(service.redis, key)


def test_nobody_relies_on_a_mirror_that_nobody_looks_after(service: Service) -> None:
    """Whatever happens to the processes of Keycard: that is the bound of everything above."""
    key = sign_out(service.one)
    with service.without_heartbeat():
        assert refused(service.redis, key)
        eventually(lambda: not service.redis.client.exists(COMPLETE), BOUND_SECONDS)
    healed(service.redis, key)


def test_nobody_relies_on_a_mirror_that_cannot_be_compared(service: Service) -> None:
    """While the database is away, nobody can tell what was revoked."""
    name = str(make_url(service.one.environment["KEYCARD_DATABASE_URL"]).database)
    close(name)
    eventually(lambda: not service.redis.client.exists(COMPLETE), BOUND_SECONDS)
    reopen(name)
    eventually(lambda: service.redis.client.exists(COMPLETE), BOUND_SECONDS)


def test_the_mail_worker_beside_other_servers_has_a_heartbeat_too(service: Service) -> None:
    """It is all that runs, and nobody sends a request."""
    key = sign_out(service.one)
    with service.without_heartbeat():
        service.redis.client.flushall()
        environment = service.one.environment
        with subprocess.Popen([KEYCARD, "mail", "work"], env=environment, cwd=environment["HOME"]) as worker:
            try:
                healed(service.redis, key)
            finally:
                worker.terminate()
            assert worker.wait(STOP_SECONDS) == 0


def test_a_revocation_on_the_command_line_is_healed_too(service: Service) -> None:
    """A process that has long ended cannot remember what it could not write."""
    user = Visitor(service.one).join()
    user_id = user.id
    nowhere = {**service.one.environment, "KEYCARD_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    keycard(nowhere, "users", "revoke", user.name)
    healed(service.redis, f"{PREFIX}sub:{user_id}")
