"""An administrator who lacks a role does not get it by way of somebody who has it; and people hear what was changed for them."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.actors import Bearer
from tests.mailbox import Mailbox, join_with, new_address
from tests.outbox.configured import text_of

USERS = "/v1/admin/users"
NOT_HELD = "/problems/role-not-held"


@pytest.fixture(scope="module")
def app(new_app: Callable[..., Flask]) -> Flask:
    """An outbox of our own."""
    return new_app()


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return Mailbox(app)


@pytest.fixture
def owner(app: Flask) -> Bearer:
    """Somebody with a role that our administrators lack."""
    return Bearer(app).join(roles=["owner"])


def write(admin: Bearer, method: str, user_id: str, path: str = "", **options: Any) -> Any:
    return admin.signed_in(method, f"{USERS}/{user_id}{path}", headers={"If-Match": "*"}, **options)


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PATCH", {"email": "mine@example.com"}),
        ("PATCH", {"email": "mine@example.com", "email_verified": True}),
        ("PATCH", {"email": None}),
        ("PATCH", {"suspension": {}}),
        ("DELETE", None),
    ],
    ids=str,
)
def test_somebody_with_a_role_that_one_lacks_is_left_alone(
    admin: Bearer, owner: Bearer, method: str, body: dict[str, Any] | None
) -> None:
    answer = write(admin, method, owner.id, **({"json": body} if body else {}))
    assert (answer.status_code, answer.json["type"]) == (403, NOT_HELD)
    assert "insufficient_scope" in answer.headers["WWW-Authenticate"]
    shown = admin.get(f"{USERS}/{owner.id}").json
    assert (shown["email"], shown["status"]) == (None, "active")
    assert owner.get("/v1/users/me").status_code == 200


def test_a_suspension_is_not_lifted_by_somebody_who_lacks_a_role(app: Flask, admin: Bearer, owner: Bearer) -> None:
    """A takeover of an account that was suspended for one begins with this."""
    peer = Bearer(app).join(roles=["admin", "owner"])
    user_id = owner.id
    assert write(peer, "PATCH", user_id, json={"suspension": {}}).status_code == 200
    assert write(admin, "PATCH", user_id, json={"suspension": None}).json["type"] == NOT_HELD
    assert write(peer, "PATCH", user_id, json={"suspension": None}).status_code == 200


def test_who_holds_the_role_too_may(app: Flask, owner: Bearer) -> None:
    peer = Bearer(app).join(roles=["admin", "owner"])
    assert write(peer, "PATCH", owner.id, json={"email": new_address()}).status_code == 200
    assert write(peer, "DELETE", owner.id).status_code == 204


def test_anybodys_tokens_can_be_revoked(admin: Bearer, owner: Bearer) -> None:
    """It gives nobody anything, and it is what one does at three in the morning."""
    user_id = owner.id
    assert admin.post(f"{USERS}/{user_id}/revoke").status_code == 204
    assert owner.get("/v1/users/me").status_code == 401


def test_a_display_name_can_be_corrected(admin: Bearer, owner: Bearer) -> None:
    assert write(admin, "PATCH", owner.id, json={"display_name": "Grace"}).status_code == 200


@pytest.mark.parametrize("address", [new_address, lambda: None], ids=["another", "none"])
def test_the_former_address_hears_of_another(mailbox: Mailbox, admin: Bearer, address: Callable[[], str | None]) -> None:
    former = new_address()
    user = join_with(mailbox, former)
    assert write(admin, "PATCH", user.id, json={"email": address()}).status_code == 200
    assert mailbox.subjects(former)[-1] == "Your e-mail address was changed"


def test_an_address_that_stays_hears_nothing(mailbox: Mailbox, admin: Bearer) -> None:
    address = new_address()
    user = join_with(mailbox, address)
    before = mailbox.subjects(address)
    assert write(admin, "PATCH", user.id, json={"email": address}).status_code == 200
    assert mailbox.subjects(address) == before


def test_the_owner_hears_of_roles_and_of_being_signed_out(mailbox: Mailbox, admin: Bearer) -> None:
    address = new_address()
    user = join_with(mailbox, address)
    user_id = user.id
    assert write(admin, "PUT", user_id, "/roles", json={"roles": ["user", "editor"]}).status_code == 200
    assert mailbox.subjects(address)[-1] == "Your roles have changed"
    assert "It now has: editor user." in " ".join(text_of(mailbox.to(address)[-1]).split())
    assert admin.post(f"{USERS}/{user_id}/revoke").status_code == 204
    assert mailbox.subjects(address)[-1] == "You were signed out everywhere"
    assert write(admin, "DELETE", user_id).status_code == 204
    assert mailbox.subjects(address)[-1] == "Your account was deleted"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "", {"username": "stale-admins-friend"}),
        ("PATCH", "/{id}", {"display_name": "x"}),
        ("DELETE", "/{id}", None),
        ("PUT", "/{id}/roles", {"roles": ["user"]}),
        ("POST", "/{id}/revoke", None),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_refreshed_token_administers_nothing(
    app: Flask, user: Bearer, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """A stolen refresh token makes no administrators. The same token reads; the password makes it fresh."""
    admin = Bearer(app).join(roles=["admin"])
    admin.refresh()
    target = USERS + path.format(id=user.id)
    options: dict[str, Any] = {"headers": {"If-Match": "*"}, **({"json": body} if body else {})}
    answer = admin.signed_in(method, target, **options)
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/fresh-token-required")
    assert admin.get(USERS).status_code == 200
    admin.reauthenticate()
    assert admin.signed_in(method, target, **options).status_code in {200, 201, 204}
