"""Administrators delete users, other people's accounts only, and never the last administrator's."""

import uuid
from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.actors import Bearer
from tests.mailbox import Mailbox, join_with, new_address
from tests.processes.servers import simultaneously

USERS, ME = "/v1/admin/users", "/v1/users/me"
ROUNDS = range(3)


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An outbox of our own."""
    return new_app()


def delete(admin: Bearer, user_id: str, if_match: str = "*") -> TestResponse:
    return admin.delete(f"{USERS}/{user_id}", headers={"If-Match": if_match})


def login(app: Flask, name: str, password: str) -> int:
    return Bearer(app).request("POST", "/v1/auth/login", json={"username": name, "password": password}).status_code


def test_a_deleted_user_is_gone_at_once(app: Flask, admin: Bearer, person: Bearer) -> None:
    """Every token, the name and the password; and nobody else gets the name."""
    user_id, other_device = person.id, Bearer(app, person.name)
    other_device.login()
    answer = delete(admin, user_id)
    assert (answer.status_code, answer.data) == (204, b"")
    for each in (person, other_device):
        assert each.get(ME).status_code == 401
        assert each.refresh().json["type"] == "/problems/session-ended"
    assert login(app, person.name, person.password) == 401
    assert Bearer(app, person.name).register().json["type"] == "/problems/username-taken"


def test_a_deleted_user_is_found_nowhere(admin: Bearer, user: Bearer) -> None:
    user_id = user.id
    delete(admin, user_id)
    assert admin.get(USERS, query_string={"q": user.name}).json["items"] == []
    assert admin.get(USERS, query_string={"q": "deleted"}).json["items"] == []
    headers = {"If-Match": "*"}
    answers = [
        admin.get(f"{USERS}/{user_id}"),
        admin.patch(f"{USERS}/{user_id}", json={"suspension": None}, headers=headers),
        admin.delete(f"{USERS}/{user_id}", headers=headers),
        admin.put(f"{USERS}/{user_id}/roles", json={"roles": ["user"]}),
        admin.post(f"{USERS}/{user_id}/revoke"),
        admin.get(f"{USERS}/{user_id}/sessions"),
    ]
    assert [(each.status_code, each.json["type"]) for each in answers] == [(404, "/problems/no-such-user")] * 6


def test_mail_that_was_sent_before_brings_nobody_back(app: Flask, admin: Bearer) -> None:
    mailbox, address = Mailbox(app), new_address()
    person = join_with(mailbox, address)
    Bearer(app).request("POST", "/v1/auth/password/forgot", json={"email": address})
    token = mailbox.token(address)
    delete(admin, person.id)
    answer = Bearer(app).request("POST", "/v1/auth/password/reset", json={"token": token, "new_password": "Battery-Staple-8"})
    assert answer.json["type"] == "/problems/one-time-token-refused"
    assert login(app, address, "Battery-Staple-8") == 401
    join_with(mailbox, address)  # the address is free for its reader


def test_an_unknown_user_is_not_found(admin: Bearer) -> None:
    answer = delete(admin, str(uuid.uuid4()))
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/no-such-user")


def test_only_the_version_that_was_seen_is_deleted(admin: Bearer, user: Bearer) -> None:
    url = f"{USERS}/{user.id}"
    seen = admin.get(url).headers["ETag"]
    user.patch(ME, json={"display_name": "Ada"})
    answer = delete(admin, user.id, seen)
    assert (answer.status_code, answer.json["type"]) == (412, "/problems/precondition-failed")
    assert user.get(ME).status_code == 200
    assert delete(admin, user.id, admin.get(url).headers["ETag"]).status_code == 204


def test_of_simultaneous_deletions_one_succeeds(app: Flask, admin: Bearer) -> None:
    for _ in ROUNDS:
        user_id, admins = Bearer(app).join().id, [Bearer(app) for _ in range(5)]
        for each in admins:
            each.access_token = admin.access_token
        answers = simultaneously(*[lambda at=at, user_id=user_id: delete(at, user_id) for at in admins])
        assert sorted(each.status_code for each in answers) == [204] + [404] * 4


def test_nobody_deletes_themselves_here(admin: Bearer) -> None:
    """`delete_me` asks for the password first."""
    answer = delete(admin, admin.id)
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/own-account")
    assert admin.get(USERS).status_code == 200


def test_a_user_deletes_nobody(app: Flask, user: Bearer) -> None:
    other = Bearer(app).join()
    for each in (other, user):
        assert delete(user, each.id).json["type"] == "/problems/role-required"
        assert each.get(ME).status_code == 200


@pytest.fixture
def lonely(new_app: Callable[..., Flask]) -> Bearer:
    """The only administrator of an app."""
    return Bearer(new_app()).join(roles=["admin"])


def test_the_last_administrator_cannot_delete_themselves_either(lonely: Bearer) -> None:
    """Not by `delete_me`, until there is another one who can sign in."""
    other = Bearer(lonely.app).join(roles=["admin"])
    suspend = {"json": {"suspension": {}}, "headers": {"If-Match": "*"}}
    assert lonely.patch(f"{USERS}/{other.id}", **suspend).status_code == 200
    answer = lonely.delete(ME)
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/last-admin")
    assert lonely.get(USERS).status_code == 200
    third = Bearer(lonely.app).join(roles=["admin"])
    assert lonely.delete(ME).status_code == 204
    assert third.delete(ME).status_code == 409


def test_administrators_who_delete_each_other_at_the_same_moment_leave_one(lonely: Bearer) -> None:
    """The second one to be served is either nobody any more, or the last."""
    one, other = lonely, Bearer(lonely.app).join(roles=["admin"])
    first, second = one.id, other.id
    answers = simultaneously(lambda: delete(one, second), lambda: delete(other, first))
    assert sorted(each.status_code for each in answers) in ([204, 401], [204, 409])
    able = [each for each in (one, other) if each.get(USERS).status_code == 200]
    assert len(able) == 1


def test_administrators_who_leave_at_the_same_moment_leave_one(lonely: Bearer) -> None:
    admins = [lonely, *[Bearer(lonely.app).join(roles=["admin"]) for _ in range(3)]]
    answers = simultaneously(*[lambda at=at: at.delete(ME) for at in admins])
    assert sorted(each.status_code for each in answers) == [204] * 3 + [409]
    assert [each.get(USERS).status_code for each in admins].count(200) == 1
