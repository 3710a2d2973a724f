"""Administrators change users, and say which version they have seen."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.actors import Bearer
from tests.mailbox import VERIFY, Mailbox, join_with, new_address
from tests.processes.servers import simultaneously

USERS = "/v1/admin/users"


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An outbox of our own."""
    return new_app()


def url(user_id: str) -> str:
    return f"{USERS}/{user_id}"


def etag(admin: Bearer, user_id: str) -> str:
    return str(admin.get(url(user_id)).headers["ETag"])


def patch(admin: Bearer, user_id: str, if_match: str = "*", **changes: Any) -> TestResponse:
    return admin.patch(url(user_id), json=changes, headers={"If-Match": if_match})


def login(app: Flask, name: str, password: str) -> int:
    return Bearer(app).request("POST", "/v1/auth/login", json={"username": name, "password": password}).status_code


def test_a_change_is_answered_with_the_user_and_the_new_etag(admin: Bearer, user: Bearer) -> None:
    seen = etag(admin, user.id)
    answer = patch(admin, user.id, seen, display_name="Ada")
    assert (answer.status_code, answer.json["display_name"]) == (200, "Ada")
    assert answer.headers["ETag"] == etag(admin, user.id) != seen
    assert answer.json == admin.get(url(user.id)).json
    assert user.get("/v1/users/me").json["display_name"] == "Ada"


def test_what_is_left_out_stays_and_null_empties(admin: Bearer, user: Bearer) -> None:
    patch(admin, user.id, display_name="Ada", email=(address := new_address()))
    assert patch(admin, user.id, display_name="Countess").json["email"] == address
    found = patch(admin, user.id, display_name=None).json
    assert (found["display_name"], found["email"]) == (None, address)
    assert patch(admin, user.id, email=None).json["email"] is None


def test_an_empty_change_changes_nothing(admin: Bearer, user: Bearer) -> None:
    seen = etag(admin, user.id)
    assert patch(admin, user.id, seen).headers["ETag"] == seen


def test_a_version_that_is_no_more_is_refused(admin: Bearer, user: Bearer) -> None:
    """Nobody overwrites what they have not seen, also when the user has changed it themselves."""
    seen = etag(admin, user.id)
    assert user.patch("/v1/users/me", json={"display_name": "Ada"}).status_code == 200
    answer = patch(admin, user.id, seen, display_name="Countess")
    assert (answer.status_code, answer.json["type"]) == (412, "/problems/precondition-failed")
    assert user.get("/v1/users/me").json["display_name"] == "Ada"
    assert patch(admin, user.id, etag(admin, user.id), display_name="Countess").status_code == 200


def test_every_write_changes_the_etag(app: Flask, admin: Bearer) -> None:
    """Whoever makes it, and by whichever operation; reading and signing in are no writes."""
    mailbox, target = Mailbox(app), Bearer(app).join()
    user_id, address = target.id, new_address()
    writes: list[Callable[[], TestResponse]] = [
        lambda: patch(admin, user_id, display_name="Ada"),
        lambda: patch(admin, user_id, email=new_address()),
        lambda: patch(admin, user_id, email_verified=True),
        lambda: target.patch("/v1/users/me", json={"display_name": "Countess"}),
        lambda: target.put("/v1/users/me/email", json={"email": address}),
        lambda: target.post(VERIFY, json={"token": mailbox.token(address)}),
        lambda: target.put(
            "/v1/users/me/password", json={"current_password": target.password, "new_password": "Battery-Staple-8"}
        ),
        lambda: admin.put(f"{url(user_id)}/roles", json={"roles": ["user", "editor"]}),
        lambda: patch(admin, user_id, suspension={}),
        lambda: patch(admin, user_id, suspension=None),
        lambda: admin.post(f"{url(user_id)}/revoke"),
    ]
    seen = [etag(admin, user_id)]
    for number, write in enumerate(writes):
        assert write().status_code < 300, number
        seen.append(etag(admin, user_id))
        assert seen[-1] not in seen[:-1], number
    assert login(app, target.name, "Battery-Staple-8") == 200
    assert etag(admin, user_id) == seen[-1]


