"""Administrators create users: with a password, with the hash that another application has made of one, or with neither."""

import uuid
from collections.abc import Callable
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher, Type
from flask import Flask
from sqlalchemy import func, select
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

from api import users
from api.database import fetch_one
from api.users import User
from tests.actors import Bearer, new_name
from tests.mailbox import VERIFY, Mailbox, new_address
from tests.processes.servers import simultaneously

USERS = "/v1/admin/users"
OLD = "an old password"
KINDS: dict[str, Callable[[], str]] = {
    "argon2id": lambda: PasswordHasher(1, 128, 1).hash(OLD),
    "argon2i": lambda: PasswordHasher(1, 128, 1, type=Type.I).hash(OLD),
    "bcrypt": lambda: bcrypt.hashpw(OLD.encode(), bcrypt.gensalt(4)).decode(),
    "scrypt": lambda: generate_password_hash(OLD, "scrypt:1024:8:1"),
    "pbkdf2": lambda: generate_password_hash(OLD, "pbkdf2:sha256:1000"),
}


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An outbox of our own."""
    return new_app()


def create(admin: Bearer, name: str | None = None, **members: Any) -> TestResponse:
    return admin.post(USERS, json={"username": name or new_name("new"), **members})


def stored_hash(app: Flask, name: str) -> str:
    with app.app_context():
        found = users.find_credentials(name)
        assert found
        return found.password_hash


def login(app: Flask, name: str, password: str) -> int:
    return Bearer(app).request("POST", "/v1/auth/login", json={"username": name, "password": password}).status_code


def accounts(app: Flask, name: str) -> int:
    with app.app_context():
        row = fetch_one(select(func.count()).select_from(User).where(User.username_key == users.name_key(name)))
    assert row
    return int(row[0])


def test_the_new_user_is_found_where_the_answer_says(admin: Bearer) -> None:
    """With the same ETag, and with everything that was asked for."""
    answer = create(admin, name := new_name(), password="Battery-Staple-8", display_name="Ada", roles=["user", "editor"])
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{USERS}/{answer.json['id']}"
    found = admin.get(answer.headers["Location"])
    assert (found.json, found.headers["ETag"]) == (answer.json, answer.headers["ETag"])
    assert (found.json["username"], found.json["display_name"], found.json["roles"]) == (name, "Ada", ["editor", "user"])
    assert (found.json["email"], found.json["status"], found.json["suspension"]) == (None, "active", None)


def test_the_answer_holds_neither_password_nor_hash(admin: Bearer) -> None:
    encoded = KINDS["bcrypt"]()
    assert encoded not in create(admin, password_hash=encoded).text
    assert "Battery-Staple-8" not in create(admin, password="Battery-Staple-8").text


def test_the_new_user_signs_in_with_the_password(app: Flask, admin: Bearer) -> None:
    create(admin, name := new_name(), password="Battery-Staple-8")
    assert login(app, name, "Battery-Staple-8") == 200
    assert login(app, name, "Battery-Staple-9") == 401


def test_somebody_created_holds_the_role_user_unless_others_are_given(admin: Bearer) -> None:
    assert create(admin).json["roles"] == ["user"]
    assert create(admin, roles=[]).json["roles"] == []
    assert create(admin, roles=["editor", "editor"]).json["roles"] == ["editor"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_hash_lets_its_owner_in_and_becomes_argon2id(app: Flask, admin: Bearer, kind: str) -> None:
    """A wrong password replaces nothing; afterwards the same password is right and the same one wrong."""
    encoded = KINDS[kind]()
    assert create(admin, name := new_name(), password_hash=encoded).status_code == 201
    assert login(app, name, "not the old password") == 401
    assert stored_hash(app, name) == encoded
    assert login(app, name, OLD) == 200
    assert stored_hash(app, name) != encoded
    assert stored_hash(app, name).startswith("$argon2id$")
    assert (login(app, name, OLD), login(app, name, "not the old password")) == (200, 401)


@pytest.mark.parametrize("encoded", ["secret-secret-secret-secret", "$2b$12$short", "{SSHA}0123456789abcdef0123456789", "", None])
def test_what_is_no_hash_that_we_can_check_is_refused(app: Flask, admin: Bearer, encoded: Any) -> None:
    answer = create(admin, name := new_name(), password_hash=encoded)
    assert (answer.status_code, {each["pointer"] for each in answer.json["errors"]}) == (422, {"/password_hash"})
    assert accounts(app, name) == 0


def test_without_password_and_hash_nothing_lets_anybody_in(app: Flask, admin: Bearer) -> None:
    """What is stored is the hash of something that nobody knows, not an empty one."""
    create(admin, name := new_name())
    create(admin, other := new_name())
    assert stored_hash(app, name).startswith("$argon2id$")
    assert stored_hash(app, name) != stored_hash(app, other)
    for guess in ("None", "null", " ", name, stored_hash(app, name), "password"):
        assert login(app, name, guess) == 401


def test_somebody_without_password_comes_in_by_resetting_it(app: Flask, admin: Bearer) -> None:
    mailbox, address = Mailbox(app), new_address()
    create(admin, name := new_name(), email=address, email_verified=True)
    assert mailbox.to(address) == [], "the administrator vouches for the address"
    assert Bearer(app).request("POST", "/v1/auth/password/forgot", json={"email": address}).status_code == 202
    body = {"token": mailbox.token(address), "new_password": "Battery-Staple-8"}
    assert Bearer(app).request("POST", "/v1/auth/password/reset", json=body).status_code == 204
    assert (login(app, name, "Battery-Staple-8"), login(app, address, "Battery-Staple-8")) == (200, 200)


def test_an_address_that_nobody_vouches_for_gets_a_mail(app: Flask, admin: Bearer) -> None:
    """Until it is proven it is good for nothing."""
    mailbox, address = Mailbox(app), new_address()
    answer = create(admin, password="Battery-Staple-8", email=address)
    assert (answer.json["email"], answer.json["email_verified"]) == (address, False)
    assert login(app, address, "Battery-Staple-8") == 401
    assert Bearer(app).request("POST", VERIFY, json={"token": mailbox.token(address)}).status_code == 204
    assert login(app, address, "Battery-Staple-8") == 200


def test_an_address_can_be_proven_by_one_account_only(app: Flask, admin: Bearer) -> None:
    """In any case; nothing is left of the account that could not be made. Claimed it may be by anybody."""
    address = new_address()
    assert create(admin, email=address, email_verified=True).status_code == 201
    answer = create(admin, name := new_name(), email=address.upper(), email_verified=True)
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/email-taken")
    assert accounts(app, name) == 0
    assert create(admin, name, email=address).status_code == 201


def test_a_username_is_taken_once_in_any_case(admin: Bearer) -> None:
    name = new_name()
    assert create(admin, name).status_code == 201
    answer = create(admin, name.upper())
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/username-taken")
    assert [each["pointer"] for each in answer.json["errors"]] == ["/username"]


def test_the_name_of_a_deleted_account_stays_taken(app: Flask, admin: Bearer) -> None:
    made = create(admin, name := new_name())
    assert admin.delete(f"{USERS}/{made.json['id']}", headers={"If-Match": "*"}).status_code == 204
    assert create(admin, name).json["type"] == "/problems/username-taken"


def test_of_simultaneous_creations_of_one_name_one_succeeds(app: Flask, admin: Bearer) -> None:
    for _ in range(3):
        name = new_name()
        admins = [Bearer(app) for _ in range(6)]
        for each in admins:
            each.access_token = admin.access_token
        answers = simultaneously(*[lambda at=at, name=name: create(at, name, password="Battery-Staple-8") for at in admins])
        assert sorted(each.status_code for each in answers) == [201] + [409] * 5
        assert accounts(app, name) == 1


def test_a_password_and_a_hash_at_once_are_refused(app: Flask, admin: Bearer) -> None:
    answer = create(admin, name := new_name(), password="Battery-Staple-8", password_hash=KINDS["bcrypt"]())
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/two-passwords")
    assert accounts(app, name) == 0


def test_the_policy_holds_for_administrators_too(app: Flask, admin: Bearer) -> None:
    name = "Ada-" + uuid.uuid4().hex[:8]
    for password in (name, "Password123"):
        answer = create(admin, name, password=password)
        assert (answer.status_code, answer.json["type"]) == (409, "/problems/password-refused")
        assert [each["pointer"] for each in answer.json["errors"]] == ["/password"]
    assert create(admin, name, password="short").status_code == 422
    assert accounts(app, name) == 0


def test_nobody_gives_a_role_that_they_do_not_hold(app: Flask, admin: Bearer) -> None:
    """Else an administrator could make an accomplice who may do more than they."""
    answer = create(admin, name := new_name(), roles=["user", "owner"])
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/role-not-held")
    assert "insufficient_scope" in answer.headers["WWW-Authenticate"]
    assert accounts(app, name) == 0
    assert create(admin, name, roles=["admin", "auditor"]).status_code == 201


@pytest.mark.parametrize(
    "members",
    [{"username": "ad"}, {"username": "-ada"}, {"username": "a@b.example"}, {"username": None}, {"password": None},
     {"password": 1}, {"email": "nobody"}, {"email": None}, {"email_verified": "true"}, {"email_verified": None},
     {"display_name": ""}, {"roles": "admin"}, {"roles": ["Admin"]}, {"id": str(uuid.uuid4())}, {"status": "suspended"},
     {"epoch": 7}],
)  # fmt: skip
def test_what_breaks_the_schema_creates_nobody(app: Flask, admin: Bearer, members: dict[str, Any]) -> None:
    name = new_name()
    answer = admin.post(USERS, json={"username": name, **members})
    (member,) = members
    assert (answer.status_code, {each["pointer"].split("/")[1] for each in answer.json["errors"]}) == (422, {member})
    assert accounts(app, name) == 0


def test_nobody_can_vouch_for_an_address_that_is_not_given(app: Flask, admin: Bearer) -> None:
    name = new_name()
    answer = create(admin, name, email_verified=True)
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/nothing-to-verify")
    assert accounts(app, name) == 0
