"""The databases: how they are set up, how they migrate, and what happens when they are away."""

import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask_migrate
import psycopg
import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from api import create_app
from api.database import READ, _log_ahead, db, one_at_a_time, transaction
from tests.actors import PASSWORD, Bearer, Operator
from tests.conftest import POSTGRESQL, Stores
from tests.contract.recorder import RecordingClient
from tests.processes.servers import free_port

TABLES = {"users", "user_roles", "sessions", "signing_keys"}


@pytest.fixture
def unmigrated(new_stores: Callable[[], Stores], tmp_path: Path) -> Iterator[Flask]:
    """An app on empty stores."""
    app = create_app(new_stores().settings(tmp_path))
    app.test_client_class = RecordingClient
    with app.app_context():
        yield app
        for engine in db.engines.values():
            engine.dispose()


def tables() -> set[str]:
    return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def test_sqlite_is_durable_shared_and_strict(app: Flask, store_name: str) -> None:
    """Readers do not wait for a writer, a commit survives a power cut, a foreign key means something."""
    if store_name != "sqlite":
        pytest.skip("pragmas are SQLite's")
    with app.app_context():
        for engine in db.engines.values():
            with engine.connect() as connection:
                found = {name: connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "foreign_keys")}
                found["synchronous"] = connection.scalar(text("PRAGMA synchronous"))
                assert found == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2}
                assert connection.scalar(text("PRAGMA busy_timeout")) > 0