@pytest.mark.parametrize("changes", [{"display_name": "Ada"}, {"suspension": {"reason": "x"}}], ids=lambda each: next(iter(each)))
def test_of_simultaneous_changes_of_one_version_one_wins(app: Flask, admin: Bearer, changes: dict[str, Any]) -> None:
    """The others learn that they have not seen what they would overwrite."""
    for _ in range(3):
        target = Bearer(app).join()
        user_id, seen, admins = target.id, etag(admin, target.id), [Bearer(app) for _ in range(8)]
        for each in admins:
            each.access_token = admin.access_token
        calls = [lambda at=at, seen=seen, user_id=user_id: patch(at, user_id, seen, **changes) for at in admins]
        answers = simultaneously(*calls)
        assert sorted(each.status_code for each in answers) == [200] + [412] * 7
        (won,) = [each for each in answers if each.status_code == 200]
        assert won.headers["ETag"] == etag(admin, user_id)


def test_a_change_at_the_moment_of_ones_own_is_not_lost(app: Flask, admin: Bearer) -> None:
    """Of the administrator's change and the user's, the later one counts; the version counts both."""
    for _ in range(3):
        target = Bearer(app).join()
        user_id, before = target.id, int(etag(admin, target.id).strip('"'))
        mine, theirs = simultaneously(
            lambda target=target: target.patch("/v1/users/me", json={"display_name": "mine"}),
            lambda user_id=user_id: patch(admin, user_id, display_name="theirs"),
        )
        assert (mine.status_code, theirs.status_code) == (200, 200)
        assert int(etag(admin, user_id).strip('"')) == before + 2


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_without_if_match_nothing_is_changed(admin: Bearer, user: Bearer, method: str) -> None:
    body = {"json": {"display_name": "Ada"}} if method == "PATCH" else {}
    answer = admin.signed_in(method, url(user.id), **body)
    assert (answer.status_code, answer.json["type"]) == (428, "/problems/precondition-required")
    assert user.get("/v1/users/me").json["display_name"] is None


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("tag", ["{}", '"{}', '{}"', 'W/"{}"', '"{}", "*"', '"*"', "**", '"{}"x', '""', '" {}"', '"-1"',
                                 '"+{}"', '"a"', '"' + "9" * 18 + '"', '"' + "9" * 200 + '"'])  # fmt: skip
def test_what_is_no_etag_of_ours_matches_nothing(admin: Bearer, user: Bearer, method: str, tag: str) -> None:
    """Neither `*` nor the version that it looks like."""
    version = admin.get(url(user.id)).headers["ETag"].strip('"')
    body = {"json": {"display_name": "Ada"}} if method == "PATCH" else {}
    answer = admin.signed_in(method, url(user.id), headers={"If-Match": tag.format(version)}, **body)
    assert (answer.status_code, answer.json["type"]) == (412, "/problems/precondition-failed")
    assert user.get("/v1/users/me").json["display_name"] is None


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("tag", ['"' + "9" * 256 + '"', "", "\xc2\x84"])
def test_an_if_match_that_breaks_the_rules_is_refused(admin: Bearer, user: Bearer, method: str, tag: str) -> None:
    body = {"json": {"display_name": "Ada"}} if method == "PATCH" else {}
    answer = admin.signed_in(method, url(user.id), headers={"If-Match": tag}, **body)
    assert (answer.status_code, [each["header"] for each in answer.json["errors"]]) == (422, ["If-Match"])
    assert user.get("/v1/users/me").json["display_name"] is None


@pytest.mark.parametrize("if_match", ["*", '"1"'])
def test_an_unknown_user_is_not_found(admin: Bearer, if_match: str) -> None:
    answer = patch(admin, str(uuid.uuid4()), if_match, display_name="Ada")
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/no-such-user")


@pytest.mark.parametrize(
    "changes",
    [{"username": "ada"}, {"roles": ["admin"]}, {"status": "suspended"}, {"password": "Battery-Staple-8"}, {"display_name": ""},
     {"email": "nobody"}, {"email_verified": None}, {"email_verified": 1}, {"suspension": True},
     {"suspension": {"until": "soon"}}, {"suspension": {"until": "2126-12-01"}}, {"suspension": {"reason": ""}},
     {"suspension": {"reason": "x" * 201}}, {"suspension": {"who": "me"}}],
)  # fmt: skip
def test_what_breaks_the_schema_changes_nothing(admin: Bearer, user: Bearer, changes: dict[str, Any]) -> None:
    seen = etag(admin, user.id)
    answer = patch(admin, user.id, **changes)
    (member,) = changes
    assert (answer.status_code, {each["pointer"].split("/")[1] for each in answer.json["errors"]}) == (422, {member})
    assert etag(admin, user.id) == seen


