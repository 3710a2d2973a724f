"""Fixtures for every test: the app on both kinds of stores, the clock, and people to act with.

PostgreSQL and Redis are found at KEYCARD_TEST_DATABASE_URL and KEYCARD_TEST_REDIS_URL, or at the addresses below. Tests that
need them are skipped, saying so, where they do not answer; in CI that is a failure.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import time_machine
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy.engine import URL, make_url

from api import clock as api_clock
from api import create_app, keys
from api.config import Settings
from api.database import db
from api.sessions import comparing, refresh
from tests.actors import Bearer, Browser, Hybrid
from tests.contract.recorder import RecordingClient
from tests.outbox.mail_server import MailServer

pytest_plugins = ["tests.contract.reached"]
POSTGRESQL = os.environ.get("KEYCARD_TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
# Each of the processes that share the work has a Redis database of its own, counted down from the last.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_REDIS = make_url(os.environ.get("KEYCARD_TEST_REDIS_URL", "redis://127.0.0.1:6379/15"))
REDIS = _REDIS.set(database=str(int(_REDIS.database or 0) - _WORKER)).render_as_string(hide_password=False)
IN_CI = bool(os.environ.get("CI"))
# The real algorithm with the smallest cost, so that a thousand sign-ins take no minute.
CHEAP_HASH = {"argon2_time_cost": 1, "argon2_memory_cost": 8, "argon2_parallelism": 1, "argon2_concurrency": 8}


def missing(service: str, url: str, error: Exception) -> None:
    """Skip loudly; in CI fail, because there a skipped promise is a broken one."""
    text = f"{service} does not answer at {make_url(url).render_as_string()}: {type(error).__name__}"
    (pytest.fail if IN_CI else pytest.skip)(text)


@dataclass(frozen=True)
class Stores:
    """Where an app keeps its data: `sqlite` with memory, or `postgresql` with Redis."""

    name: str
    database_url: str
    redis_url: str | None

    def settings(self, folder: Path, **overrides: Any) -> Settings:
        values = {"ratelimit_enabled": False, **CHEAP_HASH, **overrides}
        return Settings(instance_path=str(folder), database_url=self.database_url, redis_url=self.redis_url, **values)

    def environment(self, folder: Path, **overrides: Any) -> dict[str, str]:
        """The same as environment variables, for a process."""
        values = {
            "database_url": self.database_url,
            "redis_url": self.redis_url,
            "instance_path": folder,
            "ratelimit_enabled": "false",
        }
        values |= {**CHEAP_HASH, **overrides}
        named = {f"KEYCARD_{name.upper()}": str(value) for name, value in values.items() if value is not None}
        return {"PATH": os.environ["PATH"], "HOME": str(folder), **named}


@pytest.fixture(scope="session")
def redis_url() -> str:
    """A Redis that answers, emptied of our keys."""
    client = redis.Redis.from_url(REDIS)
    try:
        client.flushdb()
    except redis.RedisError as error:
        missing("Redis", REDIS, error)
    client.close()
    return REDIS


@contextmanager
def postgresql_databases() -> Iterator[Callable[[], str]]:
    """Make empty databases of a role that may do nothing else, as in production; all of it is dropped at the end."""
    role, password = f"keycard_test_{uuid.uuid4().hex[:12]}", uuid.uuid4().hex
    made: list[str] = []

    def make() -> str:
        name = f"keycard_test_{uuid.uuid4().hex[:12]}"
        try:
            with psycopg.connect(POSTGRESQL, autocommit=True, connect_timeout=3) as administrator:
                if not made:
                    administrator.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
                administrator.execute(f"CREATE DATABASE {name} OWNER {role}")
        except psycopg.OperationalError as error:
            missing("PostgreSQL", POSTGRESQL, error)
        made.append(name)
        url = make_url(POSTGRESQL).set(username=role, password=password, database=name)
        return url.render_as_string(hide_password=False)

    yield make
    if made:
        with psycopg.connect(POSTGRESQL, autocommit=True) as administrator:
            for name in made:
                administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
            administrator.execute(f"DROP ROLE {role}")


@pytest.fixture(scope="session")
def new_postgresql() -> Iterator[Callable[[], str]]:
    """Databases for the tests of one process."""
    with postgresql_databases() as make:
        yield make


def administrated(url: str | URL) -> str:
    """A database of a test, as the administrator of the server reaches it: for what Keycard's own role may not do."""
    return make_url(POSTGRESQL).set(database=make_url(url).database).render_as_string(hide_password=False)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def store_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def new_stores(store_name: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Stores]:
    """Make empty stores of the kind under test."""
    if store_name == "sqlite":
        return lambda: Stores("sqlite", f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/keycard.sqlite3", None)
    make: Callable[[], str] = request.getfixturevalue("new_postgresql")
    url: str = request.getfixturevalue("redis_url")
    return lambda: Stores("postgresql", make(), url)


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    """A real SMTP server, which keeps what it takes."""
    with MailServer().running() as server:
        yield server


@pytest.fixture(scope="session")
def new_app(new_stores: Callable[[], Stores], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Flask]]:
    """Make an app on stores of its own, migrated: `new_app(refresh_grace=0)`, `new_app(blueprints=[...])`."""
    made: list[Flask] = []

    def make(*, blueprints: Any = (), stores: Stores | None = None, **settings: Any) -> Flask:
        chosen = stores or new_stores()
        _release(made)  # their pools open again when needed; PostgreSQL has a hundred connections for all of them
        app = create_app(chosen.settings(tmp_path_factory.mktemp("instance"), **settings), blueprints=blueprints)
        app.config["PROPAGATE_CRASHES"] = True
        app.test_client_class = RecordingClient
        with app.app_context():
            upgrade()
            keys.ensure_current()
        made.append(app)
        return app

    yield make
    _release(made)


def _release(apps: list[Flask]) -> None:
    for app in apps:
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


@pytest.fixture(scope="session")
def app(new_app: Callable[..., Flask]) -> Flask:
    """One app with default settings, shared: use names of your own."""
    return new_app()


@pytest.fixture(params=[Bearer, Hybrid, Browser], ids=["body", "hybrid", "cookie"])
def actor_class(request: pytest.FixtureRequest) -> Any:
    """The same story in each of the three deliveries."""
    return request.param


@pytest.fixture
def anybody(app: Flask) -> Bearer:
    """Somebody who is not signed in."""
    return Bearer(app)


@pytest.fixture
def person(app: Flask, actor_class: type[Bearer]) -> Bearer:
    """Somebody who is registered and signed in, in each delivery."""
    return actor_class(app).join()


@pytest.fixture
def user(app: Flask) -> Bearer:
    """Somebody who is registered and signed in, tokens in the body."""
    return Bearer(app).join()


@pytest.fixture
def admin(app: Flask) -> Bearer:
    """Somebody with the role admin, and others to give."""
    return Bearer(app).join(roles=["user", "admin", "editor", "auditor"])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[time_machine.Traveller]:
    """A clock that stands still, at noon tomorrow, until it is moved: `clock.shift(11)`.

    In the past, the keys of tests without it would not have been made yet.
    """
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=250_000) + timedelta(days=1)
    # PostgreSQL's own clock cannot be moved; where it is asked, this one answers.
    monkeypatch.setattr(refresh, "_own_now", api_clock.now)
    monkeypatch.setattr(comparing, "_shared_now", api_clock.now)
    with time_machine.travel(noon, tick=False) as traveller:
        yield traveller
