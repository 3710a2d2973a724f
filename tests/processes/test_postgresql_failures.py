"""PostgreSQL restarts, has no connection left, or commits and cannot say so: nothing acknowledged is lost, nothing dead lives."""

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import Stores
from tests.processes.servers import PostgresServer, RedisServer, Server, Visitor, eventually, simultaneously
from tests.processes.wire import Wire

NEW_PASSWORD = "Another-Horse-8"
UNAVAILABLE = (503, "/problems/service-unavailable", True)


@dataclass(frozen=True)
class Service:
    """Two servers on one database: one at PostgreSQL itself, the other at the end of a wire."""

    postgres: PostgresServer
    server: Server
    wired: Server
    wire: Wire


@pytest.fixture(scope="module")
def running(
    postgres_server: PostgresServer, redis_server: RedisServer, start: Callable[..., Server], wire_to: Callable[[int], Wire]
) -> Service:
    with postgres_server.connect() as connection:
        connection.execute("CREATE ROLE keycard LOGIN")
        connection.execute("CREATE DATABASE keycard OWNER keycard")
    redis_server.start()
    wire = wire_to(postgres_server.port)
    near, far = (postgres_server.url(user="keycard", database="keycard", port=port) for port in (None, wire.port))
    server = start(Stores("postgresql", near, redis_server.url)).wait()
    return Service(postgres_server, server, start(Stores("postgresql", far, redis_server.url)).wait(), wire)


@pytest.fixture
def service(running: Service) -> Service:
    """PostgreSQL is there when a test begins, whatever the one before did to it."""
    running.postgres.start()
    eventually(lambda: running.server.status() == 200 and running.wired.status() == 200)
    return running


def seen(answer: Any) -> tuple[int, str, bool]:
    """What the client sees: the status, the problem, and whether it is told when to try again."""
    return answer.status_code, (answer.json or {}).get("type", ""), int(answer.headers.get("Retry-After", 0)) > 0


def change_password(user: Visitor) -> Any:
    return user.put("/v1/users/me/password", json={"current_password": user.password, "new_password": NEW_PASSWORD})


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restarted", "crashed"])
def test_what_was_under_way_is_answered_503_and_undone(service: Service, how: signal.Signals) -> None:
    """Four requests have written and not committed when PostgreSQL ends: each can be made again as if it never was."""
    server = service.server
    new = Visitor(server)
    leaving, refreshing, changing, gone = (Visitor(server).join() for _ in range(4))
    assert gone.logout().status_code == 204
    calls = (new.register, leaving.logout, refreshing.refresh, lambda: change_password(changing))
    with ThreadPoolExecutor(len(calls)) as pool:
        holder = service.postgres.connect("keycard")
        # Prepared, so that the lock outlives its connection: PostgreSQL may end that one first, and let others finish.
        for step in ("BEGIN", "LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE", "PREPARE TRANSACTION 'held'"):
            holder.execute(step)
        answers = [pool.submit(call) for call in calls]
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        eventually(lambda: holder.execute(waiting).fetchone() == (len(calls),))
        service.postgres.stop(how)
        holder.close()
        assert [seen(each.result()) for each in answers] == [UNAVAILABLE] * len(calls)
    assert server.status("/health/live") == 200
    ready = server.client.get("/health/ready")
    assert (ready.status_code, ready.json()["type"]) == (503, "/problems/not-ready")
    for user in (leaving, refreshing, changing, gone):
        assert seen(user.get("/v1/users/me")) == UNAVAILABLE
    service.postgres.start()
    with service.postgres.connect("keycard") as connection:
        connection.execute("ROLLBACK PREPARED 'held'")
    eventually(lambda: server.status() == 200)
    assert gone.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert new.register().status_code == 201
    assert leaving.logout().status_code == 204
    assert leaving.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert refreshing.refresh().status_code == 200
    assert changing.login().status_code == 200
    assert change_password(changing).status_code == 200


def test_a_restart_between_requests_is_not_noticed(service: Service) -> None:
    """Every pooled connection is dead, and not one request fails: twelve of twelve sign-ins, and as many reads."""
    people = [Visitor(service.server).join() for _ in range(12)]
    gone = Visitor(service.server).join()
    gone.logout()
    assert {each.status_code for each in simultaneously(*[each.refresh for each in people])} == {200}
    service.postgres.stop()
    service.postgres.start()
    reads = simultaneously(*[lambda at=each: at.get("/v1/users/me") for each in people])
    assert [each.status_code for each in reads] == [200] * 12
    assert [each.status_code for each in simultaneously(*[each.login for each in people])] == [200] * 12
    assert gone.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert gone.refresh().json["type"] == "/problems/session-ended"


