"""Secrets that can be found again, and a life that shows each of them to every operation."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

from flask import Flask
from sqlalchemy import text

from api import outbox
from api.database import db
from tests.actors import Bearer, new_name
from tests.contract.operations import Operation
from tests.outbox.configured import text_of
from tests.outbox.mail_server import MailServer

HASH = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$"
# How an operation gets the mailed token that it takes: method, path, and the name of the address's domain in the body.
_VERIFICATION = ("POST", "/v1/users/me/email/verification", None)
MAILED = {
    "verify_email": _VERIFICATION,
    "describe_mailed_token": _VERIFICATION,
    "reset_password": ("POST", "/v1/auth/password/forgot", "example.com"),
    "undo_email_change": ("PUT", "/v1/users/me/email", "example.org"),
}
HEADERS = ("Referer", "User-Agent", "X-Api-Key", "X-Forwarded-For", "X-Request-ID", "Idempotency-Key", "If-None-Match")


class Marks:
    """Everything that must not be seen: all that `new` makes, and what is added."""

    def __init__(self) -> None:
        self.stem = f"leak{uuid.uuid4().hex}"
        self.found_elsewhere: set[str] = set()

    def new(self, kind: str = "") -> str:
        """A secret that keeps every rule for passwords."""
        return f"A1{kind}{uuid.uuid4().hex[:6]}{self.stem}"

    def add(self, *secrets: str | None) -> None:
        """Secrets that the service has made. Of a token every part that no other token has."""
        for secret in filter(None, secrets):
            self.found_elsewhere |= set(secret.split(".")[1:]) if secret.count(".") == 2 else {secret}

    def headers(self) -> dict[str, str]:
        """Headers in which a client could send something by mistake. The space keeps the request id from being a good one."""
        # A connection of its own for each: some requests end before their body was read.
        return {"Connection": "close", **{name: f"{name} {self.new()}" for name in HEADERS}}

    def leaked_in(self, text: str) -> list[str]:
        """The lines that hold a secret."""
        assert self.found_elsewhere
        secrets = {self.stem, *self.found_elsewhere}
        return [line for line in text.splitlines() if any(secret in line for secret in secrets)]


def someone(app: Flask, operation: Operation, marks: Marks, kind: type[Bearer] = Bearer) -> Bearer:
    """Somebody with a marked password, and with every role that the operation demands."""
    name = new_name()
    actor = kind(app, name)
    actor.password = marks.new("pw")
    actor.join(roles=operation.roles or None, email=f"{name}@example.com")
    marks.add(actor.access_token, actor.refresh_token, actor.csrf_token)
    return actor


def mailed(app: Flask, actor: Bearer, operation: Operation, mail: MailServer, marks: Marks) -> str | None:
    """A token for the operation from a mail that has just arrived, if it takes one."""
    if str(operation) not in MAILED:
        return None
    method, path, domain = MAILED[str(operation)]
    if domain:
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(
                text("UPDATE users SET email_verified_at = created_at WHERE username_key = :name"), {"name": actor.name}
            )
    actor.signed_in(method, path, json={"email": f"{actor.name}@{domain}"} if domain else None)
    with app.app_context():
        outbox.deliver_due(app.extensions["keycard.composers"])
    (token,) = re.findall(r"#token=([A-Za-z0-9_-]{43})", text_of(mail.taken[-1].mail))
    marks.add(token)
    return token


def marked_body(operation: Operation, actor: Bearer, marks: Marks, mailed: str | None) -> Any:
    """The request example with marked secrets in it. mailed: a token that is good."""
    body = operation.body()
    if body is None:
        return None
    for name in body:
        if name in {"password", "new_password"}:
            body[name] = marks.new("pw")
        elif name == "token":
            body[name] = mailed or marks.new()[:43]
    if "username" not in body:
        body |= {name: actor.password for name in body if name in {"password", "current_password"}}
    elif str(operation) == "create_user":
        body |= {"email": f"{body['username']}@example.com"}
    return body


def calls(operation: Operation, actor: Bearer, marks: Marks, *, about: str, mailed: str | None = None) -> Iterator[Any]:
    """Call an operation rightly, and then in all the wrong ways. about: the id of somebody else, for operations on one."""
    own = {"user_id": about, "session_id": "00000000-0000-4000-8000-000000000000"}
    url, method = operation.url(**own), operation.method.upper()
    headers = {**operation.headers(), **marks.headers()}
    if "If-Match" in headers:
        headers["If-Match"] = actor.get(f"/v1/admin/users/{about}").headers.get("ETag", '"0"')
    body = marked_body(operation, actor, marks, mailed)
    rightly = {"token": operation.token_of(actor) if operation.schemes else None, "headers": headers}
    forged = ".".join([marks.new()] * 3)
    cookies = f"keycard_access={actor.access_token}; __Host-keycard_access={actor.access_token}; other={marks.new()}"
    content = {"Content-Type": "application/json"}
    yield actor.request(method, url, json=body, **rightly)
    yield actor.request(method, f"{url}?token={marks.new()}", json=body, **rightly)
    yield actor.request(method, f"{url}/{marks.new()}", json=body, **rightly)
    yield actor.request(method, url, json=body, token=forged, headers=headers)
    yield actor.request(method, url, json=body, token=f"{actor.access_token}{marks.new()}", headers=headers)
    yield actor.request(method, url, json=body, headers=headers | {"Cookie": cookies, "X-CSRF-TOKEN": marks.new()})
    yield actor.request(method, url, json=body, headers=headers | {"Authorization": f"Basic {marks.new()}"})
    yield actor.request(method, url, json={marks.new(): marks.new(), "password": marks.new()}, **rightly)
    broken = f'{{"password": "{marks.new()}'.encode()
    yield actor.request(method, url, **{_content(actor): broken}, token=rightly["token"], headers=headers | content)


def _content(actor: Bearer) -> str:
    """What the client of this actor calls a body that is bytes."""
    return "data" if hasattr(actor, "client") else "content"