def test_a_new_file_that_another_process_has_just_opened_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switching to the write-ahead log is the one thing for which SQLite itself does not always wait."""
    other, ours = (sqlite3.connect(tmp_path / "new.sqlite3", isolation_level=None, timeout=0) for _ in range(2))
    other.execute("BEGIN")
    other.execute("SELECT * FROM sqlite_schema").fetchall()
    monkeypatch.setattr("api.database.time.sleep", lambda _: other.execute("ROLLBACK"))
    _log_ahead(ours)
    assert ours.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    ours.close()
    other.close()


def test_every_migration_goes_up_down_and_up_again(unmigrated: Flask) -> None:
    """Step by step; at the top the schema is that of the models, at the bottom nothing is left."""
    directory = ScriptDirectory(unmigrated.extensions["migrate"].directory)
    steps = [each.revision for each in directory.walk_revisions()]
    for revision in reversed(steps):
        flask_migrate.upgrade(revision=revision)
    assert tables() == set(db.metadata.tables) >= TABLES
    flask_migrate.check()
    for _ in steps:
        flask_migrate.downgrade(revision="-1")
    assert tables() == set()
    flask_migrate.upgrade()
    flask_migrate.check()


def test_a_schema_that_is_not_that_of_the_models_is_noticed(unmigrated: Flask) -> None:
    """The opposite of the test above: its check can fail."""
    flask_migrate.upgrade()
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE users DROP COLUMN display_name"))
    with pytest.raises(SystemExit):
        flask_migrate.check()


def test_the_service_is_not_ready_before_its_migrations(unmigrated: Flask) -> None:
    client = unmigrated.test_client()
    assert client.get("/health/ready").status_code == 503
    assert Operator(unmigrated).ready().json["migrations"] == "pending"
    flask_migrate.upgrade()
    assert client.get("/health/ready").status_code == 200


def test_a_failed_commit_keeps_nothing(app: Flask, anybody: Bearer) -> None:
    """Half an account, a user without a role, must not be possible: the refused second one left no row."""
    assert anybody.register().status_code == 201
    assert anybody.register().status_code == 409
    with app.app_context(), db.engine.connect() as connection:
        count = text("SELECT count(*) FROM users WHERE username = :name")
        assert connection.scalar(count, {"name": anybody.name}) == 1
        roles = text("SELECT count(*) FROM user_roles WHERE user_id = (SELECT id FROM users WHERE username = :name)")
        assert connection.scalar(roles, {"name": anybody.name}) == 1


def assert_unavailable(app: Flask, token: str | None) -> None:
    """Every operation that needs the database says 503 and when to come back; the process says that it is alive."""
    client = app.test_client()
    account: dict[str, Any] = {"username": "nobody-there", "password": PASSWORD}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answers = [
        client.post("/v1/auth/register", json=account),
        client.post("/v1/auth/login", json=account),
        *([client.get("/v1/users/me", headers=headers), client.delete("/v1/auth/logout", headers=headers)] if token else []),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json["type"]) == (503, "/problems/service-unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert "psycopg" not in answer.text
        assert "SELECT" not in answer.text
    assert client.get("/health/live").status_code == 200
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json["type"]) == (503, "/problems/not-ready")
    assert Operator(app).ready().json["database"] == "away"
    assert int(ready.headers["Retry-After"]) > 0


@pytest.mark.parametrize("with_redis", [False, True])
def test_a_database_that_never_answered_is_unavailable(
    tmp_path: Path, request: pytest.FixtureRequest, *, with_redis: bool
) -> None:
    """The app starts without it, to say so; also when Redis is there and its mirror waits to be rebuilt from the database."""
    nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/keycard"
    redis_url = request.getfixturevalue("redis_url") if with_redis else None
    app = create_app(Stores("postgresql", nowhere, redis_url).settings(tmp_path))
    app.test_client_class = RecordingClient
    assert_unavailable(app, None)
    answer = app.test_client().get("/.well-known/jwks.json")
    assert (answer.status_code, answer.json["type"]) == (503, "/problems/service-unavailable")


def close(name: str) -> None:
    """End every connection to a database and allow no new one."""
    with psycopg.connect(POSTGRESQL, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def reopen(name: str) -> None:
    with psycopg.connect(POSTGRESQL, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.fixture
def lost(new_app: Callable[..., Flask], new_postgresql: Callable[[], str], store_name: str) -> Flask:
    if store_name != "postgresql":
        pytest.skip("an embedded database cannot be away")
    return new_app(stores=Stores("postgresql", new_postgresql(), None))


def test_a_database_that_goes_away_is_unavailable_until_it_is_back(lost: Flask) -> None:
    """What was promised before holds afterwards: nothing is lost, and the sign-out that failed did not half happen."""
    user, gone = Bearer(lost).join(), Bearer(lost).join()
    gone.logout()
    name = str(make_url(lost.config["SETTINGS"].database).database)
    close(name)
    assert_unavailable(lost, user.access_token)
    reopen(name)
    assert user.get("/v1/users/me").status_code == 200
    assert gone.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert user.refresh().status_code == 200
    assert lost.test_client().get("/health/ready").status_code == 200


def test_a_restart_of_the_database_is_not_seen_by_readers(lost: Flask) -> None:
    """A connection that died while nobody used it is replaced, for reading and for writing."""
    user = Bearer(lost).join()
    name = str(make_url(lost.config["SETTINGS"].database).database)
    for _ in range(3):
        close(name)
        reopen(name)
        assert user.get("/v1/users/me").status_code == 200
        close(name)
        reopen(name)
        assert user.refresh().status_code == 200


def test_a_postgresql_that_has_gone_without_a_word_is_noticed(app: Flask) -> None:
    """The kernel would try for a quarter of an hour to reach a machine that is no more."""
    with app.app_context():
        for engine in db.engines.values():
            if engine.dialect.name != "postgresql":
                pytest.skip("SQLite is a file")
            with engine.connect() as connection:
                wire = socket.socket(fileno=os.dup(connection.connection.driver_connection.pgconn.socket))
            with wire:
                assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
                assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                silence = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
                assert [wire.getsockopt(socket.IPPROTO_TCP, each) for each in silence] == [10, 5, 3]


def test_one_at_a_time_is_so_from_the_call_on(app: Flask) -> None:
    """What is read or taken from the clock after it is not older than what somebody else has just done."""
    with app.app_context(), transaction():
        one_at_a_time("a test")
        with db.engines[READ].connect() as other:
            if other.dialect.name == "postgresql":
                assert not other.scalar(text("SELECT pg_try_advisory_lock(hashtext('a test'))"))
            else:
                other.exec_driver_sql("PRAGMA busy_timeout=0")
                with pytest.raises(OperationalError, match="locked"):
                    other.exec_driver_sql("BEGIN IMMEDIATE")
                other.exec_driver_sql("PRAGMA busy_timeout=15000")
