"""The forge: tokens that look like ours, and every door they are tried at. Here: tokens that were good once, or for less.

A fault is only proven to be the reason of a refusal because the forge, without the fault, makes tokens that every door takes.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Flask
from sqlalchemy import delete
from werkzeug.test import TestResponse

from api import admin as administration
from api import keys
from api.database import transaction
from api.sessions.models import Session
from api.users import User
from tests.actors import Bearer, Browser

ADMIN = ["user", "admin"]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def part(value: Any) -> str:
    """A segment of a token: bytes as they are, anything else as JSON."""
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


@dataclass(frozen=True)
class Door:
    """One way in: an operation and the kind of token that it takes."""

    name: str
    method: str
    path: str
    kind: str


DOORS = (
    Door("get_me", "GET", "/v1/users/me", "access"),
    Door("update_me", "PATCH", "/v1/users/me", "access"),
    Door("get_session", "GET", "/v1/auth/session", "access"),
    Door("list_users", "GET", "/v1/admin/users", "access"),
    Door("logout with access", "DELETE", "/v1/auth/logout", "access"),
    Door("logout with refresh", "DELETE", "/v1/auth/logout", "refresh"),
    Door("refresh", "POST", "/v1/auth/refresh", "refresh"),
)


class Forge:
    """Makes tokens on behalf of an administrator who is signed in twice, as a program and in a browser."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        with app.app_context():
            self.key = keys.keyring().signing()
            if self.key.algorithm != "HS256":
                keys.rotate()  # a second published key; the first one goes on signing for five minutes
            self.published = list(keys.keyring().published())
        self.program = Bearer(app).join(roles=ADMIN)
        self.browser = Browser(app).join(roles=ADMIN)
        self.strange = app.test_client(use_cookies=False)

    def genuine(self, kind: str, *, cookie: bool = False) -> str:
        if cookie:
            found = self.browser.client.get_cookie(f"keycard_{kind}")
            assert found
            return found.value
        token = self.program.refresh_token if kind == "refresh" else self.program.access_token
        assert token
        return token

    def header(self, kind: str, **changes: Any) -> dict[str, Any]:
        return jwt.get_unverified_header(self.genuine(kind)) | changes

    def claims(self, kind: str, *, cookie: bool = False, **changes: Any) -> dict[str, Any]:
        return jwt.decode(self.genuine(kind, cookie=cookie), options={"verify_signature": False}) | changes

    def signed(self, header: Any, claims: Any) -> str:
        """A token with these segments and a good signature of the key that signs now."""
        message = f"{part(header)}.{part(claims)}"
        return f"{message}.{b64(self._sign(message.encode()))}"

    def _sign(self, message: bytes) -> bytes:
        if self.key.algorithm == "HS256":
            return hmac.digest(self.key.signing, message, hashlib.sha256)
        if self.key.algorithm == "RS256":
            return bytes(self.key.signing.sign(message, PKCS1v15(), SHA256()))
        return bytes(self.key.signing.sign(message))

    def present(self, door: Door, token: str, *, cookie: bool = False) -> TestResponse:
        headers = {"Authorization": f"Bearer {token}"}
        if cookie:
            csrf = self.browser.csrf_token or ""
            headers = {"Cookie": f"keycard_{door.kind}={token}", "X-CSRF-TOKEN": csrf}
        body = {"json": {"display_name": "Mallory"}} if door.method == "PATCH" else {}
        return self.strange.open(door.path, method=door.method, headers=headers, **body)

    def unharmed(self) -> bool:
        """Whether both sessions still live, and nobody was renamed."""
        answers = [self.program.get("/v1/users/me"), self.browser.get("/v1/users/me")]
        return all(each.status_code == 200 and each.json["display_name"] is None for each in answers)


