"""Signing in."""

from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from api import admin, clock, users
from api.database import db
from api.users.passwords import EXTENSION
from tests.actors import Bearer, new_name


def login(app: Flask, name: str, password: str) -> TestResponse:
    return Bearer(app).request("POST", "/v1/auth/login", json={"username": name, "password": password})


def operate(person: Bearer, **columns: Any) -> None:
    """Change columns of a person's record as an operator can in the database."""
    with person.app.app_context():
        users.bump_version(admin.find_by_username(person.name).id, **columns)


def password_hash(app: Flask, name: str) -> str:
    with app.app_context():
        found = users.find_credentials(name)
        assert found
        return found.password_hash


def test_a_sign_in_opens_a_session(person: Bearer) -> None:
    mine = person.get("/v1/auth/session").json
    assert (mine["user"]["username"], mine["session"]["delivery"]) == (person.name, person.delivery)


def test_each_sign_in_is_a_session_of_its_own(user: Bearer) -> None:
    first = user.get("/v1/auth/session").json["session"]["id"]
    assert user.login().json["session_id"] != first


def test_body_is_the_delivery_when_none_is_chosen(user: Bearer) -> None:
    assert login(user.app, user.name, user.password).json["delivery"] == "body"


@pytest.mark.parametrize("body", [{"delivery": "url"}, {"delivery": None}, {"remember": True}, {"username": 7}, {"password": ""}])
def test_a_sign_in_that_breaks_the_schema_is_refused(user: Bearer, body: dict[str, Any]) -> None:
    answer = user.login(**body)
    assert (answer.status_code, [fault["pointer"] for fault in answer.json["errors"]]) == (422, [f"/{next(iter(body))}"])


def test_an_unknown_name_and_a_wrong_password_get_one_and_the_same_answer(user: Bearer, app: Flask) -> None:
    """Nobody learns who exists: body and headers differ in the request id alone."""
    operate(user, email=(email := f"{user.name}@example.com"), email_key=email, email_verified_at=clock.now())
    names = (user.name, new_name(), email, f"{new_name()}@example.com", "not a name")
    answers = [login(app, name, "Wrong-Horse-7") for name in names]
    bodies = [{**answer.json, "request_id": ""} for answer in answers]
    headers = [{**answer.headers, "X-Request-ID": ""} for answer in answers]
    assert bodies[0]["type"] == "/problems/invalid-credentials"
    assert all(body == bodies[0] for body in bodies)
    assert all(header == headers[0] for header in headers)
    assert len({answer.json["request_id"] for answer in answers}) == len(names)


class CountingArgon2(PasswordHasher):
    """The real one, which remembers with what cost it verified."""

    def verify(self, hash: str, password: str) -> Any:  # noqa: A002 - the library's name
        params = extract_parameters(hash)
        WORK.append((params.time_cost, params.memory_cost, params.parallelism))
        return super().verify(hash, password)


WORK: list[tuple[int, int, int]] = []


@pytest.fixture(scope="module")
def counting_app(new_app) -> Flask:
    app = new_app(argon2_time_cost=2)
    app.extensions[EXTENSION]._argon2 = CountingArgon2(time_cost=2, memory_cost=8, parallelism=1)
    return app


@pytest.mark.parametrize("password", ["Wrong-Horse-7", " ", "\u0000", "x", "x" * 1024, "🦊"])
def test_every_failed_sign_in_costs_the_same_work(counting_app: Flask, password: str) -> None:
    """The clock tells nobody who exists: one hash of the same cost, whoever is named and whatever is given."""
    known, suspended = Bearer(counting_app).join(), Bearer(counting_app).join()
    operate(suspended, status="suspended")
    operate(known, email=(email := f"{known.name}@example.com"), email_key=email, email_verified_at=clock.now())
    for name in (known.name, suspended.name, email, new_name(), f"{new_name()}@example.com"):
        WORK.clear()
        assert login(counting_app, name, password).status_code == 401
        assert WORK == [(2, 8, 1)]


def test_a_sign_in_that_succeeds_costs_that_work_too(counting_app: Flask) -> None:
    known = Bearer(counting_app).join()
    WORK.clear()
    assert known.login().status_code == 200
    assert WORK == [(2, 8, 1)]


def test_a_suspended_account_is_told_so_only_with_the_right_password(user: Bearer, app: Flask) -> None:
    operate(user, status="suspended")
    right, wrong = login(app, user.name, user.password), login(app, user.name, "Wrong-Horse-7")
    assert (right.status_code, right.json["type"]) == (403, "/problems/account-suspended")
    assert "Set-Cookie" not in right.headers
    assert (wrong.status_code, wrong.json["type"]) == (401, "/problems/invalid-credentials")