def test_without_a_connection_left_every_answer_is_503(service: Service) -> None:
    """PostgreSQL says `too many connections`; once there is room again, everybody goes on with the tokens they have."""
    server = service.server
    user, gone = Visitor(server).join(), Visitor(server).join()
    assert gone.logout().status_code == 204
    new = Visitor(server)
    with service.postgres.connect() as administrator:
        administrator.execute("ALTER ROLE keycard CONNECTION LIMIT 0")
        administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keycard'")
        calls = (new.register, user.login, user.refresh, user.logout, lambda: user.get("/v1/users/me"), gone.refresh)
        assert [seen(call()) for call in calls] == [UNAVAILABLE] * len(calls)
        assert server.status() == 503
        assert server.status("/health/live") == 200
        administrator.execute("ALTER ROLE keycard CONNECTION LIMIT -1")
    eventually(lambda: server.status() == 200)
    assert user.get("/v1/users/me").status_code == 200
    assert user.refresh().status_code == 200
    assert new.register().status_code == 201
    assert gone.get("/v1/users/me").json["type"] == "/problems/token-revoked"


# A try is counted before the password is looked at. A sign-in takes it back as it opens the session, a change before it changes.
COUNTED, SIGNED_IN, CHANGED = 1, 2, 3


def losing(service: Service, call: Callable[[], Any], nth: int = 1) -> None:
    """Make a call whose nth COMMIT is done and whose client is told 503, because nobody knows."""
    service.wire.lose_the_answer_to_commit(nth)
    assert seen(call()) == UNAVAILABLE
    assert service.wire.lost == 1


def test_a_registration_whose_commit_got_lost_is_there(service: Service) -> None:
    """Trying again says that the name is taken, and the account is one's own."""
    user = Visitor(service.wired)
    losing(service, user.register)
    assert seen(user.register())[:2] == (409, "/problems/username-taken")
    assert user.login().status_code == 200


def test_a_sign_out_whose_commit_got_lost_counts(service: Service, redis_server: RedisServer) -> None:
    """For this service, for the other server, and for those who ask the mirror; trying again is no error."""
    user = Visitor(service.wired).join()
    sid = user.get("/v1/auth/session").json["session"]["id"]
    losing(service, user.logout)
    for server in (service.wired, service.server):
        assert user.at(server).get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert redis_server.client.exists(f"keycard:revoked:sid:{sid}")
    assert user.logout().status_code == 204
    assert user.refresh().json["type"] == "/problems/session-ended"


def test_a_refresh_whose_commit_got_lost_can_be_repeated(service: Service) -> None:
    """The token is spent, and the grace window answers its successor; on the other server as well."""
    for server in (service.wired, service.server):
        user = Visitor(service.wired).join()
        losing(service, lambda user=user: user.request("POST", "/v1/auth/refresh", token=user.refresh_token))
        again = user.at(server)
        assert again.refresh().status_code == 200
        assert again.get("/v1/users/me").status_code == 200
        assert again.refresh().status_code == 200


@pytest.mark.parametrize("nth", [COUNTED, SIGNED_IN])
def test_a_sign_in_whose_commit_got_lost_can_be_repeated(service: Service, nth: int) -> None:
    user = Visitor(service.wired)
    assert user.register().status_code == 201
    losing(service, user.login, nth)
    assert user.login().status_code == 200
    assert user.get("/v1/users/me").status_code == 200


def test_a_password_change_whose_commit_got_lost_has_ended_the_other_sessions(service: Service) -> None:
    """The new password counts. No token of before works, neither a thief's nor one's own: the new pair got lost."""
    user = Visitor(service.wired).join()
    stolen = user.at(service.server)
    assert user.login().status_code == 200
    losing(service, lambda: change_password(user), CHANGED)
    for each in (stolen, user):
        assert each.get("/v1/users/me").json["type"] == "/problems/token-revoked"
        assert each.refresh().status_code == 401
    assert change_password(user).json["type"] == "/problems/token-revoked"
    assert user.login().json["type"] == "/problems/invalid-credentials"
    user.password = NEW_PASSWORD
    assert user.login().status_code == 200


def test_a_password_change_whose_count_got_lost_has_changed_nothing(service: Service) -> None:
    user = Visitor(service.wired).join()
    losing(service, lambda: change_password(user), COUNTED)
    assert user.keep(change_password(user)).status_code == 200
    assert user.get("/v1/users/me").status_code == 200
