"""Roles: who may administer, and giving and taking them."""

import uuid
from typing import Any

import jwt
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from api import admin as administration
from api import openapi, users
from tests.actors import Bearer

METHODS = ("get", "put", "post", "delete", "patch")


def guarded(app: Flask) -> dict[tuple[str, str], list[str]]:
    """The operations of the document that demand roles, and which."""
    with app.app_context():
        paths = openapi.document()["paths"]
    return {
        (method.upper(), path): operation["x-required-roles"]
        for path, item in paths.items()
        for method, operation in item.items()
        if method in METHODS and "x-required-roles" in operation
    }


def roles_url(user_id: str) -> str:
    return f"/v1/admin/users/{user_id}/roles"


def set_roles(actor: Bearer, user_id: str, *roles: str) -> TestResponse:
    return actor.put(roles_url(user_id), json={"roles": list(roles)})


def token_roles(token: str) -> list[str]:
    return jwt.decode(token, options={"verify_signature": False})["roles"]


def test_every_operation_under_admin_demands_the_role_admin(app: Flask) -> None:
    with app.app_context():
        paths = openapi.document()["paths"]
    under = {
        (method.upper(), path) for path in paths if path.startswith("/v1/admin") for method in paths[path] if method in METHODS
    }
    assert under
    assert {key for key, roles in guarded(app).items() if roles == ["admin"]} == under


@pytest.mark.parametrize(
    ("roles", "refusal"),
    [
        (None, "authentication-required"),
        ((), "role-required"),
        (("user",), "role-required"),
        (("editor", "admins"), "role-required"),
    ],
    ids=["anonymous", "no role", "user", "other roles"],
)
def test_operations_with_roles_refuse_whoever_lacks_them(app: Flask, user: Bearer, roles: Any, refusal: str) -> None:
    caller = Bearer(app) if roles is None else Bearer(app).join(roles=list(roles))
    target = user.id
    for method, path in guarded(app):
        answer = caller.signed_in(method, path.replace("{user_id}", target), json=None if method == "GET" else {})
        expected = 401 if roles is None else 403
        assert (method, path, answer.status_code, answer.json["type"]) == (method, path, expected, f"/problems/{refusal}")
    assert user.get("/v1/users/me").json["roles"] == ["user"]


def test_operations_with_roles_let_an_administrator_pass(app: Flask, actor_class: type[Bearer], user: Bearer) -> None:
    caller, target = actor_class(app).join(roles=["admin"]), user.id
    for method, path in guarded(app):
        answer = caller.signed_in(method, path.replace("{user_id}", target), json=None if method == "GET" else {})
        assert answer.status_code not in {401, 403}, (method, path, answer.text)


def test_setting_roles_replaces_them_all(admin: Bearer, user: Bearer) -> None:
    answer = set_roles(admin, user.id, "editor", "auditor", "editor")
    assert (answer.status_code, answer.json["roles"]) == (200, ["auditor", "editor"])
    assert admin.get(f"/v1/admin/users/{answer.json['id']}").json == answer.json


def test_access_tokens_with_the_old_roles_are_dead_at_once(admin: Bearer, person: Bearer) -> None:
    """The session goes on: refreshing gives the new roles."""
    set_roles(admin, person.id, "user", "editor")
    assert person.get("/v1/users/me").json["type"] == "/problems/token-revoked"
    assert person.refresh().status_code == 200
    token = person.access_token or person.client.get_cookie("keycard_access").value
    assert token_roles(token) == ["editor", "user"]
    assert person.get("/v1/users/me").json["roles"] == ["editor", "user"]


def test_an_administrator_who_is_demoted_can_do_nothing_more(admin: Bearer, app: Flask) -> None:
    other = Bearer(app).join(roles=["admin"])
    set_roles(admin, other.id, "user")
    assert other.get("/v1/admin/users").status_code == 401
    other.refresh()
    assert other.get("/v1/admin/users").json["type"] == "/problems/role-required"


def test_who_gets_the_role_can_administer_after_a_refresh(admin: Bearer, user: Bearer) -> None:
    set_roles(admin, user.id, "user", "admin")
    user.refresh()
    assert user.get("/v1/admin/users").status_code == 200


def test_the_same_roles_again_change_nothing(admin: Bearer, user: Bearer) -> None:
    """Order and repetition do not count; the tokens stay alive and the version stays."""
    target = user.id
    set_roles(admin, target, "user", "editor")
    user.refresh()
    before = admin.get(f"/v1/admin/users/{target}")
    answer = set_roles(admin, target, "editor", "user", "editor")
    assert (answer.status_code, answer.json, answer.headers["ETag"]) == (200, before.json, before.headers["ETag"])
    assert user.get("/v1/users/me").status_code == 200


def test_tokens_of_other_people_stay_alive(admin: Bearer, user: Bearer, app: Flask) -> None:
    other = Bearer(app).join()
    set_roles(admin, user.id, "editor")
    assert other.get("/v1/users/me").status_code == 200


def test_an_empty_list_takes_every_role(admin: Bearer, user: Bearer) -> None:
    assert set_roles(admin, user.id).json["roles"] == []
    user.refresh()
    assert user.get("/v1/users/me").json["roles"] == []


def test_an_unknown_user_is_not_found(admin: Bearer) -> None:
    answer = set_roles(admin, str(uuid.uuid4()), "user")
    assert (answer.status_code, answer.json["type"]) == (404, "/problems/no-such-user")


@pytest.mark.parametrize(
    "body",
    [{}, {"roles": None}, {"roles": "admin"}, {"roles": [1]}, {"roles": ["Admin"]}, {"roles": [""]}, {"roles": ["a b"]},
     {"roles": ["x" * 33]}, {"roles": [f"r{number}" for number in range(21)]}, {"roles": ["user"], "status": "active"}],
)  # fmt: skip
def test_what_breaks_the_schema_changes_nothing(admin: Bearer, user: Bearer, body: dict[str, Any]) -> None:
    assert admin.put(roles_url(user.id), json=body).status_code == 422
    assert user.get("/v1/users/me").json["roles"] == ["user"]


@pytest.fixture
def lonely(new_app) -> Bearer:
    """The only administrator of an app."""
    return Bearer(new_app()).join(roles=["admin"])


def test_the_last_administrator_cannot_be_demoted(lonely: Bearer) -> None:
    """Nobody could undo it through the API."""
    target = lonely.id
    for roles in ((), ("user",)):
        answer = set_roles(lonely, target, *roles)
        assert (answer.status_code, answer.json["type"]) == (409, "/problems/own-account")
    assert lonely.get("/v1/admin/users").status_code == 200
    assert set_roles(lonely, target, "admin").status_code == 200


def test_the_last_but_one_administrator_can_be_demoted(lonely: Bearer) -> None:
    other = Bearer(lonely.app).join(roles=["admin"])
    assert set_roles(lonely, other.id, "user").status_code == 200
    assert set_roles(lonely, lonely.id, "user").status_code == 409


def test_a_suspended_administrator_does_not_count(lonely: Bearer) -> None:
    """Somebody who cannot sign in cannot undo it either."""
    other = Bearer(lonely.app).join(roles=["admin"])
    with lonely.app.app_context():
        users.bump_version(administration.find_by_username(other.name).id, status="suspended")
    assert set_roles(lonely, lonely.id, "user").status_code == 409
