"""Every error is a problem: unknown addresses, wrong methods, impossible ids. Also the kit that reads the document.

The kit is used by the other tests of this folder: what an operation takes is asked of the OpenAPI document, never of a list
kept by hand, so that an operation added tomorrow is attacked tomorrow.
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from api import openapi
from api.database import READ, db
from tests.actors import Bearer

METHODS = ("get", "put", "post", "delete", "patch")
INVENTED = ("TRACE", "CONNECT", "PURGE", "PROPFIND", "X" * 100)
NO_UUID = (
    "x", "1", "0", "-1", "9" * 31, "null", "%00", "%ff", "7c1b2a2e8c1d4c559b0e5d8f6a7b9c01",
    "{7c1b2a2e-8c1d-4c55-9b0e-5d8f6a7b9c01}", "7c1b2a2e-8c1d-4c55-9b0e-5d8f6a7b9c0",
    "7c1b2a2e-8c1d-4c55-9b0e-5d8f6a7b9c01%00", "' OR 1=1 --", "%ED%A0%80", "A" * 4000,
)  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    name: str
    method: str
    path: str
    declared: dict[str, Any]
    schemas: dict[str, Any]

    @property
    def secured_by(self) -> set[str]:
        return {scheme for alternative in self.declared["security"] for scheme in alternative}

    @property
    def is_optional(self) -> bool:
        """Whether callers without a credential are served too."""
        return {} in self.declared["security"]

    @property
    def body(self) -> dict[str, Any] | None:
        """The schema of the request body, with references followed."""
        found = self.declared.get("requestBody", {}).get("content", {}).get("application/json")
        return self.resolved(found["schema"]) if found else None

    @property
    def example(self) -> Any:
        return self.declared["requestBody"]["content"]["application/json"]["example"]

    @property
    def headers(self) -> dict[str, str]:
        """The examples of the header parameters."""
        return {each["name"]: each["example"] for each in self.declared.get("parameters", []) if each["in"] == "header"}

    @property
    def query(self) -> list[dict[str, Any]]:
        return [each for each in self.declared.get("parameters", []) if each["in"] == "query"]

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        return self.schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema

    def filled(self, value: str | None = None) -> str:
        """The path with something for each parameter: by default an id that nothing has."""
        return re.sub(r"\{[^}]+\}", value or str(uuid.uuid4()), self.path)


def operations(app: Flask) -> list[Operation]:
    with app.app_context():
        made = openapi.document()
    schemas = made["components"]["schemas"]
    found = [
        Operation(item[method]["operationId"], method.upper(), path, item[method], schemas)
        for path, item in made["paths"].items()
        for method in METHODS
        if method in item
    ]
    assert len(found) > 20
    return found


def is_problem(answer: TestResponse, status: int, slug: str) -> bool:
    """Whether an answer is this problem, complete as RFC 9457 wants it and with the request id in body and header."""
    assert answer.status_code == status, answer.text[:300]
    assert answer.mimetype == "application/problem+json"
    assert answer.json["type"] == f"/problems/{slug}"
    assert answer.json["status"] == status
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert answer.headers["Cache-Control"] == "no-store"
    return True


def everything(app: Flask) -> dict[str, set[tuple[Any, ...]]]:
    """Every row of every table: equal before and after means that nothing was changed."""
    with app.app_context(), db.engines[READ].connect() as connection:
        return {table.name: {tuple(row) for row in connection.execute(select(table))} for table in db.metadata.sorted_tables}


@pytest.fixture
def nothing_changes(app: Flask, admin: Bearer, user: Bearer) -> Iterator[None]:
    """Whatever the test does, the database is afterwards what it was before."""
    before = everything(app)
    yield
    assert everything(app) == before


@pytest.mark.parametrize(
    "path",
    [
        "/x", "/v1", "/v1/users", "/v1/users/me/x", "/V1/users/me", "/v1/auth", "/v2/auth/login", "/.env",
        "/.git/config", "/wp-login.php", "/admin", "/%00", "/%ff", "/v1/users/me%00", "/v1/users/me/..%2f..%2f",
        "/v1/auth/login/..", "/problems/no-such", "/problems/%00", "/docs/assets/../../../app.py",
        "/docs/assets/%2e%2e%2fpackage.json", "/docs/static/..%2fpages.py", "/" + "a" * 8000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_address_is_a_404_for_everybody(admin: Bearer, anybody: Bearer, path: str, method: str) -> None:
    if method != "GET" and path.startswith(("/problems/", "/docs/")):
        for actor in (admin, anybody):
            assert actor.signed_in(method, path).status_code in {404, 405}
        return
    for actor in (admin, anybody):
        assert is_problem(actor.signed_in(method, path), 404, "not-found")


def test_a_wrong_method_is_a_405_that_names_the_right_ones(
    app: Flask, admin: Bearer, nothing_changes: None, subtests: Any
) -> None:
    by_path: dict[str, set[str]] = {}
    for operation in operations(app):
        by_path.setdefault(operation.path, set()).add(operation.method)
    for template, right in by_path.items():
        path = re.sub(r"\{[^}]+\}", str(uuid.uuid4()), template)
        allowed = right | {"OPTIONS"} | ({"HEAD"} if "GET" in right else set())
        for method in (*(each.upper() for each in METHODS), "HEAD", *INVENTED):
            if method in allowed:
                continue
            with subtests.test(path=path, method=method):
                answer = admin.signed_in(method, path, data=b"{")
                assert answer.status_code == 405
                assert method == "HEAD" or is_problem(answer, 405, "method-not-allowed")
                assert set(answer.headers["Allow"].split(", ")) == allowed


def test_a_wrong_method_is_refused_before_credentials_are(anybody: Bearer) -> None:
    """Nothing secret is in the methods, and 401 would send a client to sign in for nothing."""
    answer = anybody.request("PUT", "/v1/users/me", token="no.token.atall")
    assert is_problem(answer, 405, "method-not-allowed")


def test_head_answers_as_get_does_without_a_body(app: Flask, admin: Bearer, nothing_changes: None, subtests: Any) -> None:
    for operation in operations(app):
        if operation.method != "GET":
            continue
        with subtests.test(operation=operation.name):
            path = operation.filled(admin.id if "user_id" in operation.path else "not-found")
            get, head = admin.get(path), admin.signed_in("HEAD", path)
            assert get.status_code == head.status_code == 200
            assert head.data == b""
            assert head.headers["Content-Type"] == get.headers["Content-Type"]
            assert head.headers["Cache-Control"] == get.headers["Cache-Control"]
            if operation.secured_by and {} not in operation.declared["security"]:
                assert admin.request("HEAD", path).status_code == 401


def test_options_tells_the_methods_and_does_nothing(app: Flask, admin: Bearer, nothing_changes: None, subtests: Any) -> None:
    for operation in operations(app):
        with subtests.test(operation=operation.name):
            for answer in (admin.signed_in("OPTIONS", operation.filled()), admin.request("OPTIONS", operation.filled())):
                assert answer.status_code in {200, 204}
                assert {operation.method, "OPTIONS"} <= set(answer.headers["Allow"].split(", "))
                assert answer.data == b""
                assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("text", NO_UUID)
def test_an_id_that_is_none_is_a_404(app: Flask, admin: Bearer, nothing_changes: None, subtests: Any, text: str) -> None:
    for operation in operations(app):
        if "_id}" in operation.path:
            with subtests.test(operation=operation.name):
                body = {"json": operation.example} if operation.body else {}
                assert is_problem(
                    admin.signed_in(operation.method, operation.filled(text), headers=operation.headers, **body), 404, "not-found"
                )


def test_an_id_that_nobody_has_is_a_404(app: Flask, admin: Bearer, nothing_changes: None, subtests: Any) -> None:
    """In the canonical form and in capitals."""
    for operation in operations(app):
        if "_id}" in operation.path:
            for text in (str(uuid.uuid4()), str(uuid.uuid4()).upper(), str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))):
                with subtests.test(operation=operation.name, id=text):
                    body = {"json": operation.example} if operation.body else {}
                    answer = admin.signed_in(operation.method, operation.filled(text), headers=operation.headers, **body)
                    assert answer.status_code == 404
                    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "path", ["//evil.example/%2f..", "/v1//users/me", "/\\evil.example", "//v1/users/me", "/https://evil.example"]
)
def test_no_address_leads_out_of_the_service(anybody: Bearer, path: str) -> None:
    answer = anybody.get(path, headers={"Host": "localhost"})
    assert answer.status_code < 500
    assert "evil" not in answer.headers.get("Location", "")
