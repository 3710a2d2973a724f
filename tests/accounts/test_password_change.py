"""Changing the password by somebody who knows the old one."""

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.actors import Bearer, Hybrid

PASSWORD_URL = "/v1/users/me/password"
NEW = "Battery-Staple-8"


def change(person: Bearer, new: str = NEW, current: str | None = None) -> TestResponse:
    body = {"current_password": current or person.password, "new_password": new}
    return person.keep(person.put(PASSWORD_URL, json=body))


def login(app: Flask, name: str, password: str) -> int:
    return Bearer(app).request("POST", "/v1/auth/login", json={"username": name, "password": password}).status_code


def test_the_new_password_counts_and_the_old_one_does_not(person: Bearer, app: Flask) -> None:
    assert change(person).status_code == 200
    assert login(app, person.name, NEW) == 200
    assert login(app, person.name, person.password) == 401


def test_this_session_goes_on_with_the_new_pair(person: Bearer) -> None:
    change(person)
    assert person.get("/v1/users/me").status_code == 200
    assert person.refresh().status_code == 200


def test_the_tokens_from_before_are_dead(app: Flask) -> None:
    """A thief who shares the session is out, and refreshing with what they hold does not end it."""
    person = Bearer(app).join()
    thief = Bearer(app, person.name)
    thief.access_token, thief.refresh_token = person.access_token, person.refresh_token
    change(person)
    assert thief.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert thief.refresh().json["type"] == "/problems/token-revoked"
    assert person.get("/v1/users/me").status_code == 200
    assert person.refresh().status_code == 200


@pytest.mark.parametrize("other_class", [Bearer, Hybrid], ids=["body", "hybrid"])
def test_every_other_session_ends_at_once(person: Bearer, app: Flask, other_class: type[Bearer]) -> None:
    """Whoever stole a token is out, access token included."""
    other = other_class(app, person.name)
    other.login()
    change(person)
    assert other.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert other.refresh().json["type"] == "/problems/session-ended"
    assert len(person.get("/v1/users/me/sessions").json["items"]) == 1


def test_sessions_of_other_people_stay(user: Bearer, app: Flask) -> None:
    other = Bearer(app).join()
    change(user)
    assert other.get("/v1/users/me").status_code == 200
    assert other.refresh().status_code == 200


def test_a_wrong_current_password_changes_nothing(person: Bearer, app: Flask) -> None:
    other = Bearer(app, person.name)
    other.login()
    answer = change(person, current="Wrong-Horse-7")
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/wrong-password")
    assert login(app, person.name, NEW) == 401
    assert person.get("/v1/users/me").status_code == 200
    assert other.get("/v1/users/me").status_code == 200


def test_another_persons_password_does_not_count(app: Flask, user: Bearer) -> None:
    other = Bearer(app)
    other.password = "Somebody-Elses-9"
    other.join()
    assert change(user, current=other.password).status_code == 403


@pytest.mark.parametrize("new", ["Short-1", "no-upper-case-1", "No-Digit-At-All", "A1" + "x" * 127])
def test_the_new_password_obeys_the_policy(user: Bearer, new: str) -> None:
    answer = change(user, new)
    assert answer.status_code == 422
    assert {fault["pointer"] for fault in answer.json["errors"]} == {"/new_password"}


def test_a_common_password_is_refused(user: Bearer, app: Flask) -> None:
    answer = change(user, "Password123")
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/password-refused")
    assert answer.json["errors"][0]["pointer"] == "/new_password"
    assert login(app, user.name, user.password) == 200


def test_the_username_is_refused(app: Flask) -> None:
    person = Bearer(app)
    person.name = f"Ada-{person.name}"
    person.join()
    answer = change(person, person.name.upper())
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/password-refused")


def test_the_policy_is_told_only_to_who_knows_the_current_password(user: Bearer) -> None:
    """A stolen token must not try names of passwords against the list."""
    answer = change(user, "Password123", current="Wrong-Horse-7")
    assert answer.json["type"] == "/problems/wrong-password"


def test_two_changes_with_the_same_old_password(user: Bearer) -> None:
    """The second one no longer knows the current password."""
    assert change(user).status_code == 200
    assert change(user, "Another-Horse-9").json["type"] == "/problems/wrong-password"


def test_an_anonymous_caller_changes_nothing(anybody: Bearer) -> None:
    assert change(anybody).status_code == 401


def test_unknown_members_are_refused(user: Bearer) -> None:
    body = {"current_password": user.password, "new_password": NEW, "user_id": "1"}
    answer = user.put(PASSWORD_URL, json=body)
    assert [fault["pointer"] for fault in answer.json["errors"]] == ["/user_id"]
