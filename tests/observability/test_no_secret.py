"""No secret in any log. Marked ones go through every operation: rightly, refused, crashing, and with the database away.

The same with a real process is in tests/processes/test_logs.py.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.engine import make_url

from api.database import db
from tests.actors import Bearer, Browser, new_name
from tests.conftest import Stores
from tests.contract.operations import Operation
from tests.contract.test_every_operation import _without_tables
from tests.contract.test_security_matrix import ALL
from tests.observability.marks import HASH, Marks, calls, mailed, someone
from tests.outbox.mail_server import MailServer

every = pytest.mark.parametrize("operation", ALL, ids=str)


@pytest.fixture(scope="module")
def marks() -> Marks:
    return Marks()


@pytest.fixture(scope="module")
def marked_app(new_app: Callable[..., Flask], new_stores: Callable[[], Stores], marks: Marks, mail: MailServer) -> Flask:
    """An app in production, whose settings are secrets too."""
    stores = new_stores()
    if stores.name == "postgresql":
        url = make_url(stores.database_url).set(password=marks.new())  # taken without being asked for
        stores = replace(stores, database_url=url.render_as_string(hide_password=False))
    app = new_app(
        stores=stores, env="production", log_level="debug", metrics_port=9464,
        jwt_algorithm="HS256", jwt_secret=marks.new(), smtp_url=mail.url,
    )  # fmt: skip
    app.config["PROPAGATE_CRASHES"] = False
    app.test_client_class = FlaskClient
    return app


@every
def test_an_operation_logs_no_secret(
    marked_app: Flask, operation: Operation, marks: Marks, mail: MailServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Called rightly and in all the wrong ways, in two deliveries."""
    actor = someone(marked_app, operation, marks)
    other = someone(marked_app, operation, marks, Browser)
    token = mailed(marked_app, actor, operation, mail, marks)
    first, *others = calls(operation, actor, marks, about=other.id, mailed=token)
    assert first.status_code < 300 or str(operation) in {"login", "revoke_session"}, first.text
    assert {answer.status_code for answer in others} <= {200, 201, 202, 204, 400, 401, 403, 404, 405, 409, 412, 413, 415, 422}
    told = capfd.readouterr().err
    assert f'"operation":"{operation}"' in told
    assert not marks.leaked_in(told)


def test_the_hash_of_an_import_is_not_logged(marked_app: Flask, marks: Marks, capfd: pytest.CaptureFixture[str]) -> None:
    admin = someone(marked_app, next(each for each in ALL if each.roles), marks)
    for encoded in (HASH + marks.stem, marks.new()):
        marks.add(encoded)
        admin.post("/v1/admin/users", json={"username": new_name(), "password_hash": encoded})
    told = capfd.readouterr().err
    assert '"operation":"create_user"' in told
    assert not marks.leaked_in(told)


@contextmanager
def crashing(app: Flask, crash: Callable[[], None]) -> Iterator[None]:
    """Every view does this instead of its work."""
    views = dict(app.view_functions)

    def instead_of(view: Any) -> Any:
        instead: Any = lambda **_: crash()  # noqa: E731
        instead.__dict__ |= vars(view)
        return instead

    app.view_functions.update({name: instead_of(view) for name, view in views.items()})
    try:
        yield
    finally:
        app.view_functions.update(views)


def crash_with_everything() -> None:
    """An error whose message, cause and local variables hold all that the request has."""
    everything = f"{request.get_data()!r} {request.headers} {request.url} {request.cookies}"
    try:
        int(everything)
    except ValueError as error:
        raise RuntimeError(everything) from error


@every
def test_a_crash_logs_no_secret(marked_app: Flask, operation: Operation, marks: Marks, capfd: pytest.CaptureFixture[str]) -> None:
    """What is logged of an exception are its kind and the lines of code, in production."""
    actor = someone(marked_app, operation, marks)
    own = actor.id
    with crashing(marked_app, crash_with_everything):
        answer = actor.request(
            operation.method.upper(),
            operation.url(user_id=own),
            token=operation.token_of(actor) if operation.schemes else None,
            headers={**operation.headers(), **marks.headers()},
            json={"password": marks.new()},
        )
    assert answer.status_code == 500
    told = capfd.readouterr().err
    (line,) = [json.loads(each) for each in told.splitlines() if '"unhandled error"' in each]
    assert line["exception"] == "RuntimeError from ValueError"
    assert line["frames"][-1].endswith(" crash_with_everything")
    assert line["request_id"] == answer.json["request_id"]
    assert not marks.leaked_in(told)


@every
def test_with_the_database_away_no_secret_is_logged(
    marked_app: Flask, operation: Operation, marks: Marks, capfd: pytest.CaptureFixture[str]
) -> None:
    actor = someone(marked_app, operation, marks)
    requests = calls(operation, actor, marks, about=actor.id)
    next(requests)
    with _without_tables(marked_app):
        marked_app.extensions["keycard.keyring"].forget()
        assert list(requests)
    assert not marks.leaked_in(capfd.readouterr().err)


def test_a_parameter_that_the_database_refuses_is_not_logged(
    marked_app: Flask, marks: Marks, capfd: pytest.CaptureFixture[str]
) -> None:
    """PostgreSQL repeats in its message what it could not read."""
    statement = {"postgresql": "SELECT CAST(:given AS uuid)", "sqlite": "SELECT json(:given)"}

    def crash() -> None:
        db.session.execute(text(statement[db.engine.dialect.name]), {"given": marks.new()})

    with crashing(marked_app, crash):
        assert Bearer(marked_app).get("/v1/config").status_code in {500, 503}
    told = capfd.readouterr().err
    assert '"level":"error"' in told
    assert not marks.leaked_in(told)


def test_a_crash_after_the_answer_logs_no_secret(
    new_app: Callable[..., Flask], marks: Marks, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a server would print with its message, we tell without; and the client gets a problem all the same."""
    app = new_app(env="production")
    app.config["PROPAGATE_CRASHES"] = False
    app.test_client_class = FlaskClient

    @app.teardown_request
    def crash(_: BaseException | None) -> None:
        raise ValueError(marks.new())

    answer = Bearer(app).get("/v1/config")
    assert (answer.status_code, answer.mimetype) == (500, "application/problem+json")
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["exception"] for line in told if line["event"] == "unhandled error after a request"] == ["ValueError"]
    assert [line["status"] for line in told if line["event"] == "request"] == [500]
    assert marks.stem not in answer.text + str(told)