def refused(answer: TestResponse, slug: str = "invalid-token") -> bool:
    """Whether an answer is the 401 with this slug, complete as RFC 9457 and RFC 6750 want it."""
    assert answer.status_code == 401, answer.text
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="keycard"')
    assert 'error="' in answer.headers["WWW-Authenticate"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert answer.json["type"] == f"/problems/{slug}"
    return True


@pytest.fixture(scope="module")
def own_app(new_app: Callable[..., Flask]) -> Flask:
    return new_app()


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize("cookie", [False, True], ids=["header", "cookie"])
def test_every_door_opens_to_what_the_forge_makes_without_a_fault(own_app: Flask, door: Door, cookie: bool) -> None:
    forge = Forge(own_app)
    token = forge.signed(forge.header(door.kind), forge.claims(door.kind, cookie=cookie))
    assert forge.present(door, token, cookie=cookie).status_code in {200, 204}


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_key_that_leaked_is_dead_at_once(new_app: Callable[..., Flask], own_app: Flask, door: Door) -> None:
    """Rotated with overlap, old tokens go on; rotated as compromised, none does, though nothing else is wrong with them."""
    forge = Forge(own_app)
    with own_app.app_context():
        keys.rotate()
    assert forge.unharmed()
    with own_app.app_context():
        keys.rotate(compromised=True)
    assert refused(forge.present(door, forge.genuine(door.kind)))
    assert refused(forge.present(door, forge.genuine(door.kind, cookie=True), cookie=True))
    assert forge.program.login().status_code == 200
    assert forge.program.get("/v1/users/me").status_code == 200


def test_a_role_that_was_taken_away_is_gone_at_the_next_request(app: Flask, admin: Bearer) -> None:
    """The old token is refused, not merely without the role; the next one has the roles of now."""
    assert admin.get("/v1/admin/users").status_code == 200
    with app.app_context():
        user_id = administration.find_by_username(admin.name).id
        Bearer(app).join(roles=ADMIN)
        administration.set_roles(user_id, ["user"])
    for door in DOORS[:4]:
        assert refused(admin.request(door.method, door.path, token=admin.access_token), "token-revoked")
    assert admin.refresh().status_code == 200
    assert admin.get("/v1/admin/users").json["type"] == "/problems/role-required"
    assert admin.get("/v1/users/me").json["roles"] == ["user"]


def test_roles_that_a_token_claims_open_nothing(own_app: Flask) -> None:
    """Signed by nobody the token is refused; even signed by us, the roles that count are those in the database."""
    forge = Forge(own_app)
    forge.program = Bearer(own_app).join()
    header, claims = forge.header("access"), forge.claims("access", roles=["admin", "user"])
    good_signature = forge.genuine("access").rpartition(".")[2]
    door = next(door for door in DOORS if door.name == "list_users")
    assert refused(forge.present(door, f"{part(header)}.{part(claims)}.{good_signature}"))
    answer = forge.present(door, forge.signed(header, claims))
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/role-required")


def test_tokens_issued_before_everything_was_revoked_are_dead(app: Flask, admin: Bearer, person: Bearer) -> None:
    stale = person.access_token
    assert admin.post(f"/v1/admin/users/{person.id}/revoke").status_code == 204
    assert refused(person.get("/v1/users/me"), "token-revoked")
    assert refused(person.get("/v1/auth/session"), "token-revoked")
    assert refused(person.refresh(), "session-ended")
    assert person.login().status_code == 200
    assert person.get("/v1/users/me").status_code == 200
    if stale:
        assert refused(person.request("GET", "/v1/users/me", token=stale), "token-revoked")


@pytest.mark.parametrize("model", [Session, User], ids=["session", "user"])
def test_tokens_of_a_row_that_is_gone_are_refused(app: Flask, model: Any) -> None:
    """Gone from the table, not only ended: no claim of a token is believed where the database knows nothing."""
    person = Bearer(app).join()
    sid = person.get("/v1/auth/session").json["session"]["id"]
    row = uuid.UUID(sid if model is Session else person.id)
    with app.app_context(), transaction() as database:
        database.execute(delete(model).where(model.id == row))
    for door in DOORS[:4]:
        assert refused(person.request(door.method, door.path, token=person.access_token), "token-revoked")
    assert refused(person.refresh(), "session-ended")
    assert person.logout().status_code == 204
