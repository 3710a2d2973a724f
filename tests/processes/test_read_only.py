"""PostgreSQL answers and takes no writes: after a failover, or because its operator or its disk wants it so."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGQUIT
from typing import Any

import pytest
from flask import Flask
from flask_migrate import upgrade

from api import create_app, keys
from api.database import close_connections
from tests.actors import Bearer, Operator
from tests.conftest import Stores
from tests.contract.recorder import RecordingClient
from tests.processes.servers import PostgresServer, eventually

UNAVAILABLE = (503, "/problems/service-unavailable", True)
NEW_PASSWORD = "Another-Horse-8"


@dataclass(frozen=True)
class Service:
    """Keycard on a PostgreSQL that takes no writes. people: joined while it did. end: makes it take writes again."""

    app: Flask
    people: list[Bearer]
    end: Callable[[], None]


@contextmanager
def app_on(url: str, folder: Path) -> Iterator[Flask]:
    app = create_app(Stores("postgresql", url, None).settings(folder))
    app.config["PROPAGATE_CRASHES"] = True
    app.test_client_class = RecordingClient
    yield app
    close_connections(app)


def joined(app: Flask) -> list[Bearer]:
    """Two people who are signed in, on a database that is made here."""
    with app.app_context():
        upgrade()
        keys.ensure_current()
    return [Bearer(app).join() for _ in range(2)]


@contextmanager
def forbidden(server: PostgresServer, folder: Path) -> Iterator[Service]:
    """The database is set to read-only. Connections that begin meanwhile remain so, also when it no longer is."""
    name = f"forbidden_{folder.name}"
    with server.connect() as administrator, app_on(server.url(database=name), folder) as app:
        administrator.execute(f"CREATE DATABASE {name}")
        people = joined(app)
        administrator.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        yield Service(app, people, lambda: administrator.execute(f"ALTER DATABASE {name} RESET ALL"))


@contextmanager
def failed_over(server: PostgresServer, folder: Path) -> Iterator[Service]:
    """Keycard is led to a hot standby, which becomes the primary later."""
    name = f"primary_{folder.name}"
    with ExitStack() as stack:
        primary = stack.enter_context(app_on(server.url(database=name), folder))
        with server.connect() as administrator:
            administrator.execute(f"CREATE DATABASE {name}")
        people = joined(primary)
        standby = PostgresServer(server.folder.with_name(name), standby_of=server)
        stack.callback(standby.stop, SIGQUIT)
        standby.start()
        app = stack.enter_context(app_on(standby.url(database=name), folder))
        for person in people:
            person.client = app.test_client()
        promote = lambda: stack.enter_context(standby.connect()).execute("SELECT pg_promote()")  # noqa: E731
        yield Service(app, people, promote)


@pytest.fixture(params=[forbidden, failed_over])
def service(request: pytest.FixtureRequest, postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Service]:
    with request.param(postgres_server, tmp_path) as found:
        yield found


def seen(answer: Any) -> tuple[int, str, bool]:
    """What the client sees: the status, the problem, and whether it is told when to try again."""
    return answer.status_code, (answer.json or {}).get("type", ""), int(answer.headers.get("Retry-After", 0)) > 0


def change_password(person: Bearer) -> Any:
    return person.put("/v1/users/me/password", json={"current_password": person.password, "new_password": NEW_PASSWORD})


def test_what_writes_is_503_until_writes_are_taken_again(service: Service) -> None:
    """What only reads goes on, nothing is done by half, readiness says why, and nobody has to restart anything."""
    ada, eve = service.people
    new = Bearer(service.app)
    writes = (
        new.register,
        ada.login,
        ada.refresh,
        ada.logout,
        lambda: ada.patch("/v1/users/me", json={"display_name": "Ada"}),
        lambda: change_password(ada),
        lambda: ada.delete("/v1/users/me/sessions"),
    )
    for _ in range(2):  # the second time on new connections
        assert [seen(write()) for write in writes] == [UNAVAILABLE] * len(writes)
        assert [person.get("/v1/users/me").status_code for person in service.people] == [200, 200]
    assert new.get("/health/ready").status_code == 503
    assert Operator(service.app).ready().json["database"] == "read-only"
    assert new.get("/health/live").status_code == 200

    service.end()
    eventually(lambda: new.get("/health/ready").status_code == 200)
    assert new.register().status_code == 201
    assert ada.refresh().status_code == 200
    assert change_password(ada).status_code == 200
    assert eve.logout().status_code == 204
    assert eve.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert new.get("/health/ready").status_code == 200
