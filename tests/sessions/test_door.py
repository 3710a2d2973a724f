"""A sign-in that is turned away at the door is told what Flask would have told it, and is in log and metrics alike."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask, request_started
from werkzeug.test import TestResponse

from api.users import hasher
from api.users.passwords import QUEUE_LENGTH
from tests.actors import Bearer, Operator
from tests.slots import every_slot_taken

ORIGIN = "https://app.example.com"
MINE = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def full_app(new_app: Callable[..., Flask]) -> Flask:
    return new_app(argon2_concurrency=1, metrics_port=9464, log_format="json", cors_origins=(ORIGIN,))


@contextmanager
def no_room(app: Flask) -> Iterator[None]:
    """Every slot is taken, and every place in the line."""
    with app.app_context():
        found = hasher()
    with every_slot_taken(found):
        for _ in range(QUEUE_LENGTH):
            found._places.take()
        try:
            yield
        finally:
            for _ in range(QUEUE_LENGTH):
                found._places.give_back()


def sign_in(person: Bearer, **headers: str) -> TestResponse:
    return person.request("POST", "/v1/auth/login", json={"username": person.name, "password": person.password}, headers=headers)


def told(answer: TestResponse) -> tuple[Any, ...]:
    """Everything but what is another one's each time, and what only another origin's page is told."""
    headers = {name: value for name, value in answer.headers if not name.startswith("Access-Control-")}
    assert headers.pop("X-Request-ID") == answer.json["request_id"]
    return answer.status_code, headers, {**answer.json, "request_id": ""}


def test_the_door_says_what_flask_says(full_app: Flask, capfd: pytest.CaptureFixture[str]) -> None:
    """A page of another origin goes by way of Flask, which tells it that it may read the answer."""
    person = Bearer(full_app).join()
    reached: list[Any] = []
    capfd.readouterr()
    with no_room(full_app), request_started.connected_to(lambda *_, **__: reached.append(1), full_app):
        at_the_door = sign_in(person, **{"X-Request-ID": MINE})
        assert not reached
        by_flask = sign_in(person, Origin=ORIGIN)
        assert reached
    assert at_the_door.json["request_id"] == MINE
    assert by_flask.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert told(at_the_door) == told(by_flask)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    one, other = [
        {key: value for key, value in line.items() if key not in {"request_id", "timestamp", "duration_ms"}} for line in lines
    ]
    assert one == other
    assert (one["operation"], one["status"], one["problem"]) == ("login", 503, "service-unavailable")
    shown = Operator(full_app).metrics()
    assert 'keycard_logins_total{outcome="overloaded"} 2.0' in shown
    assert 'keycard_requests_total{operation="login",status="503"} 2.0' in shown


def test_only_sign_ins_are_turned_away_at_the_door(full_app: Flask) -> None:
    person = Bearer(full_app).join()
    with no_room(full_app):
        assert person.get("/v1/users/me").status_code == 200
        assert person.refresh().status_code == 200
        assert person.request("GET", "/v1/auth/login").status_code == 405
    assert person.login().status_code == 200