def test_a_suspension_ends_what_was_signed_in(person: Bearer) -> None:
    operate(person, status="suspended")
    assert person.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert person.refresh().json["type"] == "/problems/session-ended"


@pytest.mark.parametrize("spell", [str, str.upper], ids=["same", "upper"])
def test_a_proven_e_mail_signs_in(app: Flask, spell: Any) -> None:
    email = f"{new_name()}@example.com"
    person = Bearer(app).join(email=email)
    operate(person, email_verified_at=clock.now())
    answer = login(app, spell(email), person.password)
    assert answer.status_code == 200
    assert any(each["id"] == answer.json["session_id"] for each in person.get("/v1/users/me/sessions").json["items"])


def test_an_unproven_e_mail_does_not_sign_in(app: Flask) -> None:
    email = f"{new_name()}@example.com"
    person = Bearer(app).join(email=email)
    assert login(app, email, person.password).json["type"] == "/problems/invalid-credentials"


def test_a_claimed_e_mail_leads_to_whoever_has_proven_it(app: Flask) -> None:
    """Claiming somebody's address opens neither their account with mine, nor mine with it."""
    email = f"{new_name()}@example.com"
    owner, claimant = Bearer(app), Bearer(app)
    claimant.password = "Claimants-Horse-8"
    claimant.join(email=email)
    owner.join(email=email)
    operate(owner, email_verified_at=clock.now())
    assert login(app, email, claimant.password).status_code == 401
    found = login(app, email, owner.password).json
    assert found["session_id"] in {each["id"] for each in owner.get("/v1/users/me/sessions").json["items"]}


@pytest.fixture(scope="module")
def cheap_and_dear(new_app, new_stores) -> tuple[Flask, Flask]:
    """Two apps on the same stores, before and after the operator has changed the cost."""
    stores = new_stores()
    return new_app(stores=stores, argon2_time_cost=1), new_app(stores=stores, argon2_time_cost=2)


@pytest.mark.parametrize("direction", [1, -1], ids=["dearer", "cheaper"])
def test_a_sign_in_renews_a_hash_of_other_parameters(cheap_and_dear: tuple[Flask, Flask], direction: int) -> None:
    before, after = cheap_and_dear[::direction]
    person = Bearer(before).join()
    old = password_hash(after, person.name)
    assert login(after, person.name, person.password).status_code == 200
    new = password_hash(after, person.name)
    assert extract_parameters(new).time_cost == extract_parameters(old).time_cost + direction
    assert login(after, person.name, person.password).status_code == 200
    assert password_hash(after, person.name) == new


def test_a_renewed_hash_ends_no_session(cheap_and_dear: tuple[Flask, Flask]) -> None:
    before, after = cheap_and_dear
    person = Bearer(before).join()
    login(after, person.name, person.password)
    assert person.get("/v1/users/me").status_code == 200
    assert person.refresh().status_code == 200


def test_a_failed_sign_in_renews_no_hash(cheap_and_dear: tuple[Flask, Flask]) -> None:
    before, after = cheap_and_dear
    person = Bearer(before).join()
    old = password_hash(before, person.name)
    assert login(after, person.name, "Wrong-Horse-7").status_code == 401
    assert password_hash(before, person.name) == old


def test_a_hash_that_cannot_be_read_signs_nobody_in(user: Bearer, app: Flask) -> None:
    """A damaged record is a wrong password, not a crash."""
    operate(user, password_hash="!")
    assert login(app, user.name, user.password).status_code == 401
    assert login(app, user.name, "!").status_code == 401


def test_signing_in_leaves_the_row_of_the_user_as_it_is(app: Flask, store_name: str) -> None:
    """A new version of it would have to be entered into every index: it is locked, and nothing more."""
    if store_name != "postgresql":
        pytest.skip("SQLite changes a row where it is")
    ada = Bearer(app).join()
    version = text("SELECT ctid, xmin FROM users WHERE username = :name")
    with app.app_context(), db.engine.connect() as connection:
        before = connection.execute(version, {"name": ada.name}).one()
        assert ada.login().status_code == 200
        assert connection.execute(version, {"name": ada.name}).one() == before


def test_a_password_does_not_expire(app: Flask, clock) -> None:
    """Who must choose a new one now and then chooses worse ones (NIST SP 800-63B)."""
    person = Bearer(app).join()
    clock.shift(10 * 365 * 86_400)
    assert person.login().status_code == 200
    assert person.get("/v1/users/me").status_code == 200
