"""Giving the password again, for what is too dangerous for an old token."""

from functools import partial

import jwt
import pytest
from flask import Flask
from flask.views import MethodView
from werkzeug.test import TestResponse

from api.http import Blueprint, Schema, fresh_access_token
from tests.actors import Bearer
from tests.processes.servers import simultaneously

REAUTHENTICATE = "/v1/auth/reauthenticate"
danger = Blueprint("danger", __name__, url_prefix="/danger", description="Something that demands a fresh token.")


class Nothing(Schema):
    """Nothing."""


@danger.route("")
class Danger(MethodView):
    @danger.operation("danger", fresh_access_token)
    @danger.response(200, Nothing, description="Done.")
    def post(self) -> dict[str, str]:
        """Do something dangerous"""
        return {}


@pytest.fixture(scope="module")
def app(new_app) -> Flask:
    return new_app(blueprints=[danger])


def reauthenticate(person: Bearer, password: str | None = None) -> TestResponse:
    return person.keep(person.post(REAUTHENTICATE, json={"password": password or person.password}))


def is_allowed(person: Bearer) -> bool:
    answer = person.post("/danger")
    assert answer.status_code == 200 or answer.json["type"] == "/problems/fresh-token-required"
    return answer.status_code == 200


def test_the_password_makes_a_stale_session_fresh(person: Bearer) -> None:
    assert is_allowed(person)
    person.refresh()
    assert not is_allowed(person)
    assert reauthenticate(person).status_code == 200
    assert is_allowed(person)


def test_freshness_ends_ten_minutes_after_the_password_was_given(app: Flask, actor_class: type[Bearer], clock) -> None:
    person = actor_class(app).join()
    clock.shift(300)
    reauthenticate(person)
    clock.shift(599)
    assert is_allowed(person)
    clock.shift(2)
    assert not is_allowed(person)
    assert person.get("/v1/users/me").status_code == 200


def test_the_session_stays_the_same(person: Bearer) -> None:
    before = person.get("/v1/auth/session").json["session"]["id"]
    assert reauthenticate(person).json["session_id"] == before
    assert person.get("/v1/auth/session").json["session"]["id"] == before
    assert len(person.get("/v1/users/me/sessions").json["items"]) == 1


def test_the_session_is_renewed(app: Flask) -> None:
    """A new pair; what the session had before is dead, for a thief who shares it too, and refreshing with it does not end it."""
    person = Bearer(app).join()
    thief = Bearer(app, person.name)
    thief.access_token, thief.refresh_token = person.access_token, person.refresh_token
    assert reauthenticate(person).json["refresh_token"] != thief.refresh_token
    assert thief.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert thief.refresh().json["type"] == "/problems/token-revoked"
    assert person.get("/v1/users/me").status_code == 200
    assert person.refresh().status_code == 200


def test_the_new_pair_goes_on(person: Bearer) -> None:
    for _ in range(2):
        assert reauthenticate(person).status_code == 200
        assert person.refresh().status_code == 200
        assert person.get("/v1/users/me").status_code == 200


def test_nothing_from_before_is_answered_again(app: Flask) -> None:
    """The grace window is for the parent of a refresh, not for what a renewal has replaced."""
    person = Bearer(app).join()
    parent = person.refresh_token
    person.refresh()
    reauthenticate(person)
    answer = person.request("POST", "/v1/auth/refresh", token=parent)
    assert answer.json["type"] == "/problems/token-revoked"
    assert person.refresh().status_code == 200


def test_of_simultaneous_renewals_one_succeeds(app: Flask) -> None:
    """By tokens of one generation: nobody gets a pair that is dead already."""
    person = Bearer(app).join()
    copies = [Bearer(app, person.name) for _ in range(8)]
    for copy in copies:
        copy.access_token = person.access_token
    answers = simultaneously(*[partial(reauthenticate, copy) for copy in copies])
    assert sorted(each.status_code for each in answers) == [200] + [401] * 7
    (winner,) = [copy for copy, answer in zip(copies, answers, strict=True) if answer.status_code == 200]
    assert winner.get("/v1/users/me").status_code == 200
    assert winner.refresh().status_code == 200


def test_the_access_token_travels_as_the_session_chose(person: Bearer) -> None:
    answer = reauthenticate(person)
    in_cookie = any(header.startswith("keycard_access=") for header in answer.headers.getlist("Set-Cookie"))
    assert in_cookie is (person.delivery == "cookie")
    assert ("access_token" in answer.json) is not in_cookie


def test_each_fresh_token_is_a_token_of_its_own(user: Bearer) -> None:
    tokens = [user.access_token, *(reauthenticate(user).json["access_token"] for _ in range(2))]
    assert len({jwt.decode(token, options={"verify_signature": False})["jti"] for token in tokens}) == 3


def test_a_wrong_password_gives_nothing_and_takes_nothing(person: Bearer) -> None:
    person.refresh()
    answer = reauthenticate(person, "Wrong-Horse-7")
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/wrong-password")
    assert "Set-Cookie" not in answer.headers
    assert not is_allowed(person)
    assert person.get("/v1/users/me").status_code == 200


def test_another_persons_password_does_not_count(app: Flask, user: Bearer) -> None:
    other = Bearer(app)
    other.password = "Somebody-Elses-9"
    other.join()
    assert reauthenticate(user, other.password).status_code == 403


def test_an_anonymous_caller_gets_nothing(anybody: Bearer) -> None:
    assert reauthenticate(anybody).json["type"] == "/problems/authentication-required"


def test_a_refresh_token_is_no_access_token(user: Bearer) -> None:
    answer = user.request("POST", REAUTHENTICATE, token=user.refresh_token, json={"password": user.password})
    assert answer.json["type"] == "/problems/invalid-token"


def test_a_fresh_token_dies_with_its_session(user: Bearer) -> None:
    reauthenticate(user)
    user.logout()
    assert user.get("/v1/users/me").json["type"] == "/problems/token-revoked"


@pytest.mark.parametrize("body", [{}, {"password": ""}, {"password": 7}, {"password": "x", "user_id": "1"}])
def test_a_body_that_breaks_the_schema_is_refused(user: Bearer, body: dict[str, object]) -> None:
    assert user.post(REAUTHENTICATE, json=body).status_code == 422
