"""Headers that every answer carries."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.actors import Bearer
from tests.http.test_errors import operations

SAMPLE = (
    ("GET", "/health/live"), ("GET", "/v1/users/me"), ("GET", "/nowhere"), ("PUT", "/health/live"),
    ("POST", "/v1/auth/login"), ("OPTIONS", "/health/live"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/"),
)  # fmt: skip


@pytest.mark.parametrize("sent", ["a", "7", "abc-DEF_1.2", "x" * 64, "0198f6c2-7a5e-7c0e-b7bb-0d6f3c1e2a4d"])
@pytest.mark.parametrize(("method", "path"), SAMPLE)
def test_a_harmless_request_id_is_kept(anybody: Bearer, sent: str, method: str, path: str) -> None:
    answer = anybody.request(method, path, headers={"X-Request-ID": sent})
    assert answer.headers.getlist("X-Request-ID") == [sent]
    if answer.mimetype == "application/problem+json":
        assert answer.json["request_id"] == sent


@pytest.mark.parametrize(
    "sent", ["", " ", "x" * 65, "a b", "a,b", "<script>", "\u00fc", "a/b", "${jndi:ldap://x}", "a\x00", "a\x1b[31m", "a\x85b"]
)
@pytest.mark.parametrize(("method", "path"), SAMPLE[:5])
def test_a_request_id_that_could_do_harm_is_replaced(anybody: Bearer, sent: str, method: str, path: str) -> None:
    """It is written to logs and to answers: nobody may put a line, a colour or a script there."""
    answer = anybody.request(method, path, headers={"X-Request-ID": sent})
    made = answer.headers["X-Request-ID"]
    assert len(made) == 32
    assert made.isalnum()
    if answer.mimetype == "application/problem+json":
        assert answer.json["request_id"] == made


def test_two_request_ids_are_none(anybody: Bearer) -> None:
    answer = anybody.client.get("/health/live", headers=[("X-Request-ID", "a"), ("X-Request-ID", "b")])
    assert len(answer.headers["X-Request-ID"]) == 32


def test_every_request_has_an_id_of_its_own(anybody: Bearer) -> None:
    assert len({anybody.get("/health/live").headers["X-Request-ID"] for _ in range(20)}) == 20


@pytest.mark.parametrize(("method", "path"), SAMPLE)
def test_every_answer_is_sealed(anybody: Bearer, method: str, path: str) -> None:
    headers = anybody.request(method, path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    for directive in ("base-uri", "frame-ancestors", "object-src"):
        assert f"{directive} 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in headers


def test_an_answer_of_the_api_is_no_page_at_all(user: Bearer) -> None:
    """A browser that is led to an answer runs nothing and loads nothing."""
    for path in ("/v1/users/me", "/nowhere"):
        policy = user.get(path).headers["Content-Security-Policy"]
        assert policy == "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"


def test_production_demands_https_of_browsers(new_app: Callable[..., Flask]) -> None:
    anybody = Bearer(new_app(env="production", public_url="https://auth.example.com"))
    for path in ("/health/live", "/nowhere", "/v1/users/me", "/docs"):
        assert anybody.get(path).headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


def test_nothing_is_kept_but_what_says_so(app: Flask, admin: Bearer, anybody: Bearer, subtests: Any) -> None:
    """What bears a token or a person is in no cache; what is the same for everybody may be."""
    kept = set()
    for operation in operations(app):
        with subtests.test(operation=operation.name):
            for actor in (admin, anybody):
                body = {"json": operation.example} if operation.body and operation.name != "login" else {}
                answer = actor.signed_in(operation.method, operation.filled("not-found"), headers=operation.headers, **body)
                if answer.headers["Cache-Control"] != "no-store":
                    assert operation.secured_by == set()
                    assert answer.status_code == 200
                    assert "Set-Cookie" not in answer.headers
                    kept.add(operation.name)
    assert kept == {"get_jwks", "get_metadata", "list_problems", "get_problem"}


def test_an_error_is_never_kept_also_where_the_good_answer_may_be(anybody: Bearer) -> None:
    assert anybody.get("/problems/not-found").headers["Cache-Control"] == "public, max-age=3600"
    assert anybody.get("/problems/no-such-slug").headers["Cache-Control"] == "no-store"
    assert anybody.post("/problems/not-found").headers["Cache-Control"] == "no-store"


def test_an_answer_with_tokens_is_in_no_cache(person: Bearer) -> None:
    for answer in (person.login(), person.refresh(), person.get("/v1/auth/session"), person.logout()):
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/v1/users/me", "/nowhere", "/v1/auth/login"])
def test_no_header_tells_what_we_are_made_of(anybody: Bearer, path: str) -> None:
    headers = anybody.post(path).headers
    assert not {"X-Powered-By", "Server"} & set(headers)


@pytest.mark.parametrize(
    ("path", "accept", "content_type"),
    [
        ("/docs", "*/*", "text/html; charset=utf-8"),
        ("/problems", "text/html", "text/html; charset=utf-8"),
        ("/verify-email", "*/*", "text/html; charset=utf-8"),
        ("/docs/static/page.js", "*/*", "text/javascript; charset=utf-8"),
        ("/docs/static/keycard.css", "*/*", "text/css; charset=utf-8"),
        ("/openapi.json", "*/*", "application/json"),
        ("/v1/config", "*/*", "application/json"),
        ("/nowhere", "*/*", "application/problem+json"),
    ],
)
def test_every_text_says_what_it_is_and_how_it_is_written(anybody: Bearer, path: str, accept: str, content_type: str) -> None:
    """JSON is UTF-8 and has no such parameter (RFC 8259)."""
    answer = anybody.get(path, headers={"Accept": accept}, buffered=True)
    assert answer.headers["Content-Type"] == content_type
    assert answer.data.decode("utf-8")
