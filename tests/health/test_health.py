"""Alive and ready."""

import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from api import create_app
from api.database import db
from tests.actors import Bearer, Operator
from tests.contract.recorder import RecordingClient

LIVE, READY = "/health/live", "/health/ready"


def closed_port() -> int:
    """A port at which nobody answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def unmigrated(new_stores, tmp_path) -> Iterator[Callable[..., Flask]]:
    """Make apps whose database has no tables, or is away."""
    made: list[Flask] = []

    def make(**settings: Any) -> Flask:
        chosen = new_stores().settings(tmp_path)
        app = create_app(type(chosen)(**{**vars(chosen), **settings}))
        app.config["PROPAGATE_CRASHES"] = True
        app.test_client_class = RecordingClient
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


def test_the_process_is_alive(app: Flask) -> None:
    answer = Bearer(app).get(LIVE)
    assert (answer.status_code, answer.json) == (200, {"status": "alive"})


def test_the_service_is_ready(app: Flask) -> None:
    answer = Bearer(app).get(READY)
    assert (answer.status_code, answer.json) == (200, {"status": "ready"})


def test_the_operator_sees_the_parts(app: Flask) -> None:
    answer = Operator(app).ready()
    redis = "ok" if app.config["SETTINGS"].redis_url else "off"
    assert (answer.status_code, answer.json) == (200, {"status": "ready", "database": "ok", "migrations": "ok", "redis": redis})
    assert answer.headers["Cache-Control"] == "no-store"


def assert_not_ready(app: Flask, capfd: pytest.CaptureFixture[str], **parts: str) -> None:
    """A stranger hears that the service is not ready, and no more; the operator and the log, which part is to blame."""
    answer = Bearer(app).get(READY)
    assert (answer.status_code, answer.json["type"]) == (503, "/problems/not-ready")
    assert set(answer.json) == {"type", "title", "status", "detail", "request_id"}
    assert int(answer.headers["Retry-After"]) > 0
    assert not {"away", "pending", "redis", "database", "migrations"} & set(re.findall(r"\w+", answer.text))
    found = Operator(app).ready()
    assert (found.status_code, found.json) == (503, {"status": "not-ready", **parts})
    assert f"not ready: {', '.join(f'{name} {part}' for name, part in parts.items())}" in capfd.readouterr().err
    assert Bearer(app).get(LIVE).status_code == 200


@pytest.mark.parametrize("path", [LIVE, READY])
def test_nobody_keeps_the_answer(app: Flask, path: str) -> None:
    """A balancer that is told yesterday's health sends people to a dead instance."""
    assert Bearer(app).get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [LIVE, READY])
def test_monitors_are_not_counted(new_app, path: str) -> None:
    app = new_app(ratelimit_enabled=True, ratelimit_general="1/minute")
    answers = [Bearer(app).get(path) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5


@pytest.mark.parametrize("path", [LIVE, READY])
def test_a_bad_token_does_not_matter(app: Flask, path: str) -> None:
    assert Bearer(app).request("GET", path, token="x").status_code == 200


def test_missing_migrations_are_not_ready(unmigrated, capfd: pytest.CaptureFixture[str]) -> None:
    """A process that was started before the migration ran takes no requests until it has."""
    app = unmigrated(redis_url=None)
    assert_not_ready(app, capfd, database="ok", migrations="pending", redis="off")


def test_a_database_that_is_away_is_not_ready(unmigrated, capfd: pytest.CaptureFixture[str]) -> None:
    app = unmigrated(database_url=f"postgresql://nobody:hidden@127.0.0.1:{closed_port()}/keycard", redis_url=None)
    assert_not_ready(app, capfd, database="away", migrations="away", redis="off")
    assert "hidden" not in Operator(app).ready().text


def test_a_redis_that_is_away_is_not_ready(new_app, capfd: pytest.CaptureFixture[str]) -> None:
    away = new_app_with_redis_away(new_app, new_app(), required=True)
    assert_not_ready(away, capfd, database="ok", migrations="ok", redis="away")


def test_a_redis_that_is_not_required_may_be_away(new_app) -> None:
    away = new_app_with_redis_away(new_app, new_app(), required=False)
    assert (Bearer(away).get(READY).status_code, Operator(away).ready().status_code) == (200, 200)
    assert Operator(away).ready().json["redis"] == "away"


def new_app_with_redis_away(new_app, like: Flask, *, required: bool) -> Flask:
    """An app on the same database, whose Redis does not answer."""
    from tests.conftest import Stores

    stores = Stores("away", like.config["SETTINGS"].database_url, f"redis://127.0.0.1:{closed_port()}/0")
    return new_app(stores=stores, redis_required=required)


def test_people_are_served_while_redis_is_away(new_app) -> None:
    """The truth is the database: signing in, refreshing and revoking go on."""
    person = Bearer(new_app_with_redis_away(new_app, new_app(), required=True)).join()
    assert person.refresh().status_code == 200
    assert person.logout().status_code == 204
    assert person.get("/v1/users/me").status_code == 401
