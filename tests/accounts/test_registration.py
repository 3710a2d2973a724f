"""Creating an account."""

from datetime import datetime
from typing import Any

import pytest
from flask import Flask

from api import admin, clock, users
from tests.actors import PASSWORD, Bearer, new_name

REGISTER = "/v1/auth/register"


def new_email() -> str:
    return f"{new_name('mail')}@example.com"


def test_a_new_person_is_answered_with_their_account(anybody: Bearer) -> None:
    email = new_email()
    answer = anybody.register(email=email, display_name="Ada Lovelace")
    assert answer.status_code == 201
    body = dict(answer.json)
    times = [datetime.fromisoformat(body.pop(name)) for name in ("created_at", "updated_at")]
    assert all(time.utcoffset().total_seconds() == 0 for time in times)
    assert body.pop("id")
    assert body == {
        "username": anybody.name,
        "display_name": "Ada Lovelace",
        "email": email,
        "email_verified": False,
        "pending_email": None,
        "roles": ["user"],
        "status": "active",
    }


def test_e_mail_and_display_name_may_be_left_out(anybody: Bearer) -> None:
    body = anybody.register().json
    assert (body["email"], body["display_name"]) == (None, None)


def test_the_location_leads_to_the_new_account(anybody: Bearer) -> None:
    answer = anybody.register()
    anybody.login()
    assert anybody.get(answer.headers["Location"]).json == answer.json


def test_registering_signs_nobody_in(anybody: Bearer) -> None:
    """Who registers in somebody else's browser must not find it signed in."""
    answer = anybody.register()
    assert "Set-Cookie" not in answer.headers
    assert anybody.get("/v1/auth/session").json == {"authenticated": False}


@pytest.mark.parametrize("spell", [str, str.upper, str.title], ids=["same", "upper", "title"])
def test_a_taken_username_is_refused_in_any_case(anybody: Bearer, app: Flask, spell: Any) -> None:
    anybody.register()
    answer = Bearer(app, name=spell(anybody.name)).register()
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/username-taken")
    assert answer.json["errors"] == [{"pointer": "/username", "detail": "Taken."}]


def test_a_username_is_kept_as_it_was_written(app: Flask) -> None:
    name = new_name("Ada")
    assert Bearer(app, name=name).register().json["username"] == name


@pytest.mark.parametrize("proven", [False, True], ids=["claimed", "proven"])
def test_a_taken_e_mail_is_never_revealed(app: Flask, proven: bool) -> None:
    """Status, headers and body are those of an address that nobody has, also when its owner has proven it."""
    owner, email = Bearer(app), new_email()
    owner.register(email=email)
    if proven:
        with app.app_context():
            users.bump_version(admin.find_by_username(owner.name).id, email_verified_at=clock.now())
    answers = [Bearer(app).register(email=chosen) for chosen in (new_email(), email, email.upper())]
    assert {answer.status_code for answer in answers} == {201}
    assert len({tuple(sorted(answer.headers.keys())) for answer in answers}) == 1
    volatile = {"id", "username", "created_at", "updated_at", "email"}
    shapes = [{key: value for key, value in answer.json.items() if key not in volatile} for answer in answers]
    assert shapes[0] == shapes[1] == shapes[2]


def test_claiming_a_taken_e_mail_changes_nothing_for_its_owner(app: Flask) -> None:
    email = new_email()
    owner = Bearer(app).join(email=email)
    before = owner.get("/v1/users/me").json
    Bearer(app).register(email=email)
    assert owner.get("/v1/users/me").json == before


@pytest.mark.parametrize(
    ("member", "value"),
    [("roles", ["admin"]), ("status", "active"), ("email_verified", True), ("id", "1"), ("is_admin", True)],
)
def test_nobody_registers_with_what_is_not_theirs_to_choose(anybody: Bearer, member: str, value: Any) -> None:
    """Mass assignment: unknown members are refused, and nothing is created."""
    answer = anybody.register(**{member: value})
    assert (answer.status_code, [fault["pointer"] for fault in answer.json["errors"]]) == (422, [f"/{member}"])
    assert anybody.register().status_code == 201


@pytest.mark.parametrize("member", ["username", "password"])
def test_name_and_password_are_required(anybody: Bearer, member: str) -> None:
    body = {"username": anybody.name, "password": PASSWORD}
    del body[member]
    answer = anybody.request("POST", REGISTER, json=body)
    assert (answer.status_code, [fault["pointer"] for fault in answer.json["errors"]]) == (422, [f"/{member}"])


@pytest.mark.parametrize(
    ("member", "value"),
    [("username", 12345), ("username", None), ("password", 1234567890), ("email", True), ("display_name", ["Ada"])],
)
def test_nothing_is_coerced(anybody: Bearer, member: str, value: Any) -> None:
    answer = anybody.request("POST", REGISTER, json={"username": anybody.name, "password": PASSWORD, member: value})
    assert (answer.status_code, [fault["pointer"] for fault in answer.json["errors"]]) == (422, [f"/{member}"])


def test_a_refused_password_leaves_the_name_free(anybody: Bearer) -> None:
    refused = anybody.request("POST", REGISTER, json={"username": anybody.name, "password": "Password123"})
    assert (refused.status_code, refused.json["type"]) == (409, "/problems/password-refused")
    assert anybody.register().status_code == 201


def test_no_answer_repeats_a_password(anybody: Bearer) -> None:
    refused = anybody.request("POST", REGISTER, json={"username": "-", "password": PASSWORD})
    assert refused.status_code == 422
    assert PASSWORD not in refused.text
    assert PASSWORD not in anybody.register().text