def test_another_address_is_not_proven_by_the_old_ones_proof(app: Flask, admin: Bearer) -> None:
    old, new = new_address(), new_address()
    person = join_with(Mailbox(app), old)
    found = patch(admin, person.id, email=new).json
    assert (found["email"], found["email_verified"]) == (new, False)
    assert (login(app, old, person.password), login(app, new, person.password)) == (401, 401)
    assert patch(admin, person.id, email=new).json["email_verified"] is False
    assert patch(admin, person.id, email_verified=True).json["email_verified"] is True
    assert login(app, new, person.password) == 200
    assert patch(admin, person.id, email=new, display_name="Ada").json["email_verified"] is True
    assert patch(admin, person.id, email_verified=False).json["email_verified"] is False
    assert login(app, new, person.password) == 401


def test_a_mail_that_was_on_its_way_to_the_old_address_proves_nothing(app: Flask, admin: Bearer) -> None:
    """Neither the old address, nor one that the user had asked for."""
    mailbox, claimed, wanted, new = Mailbox(app), new_address(), new_address(), new_address()
    person = Bearer(app).join(email=claimed)
    first = mailbox.token(claimed)
    assert person.put("/v1/users/me/email", json={"email": wanted}).status_code == 202
    second = mailbox.token(wanted)
    patch(admin, person.id, email=new, email_verified=True)
    for token in (first, second):
        answer = Bearer(app).request("POST", VERIFY, json={"token": token})
        assert answer.json["type"] == "/problems/one-time-token-refused"
    assert admin.get(url(person.id)).json["email"] == new


def test_a_reset_that_was_on_its_way_to_the_old_address_is_dead(app: Flask, admin: Bearer) -> None:
    """Changing the address is how an administrator takes an account back from whoever reads the old one's mail."""
    mailbox, old = Mailbox(app), new_address()
    person = join_with(mailbox, old)
    Bearer(app).request("POST", "/v1/auth/password/forgot", json={"email": old})
    body = {"token": mailbox.token(old), "new_password": "Battery-Staple-8"}
    patch(admin, person.id, email=new_address(), email_verified=True)
    answer = Bearer(app).request("POST", "/v1/auth/password/reset", json=body)
    assert answer.json["type"] == "/problems/one-time-token-refused"
    assert login(app, person.name, person.password) == 200


def test_an_address_that_somebody_else_has_proven_cannot_be_given(app: Flask, admin: Bearer, user: Bearer) -> None:
    """Nothing of the change is kept. Unproven it may be shared."""
    address = new_address()
    join_with(Mailbox(app), address)
    answer = patch(admin, user.id, email=address.upper(), email_verified=True, display_name="Ada")
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/email-taken")
    found = user.get("/v1/users/me").json
    assert (found["email"], found["display_name"]) == (None, None)
    assert patch(admin, user.id, email=address).status_code == 200
    assert patch(admin, user.id, email_verified=True).json["type"] == "/problems/email-taken"


def test_a_user_changes_nobody(app: Flask, user: Bearer) -> None:
    for target in (user, Bearer(app).join()):
        answer = patch(user, target.id, display_name="Ada")
        assert (answer.status_code, answer.json["type"]) == (403, "/problems/role-required")
        assert target.get("/v1/users/me").json["display_name"] is None


@pytest.mark.parametrize("changes", [{"email_verified": True}, {"email_verified": True, "email": None}])
def test_nobody_can_vouch_for_an_address_that_is_not_there(admin: Bearer, user: Bearer, changes: dict[str, Any]) -> None:
    before = admin.get(f"{USERS}/{user.id}").headers["ETag"]
    answer = admin.patch(f"{USERS}/{user.id}", json=changes, headers={"If-Match": before})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/nothing-to-verify")
    assert admin.get(f"{USERS}/{user.id}").headers["ETag"] == before
